//! From manifests to a plan, for `render` and `check`.

use std::fmt::Write as _;

use anyhow::bail;
use master_config::Listeners;

use super::manifest::{self, Manifests, Problem};
use crate::{
    cli::Input,
    plan::{self, Delivery, Plan, Refusal, Settings},
};

/// Reads the manifests and plans their configuration.
///
/// # Errors
/// Returns an error if there is no SnmpSubtree, if a manifest is invalid, or if an object is refused. Its message has
/// one line for each problem.
pub(super) fn plan(input: &Input, listeners: Listeners) -> anyhow::Result<Plan> {
    let Manifests { objects, locations, skipped, mut problems } = manifest::read(&input.paths, &input.namespace);
    if objects.subtrees.is_empty() && problems.is_empty() {
        bail!("there is no SnmpSubtree among the manifests ({skipped} objects of other kinds were skipped)");
    }
    // Quotas belong to a cluster; manifests have none.
    let settings = Settings {
        system_namespace: input.system_namespace.clone(),
        subtrees_per_namespace: usize::MAX,
        targets_per_namespace: usize::MAX,
        ..Settings::default()
    };
    let plan = plan::plan(&objects, &settings, &Delivery::Files { listeners });
    for Refusal { object, path, message, .. } in &plan.refusals {
        if let Some(location) = locations.get(object).cloned() {
            let (object, path, message) = (object.to_string(), path.clone(), message.clone());
            problems.push(Problem::Object { location, object, path, message });
        }
    }
    if problems.is_empty() {
        return Ok(plan);
    }
    problems.sort_by(|a, b| a.sort_key().cmp(&b.sort_key()));
    let mut text = String::new();
    for problem in &problems {
        writeln!(text, "{}", printable(&problem.to_string()))?;
    }
    let noun = if problems.len() == 1 { "problem" } else { "problems" };
    bail!("{text}{} {noun}", problems.len());
}

/// Returns the text with control characters escaped. Manifests can contain sequences that would steer a terminal.
fn printable(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut printable, c| {
        if c.is_control() {
            printable.extend(c.escape_default());
        } else {
            printable.push(c);
        }
        printable
    })
}
