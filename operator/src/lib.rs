//! snmp-operator: turns the objects of `snmp-operator.dev` into configuration.
//!
//! [`plan`] is pure: objects in, documents and refusals out. Around it, [`manifest`] reads files and [`output`]
//! writes them. In a cluster, [`watches`] keep the [`index`], and the [`controller`] writes what the plan comes to.

pub mod app;
pub mod certificates;
pub mod cli;
pub mod conditions;
pub mod config_map;
pub mod controller;
pub mod fingerprint;
pub mod index;
pub mod known;
pub mod leadership;
pub mod manifest;
pub mod master_secret;
pub mod metrics;
pub mod output;
pub mod plan;
pub mod run;
pub mod run_args;
mod tls_server;
mod watch_backoff;
pub mod watches;
pub mod webhook;
pub mod writes;
