//! Health, status and metrics of the master.

pub(crate) mod admin;
mod metrics;
pub(crate) mod role;
pub(crate) mod status;
