//! Thousands of sessions that are opened and closed.

use std::thread;

use agentx::{Body, CloseReason, Context, Oid};
use anyhow::{Result, anyhow, ensure};
use harness::{MasterProgram, ScriptedSubagent, SnmpAgent as _, Walk};

use super::Served;
use crate::sidecar_setup::{BASE, OTHER};

const SESSIONS: usize = 10_000;
/// The number of sessions before the first measurement of memory.
const WARM_UP: usize = 2_000;
const CONNECTIONS: usize = 4;
/// The most memory, in octets, that the master may use at the end beyond that after the warm-up.
const MOST_GROWTH: u64 = 4 << 20;

/// Opens this many sessions one after the other, each with two registrations. Nine of ten end with a Close PDU, the tenth
/// with the connection. Each connection has regions of its own, because the master may read the first PDU of the next
/// connection before the end of this one.
fn open_and_close(master: &MasterProgram, sessions: usize, connection: usize) -> Result<()> {
    let base: Oid = format!("{BASE}.{}", connection + 1).parse()?;
    let region = |context: u32, number: usize| anyhow::Ok(base.join(&[context, u32::try_from(number / 10)?])?);
    let mut subagent = ScriptedSubagent::connect(&master.agentx_socket())?;
    for number in 0..sessions {
        subagent.open_session()?;
        subagent.register(&Context::default(), &region(1, number)?, 0)?;
        subagent.register(&Context::from("acme"), &region(2, number)?, 0)?;
        if number % 10 == 9 {
            subagent = ScriptedSubagent::connect(&master.agentx_socket())?;
        } else {
            let closed = subagent.ask(&Context::default(), Body::Close(CloseReason::Shutdown))?;
            ensure!(closed.error == agentx::ResponseError::NoError, "{closed:?}");
        }
    }
    Ok(())
}

fn in_parallel(master: &MasterProgram, sessions: usize) -> Result<()> {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS)
            .map(|number| scope.spawn(move || open_and_close(master, sessions / CONNECTIONS, number)))
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?)
    })
}

#[test]
fn ten_thousand_closed_sessions_leave_no_memory_behind() -> Result<()> {
    let served = Served::start_with(|document| {
        document["limits"] = serde_json::json!({"agentxPdusPerSecond": 1_000_000});
    })?;
    let master = &served.master;
    in_parallel(master, WARM_UP)?;
    let start = master.memory()?;
    in_parallel(master, SESSIONS)?;
    served.sandbox.wait_for("the last sessions to end", || {
        let (sessions, registrations) = (
            master.metric("snmp_master_agentx_sessions", &[])?,
            master.metric("snmp_master_agentx_registrations", &[])?,
        );
        ensure!((sessions, registrations) == (1.0, 1.0), "{sessions} sessions, {registrations} registrations");
        Ok(())
    })?;
    let grown = master.memory()?.resident.saturating_sub(start.resident);
    ensure!(grown <= MOST_GROWTH, "the master uses {grown} octets more than after the warm-up");
    assert_eq!(master.v2c().walk(Walk::Bulk(10), BASE)?, []);
    assert_eq!(master.v2c().walk(Walk::Bulk(10), OTHER)?, served.rows);
    Ok(())
}
