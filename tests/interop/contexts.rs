//! Tenants: the same OID in several SNMP contexts.

use anyhow::Result;
use harness::{
    CONTEXT_COMMUNITY, Exporter,
    MasterKind::{self, NetSnmp, Ours},
    Sandbox, Sidecar, SidecarOptions, Walk,
};
use rstest::rstest;

use crate::sidecar_setup::{BASE, Manifest, PAGE, SidecarSetup, WALK, context, render_in, rows_under};

#[rstest]
fn a_context_is_read_only_by_its_community_and_by_snmpv3_with_its_name(
    #[values(NetSnmp, Ours)] master: MasterKind,
) -> Result<()> {
    let manifest = Manifest { contexts: &["acme"], ..Manifest::default() };
    let setup = SidecarSetup::serve(master, Exporter::with_page(PAGE)?, manifest)?;
    let expected = rows_under(BASE, WALK);
    for client in [setup.agent.v3("acme"), setup.agent.client(&["-v2c", "-c", CONTEXT_COMMUNITY])] {
        assert_eq!(client.walk(Walk::Next, BASE)?, expected);
        assert_eq!(client.walk(Walk::Bulk(50), BASE)?, expected);
    }
    for client in [setup.agent.v2c(), setup.agent.v3("")] {
        assert_eq!(client.walk(Walk::Bulk(50), BASE)?, []);
    }
    assert_eq!(setup.sidecar.walk("acme")?, expected);
    let refused = setup.sidecar.walk("").expect_err("the context has no subtree").to_string();
    assert!(refused.contains("404"), "{refused}");
    Ok(())
}

#[rstest]
fn an_oid_has_different_values_in_different_contexts(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let sandbox = Sandbox::new()?;
    let (ours, theirs) = (Exporter::with_page("requests_total 1\n")?, Exporter::with_page("requests_total 2\n")?);
    let objects =
        "  scalars:\n  - {name: requests, oid: '1', syntax: Counter64, value: {source: app, metric: requests_total}}\n";
    let first = Manifest { port: ours.port(), objects, ..Manifest::default() };
    let second = Manifest { name: "other", contexts: &["acme"], port: theirs.port(), objects, ..Manifest::default() };
    let config = render_in(&sandbox, "config", &[context("acme"), first.yaml(), second.yaml()])?;
    let agent = master.start(&sandbox)?;
    let masters = vec![agent.unix_url()];
    let _sidecar = Sidecar::start(&sandbox, SidecarOptions { config, masters, ..Default::default() })?;
    for _ in 0..10 {
        assert_eq!(agent.v2c().walk(Walk::Next, BASE)?, rows_under(BASE, &["1.0 = Counter64: 1"]));
        assert_eq!(agent.v3("acme").walk(Walk::Next, BASE)?, rows_under(BASE, &["1.0 = Counter64: 2"]));
    }
    Ok(())
}

#[rstest]
fn a_subtree_is_served_in_each_of_its_contexts(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let manifest = Manifest { contexts: &["default", "acme"], ..Manifest::default() };
    let setup = SidecarSetup::serve(master, Exporter::with_page(PAGE)?, manifest)?;
    for client in [setup.agent.v2c(), setup.agent.v3("acme")] {
        assert_eq!(client.walk(Walk::Bulk(50), BASE)?, rows_under(BASE, WALK));
    }
    Ok(())
}
