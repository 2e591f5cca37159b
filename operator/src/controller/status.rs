//! What is told of each object: its status, and events of what changed in it.

use std::{collections::HashMap, sync::Arc};

use crds::{
    Condition, SnmpContext, SnmpContextStatus, SnmpSubtree, SnmpSubtreeStatus, SnmpTrapTarget, SnmpTrapTargetStatus,
};
use k8s_openapi::jiff::Timestamp;
use kube::{Api, ResourceExt};
use serde_json::json;

use super::{
    Failures, Target,
    desired::{Desired, Subtree, Terms, refusals_of},
    events::Events,
    master::{self, Writes},
    namespace,
    registrations::Served,
    writer::{WriteError, Writer, Written},
};
use crate::{
    conditions::{self, Master, Programmed, SubtreeFacts},
    index::{Index, Key, Store, key, version},
    plan::{self, Kind},
    watches::SharedIndex,
};

/// What statuses are made of, besides the objects.
#[derive(Debug)]
pub struct View<'a> {
    /// What there should be.
    pub desired: &'a Desired,
    /// What the plan went by.
    pub terms: &'a Terms,
    /// What is still to be written for the masters.
    pub pending: &'a Writes,
    /// What could not be written, and why.
    pub failures: &'a Failures,
    /// What the active master says.
    pub master: Master,
    /// What it serves.
    pub served: &'a Served,
    /// The time.
    pub now: Timestamp,
}

/// A status that is not as it should be.
#[derive(Debug)]
pub enum Change {
    /// Of a subtree.
    Subtree(Arc<SnmpSubtree>, SnmpSubtreeStatus),
    /// Of a context.
    Context(Arc<SnmpContext>, SnmpContextStatus),
    /// Of a trap target.
    TrapTarget(Arc<SnmpTrapTarget>, SnmpTrapTargetStatus),
}

impl Change {
    /// Whose status it is.
    #[must_use]
    pub fn target(&self) -> Target {
        match self {
            Self::Subtree(object, _) => Target::Status(Kind::SnmpSubtree, key(&**object)),
            Self::Context(object, _) => Target::Status(Kind::SnmpContext, key(&**object)),
            Self::TrapTarget(object, _) => Target::Status(Kind::SnmpTrapTarget, key(&**object)),
        }
    }
}

/// All statuses that are not as they should be.
#[must_use]
pub fn changes(index: &Index, view: &View<'_>) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut in_place = HashMap::new();
    for (key, context) in index.contexts.iter() {
        let status = context_status(key, context, view);
        if context.status.as_ref() != Some(&status) {
            changes.push(Change::Context(Arc::clone(context), status));
        }
    }
    for (key, subtree) in index.subtrees.iter() {
        let Some(told) = view.desired.subtrees.get(key) else { continue };
        let namespace: &Programmed =
            in_place.entry(key.namespace.as_str()).or_insert_with(|| namespace_in_place(index, &key.namespace, view));
        let status = subtree_status(key, subtree, told, namespace, view);
        if subtree.status.as_ref() != Some(&status) {
            changes.push(Change::Subtree(Arc::clone(subtree), status));
        }
    }
    for (key, target) in index.trap_targets.iter() {
        let Some(unresolved) = view.desired.trap_targets.get(key) else { continue };
        let verdicts = conditions::trap_target(&refusals_of(view.desired, Kind::SnmpTrapTarget, key), unresolved);
        let previous = target.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        let conditions = conditions::merge(previous, verdicts, target.metadata.generation, view.now);
        let status = SnmpTrapTargetStatus { conditions };
        if target.status.as_ref() != Some(&status) {
            changes.push(Change::TrapTarget(Arc::clone(target), status));
        }
    }
    changes
}

fn context_status(key: &Key, context: &SnmpContext, view: &View<'_>) -> SnmpContextStatus {
    let refusals = refusals_of(view.desired, Kind::SnmpContext, key);
    let name = plan::snmp_name(context);
    let users = context.spec.users.iter().map(|user| user.name.0.clone());
    let names: Vec<_> = users.chain([name.clone()]).collect();
    let programmed = masters_in_place(&names, view);
    let previous = context.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let verdicts = conditions::context(&refusals, &programmed);
    // Of two that are the same SNMP context, one has its subtrees.
    let holds = !refusals.iter().any(|refusal| refusal.path == "spec.contextName");
    SnmpContextStatus {
        conditions: conditions::merge(previous, verdicts, context.metadata.generation, view.now),
        subtrees: Some(if holds { view.desired.in_context.get(&name).copied().unwrap_or(0) } else { 0 }),
    }
}

