//! Decodes any octets as one frame.
#![no_main]

#[path = "../checks/decode.rs"]
mod decode;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| decode::check(octets));
