//! Conditions of an SnmpSubtree.

use crds::{Condition, Pods};

use super::{PROGRAMMED, READY, Status, Unresolved, Verdict, accepted, resolved, word};
use crate::plan::{Reason, Refusal};

/// Whether configuration is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Programmed {
    /// It is.
    Yes,
    /// It is not: why, in one word and in a sentence.
    No(&'static str, String),
}

/// What is known of the active master.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Master {
    /// It has not answered yet, or not for a moment.
    Asking,
    /// It answers.
    Known,
    /// None has answered for a while.
    Unreachable,
}

/// What the conditions of a subtree are made of.
#[derive(Debug, Clone)]
pub struct SubtreeFacts<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Why it is refused, if it is.
    pub refusals: &'a [&'a Refusal],
    /// What it names and cannot be had.
    pub unresolved: &'a [Unresolved],
    /// Whether its configuration is written.
    pub programmed: Programmed,
    /// The pods that it selects.
    pub pods: Pods,
    /// SNMP contexts in which no pod serves it.
    pub unserved: &'a [&'a str],
    /// Whether the active master answers.
    pub master: Master,
    /// Its conditions until now.
    pub previous: &'a [Condition],
}

/// The conditions of a subtree.
#[must_use]
pub fn subtree(facts: &SubtreeFacts<'_>) -> Vec<Verdict> {
    let refused = !facts.refusals.is_empty();
    let missing: Vec<_> = facts.refusals.iter().copied().filter(|r| r.reason == Reason::NoSuchContext).collect();
    let mut verdicts = vec![accepted(facts.refusals), resolved(&missing, facts.unresolved, refused)];
    let not = |kind, reason: &str, message: &str| Verdict::new(kind, Status::False, reason, message);
    // The last of the conditions gives the reason of the first that does not hold: one look tells.
    if let Some(first) = facts.refusals.first() {
        verdicts.push(not(PROGRAMMED, "NotAccepted", "it is not accepted"));
        verdicts.push(not(READY, &word(first.reason), "it is not accepted"));
        return verdicts;
    }
    match &facts.programmed {
        Programmed::Yes => {
            verdicts.push(Verdict::new(PROGRAMMED, Status::True, "Programmed", "the configuration is written"));
            verdicts.extend(ready(facts));
        }
        Programmed::No(reason, message) => {
            verdicts.push(not(PROGRAMMED, reason, message));
            verdicts.push(not(READY, reason, "its configuration is not written"));
        }
    }
    verdicts
}

