//! Tests of the responses that [`Truth`] accepts and refuses. Seconds count from the start of the checks.

use super::*;

const BEGAN: Moment = 1_000_000;
const ROWS: usize = 3;
const TIMES: Times = Times {
    interval: Duration::from_millis(500),
    timeout: Duration::from_millis(500),
    stale_after: Duration::from_secs(10),
};

/// Returns the moment this many seconds after the start.
fn at(seconds: u64) -> Moment {
    BEGAN + seconds * 1_000
}

/// Returns the moments of complete pages, two in each second.
fn pages(from: u64, to: u64) -> impl Iterator<Item = Moment> {
    (at(from)..at(to)).step_by(500)
}

/// Returns the truth about one subtree with one source, which has shown these pages.
fn truth(shown: ShownPages) -> Truth {
    let plan = Plan { name: "one", arc: 1, contexts: &[""], sources: vec![0] };
    let tracked = TrackedSource { shown: Arc::new(shown), times: TIMES };
    let truth = Truth::new(Clock::start(), &[plan], vec![tracked], &[ROWS]).unwrap();
    truth.checking_since.store(BEGAN, Ordering::SeqCst);
    truth
}

fn always_healthy() -> Truth {
    truth(ShownPages::of(ROWS, pages(0, 100), [], []))
}

/// Returns the OID of these arcs below the source's part of the subtree.
fn oid(arcs: &[SubId]) -> Oid {
    super::super::layout::ROOT.parse::<Oid>().unwrap().join(&[1, 1]).unwrap().join(arcs).unwrap()
}

/// Returns the span of a request whose response takes a tenth of a second.
fn span(seconds: u64) -> Span {
    Span { requested: at(seconds), responded: at(seconds) + 100 }
}

fn is_right(truth: &Truth, arcs: &[SubId], value: &Value, seconds: u64) -> bool {
    truth.check(&oid(arcs), value, span(seconds)).is_ok()
}

const TOTAL: &[SubId] = &[1, 0];
const HELD: &[SubId] = &[2, 0];
const OR_ZERO: &[SubId] = &[3, 0];
const CONSTANT: &[SubId] = &[6, 0];
/// The number in the row `r1`.
const NUMBER: &[SubId] = &[20, 1, 2, 2, 114, 49];

#[test]
fn values_of_a_healthy_source_must_be_recent() {
    let truth = always_healthy();
    let total = |moment| is_right(&truth, TOTAL, &Value::Counter64(moment), 90);
    assert!(total(at(90)) && total(at(89)));
    assert!(!total(at(89) + 1), "never shown");
    assert!(!total(666), "never shown");
    assert!(!total(at(79)), "too old");
    assert!(!total(at(92)), "in the future");
    assert!(!is_right(&truth, TOTAL, &Value::NoSuchInstance, 90));
    assert!(!is_right(&truth, TOTAL, &Value::Counter32(u32::try_from(at(90)).unwrap()), 90), "of another syntax");
    assert!(is_right(&truth, OR_ZERO, &Value::Gauge32(u32::try_from(at(90)).unwrap()), 90));
    assert!(!is_right(&truth, OR_ZERO, &Value::Gauge32(0), 90), "as if the source were faulty");
    assert!(is_right(&truth, NUMBER, &Value::Gauge32(1), 90));
    assert!(!is_right(&truth, NUMBER, &Value::Gauge32(2), 90), "the number of another row");
    assert!(!is_right(&truth, NUMBER, &Value::NoSuchInstance, 90));
    assert!(!is_right(&truth, &[20, 1, 2, 2, 114, 57], &Value::Gauge32(9), 90), "no such row exists");
}

#[test]
fn values_of_a_faulty_source_stay_until_they_are_stale() {
    let truth = truth(ShownPages::of(ROWS, pages(0, 60).chain(pages(90, 200)), [], []));
    let last = at(60) - 500;
    let total = |seconds| is_right(&truth, TOTAL, &Value::Counter64(last), seconds);
    let missing = |seconds| is_right(&truth, TOTAL, &Value::NoSuchInstance, seconds);
    assert!(total(64) && !missing(64), "the value stays");
    assert!(total(72) && missing(72), "the value may be stale");
    assert!(!total(85) && missing(85), "the value is stale");
    assert!(missing(119), "the source may still recover");
    assert!(!missing(125), "the source must have recovered");
    assert!(is_right(&truth, HELD, &Value::Gauge32(u32::try_from(last).unwrap()), 85));
    assert!(!is_right(&truth, HELD, &Value::NoSuchInstance, 85), "onMissing is Hold");
    assert!(is_right(&truth, OR_ZERO, &Value::Gauge32(0), 85));
    assert!(!is_right(&truth, OR_ZERO, &Value::NoSuchInstance, 85), "onMissing is Zero");
    assert!(!is_right(&truth, CONSTANT, &Value::NoSuchInstance, 85), "a constant needs no source");
}

