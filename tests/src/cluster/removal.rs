//! Taking a cluster down, whatever there is of it.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::{Cluster, place::remove_folder};

impl Cluster {
    /// Ends all that runs of the cluster of this name and removes all that there is of it but, where that is wished, its
    /// logs. One that started only in part is taken down as well; one that is not there is no error.
    pub fn remove(name: &str, keep_logs: bool) -> Result<()> {
        let place = super::Place::new(name)?;
        if place.record().exists() {
            let cluster = Self::recorded(name)?;
            if !cluster.network.is_of_the_past()? {
                cluster.end()?;
            }
        }
        let entries = fs::read_dir(place.folder()).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()).filter(|path| !keep_logs || *path != place.logs()) {
            let removed = if path.is_dir() { remove_folder(&path) } else { fs::remove_file(&path) };
            removed.with_context(|| path.display().to_string())?;
        }
        if !keep_logs {
            remove_folder(place.folder())?;
        }
        Ok(())
    }

    /// Ends everything outside the cluster's folder, and makes sure of it.
    fn end(&self) -> Result<()> {
        let inside = self.network.holds("self");
        ensure!(!inside, "this runs in the cluster's own network: leave the cluster's shell first");
        self.node().end()?;
        self.node().remove_cgroups()?;
        self.network.remove()?;
        let mut remains = self.node().remains()?;
        remains.extend(self.network.remains());
        ensure!(remains.is_empty(), "the cluster {} left behind: {}", self.name(), remains.join(", "));
        Ok(())
    }
}
