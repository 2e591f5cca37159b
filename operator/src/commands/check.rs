//! `snmp-operator check`: validates manifests and writes nothing.

use std::collections::BTreeSet;

use master_config::Listeners;

use super::prepare;
use crate::cli::Input;

/// Checks the manifests. Returns what to print.
///
/// # Errors
/// Returns an error if a manifest is invalid or refused.
pub(super) fn check(input: &Input) -> anyhow::Result<String> {
    let plan = prepare::plan(input, Listeners::default())?;
    let subtrees = plan.subtrees.len();
    let namespaces: BTreeSet<_> = plan.subtrees.iter().map(|planned| &planned.document.namespace).collect();
    let count = |n: usize, noun: &str| format!("{n} {noun}{}", if n == 1 { "" } else { "s" });
    Ok(format!("{} in {}: no problems found\n", count(subtrees, "subtree"), count(namespaces.len(), "namespace")))
}
