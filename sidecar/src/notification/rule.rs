//! A rule of a subtree, with its names resolved to OIDs.

use std::{collections::BTreeMap, time::Duration};

use agentx::{Oid, SubId, Value, ValueRef};
use notification::{EventType, Severity};
use sidecar_config::{Notification, Subtree, Syntax, Test};

/// A rule.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) oid: Oid,
    pub(super) name: String,
    pub(super) clear: Option<Oid>,
    pub(super) text: String,
    pub(super) event_type: Option<EventType>,
    /// The object of the condition, below the base OID.
    pub(super) object: Object,
    pub(super) condition: Condition,
    pub(super) raise_after: Duration,
    pub(super) clear_after: Duration,
    /// The other objects of the notification.
    pub(super) objects: Vec<Object>,
    severity: Severity,
    severity_from: Option<SeverityFrom>,
}

/// A scalar or a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object {
    /// Its arcs below the base OID.
    pub(super) arcs: Vec<SubId>,
    pub(super) is_column: bool,
}

#[derive(Debug)]
struct SeverityFrom {
    object: Object,
    map: Vec<(Value, Severity)>,
    default: Severity,
}

/// The condition of a rule.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Condition {
    Above { threshold: f64, clear: Option<f64> },
    Below { threshold: f64, clear: Option<f64> },
    Equals(Value),
    Changes,
    Absent,
}

/// What is known about the value of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading<'a> {
    Value(ValueRef<'a>),
    /// The value is stale or withheld, or its source has not been collected.
    Unknown,
    /// A good collection does not have it.
    Gone,
}

/// The result of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Holds,
    Over,
    Unknown,
}

struct Declared<'a> {
    object: Object,
    syntax: Syntax,
    names: &'a BTreeMap<String, i32>,
}

/// Returns the rules of a subtree. Rules that validation would have refused are left out.
pub(super) fn compile(subtree: &Subtree) -> Vec<Rule> {
    let scalars = subtree.scalars.iter().map(|scalar| {
        let object = Object { arcs: scalar.oid.to_vec(), is_column: false };
        (scalar.name.as_str(), Declared { object, syntax: scalar.syntax, names: &scalar.enumeration })
    });
    let columns = subtree.tables.iter().flat_map(|table| {
        table.columns.iter().map(|column| {
            let object = Object { arcs: [table.oid.as_slice(), &[1, column.oid]].concat(), is_column: true };
            (column.name.as_str(), Declared { object, syntax: column.syntax, names: &column.enumeration })
        })
    });
    let objects: BTreeMap<_, _> = scalars.chain(columns).collect();
    subtree.notifications.iter().filter_map(|rule| Rule::new(rule, &objects)).collect()
}

impl Rule {
    fn new(rule: &Notification, objects: &BTreeMap<&str, Declared<'_>>) -> Option<Self> {
        let object = objects.get(rule.when.object.as_str())?;
        let condition = match &rule.when.test {
            Test::Above { threshold, clear } => Condition::Above { threshold: *threshold, clear: *clear },
            Test::Below { threshold, clear } => Condition::Below { threshold: *threshold, clear: *clear },
            Test::Equals { value } => Condition::Equals(object.syntax.read_named(object.names, value).ok()?),
            Test::Changes {} => Condition::Changes,
            Test::Absent {} => Condition::Absent,
        };
        let severity_from = rule.severity_from.as_ref().and_then(|from| {
            let declared = objects.get(from.object.as_str())?;
            let value = |text: &str| declared.syntax.read_named(declared.names, text).ok();
            let map = from.map.iter().filter_map(|(text, severity)| Some((value(text)?, *severity))).collect();
            Some(SeverityFrom { object: declared.object.clone(), map, default: from.default })
        });
        let others = rule.objects.iter().filter_map(|name| objects.get(name.as_str()));
        Some(Self {
            oid: rule.oid.clone(),
            name: rule.name.clone(),
            clear: rule.clear.as_ref().map(|clear| clear.oid.clone()),
            text: rule.text.clone(),
            event_type: rule.event_type,
            object: object.object.clone(),
            condition,
            raise_after: Duration::from_millis(rule.when.for_ms),
            clear_after: Duration::from_millis(rule.when.clear_for_ms),
            objects: others.map(|other| other.object.clone()).filter(|other| *other != object.object).collect(),
            severity: rule.severity,
            severity_from,
        })
    }

