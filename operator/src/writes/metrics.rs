//! Metrics of writes.

use std::{fmt, sync::Arc};

use daemon::metrics::Page;
use identity::ReviewCounts;
use prometheus_client::{
    collector::Collector,
    encoding::DescriptorEncoder,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use super::{refusal::Refusal, request::ConfigMapRequest};
use crate::tls_server::Traffic;

type Labels = [(&'static str, &'static str); 1];

/// The metrics. Clones share the values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    writes: Family<Labels, Counter>,
    reads: Family<Labels, Counter>,
    traffic: Traffic,
    reviews: Arc<ReviewCounts>,
}

impl Metrics {
    /// Returns metrics that are registered at `registry`.
    #[must_use]
    pub(crate) fn registered(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let Self { writes, reads, traffic, reviews } = metrics.clone();
        registry.register("configmap_writes", "Writes of ConfigMaps for sidecars, by result", writes);
        registry.register("configmap_reads", "Reads of ConfigMaps for sidecars, by result", reads);
        traffic.register(registry, "write");
        registry.register_collector(Box::new(Tokens(reviews)));
        metrics
    }

    /// Counts the result of a request. `request` is `None` if it could not be parsed.
    pub(super) fn count(&self, request: Option<&ConfigMapRequest>, refusal: Option<&Refusal>) {
        let done = if matches!(request, Some(ConfigMapRequest::Read(_))) { "read" } else { "written" };
        let family = if matches!(request, Some(ConfigMapRequest::Read(_))) { &self.reads } else { &self.writes };
        family.get_or_create(&[("result", refusal.map_or(done, Refusal::name))]).inc();
    }

    pub(super) fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    pub(super) fn reviews(&self) -> Arc<ReviewCounts> {
        Arc::clone(&self.reviews)
    }
}

/// The results of token checks, which are read when metrics are scraped.
#[derive(Debug)]
struct Tokens(Arc<ReviewCounts>);

impl Collector for Tokens {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let ReviewCounts { invalid, accepted, cached, refused, unreachable, too_many } = &*self.0;
        let results = [
            ("malformed", invalid),
            ("accepted", accepted),
            ("remembered", cached),
            ("refused", refused),
            ("unreachable", unreachable),
            ("too_many", too_many),
        ];
        let results = results.map(|(result, count)| (vec![("result", result.to_owned())], count.get()));
        Page::new(encoder).counters("write_tokens", "Tokens of sidecars in requests for writes, by result", results)
    }
}
