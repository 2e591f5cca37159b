//! Conditions of an SnmpSubtree.

use crds::{Condition, Pods};

use super::{ConditionState, NOT_ACCEPTED, PROGRAMMED, READY, Status, Unresolved, accepted, resolved, word};
use crate::plan::{Reason, Refusal};

/// Whether the configuration is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Programmed {
    /// It is written.
    Yes,
    /// It is not written: the reason, in one word and in a sentence.
    No(&'static str, String),
}

/// What the operator knows of the active master.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Master {
    /// It has not answered yet, or not within the last seconds.
    Pending,
    /// It answers.
    Reachable,
    /// No active master has answered for longer than the grace period.
    Unreachable,
}

/// The facts from which the conditions of a subtree follow.
#[derive(Debug, Clone)]
pub(crate) struct SubtreeFacts<'a> {
    /// The namespace of the subtree.
    pub(crate) namespace: &'a str,
    /// Why the subtree is refused; empty if it is accepted.
    pub(crate) refusals: &'a [&'a Refusal],
    /// The references that do not resolve.
    pub(crate) unresolved: &'a [Unresolved],
    /// Whether its configuration is written.
    pub(crate) programmed: Programmed,
    /// The pods that it selects.
    pub(crate) pods: Pods,
    /// The SNMP contexts in which no pod serves the subtree.
    pub(crate) unserved: &'a [&'a str],
    /// Whether the active master answers.
    pub(crate) master: Master,
    /// The current conditions.
    pub(crate) previous: &'a [Condition],
}

/// Returns the conditions of a subtree.
#[must_use]
pub(crate) fn subtree(facts: &SubtreeFacts<'_>) -> Vec<ConditionState> {
    let refused = !facts.refusals.is_empty();
    let missing: Vec<_> = facts.refusals.iter().copied().filter(|r| r.reason == Reason::NoSuchContext).collect();
    let mut states = vec![accepted(facts.refusals), resolved(&missing, facts.unresolved, refused)];
    let not = |kind, reason: &str, message: &str| ConditionState::new(kind, Status::False, reason, message);
    // Ready has the reason of the first condition that is false, so that users see it in `kubectl get`.
    if let Some(first) = facts.refusals.first() {
        states.push(not(PROGRAMMED, "NotAccepted", NOT_ACCEPTED));
        states.push(not(READY, &word(first.reason), NOT_ACCEPTED));
        return states;
    }
    match &facts.programmed {
        Programmed::Yes => {
            states.push(ConditionState::new(
                PROGRAMMED,
                Status::True,
                "Programmed",
                "the configuration of sidecars and masters is written",
            ));
            states.extend(ready(facts));
        }
        Programmed::No(reason, message) => {
            states.push(not(PROGRAMMED, reason, message));
            states.push(not(READY, reason, "the configuration is not written: see the condition Programmed"));
        }
    }
    states
}

