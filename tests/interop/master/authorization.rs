//! Authorization by communities, networks, users and contexts.

use anyhow::{Result, ensure};
use async_snmp::{Version, pdu::RequestPdu};
use harness::{COMMUNITY, CONTEXT_COMMUNITY, SnmpAgent as _, Walk};
use rstest::rstest;
use serde_json::json;

use super::{
    SNMP_IN_BAD_COMMUNITY_NAMES, SNMP_UNKNOWN_CONTEXTS, SYS_UP_TIME, Served, USM_STATS_UNKNOWN_USER_NAMES,
    USM_STATS_UNSUPPORTED_SEC_LEVELS,
    async_snmp_client::name,
    count,
    wire::{Wire, community, decode_report, get, unauthenticated},
};
use crate::sidecar_setup::OTHER;

#[rstest]
#[case::another("private")]
#[case::less("publi")]
#[case::more("publicc")]
#[case::in_capitals("PUBLIC")]
#[case::empty("")]
#[case::with_a_context("public@acme")]
#[case::with_a_zero("public\0")]
fn a_wrong_community_gets_no_response_and_is_counted(
    #[case] wrong: &str,
    #[values(Version::V1, Version::V2c)] version: Version,
) -> Result<()> {
    let served = Served::start()?;
    let wire = Wire::new(&served.master)?;
    let before = count(&served.master, SNMP_IN_BAD_COMMUNITY_NAMES)?;
    for number in 1..=3 {
        wire.expect_ignored(&community(version, wrong, get(version, 1, &[SYS_UP_TIME])?)?)?;
        assert_eq!(count(&served.master, SNMP_IN_BAD_COMMUNITY_NAMES)?, before + number);
    }
    Ok(())
}

#[test]
fn a_community_is_accepted_only_from_its_networks() -> Result<()> {
    let served = Served::start_with(|document| {
        document["contexts"][0]["communities"] = json!([
            {"community": COMMUNITY, "sources": ["127.0.0.1/32"]},
            {"community": "elsewhere", "sources": ["192.0.2.0/24", "127.0.0.2/32"]},
        ]);
    })?;
    let wire = Wire::new(&served.master)?;
    let before = count(&served.master, SNMP_IN_BAD_COMMUNITY_NAMES)?;
    wire.expect_ignored(&community(Version::V2c, "elsewhere", get(Version::V2c, 1, &[SYS_UP_TIME])?)?)?;
    assert_eq!(count(&served.master, SNMP_IN_BAD_COMMUNITY_NAMES)?, before + 1);
    let from_there = served.master.client(&["-v2c", "-c", "elsewhere", "--clientaddr=127.0.0.2"]);
    assert_eq!(from_there.walk(Walk::Bulk(10), OTHER)?, served.rows);
    Ok(())
}