    /// Returns the severity of an instance. `value` returns the value of another object in the same row, if it is known.
    /// Otherwise the severity stays as it was `before`.
    pub(super) fn severity<'a>(
        &self,
        before: Option<Severity>,
        value: impl Fn(&Object) -> Option<ValueRef<'a>>,
    ) -> Severity {
        let Some(from) = &self.severity_from else { return self.severity };
        match value(&from.object) {
            Some(value) => {
                from.map.iter().find(|(known, _)| known.as_ref() == value).map_or(from.default, |(_, found)| *found)
            }
            None => before.unwrap_or(from.default),
        }
    }
}

impl Condition {
    /// Returns whether the condition holds, or is over, for an alarm that is raised or not. [`Condition::Changes`] never
    /// holds: it is an event.
    pub(super) fn verdict(&self, reading: Reading<'_>, is_raised: bool) -> Verdict {
        let value = match (self, reading) {
            (Self::Absent, Reading::Unknown | Reading::Gone) => return Verdict::Holds,
            (_, Reading::Unknown) => return Verdict::Unknown,
            (Self::Absent, Reading::Value(_)) | (_, Reading::Gone) => return Verdict::Over,
            (_, Reading::Value(value)) => value,
        };
        let holds = match self {
            Self::Above { threshold, clear } => number(value).is_some_and(|number| match clear {
                Some(clear) if is_raised => number >= *clear,
                _ => number > *threshold,
            }),
            Self::Below { threshold, clear } => number(value).is_some_and(|number| match clear {
                Some(clear) if is_raised => number <= *clear,
                _ => number < *threshold,
            }),
            Self::Equals(wanted) => wanted.as_ref() == value,
            Self::Changes | Self::Absent => false,
        };
        if holds { Verdict::Holds } else { Verdict::Over }
    }
}

fn number(value: ValueRef<'_>) -> Option<f64> {
    match value {
        ValueRef::Integer(number) => Some(number.into()),
        ValueRef::Gauge32(number) | ValueRef::TimeTicks(number) => Some(number.into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::above(Condition::Above { threshold: 90.0, clear: None }, &[(90, false, Verdict::Over), (91, false, Verdict::Holds), (90, true, Verdict::Over)])]
    #[case::above_with_hysteresis(Condition::Above { threshold: 90.0, clear: Some(80.0) }, &[(85, false, Verdict::Over), (85, true, Verdict::Holds), (80, true, Verdict::Holds), (79, true, Verdict::Over)])]
    #[case::below(Condition::Below { threshold: 10.5, clear: None }, &[(10, false, Verdict::Holds), (11, false, Verdict::Over), (11, true, Verdict::Over)])]
    #[case::below_with_hysteresis(Condition::Below { threshold: 10.0, clear: Some(20.0) }, &[(15, false, Verdict::Over), (15, true, Verdict::Holds), (20, true, Verdict::Holds), (21, true, Verdict::Over)])]
    #[case::equals(Condition::Equals(Value::Integer(2)), &[(2, false, Verdict::Holds), (1, true, Verdict::Over)])]
    #[case::absent(Condition::Absent, &[(2, false, Verdict::Over), (2, true, Verdict::Over)])]
    fn a_value_is_compared(#[case] condition: Condition, #[case] cases: &[(i32, bool, Verdict)]) {
        for (value, is_raised, expected) in cases {
            let reading = Reading::Value(ValueRef::Integer(*value));
            assert_eq!(condition.verdict(reading, *is_raised), *expected, "{value}, raised: {is_raised}");
        }
    }

    #[test]
    fn an_unknown_value_decides_nothing_unless_the_rule_waits_for_it() {
        let above = Condition::Above { threshold: 1.0, clear: None };
        assert_eq!(above.verdict(Reading::Unknown, true), Verdict::Unknown);
        assert_eq!(above.verdict(Reading::Gone, true), Verdict::Over);
        assert_eq!(Condition::Absent.verdict(Reading::Unknown, false), Verdict::Holds);
        assert_eq!(Condition::Absent.verdict(Reading::Gone, false), Verdict::Holds);
    }
}
