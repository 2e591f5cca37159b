//! Sidecar and master are killed in the middle of a walk.

use std::time::Duration;

use anyhow::{Result, ensure};
use harness::{
    Exporter,
    MasterKind::{self, NetSnmp, Ours},
    Process, Reply, Row, Sandbox, Sidecar, SidecarOptions, Walk, parse_rows,
};
use rstest::rstest;

use crate::{
    big_table::{objects, still},
    world::{BASE, Manifest, World, render_in, rows_under, wait_for_value},
};

const ROWS: usize = 6_000;
const COLUMNS: usize = 8;

fn world(master: MasterKind) -> Result<World> {
    let objects = objects(COLUMNS);
    World::serve(
        master,
        still(ROWS, COLUMNS)?,
        Manifest { objects: &objects, endpoint: "interval: 10s", ..Manifest::default() },
    )
}

/// A walk of the whole table, well begun.
fn begin_walk(world: &World) -> Result<Process> {
    let mut command = world.agent.v2c().patience(Duration::from_secs(2), 10).command("snmpwalk", &[])?;
    let mut walk = world.sandbox.start("walk", command.arg(BASE))?;
    world.sandbox.wait_for("the walk to be under way", || {
        let rows = world.sandbox.log("walk").lines().count();
        ensure!(rows > 100, "{rows} rows");
        Ok(())
    })?;
    walk.running()?;
    Ok(walk)
}

/// Waits for the walk's end, and checks that it showed the beginning of the table, right and in order; the whole of it
/// where the restart was quicker than the walk's patience.
fn check_interrupted(world: &World, mut walk: Process, whole: &[Row]) -> Result<()> {
    world.sandbox.wait_for_end(&mut walk)?;
    let log = world.sandbox.log("walk");
    let prefix = format!(".{BASE}.");
    // Behind its rows a walk may say why it ended; the last row may be that of another subtree.
    let lines: Vec<&str> = log.lines().filter(|line| line.starts_with(&prefix)).collect();
    let rows = parse_rows(&lines.join("\n"))?;
    let rows: Vec<Row> = rows.into_iter().filter(|row| !matches!(row.value, agentx::Value::NoSuchObject)).collect();
    ensure!(whole.starts_with(&rows), "the interrupted walk is not the beginning of the table");
    Ok(())
}

/// Begins a walk, runs `kill`, and then `restart`; afterwards the walk must be whole again.
fn is_whole_again(
    master: MasterKind,
    kill: impl FnOnce(&mut World) -> Result<()>,
    restart: impl FnOnce(&mut World) -> Result<()>,
) -> Result<()> {
    let mut world = world(master)?;
    let whole = world.wait_for_whole_walk()?;
    let walk = begin_walk(&world)?;
    kill(&mut world)?;
    check_interrupted(&world, walk, &whole)?;
    restart(&mut world)?;
    ensure!(world.wait_for_whole_walk()? == whole, "other values");
    Ok(())
}

#[rstest]
fn a_killed_sidecar_is_whole_again_after_its_restart(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let kill = |world: &mut World| world.sidecar.kill();
    is_whole_again(master, kill, |world| {
        let left = world.agent.v2c().walk(Walk::Bulk(50), BASE)?;
        ensure!(left.is_empty(), "the master still has rows of a sidecar that is dead");
        world.sidecar.start_again()
    })
}

#[rstest]
fn a_killed_master_gets_everything_registered_again(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let restart = |world: &mut World| {
        world.agent.kill()?;
        world.agent.start_again()
    };
    // The walk goes on with its retries, so it ends only once the master is back.
    is_whole_again(master, restart, |_| Ok(()))
}

#[rstest]
fn a_sidecar_that_is_told_to_end_takes_its_objects_along_within_a_second(
    #[values(NetSnmp, Ours)] master: MasterKind,
) -> Result<()> {
    let mut world = World::start(master)?;
    let (ended, took) = world.sidecar.stop()?;
    assert!(ended.success(), "{ended}");
    assert!(took.as_millis() < 1_000, "{took:?}");
    assert_eq!(world.agent.v2c().walk(Walk::Bulk(50), BASE)?, []);
    Ok(())
}

#[rstest]
fn a_sidecar_waits_for_a_master_that_is_not_there_yet(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let mut world = World::start(master)?;
    world.agent.stop()?;
    world.sidecar.kill()?;
    world.sidecar.start_again()?;
    world.agent.start_again()?;
    world.wait_for_whole_walk()?;
    Ok(())
}

#[rstest]
fn numbers_of_rows_survive_a_restart_of_the_sidecar(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
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
