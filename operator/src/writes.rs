//! The API by which sidecars write keys of ConfigMaps, for SETs of objects with `write.configMap`.
//!
//! A sidecar authenticates with its pod's token, which contains the namespace. `authority` decides from the index which keys
//! the namespace can write. Every replica serves the API: a patch applies only to the version that was read, so no leader is
//! needed.
//!
//! * `GET /v1/configmaps/{name}` returns `{"resourceVersion": "…", "data": {key: text}}`, with only the writable keys.
//! * `PATCH /v1/configmaps/{name}` with `{"resourceVersion": "…", "data": {key: text or null}}` returns
//!   `{"resourceVersion": "…"}`. If the request has a version, the ConfigMap must have the same one. `null` removes the key.
//! * Errors are `{"message": "…"}`. After 4xx, nothing was written. After 5xx, it is unknown whether something was written.

mod api;
mod authority;
mod metrics;
mod rate;
mod refusal;
mod request;
mod server;

pub(crate) use metrics::Metrics;
pub(crate) use server::{Serving, serve};

/// The label of ConfigMaps that sidecars can write.
pub(crate) const WRITABLE: &str = "snmp-operator.dev/writable";
/// The field manager of the writes.
pub(crate) const FIELD_MANAGER: &str = "snmp-operator-writes";
