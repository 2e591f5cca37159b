//! The objects, and where each value comes from.

use std::time::Instant;

use agentx::{Oid, SubId, Value};

use super::{
    super::product::{MASTER, PRODUCT_OID},
    SystemObjects,
};
use crate::{
    own_objects::{Asked, Capability},
    statistics::{Counter, Statistics},
    time_ticks::time_ticks,
};

/// An object: a scalar, or a column of sysORTable.
pub(super) struct Object {
    pub(super) name: &'static [SubId],
    pub(super) kind: Kind,
}

/// Where the values come from.
pub(super) enum Kind {
    /// The one instance, 0.
    Scalar(fn(&SystemObjects, &Asked<'_>) -> Value),
    /// The same, of a counter.
    Counter(fn(&Statistics) -> &Counter),
    /// An instance for each row, by sysORIndex.
    Column(fn(&SystemObjects, &Capability) -> Value),
}

const fn counter(name: &'static [SubId], of: fn(&Statistics) -> &Counter) -> Object {
    Object { name, kind: Kind::Counter(of) }
}

/// The objects in order. None is a prefix of another.
pub(super) static OBJECTS: [Object; 34] = [
    // sysDescr
    Object { name: &[1, 3, 6, 1, 2, 1, 1, 1], kind: Kind::Scalar(|_, _| Value::OctetString(DESCRIPTION.into())) },
    // sysObjectID
    Object { name: &[1, 3, 6, 1, 2, 1, 1, 2], kind: Kind::Scalar(|_, _| Value::ObjectIdentifier(identity())) },
    // sysUpTime
    Object { name: &[1, 3, 6, 1, 2, 1, 1, 3], kind: Kind::Scalar(|own, asked| ticks(own.started, asked.now)) },
    // sysContact
    Object {
        name: &[1, 3, 6, 1, 2, 1, 1, 4],
        kind: Kind::Scalar(|own, asked| own.system(asked.context, |system| system.contact.as_ref())),
    },
    // sysName
    Object {
        name: &[1, 3, 6, 1, 2, 1, 1, 5],
        kind: Kind::Scalar(|own, asked| own.system(asked.context, |system| system.name.as_ref())),
    },
    // sysLocation
    Object {
        name: &[1, 3, 6, 1, 2, 1, 1, 6],
        kind: Kind::Scalar(|own, asked| own.system(asked.context, |system| system.location.as_ref())),
    },
    // sysServices: end-to-end and applications
    Object { name: &[1, 3, 6, 1, 2, 1, 1, 7], kind: Kind::Scalar(|_, _| Value::Integer(72)) },
    // sysORLastChange
    Object {
        name: &[1, 3, 6, 1, 2, 1, 1, 8],
        kind: Kind::Scalar(|own, asked| ticks(own.started, asked.capabilities_changed.unwrap_or(own.started))),
    },
    // sysORID
    Object {
        name: &[1, 3, 6, 1, 2, 1, 1, 9, 1, 2],
        kind: Kind::Column(|_, row| Value::ObjectIdentifier(row.id.clone())),
    },
    // sysORDescr
    Object {
        name: &[1, 3, 6, 1, 2, 1, 1, 9, 1, 3],
        kind: Kind::Column(|_, row| Value::OctetString(row.description.clone())),
    },
    // sysORUpTime
    Object { name: &[1, 3, 6, 1, 2, 1, 1, 9, 1, 4], kind: Kind::Column(|own, row| ticks(own.started, row.added)) },
    // snmpInPkts
    counter(&[1, 3, 6, 1, 2, 1, 11, 1], |all| &all.in_packets),
    // snmpInBadVersions
    counter(&[1, 3, 6, 1, 2, 1, 11, 3], |all| &all.bad_versions),
    // snmpInBadCommunityNames
    counter(&[1, 3, 6, 1, 2, 1, 11, 4], |all| &all.bad_community_names),
    // snmpInBadCommunityUses
    counter(&[1, 3, 6, 1, 2, 1, 11, 5], |all| &all.bad_community_uses),
    // snmpInASNParseErrs
    counter(&[1, 3, 6, 1, 2, 1, 11, 6], |all| &all.asn_parse_errors),
    // snmpEnableAuthenTraps: disabled, there are none
    Object { name: &[1, 3, 6, 1, 2, 1, 11, 30], kind: Kind::Scalar(|_, _| Value::Integer(2)) },
    // snmpSilentDrops
    counter(&[1, 3, 6, 1, 2, 1, 11, 31], |all| &all.silent_drops),
    // snmpProxyDrops: there is no proxy
    Object { name: &[1, 3, 6, 1, 2, 1, 11, 32], kind: Kind::Scalar(|_, _| Value::Counter32(0)) },
    // snmpEngineID
    Object {
        name: &[1, 3, 6, 1, 6, 3, 10, 2, 1, 1],
        kind: Kind::Scalar(|own, _| Value::OctetString(own.identity.engine_id.clone())),
    },
    // snmpEngineBoots
    Object {
        name: &[1, 3, 6, 1, 6, 3, 10, 2, 1, 2],
        kind: Kind::Scalar(|own, asked| integer(own.identity.boots_and_time(own.started, asked.now).0)),
    },
    // snmpEngineTime
    Object {
        name: &[1, 3, 6, 1, 6, 3, 10, 2, 1, 3],
        kind: Kind::Scalar(|own, asked| integer(own.identity.boots_and_time(own.started, asked.now).1)),
    },
    // snmpEngineMaxMessageSize
    Object {
        name: &[1, 3, 6, 1, 6, 3, 10, 2, 1, 4],
        kind: Kind::Scalar(|own, _| integer(own.access.load().message_octets())),
    },
    // snmpUnknownSecurityModels
    counter(&[1, 3, 6, 1, 6, 3, 11, 2, 1, 1], |all| &all.unknown_security_models),
    // snmpInvalidMsgs
    counter(&[1, 3, 6, 1, 6, 3, 11, 2, 1, 2], |all| &all.invalid_messages),
    // snmpUnknownPDUHandlers
    counter(&[1, 3, 6, 1, 6, 3, 11, 2, 1, 3], |all| &all.unknown_pdu_handlers),
    // snmpUnavailableContexts
    counter(&[1, 3, 6, 1, 6, 3, 12, 1, 4], |all| &all.unavailable_contexts),
    // snmpUnknownContexts
    counter(&[1, 3, 6, 1, 6, 3, 12, 1, 5], |all| &all.unknown_contexts),
    // usmStatsUnsupportedSecLevels
    counter(&[1, 3, 6, 1, 6, 3, 15, 1, 1, 1], |all| &all.unsupported_security_levels),
    // usmStatsNotInTimeWindows
    counter(&[1, 3, 6, 1, 6, 3, 15, 1, 1, 2], |all| &all.not_in_time_windows),
    // usmStatsUnknownUserNames
    counter(&[1, 3, 6, 1, 6, 3, 15, 1, 1, 3], |all| &all.unknown_user_names),
    // usmStatsUnknownEngineIDs
    counter(&[1, 3, 6, 1, 6, 3, 15, 1, 1, 4], |all| &all.unknown_engine_ids),
    // usmStatsWrongDigests
    counter(&[1, 3, 6, 1, 6, 3, 15, 1, 1, 5], |all| &all.wrong_digests),
    // usmStatsDecryptionErrors
    counter(&[1, 3, 6, 1, 6, 3, 15, 1, 1, 6], |all| &all.decryption_errors),
];

const DESCRIPTION: &str = concat!("snmp-operator ", env!("CARGO_PKG_VERSION"), ", AgentX master agent");

fn identity() -> Oid {
    Oid::new([PRODUCT_OID, &[MASTER]].concat()).unwrap_or_default()
}

fn ticks(from: Instant, to: Instant) -> Value {
    Value::TimeTicks(time_ticks(from, to))
}

fn integer(value: impl TryInto<i32>) -> Value {
    Value::Integer(value.try_into().unwrap_or(i32::MAX))
}
