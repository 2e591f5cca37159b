//! Conditions of SnmpContexts and SnmpTrapTargets.

use super::{ConditionState, NOT_ACCEPTED, PROGRAMMED, Programmed, Status, Unresolved, accepted, resolved};
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

/// Returns the conditions of an SnmpTrapTarget.
#[must_use]
pub(crate) fn trap_target(refusals: &[&Refusal], unresolved: &[Unresolved]) -> Vec<ConditionState> {
    let missing: Vec<_> = refusals.iter().copied().filter(|r| r.reason == Reason::NoSuchContext).collect();
    let programmed = if refusals.is_empty() {
        ConditionState::new(PROGRAMMED, Status::False, "NotServed", "delivery to trap targets is not implemented yet")
    } else {
        ConditionState::new(PROGRAMMED, Status::False, "NotAccepted", NOT_ACCEPTED)
    };
    vec![accepted(refusals), resolved(&missing, unresolved, !refusals.is_empty() && unresolved.is_empty()), programmed]
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

    #[test]
    fn a_valid_trap_target_is_accepted_but_not_served() {
        let expected = ["Accepted=True Accepted", "ResolvedRefs=True ResolvedRefs", "Programmed=False NotServed"];
        assert_eq!(shown(trap_target(&[], &[])), expected);
        let refused = refusal(Reason::NotAllowed);
        let expected =
            ["Accepted=False NotAllowed", "ResolvedRefs=Unknown NotAccepted", "Programmed=False NotAccepted"];
        assert_eq!(shown(trap_target(&[&refused], &[])), expected);
    }
}
