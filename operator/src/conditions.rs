//! Conditions of objects, with the meanings of the Gateway API, and Events about their changes. Pure.

mod events;
mod subtree;
mod tenancy;

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

use crate::plan::{Reason, Refusal};
use crds::Condition;

pub(crate) use events::{EventNote, event_notes};
pub(crate) use subtree::{Master, Programmed, SubtreeFacts, subtree};
pub(crate) use tenancy::{context, trap_target};

/// The object is valid and allowed.
pub(crate) const ACCEPTED: &str = "Accepted";
/// All references of the object resolve, and the operator can read them.
pub(crate) const RESOLVED_REFS: &str = "ResolvedRefs";
/// The configuration of the object is written.
pub(crate) const PROGRAMMED: &str = "Programmed";
/// Pods serve the object.
pub(crate) const READY: &str = "Ready";

/// The message of conditions of an object that is not accepted.
const NOT_ACCEPTED: &str = "the object is not accepted: see the condition Accepted";
/// The maximum length of a condition's message, in characters.
const MAX_MESSAGE: usize = 4096;

/// The status of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words of Kubernetes")]
pub(crate) enum Status {
    True,
    False,
    Unknown,
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// The state of one condition, without times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConditionState {
    /// The type of the condition.
    pub(crate) kind: &'static str,
    /// The status.
    pub(crate) status: Status,
    /// The reason, in one word.
    pub(crate) reason: String,
    /// The reason, in a sentence.
    pub(crate) message: String,
}

impl ConditionState {
    fn new(kind: &'static str, status: Status, reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind, status, reason: reason.into(), message: truncate(message.into(), MAX_MESSAGE) }
    }
}

/// Returns the conditions of an object: `previous`, updated to `states`. Conditions of other controllers are kept, and a
/// condition keeps its transition time while its status is the same.
#[must_use]
pub(crate) fn merge(
    previous: &[Condition],
    states: Vec<ConditionState>,
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let others = previous.iter().filter(|old| !states.iter().any(|state| state.kind == old.type_));
    let others: Vec<_> = others.cloned().collect();
    let ours = states.into_iter().map(|ConditionState { kind, status, reason, message }| {
        let before = previous.iter().find(|old| old.type_ == kind && old.status == status.word());
        Condition {
            type_: kind.to_owned(),
            status: status.word().to_owned(),
            reason,
            message,
            observed_generation: generation,
            last_transition_time: before.map_or(Time(now), |old| old.last_transition_time.clone()),
        }
    });
    ours.chain(others).collect()
}

/// A reference of an object that does not resolve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unresolved {
    /// The reason, in one word.
    pub(crate) reason: &'static str,
    /// The reason, in a sentence.
    pub(crate) message: String,
}

/// Returns the condition `Accepted`.
fn accepted(refusals: &[&Refusal]) -> ConditionState {
    match refusals.first() {
        None => ConditionState::new(ACCEPTED, Status::True, "Accepted", "the object is valid and allowed"),
        Some(first) => ConditionState::new(ACCEPTED, Status::False, word(first.reason), sentences(refusals)),
    }
}

/// Returns the condition `ResolvedRefs`. It is unknown for an object that is refused for another reason.
fn resolved(missing: &[&Refusal], unresolved: &[Unresolved], refused: bool) -> ConditionState {
    if let Some(first) = missing.first() {
        return ConditionState::new(RESOLVED_REFS, Status::False, word(first.reason), sentences(missing));
    }
    if let Some(first) = unresolved.first() {
        let messages: Vec<_> = unresolved.iter().map(|one| one.message.clone()).collect();
        return ConditionState::new(RESOLVED_REFS, Status::False, first.reason, messages.join("; "));
    }
    if refused {
        return ConditionState::new(
            RESOLVED_REFS,
            Status::Unknown,
            "NotAccepted",
            "references are checked when the object is accepted",
        );
    }
    ConditionState::new(RESOLVED_REFS, Status::True, "ResolvedRefs", "all references resolve")
}

/// Returns the refusals in sentences.
fn sentences(refusals: &[&Refusal]) -> String {
    let sentence = |Refusal { path, message, .. }: &&Refusal| {
        if path.is_empty() { message.clone() } else { format!("{path}: {message}") }
    };
    refusals.iter().map(sentence).collect::<Vec<_>>().join("; ")
}

/// Returns the reason as one word.
fn word(reason: Reason) -> String {
    format!("{reason:?}")
}

/// Returns the text, truncated to `limit` characters.
fn truncate(text: String, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text,
        Some(_) => text.chars().take(limit.saturating_sub(1)).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn state(status: Status, message: &str) -> ConditionState {
        ConditionState::new(READY, status, "Some", message)
    }

    #[test]
    fn the_transition_time_changes_only_with_the_status() {
        let first = merge(&[], vec![state(Status::False, "one")], Some(1), at(10));
        let second = merge(&first, vec![state(Status::False, "two")], Some(2), at(20));
        assert_eq!(second[0].last_transition_time.0, at(10));
        assert_eq!((second[0].message.as_str(), second[0].observed_generation), ("two", Some(2)));
        let third = merge(&second, vec![state(Status::True, "two")], Some(2), at(30));
        assert_eq!(third[0].last_transition_time.0, at(30));
    }

    #[test]
    fn merging_equal_states_changes_nothing() {
        let first = merge(&[], vec![state(Status::True, "one")], Some(1), at(10));
        assert_eq!(merge(&first, vec![state(Status::True, "one")], Some(1), at(99)), first);
    }

    #[test]
    fn conditions_of_other_controllers_are_kept() {
        let foreign = merge(&[], vec![ConditionState { kind: "Foreign", ..state(Status::True, "x") }], None, at(1));
        let merged = merge(&foreign, vec![state(Status::True, "one")], Some(1), at(10));
        assert_eq!(merged.iter().map(|condition| condition.type_.as_str()).collect::<Vec<_>>(), ["Ready", "Foreign"]);
    }

    #[test]
    fn a_long_message_is_truncated() {
        let state = state(Status::False, &"ä".repeat(MAX_MESSAGE + 1));
        assert_eq!(state.message.chars().count(), MAX_MESSAGE);
        assert!(state.message.ends_with('…'));
    }
}
