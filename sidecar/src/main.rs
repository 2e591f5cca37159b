//! The sidecar program.

use std::process::ExitCode;

use sidecar::{cli, run};

fn main() -> ExitCode {
    let invocation = cli::parse(std::env::args_os()).unwrap_or_else(|error| error.exit());
    run::start(invocation).unwrap_or_else(|error| {
        eprintln!("snmp-sidecar: {error:#}");
        ExitCode::FAILURE
    })
}