#[test]
fn a_value_may_be_missing_after_nan_until_its_source_must_have_recovered() {
    let truth = truth(ShownPages::of(ROWS, pages(0, 60).chain(pages(61, 200)), [at(60)], []));
    assert!(!is_right(&truth, HELD, &Value::NoSuchInstance, 59));
    assert!(is_right(&truth, HELD, &Value::NoSuchInstance, 61));
    assert!(!is_right(&truth, HELD, &Value::NoSuchInstance, 91));
}

#[test]
fn instances_may_be_missing_after_a_change_of_the_document_until_they_must_have_recovered() {
    let truth = always_healthy();
    let subtree = &truth.subtrees[0];
    subtree.begin_change(at(40));
    assert!(!is_right(&truth, CONSTANT, &Value::NoSuchObject, 39));
    assert!(is_right(&truth, CONSTANT, &Value::NoSuchObject, 41));
    assert!(is_right(&truth, TOTAL, &Value::NoSuchObject, 41));
    subtree.end_change(at(50));
    assert!(is_right(&truth, CONSTANT, &Value::NoSuchObject, 79));
    assert!(!is_right(&truth, CONSTANT, &Value::NoSuchObject, 81));
}

#[test]
fn rows_of_exploding_labels_are_right_until_they_are_stale() {
    let truth = truth(ShownPages::of(ROWS, pages(0, 100), [], [at(50)]));
    let row = &[20, 1, 2, 3, u32::from(b'x'), 49, 50];
    assert!(!is_right(&truth, row, &Value::Gauge32(1), 49));
    assert!(is_right(&truth, row, &Value::Gauge32(1), 51));
    assert!(!is_right(&truth, row, &Value::Gauge32(2), 51));
    assert!(!is_right(&truth, row, &Value::Gauge32(1), 80));
}

#[test]
fn a_search_skips_no_instance_and_stays_within_its_range() {
    let truth = always_healthy();
    let end = oid(&[7]);
    let next = |start: &[SubId], include, found: Option<(&[SubId], Value)>| {
        let found = found.map(|(arcs, value)| (oid(arcs), value));
        let found = found.as_ref().map(|(name, value)| (name, value));
        truth.check_next((&oid(start), include, &end), found, "", span(90)).is_ok()
    };
    let soak = || Value::OctetString(b"soak".to_vec());
    let version = || Value::OctetString(b"1.2.3".to_vec());
    assert!(next(&[5, 0], false, Some((CONSTANT, soak()))));
    assert!(next(&[5, 0], true, Some((&[5, 0], version()))));
    assert!(!next(&[5, 0], false, Some((&[5, 0], version()))), "the start itself is not included");
    assert!(!next(&[4, 0], false, Some((CONSTANT, soak()))), "the version was skipped");
    assert!(!next(&[5, 0], false, None), "the constant was skipped");
    assert!(next(CONSTANT, false, None));
    assert!(!next(CONSTANT, false, Some((&[7, 0], Value::Gauge32(150)))), "after the end of the range");
}

#[test]
fn a_complete_walk_has_every_instance_and_no_other() {
    let truth = always_healthy();
    let rows: Vec<(Oid, Value)> = truth
        .instances
        .iter()
        .filter(|(_, instance)| !instance.added)
        .map(|(name, instance)| {
            let value = match &instance.shows {
                Shows::Exactly(value) | Shows::OneOf([value, _]) => value.clone(),
                Shows::Moment(make) => make(u32::try_from(at(99)).unwrap()),
                Shows::Rate => Value::Gauge32(1_000),
            };
            (name.clone(), value)
        })
        .collect();
    let complete = |rows: &[(Oid, Value)]| {
        truth
            .check_walked(rows.iter().map(|(name, value)| (name, value)), Span { requested: at(90), responded: at(99) })
    };
    complete(&rows).unwrap();
    assert!(complete(&rows[1..]).is_err(), "an instance is missing");
    let more = [rows, vec![(oid(&[99]), Value::Gauge32(1))]].concat();
    assert!(complete(&more).is_err(), "an instance is not expected");
}
