//! The configuration folder of a soak, which changes as a mounted ConfigMap does.

use std::{fs, path::PathBuf};

use anyhow::Result;

use super::{
    layout::{Document, Plan, Times},
    source::Source,
};
use crate::{Sandbox, mount};

/// A change of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Change {
    /// It is written again without a change, which must have no effect.
    Same,
    /// It is not JSON. The last valid document stays in effect.
    NotJson,
    /// Only half of it is there. The last valid document stays in effect.
    Half,
    /// It is JSON that violates a rule. The last valid document stays in effect.
    Invalid,
    /// It has an additional object.
    Changed,
    /// It is removed.
    Removed,
}

impl Change {
    pub(super) const ALL: [Self; 6] =
        [Self::Same, Self::NotJson, Self::Half, Self::Invalid, Self::Changed, Self::Removed];

    /// Returns whether the subtree publishes other objects after this change.
    pub(super) fn changes_objects(self) -> bool {
        matches!(self, Self::Changed | Self::Removed)
    }
}

/// The mounted folder with the documents of all subtrees.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) mounted: PathBuf,
    content: PathBuf,
    version: u64,
}

impl Folder {
    /// Creates the folder with the usual documents of all `plans`.
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

    /// Applies `change` to the document of `plan`.
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
