//! What is told of an object: conditions, with the meanings of the Gateway API, and the events of their changes. Pure.

mod events;
mod subtree;
mod tenancy;

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

use crate::plan::{Reason, Refusal};
use crds::Condition;

pub use events::{Note, notes};
pub use subtree::{Master, Programmed, SubtreeFacts, subtree};
pub use tenancy::{context, trap_target};

/// Valid and allowed.
pub const ACCEPTED: &str = "Accepted";
/// What it names is there, and may be read.
pub const RESOLVED_REFS: &str = "ResolvedRefs";
/// The configuration that comes of it is written.
pub const PROGRAMMED: &str = "Programmed";
/// Pods serve it.
pub const READY: &str = "Ready";

/// The longest message of a condition, in characters.
const MAX_MESSAGE: usize = 4096;

/// A condition's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words of Kubernetes")]
pub enum Status {
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

/// One condition, without its times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Which condition.
    pub kind: &'static str,
    /// Whether it holds.
    pub status: Status,
    /// Why, in one word.
    pub reason: String,
    /// Why, in a sentence.
    pub message: String,
}

impl Verdict {
    fn new(kind: &'static str, status: Status, reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind, status, reason: reason.into(), message: cut(message.into(), MAX_MESSAGE) }
    }
}

/// The conditions of an object whose conditions were `previous`, by these verdicts. Conditions of others stay.
#[must_use]
pub fn merge(
    previous: &[Condition],
    verdicts: Vec<Verdict>,
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let others = previous.iter().filter(|old| !verdicts.iter().any(|verdict| verdict.kind == old.type_));
    let others: Vec<_> = others.cloned().collect();
    let ours = verdicts.into_iter().map(|Verdict { kind, status, reason, message }| {
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

/// Something that an object names and that cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unresolved {
    /// Why, in one word.
    pub reason: &'static str,
    /// Why, in a sentence.
    pub message: String,
}

/// Whether the object is accepted.
fn accepted(refusals: &[&Refusal]) -> Verdict {
    match refusals.first() {
        None => Verdict::new(ACCEPTED, Status::True, "Accepted", "valid and allowed"),
        Some(first) => Verdict::new(ACCEPTED, Status::False, word(first.reason), told(refusals)),
    }
}

/// Whether what the object names is there. Of what else is refused, nothing is known.
fn resolved(missing: &[&Refusal], unresolved: &[Unresolved], refused: bool) -> Verdict {
    if let Some(first) = missing.first() {
        return Verdict::new(RESOLVED_REFS, Status::False, word(first.reason), told(missing));
    }
    if let Some(first) = unresolved.first() {
        let messages: Vec<_> = unresolved.iter().map(|one| one.message.clone()).collect();
        return Verdict::new(RESOLVED_REFS, Status::False, first.reason, messages.join("; "));
    }
    if refused {
        return Verdict::new(RESOLVED_REFS, Status::Unknown, "NotAccepted", "told once it is accepted");
    }
    Verdict::new(RESOLVED_REFS, Status::True, "ResolvedRefs", "all that it names is there")
}

/// The refusals in sentences.
fn told(refusals: &[&Refusal]) -> String {
    let sentence = |Refusal { path, message, .. }: &&Refusal| {
        if path.is_empty() { message.clone() } else { format!("{path}: {message}") }
    };
    refusals.iter().map(sentence).collect::<Vec<_>>().join("; ")
}

/// A reason's word.
fn word(reason: Reason) -> String {
    format!("{reason:?}")
}

/// The text, if need be cut to `most` characters.
fn cut(text: String, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text,
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn verdict(status: Status, message: &str) -> Verdict {
        Verdict::new(READY, status, "Some", message)
    }

    #[test]
    fn the_time_of_a_transition_stays_while_the_status_does() {
        let first = merge(&[], vec![verdict(Status::False, "one")], Some(1), at(10));
        let second = merge(&first, vec![verdict(Status::False, "two")], Some(2), at(20));
        assert_eq!(second[0].last_transition_time.0, at(10));
        assert_eq!((second[0].message.as_str(), second[0].observed_generation), ("two", Some(2)));
        let third = merge(&second, vec![verdict(Status::True, "two")], Some(2), at(30));
        assert_eq!(third[0].last_transition_time.0, at(30));
    }

    #[test]
    fn nothing_new_gives_the_very_same_conditions() {
        let first = merge(&[], vec![verdict(Status::True, "one")], Some(1), at(10));
        assert_eq!(merge(&first, vec![verdict(Status::True, "one")], Some(1), at(99)), first);
    }

    #[test]
    fn conditions_of_others_stay() {
        let foreign = merge(&[], vec![Verdict { kind: "Foreign", ..verdict(Status::True, "x") }], None, at(1));
        let merged = merge(&foreign, vec![verdict(Status::True, "one")], Some(1), at(10));
        assert_eq!(merged.iter().map(|condition| condition.type_.as_str()).collect::<Vec<_>>(), ["Ready", "Foreign"]);
    }

    #[test]
    fn a_long_message_is_cut() {
        let verdict = verdict(Status::False, &"ä".repeat(MAX_MESSAGE + 1));
        assert_eq!(verdict.message.chars().count(), MAX_MESSAGE);
        assert!(verdict.message.ends_with('…'));
    }
}
