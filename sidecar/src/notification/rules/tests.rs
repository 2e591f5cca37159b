//! Rules over views, with a clock that the test controls.

use std::sync::Arc;

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value as Json, json};
use sidecar_config::Valid;

use super::*;

const BASE: &str = "1.3.6.1.4.1.64500.1";
const RAISE: &str = "1.3.6.1.4.1.64500.1.0.1";
const CLEAR: &str = "1.3.6.1.4.1.64500.1.0.2";
/// A Unix time of about 2027.
const EPOCH: u64 = 1_800_000_000;

/// The index of a row and its values in the columns 2 and 3, or the value of the scalar 1.
type Page<'a> = &'a [(u32, i32)];

fn rule(object: &str, test: &Json) -> Json {
    json!({
        "name": "high", "oid": RAISE, "severity": "Major", "text": "It is high.",
        "when": {"object": object, "test": test},
        "objects": ["name"],
        "clear": {"name": "low", "oid": CLEAR},
    })
}

fn above(object: &str) -> Json {
    rule(object, &json!({"above": {"threshold": 90, "clear": 80}}))
}

fn with(mut rule: Json, pointer: &str, value: Json) -> Json {
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    rule.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(field.to_owned(), value);
    rule
}

fn without_clear(mut rule: Json) -> Json {
    rule.as_object_mut().unwrap().remove("clear");
    rule
}

fn document(rules: impl IntoIterator<Item = Json>) -> Arc<Valid> {
    let value = |metric: &str| json!({"source": "host", "metric": metric});
    let document = json!({
        "version": 1, "namespace": "acme", "name": "a", "oid": BASE, "contexts": ["", "acme"],
        "sources": [{"name": "host", "intervalMs": 1000, "timeoutMs": 1000, "staleAfterMs": 5000, "system": {}}],
        "scalars": [
            {"name": "load", "oid": "1", "syntax": "Integer32", "value": value("load")},
            {"name": "name", "oid": "4", "syntax": "DisplayString", "value": {"constant": "web"}},
        ],
        "tables": [{
            "name": "diskTable", "oid": "2", "index": [{"name": "diskIndex", "oid": 1, "label": "disk", "as": "Integer"}],
            "columns": [
                {"name": "diskUsed", "oid": 2, "syntax": "Integer32", "value": value("used")},
                {"name": "diskGrade", "oid": 3, "syntax": "Integer32", "value": value("grade")},
            ],
        }],
        "notifications": Json::from_iter(rules),
    });
    Arc::new(sidecar_config::parse(document.to_string().as_bytes()).unwrap())
}

struct Fixture {
    rules: Rules,
    start: Instant,
    /// Seconds since the start, by both clocks.
    at: u64,
    wall: u64,
    /// Whether the absence of a value means that it is gone.
    is_known: bool,
    others: usize,
}

impl Fixture {
    fn new(rules: impl IntoIterator<Item = Json>) -> Self {
        let start = Instant::now();
        let now = Now { instant: start, wall: SystemTime::UNIX_EPOCH + Duration::from_secs(EPOCH) };
        let rules = Rules::new(&document(rules), SavedAlarms::default(), now);
        Self { rules, start, at: 0, wall: EPOCH, is_known: true, others: 0 }
    }

    fn now(&self) -> Now {
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(self.wall);
        Now { instant: self.start + Duration::from_secs(self.at), wall }
    }

    fn pass(&mut self, seconds: u64) {
        (self.at, self.wall) = (self.at + seconds, self.wall + seconds);
    }

    /// Restarts the sidecar with what it has saved, as JSON.
    fn restart(&mut self, rules: impl IntoIterator<Item = Json>) {
        let saved = serde_json::to_string(&self.rules.save(self.now())).unwrap();
        self.rules = Rules::new(&document(rules), serde_json::from_str(&saved).unwrap(), self.now());
    }

    fn evaluate(&mut self, load: Option<i32>, disks: Page<'_>) -> Vec<Transition> {
        let base: Oid = BASE.parse().unwrap();
        let objects = ["1", "2.1.2", "2.1.3", "4"].map(|object| object.parse().unwrap());
        let mut view = MibView::new(base, objects.to_vec());
        if let Some(load) = load {
            view.push(&[1], &[0], ValueRef::Integer(load)).unwrap();
        }
        for column in [2, 3] {
            for (index, value) in disks {
                view.push(&[2, 1, column], &[*index], ValueRef::Integer(*value)).unwrap();
            }
        }
        view.push(&[4], &[0], ValueRef::OctetString(b"web")).unwrap();
        let is_known = self.is_known;
        self.rules.evaluate(&view, |_, _| is_known, self.others, self.now())
    }

