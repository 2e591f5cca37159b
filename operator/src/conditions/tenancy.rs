//! Conditions of SnmpContexts and SnmpTrapTargets.

use crds::Condition;

use super::{
    COMPLETE, ConditionState, Master, NOT_ACCEPTED, PROGRAMMED, Programmed, READY, Status, Unresolved, accepted,
    resolved, word,
};
use crate::plan::{Reason, Refusal};

/// Returns the conditions of an SnmpContext. Its refused parts are left out, and the rest is served.
#[must_use]
pub(crate) fn context(refusals: &[&Refusal], programmed: &Programmed) -> Vec<ConditionState> {
    let (missing, refused): (Vec<_>, Vec<_>) =
        refusals.iter().copied().partition(|refusal| refusal.reason == Reason::NoSuchSecret);
    let programmed = match programmed {
        Programmed::Yes => {
            ConditionState::new(PROGRAMMED, Status::True, "Programmed", "the configuration of the masters is written")
        }
        Programmed::No(reason, message) => ConditionState::new(PROGRAMMED, Status::False, *reason, message.clone()),
    };
    // References to Secrets are checked even if other parts are refused.
    vec![accepted(&refused), resolved(&missing, &[], false), programmed]
}

/// The state of a trap target at the active master.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TargetHealth<'a> {
    /// Whether it receives notifications, in one word.
    pub(crate) readiness: &'a str,
    /// Details of the readiness. Empty if there are none.
    pub(crate) message: &'a str,
    /// Whether nothing was lost.
    pub(crate) complete: bool,
    /// The number of lost notifications.
    pub(crate) lost: u64,
}

/// The facts from which the conditions of a trap target follow.
#[derive(Debug, Clone)]
pub(crate) struct TargetFacts<'a> {
    /// Why the target is refused; empty if it is accepted.
    pub(crate) refusals: &'a [&'a Refusal],
    /// The references that do not resolve.
    pub(crate) unresolved: &'a [Unresolved],
    /// Whether its configuration is written.
    pub(crate) programmed: Programmed,
    /// Whether the active master answers.
    pub(crate) master: Master,
    /// What the active master reports. `None` if it does not know the target.
    pub(crate) health: Option<TargetHealth<'a>>,
    /// The current conditions.
    pub(crate) previous: &'a [Condition],
}

/// Returns the conditions of an SnmpTrapTarget.
#[must_use]
pub(crate) fn trap_target(facts: &TargetFacts<'_>) -> Vec<ConditionState> {
    let (secrets, refused): (Vec<_>, Vec<_>) =
        facts.refusals.iter().copied().partition(|refusal| refusal.reason == Reason::NoSuchSecret);
    let contexts: Vec<_> = refused.iter().copied().filter(|r| r.reason == Reason::NoSuchContext).collect();
    // The operator knows more than the plan about Secrets that it cannot read.
    let missing = if facts.unresolved.is_empty() && contexts.is_empty() { secrets } else { contexts };
    let accepted = accepted(&refused);
    let resolved = resolved(&missing, facts.unresolved, !refused.is_empty() && facts.unresolved.is_empty());
    let not = |kind, reason: &str, message: &str| ConditionState::new(kind, Status::False, reason, message);
    // Ready has the reason of the first condition that is false, so that users see it in `kubectl get`.
    let (programmed, ready) = if let Some(first) = refused.first() {
        (not(PROGRAMMED, "NotAccepted", NOT_ACCEPTED), not(READY, &word(first.reason), NOT_ACCEPTED))
    } else if resolved.status == Status::False {
        let message = "a reference does not resolve: see the condition ResolvedRefs";
        (not(PROGRAMMED, &resolved.reason, message), not(READY, &resolved.reason, message))
    } else if let Programmed::No(reason, message) = &facts.programmed {
        let see = "the configuration is not written: see the condition Programmed";
        (not(PROGRAMMED, reason, message), not(READY, reason, see))
    } else {
        let message = "the configuration of the masters is written";
        (ConditionState::new(PROGRAMMED, Status::True, "Programmed", message), ready(facts))
    };
    let complete = complete(facts, ready.status);
    vec![accepted, resolved, programmed, ready, complete]
}

