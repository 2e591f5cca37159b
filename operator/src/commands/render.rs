//! `snmp-operator render`: writes the configuration of sidecars and master to a folder.

mod objects;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use master_config::Listeners;

use super::{
    output::{self, Content, Files, Replaced},
    prepare,
};
use crate::{
    cli::{Format, Input},
    plan::{
        Credentials, Origin, Plan, SIDECAR_CONFIGURATION,
        shards::{KEY, NAME},
    },
};

/// Renders the manifests to `folder`. Returns what to print: the files, and what the user still has to do.
///
/// # Errors
/// Returns an error if a manifest is invalid or refused, or if the folder cannot be written.
pub(super) fn render(input: &Input, folder: &Path, format: Format, listeners: Listeners) -> anyhow::Result<String> {
    let plan = prepare::plan(input, listeners)?;
    let mut files = Files::new();
    for (namespace, documents) in &plan.documents {
        let folder = PathBuf::from(namespace);
        match format {
            Format::Manifests => {
                let yaml = serde_saphyr::to_string(&objects::config_map(namespace, documents))
                    .with_context(|| format!("the ConfigMap of {namespace} cannot be written as YAML"))?;
                files.insert(folder.join(format!("configmap-{SIDECAR_CONFIGURATION}.yaml")), Content::Public(yaml));
            }
            Format::Mounted => {
                let folder = folder.join(SIDECAR_CONFIGURATION);
                let content = |text: &String| Content::Public(text.clone());
                files.extend(documents.iter().map(|(name, text)| (folder.join(name), content(text))));
            }
        }
    }
    let master = master_document(&plan)?;
    let (path, text) = match format {
        Format::Manifests => {
            let secret = objects::master_secret(&input.system_namespace, &master)?;
            (
                objects::master_secret_file(),
                serde_saphyr::to_string(&secret).context("the Secret cannot be written as YAML")?,
            )
        }
        Format::Mounted => (Path::new(NAME).join(KEY), master),
    };
    files.insert(path, Content::Secret(text));
    let done = match output::replace(folder, &files)? {
        Replaced::Written => "wrote",
        Replaced::Unchanged => "unchanged:",
    };
    let mut printed = String::new();
    for path in files.keys() {
        writeln!(printed, "{done} {}", folder.join(path).display())?;
    }
    printed += &remaining_work(&plan, folder, format)?;
    Ok(printed)
}

/// Returns the text of the master's document.
fn master_document(plan: &Plan) -> anyhow::Result<String> {
    let documents = plan.master.as_ref().map_err(|violations| {
        let violations: Vec<_> = violations.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("the master would refuse its configuration: {}", violations.join("; "))
    })?;
    let document = documents.first().context("the plan has no document for the master")?;
    let text = serde_json::to_string_pretty(document)? + "\n";
    if text.len() > master_config::MAX_OCTETS {
        bail!(
            "the master would refuse its configuration: {}",
            master_config::ParseError::TooLong { octets: text.len(), max: master_config::MAX_OCTETS }
        );
    }
    Ok(text)
}

/// Returns what the user still has to do, one line for each thing.
fn remaining_work(plan: &Plan, folder: &Path, format: Format) -> Result<String, std::fmt::Error> {
    let mut lines = String::new();
    for (namespace, credentials) in credentials(plan) {
        for (file, origin) in credentials {
            match format {
                Format::Manifests => {
                    let kind = match origin {
                        Origin::Secret(_) => "Secret",
                        Origin::ConfigMap(_) => "ConfigMap",
                    };
                    writeln!(lines, "{kind} {namespace}/{SIDECAR_CONFIGURATION} needs the key {file}: {origin}")?;
                }
                Format::Mounted => {
                    let path = folder.join(&namespace).join(SIDECAR_CONFIGURATION).join(file);
                    writeln!(lines, "needed: {}: {origin}", path.display())?;
                }
            }
        }
    }
    let served: BTreeSet<_> = plan.subtrees.iter().flat_map(|planned| &planned.document.contexts).collect();
    for context in plan.contexts.iter().filter(|context| served.contains(&context.name)) {
        if context.communities.is_empty() && context.users.is_empty() {
            let name = &context.name;
            writeln!(
                lines,
                "nobody can read the context {name:?} from the master: it has no communities and no users"
            )?;
        }
    }
    Ok(lines)
}

/// Returns the files that must exist beside the documents, by namespace.
fn credentials(plan: &Plan) -> BTreeMap<String, Credentials> {
    let mut namespaces = BTreeMap::<_, Credentials>::new();
    for planned in &plan.subtrees {
        namespaces.entry(planned.document.namespace.clone()).or_default().extend(planned.credentials.clone());
    }
    namespaces
}
