//! Fuzz target: parses arbitrary octets as documents.
#![no_main]

#[path = "../checks/document.rs"]
mod document;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| document::check(octets));
