//! Sources that fail.

use anyhow::Result;
use harness::{
    Exporter,
    MasterKind::{self, NetSnmp, Ours},
    Reply,
};
use rstest::rstest;

use crate::world::{BASE, Manifest, World, rows_under};

const OBJECTS: &str = "
  scalars:
  - {name: requests, oid: '1', syntax: Gauge32, value: {source: app, metric: requests}}
  - {name: up, oid: '2', syntax: Integer32, value: {source: app, metric: up}}
  - {name: held, oid: '3', syntax: Gauge32, value: {source: app, metric: requests, onMissing: Hold}}
  - {name: zero, oid: '4', syntax: Gauge32, value: {source: app, metric: requests, onMissing: Zero}}
";

/// The source fails in this way: its values hold, then they are gone, and they come back with it.
fn fails_and_comes_back(master: MasterKind, failure: Reply) -> Result<()> {
    let name = format!("{failure:?}");
    let endpoint = "interval: 1s, scrapeTimeout: 1s";
    let manifest = Manifest { objects: OBJECTS, endpoint, stale_after: "8s", ..Manifest::default() };
    let world = World::serve(master, Exporter::with_page("requests 7\n")?, manifest)?;
    world.wait_for_value("1.0 = Gauge32: 7")?;
    world.wait_for_value("2.0 = INTEGER: 1")?;
    world.exporter.set(failure);
    world.wait_for_value("2.0 = INTEGER: 0")?;
    let rows = world.agent.v2c().get(&[&format!("{BASE}.1.0")])?;
    assert_eq!(rows, rows_under(BASE, &["1.0 = Gauge32: 7"]), "{name}: the value did not hold");
    world.wait_for_value("1.0 = No Such Instance")?;
    world.wait_for_value("3.0 = Gauge32: 7")?;
    world.wait_for_value("4.0 = Gauge32: 0")?;
    world.exporter.set(Reply::Page("requests 8\n".to_owned()));
    for row in ["1.0 = Gauge32: 8", "2.0 = INTEGER: 1", "3.0 = Gauge32: 8", "4.0 = Gauge32: 8"] {
        world.wait_for_value(row)?;
    }
    Ok(())
}

#[rstest]
fn values_of_a_source_that_answers_errors_hold_and_then_go(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    fails_and_comes_back(master, Reply::Status(500))
}

#[rstest]
fn values_of_a_source_that_hangs_hold_and_then_go(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    fails_and_comes_back(master, Reply::Hang)
}

#[rstest]
fn values_of_a_source_that_shows_html_hold_and_then_go(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    fails_and_comes_back(master, Reply::Html)
}

#[rstest]
fn values_of_a_source_that_is_cut_off_hold_and_then_go(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    fails_and_comes_back(master, Reply::Cut("requests 9\n".to_owned()))
}

#[rstest]
fn values_of_a_source_with_a_malformed_line_hold_and_then_go(
    #[values(NetSnmp, Ours)] master: MasterKind,
) -> Result<()> {
    fails_and_comes_back(master, Reply::Page("requests 9\nthis is no sample line {\n".to_owned()))
}

#[rstest]
fn a_counter_goes_on_when_the_application_restarts(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let objects = "
  scalars:
  - {name: total, oid: '1', syntax: Counter64, value: {source: app, metric: total}}
  - {name: plain, oid: '2', syntax: Counter64, value: {source: app, metric: total, counterReset: PassThrough}}
";
    let world = World::serve(master, Exporter::with_page("total 100\n")?, Manifest { objects, ..Manifest::default() })?;
    world.wait_for_value("1.0 = Counter64: 100")?;
    world.exporter.set(Reply::Page("total 5\n".to_owned()));
    world.wait_for_value("2.0 = Counter64: 5")?;
    world.wait_for_value("1.0 = Counter64: 105")?;
    world.exporter.set(Reply::Page("total 7\n".to_owned()));
    world.wait_for_value("1.0 = Counter64: 107")
}