    /// Evaluates a scalar and returns the states of the transitions.
    fn load(&mut self, load: impl Into<Option<i32>>) -> Vec<State> {
        self.evaluate(load.into(), &[]).iter().map(|transition| transition.state).collect()
    }

    /// Evaluates rows and returns index and state of the transitions.
    fn disks(&mut self, disks: Page<'_>) -> Vec<(u32, State)> {
        let transitions = self.evaluate(None, disks);
        transitions.iter().map(|transition| (*transition.instance().last().unwrap(), transition.state)).collect()
    }
}

#[test]
fn one_crossing_is_raised_once_and_cleared_once_with_its_objects() {
    let mut fixture = Fixture::new([above("load")]);
    assert_eq!(fixture.load(90), []);
    let raised = fixture.evaluate(Some(91), &[]);
    assert_eq!((raised[0].state, raised[0].oid.to_string()), (State::Raised, RAISE.to_owned()));
    let objects: Vec<_> = raised[0].objects.iter().map(|o| (o.name.to_string(), o.value.clone())).collect();
    let name = (format!("{BASE}.4.0"), Value::OctetString(b"web".to_vec()));
    assert_eq!(objects, [(format!("{BASE}.1.0"), Value::Integer(91)), name]);
    assert_eq!([fixture.load(95), fixture.load(85)], [vec![], vec![]], "within the hysteresis");
    let cleared = fixture.evaluate(Some(79), &[]);
    assert_eq!((cleared[0].state, cleared[0].oid.to_string()), (State::Cleared, CLEAR.to_owned()));
    assert_eq!(cleared[0].objects[0].value, Value::Integer(79));
    assert!(cleared[0].sequence > raised[0].sequence);
    assert_eq!((cleared[0].id("acme"), cleared.len()), (raised[0].id("acme"), 1));
    assert_ne!(raised[0].id("acme"), raised[0].id(""));
    assert!(cleared[0].notification("acme", "acme/a/web-0").has_own_id(b"acme"));
    assert_eq!(fixture.load(70), []);
}

#[test]
fn rows_are_independent_and_a_row_that_is_gone_is_cleared_with_its_last_values() {
    let mut fixture = Fixture::new([above("diskUsed")]);
    assert_eq!(fixture.disks(&[(1, 95), (2, 10), (3, 99)]), [(1, State::Raised), (3, State::Raised)]);
    assert_eq!(fixture.disks(&[(1, 95), (2, 91), (3, 5)]), [(2, State::Raised), (3, State::Cleared)]);
    let cleared = fixture.evaluate(None, &[(2, 91)]);
    assert_eq!((cleared.len(), cleared[0].objects[0].value.clone()), (1, Value::Integer(95)));
    assert_eq!(cleared[0].objects[0].name.to_string(), format!("{BASE}.2.1.2.1"));
    assert_eq!(fixture.rules.status().raised, 1);
}

#[test]
fn an_unknown_value_changes_nothing() {
    let other = json!({"oid": "1.3.6.1.9.0.2", "name": "diskLow"});
    let other = with(with(above("diskUsed"), "/oid", json!("1.3.6.1.9.0.1")), "/clear", other);
    let mut fixture = Fixture::new([above("load"), with(other, "/name", json!("diskHigh"))]);
    assert_eq!(fixture.evaluate(Some(95), &[(1, 95)]).len(), 2);
    fixture.is_known = false;
    fixture.pass(100);
    assert_eq!(fixture.evaluate(None, &[]).len(), 0);
    assert_eq!(fixture.rules.status().raised, 2);
    fixture.is_known = true;
    assert_eq!(fixture.evaluate(None, &[]).len(), 2);
}

#[test]
fn a_timer_has_a_deadline_and_pauses_while_the_value_is_unknown() {
    let mut fixture =
        Fixture::new([with(with(above("load"), "/when/forMs", json!(10_000)), "/when/clearForMs", json!(5000))]);
    assert_eq!(fixture.load(95), []);
    assert_eq!(fixture.rules.deadline(), Some(fixture.start + Duration::from_secs(10)));
    fixture.pass(4);
    fixture.is_known = false;
    assert_eq!((fixture.load(None), fixture.rules.deadline()), (vec![], None));
    fixture.pass(60);
    fixture.is_known = true;
    assert_eq!((fixture.load(95), fixture.rules.status().pending), (vec![], 1));
    fixture.pass(6);
    assert_eq!(fixture.load(95), [State::Raised]);
    assert_eq!(fixture.load(10), []);
    fixture.pass(5);
    assert_eq!(fixture.load(10), [State::Cleared]);
    assert_eq!(fixture.rules.deadline(), None);
}

