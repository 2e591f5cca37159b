//! Feeds random octets to a session, as the actions of a master and the passing of time.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sidecar::fuzz_session(input));
