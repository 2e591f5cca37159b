//! The program `snmp-master`.

use std::process::ExitCode;

use master::{cli, run};

fn main() -> ExitCode {
    let invocation = cli::parse(std::env::args_os()).unwrap_or_else(|error| error.exit());
    run::start(invocation).unwrap_or_else(|error| {
        eprintln!("snmp-master: {error:#}");
        ExitCode::FAILURE
    })
}
