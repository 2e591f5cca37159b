//! Responses at the size limit, and responses that exceed it.

use agentx::{Body, Context, Oid, Pdu, ResponseError, Value, VarBind};
use anyhow::{Context as _, Result, ensure};
use async_snmp::{Auth, Version};
use bytes::Bytes;
use harness::{BackgroundSubagent, COMMUNITY, MasterProgram, Mib, Sandbox, ScriptedSubagent, SnmpAgent as _, Walk};
use rstest::rstest;
use serde_json::json;

use super::{
    async_snmp_client::Nms,
    wire::{Wire, community, decode_community_message, decode_plain_message, get, get_bulk, unauthenticated},
};

/// The longest payload of a UDP datagram over IPv4.
const LONGEST: usize = 65_507;
const BASE: &str = "1.3.6.1.4.1.8072.9999.9999.72";
const TOO_BIG: i32 = 1;

/// Starts a master with a user `guest`, who reads without authentication, and a subagent. The value of each OID below
/// [`BASE`] has as many octets as the last arc says.
fn serve() -> Result<(BackgroundSubagent, MasterProgram, Sandbox)> {
    let sandbox = Sandbox::new()?;
    let master = MasterProgram::start_with(&sandbox, |document| {
        document["users"].as_array_mut().expect("users").push(json!({"name": "guest"}));
        let access = json!({"name": "guest", "securityLevel": "NoAuthNoPriv"});
        document["contexts"][0]["users"].as_array_mut().expect("users").push(access);
    })?;
    let base: Oid = BASE.parse()?;
    let answer = |subagent: &mut ScriptedSubagent, pdu: Pdu| {
        let Body::Get(ranges) = &pdu.body else { return Ok(()) };
        let octets = |name: &Oid| name.last().and_then(|arc| usize::try_from(*arc).ok()).unwrap_or_default();
        let value = |name: &Oid| Value::OctetString(vec![b'x'; octets(name)]);
        let varbinds = ranges.iter().map(|r| VarBind { name: r.start.clone(), value: value(&r.start) }).collect();
        subagent.respond(pdu.header, ResponseError::NoError, varbinds)
    };
    let subagent = BackgroundSubagent::start(&master.agentx_socket(), &Context::default(), &base, 0, answer)?;
    Ok((subagent, master, sandbox))
}

/// Requests a value of this many octets. Returns the length of the response message, its error status and its number of
/// varbinds.
type RequestValue = fn(&Wire, usize) -> Result<(usize, i32, usize)>;

fn by_v1(wire: &Wire, octets: usize) -> Result<(usize, i32, usize)> {
    by_community(Version::V1, wire, octets)
}

fn by_v2c(wire: &Wire, octets: usize) -> Result<(usize, i32, usize)> {
    by_community(Version::V2c, wire, octets)
}

fn by_community(version: Version, wire: &Wire, octets: usize) -> Result<(usize, i32, usize)> {
    let request = get(version, 1, &[&format!("{BASE}.{octets}")])?;
    let message = wire.exchange(&community(version, COMMUNITY, request)?)?;
    let (answered, pdu) = decode_community_message(message.clone())?;
    ensure!(answered == version, "the response has the version {answered:?}");
    Ok((message.len(), pdu.error_status(), pdu.varbinds().len()))
}

fn by_v3<const ROOM: usize>(wire: &Wire, octets: usize) -> Result<(usize, i32, usize)> {
    let engine = wire.discover()?;
    let request = get(Version::V3, 1, &[&format!("{BASE}.{octets}")])?;
    let message = wire.exchange(&unauthenticated(&engine, "guest", "", ROOM, request)?)?;
    let (_, pdu) = decode_plain_message(message.clone())?;
    Ok((message.len(), pdu.error_status(), pdu.varbinds().len()))
}

