//! Rules of ARCHITECTURE.md about the workspace as a whole.

mod circles;

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    process::Command,
};

use anyhow::{Context, Result};
use harness::{repository, run};

/// The crates of this workspace that each crate may import. Crates of tests are not listed and may import any.
const ALLOWED: &[(&str, &[&str])] = &[
    ("snmp-operator-agentx", &[]),
    ("snmp-operator-crds", &[]),
    ("snmp-operator-contract", &[]),
    ("snmp-operator-daemon", &[]),
    ("snmp-operator-identity", &["snmp-operator-daemon"]),
    ("snmp-operator-lease", &[]),
    // The contracts import agentx for its type of OIDs, so that the workspace has only one.
    ("snmp-operator-sidecar-config", &["snmp-operator-agentx", "snmp-operator-contract"]),
    ("snmp-operator-master-config", &["snmp-operator-agentx", "snmp-operator-contract"]),
    (
        "snmp-operator",
        &[
            "snmp-operator-crds",
            "snmp-operator-daemon",
            "snmp-operator-identity",
            "snmp-operator-lease",
            "snmp-operator-master-config",
            "snmp-operator-sidecar-config",
        ],
    ),
    ("snmp-sidecar", &["snmp-operator-agentx", "snmp-operator-daemon", "snmp-operator-sidecar-config"]),
    (
        "snmp-master",
        &[
            "snmp-operator-agentx",
            "snmp-operator-daemon",
            "snmp-operator-identity",
            "snmp-operator-lease",
            "snmp-operator-master-config",
        ],
    ),
];

/// The crates on which a crate must not depend, directly or indirectly.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("snmp-sidecar", &["kube", "kube-client", "k8s-openapi", "reqwest", "aws-lc-rs", "openssl"]),
    ("snmp-operator-agentx", &["tokio"]),
    ("snmp-operator-contract", &["tokio"]),
    ("snmp-operator-sidecar-config", &["tokio"]),
];

/// The maximum number of modules that a crate root may declare. More modules must be grouped.
const MAX_MODULES: usize = 14;

fn metadata() -> Result<serde_json::Value> {
    let cargo = env::var_os("CARGO").context("run by cargo")?;
    // Only for this platform, because crates of other platforms were not downloaded.
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
fn crates_import_only_the_allowed_crates_of_the_workspace() -> Result<()> {
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
fn no_crate_depends_on_a_forbidden_crate() -> Result<()> {
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
        let mut pending = vec![*id];
        while let Some(id) = pending.pop() {
            pending.extend(imports.get(id).into_iter().flatten().copied().filter(|import| reached.insert(*import)));
        }
        for found in reached.iter().filter_map(|id| names.get(id)) {
            assert!(!forbidden.contains(found), "{name} depends on {found}");
        }
    }
    Ok(())
}

#[test]
fn no_crate_root_has_more_than_fourteen_modules() -> Result<()> {
    let metadata = metadata()?;
    let members: BTreeSet<&str> = texts(&metadata, "workspace_members").filter_map(|id| id.as_str()).collect();
    for package in texts(&metadata, "packages") {
        if !package["id"].as_str().is_some_and(|id| members.contains(id)) {
            continue;
        }
        for target in texts(package, "targets") {
            if !texts(target, "kind").any(|kind| kind.as_str() == Some("lib")) {
                continue;
            }
            let root = target["src_path"].as_str().context("a path")?;
            let code = fs::read_to_string(root)?;
            let modules = modules(&code);
            assert!(modules.len() <= MAX_MODULES, "{root} declares {} modules: {}", modules.len(), modules.join(", "));
        }
    }
    Ok(())
}

/// Returns the modules that a crate root declares. Modules that are compiled only for tests or fuzzing do not count.
fn modules(code: &str) -> Vec<&str> {
    let (mut modules, mut is_conditional) = (Vec::new(), false);
    for line in code.lines() {
        let declaration = line.strip_prefix("pub(crate) ").or_else(|| line.strip_prefix("pub ")).unwrap_or(line);
        if let Some(module) = declaration.strip_prefix("mod ")
            && !is_conditional
        {
            modules.push(module.trim_end_matches([';', '{', ' ']));
        }
        is_conditional = line.starts_with("#[cfg(") || is_conditional && line.starts_with("#[");
    }
    modules
}
