//! Any bytes, as a page of either format.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sidecar::source::prometheus::fuzz(input));
