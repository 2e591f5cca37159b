//! Where a cluster keeps its files.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Result, ensure};

use crate::program::repository;

/// Where clusters keep their state, instead of `target/cluster`.
const STATE: &str = "CLUSTER_STATE";
/// What else is in `target/cluster`.
const RESERVED: [&str; 2] = ["bin", "go-cache"];
const LONGEST_NAME: usize = 32;

/// The folder of one cluster.
#[derive(Debug, Clone)]
pub(super) struct Place {
    name: String,
    folder: PathBuf,
}

impl Place {
    pub(super) fn new(name: &str) -> Result<Self> {
        ensure!(valid_name(name), "a cluster's name is of a-z, 0-9 and -, at most {LONGEST_NAME} of them: {name}");
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

    /// Which cluster this is; written as soon as anything of it exists.
    pub(super) fn record(&self) -> PathBuf {
        self.path("cluster.json")
    }

    pub(super) fn logs(&self) -> PathBuf {
        self.path("logs")
    }

    pub(super) fn log(&self, program: &str) -> PathBuf {
        self.logs().join(program).with_extension("log")
    }

    /// Holds a component's process id, as the node counts.
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

    /// Makes the folders, empty but for logs of a cluster before this one, which go.
    pub(super) fn make(&self) -> Result<()> {
        remove_folder(&self.logs())?;
        for folder in ["logs", "pids", "configuration", "credentials", "etcd", "node"] {
            fs::create_dir_all(self.path(folder))?;
        }
        fs::set_permissions(self.path("credentials"), std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
        Ok(())
    }
}

/// Removes a folder with all in it, where it is there.
pub(super) fn remove_folder(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether a cluster can have this name.
pub fn valid_name(name: &str) -> bool {
    let known = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'-';
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(known) && !RESERVED.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_that_of_a_folder_of_its_own() {
        assert!(valid_name("e2e") && valid_name("my-cluster-2"));
        for name in ["", "..", "a/b", "bin", "go-cache", "Upper", "a b"] {
            assert!(!valid_name(name), "{name}");
        }
    }
}
