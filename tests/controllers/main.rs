//! Controller tests: `snmp-operator run` in a real control plane, with the privileges that the chart grants.

#![allow(clippy::indexing_slicing, reason = "a missing field of JSON is null")]

mod access;
mod config_maps;
mod configuration;
mod failover;
mod manifests;
mod operator_setup;
mod status;
