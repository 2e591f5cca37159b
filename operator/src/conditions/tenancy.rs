//! Conditions of SnmpContexts and SnmpTrapTargets.

use super::{PROGRAMMED, Programmed, Status, Unresolved, Verdict, accepted, resolved};
use crate::plan::{Reason, Refusal};

/// The conditions of an SnmpContext. What is refused of one is left out, and the rest of it stands.
#[must_use]
pub fn context(refusals: &[&Refusal], programmed: &Programmed) -> Vec<Verdict> {
    let (missing, refused): (Vec<_>, Vec<_>) =
        refusals.iter().copied().partition(|refusal| refusal.reason == Reason::NoSuchSecret);
    let programmed = match programmed {
        Programmed::Yes => {
            Verdict::new(PROGRAMMED, Status::True, "Programmed", "the masters' configuration is written")
        }
        Programmed::No(reason, message) => Verdict::new(PROGRAMMED, Status::False, *reason, message.clone()),
    };
    // Secrets are looked at whatever else is refused.
    vec![accepted(&refused), resolved(&missing, &[], false), programmed]
}

/// The conditions of an SnmpTrapTarget.
#[must_use]
pub fn trap_target(refusals: &[&Refusal], unresolved: &[Unresolved]) -> Vec<Verdict> {
    let missing: Vec<_> = refusals.iter().copied().filter(|r| r.reason == Reason::NoSuchContext).collect();
    let programmed = if refusals.is_empty() {
        Verdict::new(PROGRAMMED, Status::False, "NotServed", "delivery is not there yet")
    } else {
        Verdict::new(PROGRAMMED, Status::False, "NotAccepted", "it is not accepted")
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

    fn shown(verdicts: Vec<Verdict>) -> Vec<String> {
        verdicts.into_iter().map(|v| format!("{}={:?} {}", v.kind, v.status, v.reason)).collect()
    }

    #[test]
    fn a_secret_that_is_missing_leaves_a_context_accepted() {
        let missing = refusal(Reason::NoSuchSecret);
        let expected = ["Accepted=True Accepted", "ResolvedRefs=False NoSuchSecret", "Programmed=True Programmed"];
        assert_eq!(shown(context(&[&missing], &Programmed::Yes)), expected);
        let conflict = refusal(Reason::Conflict);
        let shown = shown(context(&[&missing, &conflict], &Programmed::Yes));
        assert_eq!(shown[..2], ["Accepted=False Conflict", "ResolvedRefs=False NoSuchSecret"]);
    }

    #[test]
    fn a_trap_target_that_is_valid_is_accepted_and_not_served_yet() {
        let expected = ["Accepted=True Accepted", "ResolvedRefs=True ResolvedRefs", "Programmed=False NotServed"];
        assert_eq!(shown(trap_target(&[], &[])), expected);
        let refused = refusal(Reason::NotAllowed);
        let expected =
            ["Accepted=False NotAllowed", "ResolvedRefs=Unknown NotAccepted", "Programmed=False NotAccepted"];
        assert_eq!(shown(trap_target(&[&refused], &[])), expected);
    }
}