/// Returns the condition `Ready` of a target whose configuration is written.
fn ready(facts: &TargetFacts<'_>) -> ConditionState {
    let unknown = |reason: &str, message: &str| ConditionState::new(READY, Status::Unknown, reason, message);
    let health = match (facts.master, facts.health) {
        (Master::Unreachable, _) => {
            return unknown("MasterUnreachable", "no active master answers: see the log of the operator");
        }
        (_, Some(health)) => health,
        (Master::Reachable, None) => return unknown("Pending", "the active master has not read the target yet"),
        (Master::Pending, None) => {
            let previous = previous(facts, READY);
            return previous.unwrap_or_else(|| unknown("Pending", "the active master has not answered yet"));
        }
    };
    let (status, meaning) = match health.readiness {
        "Acknowledged" => (Status::True, "the receiver acknowledged the last inform"),
        "SentUnconfirmed" => (Status::True, "traps are sent; whether they arrive is unknown"),
        "PortUnreachable" => (Status::False, "no process listens at the port of the receiver"),
        "NoAnswer" => (Status::False, "the receiver does not acknowledge informs"),
        "AuthenticationFailed" => (Status::False, "the receiver refuses the credentials"),
        "AddressNotAllowed" => {
            (Status::False, "the address is outside of the networks that the contexts allow (allowedTargets)")
        }
        "NameNotResolved" => (Status::False, "the host name cannot be resolved"),
        _ => return unknown("Unknown", "nothing has been sent yet"),
    };
    let message = if health.message.is_empty() { meaning.to_owned() } else { format!("{meaning}: {}", health.message) };
    ConditionState::new(READY, status, health.readiness, message)
}

/// Returns the condition `Complete`.
fn complete(facts: &TargetFacts<'_>, ready: Status) -> ConditionState {
    let state = |status, reason: &str, message: String| ConditionState::new(COMPLETE, status, reason, message);
    match facts.health {
        Some(health) if health.complete => {
            state(Status::True, "Complete", "no notification was lost since the target was last told".to_owned())
        }
        Some(TargetHealth { lost, .. }) => {
            let message = format!("{lost} notifications were lost: the target's queue was full, or they were too old");
            state(Status::False, "NotificationsLost", message)
        }
        None => previous(facts, COMPLETE)
            .filter(|_| facts.master == Master::Pending && ready != Status::False)
            .unwrap_or_else(|| {
                state(Status::Unknown, "Pending", "the active master does not report the target".to_owned())
            }),
    }
}

