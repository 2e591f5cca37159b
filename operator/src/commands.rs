//! The subcommands.

mod check;
mod crds;
mod manifest;
mod output;
mod prepare;
mod render;

use std::io::{self, Write as _};

use anyhow::Context as _;

use crate::{
    cli::{Cli, Command},
    run,
};

/// Runs a subcommand.
///
/// # Errors
/// Returns an error if something is refused or fails. Its message has one line for each reason.
pub fn run(Cli { command }: Cli) -> anyhow::Result<()> {
    match command {
        Command::Run(args) => run::start(*args),
        Command::Render { input, output, format, listeners } => {
            print(&render::render(&input, &output, format, listeners.into())?)
        }
        Command::Check { input } => print(&check::check(&input)?),
        Command::Crds { output } => print(&crds::crds(output.as_deref())?),
    }
}

/// Prints to standard output. A reader that closes the pipe early, as `head` does, is not an error.
fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed.context("cannot write to standard output"),
    }
}
