//! The configuration folder, changed as the kubelet changes a mounted ConfigMap.

use std::{fs, path::PathBuf};

use anyhow::Result;

use super::{
    layout::{Document, Plan, Times},
    source::Source,
};
use crate::{Sandbox, mount};

/// What is done to a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Change {
    /// It is written again as it was. Nobody may see that.
    Same,
    /// It is not JSON any more. The last good one counts.
    NotJson,
    /// A half of it is there. The last good one counts.
    Half,
    /// It is JSON, and breaks a rule. The last good one counts.
    Invalid,
    /// It has an object more.
    Changed,
    /// It is gone.
    Removed,
}

impl Change {
    pub(super) const ALL: [Self; 6] =
        [Self::Same, Self::NotJson, Self::Half, Self::Invalid, Self::Changed, Self::Removed];

    /// Whether the subtree may show something else for it.
    pub(super) fn disturbs(self) -> bool {
        matches!(self, Self::Changed | Self::Removed)
    }
}

/// The mounted folder with every subtree's document.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) mounted: PathBuf,
    content: PathBuf,
    version: u64,
}

impl Folder {
    /// A folder with the usual documents of all `plans`.
    pub(super) fn new(sandbox: &Sandbox, plans: &[Plan], sources: &[(Source, Times)]) -> Result<Self> {
        let mut folder = Self { mounted: sandbox.folder("mounted")?, content: sandbox.folder("content")?, version: 0 };
        for plan in plans {
            fs::write(folder.content.join(plan.file()), plan.document(Document::Usual, sources)?.to_string())?;
        }
        folder.mount()?;
        Ok(folder)
    }

    fn mount(&mut self) -> Result<()> {
        let before = self.mounted.join(format!("..{}", self.version));
        self.version += 1;
        mount(&self.content, &self.mounted, &self.version.to_string())?;
        if before.exists() {
            fs::remove_dir_all(before)?;
        }
        Ok(())
    }

    /// Does this to the document of `plan`.
    pub(super) fn change(&mut self, plan: &Plan, change: Change, sources: &[(Source, Times)]) -> Result<()> {
        let file = self.content.join(plan.file());
        let usual = plan.document(Document::Usual, sources)?.to_string();
        match change {
            Change::Same => fs::write(file, usual)?,
            Change::NotJson => fs::write(file, "apiVersion: v1\n")?,
            Change::Half => fs::write(file, usual.get(..usual.len() / 2).unwrap_or_default())?,
            Change::Invalid => fs::write(file, usual.replace("\"Counter64\"", "\"Counter65\""))?,
            Change::Changed => fs::write(file, plan.document(Document::Changed, sources)?.to_string())?,
            Change::Removed => fs::remove_file(file)?,
        }
        self.mount()
    }
}
