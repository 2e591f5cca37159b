//! Every kind of SNMP request through a master to the sidecar.

use std::fmt::Write as _;

use anyhow::Result;
use harness::{
    Exporter,
    MasterKind::{self, NetSnmp, Ours},
    Sidecar, Walk, parse_rows,
};
use rstest::rstest;

use crate::sidecar_setup::{BASE, Manifest, PAGE, SidecarSetup, WALK, rows_under};

fn oid(arcs: &str) -> String {
    format!("{BASE}.{arcs}")
}

#[rstest]
fn every_kind_of_walk_shows_the_same_as_the_sidecar(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let setup = SidecarSetup::start(master)?;
    let expected = rows_under(BASE, WALK);
    assert_eq!(Sidecar::walk_once(&setup.config, &[])?, expected, "snmp-sidecar walk");
    assert_eq!(setup.sidecar.walk("")?, expected, "/walk");
    for client in [setup.agent.v2c(), setup.agent.v3("")] {
        for how in [Walk::Next, Walk::Bulk(1), Walk::Bulk(3), Walk::Bulk(50), Walk::Bulk(1000)] {
            assert_eq!(client.walk(how, BASE)?, expected, "{how:?}");
        }
    }
    Ok(())
}

#[rstest]
fn get_distinguishes_missing_instances_from_missing_objects(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let setup = SidecarSetup::start(master)?;
    let rows = setup.agent.v2c().get(&[&oid("1.0"), &oid("1.1"), &oid("1"), &oid("99.0"), &oid("10.1.2.2.105.110")])?;
    let expected = [
        "1.0 = Counter64: 42",
        "1.1 = No Such Instance",
        "1 = No Such Instance",
        "99.0 = No Such Object",
        "10.1.2.2.105.110 = Gauge32: 7",
    ];
    assert_eq!(rows, rows_under(BASE, &expected));
    Ok(())
}

#[rstest]
fn one_get_next_reads_two_columns(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let setup = SidecarSetup::start(master)?;
    let client = setup.agent.v2c();
    let first = client.get_next(&[&oid("10.1.2"), &oid("10.1.3")])?;
    assert_eq!(first, rows_under(BASE, &[WALK[3], WALK[5]]));
    let second = client.get_next(&[&first[0].oid.to_string(), &first[1].oid.to_string()])?;
    assert_eq!(second, rows_under(BASE, &[WALK[4], WALK[6]]));
    // After the last row, the first varbind continues in the second column, and the second varbind leaves the subtree.
    let third = client.get_next(&[&second[0].oid.to_string(), &second[1].oid.to_string()])?;
    assert_eq!(third[0], rows_under(BASE, &[WALK[5]])[0]);
    assert!(!third[1].oid.to_string().starts_with(BASE), "{:?}", third[1]);
    Ok(())
}

#[rstest]
fn one_get_bulk_reads_a_scalar_and_two_columns(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let setup = SidecarSetup::start(master)?;
    let rows = setup.agent.v2c().get_bulk(1, 2, &[&oid("1"), &oid("10.1.2"), &oid("10.1.3")])?;
    assert_eq!(rows, rows_under(BASE, &[WALK[0], WALK[3], WALK[5], WALK[4], WALK[6]]));
    Ok(())
}

#[rstest]
fn a_get_bulk_continues_into_the_next_subtree(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let setup = SidecarSetup::start(master)?;
    let rows = setup.agent.v2c().get_bulk(0, 20, &[BASE])?;
    assert_eq!(rows[..WALK.len()], rows_under(BASE, WALK));
    assert!(rows.len() > WALK.len(), "the master's own objects follow");
    assert!(rows.is_sorted_by(|a, b| a.oid < b.oid || b.value == agentx::Value::EndOfMibView));
    Ok(())
}

#[rstest]
fn snmpv1_skips_counter64(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let setup = SidecarSetup::start(master)?;
    let client = setup.agent.v1();
    let expected = rows_under(BASE, &[WALK[1], WALK[2], WALK[3], WALK[4]]);
    assert_eq!(client.walk(Walk::Next, BASE)?, expected);
    assert_eq!(client.get(&[&oid("2.0")])?, expected[..1]);
    let refused = client.get(&[&oid("1.0")]).expect_err("SNMPv1 has no Counter64").to_string();
    assert!(refused.contains("noSuchName"), "{refused}");
    Ok(())
}

