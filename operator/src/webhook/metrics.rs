//! What the webhooks count.

use std::time::Duration;

use prometheus_client::{
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};

use super::{inject, validate};
use crate::tls_server::Traffic;

type Labels = [(&'static str, &'static str); 1];

/// The webhooks' metrics. Clones share them.
#[derive(Debug, Clone)]
pub struct Metrics {
    injections: Family<Labels, Counter>,
    validations: Family<Labels, Counter>,
    unanswered: Family<Labels, Counter>,
    traffic: Traffic,
    durations: Family<Labels, Histogram, fn() -> Histogram>,
}

/// Upper ends of the durations' buckets, in seconds.
const BUCKETS: [f64; 10] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0];

impl Default for Metrics {
    fn default() -> Self {
        Self {
            injections: Family::default(),
            validations: Family::default(),
            unanswered: Family::default(),
            traffic: Traffic::default(),
            durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
        }
    }
}

impl Metrics {
    /// Metrics that `registry` shows, whose prefix is the program's.
    #[must_use]
    pub fn registered(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let Self { injections, validations, unanswered, traffic, durations } = metrics.clone();
        registry.register("webhook_injections", "Pods by what became of them", injections);
        registry.register("webhook_validations", "Objects by what became of them", validations);
        registry.register("webhook_unanswered", "Requests that were not answered as reviews, by cause", unanswered);
        traffic.register(registry, "webhook");
        registry.register_with_unit("webhook_duration", "Time from a request to its answer", Unit::Seconds, durations);
        metrics
    }

    pub(super) fn injected(&self, outcome: inject::Outcome) {
        self.injections.get_or_create(&[("outcome", outcome.name())]).inc();
    }

    pub(super) fn validated(&self, outcome: validate::Outcome) {
        self.validations.get_or_create(&[("outcome", outcome.name())]).inc();
    }

    pub(super) fn unanswered(&self, cause: &'static str) {
        self.unanswered.get_or_create(&[("cause", cause)]).inc();
    }

    pub(super) fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    pub(super) fn took(&self, webhook: &'static str, time: Duration) {
        self.durations.get_or_create(&[("webhook", webhook)]).observe(time.as_secs_f64());
    }
}
