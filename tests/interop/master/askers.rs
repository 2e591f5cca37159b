//! Who is answered, and what the others get: communities, networks, users, contexts.

use anyhow::{Result, ensure};
use async_snmp::{Version, pdu::RequestPdu};
use harness::{Agent as _, COMMUNITY, CONTEXT_COMMUNITY, Walk};
use rstest::rstest;
use serde_json::json;

use super::{
    SNMP_IN_BAD_COMMUNITY_NAMES, SNMP_UNKNOWN_CONTEXTS, SYS_UP_TIME, Served, USM_STATS_UNKNOWN_USER_NAMES,
    USM_STATS_UNSUPPORTED_SEC_LEVELS, count,
    nms::name,
    wire::{Wire, community, get, report, unauthenticated},
};
use crate::world::OTHER;

#[rstest]
#[case::another("private")]
#[case::less("publi")]
#[case::more("publicc")]
#[case::in_capitals("PUBLIC")]
#[case::empty("")]
#[case::with_a_context("public@acme")]
#[case::with_a_zero("public\0")]
fn a_wrong_community_gets_nothing_and_is_counted(
    #[case] wrong: &str,
    #[values(Version::V1, Version::V2c)] version: Version,
) -> Result<()> {
    let served = Served::start()?;
    let wire = Wire::new(&served.master)?;
    let before = count(&served.master, SNMP_IN_BAD_COMMUNITY_NAMES)?;
    for number in 1..=3 {
        wire.is_ignored(&community(version, wrong, get(version, 1, &[SYS_UP_TIME])?)?)?;
        assert_eq!(count(&served.master, SNMP_IN_BAD_COMMUNITY_NAMES)?, before + number);
    }
    Ok(())
}

#[test]
fn a_community_is_taken_from_its_networks_alone() -> Result<()> {
    let served = Served::start_with(|document| {
        document["contexts"][0]["communities"] = json!([
            {"community": COMMUNITY, "sources": ["127.0.0.1/32"]},
            {"community": "elsewhere", "sources": ["192.0.2.0/24", "127.0.0.2/32"]},
        ]);
    })?;
    let wire = Wire::new(&served.master)?;
    let before = count(&served.master, SNMP_IN_BAD_COMMUNITY_NAMES)?;
    wire.is_ignored(&community(Version::V2c, "elsewhere", get(Version::V2c, 1, &[SYS_UP_TIME])?)?)?;
    assert_eq!(count(&served.master, SNMP_IN_BAD_COMMUNITY_NAMES)?, before + 1);
    let from_there = served.master.client(&["-v2c", "-c", "elsewhere", "--clientaddr=127.0.0.2"]);
    assert_eq!(from_there.walk(Walk::Bulk(10), OTHER)?, served.rows);
    Ok(())
}

#[test]
fn a_community_that_only_reads_writes_nothing() -> Result<()> {
    let served = Served::start_with(|document| {
        document["contexts"][0]["communities"] = json!([{"community": COMMUNITY, "access": "ReadOnly"}]);
    })?;
    let requests = served.subagent.requests();
    let oid = served.rows[0].oid.to_string();
    for (client, refused) in [(served.master.v2c(), "noAccess"), (served.master.v1(), "noSuchName")] {
        let error = client.set(&oid, "i", "5").expect_err("it only reads").to_string();
        ensure!(error.contains(refused), "not {refused}: {error}");
    }
    assert_eq!(served.subagent.requests(), requests, "the subagent was asked");
    assert_eq!(served.master.v2c().get(&[&oid])?, served.rows[..1]);
    Ok(())
}

#[test]
fn a_community_reaches_its_own_context() -> Result<()> {
    let served = Served::start()?;
    let acme = served.master.client(&["-v2c", "-c", CONTEXT_COMMUNITY]);
    assert_eq!(acme.walk(Walk::Next, OTHER)?, []);
    assert_eq!(served.master.v2c().walk(Walk::Next, OTHER)?, served.rows);
    // The system group is in every context.
    assert_eq!(acme.get(&[SYS_UP_TIME])?.len(), 1);
    Ok(())
}

/// A document with a user without keys, who may read the default context.
fn with_guest(document: &mut serde_json::Value) {
    document["users"].as_array_mut().expect("users").push(json!({"name": "guest"}));
    let users = document["contexts"][0]["users"].as_array_mut().expect("users");
    users.push(json!({"name": "guest", "securityLevel": "NoAuthNoPriv"}));
}