#[rstest]
#[case::raised_stays_raised(0, &[State::Raised], &[])]
#[case::pending_continues_by_the_wall_clock(60_000, &[], &[State::Raised])]
fn a_restart_continues(#[case] for_ms: u64, #[case] before: &[State], #[case] after: &[State]) {
    let rule = with(above("load"), "/when/forMs", json!(for_ms));
    let mut fixture = Fixture::new([rule.clone()]);
    assert_eq!(fixture.load(95), before);
    fixture.pass(60);
    fixture.restart([rule]);
    assert_eq!(fixture.load(95), after);
    assert_eq!(fixture.load(10), [State::Cleared]);
}

#[test]
fn sequences_increase_over_restarts_and_if_the_clock_is_set_back() {
    let mut fixture = Fixture::new([above("load")]);
    let mut last = 0;
    for round in 0..20 {
        let load = if round % 2 == 0 { 95 } else { 10 };
        let transition = fixture.evaluate(Some(load), &[]).remove(0);
        assert!(transition.sequence > last, "{round}: {} after {last}", transition.sequence);
        last = transition.sequence;
        match round % 4 {
            0 => fixture.wall -= 3600,
            1 => fixture.pass(10),
            2 => fixture.restart([above("load")]),
            _ => {}
        }
    }
}

#[test]
fn a_rule_without_a_clear_is_an_event_per_crossing() {
    let rule = without_clear(above("load"));
    let mut fixture = Fixture::new([rule.clone()]);
    assert_eq!(fixture.load(95), [State::Event]);
    fixture.restart([rule]);
    assert_eq!([fixture.load(95), fixture.load(79), fixture.load(95)], [vec![], vec![], vec![State::Event]]);
    assert_eq!(fixture.rules.raised().count(), 0, "it is not an alarm");
}

#[test]
fn changes_are_events_and_the_first_value_is_none() {
    let mut fixture = Fixture::new([without_clear(rule("diskUsed", &json!({"changes": {}})))]);
    assert_eq!(fixture.disks(&[(1, 5), (2, 6)]), []);
    assert_eq!(fixture.disks(&[(1, 5), (2, 7), (3, 1)]), [(2, State::Event)]);
    fixture.is_known = false;
    assert_eq!(fixture.disks(&[]), []);
    fixture.is_known = true;
    assert_eq!(fixture.disks(&[(1, 6), (2, 7), (3, 1)]), [(1, State::Event)], "after a gap");
    assert_eq!(fixture.disks(&[(2, 7)]), []);
    assert_eq!(fixture.disks(&[(1, 9), (2, 7)]), [], "a row that was gone is new");
}

#[test]
fn an_absent_scalar_is_raised_whatever_the_reason() {
    for is_known in [true, false] {
        let absent = with(rule("load", &json!({"absent": {}})), "/when/forMs", json!(3000));
        let mut fixture = Fixture::new([absent]);
        fixture.is_known = is_known;
        assert_eq!(fixture.load(None), []);
        fixture.pass(3);
        let raised = fixture.evaluate(None, &[]);
        assert_eq!((raised[0].state, raised[0].objects[0].value.clone()), (State::Raised, Value::Null));
        assert_eq!(fixture.load(5), [State::Cleared]);
    }
}

#[test]
fn an_absent_row_is_raised_if_it_was_known_and_forgotten_after_a_day() {
    let absent = rule("diskUsed", &json!({"absent": {}}));
    let mut fixture = Fixture::new([absent.clone()]);
    assert_eq!(fixture.disks(&[(1, 5), (2, 6)]), []);
    fixture.pass(1);
    let raised = fixture.evaluate(None, &[(2, 6)]);
    assert_eq!((raised.len(), raised[0].objects[0].value.clone()), (1, Value::Integer(5)));
    fixture.restart([absent]);
    assert_eq!(fixture.disks(&[(2, 6)]), []);
    fixture.pass(24 * 3600);
    assert_eq!(fixture.disks(&[(2, 6)]), [(1, State::Cleared)]);
    let many: Vec<_> = (0..2000).map(|index| (index, 1)).collect();
    fixture.disks(&many);
    fixture.pass(1);
    assert_eq!(fixture.disks(&[]).len(), MAX_RAISED);
    assert_eq!(fixture.rules.status().refused, MAX_KNOWN - MAX_RAISED, "no more rows are known");
}

