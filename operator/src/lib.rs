//! snmp-operator: turns the objects of `snmp-operator.dev` into the configuration of sidecars and masters.
//!
//! [`plan`] is pure: API objects in, documents and refusals out. [`commands`] applies it to files. In a cluster,
//! watches fill the `index`, and the `controller` writes what the plan contains. `run` wires everything together.

mod certificates;
pub mod cli;
pub mod commands;
mod conditions;
mod controller;
mod fingerprint;
mod index;
mod leadership;
mod metrics;
pub mod plan;
mod run;
mod tls_server;
mod webhook;
mod writes;
