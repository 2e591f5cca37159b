//! `snmp-operator run` in a real control plane, with the rights that it ships with and no more.

#![allow(clippy::indexing_slicing, reason = "what is not in an answer is null")]

mod access;
mod config_maps;
mod configuration;
mod faults;
mod status;
mod world;
