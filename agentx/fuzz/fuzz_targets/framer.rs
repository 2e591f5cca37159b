//! Any octets as a stream.
#![no_main]

#[path = "../checks/framer.rs"]
mod framer;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| framer::check(octets));
