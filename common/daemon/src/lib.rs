//! Building blocks of the long-running programs of the workspace: logging, signals, graceful shutdown, readiness, the
//! admin server, accept loops with limits, metrics, the watchdog and the cryptography provider.

pub mod acceptor;
pub mod admin;
pub mod counter;
pub mod crypto;
pub mod drain;
pub mod heartbeat;
pub mod keyed_limit;
pub mod logging;
pub mod metrics;
pub mod readiness;
pub mod signals;
pub mod watchdog;

pub use counter::Counter;
pub use crypto::install_crypto_provider;

/// Adds an environment variable for each flag of `command`: `prefix`, `_` and the flag's name in capital letters. With
/// the prefix `SNMP_SIDECAR`, the variable of `--log-level` is `SNMP_SIDECAR_LOG_LEVEL`.
#[must_use]
pub fn with_env_vars(command: clap::Command, prefix: &str) -> clap::Command {
    command.mut_args(|arg| match arg.get_long() {
        Some(flag) => {
            let name = format!("{prefix}_{}", flag.replace('-', "_").to_uppercase());
            arg.env(name).hide_env_values(true)
        }
        None => arg,
    })
}
