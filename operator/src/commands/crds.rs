//! `snmp-operator crds`: prints the CustomResourceDefinitions, or writes them to a folder.

use std::{fmt::Write as _, path::Path};

use super::output;

/// Writes each definition to a file in `folder`, or returns all of them. Returns what to print.
///
/// # Errors
/// Returns an error if a definition cannot be generated or a file cannot be written.
pub(super) fn crds(folder: Option<&Path>) -> anyhow::Result<String> {
    let mut printed = String::new();
    for (file, yaml) in crds::manifests()? {
        match folder {
            Some(folder) => {
                let path = folder.join(file);
                output::replace_file(&path, &yaml)?;
                writeln!(printed, "wrote {}", path.display())?;
            }
            None => write!(printed, "---\n{yaml}")?,
        }
    }
    Ok(printed)
}
