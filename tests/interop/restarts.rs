//! Restarts of the sidecar and the master, also in the middle of a walk.

use std::time::Duration;

use anyhow::{Result, ensure};
use harness::{
    Exporter,
    MasterKind::{self, NetSnmp, Ours},
    Process, Reply, Row, Sandbox, Sidecar, SidecarOptions, Walk, parse_rows,
};
use rstest::rstest;

use crate::{
    big_table::{constant, objects},
    sidecar_setup::{BASE, Manifest, SidecarSetup, render_in, rows_under, wait_for_value},
};

const ROWS: usize = 6_000;
const COLUMNS: usize = 8;

fn setup(master: MasterKind) -> Result<SidecarSetup> {
    let objects = objects(COLUMNS);
    SidecarSetup::serve(
        master,
        constant(ROWS, COLUMNS)?,
        Manifest { objects: &objects, endpoint: "interval: 10s", ..Manifest::default() },
    )
}

/// Starts a walk of the whole table and waits until it has shown some rows.
fn begin_walk(setup: &SidecarSetup) -> Result<Process> {
    let mut command = setup.agent.v2c().with_timeout(Duration::from_secs(2), 10).command("snmpwalk", &[])?;
    let mut walk = setup.sandbox.start("walk", command.arg(BASE))?;
    setup.sandbox.wait_for("the walk to show some rows", || {
        let rows = setup.sandbox.log("walk").lines().count();
        ensure!(rows > 100, "{rows} rows");
        Ok(())
    })?;
    walk.running()?;
    Ok(walk)
}

/// Waits until the walk ends, and checks that it shows the beginning of the table. It shows the whole table if the restart
/// was faster than the timeout of the walk.
fn check_interrupted(setup: &SidecarSetup, mut walk: Process, whole: &[Row]) -> Result<()> {
    setup.sandbox.wait_for_end(&mut walk)?;
    let log = setup.sandbox.log("walk");
    let prefix = format!(".{BASE}.");
    // After the rows, the output may say why the walk ended. The last row may be of another subtree.
    let lines: Vec<&str> = log.lines().filter(|line| line.starts_with(&prefix)).collect();
    let rows = parse_rows(&lines.join("\n"))?;
    let rows: Vec<Row> = rows.into_iter().filter(|row| !matches!(row.value, agentx::Value::NoSuchObject)).collect();
    ensure!(whole.starts_with(&rows), "the interrupted walk is not the beginning of the table");
    Ok(())
}

/// Starts a walk, runs `kill` and then `restart`. Afterwards, a walk must show the same rows as before.
fn check_recovery(
    master: MasterKind,
    kill: impl FnOnce(&mut SidecarSetup) -> Result<()>,
    restart: impl FnOnce(&mut SidecarSetup) -> Result<()>,
) -> Result<()> {
    let mut setup = setup(master)?;
    let whole = setup.wait_for_complete_walk()?;
    let walk = begin_walk(&setup)?;
    kill(&mut setup)?;
    check_interrupted(&setup, walk, &whole)?;
    restart(&mut setup)?;
    ensure!(setup.wait_for_complete_walk()? == whole, "the walk after the restart shows other values");
    Ok(())
}

#[rstest]
fn a_killed_sidecar_serves_all_rows_again_after_its_restart(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let kill = |setup: &mut SidecarSetup| setup.sidecar.kill();
    check_recovery(master, kill, |setup| {
        let left = setup.agent.v2c().walk(Walk::Bulk(50), BASE)?;
        ensure!(left.is_empty(), "the master still shows rows of a killed sidecar");
        setup.sidecar.start_again()
    })
}

#[rstest]
fn the_sidecar_registers_everything_again_with_a_restarted_master(
    #[values(NetSnmp, Ours)] master: MasterKind,
) -> Result<()> {
    let restart = |setup: &mut SidecarSetup| {
        setup.agent.kill()?;
        setup.agent.start_again()
    };
    // The walk retries its requests, so it ends after the restart of the master.
    check_recovery(master, restart, |_| Ok(()))
}

#[rstest]
fn a_sidecar_unregisters_its_objects_and_exits_within_a_second(
    #[values(NetSnmp, Ours)] master: MasterKind,
) -> Result<()> {
    let mut setup = SidecarSetup::start(master)?;
    let (status, took) = setup.sidecar.stop()?;
    assert!(status.success(), "the sidecar ended with {status}");
    assert!(took.as_millis() < 1_000, "the sidecar took {took:?} to end");
    assert_eq!(setup.agent.v2c().walk(Walk::Bulk(50), BASE)?, []);
    Ok(())
}

#[rstest]
fn a_sidecar_waits_for_a_master_that_starts_later(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let mut setup = SidecarSetup::start(master)?;
    setup.agent.stop()?;
    setup.sidecar.kill()?;
    setup.sidecar.start_again()?;
    setup.agent.start_again()?;
    setup.wait_for_complete_walk()?;
    Ok(())
}

#[rstest]
fn assigned_indexes_survive_a_restart_of_the_sidecar(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let objects = "
  tables:
  - name: queueTable
    oid: '10'
    index:
    - {name: queueIndex, oid: '1', label: queue, as: Assigned}
    columns:
    - {name: queueName, oid: '2', syntax: DisplayString, value: {source: app, metric: queue_depth, label: queue}}
";
    let sandbox = Sandbox::new()?;
    let exporter = Exporter::with_page("queue_depth{queue=\"b\"} 1\nqueue_depth{queue=\"a\"} 1\n")?;
    let config =
        render_in(&sandbox, "config", &[Manifest { port: exporter.port(), objects, ..Manifest::default() }.yaml()])?;
    let agent = master.start(&sandbox)?;
    let options = SidecarOptions {
        config,
        masters: vec![agent.unix_url()],
        state: Some(sandbox.folder("state")?),
        ..Default::default()
    };
    let mut sidecar = Sidecar::start(&sandbox, options)?;
    wait_for_value(&sandbox, &agent.v2c(), "10.1.2.2 = STRING: \"a\"")?;
    sidecar.kill()?;
    exporter.set(Reply::Page("queue_depth{queue=\"new\"} 1\nqueue_depth{queue=\"a\"} 1\n".to_owned()));
    sidecar.start_again()?;
    wait_for_value(&sandbox, &agent.v2c(), "10.1.2.3 = STRING: \"new\"")?;
    let rows = ["10.1.2.2 = STRING: \"a\"", "10.1.2.3 = STRING: \"new\""];
    assert_eq!(agent.v2c().walk(Walk::Next, BASE)?, rows_under(BASE, &rows));
    Ok(())
}
