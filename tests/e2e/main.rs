//! Tests in a real Kubernetes of one node, which `tests/run e2e` starts for them.
#![allow(clippy::expect_used, clippy::indexing_slicing)] // Also in the tests' own functions, where a panic fails the test.

mod cluster;
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
mod upgrade;
mod writes;
