//! Sidecar and snmpd are killed in the middle of a walk.

use std::time::Duration;

use anyhow::{Result, ensure};
use harness::{Exporter, Process, Reply, Row, Sandbox, Sidecar, SidecarOptions, Snmpd, Walk, parse_rows};

use crate::{
    big_table::{objects, still},
    world::{BASE, Manifest, World, render_in, rows_under, wait_for_value},
};

const ROWS: usize = 6_000;
const COLUMNS: usize = 8;

fn world() -> Result<World> {
    let objects = objects(COLUMNS);
    World::serve(
        still(ROWS, COLUMNS)?,
        Manifest { objects: &objects, endpoint: "interval: 10s", ..Manifest::default() },
    )
}

/// A walk of the whole table, well begun.
fn begin_walk(world: &World) -> Result<Process> {
    let mut command = world.snmpd.v2c().patience(Duration::from_secs(2), 10).command("snmpwalk", &[])?;
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
    kill: impl FnOnce(&mut World) -> Result<()>,
    restart: impl FnOnce(&mut World) -> Result<()>,
) -> Result<()> {
    let mut world = world()?;
    let whole = world.wait_for_whole_walk()?;
    let walk = begin_walk(&world)?;
    kill(&mut world)?;
    check_interrupted(&world, walk, &whole)?;
    restart(&mut world)?;
    ensure!(world.wait_for_whole_walk()? == whole, "other values");
    Ok(())
}

#[test]
fn a_killed_sidecar_is_whole_again_after_its_restart() -> Result<()> {
    let kill = |world: &mut World| world.sidecar.kill();
    is_whole_again(kill, |world| {
        let left = world.snmpd.v2c().walk(Walk::Bulk(50), BASE)?;
        ensure!(left.is_empty(), "snmpd still has rows of a sidecar that is dead");
        world.sidecar.start_again()
    })
}

#[test]
fn a_killed_snmpd_gets_everything_registered_again() -> Result<()> {
    let restart = |world: &mut World| {
        world.snmpd.kill()?;
        world.snmpd.start_again()
    };
    // The walk goes on with its retries, so it ends only once snmpd is back.
    is_whole_again(restart, |_| Ok(()))
}

#[test]
fn a_sidecar_that_is_told_to_end_takes_its_objects_along_within_a_second() -> Result<()> {
    let mut world = World::start()?;
    let (ended, took) = world.sidecar.stop()?;
    assert!(ended.success(), "{ended}");
    assert!(took.as_millis() < 1_000, "{took:?}");
    assert_eq!(world.snmpd.v2c().walk(Walk::Bulk(50), BASE)?, []);
    Ok(())
}

#[test]
fn a_sidecar_waits_for_a_master_that_is_not_there_yet() -> Result<()> {
    let mut world = World::start()?;
    world.snmpd.stop()?;
    world.sidecar.kill()?;
    world.sidecar.start_again()?;
    world.snmpd.start_again()?;
    world.wait_for_whole_walk()?;
    Ok(())
}

#[test]
fn numbers_of_rows_survive_a_restart_of_the_sidecar() -> Result<()> {
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
    let snmpd = Snmpd::start(&sandbox)?;
    let options = SidecarOptions {
        config,
        masters: vec![snmpd.unix_url()],
        state: Some(sandbox.folder("state")?),
        ..Default::default()
    };
    let mut sidecar = Sidecar::start(&sandbox, options)?;
    wait_for_value(&sandbox, &snmpd.v2c(), "10.1.2.2 = STRING: \"a\"")?;
    sidecar.kill()?;
    exporter.set(Reply::Page("queue_depth{queue=\"new\"} 1\nqueue_depth{queue=\"a\"} 1\n".to_owned()));
    sidecar.start_again()?;
    wait_for_value(&sandbox, &snmpd.v2c(), "10.1.2.3 = STRING: \"new\"")?;
    let rows = ["10.1.2.2 = STRING: \"a\"", "10.1.2.3 = STRING: \"new\""];
    assert_eq!(snmpd.v2c().walk(Walk::Next, BASE)?, rows_under(BASE, &rows));
    Ok(())
}
