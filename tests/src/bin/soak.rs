//! `make soak`: runs the soak test of the sidecar. `SOAK_SECONDS` is the duration of the faults (600 if it is not set), and
//! `SEED` their seed (a random one if it is not set). `SOAK_MASTER` is the master: `snmpd`, which is the default, or `ours`.

use std::{
    env,
    hash::{BuildHasher as _, RandomState},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use harness::{
    MasterKind,
    soak::{Options, run},
};

fn main() -> ExitCode {
    match soak() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nThe soak failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn soak() -> Result<()> {
    let duration = Duration::from_secs(number("SOAK_SECONDS")?.unwrap_or(600));
    // A seed of 32 bits is short enough to type.
    let seed = number("SEED")?.unwrap_or_else(|| RandomState::new().hash_one(()) >> 32);
    let master = match env::var("SOAK_MASTER").unwrap_or_default().as_str() {
        "" | "snmpd" => MasterKind::NetSnmp,
        "ours" => MasterKind::Ours,
        other => bail!("SOAK_MASTER must be snmpd or ours, not {other:?}"),
    };
    let summary = run(Options { duration, seed, master }, &mut std::io::stdout())?;
    println!("{summary}");
    summary.check()
}

/// Returns the number in an environment variable, or `None` if it is not set or empty.
fn number(variable: &str) -> Result<Option<u64>> {
    let text = env::var(variable).unwrap_or_default();
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).with_context(|| format!("{variable} must be a number, not {text:?}"))
}
