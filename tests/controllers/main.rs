//! `snmp-operator run` in a real control plane, with the rights that it ships with and no more.

mod access;
mod configuration;
mod faults;
mod status;
mod world;
