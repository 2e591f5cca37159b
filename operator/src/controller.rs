//! The controllers: they write what the plan contains, and the status of every object.
//!
//! They are level-triggered: each pass compares the whole index with the desired state and writes the differences. Changes
//! within a short time are handled by one pass. A pass without differences sends no request to the API server.

pub(crate) mod desired;
pub(crate) mod events;
mod failures;
pub(crate) mod master;
pub(crate) mod namespace;
pub(crate) mod registrations;
pub(crate) mod status;
pub(crate) mod touch;
pub(crate) mod writer;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use daemon::{drain::Watcher, readiness::Readiness};
use futures::{StreamExt, stream};
use k8s_openapi::jiff::Timestamp;
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout_at},
};

use crate::{
    index::{Key, SharedIndex, Signature, lock},
    leadership::Leadership,
    metrics::Metrics,
};
use desired::{Desired, Parameters};
use events::Events;
use failures::{Failures, Target};
use status::View;
use touch::Queue;
use writer::{WriteError, Writer};

/// A pass begins when nothing has changed for this time,
const QUIET: Duration = Duration::from_millis(30);
/// or when this time has passed since the first change.
const MAX_DELAY: Duration = Duration::from_millis(300);
/// The maximum number of concurrent requests.
const CONCURRENT_REQUESTS: usize = 8;
/// The number of statuses in a batch. After each batch, new changes come before the remaining statuses.
const STATUS_BATCH: usize = 256;

/// The controllers and everything they work with.
pub(crate) struct Controllers {
    /// The index.
    pub(crate) index: SharedIndex,
    /// Notifies about changes of the index.
    pub(crate) changed: watch::Receiver<()>,
    /// Ready when the first lists of all watches are complete.
    pub(crate) synced: Readiness,
    /// The parameters of the desired state. Their `ca` is the latest value of [`Self::ca`].
    pub(crate) parameters: Parameters,
    /// The CA bundle to publish.
    pub(crate) ca: watch::Receiver<Option<String>>,
    /// Whether this replica leads.
    pub(crate) leadership: Leadership,
    /// What is registered at the active master.
    pub(crate) registrations: watch::Receiver<registrations::State>,
    /// Writes to the API server.
    pub(crate) writer: Writer,
    /// Records Events.
    pub(crate) events: Events,
    /// The queue of pods to touch.
    pub(crate) touches: Arc<Mutex<Queue>>,
    /// The metrics.
    pub(crate) metrics: Metrics,
    /// The last desired state. `None` before the first pass.
    pub(crate) planned: Option<Planned>,
}

/// A desired state, with the inputs and parameters from which it was computed.
pub(crate) struct Planned {
    signature: Signature,
    parameters: Parameters,
    desired: Arc<Desired>,
}

/// The result of a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PassResult {
    /// Everything is written, except what failed.
    Settled,
    /// Another pass is needed.
    More,
}

impl Controllers {
    /// Runs until the drain. Writes in progress are completed.
    pub(crate) async fn run(mut self, mut drain: Watcher) {
        let mut failures = Failures::default();
        let mut was_leader = false;
        loop {
            let due = failures.due();
            tokio::select! {
                () = drain.triggered() => return,
                Ok(()) = self.changed.changed() => {}
                Ok(()) = self.registrations.changed() => {}
                Ok(()) = self.ca.changed() => {}
                () = async { sleep_until(due.unwrap_or_else(Instant::now)).await }, if due.is_some() => {}
                () = self.leadership.changed() => {
                    if self.leadership.holds() == was_leader {
                        continue;
                    }
                }
            }
            was_leader = self.leadership.holds();
            if !was_leader || !self.synced.awaited().is_empty() {
                continue;
            }
            tokio::select! {
                () = drain.triggered() => return,
                () = self.wait_for_quiet() => {}
            }
            while self.pass(&mut failures).await == PassResult::More {
                if !self.leadership.holds() {
                    break;
                }
            }
        }
    }

