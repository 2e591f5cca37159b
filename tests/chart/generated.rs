//! Generated files, which must be up to date.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use anyhow::{Context as _, Result};
use harness::{repository, run};
use serde_json::Value as Json;
use tempfile::TempDir;

use crate::helm::objects;

/// Returns the YAML files of a folder, by name.
fn texts(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut texts = BTreeMap::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let name = path.file_name().and_then(|name| name.to_str()).context("a file name is not UTF-8")?;
            texts.insert(name.to_owned(), fs::read_to_string(&path)?);
        }
    }
    Ok(texts)
}

#[test]
fn the_copies_of_the_crds_and_the_list_of_values_are_up_to_date() -> Result<()> {
    let fresh = TempDir::new()?;
    run(Command::new(repository().join("charts/generate")).arg(fresh.path()))?;
    let crds = "charts/snmp-operator/files/crds";
    assert!(
        texts(&fresh.path().join(crds))? == texts(&repository().join(crds))?,
        "{crds} is out of date: run `make generate`"
    );
    let values = "docs/values.md";
    let read = |root: &Path| fs::read_to_string(root.join(values));
    assert!(read(fresh.path())? == read(repository())?, "{values} is out of date: run `make generate`");
    Ok(())
}

#[test]
fn crds_are_rendered_unchanged_except_for_labels_and_the_resource_policy() -> Result<()> {
    for keep in [true, false] {
        let rendered = objects(&[&format!("crds.keep={keep}")])?;
        let mut rendered: BTreeMap<_, _> = rendered
            .into_iter()
            .filter(|object| object["kind"] == "CustomResourceDefinition")
            .map(|object| (object["metadata"]["name"].as_str().unwrap_or_default().to_owned(), object))
            .collect();
        for yaml in texts(&repository().join("crds"))?.into_values() {
            let definition: Json = serde_saphyr::from_str(&yaml)?;
            let name = definition["metadata"]["name"].as_str().context("a CRD has no name")?;
            let found = rendered.remove(name).with_context(|| format!("the chart does not render {name}"))?;
            assert_eq!(found["spec"], definition["spec"], "{name}");
            assert_eq!(found["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep", keep);
            assert_eq!(found["metadata"]["labels"]["app.kubernetes.io/managed-by"], "Helm");
        }
        assert!(rendered.is_empty(), "{rendered:?}");
    }
    let without = objects(&["crds.enabled=false"])?;
    assert!(without.iter().all(|object| object["kind"] != "CustomResourceDefinition"));
    Ok(())
}
