//! The controllers: from the index to what is written. Level-triggered: each pass looks at everything, works out what there
//! should be, and writes what is not so. What changes within a moment is one pass; a pass that finds nothing to do asks the
//! API server for nothing.

pub mod desired;
pub mod events;
mod failures;
pub mod master;
pub mod namespace;
pub mod registrations;
pub mod shards;
pub mod status;
pub mod touch;
pub mod writer;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
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
    index::{Key, Signature},
    leadership::Leadership,
    metrics::Metrics,
    plan::Kind,
    watches::SharedIndex,
};
use desired::{Desired, Terms};
use events::Events;
pub use failures::Failures;
use status::View;
use touch::Queue;
use writer::{WriteError, Writer};

/// A pass begins when nothing has changed for so long,
const QUIET: Duration = Duration::from_millis(30);
/// or when the first change is so long ago.
const LONGEST: Duration = Duration::from_millis(300);
/// How many requests are under way at once.
const AT_ONCE: usize = 8;
/// How many statuses are written at a stretch: what has changed meanwhile comes before the rest.
const STATUSES: usize = 256;

/// What is written as a whole, and tried again as a whole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// What is made once.
    Once,
    /// The masters' Secrets.
    Master,
    /// A namespace's ConfigMap and Secret.
    Namespace(String),
    /// An object's status.
    Status(Kind, Key),
}

/// Does something with what is locked.
pub(crate) fn lock<T, R>(mutex: &Mutex<T>, with: impl FnOnce(&mut T) -> R) -> R {
    with(&mut mutex.lock().unwrap_or_else(PoisonError::into_inner))
}

/// The controllers, put together.
pub struct Controllers {
    /// What the operator knows.
    pub index: SharedIndex,
    /// Tells of changes in it.
    pub changed: watch::Receiver<()>,
    /// Ready once all watches have told their first lists.
    pub synced: Readiness,
    /// What to plan by; `ca` is the newest of [`Self::ca`].
    pub terms: Terms,
    /// The certificates to publish.
    pub ca: watch::Receiver<Option<String>>,
    /// Whether this replica leads.
    pub leadership: Leadership,
    /// What the active master says.
    pub registrations: watch::Receiver<registrations::State>,
    /// Writes.
    pub writer: Writer,
    /// Takes what is to be told.
    pub events: Events,
    /// Pods to touch.
    pub touches: Arc<Mutex<Queue>>,
    /// Counts.
    pub metrics: Metrics,
    /// The last plan; none at first.
    pub planned: Option<Planned>,
}

/// A plan, and what it was made of.
pub struct Planned {
    signature: Signature,
    terms: Terms,
    desired: Arc<Desired>,
}

/// What a pass came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passed {
    /// All is as it should be, but for what failed.
    Settled,
    /// There is more to write.
    More,
}

impl Controllers {
    /// Runs until the drain. What is being written then is written to its end.
    pub async fn run(mut self, mut drain: Watcher) {
        let mut failures = Failures::default();
        let mut led = false;
        loop {
            let due = failures.due();
            tokio::select! {
                () = drain.triggered() => return,
                Ok(()) = self.changed.changed() => {}
                Ok(()) = self.registrations.changed() => {}
                Ok(()) = self.ca.changed() => {}
                () = async { sleep_until(due.unwrap_or_else(Instant::now)).await }, if due.is_some() => {}
                () = self.leadership.changed() => {
                    if self.leadership.holds() == led {
                        continue;
                    }
                }
            }
            led = self.leadership.holds();
            if !led || !self.synced.awaited().is_empty() {
                continue;
            }
            tokio::select! {
                () = drain.triggered() => return,
                () = self.quiet() => {}
            }
            while self.pass(&mut failures).await == Passed::More {
                if !self.leadership.holds() {
                    break;
                }
            }
        }
    }

