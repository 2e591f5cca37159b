//! The SNMP engine over restarts: its id, its boots, and messages from before a restart.

use anyhow::{Context as _, Result, ensure};
use harness::{Client, MasterProgram, Relay, Sandbox, SnmpAgent as _, USER};
use rstest::rstest;

use super::{
    SNMP_ENGINE_BOOTS, SNMP_ENGINE_ID, SYS_UP_TIME, USM_STATS_NOT_IN_TIME_WINDOWS, count,
    wire::{Wire, decode_report},
};

/// A way to end a master.
type End = fn(&mut MasterProgram) -> Result<()>;

fn killed(master: &mut MasterProgram) -> Result<()> {
    master.kill()
}

fn stopped(master: &mut MasterProgram) -> Result<()> {
    let (ended, _) = master.stop()?;
    ensure!(ended.success(), "snmp-master ended with {ended}");
    Ok(())
}

#[rstest]
fn a_restart_increases_the_boots_and_keeps_the_engine_id(#[values(killed, stopped)] end: End) -> Result<()> {
    let sandbox = Sandbox::new()?;
    let mut master = MasterProgram::start(&sandbox)?;
    let mut before = Wire::new(&master)?.discover()?;
    let id = master.v2c().get(&[SNMP_ENGINE_ID])?;
    for _ in 0..3 {
        end(&mut master)?;
        master.start_again()?;
        let now = Wire::new(&master)?.discover()?;
        ensure!(now.id == before.id && now.boots > before.boots, "{now:?} after {before:?}");
        assert_eq!(count(&master, SNMP_ENGINE_BOOTS)?, i128::from(now.boots));
        assert_eq!(master.v2c().get(&[SNMP_ENGINE_ID])?, id);
        before = now;
    }
    Ok(())
}

#[test]
fn two_masters_have_different_engine_ids() -> Result<()> {
    let sandbox = Sandbox::new()?;
    let (one, other) = (MasterProgram::start_named(&sandbox, "one")?, MasterProgram::start_named(&sandbox, "other")?);
    ensure!(
        Wire::new(&one)?.discover()?.id != Wire::new(&other)?.discover()?.id,
        "both masters have the same engine id"
    );
    Ok(())
}

#[test]
fn a_message_from_before_a_restart_is_not_in_the_time_window() -> Result<()> {
    let sandbox = Sandbox::new()?;
    let mut master = MasterProgram::start(&sandbox)?;
    let relay = Relay::start(master.port())?;
    let client = Client::new(&format!("127.0.0.1:{}", relay.port()), USER, sandbox.path("tools"));
    client.get(&[SYS_UP_TIME])?;
    // The first request of the client is the discovery of the engine. The last one is authenticated.
    let recorded = relay.requests().pop().context("the relay saw no request")?;
    master.kill()?;
    master.start_again()?;
    let wire = Wire::new(&master)?;
    for number in 1..=2 {
        let before = count(&master, USM_STATS_NOT_IN_TIME_WINDOWS)?;
        let (engine, counter, value) = decode_report(wire.exchange(&recorded)?)?;
        assert_eq!(counter, USM_STATS_NOT_IN_TIME_WINDOWS);
        assert_eq!(i128::from(value), before + 1, "replay {number}");
        assert_eq!(i128::from(engine.boots), count(&master, SNMP_ENGINE_BOOTS)?);
    }
    // A new request is within the time window.
    client.get(&[SYS_UP_TIME])?;
    Ok(())
}

#[test]
fn a_message_that_was_modified_in_transit_is_refused() -> Result<()> {
    let sandbox = Sandbox::new()?;
    let master = MasterProgram::start(&sandbox)?;
    let relay = Relay::start(master.port())?;
    Client::new(&format!("127.0.0.1:{}", relay.port()), USER, sandbox.path("tools")).get(&[SYS_UP_TIME])?;
    let recorded = relay.requests().pop().context("the relay saw no request")?;
    let wire = Wire::new(&master)?;
    let before = count(&master, super::USM_STATS_WRONG_DIGESTS)?;
    let mut changed = recorded;
    *changed.last_mut().context("the message is empty")? ^= 1;
    let (_, counter, value) = decode_report(wire.exchange(&changed)?)?;
    assert_eq!((counter.as_str(), i128::from(value)), (super::USM_STATS_WRONG_DIGESTS, before + 1));
    Ok(())
}
