//! Encoding of notifications as messages of all versions of SNMP.

mod answer;

use std::net::Ipv4Addr;

use agentx::{SubId, Value, ValueRef, VarBind};
use notification::oids::{SNMP_TRAP_ADDRESS, SNMP_TRAP_ENTERPRISE, SNMP_TRAP_OID, SYS_UP_TIME};

pub(super) use self::answer::{Answer, ReportKind, Times, read_community_answer, read_user_answer};
use crate::{
    pdu::{
        ber::{push_header, push_integer, push_octets, push_oid, push_unsigned, tag},
        varbind_list::VarBindList,
    },
    snmp::{
        Authority, Pdu, Sealer, UserEnvelope, Version, community_message, community_message_len, element_len,
        integer_len, pdu_tag, room,
    },
};

/// The tag of the Trap-PDU of SNMPv1 (RFC 1157 section 4.1.6).
const V1_TRAP: u8 = 0xA4;
/// The value of generic-trap for traps of enterprises.
const ENTERPRISE_SPECIFIC: i32 = 6;
/// snmpTraps (RFC 3418): the standard traps are directly below it.
const SNMP_TRAPS: [SubId; 9] = [1, 3, 6, 1, 6, 3, 1, 1, 5];

/// The contents of a notification to a target.
#[derive(Debug, Clone, Copy)]
pub(super) struct Content<'a> {
    /// The value of snmpTrapOID.0.
    pub(super) oid: &'a [SubId],
    /// The value of sysUpTime.0.
    pub(super) uptime: u32,
    /// The objects.
    pub(super) objects: &'a [VarBind],
    /// The varbinds that describe the alarm.
    pub(super) details: &'a [VarBind],
    /// The address of the agent as managers know it: snmpTrapAddress.0, or the agent-addr of SNMPv1.
    pub(super) address: Option<Ipv4Addr>,
}

/// What a message does not contain of a notification.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Omitted {
    /// Whether the varbinds that describe the alarm would not fit.
    pub(super) details: bool,
    /// The number of objects that would not fit.
    pub(super) objects: usize,
    /// The number of varbinds whose type SNMPv1 does not have.
    pub(super) untranslatable: usize,
}

/// Encodes a Trap-PDU of SNMPv1 (RFC 3584 section 3.2).
pub(super) fn v1_trap(community: &[u8], content: &Content<'_>, limit: usize) -> (Vec<u8>, Omitted) {
    let enterprise_varbind = content.objects.iter().find(|object| *object.name == SNMP_TRAP_ENTERPRISE);
    let (enterprise, generic, specific) = match content.oid {
        [standard @ .., arc @ 1..=6] if *standard == SNMP_TRAPS => {
            let enterprise = match enterprise_varbind.map(|varbind| &varbind.value) {
                Some(Value::ObjectIdentifier(enterprise)) => &**enterprise,
                _ => &SNMP_TRAPS,
            };
            (enterprise, i32::try_from(*arc).unwrap_or_default() - 1, 0)
        }
        [enterprise @ .., 0, specific] | [enterprise @ .., specific] => (enterprise, ENTERPRISE_SPECIFIC, *specific),
        [] => (&[][..], ENTERPRISE_SPECIFIC, 0),
    };
    let mut head = Vec::new();
    push_oid(&mut head, enterprise);
    let address = content.address.unwrap_or(Ipv4Addr::UNSPECIFIED);
    push_octets(&mut head, tag::IP_ADDRESS, &address.octets());
    push_integer(&mut head, generic);
    push_unsigned(&mut head, tag::INTEGER, specific.into());
    push_unsigned(&mut head, tag::TIME_TICKS, content.uptime.into());
    let pdu_len = |varbinds| element_len(head.len() + element_len(varbinds));
    let room = room(limit, |varbinds| community_message_len(community, pdu_len(varbinds)));
    let (varbinds, omitted) = fit(content, &[], &[], room, |varbind| {
        let is_head = [&SNMP_TRAP_ENTERPRISE[..], &SNMP_TRAP_ADDRESS].contains(&&*varbind.name);
        if is_head { Fate::Head } else { v1_fate(&varbind.value) }
    });
    let mut message = Vec::new();
    let pdu = pdu_len(varbinds.len());
    push_header(&mut message, tag::SEQUENCE, integer_len(0) + element_len(community.len()) + pdu);
    push_integer(&mut message, Version::V1.to_wire());
    push_octets(&mut message, tag::OCTET_STRING, community);
    push_header(&mut message, V1_TRAP, head.len() + element_len(varbinds.len()));
    message.extend(head);
    push_octets(&mut message, tag::SEQUENCE, &varbinds);
    (message, omitted)
}

