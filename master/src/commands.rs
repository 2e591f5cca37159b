//! The subcommands `check` and `probe`.

mod check;
mod probe;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

pub(crate) use check::CheckArgs;
pub(crate) use check::check;
pub(crate) use probe::ProbeArgs;
pub(crate) use probe::probe;

/// Prints a line on standard output and returns success.
fn print(line: &str) -> anyhow::Result<ExitCode> {
    match writeln!(io::stdout(), "{line}") {
        // A reader that closed the pipe has read enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}
