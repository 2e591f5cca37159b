//! The admission webhooks: pods get a sidecar, and objects that could never work are refused.
//!
//! `inject` and `validate` are pure: a review in, a verdict out. `server` asks them, over TLS.

mod certificate;
mod inject;
mod metrics;
mod pod;
mod ports;
mod quantity;
mod resources;
mod review;
mod server;
mod sidecar;
mod validate;

use std::sync::Arc;

pub use certificate::{Shown, Unusable};
pub use inject::{Outcome as Injected, inject};
pub use metrics::Metrics;
pub use pod::Labels;
pub use quantity::Quantity;
pub use review::{Malformed, Review, Verdict};
pub use server::{CERTIFICATE, Serving, Webhooks, serve};
pub use sidecar::{AUDIENCE, CONTAINER, Settings as SidecarSettings};
pub use validate::{Outcome as Validated, validate};

use crate::plan::Objects;

/// What labels and annotations of pods begin with.
const DOMAIN: &str = "snmp-operator.dev/";

/// What the webhooks know of the cluster. Asked for each review, and so answered from memory.
pub trait Cluster: Send + Sync + 'static {
    /// Whether a subtree that is served selects a pod of these labels in the namespace.
    fn selects(&self, namespace: &str, labels: Labels<'_>) -> bool;
    /// Everything there is to plan.
    fn objects(&self) -> Objects;
}

impl<C: Cluster> Cluster for Arc<C> {
    fn selects(&self, namespace: &str, labels: Labels<'_>) -> bool {
        C::selects(self, namespace, labels)
    }

    fn objects(&self) -> Objects {
        C::objects(self)
    }
}
