//! The programs that are measured: built where they are not yet, under the target folder.

use std::{
    env, fs,
    io::{Write as _, stdout},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use harness::{built, repository};

/// Where the programs are.
#[derive(Debug, Clone)]
pub struct Programs {
    /// Our sidecar as it ships: static and stripped.
    pub sidecar: PathBuf,
    /// Our master, likewise.
    pub master: PathBuf,
    /// net-snmp's subagent.
    pub subagent: PathBuf,
    /// The module for snmpd.
    pub inside: PathBuf,
    /// The Python interpreter that has snmpkit.
    pub python: PathBuf,
    /// The bench's own parts.
    pub part: PathBuf,
    /// The folder of our programs that run in clusters: `target/release-static`, or what `CLUSTER_PROGRAMS` names.
    pub in_cluster: PathBuf,
}

/// Names a folder of our programs to be measured in clusters instead of those that ship.
const IN_CLUSTER: &str = "CLUSTER_PROGRAMS";

impl Programs {
    /// Builds what is not built yet.
    ///
    /// # Errors
    /// Where something cannot be built, or `make bench` has not set up what is not built here.
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

/// Says what is done now.
pub fn say(what: &str) {
    // Progress that nobody reads stops nothing.
    let _ = writeln!(stdout(), "bench: {what}");
}

/// The folder for the report and what is compiled.
///
/// # Errors
/// Where this program does not lie in a target folder.
pub fn output_folder() -> Result<PathBuf> {
    Ok(target_folder()?.join("bench"))
}

fn target_folder() -> Result<PathBuf> {
    let running = env::current_exe()?;
    let profile = running.ancestors().skip(1).find(|folder| !folder.ends_with("deps")).context("no target folder")?;
    Ok(profile.parent().context("no target folder")?.to_path_buf())
}

/// A program of ours as it ships.
fn released(program: &str) -> Result<PathBuf> {
    let program = target_folder()?.join("release-static").join(program);
    program.metadata().with_context(|| format!("{} is missing: run `make bench`", program.display()))?;
    Ok(program)
}

/// Compiles contestants in C.
fn compile(sources: &[&str], options: &[&str], output: &Path, libraries: &str) -> Result<()> {
    let folder = repository().join("tests/bench/peers");
    let sources: Vec<PathBuf> = sources.iter().map(|source| folder.join(source)).collect();
    harness::compile(&sources, options, output, libraries)
}
