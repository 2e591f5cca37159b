//! Logging to standard error, as text or JSON.

use std::io::{self, IsTerminal};

use clap::ValueEnum;
use tracing_subscriber::{Layer, filter::Targets, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// The log flags of every program.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Log")]
pub struct LogArgs {
    /// Format of the log, which goes to standard error
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// Least level to log: off, error, warn, info, debug or trace; also by module, as `info,hyper=warn`
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub log_level: Targets,
}

/// Formats of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line of text for each event.
    Text,
    /// A JSON object on one line for each event.
    Json,
}

/// Logging is already set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("logging is already set up")]
pub struct AlreadySet;

/// Sets up logging for the process.
///
/// # Errors
/// Returns an error on every call except the first.
pub fn init(args: &LogArgs) -> Result<(), AlreadySet> {
    let layer = fmt::layer().with_writer(io::stderr);
    let layer = match args.log_format {
        LogFormat::Text => layer.with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    };
    let filtered = layer.with_filter(args.log_level.clone());
    tracing_subscriber::registry().with(filtered).try_init().map_err(|_| AlreadySet)
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, FromArgMatches, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        log: LogArgs,
    }

    #[test]
    fn flags_have_defaults_and_invalid_filters_are_refused() {
        let program = Program::try_parse_from(["p"]).unwrap();
        assert_eq!(program.log.log_format, LogFormat::Text);
        assert_eq!(program.log.log_level, "info".parse().unwrap());
        let program = Program::try_parse_from(["p", "--log-format=json", "--log-level=warn,hyper=trace"]).unwrap();
        assert_eq!(program.log.log_format, LogFormat::Json);
        let refused = Program::try_parse_from(["p", "--log-level", "loud=very"]).unwrap_err();
        assert!(refused.to_string().contains("--log-level"), "{refused}");
    }

    #[test]
    fn each_flag_has_an_environment_variable_with_the_prefix_of_the_program() {
        let command = crate::with_env_vars(Program::command(), "SNMP_EXAMPLE");
        let level = command.get_arguments().find(|arg| arg.get_id() == "log_level").unwrap();
        assert_eq!(level.get_env().unwrap(), "SNMP_EXAMPLE_LOG_LEVEL");
        let mut command = command;
        let matches = command.try_get_matches_from_mut(["p"]).unwrap();
        assert!(Program::from_arg_matches(&matches).is_ok());
    }

    #[test]
    fn the_log_is_set_up_once() {
        let args = Program::try_parse_from(["p", "--log-level=off"]).unwrap().log;
        assert_eq!(init(&args), Ok(()));
        assert_eq!(init(&args), Err(AlreadySet));
    }
}
