//! Tests of the codec: against the RFC, against itself, against hostile input, and against other implementations.

#![cfg(test)]

mod allocation;
mod arbitrary;
mod borrowed;
mod corpus;
mod framing;
mod hostile;
mod layout;
mod net_snmp;
mod oid;
mod peer;
mod round_trip;
mod samples;
