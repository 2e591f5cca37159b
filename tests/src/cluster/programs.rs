//! Where the programs of Kubernetes are.

use std::{env, path::PathBuf};

use anyhow::{Result, ensure};

use crate::program::{debian, repository};

/// A folder that holds the programs of `tests/cluster/build`, instead of `target/cluster/bin`.
const FOLDER: &str = "CLUSTER_BIN";

pub(super) fn folder() -> PathBuf {
    env::var_os(FOLDER).map_or_else(|| repository().join("target/cluster/bin"), PathBuf::from)
}

/// A program that `tests/cluster/build` builds.
pub(super) fn built(program: &str) -> Result<PathBuf> {
    let file = folder().join(program);
    ensure!(file.is_file(), "{} is missing: run tests/cluster/build", file.display());
    Ok(std::path::absolute(file)?)
}

/// A program of one of the Debian packages that `tests/setup e2e` installs.
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
