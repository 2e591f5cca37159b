//! The files of a cluster.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Result, ensure};

use crate::process::program::repository;

/// The environment variable with another folder for the files of clusters than `target/cluster`.
const STATE: &str = "CLUSTER_STATE";
/// The names in `target/cluster` that clusters cannot have, because other files have them.
const RESERVED: [&str; 1] = ["bin"];
const LONGEST_NAME: usize = 32;

/// The folder of a cluster.
#[derive(Debug, Clone)]
pub(super) struct ClusterFiles {
    name: String,
    folder: PathBuf,
}

impl ClusterFiles {
    pub(super) fn new(name: &str) -> Result<Self> {
        ensure!(
            valid_name(name),
            "the name of a cluster has at most {LONGEST_NAME} of the characters a-z, 0-9 and -: {name}"
        );
        let root = env::var_os(STATE).map_or_else(|| repository().join("target/cluster"), PathBuf::from);
        Ok(Self { name: name.to_owned(), folder: std::path::absolute(root)?.join(name) })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Returns the file of the cluster's record.
    pub(super) fn record(&self) -> PathBuf {
        self.path("cluster.json")
    }

    pub(super) fn logs(&self) -> PathBuf {
        self.path("logs")
    }

    pub(super) fn log(&self, program: &str) -> PathBuf {
        self.logs().join(program).with_extension("log")
    }

    /// Returns the file with the process id of a component within the node.
    pub(super) fn pid(&self, component: &str) -> PathBuf {
        self.path("pids").join(component)
    }

    pub(super) fn configuration(&self, file: &str) -> PathBuf {
        self.path("configuration").join(file)
    }

    pub(super) fn credential(&self, file: &str) -> PathBuf {
        self.path("credentials").join(file)
    }

    pub(super) fn kubeconfig(&self, user: &str) -> PathBuf {
        self.credential(user).with_extension("kubeconfig")
    }

    /// Creates the folders, and removes the logs of an earlier cluster with this name.
    pub(super) fn make(&self) -> Result<()> {
        remove_folder(&self.logs())?;
        for folder in ["logs", "pids", "configuration", "credentials", "etcd", "node"] {
            fs::create_dir_all(self.path(folder))?;
        }
        fs::set_permissions(self.path("credentials"), std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
        Ok(())
    }
}

/// Removes a folder with its content, if it exists.
pub(super) fn remove_folder(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Returns whether a cluster can have this name.
pub fn valid_name(name: &str) -> bool {
    let is_allowed = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'-';
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(is_allowed) && !RESERVED.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_and_reserved_names_are_invalid() {
        assert!(valid_name("e2e") && valid_name("my-cluster-2"));
        for name in ["", "..", "a/b", "bin", "Upper", "a b"] {
            assert!(!valid_name(name), "{name}");
        }
    }
}
