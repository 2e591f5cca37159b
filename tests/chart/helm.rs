//! Calls of Helm, and the objects that it renders.

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

/// Returns the folder of the chart.
pub(crate) fn chart() -> PathBuf {
    repository().join("charts/snmp-operator")
}

fn program() -> Result<PathBuf> {
    let folder = env::var_os("CLUSTER_BIN").map_or_else(|| repository().join("target/cluster/bin"), PathBuf::from);
    let helm = folder.join("helm");
    ensure!(helm.is_file(), "{} is missing: run tests/cluster/build, or set CLUSTER_BIN to its folder", helm.display());
    Ok(helm)
}

/// Runs helm without the user's configuration and without a cluster.
fn output(arguments: &[&str]) -> Result<Output> {
    let home = TempDir::new()?;
    let mut command = Command::new(program()?);
    for folder in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        command.env(folder, home.path());
    }
    command.env("KUBECONFIG", home.path().join("none")).args(arguments);
    run(&mut command)
}

/// Runs `helm lint --strict` with these values.
pub(crate) fn lint(set: &[&str]) -> Result<()> {
    let chart = chart();
    let mut arguments = vec![
        "lint",
        "--strict",
        "--namespace",
        NAMESPACE,
        chart.to_str().context("the path of the chart is not UTF-8")?,
    ];
    arguments.extend(set.iter().flat_map(|value| ["--set", value]));
    output(&arguments).map(drop)
}

/// Runs `helm template` with further arguments and returns its output.
pub(crate) fn template(arguments: &[&str]) -> Result<String> {
    let chart = chart();
    let mut all = vec![
        "template",
        "snmp",
        chart.to_str().context("the path of the chart is not UTF-8")?,
        "--namespace",
        NAMESPACE,
    ];
    all.extend(arguments);
    Ok(String::from_utf8(output(&all)?.stdout)?)
}

/// Returns NOTES.txt as an installation prints it.
pub(crate) fn notes(set: &[&str]) -> Result<String> {
    let chart = chart();
    let chart = chart.to_str().context("the path of the chart is not UTF-8")?;
    let mut arguments = vec!["install", "snmp", chart, "--namespace", NAMESPACE, "--dry-run=client", "--hide-secret"];
    arguments.extend(set.iter().flat_map(|value| ["--set", value]));
    let text = String::from_utf8(output(&arguments)?.stdout)?;
    text.split_once("NOTES:\n").map(|(_, notes)| notes.to_owned()).context("helm printed no NOTES")
}

/// Renders the chart with these values, each as `name=value`, and returns the objects.
pub(crate) fn objects(set: &[&str]) -> Result<Vec<Json>> {
    let arguments: Vec<_> = set.iter().flat_map(|value| ["--set", value]).collect();
    let yaml = template(&arguments)?;
    let objects: Vec<Json> = serde_saphyr::from_multiple(&yaml)?;
    ensure!(objects.iter().all(|object| object["kind"].is_string()), "a rendered document has no kind");
    Ok(objects)
}

/// Returns the identity of an object, such as `apps/v1 Deployment snmp-system/snmp-operator`.
pub(crate) fn id(object: &Json) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Json::as_str).unwrap_or_default();
    let namespace = text("/metadata/namespace");
    let slash = if namespace.is_empty() { "" } else { "/" };
    format!("{} {} {namespace}{slash}{}", text("/apiVersion"), text("/kind"), text("/metadata/name"))
}

/// Returns the object of this kind and name. Returns an error unless there is exactly one.
pub(crate) fn find<'a>(objects: &'a [Json], kind: &str, name: &str) -> Result<&'a Json> {
    let matches = |object: &&Json| {
        object["kind"] == kind && object.pointer("/metadata/name").and_then(Json::as_str).is_some_and(|of| of == name)
    };
    match objects.iter().filter(matches).collect::<Vec<_>>().as_slice() {
        [found] => Ok(found),
        found => bail!("the chart renders {} objects {kind} {name}, not 1", found.len()),
    }
}

/// Returns the values in `json` that contain no other values, by their paths.
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

/// Returns a line for each value of an object. The path of a list item contains its name instead of its position, so that
/// the order of lists does not matter.
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

/// Returns the difference between two renderings: added, removed and changed objects, with each changed value.
pub(crate) fn difference(before: &[Json], after: &[Json]) -> String {
    let by_id = |objects: &[Json]| objects.iter().map(|object| (id(object), lines(object))).collect::<BTreeMap<_, _>>();
    let (before, after) = (by_id(before), by_id(after));
    let none = BTreeSet::new();
    let mut changes = Vec::new();
    for id in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
        let (old, new) = (before.get(id), after.get(id));
        match (old, new) {
            (Some(old), Some(new)) if old == new => continue,
            (Some(_), Some(_)) => changes.push(format!("  {id}")),
            (None, _) => changes.push(format!("+ {id}")),
            (_, None) => {
                changes.push(format!("- {id}"));
                continue;
            }
        }
        let (old, new) = (old.unwrap_or(&none), new.unwrap_or(&none));
        changes.extend(old.difference(new).map(|line| format!("  - {line}")));
        changes.extend(new.difference(old).map(|line| format!("  + {line}")));
    }
    changes.join("\n")
}
