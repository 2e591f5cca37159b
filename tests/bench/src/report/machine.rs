//! The description of the machine and the versions.

use std::{fs, process::Command};

use anyhow::{Context, Result};
use harness::{repository, run};

/// Returns the machine, the date and the versions, each on a line.
///
/// # Errors
/// Returns an error if one of them cannot be determined.
pub fn describe() -> Result<Vec<(&'static str, String)>> {
    let cpu = fs::read_to_string("/proc/cpuinfo")?;
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    let cores = std::thread::available_parallelism()?;
    let memory = fs::read_to_string("/proc/meminfo")?;
    let memory: u64 = memory.split_whitespace().nth(1).context("/proc/meminfo has no size")?.parse()?;
    Ok(vec![
        ("date", text(Command::new("date").args(["--utc", "+%Y-%m-%d %H:%M UTC"]))?),
        ("processor", format!("{}, {cores} for the bench", model.trim_start_matches([':', ' ', '\t']))),
        ("memory", format!("{:.1} GB", gigabytes(memory))),
        ("load", fs::read_to_string("/proc/loadavg")?.split(' ').take(3).collect::<Vec<_>>().join(" ")),
        ("kernel", text(Command::new("uname").arg("-sr"))?),
        ("rustc", text(Command::new("rustc").arg("--version"))?),
        ("gcc", text(Command::new("gcc").arg("-dumpfullversion"))?),
        ("net-snmp", text(Command::new("dpkg-query").args(["--show", "--showformat=${Version}", "snmpd"]))?),
        ("snmpkit", required("snmpkit")?),
        ("agentx crate", locked("agentx")?),
        ("prometheus-parse", locked("prometheus-parse")?),
        ("memchr", locked("memchr")?),
        ("kubernetes", kubernetes()?),
    ])
}

#[allow(clippy::cast_precision_loss)]
fn gigabytes(kibibytes: u64) -> f64 {
    kibibytes as f64 * 1024.0 / 1e9
}

fn text(command: &mut Command) -> Result<String> {
    Ok(String::from_utf8(run(command)?.stdout)?.trim().to_owned())
}

/// Returns the version of a crate in Cargo.lock.
fn locked(name: &str) -> Result<String> {
    let lock = fs::read_to_string(repository().join("Cargo.lock"))?;
    let (_, package) = lock.split_once(&format!("name = \"{name}\"\nversion = \"")).context("not in Cargo.lock")?;
    Ok(package.split('"').next().unwrap_or_default().to_owned())
}

/// Returns the version of Kubernetes in test clusters.
fn kubernetes() -> Result<String> {
    let module = fs::read_to_string(repository().join("tests/cluster/programs/go.mod"))?;
    let version = module.split_once("k8s.io/kubernetes ").and_then(|(_, rest)| rest.split_whitespace().next());
    Ok(version.context("not in go.mod")?.to_owned())
}

/// Returns the version of a Python package in requirements.txt.
fn required(name: &str) -> Result<String> {
    let requirements = fs::read_to_string(repository().join("tests/bench/requirements.txt"))?;
    let version = requirements.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix("=="));
    Ok(version.context("not in requirements.txt")?.to_owned())
}