#[test]
fn a_context_that_is_not_granted_is_as_one_that_there_is_not() -> Result<()> {
    let served = Served::start_with(with_guest)?;
    let wire = Wire::new(&served.master)?;
    let engine = wire.discover()?;
    let ask = |context: &str| {
        let pdu = get(Version::V3, 1, &[SYS_UP_TIME])?;
        wire.exchange(&unauthenticated(&engine, "guest", context, 65_507, pdu)?)
    };
    // Names of one length, so that nothing but what is said can differ.
    let (not_granted, there_is_none) = (ask("acme")?, ask("nope")?);
    let ((engine, counter, first), (_, same_counter, second)) =
        (report(not_granted.clone())?, report(there_is_none.clone())?);
    assert_eq!((counter.as_str(), same_counter.as_str()), (SNMP_UNKNOWN_CONTEXTS, SNMP_UNKNOWN_CONTEXTS));
    assert_eq!(second, first + 1);
    assert_eq!(not_granted.len(), there_is_none.len());
    let different: Vec<usize> = (0..not_granted.len()).filter(|at| not_granted[*at] != there_is_none[*at]).collect();
    let (end, seconds) = (not_granted.len() - 1, usize::from(engine != report(there_is_none)?.0));
    ensure!(different.contains(&end) && different.len() <= 1 + seconds, "they differ at {different:?}");
    // With a name that leads to the granted context there is an answer.
    let (_, pdu) = super::wire::plain_answer(ask("")?)?;
    assert_eq!(pdu.varbinds().len(), 1);
    Ok(())
}

#[test]
fn an_unknown_user_and_a_level_without_keys_are_reported() -> Result<()> {
    let served = Served::start_with(with_guest)?;
    let wire = Wire::new(&served.master)?;
    let engine = wire.discover()?;
    for user in ["nobody", "Guest", "guest ", "noc2"] {
        let before = count(&served.master, USM_STATS_UNKNOWN_USER_NAMES)?;
        let pdu = get(Version::V3, 1, &[SYS_UP_TIME])?;
        let (_, counter, value) = report(wire.exchange(&unauthenticated(&engine, user, "", 65_507, pdu)?)?)?;
        assert_eq!((counter.as_str(), i128::from(value)), (USM_STATS_UNKNOWN_USER_NAMES, before + 1));
    }
    let before = count(&served.master, USM_STATS_UNSUPPORTED_SEC_LEVELS)?;
    let credentials = ["-v3", "-l", "authNoPriv", "-u", "guest", "-a", "SHA", "-A", "some-password"];
    let error = served.master.client(&credentials).get(&[SYS_UP_TIME]).expect_err("it has no keys").to_string();
    ensure!(error.contains("Unsupported security level"), "{error}");
    ensure!(count(&served.master, USM_STATS_UNSUPPORTED_SEC_LEVELS)? > before);
    Ok(())
}

#[test]
fn a_user_below_the_level_of_its_context_reads_nothing() -> Result<()> {
    let served = Served::start()?;
    let wire = Wire::new(&served.master)?;
    let engine = wire.discover()?;
    let pdu = get(Version::V3, 1, &[SYS_UP_TIME])?;
    let (_, answer) = super::wire::plain_answer(wire.exchange(&unauthenticated(&engine, "noc", "", 65_507, pdu)?)?)?;
    let shown = answer.varbinds().iter().any(|varbind| matches!(varbind.value, async_snmp::Value::TimeTicks(_)));
    ensure!(!shown, "read without authentication: {answer:?}");
    let credentials = ["-v3", "-l", "authNoPriv", "-u", "noc", "-a", "SHA-256", "-A", "noc-auth-pass"];
    let error = served.master.client(&credentials).get(&[SYS_UP_TIME]).expect_err("without privacy").to_string();
    ensure!(error.contains("authorizationError") || error.contains("unknown context"), "{error}");
    Ok(())
}

#[test]
fn what_is_no_request_gets_nothing() -> Result<()> {
    let served = Served::start()?;
    let wire = Wire::new(&served.master)?;
    let good = community(Version::V2c, COMMUNITY, get(Version::V2c, 1, &[SYS_UP_TIME])?)?;
    for len in 0..good.len() {
        wire.is_ignored(&good[..len])?;
    }
    let mut version_9 = good.to_vec();
    // SEQUENCE, its length, INTEGER of one octet: the version.
    version_9[4] = 9;
    wire.is_ignored(&version_9)?;
    let mut random = harness::Random::new(1);
    for len in 0..500 {
        wire.is_ignored(&random.octets(len))?;
    }
    for at in 0..good.len() {
        let mut wrong = good.to_vec();
        wrong[at] ^= 0xFF;
        // Some of these are requests still; whatever comes, the master goes on.
        wire.send(&wrong)?;
    }
    let names = [name(SYS_UP_TIME)?];
    let again = Wire::new(&served.master)?;
    let probe = RequestPdu::get(Version::V2c, 1, &names)?.into_raw();
    again.exchange(&community(Version::V2c, COMMUNITY, probe)?)?;
    Ok(())
}
