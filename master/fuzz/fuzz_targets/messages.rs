//! Any octets, as datagrams to the SNMP engine.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| master::snmp::fuzz(input));