/// Encodes a trap or inform of SNMPv2c (RFC 1901, RFC 3416 section 4.2.6).
pub(super) fn v2c_message(
    community: &[u8],
    tag: u8,
    request_id: i32,
    content: &Content<'_>,
    limit: usize,
) -> (Vec<u8>, Omitted) {
    let empty = pdu(tag, request_id, &[]);
    let room = room(limit, |varbinds| community_message_len(community, empty.len_with(varbinds)));
    let (varbinds, omitted) = fit_v2(content, room);
    (community_message(Version::V2c, community, &pdu(tag, request_id, &varbinds)), omitted)
}

/// Encodes a trap or inform of SNMPv3 (RFC 3412, RFC 3414). Returns `None` if it cannot be encrypted or authenticated.
pub(super) fn v3_message(
    sealer: &mut Sealer,
    envelope: &UserEnvelope,
    authority: Authority<'_>,
    tag: u8,
    request_id: i32,
    content: &Content<'_>,
    limit: usize,
) -> Option<(Vec<u8>, Omitted)> {
    let empty = pdu(tag, request_id, &[]);
    let room = room(limit, |varbinds| envelope.layout(authority, empty.len_with(varbinds)).len());
    let (varbinds, omitted) = fit_v2(content, room);
    Some((sealer.seal(envelope, authority, &pdu(tag, request_id, &varbinds))?, omitted))
}

/// Encodes a message that discovers the engine of a receiver (RFC 3414 section 4). Returns `None` if that fails.
pub(super) fn discovery(sealer: &mut Sealer, envelope: &UserEnvelope, id: i32) -> Option<Vec<u8>> {
    let authority = Authority { engine_id: &[], context_engine_id: &[], boots: 0, time: 0 };
    sealer.seal(envelope, authority, &pdu(pdu_tag::GET, id, &[]))
}

fn pdu(tag: u8, request_id: i32, varbinds: &[u8]) -> Pdu<'_> {
    Pdu { tag, request_id, error_status: 0, error_index: 0, varbinds }
}

/// What becomes of a varbind.
enum Fate {
    /// It is sent.
    Sent,
    /// A field before the varbinds contains its value.
    Head,
    /// The version has no such type.
    Untranslatable,
}

fn v1_fate(value: &Value) -> Fate {
    match value {
        Value::Counter64(_) | Value::NoSuchObject | Value::NoSuchInstance | Value::EndOfMibView => Fate::Untranslatable,
        _ => Fate::Sent,
    }
}

fn fit_v2(content: &Content<'_>, room: usize) -> (Vec<u8>, Omitted) {
    let mut head = VarBindList::default();
    head.push(&SYS_UP_TIME, ValueRef::TimeTicks(content.uptime));
    head.push(&SNMP_TRAP_OID, ValueRef::ObjectIdentifier(content.oid));
    let mut tail = VarBindList::default();
    if let Some(address) = content.address {
        tail.push(&SNMP_TRAP_ADDRESS, ValueRef::IpAddress(address.octets()));
    }
    fit(content, head.octets(), tail.octets(), room, |varbind| {
        if content.address.is_some() && *varbind.name == SNMP_TRAP_ADDRESS { Fate::Head } else { Fate::Sent }
    })
}

/// Encodes varbinds between `head` and `tail` that fit into `room` octets in all: the varbinds that describe the alarm are
/// left out first, then objects from the last.
fn fit(
    content: &Content<'_>,
    head: &[u8],
    tail: &[u8],
    room: usize,
    fate: impl Fn(&VarBind) -> Fate,
) -> (Vec<u8>, Omitted) {
    let mut omitted = Omitted::default();
    let mut encode = |varbinds: &[VarBind]| {
        let mut list = VarBindList::default();
        for varbind in varbinds {
            match fate(varbind) {
                Fate::Sent => list.push(&varbind.name, varbind.value.as_ref()),
                Fate::Head => {}
                Fate::Untranslatable => omitted.untranslatable += 1,
            }
        }
        list
    };
    let (mut objects, mut details) = (encode(content.objects), encode(content.details));
    let fixed = head.len() + tail.len();
    if fixed + objects.octets().len() + details.octets().len() > room {
        omitted.details = !details.is_empty();
        details.clear();
    }
    while fixed + objects.octets().len() > room && !objects.is_empty() {
        objects.truncate(objects.len() - 1);
        omitted.objects += 1;
    }
    ([head, objects.octets(), details.octets(), tail].concat(), omitted)
}

#[cfg(test)]
mod tests;
