//! Prometheus sources that fail, and counters that restart.

use anyhow::Result;
use harness::{
    Exporter,
    MasterKind::{self, NetSnmp, Ours},
    Reply,
};
use rstest::rstest;

use crate::sidecar_setup::{BASE, Manifest, SidecarSetup, rows_under};

const OBJECTS: &str = "
  scalars:
  - {name: requests, oid: '1', syntax: Gauge32, value: {source: app, metric: requests}}
  - {name: up, oid: '2', syntax: Integer32, value: {source: app, metric: up}}
  - {name: held, oid: '3', syntax: Gauge32, value: {source: app, metric: requests, onMissing: Hold}}
  - {name: zero, oid: '4', syntax: Gauge32, value: {source: app, metric: requests, onMissing: Zero}}
";

/// Checks that the values of a source stay when it fails, disappear when they are stale, and return with the source.
fn fail_and_recover(master: MasterKind, failure: Reply) -> Result<()> {
    let name = format!("{failure:?}");
    let endpoint = "interval: 1s, scrapeTimeout: 1s";
    let manifest = Manifest { objects: OBJECTS, endpoint, stale_after: "8s", ..Manifest::default() };
    let setup = SidecarSetup::serve(master, Exporter::with_page("requests 7\n")?, manifest)?;
    setup.wait_for_value("1.0 = Gauge32: 7")?;
    setup.wait_for_value("2.0 = INTEGER: 1")?;
    setup.exporter.set(failure);
    setup.wait_for_value("2.0 = INTEGER: 0")?;
    let rows = setup.agent.v2c().get(&[&format!("{BASE}.1.0")])?;
    assert_eq!(rows, rows_under(BASE, &["1.0 = Gauge32: 7"]), "{name}: the value did not stay");
    setup.wait_for_value("1.0 = No Such Instance")?;
    setup.wait_for_value("3.0 = Gauge32: 7")?;
    setup.wait_for_value("4.0 = Gauge32: 0")?;
    setup.exporter.set(Reply::Page("requests 8\n".to_owned()));
    for row in ["1.0 = Gauge32: 8", "2.0 = INTEGER: 1", "3.0 = Gauge32: 8", "4.0 = Gauge32: 8"] {
        setup.wait_for_value(row)?;
    }
    Ok(())
}

#[rstest]
fn values_stay_until_stale_when_the_source_replies_with_an_error(
    #[values(NetSnmp, Ours)] master: MasterKind,
) -> Result<()> {
    fail_and_recover(master, Reply::Status(500))
}

#[rstest]
fn values_stay_until_stale_when_the_source_hangs(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    fail_and_recover(master, Reply::Hang)
}

#[rstest]
fn values_stay_until_stale_when_the_source_replies_with_html(
    #[values(NetSnmp, Ours)] master: MasterKind,
) -> Result<()> {
    fail_and_recover(master, Reply::Html)
}

#[rstest]
fn values_stay_until_stale_when_the_page_is_incomplete(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    fail_and_recover(master, Reply::Cut("requests 9\n".to_owned()))
}

#[rstest]
fn values_stay_until_stale_when_the_page_has_a_malformed_line(
    #[values(NetSnmp, Ours)] master: MasterKind,
) -> Result<()> {
    fail_and_recover(master, Reply::Page("requests 9\nthis is no sample line {\n".to_owned()))
}

#[rstest]
fn a_counter_continues_when_the_application_restarts(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let objects = "
  scalars:
  - {name: total, oid: '1', syntax: Counter64, value: {source: app, metric: total}}
  - {name: plain, oid: '2', syntax: Counter64, value: {source: app, metric: total, counterReset: PassThrough}}
";
    let setup =
        SidecarSetup::serve(master, Exporter::with_page("total 100\n")?, Manifest { objects, ..Manifest::default() })?;
    setup.wait_for_value("1.0 = Counter64: 100")?;
    setup.exporter.set(Reply::Page("total 5\n".to_owned()));
    setup.wait_for_value("2.0 = Counter64: 5")?;
    setup.wait_for_value("1.0 = Counter64: 105")?;
    setup.exporter.set(Reply::Page("total 7\n".to_owned()));
    setup.wait_for_value("1.0 = Counter64: 107")
}
