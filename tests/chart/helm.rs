//! Helm, and the objects that it renders.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    path::PathBuf,
    process::{Command, Output},
};

use anyhow::{Context as _, Result, bail, ensure};
use harness::{repository, run};
use serde_json::Value as Json;
use tempfile::TempDir;

/// The namespace of the release.
pub(crate) const NAMESPACE: &str = "snmp-system";

/// The chart's folder.
pub(crate) fn chart() -> PathBuf {
    repository().join("charts/snmp-operator")
}

fn program() -> Result<PathBuf> {
    let folder = env::var_os("CLUSTER_BIN").map_or_else(|| repository().join("target/cluster/bin"), PathBuf::from);
    let helm = folder.join("helm");
    ensure!(
        helm.is_file(),
        "{} is missing: run tests/cluster/build, or let CLUSTER_BIN name its folder",
        helm.display()
    );
    Ok(helm)
}

/// Runs helm without anything that a user has set up for it, and without a cluster.
fn output(arguments: &[&str]) -> Result<Output> {
    let home = TempDir::new()?;
    let mut command = Command::new(program()?);
    for folder in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        command.env(folder, home.path());
    }
    command.env("KUBECONFIG", home.path().join("none")).args(arguments);
    run(&mut command)
}

/// `helm lint --strict`.
pub(crate) fn lint(set: &[&str]) -> Result<()> {
    let chart = chart();
    let mut arguments = vec!["lint", "--strict", "--namespace", NAMESPACE, chart.to_str().context("a path")?];
    arguments.extend(set.iter().flat_map(|value| ["--set", value]));
    output(&arguments).map(drop)
}

/// What `helm template` prints with further arguments.
pub(crate) fn template(arguments: &[&str]) -> Result<String> {
    let chart = chart();
    let mut all = vec!["template", "snmp", chart.to_str().context("a path")?, "--namespace", NAMESPACE];
    all.extend(arguments);
    Ok(String::from_utf8(output(&all)?.stdout)?)
}

/// NOTES.txt as an installation prints it.
pub(crate) fn notes(set: &[&str]) -> Result<String> {
    let chart = chart();
    let chart = chart.to_str().context("a path")?;
    let mut arguments = vec!["install", "snmp", chart, "--namespace", NAMESPACE, "--dry-run=client", "--hide-secret"];
    arguments.extend(set.iter().flat_map(|value| ["--set", value]));
    let text = String::from_utf8(output(&arguments)?.stdout)?;
    text.split_once("NOTES:\n").map(|(_, notes)| notes.to_owned()).context("no NOTES")
}

/// The objects that the chart renders with these values, each as `name=value`.
pub(crate) fn objects(set: &[&str]) -> Result<Vec<Json>> {
    let arguments: Vec<_> = set.iter().flat_map(|value| ["--set", value]).collect();
    let yaml = template(&arguments)?;
    let objects: Vec<Json> = serde_saphyr::from_multiple(&yaml)?;
    ensure!(objects.iter().all(|object| object["kind"].is_string()), "a document is no object");
    Ok(objects)
}

/// What tells an object from all others, as `apps/v1 Deployment snmp-system/snmp-operator`.
pub(crate) fn id(object: &Json) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Json::as_str).unwrap_or_default();
    let namespace = text("/metadata/namespace");
    let slash = if namespace.is_empty() { "" } else { "/" };
    format!("{} {} {namespace}{slash}{}", text("/apiVersion"), text("/kind"), text("/metadata/name"))
}

/// The one object of this kind and name.
pub(crate) fn find<'a>(objects: &'a [Json], kind: &str, name: &str) -> Result<&'a Json> {
    let is_it = |object: &&Json| {
        object["kind"] == kind && object.pointer("/metadata/name").and_then(Json::as_str).is_some_and(|of| of == name)
    };
    match objects.iter().filter(is_it).collect::<Vec<_>>().as_slice() {
        [found] => Ok(found),
        found => bail!("{} of {kind} {name}", found.len()),
    }
}

/// The values in `json` that hold no others, by their paths.
pub(crate) fn leaves(json: &Json) -> BTreeMap<String, Json> {
    fn walk(path: String, json: &Json, leaves: &mut BTreeMap<String, Json>) {
        match json {
            Json::Object(fields) if !fields.is_empty() => {
                fields.iter().for_each(|(name, value)| walk(format!("{path}.{name}"), value, leaves));
            }
            Json::Array(items) if !items.is_empty() => {
                items.iter().enumerate().for_each(|(at, value)| walk(format!("{path}[{at}]"), value, leaves));
            }
            _ => drop(leaves.insert(path, json.clone())),
        }
    }
    let mut all = BTreeMap::new();
    walk(String::new(), json, &mut all);
    all
}

/// What an object says, a line for each value. Items of a list go by their name, or by what they say: their order and
/// number tell nothing here.
fn lines(object: &Json) -> BTreeSet<String> {
    fn walk(path: &str, json: &Json, lines: &mut BTreeSet<String>) {
        match json {
            Json::Object(fields) if !fields.is_empty() => {
                fields.iter().for_each(|(name, value)| walk(&format!("{path}.{name}"), value, lines));
            }
            Json::Array(items) if !items.is_empty() => {
                for item in items {
                    match item["name"].as_str() {
                        Some(name) => walk(&format!("{path}[{name}]"), item, lines),
                        None => drop(lines.insert(format!("{path}[]: {item}"))),
                    }
                }
            }
            _ => drop(lines.insert(format!("{path}: {json}"))),
        }
    }
    let mut all = BTreeSet::new();
    walk("", object, &mut all);
    all
}

/// How one rendering differs from another: objects that came, went, or changed, and each change.
pub(crate) fn difference(before: &[Json], after: &[Json]) -> String {
    let by_id = |objects: &[Json]| objects.iter().map(|object| (id(object), lines(object))).collect::<BTreeMap<_, _>>();
    let (before, after) = (by_id(before), by_id(after));
    let none = BTreeSet::new();
    let mut said = Vec::new();
    for id in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
        let (old, new) = (before.get(id), after.get(id));
        match (old, new) {
            (Some(old), Some(new)) if old == new => continue,
            (Some(_), Some(_)) => said.push(format!("  {id}")),
            (None, _) => said.push(format!("+ {id}")),
            (_, None) => {
                said.push(format!("- {id}"));
                continue;
            }
        }
        let (old, new) = (old.unwrap_or(&none), new.unwrap_or(&none));
        said.extend(old.difference(new).map(|line| format!("  - {line}")));
        said.extend(new.difference(old).map(|line| format!("  + {line}")));
    }
    said.join("\n")
}
