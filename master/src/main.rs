//! The master program.

use std::process::ExitCode;

use master::{app, cli};

fn main() -> ExitCode {
    let invocation = cli::parse(std::env::args_os()).unwrap_or_else(|error| error.exit());
    app::start(invocation).unwrap_or_else(|error| {
        eprintln!("snmp-master: {error:#}");
        ExitCode::FAILURE
    })
}
