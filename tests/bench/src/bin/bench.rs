//! The program of `make bench`.

use std::process::ExitCode;

use anyhow::Result;
use bench::Arguments;
use clap::Parser;

fn main() -> Result<ExitCode> {
    bench::run(&Arguments::parse())
}