fn subtree_status(
    key: &Key,
    subtree: &SnmpSubtree,
    told: &Subtree,
    namespace: &Programmed,
    view: &View<'_>,
) -> SnmpSubtreeStatus {
    let refusals = refusals_of(view.desired, Kind::SnmpSubtree, key);
    let programmed = match namespace {
        Programmed::Yes => masters_in_place(&told.contexts, view),
        Programmed::No(..) => namespace.clone(),
    };
    let served = |context: &&str| view.served.serves(&key.namespace, context, &told.oid);
    let unserved: Vec<_> = told.contexts.iter().map(String::as_str).filter(|context| !served(context)).collect();
    let previous = subtree.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let facts = SubtreeFacts {
        namespace: &key.namespace,
        refusals: &refusals,
        unresolved: &told.unresolved,
        programmed,
        pods: told.pods,
        unserved: &unserved,
        master: view.master,
        previous,
    };
    SnmpSubtreeStatus {
        conditions: conditions::merge(previous, conditions::subtree(&facts), subtree.metadata.generation, view.now),
        pods: Some(told.pods),
        objects: Some(told.objects),
    }
}

fn namespace_in_place(index: &Index, name: &str, view: &View<'_>) -> Programmed {
    let Some(wanted) = view.desired.namespaces.get(name) else { return Programmed::Yes };
    if wanted.deleting {
        return Programmed::No("NamespaceTerminating", format!("the namespace {name} is being deleted"));
    }
    let map = namespace::config_map(name, wanted);
    let secret = namespace::secret(name, wanted);
    let in_place = namespace::is_in_place("ConfigMap", &index.sidecar_config_maps, name, map.as_ref())
        .and_then(|()| namespace::is_in_place("Secret", &index.sidecar_secrets, name, secret.as_ref()));
    judged(in_place, &Target::Namespace(name.to_owned()), view)
}

fn masters_in_place(names: &[String], view: &View<'_>) -> Programmed {
    if let Some(fault) = &view.desired.fault {
        return Programmed::No("InvalidSettings", fault.clone());
    }
    judged(master::in_place(view.pending, names), &Target::Master, view)
}

/// What is still pending because it failed says so.
fn judged(in_place: Result<(), (&'static str, String)>, target: &Target, view: &View<'_>) -> Programmed {
    match (in_place, view.failures.of(target)) {
        (Ok(()), _) => Programmed::Yes,
        (Err(("Pending", _)), Some(error)) => Programmed::No("WriteFailed", error.to_owned()),
        (Err((reason, message)), _) => Programmed::No(reason, message),
    }
}

/// Writes one status, and tells of what has changed by it.
///
/// # Errors
/// [`WriteError`].
pub async fn write(change: Change, writer: &Writer, index: &SharedIndex, events: &Events) -> Result<(), WriteError> {
    match change {
        Change::Subtree(object, status) => {
            let api = Api::namespaced(writer.client().clone(), &object.namespace().unwrap_or_default());
            let before = object.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
            let told = (before, status.conditions.clone());
            patch(&api, &*object, json!(status), told, writer, index, |index| &mut index.subtrees, events).await
        }
        Change::Context(object, status) => {
            let api = Api::all(writer.client().clone());
            let before = object.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
            let told = (before, status.conditions.clone());
            patch(&api, &*object, json!(status), told, writer, index, |index| &mut index.contexts, events).await
        }
        Change::TrapTarget(object, status) => {
            let api = Api::namespaced(writer.client().clone(), &object.namespace().unwrap_or_default());
            let before = object.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
            let told = (before, status.conditions.clone());
            patch(&api, &*object, json!(status), told, writer, index, |index| &mut index.trap_targets, events).await
        }
    }
}

#[allow(clippy::too_many_arguments, reason = "one call for each kind, above")]
async fn patch<K: Written + PartialEq>(
    api: &Api<K>,
    object: &K,
    status: serde_json::Value,
    (before, after): (Vec<Condition>, Vec<Condition>),
    writer: &Writer,
    index: &SharedIndex,
    store: fn(&mut Index) -> &mut Store<Arc<K>>,
    events: &Events,
) -> Result<(), WriteError> {
    // Of no other object that has taken its place meanwhile.
    let patch = json!({"metadata": {"uid": object.uid()}, "status": status});
    match writer.merge_status(api, &object.name_any(), &patch).await {
        Ok(written) => {
            let (key, version) = (key(&written), version(&written));
            super::lock(index, |index| store(index).apply(key, version, crate::watches::slim(written)));
            let reference = object.object_ref(&());
            for note in conditions::notes(&before, &after) {
                events.tell(note, reference.clone());
            }
            Ok(())
        }
        Err(error) if error.is_gone() || error.is_conflict() => Ok(()),
        Err(error) => Err(error),
    }
}
