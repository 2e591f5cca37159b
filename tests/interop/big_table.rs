//! A table of 10,000 rows and 10 columns.

use std::fmt::Write as _;

use anyhow::{Result, ensure};
use harness::{
    Exporter,
    MasterKind::{self, NetSnmp, Ours},
    Reply, Sidecar, Walk, oids_and_types,
};
use rstest::rstest;

use crate::sidecar_setup::{BASE, Manifest, SidecarSetup};

const ROWS: usize = 10_000;
const COLUMNS: usize = 10;

/// Returns the page of this scrape. Every value differs from that of the scrape before.
fn page(number: usize, rows: usize, columns: usize) -> String {
    let mut page = String::new();
    for column in 0..columns {
        for row in 0..rows {
            let value = row * columns + column + number;
            // Writing to a string cannot fail.
            let _ = writeln!(page, "cell_{column}{{row=\"{row}\"}} {value}");
        }
    }
    page
}

/// Returns a table with this many columns, which are counters and gauges in turn.
pub(crate) fn objects(columns: usize) -> String {
    let mut objects = String::from(
        "  tables:
  - name: bigTable
    oid: '1'
    index:
    - {name: bigIndex, oid: '1', label: row, as: Integer}
    columns:
",
    );
    for column in 0..columns {
        let syntax = if column % 2 == 0 { "Counter64" } else { "Gauge32" };
        let arc = column + 2;
        let value = format!("{{source: app, metric: cell_{column}}}");
        let _ = writeln!(objects, "    - {{name: big{column}, oid: '{arc}', syntax: {syntax}, value: {value}}}");
    }
    objects
}

/// Starts an application whose table has constant values.
pub(crate) fn constant(rows: usize, columns: usize) -> Result<Exporter> {
    Exporter::with_page(&page(0, rows, columns))
}

#[rstest]
fn a_walk_of_a_big_table_is_complete_while_its_values_change(
    #[values(NetSnmp, Ours)] master: MasterKind,
) -> Result<()> {
    let exporter = Exporter::start(Reply::made(|number| page(number, ROWS, COLUMNS)))?;
    let objects = objects(COLUMNS);
    let endpoint = "interval: 4s, scrapeTimeout: 4s";
    let manifest = Manifest { objects: &objects, endpoint, stale_after: "5m", ..Manifest::default() };
    let setup = SidecarSetup::serve(master, exporter, manifest)?;
    let whole = Sidecar::walk_once(&setup.config, &["--timeout", "60"])?;
    assert_eq!(whole.len(), ROWS * COLUMNS);
    let client = setup.agent.v2c();
    let last = whole.last().map(|row| row.oid.to_string()).unwrap_or_default();
    setup.sandbox.wait_for("the first values", || {
        let seen = client.get(&[&last])?;
        ensure!(seen.iter().all(|row| row.number().is_ok()), "{seen:?}");
        Ok(())
    })?;
    for how in [Walk::Bulk(50), Walk::Next] {
        setup.sandbox.wait_for("a walk during which a scrape happens", || {
            let scrapes_before = setup.exporter.scrapes();
            let rows = client.walk(how, BASE)?;
            // Not with assert_eq!, whose message would have 100,000 rows.
            let same = oids_and_types(&rows) == oids_and_types(&whole);
            assert!(same, "{how:?}: {} rows, not the {} of snmp-sidecar walk", rows.len(), whole.len());
            ensure!(setup.exporter.scrapes() > scrapes_before, "no scrape happened during the walk");
            Ok(())
        })?;
    }
    // From now on, the values are constant.
    setup.exporter.set(Reply::Page(page(1_000_000, ROWS, COLUMNS)));
    let whole = Sidecar::walk_once(&setup.config, &["--timeout", "60"])?;
    setup.sandbox.wait_for("the last values", || {
        ensure!(client.get(&[&last])?.last() == whole.last(), "the last row has an old value");
        Ok(())
    })?;
    for how in [Walk::Bulk(50), Walk::Next] {
        assert!(client.walk(how, BASE)? == whole, "{how:?}: other values than snmp-sidecar walk");
    }
    Ok(())
}
