//! Rules of ARCHITECTURE.md about the workspace as a whole.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    process::Command,
};

use anyhow::{Context, Result};
use harness::{repository, run};

/// Who may import which sibling. A crate that is not here may import any: the tests.
const ALLOWED: &[(&str, &[&str])] = &[
    ("snmp-operator-agentx", &[]),
    ("snmp-operator-crds", &[]),
    ("snmp-operator-daemon", &[]),
    ("snmp-operator-identity", &["snmp-operator-daemon"]),
    // For the OID, so that there is one type of it.
    ("snmp-operator-sidecar-config", &["snmp-operator-agentx"]),
    ("snmp-operator-master-config", &["snmp-operator-agentx"]),
    (
        "snmp-operator",
        &[
            "snmp-operator-crds",
            "snmp-operator-daemon",
            "snmp-operator-identity",
            "snmp-operator-master-config",
            "snmp-operator-sidecar-config",
        ],
    ),
    ("snmp-sidecar", &["snmp-operator-agentx", "snmp-operator-daemon", "snmp-operator-sidecar-config"]),
    (
        "snmp-master",
        &["snmp-operator-agentx", "snmp-operator-daemon", "snmp-operator-identity", "snmp-operator-master-config"],
    ),
];

/// Crates that must not be anywhere below a crate, however far.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("snmp-sidecar", &["kube", "kube-client", "k8s-openapi", "reqwest", "aws-lc-rs", "openssl"]),
    ("snmp-operator-agentx", &["tokio"]),
    ("snmp-operator-sidecar-config", &["tokio"]),
];

fn metadata() -> Result<serde_json::Value> {
    let cargo = env::var_os("CARGO").context("run by cargo")?;
    // For this platform alone: crates of others were never downloaded.
    let rustc = run(Command::new(env::var_os("RUSTC").unwrap_or("rustc".into())).arg("-vV"))?.stdout;
    let rustc = String::from_utf8(rustc)?;
    let host = rustc.lines().find_map(|line| line.strip_prefix("host: ")).context("no host")?;
    let mut command = Command::new(cargo);
    command
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", host])
        .current_dir(repository());
    Ok(serde_json::from_slice(&run(&mut command)?.stdout)?)
}

fn texts<'a>(list: &'a serde_json::Value, field: &'a str) -> impl Iterator<Item = &'a serde_json::Value> {
    list[field].as_array().into_iter().flatten()
}

#[test]
fn crates_import_the_siblings_that_the_architecture_allows() -> Result<()> {
    let metadata = metadata()?;
    let members: BTreeSet<&str> = texts(&metadata, "workspace_members").filter_map(|id| id.as_str()).collect();
    let packages: Vec<_> = texts(&metadata, "packages")
        .filter(|package| package["id"].as_str().is_some_and(|id| members.contains(id)))
        .collect();
    let names: BTreeSet<&str> = packages.iter().filter_map(|package| package["name"].as_str()).collect();
    for package in &packages {
        let name = package["name"].as_str().context("a name")?;
        let Some((_, allowed)) = ALLOWED.iter().find(|(member, _)| *member == name) else {
            let is_test = ["snmp-operator-tests", "snmp-operator-bench"].contains(&name);
            assert!(is_test, "the architecture does not know the crate {name}");
            continue;
        };
        let imports = texts(package, "dependencies").filter(|dependency| dependency["kind"].is_null());
        for import in imports.filter_map(|dependency| dependency["name"].as_str()).filter(|name| names.contains(name)) {
            assert!(allowed.contains(&import), "{name} imports {import}");
        }
    }
    Ok(())
}

#[test]
fn no_crate_drags_in_what_it_must_not() -> Result<()> {
    let metadata = metadata()?;
    let names: BTreeMap<&str, &str> = texts(&metadata, "packages")
        .filter_map(|package| Some((package["id"].as_str()?, package["name"].as_str()?)))
        .collect();
    let imports: BTreeMap<&str, Vec<&str>> = texts(&metadata["resolve"], "nodes")
        .filter_map(|node| {
            let normal = |import: &&serde_json::Value| texts(import, "dep_kinds").any(|kind| kind["kind"].is_null());
            let imports = texts(node, "deps").filter(normal).filter_map(|import| import["pkg"].as_str());
            Some((node["id"].as_str()?, imports.collect()))
        })
        .collect();
    for (name, forbidden) in FORBIDDEN {
        let (id, _) = names.iter().find(|(_, found)| *found == name).with_context(|| format!("no crate {name}"))?;
        let mut reached = BTreeSet::from([*id]);
        let mut ahead = vec![*id];
        while let Some(id) = ahead.pop() {
            ahead.extend(imports.get(id).into_iter().flatten().copied().filter(|import| reached.insert(*import)));
        }
        for found in reached.iter().filter_map(|id| names.get(id)) {
            assert!(!forbidden.contains(found), "{name} depends on {found}");
        }
    }
    Ok(())
}
