//! Where samples come from.

pub mod prometheus;
