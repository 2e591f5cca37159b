//! The status of each object, and Events about its changes.

use std::{collections::HashMap, sync::Arc};

use crds::{
    Condition, SnmpContext, SnmpContextStatus, SnmpSubtree, SnmpSubtreeStatus, SnmpTrapTarget, SnmpTrapTargetStatus,
};
use k8s_openapi::jiff::Timestamp;
use kube::{Api, ResourceExt};
use serde_json::json;

use super::{
    desired::{Desired, SubtreeSummary, refusals_of},
    events::Events,
    failures::{Failures, Target},
    master::{self, Writes},
    namespace,
    registrations::Served,
    writer::{WriteError, Writer, Written},
};
use crate::{
    conditions::{self, Master, Programmed, SubtreeFacts},
    index::{Index, Key, SharedIndex, Store, key, lock, slim, version},
    plan::{self, Kind},
};

/// What statuses are computed from, besides the objects.
#[derive(Debug)]
pub(crate) struct View<'a> {
    /// The desired state.
    pub(crate) desired: &'a Desired,
    /// The pending writes of the masters' configuration.
    pub(crate) pending: &'a Writes,
    /// The failed writes.
    pub(crate) failures: &'a Failures,
    /// The state of the active master.
    pub(crate) master: Master,
    /// What the active master serves.
    pub(crate) served: &'a Served,
    /// The current time.
    pub(crate) now: Timestamp,
}

/// A status that has to be written.
#[derive(Debug)]
pub(crate) enum Change {
    /// The status of a subtree.
    Subtree(Arc<SnmpSubtree>, SnmpSubtreeStatus),
    /// The status of a context.
    Context(Arc<SnmpContext>, SnmpContextStatus),
    /// The status of a trap target.
    TrapTarget(Arc<SnmpTrapTarget>, SnmpTrapTargetStatus),
}

impl Change {
    /// Returns the target of the write.
    #[must_use]
    pub(crate) fn target(&self) -> Target {
        match self {
            Self::Subtree(object, _) => Target::Status(Kind::SnmpSubtree, key(&**object)),
            Self::Context(object, _) => Target::Status(Kind::SnmpContext, key(&**object)),
            Self::TrapTarget(object, _) => Target::Status(Kind::SnmpTrapTarget, key(&**object)),
        }
    }
}

