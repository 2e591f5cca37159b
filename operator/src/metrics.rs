//! What the operator counts of itself.

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

/// Labels of `Metrics::reconciles`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Reconcile {
    /// What was reconciled: `plan`, `namespace`, `master`, `status`, `pod`.
    pub controller: &'static str,
    /// `done`, `failed`, or why nothing was done.
    pub outcome: &'static str,
}

/// Labels of `Metrics::requests`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Request {
    /// The kind of the object.
    pub kind: &'static str,
    /// What was asked: `create`, `apply`, `patch`, `update`, `delete`, `get`.
    pub verb: &'static str,
    /// `ok`, the status of the answer, or `unreachable`.
    pub outcome: String,
}

/// The operator's counters. Clones share them.
#[derive(Debug, Clone)]
pub struct Metrics {
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
    /// Registers all of them, and how large the index is.
    pub fn register(&self, registry: &mut Registry, index: Arc<Mutex<Index>>) {
        registry.register("reconciles", "Reconciliations, by what was reconciled", self.reconciles.clone());
        registry.register("api_requests", "Requests to the API server but for watches", self.requests.clone());
        registry.register_with_unit(
            "reconcile_duration",
            "Time from the start of a reconciliation of everything to its end",
            Unit::Seconds,
            self.duration.clone(),
        );
        registry.register_collector(Box::new(Gauges { shared: Arc::clone(&self.shared), index }));
    }

    /// Counts a reconciliation.
    pub fn reconciled(&self, controller: &'static str, outcome: &'static str) {
        self.reconciles.get_or_create(&Reconcile { controller, outcome }).inc();
    }

    /// Counts a request.
    pub fn requested(&self, kind: &'static str, verb: &'static str, error: Option<&kube::Error>) {
        let outcome = match error {
            None => "ok".to_owned(),
            Some(kube::Error::Api(status)) => status.code.to_string(),
            Some(_) => "unreachable".to_owned(),
        };
        self.requests.get_or_create(&Request { kind, verb, outcome }).inc();
    }

    /// Counts how long a reconciliation of everything took.
    pub fn took(&self, duration: Duration) {
        self.duration.observe(duration.as_secs_f64());
    }

    /// Whether this replica leads.
    pub fn leads(&self, leads: bool) {
        self.shared.leader.store(leads, Ordering::Relaxed);
    }

    /// How many pods wait to be told of a new configuration.
    pub fn touches_queued(&self, count: usize) {
        self.shared.touches_queued.store(count.try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Counts an event that was dropped because too many waited.
    pub fn event_dropped(&self) {
        self.shared.events_dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the active master answers.
    pub fn master_reachable(&self, reachable: bool) {
        self.shared.master_reachable.store(reachable, Ordering::Relaxed);
    }
}

/// What is read when someone asks.
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
        page.gauges("leader", "Whether this replica leads, and so writes", None, [(Vec::new(), yes(leader))])?;
        let help = "Whether the active master says what is registered";
        page.gauges("master_reachable", help, None, [(Vec::new(), yes(master_reachable))])?;
        let queued = i64::try_from(touches_queued.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
        page.gauges("touches_queued", "Pods that wait to be told of a configuration", None, [(Vec::new(), queued)])?;
        let dropped = events_dropped.load(Ordering::Relaxed);
        page.counters("events_dropped", "Events that were dropped, too many waiting", [(Vec::new(), dropped)])?;
        let sizes = self.index.lock().unwrap_or_else(PoisonError::into_inner).sizes();
        let sizes = sizes
            .into_iter()
            .map(|(kind, count)| (vec![("kind", kind.to_owned())], i64::try_from(count).unwrap_or(i64::MAX)));
        page.gauges("objects", "Objects that are watched", None, sizes)
    }
}