#[test]
fn a_read_only_community_cannot_write() -> Result<()> {
    let served = Served::start_with(|document| {
        document["contexts"][0]["communities"] = json!([{"community": COMMUNITY, "access": "ReadOnly"}]);
    })?;
    let requests = served.subagent.requests();
    let oid = served.rows[0].oid.to_string();
    for (client, refused) in [(served.master.v2c(), "noAccess"), (served.master.v1(), "noSuchName")] {
        let error = client.set(&oid, "i", "5").expect_err("the community is read-only").to_string();
        ensure!(error.contains(refused), "expected {refused}: {error}");
    }
    assert_eq!(served.subagent.requests(), requests, "the subagent received the SET");
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

/// Adds a user without keys who may read the default context.
fn with_guest(document: &mut serde_json::Value) {
    document["users"].as_array_mut().expect("users").push(json!({"name": "guest"}));
    let users = document["contexts"][0]["users"].as_array_mut().expect("users");
    users.push(json!({"name": "guest", "securityLevel": "NoAuthNoPriv"}));
}

#[test]
fn a_context_without_access_looks_like_an_unknown_context() -> Result<()> {
    let served = Served::start_with(with_guest)?;
    let wire = Wire::new(&served.master)?;
    let engine = wire.discover()?;
    let request = |context: &str| {
        let pdu = get(Version::V3, 1, &[SYS_UP_TIME])?;
        wire.exchange(&unauthenticated(&engine, "guest", context, 65_507, pdu)?)
    };
    // Names of the same length, so that only the content of the responses can differ.
    let (not_granted, unknown) = (request("acme")?, request("nope")?);
    let ((engine, counter, first), (_, same_counter, second)) =
        (decode_report(not_granted.clone())?, decode_report(unknown.clone())?);
    assert_eq!((counter.as_str(), same_counter.as_str()), (SNMP_UNKNOWN_CONTEXTS, SNMP_UNKNOWN_CONTEXTS));
    assert_eq!(second, first + 1);
    assert_eq!(not_granted.len(), unknown.len());
    let different: Vec<usize> = (0..not_granted.len()).filter(|at| not_granted[*at] != unknown[*at]).collect();
    let (end, seconds) = (not_granted.len() - 1, usize::from(engine != decode_report(unknown)?.0));
    ensure!(
        different.contains(&end) && different.len() <= 1 + seconds,
        "the reports differ at the octets {different:?}"
    );
    // In a context to which the user has access, there is a response.
    let (_, pdu) = super::wire::decode_plain_message(request("")?)?;
    assert_eq!(pdu.varbinds().len(), 1);
    Ok(())
}

#[test]
fn unknown_users_and_unsupported_security_levels_are_reported() -> Result<()> {
    let served = Served::start_with(with_guest)?;
    let wire = Wire::new(&served.master)?;
    let engine = wire.discover()?;
    for user in ["nobody", "Guest", "guest ", "noc2"] {
        let before = count(&served.master, USM_STATS_UNKNOWN_USER_NAMES)?;
        let pdu = get(Version::V3, 1, &[SYS_UP_TIME])?;
        let (_, counter, value) = decode_report(wire.exchange(&unauthenticated(&engine, user, "", 65_507, pdu)?)?)?;
        assert_eq!((counter.as_str(), i128::from(value)), (USM_STATS_UNKNOWN_USER_NAMES, before + 1));
    }
    let before = count(&served.master, USM_STATS_UNSUPPORTED_SEC_LEVELS)?;
    let credentials = ["-v3", "-l", "authNoPriv", "-u", "guest", "-a", "SHA", "-A", "some-password"];
    let error = served.master.client(&credentials).get(&[SYS_UP_TIME]).expect_err("the user has no keys").to_string();
    ensure!(error.contains("Unsupported security level"), "{error}");
    ensure!(count(&served.master, USM_STATS_UNSUPPORTED_SEC_LEVELS)? > before);
    Ok(())
}

#[test]
fn a_user_cannot_read_below_the_security_level_of_its_context() -> Result<()> {
    let served = Served::start()?;
    let wire = Wire::new(&served.master)?;
    let engine = wire.discover()?;
    let pdu = get(Version::V3, 1, &[SYS_UP_TIME])?;
    let (_, answer) =
        super::wire::decode_plain_message(wire.exchange(&unauthenticated(&engine, "noc", "", 65_507, pdu)?)?)?;
    let shown = answer.varbinds().iter().any(|varbind| matches!(varbind.value, async_snmp::Value::TimeTicks(_)));
    ensure!(!shown, "a user read without authentication: {answer:?}");
    let credentials = ["-v3", "-l", "authNoPriv", "-u", "noc", "-a", "SHA-256", "-A", "noc-auth-pass"];
    let error =
        served.master.client(&credentials).get(&[SYS_UP_TIME]).expect_err("the request has no privacy").to_string();
    ensure!(error.contains("authorizationError") || error.contains("unknown context"), "{error}");
    Ok(())
}

#[test]
fn malformed_messages_get_no_response() -> Result<()> {
    let served = Served::start()?;
    let wire = Wire::new(&served.master)?;
    let good = community(Version::V2c, COMMUNITY, get(Version::V2c, 1, &[SYS_UP_TIME])?)?;
    for len in 0..good.len() {
        wire.expect_ignored(&good[..len])?;
    }
    let mut version_9 = good.to_vec();
    // The message begins with SEQUENCE, its length, and the version as an INTEGER of one octet.
    version_9[4] = 9;
    wire.expect_ignored(&version_9)?;
    let mut random = harness::Random::new(1);
    for len in 0..500 {
        wire.expect_ignored(&random.octets(len))?;
    }
    for at in 0..good.len() {
        let mut wrong = good.to_vec();
        wrong[at] ^= 0xFF;
        // Some of these are valid requests. The master must go on after each of them.
        wire.send(&wrong)?;
    }
    let names = [name(SYS_UP_TIME)?];
    let again = Wire::new(&served.master)?;
    let probe = RequestPdu::get(Version::V2c, 1, &names)?.into_raw();
    again.exchange(&community(Version::V2c, COMMUNITY, probe)?)?;
    Ok(())
}
