//! The programs that are measured. Those that are missing are built in the target folder.

use std::{
    env, fs,
    io::{Write as _, stdout},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use harness::{built, repository};

/// The paths of the programs.
#[derive(Debug, Clone)]
pub struct Programs {
    /// Our released sidecar, which is static and stripped.
    pub sidecar: PathBuf,
    /// Our released master.
    pub master: PathBuf,
    /// net-snmp's subagent.
    pub subagent: PathBuf,
    /// The module for snmpd.
    pub inside: PathBuf,
    /// The Python interpreter with snmpkit.
    pub python: PathBuf,
    /// The program of the bench's own parts.
    pub part: PathBuf,
    /// The folder of our programs for clusters: `target/release-static`, or the folder in `CLUSTER_PROGRAMS`.
    pub in_cluster: PathBuf,
}

/// The environment variable with another folder of our programs for clusters.
const IN_CLUSTER: &str = "CLUSTER_PROGRAMS";

impl Programs {
    /// Builds the programs that are missing.
    ///
    /// # Errors
    /// Returns an error if something cannot be built, or if something is missing that `make bench` sets up.
    pub fn build() -> Result<Self> {
        let folder = output_folder()?;
        fs::create_dir_all(&folder)?;
        say("compiling the C subagent and the module for snmpd");
        let (subagent, inside) = (folder.join("subagent"), folder.join("inside.so"));
        compile(&["subagent.c", "objects.c"], &["-o"], &subagent, "--base-agent-libs")?;
        compile(&["inside.c", "objects.c"], &["-fPIC", "-shared", "-o"], &inside, "--base-agent-libs")?;
        let python = folder.join("venv/bin/python");
        python.metadata().with_context(|| format!("{} is missing: run `make bench`", python.display()))?;
        Ok(Self {
            sidecar: released("snmp-sidecar")?,
            master: released("snmp-master")?,
            subagent,
            inside,
            python,
            part: built("bench-part")?,
            in_cluster: match env::var_os(IN_CLUSTER) {
                Some(folder) => folder.into(),
                None => target_folder()?.join("release-static"),
            },
        })
    }
}

/// Prints the progress.
pub fn say(what: &str) {
    // The bench goes on if nobody reads its progress.
    let _ = writeln!(stdout(), "bench: {what}");
}

/// Returns the folder for the report and the compiled programs.
///
/// # Errors
/// Returns an error if this program is not in a target folder.
pub fn output_folder() -> Result<PathBuf> {
    Ok(target_folder()?.join("bench"))
}

fn target_folder() -> Result<PathBuf> {
    let running = env::current_exe()?;
    let profile = running
        .ancestors()
        .skip(1)
        .find(|folder| !folder.ends_with("deps"))
        .context("the bench is not in a target folder")?;
    Ok(profile.parent().context("the bench is not in a target folder")?.to_path_buf())
}

/// Returns the path of one of our released programs.
fn released(program: &str) -> Result<PathBuf> {
    let program = target_folder()?.join("release-static").join(program);
    program.metadata().with_context(|| format!("{} is missing: run `make bench`", program.display()))?;
    Ok(program)
}

/// Compiles the compared programs in C.
fn compile(sources: &[&str], options: &[&str], output: &Path, libraries: &str) -> Result<()> {
    let folder = repository().join("tests/bench/peers");
    let sources: Vec<PathBuf> = sources.iter().map(|source| folder.join(source)).collect();
    harness::compile(&sources, options, output, libraries)
}