    /// Waits until nothing has changed for [`QUIET`], but no longer than [`MAX_DELAY`].
    async fn wait_for_quiet(&mut self) {
        let end = Instant::now() + MAX_DELAY;
        loop {
            let next = end.min(Instant::now() + QUIET);
            if Instant::now() >= end || timeout_at(next, self.changed.changed()).await.is_err() {
                return;
            }
            // Without this pause, constant changes would keep this loop busy.
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Compares everything with the desired state, and writes the differences.
    async fn pass(&mut self, failures: &mut Failures) -> PassResult {
        let start = Instant::now();
        self.changed.mark_unchanged();
        self.parameters.ca.clone_from(&self.ca.borrow_and_update());
        let Some(desired) = self.plan().await else {
            sleep(Duration::from_secs(1)).await;
            return PassResult::Settled;
        };
        let desired = &*desired;
        self.create_once(failures).await;
        self.write_masters(desired, failures).await;
        self.write_namespaces(desired, failures).await;
        let result = match self.write_all_statuses(desired, failures).await {
            PassResult::Settled if self.is_outdated() => PassResult::More,
            result => result,
        };
        let stale = lock(&self.index, |index| touch::stale(index, desired));
        self.metrics.touches_queued(lock(&self.touches, |queue| {
            queue.set(stale);
            queue.len()
        }));
        failures.forget_deleted(desired);
        self.metrics.took(start.elapsed());
        tracing::debug!(took = ?start.elapsed(), subtrees = desired.subtrees.len(), "reconciled everything");
        result
    }

    /// Returns the desired state. It is computed only if inputs or parameters have changed: the operator's own writes, for
    /// example of statuses, change the index but not the inputs.
    async fn plan(&mut self) -> Option<Arc<Desired>> {
        let inputs = lock(&self.index, |index| index.inputs());
        let signature = inputs.signature();
        if let Some(planned) = &self.planned
            && planned.parameters == self.parameters
            && planned.signature == signature
        {
            return Some(Arc::clone(&planned.desired));
        }
        // Free the old state first, because it can be large.
        self.planned = None;
        let parameters = self.parameters.clone();
        // Not on this thread, which answers admission requests and probes.
        let planned = tokio::task::spawn_blocking(move || {
            let desired = Arc::new(desired::desired(&inputs, &parameters));
            Planned { signature, parameters, desired }
        });
        let Ok(planned) = planned.await else {
            self.metrics.reconciled("plan", "failed");
            tracing::error!("planning panicked, which is a bug; trying again in 1 s");
            return None;
        };
        self.metrics.reconciled("plan", "done");
        Some(Arc::clone(&self.planned.insert(planned).desired))
    }

    async fn create_once(&self, failures: &mut Failures) {
        if failures.may_try(&Target::Once) {
            let created = master::create_once(&self.parameters, &self.writer, &self.index).await;
            self.record_outcome("once", &Target::Once, created, failures);
        }
    }

    async fn write_masters(&self, desired: &Desired, failures: &mut Failures) {
        if let Some(error) = &desired.listener_error {
            tracing::error!(error, "the listeners of the masters are invalid; not writing the masters' configuration");
            return;
        }
        let pending = lock(&self.index, |index| master::pending(index, &self.parameters, desired));
        if pending.texts.is_empty() {
            failures.succeeded(&Target::Master);
        } else if failures.may_try(&Target::Master) {
            let written = master::write(pending, &self.parameters, &self.writer, &self.index).await;
            self.record_outcome("master", &Target::Master, written, failures);
        }
    }

    async fn write_namespaces(&self, desired: &Desired, failures: &mut Failures) {
        let todo = lock(&self.index, |index| {
            let existing =
                index.sidecar_config_maps.iter().chain(index.sidecar_secrets.iter()).map(|(key, _)| &key.namespace);
            let names: BTreeSet<_> = existing.chain(desired.namespaces.keys()).cloned().collect();
            let mut todo = Vec::new();
            for name in names {
                let wanted = desired.namespaces.get(&name);
                if index.namespaces.get(&Key::new(&*name, &*name)).is_some_and(|namespace| namespace.deleting) {
                    continue;
                }
                let actions = namespace::actions(index, &name, wanted);
                let idle = |action: &namespace::Action| {
                    matches!(action, namespace::Action::Nothing | namespace::Action::Foreign)
                };
                if !(idle(&actions.0) && idle(&actions.1)) {
                    todo.push((name, actions));
                }
            }
            todo
        });
        let todo: Vec<_> =
            todo.into_iter().filter(|(name, _)| failures.may_try(&Target::Namespace(name.clone()))).collect();
        let (writer, index) = (&self.writer, &self.index);
        let mut results = stream::iter(todo.into_iter().map(|(name, actions)| async move {
            let written = namespace::reconcile(&name, actions, writer, index).await;
            (name, written)
        }))
        .buffer_unordered(CONCURRENT_REQUESTS);
        while let Some((name, written)) = results.next().await {
            self.record_outcome("namespace", &Target::Namespace(name), written, failures);
        }
    }

    /// Writes all statuses that differ, unless something changes that needs another pass first. The differences are computed
    /// only once, because there can be thousands of statuses.
    async fn write_all_statuses(&mut self, desired: &Desired, failures: &mut Failures) -> PassResult {
        let mut changes = self.status_changes(desired, failures).into_iter().peekable();
        let mut index_changed = false;
        while changes.peek().is_some() {
            let batch = changes.by_ref().take(STATUS_BATCH).collect();
            self.write_statuses(batch, failures).await;
            // If the sender is gone, there are no more changes.
            if self.changed.has_changed().unwrap_or(false) {
                // Often these are only the statuses that were just written.
                index_changed = true;
                self.changed.mark_unchanged();
                if self.is_outdated() {
                    return PassResult::More;
                }
            }
            let news = self.registrations.has_changed().unwrap_or(false) || self.ca.has_changed().unwrap_or(false);
            if news || !self.leadership.holds() {
                return PassResult::More;
            }
        }
        if index_changed { PassResult::More } else { PassResult::Settled }
    }

    /// Returns whether the inputs have changed since they were planned. This can also happen by the response to a write: if a
    /// user changes the spec just before a status is written, the response contains the new spec, and the watch event is no
    /// longer a change.
    fn is_outdated(&self) -> bool {
        let signature = lock(&self.index, |index| index.inputs().signature());
        self.planned.as_ref().is_none_or(|planned| planned.signature != signature)
    }

    /// Returns the statuses that differ, without those that failed and are not due for a retry.
    fn status_changes(&self, desired: &Desired, failures: &Failures) -> Vec<status::Change> {
        let registrations::State { master, served } = self.registrations.borrow().clone();
        let changes = lock(&self.index, |index| {
            let pending = master::pending(index, &self.parameters, desired);
            let now = Timestamp::now();
            let view = View { desired, pending: &pending, failures, master, served: &served, now };
            status::changes(index, &view)
        });
        changes.into_iter().filter(|change| failures.may_try(&change.target())).collect()
    }

    async fn write_statuses(&self, changes: Vec<status::Change>, failures: &mut Failures) {
        let (writer, index, events) = (&self.writer, &self.index, &self.events);
        let mut results = stream::iter(changes.into_iter().map(|change| async move {
            let target = change.target();
            (target, status::write(change, writer, index, events).await)
        }))
        .buffer_unordered(CONCURRENT_REQUESTS);
        while let Some((target, written)) = results.next().await {
            self.record_outcome("status", &target, written, failures);
        }
    }

    fn record_outcome(
        &self,
        controller: &'static str,
        target: &Target,
        written: Result<(), WriteError>,
        failures: &mut Failures,
    ) {
        match written {
            Ok(()) => {
                self.metrics.reconciled(controller, "done");
                failures.succeeded(target);
            }
            Err(WriteError::NotLeader) => self.metrics.reconciled(controller, "not leader"),
            Err(error) => {
                self.metrics.reconciled(controller, "failed");
                let message = error.to_string();
                if failures.failed(target.clone(), message) {
                    tracing::warn!(?target, %error, "write failed; retrying");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{Method, Request, Response};
    use http_body_util::BodyExt as _;
    use kube::client::Body;
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::{
        index::{Index, key, version},
        plan::Settings,
    };

    fn subtree(generation: u64, resource_version: &str) -> Json {
        json!({
            "apiVersion": "snmp-operator.dev/v1alpha1", "kind": "SnmpSubtree",
            "metadata": {
                "namespace": "acme", "name": "one", "uid": "one",
                "generation": generation, "resourceVersion": resource_version,
            },
            "spec": {"oid": format!("1.3.6.1.4.1.9.9.9.{generation}"), "selector": {}},
        })
    }

    /// Answers as an API server in which a user changes the spec, to generation 2, just before a status is written.
    async fn serve(request: Request<Body>) -> Result<Response<Body>, std::convert::Infallible> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.expect("the request has no body").to_bytes();
        let mut object: Json = serde_json::from_slice(&body).unwrap_or_default();
        if head.method == Method::PATCH && head.uri.path().ends_with("/snmpsubtrees/one/status") {
            let status = object["status"].take();
            object = subtree(2, "20");
            object["status"] = status;
        } else {
            object["metadata"]["uid"] = json!("created");
            object["metadata"]["generation"] = json!(1);
            object["metadata"]["resourceVersion"] = json!("30");
        }
        Ok(Response::new(Body::from(object.to_string().into_bytes())))
    }

    #[tokio::test]
    async fn a_change_in_the_response_to_a_write_is_planned() {
        let client = kube::Client::new(tower::service_fn(serve), "default");
        let (leadership, metrics) = (Leadership::always(), Metrics::default());
        let writer = Writer::new(client.clone(), leadership.clone(), metrics.clone());
        let (events, _publisher) = events::channel(client, "test", writer.clone(), metrics.clone());
        let (index, (_sender, registrations)) = (SharedIndex::default(), registrations::channel());
        let (_ca_sender, ca) = watch::channel(None);
        let (_changed_sender, changed) = watch::channel(());
        let parameters = Parameters {
            settings: Settings::default(),
            listeners: master_config::Listeners::default(),
            read_secrets: false,
            ca: None,
        };
        let (touches, synced) = (Arc::default(), Readiness::new());
        let before: crds::SnmpSubtree = serde_json::from_value(subtree(1, "10")).unwrap();
        lock(&index, |index: &mut Index| index.subtrees.apply(key(&before), version(&before), Arc::new(before)));
        let planned = None;
        let mut controllers = Controllers {
            index,
            changed,
            synced,
            parameters,
            ca,
            leadership,
            registrations,
            writer,
            events,
            touches,
            metrics,
            planned,
        };
        let mut failures = Failures::default();
        let observed_generation = |controllers: &Controllers| {
            lock(&controllers.index, |index| {
                let (_, subtree) = index.subtrees.iter().next().expect("the subtree is missing");
                let conditions = subtree.status.iter().flat_map(|status| &status.conditions);
                conditions.map(|condition| condition.observed_generation).max().flatten()
            })
        };
        assert_eq!(controllers.pass(&mut failures).await, PassResult::More);
        assert_eq!(observed_generation(&controllers), Some(1), "the planned generation");
        while controllers.pass(&mut failures).await == PassResult::More {}
        assert_eq!(observed_generation(&controllers), Some(2));
    }
}
