//! Splits any octets as a stream into frames.
#![no_main]

#[path = "../checks/framer.rs"]
mod framer;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| framer::check(octets));