#[rstest]
#[case::version_1(by_v1, LONGEST, 0, 1)]
#[case::version_2c(by_v2c, LONGEST, 0, 0)]
#[case::version_3(by_v3::<LONGEST>, LONGEST, 1, 0)]
#[case::version_3_with_the_highest_maximum_size(by_v3::<0x7FFF_FFFF>, LONGEST, 1, 0)]
#[case::version_3_with_the_size_of_an_ethernet_frame(by_v3::<1_472>, 1_472, 1, 0)]
#[case::version_3_with_the_lowest_maximum_size(by_v3::<484>, 484, 1, 0)]
fn a_response_may_fill_the_message_and_one_octet_more_is_too_big(
    #[case] request_value: RequestValue,
    #[case] room: usize,
    // The encoding of the engine time may grow by an octet before the response is sent, so the master reserves it.
    #[case] spared: usize,
    // A tooBig response has no varbinds in RFC 3416 section 4.2.1, but those of the request in RFC 1157 section 4.1.2.
    #[case] varbinds_of_too_big: usize,
) -> Result<()> {
    let (_subagent, master, _sandbox) = serve()?;
    let wire = Wire::new(&master)?;
    let nearly = room - 150;
    let (len, error, _) = request_value(&wire, nearly)?;
    ensure!(error == 0 && len > nearly, "error {error}, {len} octets");
    let overhead = len - nearly;
    assert_eq!(request_value(&wire, room - overhead - spared)?, (room - spared, 0, 1));
    // 65,535 octets are the longest string (RFC 2578 section 7.1.2).
    for octets in [room - overhead + 1, room, 65_535] {
        let (len, error, varbinds) = request_value(&wire, octets)?;
        ensure!((error, varbinds) == (TOO_BIG, varbinds_of_too_big) && len <= room, "{error}, {varbinds}, {len}");
    }
    // Afterwards, a response that fits is sent as before.
    assert_eq!(request_value(&wire, room - overhead - spared)?, (room - spared, 0, 1));
    Ok(())
}

/// Starts a master and a subagent with a column of 2,000 rows of 200 octets each.
fn serve_column() -> Result<(BackgroundSubagent, MasterProgram, Mib, Sandbox)> {
    let sandbox = Sandbox::new()?;
    let master = MasterProgram::start(&sandbox)?;
    let base: Oid = BASE.parse()?;
    let mib: Mib = (1..=2_000)
        .map(|row| Ok((base.join(&[1, row])?, Value::OctetString(format!("{row:0200}").into_bytes()))))
        .collect::<Result<_>>()?;
    let subagent = BackgroundSubagent::healthy(&master.agentx_socket(), &Context::default(), &base, mib.clone())?;
    Ok((subagent, master, mib, sandbox))
}

#[test]
fn the_response_to_get_bulk_is_cut_to_the_size_of_a_datagram() -> Result<()> {
    let (_subagent, master, mib, _sandbox) = serve_column()?;
    let wire = Wire::new(&master)?;
    let message = wire.exchange(&community(Version::V2c, COMMUNITY, get_bulk(Version::V2c, 1, 10_000, BASE)?)?)?;
    let (_, pdu) = decode_community_message(message.clone())?;
    let rows = super::async_snmp_client::rows(pdu.varbinds().to_vec())?;
    assert_eq!(rows, mib.rows()[..rows.len()]);
    ensure!(message.len() <= LONGEST, "{} octets", message.len());
    // Another row would not fit.
    let row = message.len() / rows.len();
    ensure!(message.len() + 2 * row > LONGEST, "{} octets for {} rows", message.len(), rows.len());
    Ok(())
}

#[rstest]
fn a_bulk_walk_continues_after_a_cut_response(#[values(484, 1_472, LONGEST)] capacity: usize) -> Result<()> {
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
fn a_request_of_the_longest_size_is_answered() -> Result<()> {
    let (_subagent, master, _sandbox) = serve()?;
    let wire = Wire::new(&master)?;
    // No subagent serves these OIDs. So the response, with exceptions as values, is as long as the request.
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
    let (_, pdu) = decode_community_message(wire.exchange(&message)?)?;
    assert_eq!((pdu.error_status(), pdu.varbinds().len()), (0, most));
    let last = pdu.varbinds().last().context("the response has no varbinds")?;
    assert_eq!(last.value, async_snmp::Value::NoSuchObject);
    Ok(())
}
