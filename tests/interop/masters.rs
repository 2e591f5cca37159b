//! Transports, and several masters at once.

use anyhow::Result;
use harness::{Exporter, Sandbox, Sidecar, SidecarOptions, Snmpd, SnmpdOptions, Walk};

use crate::world::{BASE, Manifest, PAGE, WALK, World, render_in, rows_under, wait_for_value};

#[test]
fn agentx_over_tcp_serves_the_same() -> Result<()> {
    let world = World::serve_over(Snmpd::tcp_url, Exporter::with_page(PAGE)?, Manifest::default())?;
    for how in [Walk::Next, Walk::Bulk(50)] {
        assert_eq!(world.snmpd.v2c().walk(how, BASE)?, rows_under(BASE, WALK));
    }
    Ok(())
}

#[test]
fn a_host_name_is_looked_up() -> Result<()> {
    let url = |snmpd: &Snmpd| snmpd.tcp_url().replace("127.0.0.1", "localhost");
    let world = World::serve_over(url, Exporter::with_page(PAGE)?, Manifest::default())?;
    world.wait_for_value(WALK[0])
}

#[test]
fn two_masters_are_served_at_once_and_lose_nothing_by_each_other() -> Result<()> {
    let sandbox = Sandbox::new()?;
    let exporter = Exporter::with_page(PAGE)?;
    let config = render_in(&sandbox, "config", &[Manifest { port: exporter.port(), ..Manifest::default() }.yaml()])?;
    let mut first = Snmpd::start(&sandbox)?;
    let second = Snmpd::start_with(&sandbox, SnmpdOptions { name: "snmpd-2", ..Default::default() })?;
    let masters = vec![first.unix_url(), second.tcp_url()];
    let _sidecar = Sidecar::start(&sandbox, SidecarOptions { config, masters, ..Default::default() })?;
    for snmpd in [&first, &second] {
        wait_for_value(&sandbox, &snmpd.v2c(), WALK[0])?;
        assert_eq!(snmpd.v2c().walk(Walk::Bulk(50), BASE)?, rows_under(BASE, WALK));
    }
    first.kill()?;
    for _ in 0..5 {
        assert_eq!(second.v2c().walk(Walk::Next, BASE)?, rows_under(BASE, WALK));
    }
    first.start_again()?;
    wait_for_value(&sandbox, &first.v2c(), WALK[0])
}
