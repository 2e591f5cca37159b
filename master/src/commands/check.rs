//! `snmp-master check`: checks a document strictly.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::Args;
use master_config::ParseError;

use super::print;
use crate::config;

/// Flags of `check`.
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// File of the document
    #[arg(value_name = "FILE")]
    pub config: PathBuf,
}

/// Checks a document strictly. All violations go to standard error.
pub(crate) fn check(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let path = &args.config;
    let contents = config::read(path).with_context(|| path.display().to_string())?;
    match master_config::parse_strict(&contents) {
        Ok(_) => print("the document is valid"),
        Err(ParseError::Invalid(violations)) => {
            for violation in violations {
                eprintln!("{}: {violation}", path.display());
            }
            Ok(ExitCode::FAILURE)
        }
        Err(error) => {
            eprintln!("{}: {error}", path.display());
            Ok(ExitCode::FAILURE)
        }
    }
}
