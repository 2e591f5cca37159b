//! Answers as long as a datagram can be, and too long ones.

use agentx::{Body, Context, Oid, Pdu, ResponseError, Value, VarBind};
use anyhow::{Context as _, Result, ensure};
use async_snmp::{Auth, Version};
use bytes::Bytes;
use harness::{Agent as _, COMMUNITY, Mib, Sandbox, ServedSubagent, SnmpMaster, Subagent, Walk};
use rstest::rstest;
use serde_json::json;

use super::{
    nms::Nms,
    wire::{Wire, community, community_answer, get, get_bulk, plain_answer, unauthenticated},
};

/// The longest datagram of UDP over IPv4.
const LONGEST: usize = 65_507;
const BASE: &str = "1.3.6.1.4.1.8072.9999.9999.72";
const TOO_BIG: i32 = 1;

/// A master whose subagent has, at each name below [`BASE`], as many octets as its last arc says; and whose user
/// `guest` reads without authentication.
fn serve() -> Result<(ServedSubagent, SnmpMaster, Sandbox)> {
    let sandbox = Sandbox::new()?;
    let master = SnmpMaster::start_with(&sandbox, |document| {
        document["users"].as_array_mut().expect("users").push(json!({"name": "guest"}));
        let access = json!({"name": "guest", "securityLevel": "NoAuthNoPriv"});
        document["contexts"][0]["users"].as_array_mut().expect("users").push(access);
    })?;
    let base: Oid = BASE.parse()?;
    let answer = |subagent: &mut Subagent, pdu: Pdu| {
        let Body::Get(ranges) = &pdu.body else { return Ok(()) };
        let octets = |name: &Oid| name.last().and_then(|arc| usize::try_from(*arc).ok()).unwrap_or_default();
        let value = |name: &Oid| Value::OctetString(vec![b'x'; octets(name)]);
        let varbinds = ranges.iter().map(|r| VarBind { name: r.start.clone(), value: value(&r.start) }).collect();
        subagent.respond(pdu.header, ResponseError::NoError, varbinds)
    };
    let subagent = ServedSubagent::start(&master.agentx_socket(), &Context::default(), &base, 0, answer)?;
    Ok((subagent, master, sandbox))
}

/// How an asker asks for so many octets, and what it gets: the message's length, the error and how many variables.
type Ask = fn(&Wire, usize) -> Result<(usize, i32, usize)>;

fn by_v1(wire: &Wire, octets: usize) -> Result<(usize, i32, usize)> {
    by_community(Version::V1, wire, octets)
}

fn by_v2c(wire: &Wire, octets: usize) -> Result<(usize, i32, usize)> {
    by_community(Version::V2c, wire, octets)
}

fn by_community(version: Version, wire: &Wire, octets: usize) -> Result<(usize, i32, usize)> {
    let request = get(version, 1, &[&format!("{BASE}.{octets}")])?;
    let message = wire.exchange(&community(version, COMMUNITY, request)?)?;
    let (answered, pdu) = community_answer(message.clone())?;
    ensure!(answered == version, "{answered:?}");
    Ok((message.len(), pdu.error_status(), pdu.varbinds().len()))
}

fn by_v3<const ROOM: usize>(wire: &Wire, octets: usize) -> Result<(usize, i32, usize)> {
    let engine = wire.discover()?;
    let request = get(Version::V3, 1, &[&format!("{BASE}.{octets}")])?;
    let message = wire.exchange(&unauthenticated(&engine, "guest", "", ROOM, request)?)?;
    let (_, pdu) = plain_answer(message.clone())?;
    Ok((message.len(), pdu.error_status(), pdu.varbinds().len()))
}

