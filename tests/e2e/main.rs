//! End-to-end tests in a Kubernetes cluster of one node, which `tests/run e2e` starts.
#![allow(clippy::expect_used, clippy::indexing_slicing)] // A panic fails the test, also in helper functions.

mod component_faults;
mod config_maps;
mod constant_walk;
mod credentials;
mod examples;
mod healing;
mod identity;
mod injection;
mod installation;
mod live_changes;
mod main_job;
mod manifests;
mod masters;
mod privileges;
mod refusals;
mod rotation;
mod tenant;
mod tenants;
mod test_cluster;
mod upgrade;
mod writes;
