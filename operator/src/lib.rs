//! snmp-operator: turns the objects of `snmp-operator.dev` into configuration.
//!
//! [`plan`] is pure: objects in, documents and refusals out. Around it, [`manifest`] reads files and [`output`]
//! writes them.

pub mod app;
pub mod certificates;
pub mod cli;
pub mod config_map;
pub mod manifest;
pub mod master_secret;
pub mod output;
pub mod plan;
pub mod webhook;
