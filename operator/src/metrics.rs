//! Metrics of the operator.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use daemon::metrics::Page;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet},
    metrics::{
        counter::Counter,
        family::Family,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

use crate::index::Index;

/// Labels of the counter of reconciliations.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Reconcile {
    /// What was reconciled: `plan`, `once`, `namespace`, `master`, `status` or `pod`.
    pub(crate) controller: &'static str,
    /// `done`, `failed`, or the reason why nothing was done.
    pub(crate) outcome: &'static str,
}

/// Labels of the counter of requests.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Request {
    /// The kind of the object.
    pub(crate) kind: &'static str,
    /// The verb: `create`, `apply`, `patch`, `update`, `delete` or `get`.
    pub(crate) verb: &'static str,
    /// `ok`, the HTTP status of the response, or `unreachable`.
    pub(crate) outcome: String,
}

/// The metrics. Clones share the values.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    reconciles: Family<Reconcile, Counter>,
    requests: Family<Request, Counter>,
    duration: Histogram,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    leader: AtomicBool,
    touches_queued: AtomicU64,
    events_dropped: AtomicU64,
    master_reachable: AtomicBool,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            reconciles: Family::default(),
            requests: Family::default(),
            duration: Histogram::new(exponential_buckets(0.001, 2.0, 14)),
            shared: Arc::default(),
        }
    }
}

impl Metrics {
    /// Registers all metrics, and the sizes of the index.
    pub(crate) fn register(&self, registry: &mut Registry, index: Arc<Mutex<Index>>) {
        registry.register("reconciles", "Reconciliations, by controller and outcome", self.reconciles.clone());
        registry.register("api_requests", "Requests to the API server, without watches", self.requests.clone());
        registry.register_with_unit(
            "reconcile_duration",
            "Duration of a reconciliation of everything",
            Unit::Seconds,
            self.duration.clone(),
        );
        registry.register_collector(Box::new(Gauges { shared: Arc::clone(&self.shared), index }));
    }

    /// Counts a reconciliation.
    pub(crate) fn reconciled(&self, controller: &'static str, outcome: &'static str) {
        self.reconciles.get_or_create(&Reconcile { controller, outcome }).inc();
    }

    /// Counts a request.
    pub(crate) fn requested(&self, kind: &'static str, verb: &'static str, error: Option<&kube::Error>) {
        let outcome = match error {
            None => "ok".to_owned(),
            Some(kube::Error::Api(status)) => status.code.to_string(),
            Some(_) => "unreachable".to_owned(),
        };
        self.requests.get_or_create(&Request { kind, verb, outcome }).inc();
    }

    /// Records the duration of a reconciliation of everything.
    pub(crate) fn took(&self, duration: Duration) {
        self.duration.observe(duration.as_secs_f64());
    }

    /// Records whether this replica is the leader.
    pub(crate) fn leads(&self, leads: bool) {
        self.shared.leader.store(leads, Ordering::Relaxed);
    }

    /// Records the number of pods that wait to be touched.
    pub(crate) fn touches_queued(&self, count: usize) {
        self.shared.touches_queued.store(count.try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Counts an Event that was dropped because the queue was full.
    pub(crate) fn event_dropped(&self) {
        self.shared.events_dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Records whether the active master answers.
    pub(crate) fn master_reachable(&self, reachable: bool) {
        self.shared.master_reachable.store(reachable, Ordering::Relaxed);
    }
}

/// Values that are read when metrics are scraped.
#[derive(Debug)]
struct Gauges {
    shared: Arc<Shared>,
    index: Arc<Mutex<Index>>,
}

impl Collector for Gauges {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page::new(encoder);
        let Shared { leader, touches_queued, events_dropped, master_reachable } = &*self.shared;
        let yes = |flag: &AtomicBool| i64::from(flag.load(Ordering::Relaxed));
        page.gauges("leader", "Whether this replica is the leader", None, [(Vec::new(), yes(leader))])?;
        let help = "Whether the active master answers queries for registrations";
        page.gauges("master_reachable", help, None, [(Vec::new(), yes(master_reachable))])?;
        let queued = i64::try_from(touches_queued.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
        page.gauges(
            "touches_queued",
            "Pods that wait to be touched because their configuration changed",
            None,
            [(Vec::new(), queued)],
        )?;
        let dropped = events_dropped.load(Ordering::Relaxed);
        page.counters(
            "events_dropped",
            "Events that were dropped because the queue was full",
            [(Vec::new(), dropped)],
        )?;
        let sizes = self.index.lock().unwrap_or_else(PoisonError::into_inner).sizes();
        let sizes = sizes
            .into_iter()
            .map(|(kind, count)| (vec![("kind", kind.to_owned())], i64::try_from(count).unwrap_or(i64::MAX)));
        page.gauges("objects", "Watched objects", None, sizes)
    }
}
