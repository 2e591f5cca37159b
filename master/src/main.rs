//! The master program.

fn main() {}
