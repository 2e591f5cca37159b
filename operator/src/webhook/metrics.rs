//! Metrics of the webhooks.

use std::time::Duration;

use prometheus_client::{
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};

use super::{inject, validate};
use crate::tls_server::Traffic;

type Labels = [(&'static str, &'static str); 1];

/// The metrics. Clones share the values.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    injections: Family<Labels, Counter>,
    validations: Family<Labels, Counter>,
    unanswered: Family<Labels, Counter>,
    traffic: Traffic,
    durations: Family<Labels, Histogram, fn() -> Histogram>,
}

/// The upper bounds of the buckets of durations, in seconds.
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
    /// Returns metrics that are registered at `registry`.
    #[must_use]
    pub(crate) fn registered(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let Self { injections, validations, unanswered, traffic, durations } = metrics.clone();
        registry.register("webhook_injections", "Pods, by outcome of the injection", injections);
        registry.register("webhook_validations", "Objects, by outcome of the validation", validations);
        registry.register("webhook_unanswered", "Requests that were refused with an HTTP error, by cause", unanswered);
        traffic.register(registry, "webhook");
        registry.register_with_unit("webhook_duration", "Duration of a request", Unit::Seconds, durations);
        metrics
    }

    pub(super) fn record_injection(&self, outcome: inject::Outcome) {
        self.injections.get_or_create(&[("outcome", outcome.name())]).inc();
    }

    pub(super) fn record_validation(&self, outcome: validate::Outcome) {
        self.validations.get_or_create(&[("outcome", outcome.name())]).inc();
    }

    pub(super) fn record_error(&self, cause: &'static str) {
        self.unanswered.get_or_create(&[("cause", cause)]).inc();
    }

    pub(super) fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    pub(super) fn record_duration(&self, webhook: &'static str, time: Duration) {
        self.durations.get_or_create(&[("webhook", webhook)]).observe(time.as_secs_f64());
    }
}
