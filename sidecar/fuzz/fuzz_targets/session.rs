//! Any octets, as what a master and time do to a session.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sidecar::session::fuzz(input));
