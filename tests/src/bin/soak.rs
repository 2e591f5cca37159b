//! A soak of the sidecar: `SOAK_SECONDS` of faults (600 unless set), from the seed `SEED` (a new one unless set), under
//! snmpd, or under our master where `SOAK_MASTER` is `ours`.

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
    // Short enough to type.
    let seed = number("SEED")?.unwrap_or_else(|| RandomState::new().hash_one(()) >> 32);
    let master = match env::var("SOAK_MASTER").unwrap_or_default().as_str() {
        "" | "snmpd" => MasterKind::NetSnmp,
        "ours" => MasterKind::Ours,
        other => bail!("SOAK_MASTER: {other:?} is neither snmpd nor ours"),
    };
    let summary = run(Options { duration, seed, master }, &mut std::io::stdout())?;
    println!("{summary}");
    summary.check()
}

/// The number that an environment variable says; none where it is not set or empty.
fn number(variable: &str) -> Result<Option<u64>> {
    let text = env::var(variable).unwrap_or_default();
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).with_context(|| format!("{variable}: {text:?} is no number"))
}
