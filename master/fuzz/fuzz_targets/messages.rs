//! Fuzz target: passes arbitrary octets to the SNMP engine as datagrams.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| master::snmp::fuzz::run(input));