    /// Waits until nothing has changed for a moment.
    async fn quiet(&mut self) {
        let end = Instant::now() + LONGEST;
        loop {
            let next = end.min(Instant::now() + QUIET);
            if Instant::now() >= end || timeout_at(next, self.changed.changed()).await.is_err() {
                return;
            }
            // One who tells of changes without end is waited for no longer than that.
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Looks at everything, and writes what is not as it should be.
    async fn pass(&mut self, failures: &mut Failures) -> Passed {
        let begun = Instant::now();
        self.changed.mark_unchanged();
        self.terms.ca.clone_from(&self.ca.borrow_and_update());
        let Some(desired) = self.plan().await else {
            sleep(Duration::from_secs(1)).await;
            return Passed::Settled;
        };
        let desired = &*desired;
        self.once(failures).await;
        self.masters(desired, failures).await;
        self.namespaces(desired, failures).await;
        let passed = match self.all_statuses(desired, failures).await {
            Passed::Settled if self.is_outdated() => Passed::More,
            passed => passed,
        };
        let stale = lock(&self.index, |index| touch::stale(index, desired));
        self.metrics.touches_queued(lock(&self.touches, |queue| {
            queue.set(stale);
            queue.len()
        }));
        failures.retain_known(desired);
        self.metrics.took(begun.elapsed());
        tracing::debug!(took = ?begun.elapsed(), subtrees = desired.subtrees.len(), "reconciled");
        passed
    }

    /// What there should be. A plan of what it was made of already stands: what has changed may be a status that the
    /// operator itself has written, or what it has made.
    async fn plan(&mut self) -> Option<Arc<Desired>> {
        let inputs = lock(&self.index, |index| index.inputs());
        let signature = inputs.signature();
        if let Some(planned) = &self.planned
            && planned.terms == self.terms
            && planned.signature == signature
        {
            return Some(Arc::clone(&planned.desired));
        }
        // Gone before there is another: there may be very much of it.
        self.planned = None;
        let terms = self.terms.clone();
        // Away from the thread that answers admission requests and probes.
        let planned = tokio::task::spawn_blocking(move || {
            let desired = Arc::new(desired::desired(&inputs, &terms));
            Planned { signature, terms, desired }
        });
        let Ok(planned) = planned.await else {
            self.metrics.reconciled("plan", "failed");
            tracing::error!("the plan has ended by a panic, which is a defect");
            return None;
        };
        self.metrics.reconciled("plan", "done");
        Some(Arc::clone(&self.planned.insert(planned).desired))
    }

    async fn once(&self, failures: &mut Failures) {
        if failures.may_try(&Target::Once) {
            let made = master::make_once(&self.terms, &self.writer, &self.index).await;
            self.outcome("once", &Target::Once, made, failures);
        }
    }

    async fn masters(&self, desired: &Desired, failures: &mut Failures) {
        if let Some(fault) = &desired.fault {
            tracing::error!(fault, "the masters' configuration cannot be written");
            return;
        }
        let pending = lock(&self.index, |index| master::pending(index, &self.terms, desired));
        if pending.texts.is_empty() {
            failures.succeeded(&Target::Master);
        } else if failures.may_try(&Target::Master) {
            let written = master::write(pending, &self.terms, &self.writer, &self.index).await;
            self.outcome("master", &Target::Master, written, failures);
        }
    }

    async fn namespaces(&self, desired: &Desired, failures: &mut Failures) {
        let todo = lock(&self.index, |index| {
            let seen =
                index.sidecar_config_maps.iter().chain(index.sidecar_secrets.iter()).map(|(key, _)| &key.namespace);
            let names: BTreeSet<_> = seen.chain(desired.namespaces.keys()).cloned().collect();
            let mut todo = Vec::new();
            for name in names {
                let wanted = desired.namespaces.get(&name);
                if index.namespaces.get(&Key::new(&*name, &*name)).is_some_and(|namespace| namespace.deleting) {
                    continue;
                }
                let actions = namespace::actions(index, &name, wanted);
                let idle = |action: &namespace::Action| {
                    matches!(action, namespace::Action::Nothing | namespace::Action::NotOurs)
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
        let mut done = stream::iter(todo.into_iter().map(|(name, actions)| async move {
            let written = namespace::reconcile(&name, actions, writer, index).await;
            (name, written)
        }))
        .buffer_unordered(AT_ONCE);
        while let Some((name, written)) = done.next().await {
            self.outcome("namespace", &Target::Namespace(name), written, failures);
        }
    }

    /// Writes statuses until all are as they should be, or something has changed that has to be looked at first. What there is to
    /// write is worked out once: thousands of statuses take neither a plan nor a look at everything for each stretch.
    async fn all_statuses(&mut self, desired: &Desired, failures: &mut Failures) -> Passed {
        let mut changes = self.status_changes(desired, failures).into_iter().peekable();
        let mut told = false;
        while changes.peek().is_some() {
            let stretch = changes.by_ref().take(STATUSES).collect();
            self.write_statuses(stretch, failures).await;
            // One whose sender has gone changes no more.
            if self.changed.has_changed().unwrap_or(false) {
                // Often by nothing but the statuses that were just written.
                told = true;
                self.changed.mark_unchanged();
                if self.is_outdated() {
                    return Passed::More;
                }
            }
            let news = self.registrations.has_changed().unwrap_or(false) || self.ca.has_changed().unwrap_or(false);
            if news || !self.leadership.holds() {
                return Passed::More;
            }
        }
        if told { Passed::More } else { Passed::Settled }
    }

    /// Whether there is something else to plan with. What a write was answered may bring it, as a status that was written to
    /// an object of which somebody has changed the spec meanwhile: then no watch tells of it any more.
    fn is_outdated(&self) -> bool {
        let signature = lock(&self.index, |index| index.inputs().signature());
        self.planned.as_ref().is_none_or(|planned| planned.signature != signature)
    }

    /// The statuses that are not as they should be, and may be tried.
    fn status_changes(&self, desired: &Desired, failures: &Failures) -> Vec<status::Change> {
        let registrations::State { master, served } = self.registrations.borrow().clone();
        let changes = lock(&self.index, |index| {
            let pending = master::pending(index, &self.terms, desired);
            let (terms, now) = (&self.terms, Timestamp::now());
            let view = View { desired, terms, pending: &pending, failures, master, served: &served, now };
            status::changes(index, &view)
        });
        changes.into_iter().filter(|change| failures.may_try(&change.target())).collect()
    }

    async fn write_statuses(&self, changes: Vec<status::Change>, failures: &mut Failures) {
        let (writer, index, events) = (&self.writer, &self.index, &self.events);
        let mut done = stream::iter(changes.into_iter().map(|change| async move {
            let target = change.target();
            (target, status::write(change, writer, index, events).await)
        }))
        .buffer_unordered(AT_ONCE);
        while let Some((target, written)) = done.next().await {
            self.outcome("status", &target, written, failures);
        }
    }

    fn outcome(
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
                    tracing::warn!(?target, %error, "cannot be written; goes on trying");
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

    /// Has the spec changed by somebody, generation 2, before any status comes. All else it takes as it is.
    async fn serve(request: Request<Body>) -> Result<Response<Body>, std::convert::Infallible> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.expect("the body is there").to_bytes();
        let mut object: Json = serde_json::from_slice(&body).unwrap_or_default();
        if head.method == Method::PATCH && head.uri.path().ends_with("/snmpsubtrees/one/status") {
            let status = object["status"].take();
            object = subtree(2, "20");
            object["status"] = status;
        } else {
            object["metadata"]["uid"] = json!("made");
            object["metadata"]["generation"] = json!(1);
            object["metadata"]["resourceVersion"] = json!("30");
        }
        Ok(Response::new(Body::from(object.to_string().into_bytes())))
    }

    #[tokio::test]
    async fn what_came_with_an_answer_is_planned_as_what_a_watch_tells() {
        let client = kube::Client::new(tower::service_fn(serve), "default");
        let (leadership, metrics) = (Leadership::always(), Metrics::default());
        let writer = Writer::new(client.clone(), leadership.clone(), metrics.clone());
        let (events, _publisher) = events::channel(client, "test", writer.clone(), metrics.clone());
        let (index, (_sender, registrations)) = (SharedIndex::default(), registrations::channel());
        let (_ca_sender, ca) = watch::channel(None);
        let (_changed_sender, changed) = watch::channel(());
        let terms = Terms {
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
            terms,
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
        let told = |controllers: &Controllers| {
            lock(&controllers.index, |index| {
                let (_, subtree) = index.subtrees.iter().next().expect("it is there");
                let conditions = subtree.status.iter().flat_map(|status| &status.conditions);
                conditions.map(|condition| condition.observed_generation).max().flatten()
            })
        };
        assert_eq!(controllers.pass(&mut failures).await, Passed::More);
        assert_eq!(told(&controllers), Some(1), "as it was planned");
        while controllers.pass(&mut failures).await == Passed::More {}
        assert_eq!(told(&controllers), Some(2));
    }
}
