//! The engine over restarts: its identity, its boots, and messages from before.

use anyhow::{Context as _, Result, ensure};
use harness::{Agent as _, Client, Relay, Sandbox, SnmpMaster, USER};
use rstest::rstest;

use super::{
    SNMP_ENGINE_BOOTS, SNMP_ENGINE_ID, SYS_UP_TIME, USM_STATS_NOT_IN_TIME_WINDOWS, count,
    wire::{Wire, report},
};

/// How a master comes to its end.
type End = fn(&mut SnmpMaster) -> Result<()>;

fn killed(master: &mut SnmpMaster) -> Result<()> {
    master.kill()
}

fn stopped(master: &mut SnmpMaster) -> Result<()> {
    let (ended, _) = master.stop()?;
    ensure!(ended.success(), "{ended}");
    Ok(())
}

#[rstest]
fn boots_grow_and_the_engine_stays_the_same(#[values(killed, stopped)] end: End) -> Result<()> {
    let sandbox = Sandbox::new()?;
    let mut master = SnmpMaster::start(&sandbox)?;
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
fn two_masters_are_two_engines() -> Result<()> {
    let sandbox = Sandbox::new()?;
    let (one, other) = (SnmpMaster::start_named(&sandbox, "one")?, SnmpMaster::start_named(&sandbox, "other")?);
    ensure!(Wire::new(&one)?.discover()?.id != Wire::new(&other)?.discover()?.id, "one identity for two");
    Ok(())
}

#[test]
fn a_message_from_before_a_restart_is_not_in_the_time_window() -> Result<()> {
    let sandbox = Sandbox::new()?;
    let mut master = SnmpMaster::start(&sandbox)?;
    let relay = Relay::start(master.port())?;
    let client = Client::new(&format!("127.0.0.1:{}", relay.port()), USER, sandbox.path("tools"));
    client.get(&[SYS_UP_TIME])?;
    // The client asks who the engine is first; the last one is authenticated.
    let recorded = relay.requests().pop().context("no request")?;
    master.kill()?;
    master.start_again()?;
    let wire = Wire::new(&master)?;
    for number in 1..=2 {
        let before = count(&master, USM_STATS_NOT_IN_TIME_WINDOWS)?;
        let (engine, counter, value) = report(wire.exchange(&recorded)?)?;
        assert_eq!(counter, USM_STATS_NOT_IN_TIME_WINDOWS);
        assert_eq!(i128::from(value), before + 1, "time {number}");
        assert_eq!(i128::from(engine.boots), count(&master, SNMP_ENGINE_BOOTS)?);
    }
    // A client that asks anew is in it.
    client.get(&[SYS_UP_TIME])?;
    Ok(())
}

#[test]
fn a_message_whose_text_was_changed_on_its_way_is_refused() -> Result<()> {
    let sandbox = Sandbox::new()?;
    let master = SnmpMaster::start(&sandbox)?;
    let relay = Relay::start(master.port())?;
    Client::new(&format!("127.0.0.1:{}", relay.port()), USER, sandbox.path("tools")).get(&[SYS_UP_TIME])?;
    let recorded = relay.requests().pop().context("no request")?;
    let wire = Wire::new(&master)?;
    let before = count(&master, super::USM_STATS_WRONG_DIGESTS)?;
    let mut changed = recorded;
    *changed.last_mut().context("octets")? ^= 1;
    let (_, counter, value) = report(wire.exchange(&changed)?)?;
    assert_eq!((counter.as_str(), i128::from(value)), (super::USM_STATS_WRONG_DIGESTS, before + 1));
    Ok(())
}