/// Returns the condition `Ready` of a subtree whose configuration is written. `None` leaves the condition unchanged.
fn ready(facts: &SubtreeFacts<'_>) -> Option<ConditionState> {
    let Pods { matched, injected } = facts.pods;
    let state = |status, reason: &str, message: String| Some(ConditionState::new(READY, status, reason, message));
    let restart = format!("kubectl rollout restart -n {} <Deployment, StatefulSet or DaemonSet>", facts.namespace);
    let without = matched - injected;
    if matched == 0 {
        return state(
            Status::False,
            "NoPods",
            format!("spec.selector selects no pod in the namespace {}", facts.namespace),
        );
    }
    if injected == 0 {
        let message = format!("none of the {matched} selected pods has a sidecar. Restart them: {restart}");
        return state(Status::False, "PodsNotInjected", message);
    }
    match facts.master {
        Master::Pending if facts.previous.iter().any(|condition| condition.type_ == READY) => {
            // Until the master answers, the last known state stays.
            let before = facts.previous.iter().find(|condition| condition.type_ == READY)?;
            let status = match before.status.as_str() {
                "True" => Status::True,
                "False" => Status::False,
                _ => Status::Unknown,
            };
            state(status, &before.reason, before.message.clone())
        }
        Master::Pending => state(Status::Unknown, "Pending", "the active master has not answered yet".to_owned()),
        Master::Unreachable => {
            let message =
                "no active master answers, so nobody knows what is registered: see the log of the operator".to_owned();
            state(Status::Unknown, "MasterUnreachable", message)
        }
        Master::Reachable if !facts.unserved.is_empty() => {
            let contexts: Vec<_> = facts.unserved.iter().map(|context| format!("{context:?}")).collect();
            let noun = if contexts.len() == 1 { "context" } else { "contexts" };
            let message = format!(
                "no pod has registered the subtree in the SNMP {noun} {}: see the logs of the snmp-sidecar containers",
                contexts.join(", ")
            );
            state(Status::False, "NotRegistered", message)
        }
        Master::Reachable if without > 0 => {
            let message = format!(
                "pods serve the subtree, but {without} of the {matched} pods have no sidecar. Restart them: {restart}"
            );
            state(Status::True, "PodsNotInjected", message)
        }
        Master::Reachable => state(Status::True, "Serving", "pods serve the subtree".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;

    use super::*;
    use crate::{
        conditions::{ACCEPTED, RESOLVED_REFS, merge},
        plan::{Kind, ObjectId},
    };

    const SERVED: SubtreeFacts<'static> = SubtreeFacts {
        namespace: "acme",
        refusals: &[],
        unresolved: &[],
        programmed: Programmed::Yes,
        pods: Pods { matched: 2, injected: 2 },
        unserved: &[],
        master: Master::Reachable,
        previous: &[],
    };

    fn shown(facts: &SubtreeFacts<'_>) -> Vec<String> {
        let show = |state: ConditionState| format!("{}={:?} {}", state.kind, state.status, state.reason);
        subtree(facts).into_iter().map(show).collect()
    }

    fn of(facts: &SubtreeFacts<'_>, kind: &str) -> ConditionState {
        subtree(facts).into_iter().find(|state| state.kind == kind).unwrap()
    }

    fn refusal(reason: Reason) -> Refusal {
        let object = ObjectId { kind: Kind::SnmpSubtree, namespace: "acme".into(), name: "a".into() };
        Refusal { object, reason, path: "spec.oid".into(), message: "taken by b".into() }
    }

    #[test]
    fn a_served_subtree_has_all_conditions() {
        let expected = [
            "Accepted=True Accepted",
            "ResolvedRefs=True ResolvedRefs",
            "Programmed=True Programmed",
            "Ready=True Serving",
        ];
        assert_eq!(shown(&SERVED), expected);
    }

    #[test]
    fn a_refused_subtree_has_the_reason_and_the_field() {
        let refusal = refusal(Reason::Conflict);
        let facts = SubtreeFacts { refusals: &[&refusal], ..SERVED };
        let expected = [
            "Accepted=False Conflict",
            "ResolvedRefs=Unknown NotAccepted",
            "Programmed=False NotAccepted",
            "Ready=False Conflict",
        ];
        assert_eq!(shown(&facts), expected);
        assert_eq!(of(&facts, ACCEPTED).message, "spec.oid: taken by b");
    }

    #[test]
    fn a_missing_context_is_an_unresolved_reference() {
        let refusal = refusal(Reason::NoSuchContext);
        let facts = SubtreeFacts { refusals: &[&refusal], ..SERVED };
        assert_eq!(shown(&facts)[..2], ["Accepted=False NoSuchContext", "ResolvedRefs=False NoSuchContext"]);
    }

    #[test]
    fn an_unresolved_reference_does_not_stop_the_subtree_from_being_served() {
        let unresolved = [Unresolved { reason: "SecretNotReadable", message: "label it".to_owned() }];
        let facts = SubtreeFacts { unresolved: &unresolved, ..SERVED };
        assert_eq!(
            shown(&facts)[1..],
            ["ResolvedRefs=False SecretNotReadable", "Programmed=True Programmed", "Ready=True Serving"]
        );
        assert_eq!(of(&facts, RESOLVED_REFS).message, "label it");
    }

    #[test]
    fn the_message_about_pods_without_a_sidecar_has_the_command() {
        let facts = SubtreeFacts { pods: Pods { matched: 3, injected: 0 }, unserved: &["acme"], ..SERVED };
        let ready = of(&facts, READY);
        assert_eq!((ready.status, ready.reason.as_str()), (Status::False, "PodsNotInjected"));
        assert!(ready.message.contains("kubectl rollout restart -n acme"), "{}", ready.message);
        let facts = SubtreeFacts { pods: Pods { matched: 3, injected: 2 }, ..SERVED };
        let ready = of(&facts, READY);
        assert_eq!((ready.status, ready.reason.as_str()), (Status::True, "PodsNotInjected"));
        assert!(ready.message.contains("1 of the 3 pods"), "{}", ready.message);
    }

    #[test]
    fn reasons_for_not_ready() {
        let cases = [
            (SubtreeFacts { pods: Pods::default(), ..SERVED }, "Ready=False NoPods"),
            (SubtreeFacts { unserved: &["acme"], ..SERVED }, "Ready=False NotRegistered"),
            (SubtreeFacts { master: Master::Unreachable, ..SERVED }, "Ready=Unknown MasterUnreachable"),
            (SubtreeFacts { master: Master::Pending, ..SERVED }, "Ready=Unknown Pending"),
            (
                SubtreeFacts { programmed: Programmed::No("NotOurs", "another's".into()), ..SERVED },
                "Ready=False NotOurs",
            ),
        ];
        for (facts, expected) in cases {
            assert_eq!(shown(&facts).last().unwrap(), expected);
        }
    }

    #[test]
    fn a_short_silence_of_the_master_changes_nothing() {
        let before = merge(&[], subtree(&SERVED), Some(1), Timestamp::UNIX_EPOCH);
        let facts = SubtreeFacts { master: Master::Pending, unserved: &["acme"], previous: &before, ..SERVED };
        assert_eq!(merge(&before, subtree(&facts), Some(1), Timestamp::now()), before);
    }
}