#[rstest]
fn a_set_of_a_read_only_object_is_refused_with_not_writable(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let setup = SidecarSetup::start(master)?;
    let refused = setup.agent.v2c().set(&oid("2.0"), "i", "5").expect_err("the object is read-only").to_string();
    assert!(refused.contains("notWritable"), "{refused}");
    setup.wait_for_value(WALK[1])
}

#[rstest]
fn every_syntax_reaches_the_nms(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let page = "minus -5\nhuge 1e12\nneat 18446744073709551615\nnan NaN\none 1\nzero 0\nodd 2.5\n";
    let cases = [
        ("Integer32", "metric: minus", Some("INTEGER: -5")),
        ("Integer32", "metric: huge", None),
        ("Integer32", "metric: nan", None),
        ("Integer32", "metric: odd", Some("INTEGER: 3")),
        ("Integer32", "metric: odd, round: Floor", Some("INTEGER: 2")),
        ("Unsigned32", "metric: one", Some("Gauge32: 1")),
        ("Gauge32", "metric: huge", Some("Gauge32: 4294967295")),
        ("Counter32", "metric: huge", Some("Counter32: 3567587328")),
        ("Counter64", "metric: neat", Some("Counter64: 18446744073709551615")),
        ("TimeTicks", "metric: one, scale: 100", Some("Timeticks: (100) 0:00:01.00")),
        ("TruthValue", "metric: one", Some("INTEGER: 1")),
        ("TruthValue", "metric: zero", Some("INTEGER: 2")),
        ("OctetString", "constant: ab", Some("Hex-STRING: 61 62")),
        ("DisplayString", "constant: ''", Some("\"\"")),
        ("DisplayString", "constant: \"quote \\\" back \\\\ end\"", Some("STRING: \"quote \\\" back \\\\ end\"")),
        ("IpAddress", "constant: 192.0.2.1", Some("IpAddress: 192.0.2.1")),
        ("ObjectIdentifier", "constant: 1.3.6.1.4.1.8072", Some("OID: .1.3.6.1.4.1.8072")),
    ];
    let mut objects = "  scalars:\n".to_owned();
    let mut expected = String::new();
    for (number, (syntax, value, shown)) in (1..).zip(cases) {
        let source = if value.starts_with("metric") { "source: app, " } else { "" };
        let value = format!("{{{source}{value}}}");
        // Writing to a string cannot fail.
        let _ = writeln!(objects, "  - {{name: s{number}, oid: '{number}', syntax: {syntax}, value: {value}}}");
        if let Some(shown) = shown {
            let _ = writeln!(expected, "{BASE}.{number}.0 = {shown}");
        }
    }
    let setup =
        SidecarSetup::serve(master, Exporter::with_page(page)?, Manifest { objects: &objects, ..Manifest::default() })?;
    let expected = parse_rows(&expected)?;
    assert_eq!(Sidecar::walk_once(&setup.config, &[])?, expected, "snmp-sidecar walk");
    assert_eq!(setup.agent.v2c().walk(Walk::Bulk(50), BASE)?, expected);
    Ok(())
}

#[rstest]
fn a_long_display_string_is_the_same_by_snmp_and_by_the_sidecar(
    #[values(NetSnmp, Ours)] master: MasterKind,
) -> Result<()> {
    let text = "x".repeat(1_000);
    let page = PAGE.replace("1.2.3", &text);
    let setup = SidecarSetup::serve(master, Exporter::with_page(&page)?, Manifest::default())?;
    let rows = setup.agent.v2c().get(&[&oid("3.0")])?;
    // It may be cut, because RFC 2579 limits DisplayString to 255 octets.
    assert_eq!(rows[0].text()?.trim_start_matches('x'), "");
    assert_eq!(
        rows,
        Sidecar::walk_once(&setup.config, &[])?.into_iter().filter(|row| row.oid == rows[0].oid).collect::<Vec<_>>()
    );
    Ok(())
}