/// Returns all statuses that have to be written.
#[must_use]
pub(crate) fn changes(index: &Index, view: &View<'_>) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut in_place = HashMap::new();
    for (key, context) in index.contexts.iter() {
        let status = context_status(key, context, view);
        if context.status.as_ref() != Some(&status) {
            changes.push(Change::Context(Arc::clone(context), status));
        }
    }
    for (key, subtree) in index.subtrees.iter() {
        let Some(summary) = view.desired.subtrees.get(key) else { continue };
        let namespace: &Programmed =
            in_place.entry(key.namespace.as_str()).or_insert_with(|| namespace_in_place(index, &key.namespace, view));
        let status = subtree_status(key, subtree, summary, namespace, view);
        if subtree.status.as_ref() != Some(&status) {
            changes.push(Change::Subtree(Arc::clone(subtree), status));
        }
    }
    for (key, target) in index.trap_targets.iter() {
        let Some(unresolved) = view.desired.trap_targets.get(key) else { continue };
        let updates = conditions::trap_target(&refusals_of(view.desired, Kind::SnmpTrapTarget, key), unresolved);
        let previous = target.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        let conditions = conditions::merge(previous, updates, target.metadata.generation, view.now);
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
    let states = conditions::context(&refusals, &programmed);
    // If two SnmpContexts have the same context name, the older one has the subtrees.
    let holds_name = !refusals.iter().any(|refusal| refusal.path == "spec.contextName");
    SnmpContextStatus {
        conditions: conditions::merge(previous, states, context.metadata.generation, view.now),
        subtrees: Some(if holds_name { view.desired.in_context.get(&name).copied().unwrap_or(0) } else { 0 }),
    }
}

fn subtree_status(
    key: &Key,
    subtree: &SnmpSubtree,
    summary: &SubtreeSummary,
    namespace: &Programmed,
    view: &View<'_>,
) -> SnmpSubtreeStatus {
    let refusals = refusals_of(view.desired, Kind::SnmpSubtree, key);
    let programmed = match namespace {
        Programmed::Yes => masters_in_place(&summary.contexts, view),
        Programmed::No(..) => namespace.clone(),
    };
    let served = |context: &&str| view.served.serves(&key.namespace, context, &summary.oid);
    let unserved: Vec<_> = summary.contexts.iter().map(String::as_str).filter(|context| !served(context)).collect();
    let previous = subtree.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let facts = SubtreeFacts {
        namespace: &key.namespace,
        refusals: &refusals,
        unresolved: &summary.unresolved,
        programmed,
        pods: summary.pods,
        unserved: &unserved,
        master: view.master,
        previous,
    };
    SnmpSubtreeStatus {
        conditions: conditions::merge(previous, conditions::subtree(&facts), subtree.metadata.generation, view.now),
        pods: Some(summary.pods),
        objects: Some(summary.objects),
    }
}

fn namespace_in_place(index: &Index, name: &str, view: &View<'_>) -> Programmed {
    let Some(wanted) = view.desired.namespaces.get(name) else { return Programmed::Yes };
    if wanted.deleting {
        return Programmed::No("NamespaceTerminating", format!("the namespace {name} is being deleted"));
    }
    let map = namespace::config_map(name, wanted);
    let secret = namespace::secret(name, wanted);
    let written = namespace::check("ConfigMap", &index.sidecar_config_maps, name, map.as_ref())
        .and_then(|()| namespace::check("Secret", &index.sidecar_secrets, name, secret.as_ref()));
    programmed(written, &Target::Namespace(name.to_owned()), view)
}

fn masters_in_place(names: &[String], view: &View<'_>) -> Programmed {
    if let Some(error) = &view.desired.listener_error {
        return Programmed::No("InvalidSettings", error.clone());
    }
    programmed(master::in_place(view.pending, names), &Target::Master, view)
}

/// Returns whether a target is written. If it is pending because a write failed, returns the error of that write.
fn programmed(in_place: Result<(), (&'static str, String)>, target: &Target, view: &View<'_>) -> Programmed {
    match (in_place, view.failures.error_of(target)) {
        (Ok(()), _) => Programmed::Yes,
        (Err(("Pending", _)), Some(error)) => Programmed::No("WriteFailed", error.to_owned()),
        (Err((reason, message)), _) => Programmed::No(reason, message),
    }
}

/// Writes one status, and records Events about the changed conditions.
///
/// # Errors
/// Returns an error if the status cannot be written and has to be retried.
pub(crate) async fn write(
    change: Change,
    writer: &Writer,
    index: &SharedIndex,
    events: &Events,
) -> Result<(), WriteError> {
    match change {
        Change::Subtree(object, status) => {
            let api = Api::namespaced(writer.client().clone(), &object.namespace().unwrap_or_default());
            let before = object.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
            let conditions = (before, status.conditions.clone());
            patch(&api, &*object, json!(status), conditions, writer, index, |index| &mut index.subtrees, events).await
        }
        Change::Context(object, status) => {
            let api = Api::all(writer.client().clone());
            let before = object.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
            let conditions = (before, status.conditions.clone());
            patch(&api, &*object, json!(status), conditions, writer, index, |index| &mut index.contexts, events).await
        }
        Change::TrapTarget(object, status) => {
            let api = Api::namespaced(writer.client().clone(), &object.namespace().unwrap_or_default());
            let before = object.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
            let conditions = (before, status.conditions.clone());
            patch(&api, &*object, json!(status), conditions, writer, index, |index| &mut index.trap_targets, events)
                .await
        }
    }
}

#[allow(clippy::too_many_arguments, reason = "called once for each kind, above")]
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
    // The uid makes the patch fail if the object was deleted and created again meanwhile.
    let patch = json!({"metadata": {"uid": object.uid()}, "status": status});
    match writer.merge_status(api, &object.name_any(), &patch).await {
        Ok(written) => {
            let (key, version) = (key(&written), version(&written));
            lock(index, |index| store(index).apply(key, version, slim(written)));
            let reference = object.object_ref(&());
            for note in conditions::event_notes(&before, &after) {
                events.record(note, reference.clone());
            }
            Ok(())
        }
        Err(error) if error.is_gone() || error.is_conflict() => Ok(()),
        Err(error) => Err(error),
    }
}
