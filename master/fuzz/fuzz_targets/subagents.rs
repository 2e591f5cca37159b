//! Fuzz target: reads arbitrary octets as a script of actions of subagents, an NMS and time, and runs it on the
//! dispatcher.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| master::subagents::dispatch::fuzz::run(input));