/// Whether pods serve it. `None`: as it was.
fn ready(facts: &SubtreeFacts<'_>) -> Option<Verdict> {
    let Pods { matched, injected } = facts.pods;
    let verdict = |status, reason: &str, message: String| Some(Verdict::new(READY, status, reason, message));
    let restart = format!("kubectl rollout restart -n {} <its Deployment, StatefulSet or DaemonSet>", facts.namespace);
    let without = matched - injected;
    if matched == 0 {
        return verdict(Status::False, "NoPods", format!("its selector selects no pod of {}", facts.namespace));
    }
    if injected == 0 {
        let message = format!("none of the {matched} pods that it selects has a sidecar: {restart}");
        return verdict(Status::False, "PodsNotInjected", message);
    }
    match facts.master {
        Master::Asking if facts.previous.iter().any(|condition| condition.type_ == READY) => {
            // As long as nobody knows better, what was true is.
            let before = facts.previous.iter().find(|condition| condition.type_ == READY)?;
            let status = match before.status.as_str() {
                "True" => Status::True,
                "False" => Status::False,
                _ => Status::Unknown,
            };
            verdict(status, &before.reason, before.message.clone())
        }
        Master::Asking => verdict(Status::Unknown, "Pending", "the master has not been asked yet".to_owned()),
        Master::Unreachable => {
            let message = "no master says what is registered: see the log of the operator".to_owned();
            verdict(Status::Unknown, "MasterUnreachable", message)
        }
        Master::Known if !facts.unserved.is_empty() => {
            let contexts: Vec<_> = facts.unserved.iter().map(|context| format!("{context:?}")).collect();
            let noun = if contexts.len() == 1 { "context" } else { "contexts" };
            let message = format!(
                "no pod has registered it in the SNMP {noun} {}: see the logs of the containers snmp-sidecar",
                contexts.join(", ")
            );
            verdict(Status::False, "NotRegistered", message)
        }
        Master::Known if without > 0 => {
            let message = format!("served, but {without} of the {matched} pods have no sidecar: {restart}");
            verdict(Status::True, "PodsNotInjected", message)
        }
        Master::Known => verdict(Status::True, "Serving", "pods serve it".to_owned()),
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
        master: Master::Known,
        previous: &[],
    };

    fn shown(facts: &SubtreeFacts<'_>) -> Vec<String> {
        let show = |verdict: Verdict| format!("{}={:?} {}", verdict.kind, verdict.status, verdict.reason);
        subtree(facts).into_iter().map(show).collect()
    }

    fn of(facts: &SubtreeFacts<'_>, kind: &str) -> Verdict {
        subtree(facts).into_iter().find(|verdict| verdict.kind == kind).unwrap()
    }

    fn refusal(reason: Reason) -> Refusal {
        let object = ObjectId { kind: Kind::SnmpSubtree, namespace: "acme".into(), name: "a".into() };
        Refusal { object, reason, path: "spec.oid".into(), message: "taken by b".into() }
    }

    #[test]
    fn one_that_is_served_has_all_conditions() {
        let expected = [
            "Accepted=True Accepted",
            "ResolvedRefs=True ResolvedRefs",
            "Programmed=True Programmed",
            "Ready=True Serving",
        ];
        assert_eq!(shown(&SERVED), expected);
    }

    #[test]
    fn one_that_is_refused_says_why_with_the_field() {
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
    fn a_context_that_is_not_there_is_a_reference_that_does_not_resolve() {
        let refusal = refusal(Reason::NoSuchContext);
        let facts = SubtreeFacts { refusals: &[&refusal], ..SERVED };
        assert_eq!(shown(&facts)[..2], ["Accepted=False NoSuchContext", "ResolvedRefs=False NoSuchContext"]);
    }

    #[test]
    fn what_cannot_be_read_does_not_keep_it_from_being_served() {
        let unresolved = [Unresolved { reason: "SecretNotReadable", message: "label it".to_owned() }];
        let facts = SubtreeFacts { unresolved: &unresolved, ..SERVED };
        assert_eq!(
            shown(&facts)[1..],
            ["ResolvedRefs=False SecretNotReadable", "Programmed=True Programmed", "Ready=True Serving"]
        );
        assert_eq!(of(&facts, RESOLVED_REFS).message, "label it");
    }

    #[test]
    fn pods_without_a_sidecar_are_told_how_to_get_one() {
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
    fn reasons_why_it_is_not_ready() {
        let cases = [
            (SubtreeFacts { pods: Pods::default(), ..SERVED }, "Ready=False NoPods"),
            (SubtreeFacts { unserved: &["acme"], ..SERVED }, "Ready=False NotRegistered"),
            (SubtreeFacts { master: Master::Unreachable, ..SERVED }, "Ready=Unknown MasterUnreachable"),
            (SubtreeFacts { master: Master::Asking, ..SERVED }, "Ready=Unknown Pending"),
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
    fn a_master_that_is_silent_for_a_moment_changes_nothing() {
        let before = merge(&[], subtree(&SERVED), Some(1), Timestamp::UNIX_EPOCH);
        let facts = SubtreeFacts { master: Master::Asking, unserved: &["acme"], previous: &before, ..SERVED };
        assert_eq!(merge(&before, subtree(&facts), Some(1), Timestamp::now()), before);
    }
}
