//! Transports, several masters at once, and a subagent of the tests' own.

use agentx::{Context, Oid};
use anyhow::Result;
use harness::{
    Agent, Exporter,
    MasterKind::{self, NetSnmp, Ours},
    Mib, Sandbox, ServedSubagent, Sidecar, SidecarOptions, Walk,
};
use rstest::rstest;

use crate::world::{BASE, Manifest, PAGE, WALK, World, render_in, rows_under, wait_for_value};

#[rstest]
fn agentx_over_tcp_serves_the_same(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let world = World::serve_over(master, |agent| agent.tcp_url(), Exporter::with_page(PAGE)?, Manifest::default())?;
    for how in [Walk::Next, Walk::Bulk(50)] {
        assert_eq!(world.agent.v2c().walk(how, BASE)?, rows_under(BASE, WALK));
    }
    Ok(())
}

#[rstest]
fn a_host_name_is_looked_up(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let url = |agent: &dyn Agent| agent.tcp_url().replace("127.0.0.1", "localhost");
    let world = World::serve_over(master, url, Exporter::with_page(PAGE)?, Manifest::default())?;
    world.wait_for_value(WALK[0])
}

#[rstest]
fn two_masters_are_served_at_once_and_lose_nothing_by_each_other(
    #[values(NetSnmp, Ours)] master: MasterKind,
) -> Result<()> {
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
fn a_subagent_of_the_tests_own_is_walked_whole(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let sandbox = Sandbox::new()?;
    let agent = master.start(&sandbox)?;
    let base: Oid = BASE.parse()?;
    let mib = Mib::column(&base, 50)?;
    for (context, client) in [("", agent.v2c()), ("acme", agent.v3("acme"))] {
        let _subagent = ServedSubagent::healthy(&agent.agentx_socket(), &Context::from(context), &base, mib.clone())?;
        for how in [Walk::Next, Walk::Bulk(7), Walk::Bulk(100)] {
            assert_eq!(client.walk(how, BASE)?, mib.rows(), "{how:?}");
        }
    }
    Ok(())
}