/// Returns the current state of the condition `kind`.
fn previous(facts: &TargetFacts<'_>, kind: &'static str) -> Option<ConditionState> {
    let before = facts.previous.iter().find(|condition| condition.type_ == kind)?;
    let status = match before.status.as_str() {
        "True" => Status::True,
        "False" => Status::False,
        _ => Status::Unknown,
    };
    Some(ConditionState::new(kind, status, &*before.reason, before.message.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Kind, ObjectId};

    fn refusal(reason: Reason) -> Refusal {
        let object = ObjectId { kind: Kind::SnmpContext, namespace: String::new(), name: "acme".into() };
        Refusal { object, reason, path: "spec.communities[0].secretRef".into(), message: "is missing".into() }
    }

    fn shown(states: Vec<ConditionState>) -> Vec<String> {
        states.into_iter().map(|v| format!("{}={:?} {}", v.kind, v.status, v.reason)).collect()
    }

    #[test]
    fn a_context_with_a_missing_secret_is_accepted() {
        let missing = refusal(Reason::NoSuchSecret);
        let expected = ["Accepted=True Accepted", "ResolvedRefs=False NoSuchSecret", "Programmed=True Programmed"];
        assert_eq!(shown(context(&[&missing], &Programmed::Yes)), expected);
        let conflict = refusal(Reason::Conflict);
        let shown = shown(context(&[&missing, &conflict], &Programmed::Yes));
        assert_eq!(shown[..2], ["Accepted=False Conflict", "ResolvedRefs=False NoSuchSecret"]);
    }

    fn facts<'a>(refusals: &'a [&'a Refusal], unresolved: &'a [Unresolved]) -> TargetFacts<'a> {
        let (programmed, master) = (Programmed::Yes, Master::Reachable);
        TargetFacts { refusals, unresolved, programmed, master, health: None, previous: &[] }
    }

    fn health(readiness: &str) -> TargetHealth<'_> {
        TargetHealth { readiness, message: "", complete: true, lost: 0 }
    }

    /// Returns Programmed, Ready and Complete.
    fn last(facts: &TargetFacts<'_>) -> Vec<String> {
        shown(trap_target(facts)).split_off(2)
    }

    #[test]
    fn a_refused_target_shows_why() {
        let refused = refusal(Reason::NotAllowed);
        let expected = [
            "Accepted=False NotAllowed",
            "ResolvedRefs=Unknown NotAccepted",
            "Programmed=False NotAccepted",
            "Ready=False NotAllowed",
            "Complete=Unknown Pending",
        ];
        assert_eq!(shown(trap_target(&facts(&[&refused], &[]))), expected);
    }

    #[test]
    fn a_target_with_a_missing_secret_is_accepted() {
        let missing = refusal(Reason::NoSuchSecret);
        let unresolved = [Unresolved { reason: "SecretNotReadable", message: "kubectl label secret".to_owned() }];
        for (unresolved, reason) in [(&unresolved[..], "SecretNotReadable"), (&[], "NoSuchSecret")] {
            let shown = shown(trap_target(&facts(&[&missing], unresolved)));
            let expected = ["Accepted=True Accepted".to_owned(), format!("ResolvedRefs=False {reason}")];
            assert_eq!(shown[..2], expected);
            assert_eq!(shown[2..4], [format!("Programmed=False {reason}"), format!("Ready=False {reason}")]);
        }
    }

    #[test]
    fn ready_is_what_the_active_master_reports() {
        let cases = [
            ("Unknown", "Ready=Unknown Unknown"),
            ("SomethingNew", "Ready=Unknown Unknown"),
            ("SentUnconfirmed", "Ready=True SentUnconfirmed"),
            ("Acknowledged", "Ready=True Acknowledged"),
            ("PortUnreachable", "Ready=False PortUnreachable"),
            ("NoAnswer", "Ready=False NoAnswer"),
            ("AuthenticationFailed", "Ready=False AuthenticationFailed"),
            ("AddressNotAllowed", "Ready=False AddressNotAllowed"),
            ("NameNotResolved", "Ready=False NameNotResolved"),
        ];
        for (readiness, ready) in cases {
            let facts = TargetFacts { health: Some(health(readiness)), ..facts(&[], &[]) };
            assert_eq!(last(&facts), ["Programmed=True Programmed", ready, "Complete=True Complete"]);
        }
        let lossy = TargetHealth { complete: false, lost: 3, ..health("Acknowledged") };
        let states = trap_target(&TargetFacts { health: Some(lossy), ..facts(&[], &[]) });
        assert_eq!(states[4].reason, "NotificationsLost");
        assert!(states[4].message.starts_with("3 notifications"), "{}", states[4].message);
    }

    #[test]
    fn without_a_report_the_last_known_state_stays_for_a_while() {
        let acknowledged = TargetFacts { health: Some(health("Acknowledged")), ..facts(&[], &[]) };
        let previous = crate::conditions::merge(
            &[],
            trap_target(&acknowledged),
            Some(1),
            k8s_openapi::jiff::Timestamp::UNIX_EPOCH,
        );
        let of = |master, previous| last(&TargetFacts { master, previous, ..facts(&[], &[]) });
        let known = ["Programmed=True Programmed", "Ready=True Acknowledged", "Complete=True Complete"];
        assert_eq!(of(Master::Pending, &previous), known);
        assert_eq!(of(Master::Pending, &[])[1..], ["Ready=Unknown Pending", "Complete=Unknown Pending"]);
        assert_eq!(of(Master::Reachable, &previous)[1], "Ready=Unknown Pending");
        assert_eq!(of(Master::Unreachable, &previous)[1], "Ready=Unknown MasterUnreachable");
        let unwritten = TargetFacts { programmed: Programmed::No("Pending", "not yet".to_owned()), ..acknowledged };
        assert_eq!(last(&unwritten)[..2], ["Programmed=False Pending", "Ready=False Pending"]);
    }
}
