//! The admission webhooks: they inject the sidecar into pods, and refuse API objects that can never work.
//!
//! `inject` and `validate` are pure: an admission request in, a response out. `server` serves them over TLS.

mod cluster;
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

pub(crate) use cluster::IndexedCluster;
pub(crate) use metrics::Metrics;
pub(crate) use server::{Serving, Webhooks, serve};
pub(crate) use sidecar::Settings as SidecarSettings;

/// The prefix of labels and annotations of pods.
const DOMAIN: &str = "snmp-operator.dev/";
