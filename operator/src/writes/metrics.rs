//! What is counted of writes.

use std::{fmt, sync::Arc};

use daemon::metrics::Page;
use identity::Reviews;
use prometheus_client::{
    collector::Collector,
    encoding::DescriptorEncoder,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use super::{refusal::Refusal, request::Asked};
use crate::tls_server::Traffic;

type Labels = [(&'static str, &'static str); 1];

/// The metrics. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    writes: Family<Labels, Counter>,
    reads: Family<Labels, Counter>,
    traffic: Traffic,
    reviews: Arc<Reviews>,
}

impl Metrics {
    /// Metrics that `registry` shows, whose prefix is the program's.
    #[must_use]
    pub fn registered(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let Self { writes, reads, traffic, reviews } = metrics.clone();
        registry.register("configmap_writes", "Writes of ConfigMaps for sidecars, by what became of them", writes);
        registry.register("configmap_reads", "Reads of ConfigMaps for sidecars, by what became of them", reads);
        traffic.register(registry, "write");
        registry.register_collector(Box::new(Tokens(reviews)));
        metrics
    }

    /// Counts what became of a request.
    pub(super) fn count(&self, asked: Option<&Asked>, refusal: Option<&Refusal>) {
        let done = if matches!(asked, Some(Asked::Read(_))) { "read" } else { "written" };
        let family = if matches!(asked, Some(Asked::Read(_))) { &self.reads } else { &self.writes };
        family.get_or_create(&[("result", refusal.map_or(done, Refusal::name))]).inc();
    }

    pub(super) fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    pub(super) fn reviews(&self) -> Arc<Reviews> {
        Arc::clone(&self.reviews)
    }
}

/// What came of tokens, read when someone asks.
#[derive(Debug)]
struct Tokens(Arc<Reviews>);

impl Collector for Tokens {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Reviews { judged, accepted, remembered, refused, unreachable, too_many } = &*self.0;
        let results = [
            ("malformed", judged),
            ("accepted", accepted),
            ("remembered", remembered),
            ("refused", refused),
            ("unreachable", unreachable),
            ("too_many", too_many),
        ];
        let results = results.map(|(result, count)| (vec![("result", result.to_owned())], count.get()));
        Page::new(encoder).counters(
            "write_tokens",
            "Tokens of sidecars that ask for writes, by what came of them",
            results,
        )
    }
}
