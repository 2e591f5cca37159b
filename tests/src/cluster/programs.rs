//! The programs of Kubernetes and their folders.

use std::{env, path::PathBuf};

use anyhow::{Result, ensure};

use crate::process::program::{debian, repository};

/// The environment variable with another folder for the programs of `tests/cluster/build` than `target/cluster/bin`.
const FOLDER: &str = "CLUSTER_BIN";

pub(super) fn folder() -> PathBuf {
    env::var_os(FOLDER).map_or_else(|| repository().join("target/cluster/bin"), PathBuf::from)
}

/// Returns a program that `tests/cluster/build` builds.
pub(super) fn built(program: &str) -> Result<PathBuf> {
    let file = folder().join(program);
    ensure!(file.is_file(), "{} is missing: run tests/cluster/build", file.display());
    Ok(std::path::absolute(file)?)
}

/// Returns a program of a Debian package that `tests/setup e2e` installs.
pub(super) fn installed(program: &str) -> Result<PathBuf> {
    let package = match program {
        "etcd" => "etcd-server",
        "runc" | "containerd" | "iptables" => program,
        "ctr" => "containerd",
        "ip" => "iproute2",
        "busybox" => "busybox",
        "nsenter" | "unshare" | "setsid" => "util-linux",
        _ => "coreutils",
    };
    debian(program, package)
}