#[test]
fn the_severity_follows_an_object() {
    let from = json!({"object": "diskGrade", "map": {"95": "Critical", "96": "Critical", "97": "Minor"}, "default": "Warning"});
    let mut fixture = Fixture::new([with(above("diskUsed"), "/severityFrom", from)]);
    let raised = fixture.evaluate(None, &[(1, 95)]).remove(0);
    assert_eq!(raised.severity, Severity::Critical);
    assert_eq!(fixture.disks(&[(1, 96)]), []);
    let changed = fixture.evaluate(None, &[(1, 97)]).remove(0);
    assert_eq!(
        (changed.state, changed.severity, changed.oid.to_string()),
        (State::Changed, Severity::Minor, RAISE.to_owned())
    );
    assert!(changed.sequence > raised.sequence);
    let cleared = fixture.evaluate(None, &[(1, 5)]).remove(0);
    assert_eq!((cleared.state, cleared.severity), (State::Cleared, Severity::Minor));
}

#[rstest]
#[case::removed(vec![])]
#[case::moved(vec![with(above("load"), "/oid", json!("1.3.6.1.4.1.64500.1.0.9"))])]
#[case::of_another_object(vec![above("diskUsed")])]
fn an_alarm_without_its_rule_is_cleared(#[case] rules: Vec<Json>) {
    let mut fixture = Fixture::new([above("load")]);
    fixture.load(95);
    let moved = rules.iter().any(|rule| rule["oid"] != json!(RAISE));
    fixture.rules = fixture.rules.replaced(&document(rules), fixture.now());
    let transitions = fixture.evaluate(Some(96), &[]);
    assert_eq!((transitions[0].state, transitions[0].oid.to_string()), (State::Cleared, CLEAR.to_owned()));
    assert_eq!(transitions[0].objects[0].value, Value::Integer(95));
    assert_eq!(transitions.len(), if moved { 2 } else { 1 });
    assert!(!fixture.evaluate(Some(96), &[]).iter().any(|transition| transition.state == State::Cleared));
}

#[test]
fn no_more_than_256_alarms_are_raised_and_the_others_are_counted() {
    let mut fixture = Fixture::new([above("diskUsed")]);
    fixture.others = 200;
    let disks: Vec<_> = (0..100).map(|index| (index, 95)).collect();
    assert_eq!(fixture.disks(&disks).len(), 56);
    assert_eq!((fixture.rules.status().raised, fixture.rules.status().refused), (56, 44));
    assert_eq!(fixture.disks(&disks).len(), 0);
    fixture.others = 0;
    assert_eq!(fixture.disks(&disks).len(), 44);
    assert_eq!((fixture.rules.status().raised, fixture.rules.status().refused), (100, 0));
}

#[test]
fn old_transitions_leave_the_log() {
    let mut fixture = Fixture::new([above("load")]);
    fixture.load(95);
    fixture.load(10);
    assert_eq!(fixture.rules.log().count(), 2);
    fixture.pass(15 * 60 + 1);
    fixture.load(10);
    assert_eq!(fixture.rules.log().count(), 0);
}

proptest! {
    /// Whatever happens, raises and clears of an instance alternate, their sequences increase, and the list of raised alarms
    /// agrees with them.
    #[test]
    fn raises_and_clears_alternate(
        steps in prop::collection::vec((prop::collection::vec((0..4_u32, 70..100_i32), 0..4), 0..20_u64, any::<bool>(), 0..8_u8), 1..40),
    ) {
        let rule = with(with(above("diskUsed"), "/when/forMs", json!(5000)), "/when/clearForMs", json!(3000));
        let mut fixture = Fixture::new([rule.clone()]);
        let mut alarms: BTreeMap<Vec<SubId>, (State, u32)> = BTreeMap::new();
        for (disks, wait, is_known, event) in steps {
            let disks: BTreeMap<u32, i32> = disks.into_iter().collect();
            fixture.is_known = is_known;
            for transition in fixture.evaluate(None, &disks.into_iter().collect::<Vec<_>>()) {
                let before = alarms.insert(transition.instance().to_vec(), (transition.state, transition.sequence));
                let (state, sequence) = before.unwrap_or((State::Cleared, 0));
                prop_assert_eq!(state.is_raised(), transition.state == State::Cleared);
                prop_assert!(transition.sequence > sequence);
            }
            let raised: Vec<_> = fixture.rules.raised().map(|raised| raised.instance().to_vec()).collect();
            let expected: Vec<_> = alarms.iter().filter(|(_, (state, _))| state.is_raised()).map(|(i, _)| i.clone()).collect();
            prop_assert_eq!(raised, expected);
            fixture.pass(wait);
            match event {
                0 => fixture.restart([rule.clone()]),
                1 => fixture.wall -= 1000,
                _ => {}
            }
        }
    }
}
