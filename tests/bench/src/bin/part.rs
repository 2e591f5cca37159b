//! What must be a process of its own while the bench runs.

use anyhow::Result;
use bench::part::Part;
use clap::Parser;

fn main() -> Result<()> {
    Part::parse().run()
}
