//! A sidecar that is stopped for a while. snmpd repeats each request every second and closes the session after about six.
//! No other master is known to do so, so these tests use snmpd only.

use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};
use harness::{Exporter, MasterKind::NetSnmp, Signal};

use crate::sidecar_setup::{BASE, Manifest, PAGE, SidecarSetup, WALK, rows_under};

/// Returns the state and the number of unread octets of the sidecar's connection to this AgentX port, from /proc/net/tcp.
fn connection(agentx_port: u16) -> Result<(String, u64)> {
    let table = fs::read_to_string("/proc/net/tcp")?;
    let remote = format!("0100007F:{agentx_port:04X}");
    let row =
        table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).find(|row| row.get(2) == Some(&&*remote));
    let row = row.context("the sidecar has no connection to the AgentX port")?;
    let (_, unread) = row[4].split_once(':').context("/proc/net/tcp has no queue lengths")?;
    Ok((row[3].to_owned(), u64::from_str_radix(unread, 16)?))
}

#[test]
fn repeated_requests_are_answered_once_and_keep_the_session() -> Result<()> {
    let setup =
        SidecarSetup::serve_over(NetSnmp, |agent| agent.tcp_url(), Exporter::with_page(PAGE)?, Manifest::default())?;
    let client = setup.agent.v2c().with_timeout(Duration::from_secs(30), 0);
    setup.sidecar.signal(Signal::STOP)?;
    let mut command = client.command("snmpget", &[])?;
    let mut get = setup.sandbox.start("get", command.arg(format!("{BASE}.1.0")))?;
    let mut sizes: Vec<u64> = Vec::new();
    setup.sandbox.wait_for("snmpd to send the request three times", || {
        let (_, unread) = connection(setup.agent.agentx_port())?;
        if unread > sizes.last().copied().unwrap_or_default() {
            sizes.push(unread);
        }
        ensure!(sizes.len() >= 3, "unread octets: {sizes:?}");
        Ok(())
    })?;
    setup.sidecar.signal(Signal::CONT)?;
    setup.sandbox.wait_for_end(&mut get)?;
    let answer = setup.sandbox.log("get");
    assert_eq!(harness::parse_rows(&answer)?, rows_under(BASE, &WALK[..1]), "{answer}");
    for _ in 0..20 {
        assert_eq!(client.walk(harness::Walk::Next, BASE)?, rows_under(BASE, WALK));
    }
    assert_eq!(setup.sidecar.count("connects")?, 1, "the session was opened again");
    assert!(setup.sidecar.count("resends")? >= 2, "the repeated requests were not counted");
    Ok(())
}

#[test]
fn a_session_that_snmpd_closed_is_opened_again() -> Result<()> {
    const CLOSE_WAIT: &str = "08";
    let setup =
        SidecarSetup::serve_over(NetSnmp, |agent| agent.tcp_url(), Exporter::with_page(PAGE)?, Manifest::default())?;
    setup.sidecar.signal(Signal::STOP)?;
    let client = setup.agent.v2c().with_timeout(Duration::from_secs(1), 0);
    setup.sandbox.wait_for("snmpd to close the session", || {
        // snmpd closes the session when a request times out.
        client.get(&[&format!("{BASE}.1.0")]).ok();
        let (state, unread) = connection(setup.agent.agentx_port())?;
        ensure!(state == CLOSE_WAIT, "state {state}, {unread} octets unread");
        Ok(())
    })?;
    setup.sidecar.signal(Signal::CONT)?;
    setup.wait_for_value(WALK[0])
}
