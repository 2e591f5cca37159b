//! Subagents that come and go.

use std::thread;

use agentx::{Body, CloseReason, Context, Oid};
use anyhow::{Result, anyhow, ensure};
use harness::{Agent as _, SnmpMaster, Subagent, Walk};

use super::Served;
use crate::world::{BASE, OTHER};

const SESSIONS: usize = 10_000;
/// How many come and go before memory is looked at for the first time.
const WARM_UP: usize = 2_000;
const CONNECTIONS: usize = 4;
/// How much more memory than after the warm-up may be resident in the end, in octets.
const MOST_GROWN: u64 = 4 << 20;

/// So many sessions, one after the other over one connection, each with two registrations. They end in turn by a Close,
/// and with the connection.
fn come_and_go(master: &SnmpMaster, sessions: usize, place: usize) -> Result<()> {
    let base: Oid = format!("{BASE}.{}", place + 1).parse()?;
    let mut subagent = Subagent::connect(&master.agentx_socket())?;
    for number in 0..sessions {
        subagent.open_session()?;
        subagent.register(&Context::default(), &base.join(&[1])?, 0)?;
        subagent.register(&Context::from("acme"), &base.join(&[2])?, 0)?;
        if number % 10 == 9 {
            subagent = Subagent::connect(&master.agentx_socket())?;
        } else {
            let closed = subagent.ask(&Context::default(), Body::Close(CloseReason::Shutdown))?;
            ensure!(closed.error == agentx::ResponseError::NoError, "{closed:?}");
        }
    }
    Ok(())
}

fn in_parallel(master: &SnmpMaster, sessions: usize) -> Result<()> {
    thread::scope(|scope| {
        let coming: Vec<_> = (0..CONNECTIONS)
            .map(|place| scope.spawn(move || come_and_go(master, sessions / CONNECTIONS, place)))
            .collect();
        coming.into_iter().try_for_each(|one| one.join().map_err(|_| anyhow!("it panicked"))?)
    })
}

#[test]
fn ten_thousand_sessions_come_and_go_and_leave_nothing() -> Result<()> {
    let served = Served::start_with(|document| {
        document["limits"] = serde_json::json!({"agentxPdusPerSecond": 1_000_000});
    })?;
    let master = &served.master;
    in_parallel(master, WARM_UP)?;
    let start = master.memory()?;
    in_parallel(master, SESSIONS)?;
    served.sandbox.wait_for("the last sessions to be gone", || {
        let (sessions, registrations) = (
            master.metric("snmp_master_agentx_sessions", &[])?,
            master.metric("snmp_master_agentx_registrations", &[])?,
        );
        ensure!((sessions, registrations) == (1.0, 1.0), "{sessions} sessions, {registrations} registrations");
        Ok(())
    })?;
    let grown = master.memory()?.resident.saturating_sub(start.resident);
    ensure!(grown <= MOST_GROWN, "{grown} octets more are resident");
    assert_eq!(master.v2c().walk(Walk::Bulk(10), BASE)?, []);
    assert_eq!(master.v2c().walk(Walk::Bulk(10), OTHER)?, served.rows);
    Ok(())
}
