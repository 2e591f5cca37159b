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
/// The number of threads, each with one connection at a time.
const THREADS: usize = 4;
const SESSIONS_PER_CONNECTION: usize = 10;
/// The most memory, in octets, that the master may use at the end beyond that after the warm-up.
const MOST_GROWTH: u64 = 4 << 20;

/// Opens this many sessions one after the other, each with two registrations. The last session of a connection ends with the
/// connection, the others with a Close PDU.
///
/// Each connection registers other regions: the master may read the first Register PDU of a connection before it notices the
/// end of the previous one.
fn open_and_close(master: &MasterProgram, sessions: usize, thread: usize) -> Result<()> {
    for connection in 0..sessions / SESSIONS_PER_CONNECTION {
        let base: Oid = format!("{BASE}.{}.{connection}", thread + 1).parse()?;
        let mut subagent = ScriptedSubagent::connect(&master.agentx_socket())?;
        for session in 1..=SESSIONS_PER_CONNECTION {
            subagent.open_session()?;
            subagent.register(&Context::default(), &base.join(&[1])?, 0)?;
            subagent.register(&Context::from("acme"), &base.join(&[2])?, 0)?;
            if session < SESSIONS_PER_CONNECTION {
                let closed = subagent.ask(&Context::default(), Body::Close(CloseReason::Shutdown))?;
                ensure!(closed.error == agentx::ResponseError::NoError, "{closed:?}");
            }
        }
    }
    Ok(())
}

fn in_parallel(master: &MasterProgram, sessions: usize) -> Result<()> {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|number| scope.spawn(move || open_and_close(master, sessions / THREADS, number)))
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
