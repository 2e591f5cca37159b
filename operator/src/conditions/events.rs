//! Selection of the condition changes that get an Event.

use crds::Condition;

use super::{ACCEPTED, PROGRAMMED, READY, RESOLVED_REFS, truncate};

/// The maximum length of an Event's note, in characters. The API server allows 1024 octets, and a character has up to four.
const MAX_NOTE: usize = 250;
/// Reasons of states that are normal during a start. They get no Event.
const TRANSIENT: [&str; 4] = ["NotAccepted", "Pending", "NotRegistered", "NotServed"];

/// The content of an Event about a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EventNote {
    /// The condition that changed.
    pub(crate) condition: String,
    /// Whether the Event is a warning.
    pub(crate) warning: bool,
    /// The reason of the condition.
    pub(crate) reason: String,
    /// The message of the condition.
    pub(crate) message: String,
}

/// Returns the notes for the changes from `previous` to `next` that users want to know. Conditions are stored in the
/// object's status, so a change is reported once, also after another replica becomes the leader.
#[must_use]
pub(crate) fn event_notes(previous: &[Condition], next: &[Condition]) -> Vec<EventNote> {
    let ours = next.iter().filter(|new| [ACCEPTED, RESOLVED_REFS, PROGRAMMED, READY].contains(&new.type_.as_str()));
    let changed = ours.filter(|new| {
        let old = previous.iter().find(|old| old.type_ == new.type_);
        let (was, is) = (old.map(|old| old.status.as_str()), new.status.as_str());
        let same = old.is_some_and(|old| old.status == new.status && old.reason == new.reason);
        // If another condition has the same reason, an Event about Ready would repeat it.
        let repeats = |other: &Condition| other.type_ != READY && other.status == "False" && other.reason == new.reason;
        let same = same || (new.type_ == READY && next.iter().any(repeats));
        match (was, is) {
            _ if same => false,
            // A recovery gets an Event, and so does the first time that the object is served.
            (was, "True") => new.type_ == READY || (new.type_ != PROGRAMMED && matches!(was, Some("False"))),
            // An object that is no longer served gets an Event for any reason; others only if a user has to act.
            (Some("True"), _) if new.type_ == READY => true,
            _ => !TRANSIENT.contains(&new.reason.as_str()),
        }
    });
    let note = |new: &Condition| EventNote {
        condition: new.type_.clone(),
        warning: new.status != "True",
        reason: new.reason.clone(),
        message: truncate(new.message.clone(), MAX_NOTE),
    };
    changed.map(note).collect()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;

    use super::*;
    use crate::conditions::{ConditionState, Status, merge};

    fn conditions(list: &[(&'static str, Status, &str)]) -> Vec<Condition> {
        let state = |(kind, status, reason): &(&'static str, Status, &str)| ConditionState {
            kind,
            status: *status,
            reason: (*reason).to_owned(),
            message: "why".to_owned(),
        };
        merge(&[], list.iter().map(state).collect(), Some(1), Timestamp::UNIX_EPOCH)
    }

    fn events(previous: &[Condition], next: &[Condition]) -> Vec<(String, bool)> {
        event_notes(previous, next).into_iter().map(|note| (note.reason, note.warning)).collect()
    }

    #[test]
    fn a_state_is_reported_once() {
        let refused = conditions(&[(ACCEPTED, Status::False, "Conflict"), (READY, Status::False, "Conflict")]);
        assert_eq!(events(&[], &refused), [("Conflict".to_owned(), true)]);
        assert_eq!(events(&refused, &refused), []);
    }

    #[test]
    fn another_reason_is_reported() {
        let before = conditions(&[(ACCEPTED, Status::False, "Conflict")]);
        let after = conditions(&[(ACCEPTED, Status::False, "NotAllowed")]);
        assert_eq!(events(&before, &after), [("NotAllowed".to_owned(), true)]);
    }

    #[test]
    fn a_successful_start_is_reported_when_the_object_is_served() {
        let start = conditions(&[
            (ACCEPTED, Status::True, "Accepted"),
            (PROGRAMMED, Status::True, "Programmed"),
            (READY, Status::False, "NotRegistered"),
        ]);
        assert_eq!(events(&[], &start), []);
        let serving = conditions(&[
            (ACCEPTED, Status::True, "Accepted"),
            (PROGRAMMED, Status::True, "Programmed"),
            (READY, Status::True, "Serving"),
        ]);
        assert_eq!(events(&start, &serving), [("Serving".to_owned(), false)]);
        let gone = conditions(&[(READY, Status::False, "NotRegistered")]);
        assert_eq!(events(&serving, &gone), [("NotRegistered".to_owned(), true)]);
    }

    #[test]
    fn a_recovery_is_reported() {
        let before = conditions(&[(RESOLVED_REFS, Status::False, "SecretNotReadable")]);
        let after = conditions(&[(RESOLVED_REFS, Status::True, "ResolvedRefs")]);
        assert_eq!(events(&before, &after), [("ResolvedRefs".to_owned(), false)]);
    }

    #[test]
    fn pods_without_a_sidecar_and_foreign_objects_are_reported() {
        let next = conditions(&[(PROGRAMMED, Status::False, "NotOurs"), (READY, Status::False, "NotOurs")]);
        assert_eq!(events(&[], &next), [("NotOurs".to_owned(), true)]);
        let next = conditions(&[(READY, Status::False, "PodsNotInjected")]);
        assert_eq!(events(&[], &next), [("PodsNotInjected".to_owned(), true)]);
    }
}
