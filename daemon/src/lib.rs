//! What each long-running program of the workspace needs: logging, signals, drain, readiness, the admin server,
//! metrics, the watchdog and the choice of a cryptography provider.

pub mod admin;
pub mod counter;
pub mod crypto;
pub mod drain;
pub mod heartbeat;
pub mod logging;
pub mod metrics;
pub mod places;
pub mod readiness;
pub mod signals;
pub mod watchdog;

pub use counter::Counter;
pub use crypto::install_crypto_provider;

/// Gives each flag of `command` an environment variable: `prefix`, `_`, and the flag's name in capitals. So
/// `--log-level` becomes `SNMP_SIDECAR_LOG_LEVEL` for the prefix `SNMP_SIDECAR`.
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
