//! Configuration changes of a running sidecar.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, ensure};
use harness::{
    Exporter,
    MasterKind::{self, NetSnmp, Ours},
    Sandbox, Sidecar, SidecarOptions, Walk, built, mount, run,
};
use rstest::rstest;

use crate::sidecar_setup::{BASE, Manifest, OTHER, WALK, render_in, rows_under, under_a_constant_walk, wait_for_value};

const ONE: &str =
    "  scalars:\n  - {name: requests, oid: '1', syntax: Counter64, value: {source: app, metric: requests_total}}\n";
const MOVED: &str =
    "  scalars:\n  - {name: requests, oid: '2', syntax: Counter32, value: {source: app, metric: requests_total}}\n";

/// Adds, changes and removes a subtree beside another one. `apply` publishes the rendered folder to the sidecar.
fn add_change_remove(master: MasterKind, apply: impl Fn(&Path, &Path, &str) -> Result<()>) -> Result<()> {
    let sandbox = Sandbox::new()?;
    let exporter = Exporter::with_page(crate::sidecar_setup::PAGE)?;
    let port = exporter.port();
    let other = Manifest { name: "other", oid: OTHER, port, ..Manifest::default() }.yaml();
    let config = sandbox.folder("mounted")?;
    let show = |version: &str, manifests: &[String]| apply(&render_in(&sandbox, version, manifests)?, &config, version);
    show("v1", std::slice::from_ref(&other))?;
    let agent = master.start(&sandbox)?;
    let masters = vec![agent.unix_url()];
    let options = SidecarOptions { config: config.clone(), masters, ..Default::default() };
    let _sidecar = Sidecar::start(&sandbox, options)?;
    let client = agent.v2c();
    let wait_for_walk = |rows: &[&str]| {
        let expected = rows_under(BASE, rows);
        sandbox.wait_for("the changed subtree", || {
            let seen = client.walk(Walk::Bulk(10), BASE)?;
            ensure!(seen == expected, "{seen:?}");
            Ok(())
        })
    };
    under_a_constant_walk(&client, &rows_under(OTHER, WALK), || {
        let subtree = |objects| Manifest { port, objects, ..Manifest::default() }.yaml();
        show("v2", &[other.clone(), subtree(ONE)])?;
        wait_for_walk(&["1.0 = Counter64: 42"])?;
        show("v3", &[other.clone(), subtree(MOVED)])?;
        wait_for_walk(&["2.0 = Counter32: 42"])?;
        show("v4", std::slice::from_ref(&other))?;
        wait_for_walk(&[])?;
        show("v5", &[other.clone(), subtree(ONE)])?;
        wait_for_walk(&["1.0 = Counter64: 42"])
    })
}

/// Replaces the files of a folder one by one, as a person does.
fn copy(rendered: &Path, folder: &Path, _version: &str) -> Result<()> {
    let names = |folder: &Path| -> Result<Vec<PathBuf>> {
        Ok(fs::read_dir(folder)?.map(|entry| Ok(PathBuf::from(entry?.file_name()))).collect::<std::io::Result<_>>()?)
    };
    let wanted = names(rendered)?;
    for name in names(folder)?.iter().filter(|name| !wanted.contains(name)) {
        fs::remove_file(folder.join(name))?;
    }
    for name in wanted {
        fs::copy(rendered.join(&name), folder.join(&name))?;
    }
    Ok(())
}

#[rstest]
fn changes_of_files_do_not_affect_other_subtrees(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    add_change_remove(master, copy)
}

#[rstest]
fn changes_of_a_mounted_config_map_do_not_affect_other_subtrees(
    #[values(NetSnmp, Ours)] master: MasterKind,
) -> Result<()> {
    add_change_remove(master, mount)
}

#[rstest]
fn an_invalid_document_changes_nothing(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let sandbox = Sandbox::new()?;
    let exporter = Exporter::with_page(crate::sidecar_setup::PAGE)?;
    let render = |objects| {
        let manifest = Manifest { port: exporter.port(), objects, ..Manifest::default() };
        render_in(&sandbox, "config", &[manifest.yaml()])
    };
    let config = render(ONE)?;
    let agent = master.start(&sandbox)?;
    let masters = vec![agent.unix_url()];
    let options = SidecarOptions { config: config.clone(), masters, ..Default::default() };
    let sidecar = Sidecar::start(&sandbox, options)?;
    let client = agent.v2c();
    let file = config.join("subtree.app.json");
    let good = fs::read_to_string(&file)?;
    let contents = [
        "",
        "not json",
        "{}",
        "[1, 2]",
        &good[..good.len() / 2],
        &good.replace("requests_total", "requests total").replace(BASE, "1.x"),
    ];
    for content in contents {
        fs::write(&file, content)?;
        sandbox.wait_for("the status to name the invalid document", || {
            let status = sidecar.status()?.to_string();
            ensure!(status.contains("subtree.app.json"), "{status}");
            Ok(())
        })?;
        assert_eq!(client.walk(Walk::Next, BASE)?, rows_under(BASE, &["1.0 = Counter64: 42"]), "{content}");
    }
    render(MOVED)?;
    wait_for_value(&sandbox, &client, "2.0 = Counter32: 42")
}

#[test]
fn check_names_the_file_and_the_invalid_field() -> Result<()> {
    let sandbox = Sandbox::new()?;
    let config = render_in(&sandbox, "config", &[Manifest { port: 9100, ..Manifest::default() }.yaml()])?;
    let check = || run(Command::new(built("snmp-sidecar")?).arg("check").arg(&config));
    check()?;
    let file = config.join("subtree.app.json");
    fs::write(&file, fs::read_to_string(&file)?.replace("Counter64", "Counter65"))?;
    let error = check().expect_err("the syntax does not exist").to_string();
    for expected in ["subtree.app.json", "syntax", "Counter65"] {
        ensure!(error.contains(expected), "the error does not name {expected}: {error}");
    }
    Ok(())
}
