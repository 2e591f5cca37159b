//! Readiness, status and metrics of the sidecar, and the admin server that shows them.

pub(crate) mod admin;
mod metrics;
pub(crate) mod readiness;
pub(crate) mod status;
