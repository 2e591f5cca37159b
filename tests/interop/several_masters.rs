//! AgentX over TCP, several masters at the same time, and a scripted subagent.

use agentx::{Context, Oid};
use anyhow::Result;
use harness::{
    BackgroundSubagent, Exporter,
    MasterKind::{self, NetSnmp, Ours},
    Mib, Sandbox, Sidecar, SidecarOptions, SnmpAgent, Walk,
};
use rstest::rstest;

use crate::sidecar_setup::{BASE, Manifest, PAGE, SidecarSetup, WALK, render_in, rows_under, wait_for_value};

#[rstest]
fn agentx_over_tcp_serves_the_same_objects(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let setup =
        SidecarSetup::serve_over(master, |agent| agent.tcp_url(), Exporter::with_page(PAGE)?, Manifest::default())?;
    for how in [Walk::Next, Walk::Bulk(50)] {
        assert_eq!(setup.agent.v2c().walk(how, BASE)?, rows_under(BASE, WALK));
    }
    Ok(())
}

#[rstest]
fn a_master_url_may_have_a_host_name(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let url = |agent: &dyn SnmpAgent| agent.tcp_url().replace("127.0.0.1", "localhost");
    let setup = SidecarSetup::serve_over(master, url, Exporter::with_page(PAGE)?, Manifest::default())?;
    setup.wait_for_value(WALK[0])
}

#[rstest]
fn a_sidecar_serves_two_masters_independently(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let sandbox = Sandbox::new()?;
    let exporter = Exporter::with_page(PAGE)?;
    let config = render_in(&sandbox, "config", &[Manifest { port: exporter.port(), ..Manifest::default() }.yaml()])?;
    let mut first = master.start_named(&sandbox, "first")?;
    let second = master.start_named(&sandbox, "second")?;
    let masters = vec![first.unix_url(), second.tcp_url()];
    let _sidecar = Sidecar::start(&sandbox, SidecarOptions { config, masters, ..Default::default() })?;
    for agent in [&first, &second] {
        wait_for_value(&sandbox, &agent.v2c(), WALK[0])?;
        assert_eq!(agent.v2c().walk(Walk::Bulk(50), BASE)?, rows_under(BASE, WALK));
    }
    first.kill()?;
    for _ in 0..5 {
        assert_eq!(second.v2c().walk(Walk::Next, BASE)?, rows_under(BASE, WALK));
    }
    first.start_again()?;
    wait_for_value(&sandbox, &first.v2c(), WALK[0])
}

#[rstest]
fn a_walk_of_a_scripted_subagent_is_complete(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let sandbox = Sandbox::new()?;
    let agent = master.start(&sandbox)?;
    let base: Oid = BASE.parse()?;
    let mib = Mib::column(&base, 50)?;
    for (context, client) in [("", agent.v2c()), ("acme", agent.v3("acme"))] {
        let _subagent =
            BackgroundSubagent::healthy(&agent.agentx_socket(), &Context::from(context), &base, mib.clone())?;
        for how in [Walk::Next, Walk::Bulk(7), Walk::Bulk(100)] {
            assert_eq!(client.walk(how, BASE)?, mib.rows(), "{how:?}");
        }
    }
    Ok(())
}
