//! The size of the sidecar's program on disk.

use std::{fs, process::Command};

use anyhow::{Result, ensure};

use super::Group;
use crate::{
    peers::contestants::Bench,
    report::row::{Row, Target, Unit},
};

pub(super) const GROUP: Group = Group {
    name: "binary",
    title: "Size of the sidecar's binary",
    about: "The program that all rows of the sidecar are measured with, as it ships: static and stripped, of `make \
            release`. `ldd` finds no library that it would load. 1 MB is 10⁶ octets.",
    measure,
};

fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let program = &bench.programs.sidecar;
    // Depending on the linker, ldd fails for a static program or reports that it is static.
    let libraries = Command::new("ldd").arg(program).output()?;
    let libraries = [libraries.stdout, libraries.stderr].concat();
    let libraries = String::from_utf8_lossy(&libraries);
    let is_static = libraries.contains("statically linked") || libraries.contains("not a dynamic executable");
    ensure!(is_static, "the sidecar is not static: {libraries}");
    #[allow(clippy::cast_precision_loss)]
    let size = fs::metadata(program)?.len() as f64 / 1e6;
    let name = "stripped static sidecar binary".to_owned();
    let target = Target::AtMost(8.0);
    Ok(vec![Row { name, unit: Unit::Megabytes, ours: size, peers: Vec::new(), target, notes: Vec::new() }])
}
