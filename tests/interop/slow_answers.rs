//! A sidecar that is stopped for a while: snmpd sends each request again every second, and gives up after about six.
//! No other master is known to, so this is under snmpd alone.

use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};
use harness::{Exporter, MasterKind::NetSnmp, Signal};

use crate::world::{BASE, Manifest, PAGE, WALK, World, rows_under};

/// State and unread octets of the sidecar's connection to snmpd's AgentX port, from /proc/net/tcp.
fn connection(agentx_port: u16) -> Result<(String, u64)> {
    let table = fs::read_to_string("/proc/net/tcp")?;
    let remote = format!("0100007F:{agentx_port:04X}");
    let row =
        table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).find(|row| row.get(2) == Some(&&*remote));
    let row = row.context("no connection")?;
    let (_, unread) = row[4].split_once(':').context("no queue")?;
    Ok((row[3].to_owned(), u64::from_str_radix(unread, 16)?))
}

#[test]
fn requests_that_come_again_and_again_upset_nothing() -> Result<()> {
    let world = World::serve_over(NetSnmp, |agent| agent.tcp_url(), Exporter::with_page(PAGE)?, Manifest::default())?;
    let client = world.agent.v2c().patience(Duration::from_secs(30), 0);
    world.sidecar.signal(Signal::STOP)?;
    let mut command = client.command("snmpget", &[])?;
    let mut get = world.sandbox.start("get", command.arg(format!("{BASE}.1.0")))?;
    let mut sizes: Vec<u64> = Vec::new();
    world.sandbox.wait_for("snmpd to ask three times", || {
        let (_, unread) = connection(world.agent.agentx_port())?;
        if unread > sizes.last().copied().unwrap_or_default() {
            sizes.push(unread);
        }
        ensure!(sizes.len() >= 3, "unread octets: {sizes:?}");
        Ok(())
    })?;
    world.sidecar.signal(Signal::CONT)?;
    world.sandbox.wait_for_end(&mut get)?;
    let answer = world.sandbox.log("get");
    assert_eq!(harness::parse_rows(&answer)?, rows_under(BASE, &WALK[..1]), "{answer}");
    for _ in 0..20 {
        assert_eq!(client.walk(harness::Walk::Next, BASE)?, rows_under(BASE, WALK));
    }
    assert_eq!(world.sidecar.count("connects")?, 1, "the session did not last");
    assert!(world.sidecar.count("resends")? >= 2, "the requests that came again were not noticed");
    Ok(())
}

#[test]
fn a_session_that_snmpd_gave_up_is_opened_again() -> Result<()> {
    const CLOSE_WAIT: &str = "08";
    let world = World::serve_over(NetSnmp, |agent| agent.tcp_url(), Exporter::with_page(PAGE)?, Manifest::default())?;
    world.sidecar.signal(Signal::STOP)?;
    let client = world.agent.v2c().patience(Duration::from_secs(1), 0);
    world.sandbox.wait_for("snmpd to close the session", || {
        // Ask for something, so that there is something to give up over.
        client.get(&[&format!("{BASE}.1.0")]).ok();
        let (state, unread) = connection(world.agent.agentx_port())?;
        ensure!(state == CLOSE_WAIT, "state {state}, {unread} octets unread");
        Ok(())
    })?;
    world.sidecar.signal(Signal::CONT)?;
    world.wait_for_value(WALK[0])
}