#[rstest]
#[case::version_1(by_v1, LONGEST, 0, 1)]
#[case::version_2c(by_v2c, LONGEST, 0, 0)]
#[case::version_3(by_v3::<LONGEST>, LONGEST, 1, 0)]
#[case::version_3_with_the_most_that_can_be_said(by_v3::<0x7FFF_FFFF>, LONGEST, 1, 0)]
#[case::version_3_with_room_for_a_frame(by_v3::<1_472>, 1_472, 1, 0)]
#[case::version_3_with_the_least_room(by_v3::<484>, 484, 1, 0)]
fn an_answer_fills_the_message_to_the_last_octet_and_one_more_is_too_big(
    #[case] ask: Ask,
    #[case] room: usize,
    // The engine's time is in the answer, and is counted as long as it may be by then.
    #[case] spared: usize,
    // RFC 3416 section 4.2.1 leaves them out, RFC 1157 section 4.1.2 repeats the request's.
    #[case] varbinds_of_too_big: usize,
) -> Result<()> {
    let (_subagent, master, _sandbox) = serve()?;
    let wire = Wire::new(&master)?;
    let nearly = room - 150;
    let (len, error, _) = ask(&wire, nearly)?;
    ensure!(error == 0 && len > nearly, "error {error}, {len} octets");
    let overhead = len - nearly;
    assert_eq!(ask(&wire, room - overhead - spared)?, (room - spared, 0, 1));
    // RFC 2578 section 7.1.2: no string is longer.
    for octets in [room - overhead + 1, room, 65_535] {
        let (len, error, varbinds) = ask(&wire, octets)?;
        ensure!((error, varbinds) == (TOO_BIG, varbinds_of_too_big) && len <= room, "{error}, {varbinds}, {len}");
    }
    // It is the answer that was too big, and nothing else.
    assert_eq!(ask(&wire, room - overhead - spared)?, (room - spared, 0, 1));
    Ok(())
}

/// A column of 2,000 rows of 200 octets each.
fn serve_column() -> Result<(ServedSubagent, SnmpMaster, Mib, Sandbox)> {
    let sandbox = Sandbox::new()?;
    let master = SnmpMaster::start(&sandbox)?;
    let base: Oid = BASE.parse()?;
    let mib: Mib = (1..=2_000)
        .map(|row| Ok((base.join(&[1, row])?, Value::OctetString(format!("{row:0200}").into_bytes()))))
        .collect::<Result<_>>()?;
    let subagent = ServedSubagent::healthy(&master.agentx_socket(), &Context::default(), &base, mib.clone())?;
    Ok((subagent, master, mib, sandbox))
}

#[test]
fn a_get_bulk_is_cut_to_what_a_datagram_holds() -> Result<()> {
    let (_subagent, master, mib, _sandbox) = serve_column()?;
    let wire = Wire::new(&master)?;
    let message = wire.exchange(&community(Version::V2c, COMMUNITY, get_bulk(Version::V2c, 1, 10_000, BASE)?)?)?;
    let (_, pdu) = community_answer(message.clone())?;
    let rows = super::nms::rows(pdu.varbinds().to_vec())?;
    assert_eq!(rows, mib.rows()[..rows.len()]);
    ensure!(message.len() <= LONGEST, "{} octets", message.len());
    // Another row would not have fitted.
    let row = message.len() / rows.len();
    ensure!(message.len() + 2 * row > LONGEST, "{} octets for {} rows", message.len(), rows.len());
    Ok(())
}

#[rstest]
fn a_bulk_walk_goes_on_where_the_room_ended(#[values(484, 1_472, LONGEST)] capacity: usize) -> Result<()> {
    let (_subagent, master, mib, _sandbox) = serve_column()?;
    let noc = async_snmp::UsmConfig::new("noc").auth_priv(
        async_snmp::AuthProtocol::Sha256,
        "noc-auth-pass",
        async_snmp::PrivProtocol::Aes128,
        "noc-priv-pass",
    )?;
    let whole = mib.rows();
    for auth in [Auth::v2c(COMMUNITY), noc.into()] {
        let walk = Nms::new(&master, auth, capacity)?.bulk_walk(BASE, 1_000)?;
        ensure!(walk == whole, "{} rows of {}", walk.len(), whole.len());
    }
    assert_eq!(master.v3("").walk(Walk::Bulk(1_000), BASE)?, whole);
    Ok(())
}

#[test]
fn the_longest_request_is_read() -> Result<()> {
    let (_subagent, master, _sandbox) = serve()?;
    let wire = Wire::new(&master)?;
    // Its names are unknown, and so short that the answer, with exceptions for values, is as long as the request.
    let name = |number: usize| format!("1.3.6.1.4.1.8072.9999.9998.{}", 100_000 + number);
    let request = |names: usize| -> Result<Bytes> {
        let names: Vec<String> = (0..names).map(name).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        community(Version::V2c, COMMUNITY, get(Version::V2c, 1, &names)?)
    };
    let each = (request(1_001)?.len() - request(1)?.len()) / 1_000;
    let most = (LONGEST - 60) / each;
    let message = request(most)?;
    ensure!(message.len() <= LONGEST && message.len() > LONGEST - 100, "{} octets", message.len());
    let (_, pdu) = community_answer(wire.exchange(&message)?)?;
    assert_eq!((pdu.error_status(), pdu.varbinds().len()), (0, most));
    let last = pdu.varbinds().last().context("variables")?;
    assert_eq!(last.value, async_snmp::Value::NoSuchObject);
    Ok(())
}
