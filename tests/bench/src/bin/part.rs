//! The parts of the bench that run as separate processes.

use anyhow::Result;
use bench::part::Part;
use clap::Parser;

fn main() -> Result<()> {
    Part::parse().run()
}
