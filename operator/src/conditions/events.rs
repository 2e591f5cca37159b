//! Which changes of conditions are worth an Event.

use crds::Condition;

use super::{ACCEPTED, PROGRAMMED, READY, RESOLVED_REFS, cut};

/// The longest note of an Event, in octets; a character has four at most.
const MAX_NOTE: usize = 250;
/// Reasons of states on the way to another: a start is no news.
const PASSING: [&str; 4] = ["NotAccepted", "Pending", "NotRegistered", "NotServed"];

/// What to say in an Event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The condition that changed.
    pub condition: String,
    /// Whether it is a warning.
    pub warning: bool,
    /// The condition's reason.
    pub reason: String,
    /// Its message.
    pub message: String,
}

/// What has changed from `previous` to `next` that people want to know. The conditions are kept in the object's status,
/// so that nothing is told twice, whoever tells it.
#[must_use]
pub fn notes(previous: &[Condition], next: &[Condition]) -> Vec<Note> {
    let ours = next.iter().filter(|new| [ACCEPTED, RESOLVED_REFS, PROGRAMMED, READY].contains(&new.type_.as_str()));
    let news = ours.filter(|new| {
        let old = previous.iter().find(|old| old.type_ == new.type_);
        let (was, is) = (old.map(|old| old.status.as_str()), new.status.as_str());
        let same = old.is_some_and(|old| old.status == new.status && old.reason == new.reason);
        // What is not ready for want of something else says no more than that.
        let echo = |other: &Condition| other.type_ != READY && other.status == "False" && other.reason == new.reason;
        let same = same || (new.type_ == READY && next.iter().any(echo));
        match (was, is) {
            _ if same => false,
            // That something is well again is told of what was not; that it is served, in any case.
            (was, "True") => new.type_ == READY || (new.type_ != PROGRAMMED && matches!(was, Some("False"))),
            // What was served and is no more is news whatever the reason; else what someone has to do something about.
            (Some("True"), _) if new.type_ == READY => true,
            _ => !PASSING.contains(&new.reason.as_str()),
        }
    });
    let note = |new: &Condition| Note {
        condition: new.type_.clone(),
        warning: new.status != "True",
        reason: new.reason.clone(),
        message: cut(new.message.clone(), MAX_NOTE),
    };
    news.map(note).collect()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;

    use super::*;
    use crate::conditions::{Status, Verdict, merge};

    fn conditions(list: &[(&'static str, Status, &str)]) -> Vec<Condition> {
        let verdict = |(kind, status, reason): &(&'static str, Status, &str)| Verdict {
            kind,
            status: *status,
            reason: (*reason).to_owned(),
            message: "why".to_owned(),
        };
        merge(&[], list.iter().map(verdict).collect(), Some(1), Timestamp::UNIX_EPOCH)
    }

    fn told(previous: &[Condition], next: &[Condition]) -> Vec<(String, bool)> {
        notes(previous, next).into_iter().map(|note| (note.reason, note.warning)).collect()
    }

    #[test]
    fn what_is_told_once_is_not_told_again() {
        let refused = conditions(&[(ACCEPTED, Status::False, "Conflict"), (READY, Status::False, "Conflict")]);
        assert_eq!(told(&[], &refused), [("Conflict".to_owned(), true)]);
        assert_eq!(told(&refused, &refused), []);
    }

    #[test]
    fn another_reason_is_news() {
        let before = conditions(&[(ACCEPTED, Status::False, "Conflict")]);
        let after = conditions(&[(ACCEPTED, Status::False, "NotAllowed")]);
        assert_eq!(told(&before, &after), [("NotAllowed".to_owned(), true)]);
    }

    #[test]
    fn a_good_start_is_told_when_it_serves() {
        let start = conditions(&[
            (ACCEPTED, Status::True, "Accepted"),
            (PROGRAMMED, Status::True, "Programmed"),
            (READY, Status::False, "NotRegistered"),
        ]);
        assert_eq!(told(&[], &start), []);
        let serving = conditions(&[
            (ACCEPTED, Status::True, "Accepted"),
            (PROGRAMMED, Status::True, "Programmed"),
            (READY, Status::True, "Serving"),
        ]);
        assert_eq!(told(&start, &serving), [("Serving".to_owned(), false)]);
        let gone = conditions(&[(READY, Status::False, "NotRegistered")]);
        assert_eq!(told(&serving, &gone), [("NotRegistered".to_owned(), true)]);
    }

    #[test]
    fn what_is_well_again_is_told() {
        let before = conditions(&[(RESOLVED_REFS, Status::False, "SecretNotReadable")]);
        let after = conditions(&[(RESOLVED_REFS, Status::True, "ResolvedRefs")]);
        assert_eq!(told(&before, &after), [("ResolvedRefs".to_owned(), false)]);
    }

    #[test]
    fn pods_without_a_sidecar_and_what_is_not_ours_are_told() {
        let next = conditions(&[(PROGRAMMED, Status::False, "NotOurs"), (READY, Status::False, "NotOurs")]);
        assert_eq!(told(&[], &next), [("NotOurs".to_owned(), true)]);
        let next = conditions(&[(READY, Status::False, "PodsNotInjected")]);
        assert_eq!(told(&[], &next), [("PodsNotInjected".to_owned(), true)]);
    }
}
