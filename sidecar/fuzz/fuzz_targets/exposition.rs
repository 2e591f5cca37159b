//! Feeds random octets to the parser of both exposition formats.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sidecar::source::exposition::fuzz(input));
