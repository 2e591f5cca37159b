//! Writing keys of ConfigMaps for sidecars: what a SET of an object with `write.configMap` comes to.
//!
//! A sidecar asks with its pod's token, which tells the namespace; `authority` says which keys that namespace may have
//! written, by the index alone. Every replica serves: a patch holds for the version that was read, so it needs no leader.
//!
//! * `GET /v1/configmaps/{name}` answers `{"resourceVersion": "…", "data": {key: text}}`, with keys that may be written alone.
//! * `PATCH /v1/configmaps/{name}` with `{"resourceVersion": "…", "data": {key: text or null}}` answers
//!   `{"resourceVersion": "…"}`. A version that is given is the one that must be there; `null` takes the key away.
//! * Everything else is `{"message": "…"}`. With 4xx nothing was written; with 5xx nobody knows.

mod api;
mod authority;
mod metrics;
mod rate;
mod refusal;
mod request;
mod server;

pub use metrics::Metrics;
pub use server::{Serving, serve};

/// The label of ConfigMaps of which keys may be written.
pub const WRITABLE: &str = "snmp-operator.dev/writable";
/// Who the API server says has written.
pub const FIELD_MANAGER: &str = "snmp-operator-writes";
