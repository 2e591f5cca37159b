//! The invariants of the engine for any input: for the fuzz target, and for the test that replays its corpus.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use agentx::{ResponseError, ValueRef};
use arc_swap::ArcSwap;
use master_config::{
    Access as Permission, Community, Context, Document, Limits, Secret, SecurityLevel, User, UserAccess, VERSION,
};

use super::{
    access::Access,
    datagram::Source,
    engine::{Engine, Received},
    engine_identity::EngineIdentity,
    keys::KeyCache,
    tlv::Elements,
};
use crate::pdu::{
    Answer, Operation,
    ber::{push_integer, push_octets, tag},
    varbind_list::VarBindList,
};

const ENGINE_ID: &[u8] = b"\x80\x00\x1f\x88\x04engine";
const COMMUNITY: &str = "a community that none guesses";
const USER: &str = "a user";
const CONTEXT: &str = "a context";

/// Passes `input` to the engine, as a datagram or as the PDU of an authenticated message. Requests are answered with as
/// much as fits, and with errors.
///
/// # Panics
/// Panics if the engine violates an invariant.
pub fn run(input: &[u8]) {
    check(input);
}

/// Does the same as [`run`], and returns how many requests the input caused.
pub(super) fn check(input: &[u8]) -> usize {
    let Some((&mode, octets)) = input.split_first() else { return 0 };
    let mut requests = 0;
    // The maximum length of messages, in octets.
    let limit = match mode >> 4 {
        0 => 484,
        1 => 1472,
        _ => 65_507,
    };
    let datagram = match mode & 3 {
        0 => octets.to_vec(),
        1 => community_message(0, octets),
        2 => community_message(1, octets),
        _ => user_message(octets),
    };
    let now = Instant::now();
    let (mut engine, limit) = (engine(limit, now), limit as usize);
    let from = Source { address: SocketAddr::from(([192, 0, 2, 1], 161)), listener: 0, local: None };
    for answer in [Ok(()), Err(ResponseError::GenErr), Err(ResponseError::TooBig)] {
        match engine.receive(from, &datagram, now) {
            Received::Nothing => {}
            Received::Reply(reply) => assert_sendable(&reply.octets, limit),
            Received::Request(request) => {
                requests += 1;
                let credentials = [COMMUNITY, USER].map(str::as_bytes);
                let contains = |octets: &[u8]| datagram.windows(octets.len()).any(|window| window == octets);
                assert!(credentials.into_iter().any(contains), "a request of an unauthenticated sender was accepted");
                assert!(request.context.is_empty() || request.context == CONTEXT.as_bytes());
                assert!(request.room < limit);
                let names = match &request.operation {
                    Operation::Get(names) | Operation::GetNext(names) | Operation::GetBulk { names, .. } => names.len(),
                    Operation::Set(varbinds) => varbinds.len(),
                };
                assert!(names * 7 <= datagram.len(), "{names} names in {} octets", datagram.len());
                let repeated = engine.receive(from, &datagram, now);
                assert_eq!(repeated, Received::Nothing, "a duplicate was accepted");
                let result = answer.map(|()| filler(request.room)).map_err(|error| (error, 1));
                let sent = engine.answer(Answer { token: request.token, result }, now + Duration::from_secs(5));
                if let Some(datagram) = sent {
                    assert_sendable(&datagram.octets, limit);
                }
            }
        }
        assert_eq!(engine.pending(), 0);
    }
    requests
}

/// Creates an engine with one community and one user, both with full access.
fn engine(snmp_message_octets: u32, now: Instant) -> Engine {
    let context = |name: &str, communities| Context {
        name: name.to_owned(),
        system: master_config::System::default(),
        grants: Vec::new(),
        communities,
        users: vec![UserAccess {
            name: USER.to_owned(),
            security_level: SecurityLevel::NoAuthNoPriv,
            access: Permission::ReadWrite,
        }],
        allowed_targets: Vec::new(),
    };
    let community = Community { community: Secret::new(COMMUNITY), access: Permission::ReadWrite, sources: Vec::new() };
    let document = Document {
        version: VERSION,
        listeners: master_config::Listeners::default(),
        limits: Limits { snmp_message_octets, ..Limits::default() },
        contexts: vec![context("", vec![community]), context(CONTEXT, Vec::new())],
        users: vec![User { name: USER.to_owned(), auth: None, privacy: None }],
        targets: Vec::new(),
    };
    let access = Access::new(&document, ENGINE_ID, &mut KeyCache::default());
    let identity = EngineIdentity { engine_id: ENGINE_ID.to_vec(), boots: 1 };
    let access = Arc::new(ArcSwap::from_pointee(access));
    Engine::new(identity, access, Arc::default(), now).unwrap_or_else(|error| unreachable!("{error}"))
}

fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    push_octets(&mut out, tag, &parts.concat());
    out
}

fn integer(value: i32) -> Vec<u8> {
    let mut out = Vec::new();
    push_integer(&mut out, value);
    out
}

fn octet_string(octets: &[u8]) -> Vec<u8> {
    element(tag::OCTET_STRING, &[octets])
}

fn community_message(version: i32, pdu: &[u8]) -> Vec<u8> {
    element(tag::SEQUENCE, &[&integer(version), &octet_string(COMMUNITY.as_bytes()), pdu])
}

fn user_message(scoped: &[u8]) -> Vec<u8> {
    let global = [integer(1), integer(65_507), octet_string(&[4]), integer(3)].concat();
    let (user, none) = (octet_string(USER.as_bytes()), octet_string(b""));
    let params = [octet_string(ENGINE_ID), integer(1), integer(0), user, none.clone(), none].concat();
    let params = octet_string(&element(tag::SEQUENCE, &[&params]));
    element(tag::SEQUENCE, &[&integer(3), &element(tag::SEQUENCE, &[&global]), &params, scoped])
}

/// Returns varbinds that take `room` octets, or slightly fewer.
fn filler(room: usize) -> VarBindList {
    let mut list = VarBindList::default();
    list.push(&[1, 3, 6], ValueRef::OctetString(&vec![7; room.saturating_sub(15)]));
    list.truncate(usize::from(list.octets().len() <= room));
    list
}

/// Asserts that the octets are one complete message within the limit.
fn assert_sendable(octets: &[u8], limit: usize) {
    assert!(octets.len() <= limit, "{} octets exceed the limit of {limit}", octets.len());
    let mut elements = Elements(octets);
    assert!(elements.expect(tag::SEQUENCE).is_some() && elements.end().is_some(), "not exactly one message");
}
