//! Removal of a cluster, also of one that started only in part.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::{Cluster, files::remove_folder};

impl Cluster {
    /// Ends all processes of the cluster with this name and removes its files, except its logs if `keep_logs` is set. A cluster
    /// that started only in part is also removed. It is no error if the cluster does not exist.
    pub fn remove(name: &str, keep_logs: bool) -> Result<()> {
        let files = super::ClusterFiles::new(name)?;
        if files.record().exists() {
            let cluster = Self::recorded(name)?;
            if !cluster.network.is_of_the_past()? {
                cluster.end()?;
            }
        }
        let entries = fs::read_dir(files.folder()).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()).filter(|path| !keep_logs || *path != files.logs()) {
            let removed = if path.is_dir() { remove_folder(&path) } else { fs::remove_file(&path) };
            removed.with_context(|| path.display().to_string())?;
        }
        if !keep_logs {
            remove_folder(files.folder())?;
        }
        Ok(())
    }

    /// Ends everything of the cluster outside its folder. Returns an error if something is left.
    fn end(&self) -> Result<()> {
        let inside = self.network.holds("self");
        ensure!(!inside, "this process runs in the network of the cluster: exit the shell of the cluster first");
        self.node().end()?;
        self.node().remove_cgroups()?;
        self.network.remove()?;
        let mut remains = self.node().remains()?;
        remains.extend(self.network.remains());
        ensure!(
            remains.is_empty(),
            "the cluster {} could not be removed completely; left are: {}",
            self.name(),
            remains.join(", ")
        );
        Ok(())
    }
}
