//! Any octets, as what subagents, an NMS and time do to the dispatcher.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| master::dispatch::fuzz(input));
