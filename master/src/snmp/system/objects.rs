//! The table of objects that the engine serves, each with the function that reads its value.

use std::{sync::Arc, time::Instant};

use agentx::{Oid, SubId, Value};
use arc_swap::ArcSwap;
use master_config::System;

use crate::{
    pdu::{
        own_objects::{Capability, Environment},
        time_ticks::time_ticks,
    },
    snmp::{
        access::Access,
        engine_identity::EngineIdentity,
        product::{MASTER, PRODUCT_OID},
        statistics::{Counter, Statistics},
    },
};

/// The state of the engine that the objects show.
#[derive(Debug)]
pub(super) struct EngineState {
    pub(super) identity: EngineIdentity,
    pub(super) started: Instant,
    pub(super) access: Arc<ArcSwap<Access>>,
    pub(super) statistics: Arc<Statistics>,
}

impl EngineState {
    /// Returns a configured text of the context's system group, or an empty string.
    fn system_text(&self, context: &[u8], field: fn(&System) -> Option<&String>) -> Value {
        let access = self.access.load();
        let text = access.system(context).and_then(field);
        Value::OctetString(text.map(|text| text.clone().into_bytes()).unwrap_or_default())
    }
}

/// An object: a scalar, or a column of sysORTable.
pub(super) struct Object {
    pub(super) name: &'static [SubId],
    pub(super) kind: Kind,
}

/// The kind of an object, with the function that reads its value.
pub(super) enum Kind {
    /// A scalar, whose only instance is 0.
    Scalar(fn(&EngineState, &Environment<'_>) -> Value),
    /// A scalar that is a counter.
    Counter(fn(&Statistics) -> &Counter),
    /// A column, with an instance for each row by sysORIndex.
    Column(fn(&EngineState, &Capability) -> Value),
}

const fn counter(name: &'static [SubId], counter: fn(&Statistics) -> &Counter) -> Object {
    Object { name, kind: Kind::Counter(counter) }
}

/// All objects, in order. No name is a prefix of another.
pub(super) static OBJECTS: [Object; 34] = [
    // sysDescr
    Object { name: &[1, 3, 6, 1, 2, 1, 1, 1], kind: Kind::Scalar(|_, _| Value::OctetString(DESCRIPTION.into())) },
    // sysObjectID
    Object { name: &[1, 3, 6, 1, 2, 1, 1, 2], kind: Kind::Scalar(|_, _| Value::ObjectIdentifier(sys_object_id())) },
    // sysUpTime
    Object { name: &[1, 3, 6, 1, 2, 1, 1, 3], kind: Kind::Scalar(|engine, env| ticks(engine.started, env.now)) },
    // sysContact
    Object {
        name: &[1, 3, 6, 1, 2, 1, 1, 4],
        kind: Kind::Scalar(|engine, env| engine.system_text(env.context, |system| system.contact.as_ref())),
    },
    // sysName
    Object {
        name: &[1, 3, 6, 1, 2, 1, 1, 5],
        kind: Kind::Scalar(|engine, env| engine.system_text(env.context, |system| system.name.as_ref())),
    },
    // sysLocation
    Object {
        name: &[1, 3, 6, 1, 2, 1, 1, 6],
        kind: Kind::Scalar(|engine, env| engine.system_text(env.context, |system| system.location.as_ref())),
    },
    // sysServices: end-to-end and applications
    Object { name: &[1, 3, 6, 1, 2, 1, 1, 7], kind: Kind::Scalar(|_, _| Value::Integer(72)) },
    // sysORLastChange
    Object {
        name: &[1, 3, 6, 1, 2, 1, 1, 8],
        kind: Kind::Scalar(|engine, env| ticks(engine.started, env.capabilities_changed.unwrap_or(engine.started))),
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
    Object {
        name: &[1, 3, 6, 1, 2, 1, 1, 9, 1, 4],
        kind: Kind::Column(|engine, row| ticks(engine.started, row.added)),
    },
    // snmpInPkts
    counter(&[1, 3, 6, 1, 2, 1, 11, 1], |statistics| &statistics.in_packets),
    // snmpInBadVersions
    counter(&[1, 3, 6, 1, 2, 1, 11, 3], |statistics| &statistics.bad_versions),
    // snmpInBadCommunityNames
    counter(&[1, 3, 6, 1, 2, 1, 11, 4], |statistics| &statistics.bad_community_names),
    // snmpInBadCommunityUses
    counter(&[1, 3, 6, 1, 2, 1, 11, 5], |statistics| &statistics.bad_community_uses),
    // snmpInASNParseErrs
    counter(&[1, 3, 6, 1, 2, 1, 11, 6], |statistics| &statistics.asn_parse_errors),
    // snmpEnableAuthenTraps: disabled; the engine sends no authenticationFailure traps
    Object { name: &[1, 3, 6, 1, 2, 1, 11, 30], kind: Kind::Scalar(|_, _| Value::Integer(2)) },
    // snmpSilentDrops
    counter(&[1, 3, 6, 1, 2, 1, 11, 31], |statistics| &statistics.silent_drops),
    // snmpProxyDrops: there is no proxy
    Object { name: &[1, 3, 6, 1, 2, 1, 11, 32], kind: Kind::Scalar(|_, _| Value::Counter32(0)) },
    // snmpEngineID
    Object {
        name: &[1, 3, 6, 1, 6, 3, 10, 2, 1, 1],
        kind: Kind::Scalar(|engine, _| Value::OctetString(engine.identity.engine_id.clone())),
    },
    // snmpEngineBoots
    Object {
        name: &[1, 3, 6, 1, 6, 3, 10, 2, 1, 2],
        kind: Kind::Scalar(|engine, env| integer(engine.identity.boots_and_time(engine.started, env.now).0)),
    },
    // snmpEngineTime
    Object {
        name: &[1, 3, 6, 1, 6, 3, 10, 2, 1, 3],
        kind: Kind::Scalar(|engine, env| integer(engine.identity.boots_and_time(engine.started, env.now).1)),
    },
    // snmpEngineMaxMessageSize
    Object {
        name: &[1, 3, 6, 1, 6, 3, 10, 2, 1, 4],
        kind: Kind::Scalar(|engine, _| integer(engine.access.load().message_octets())),
    },
    // snmpUnknownSecurityModels
    counter(&[1, 3, 6, 1, 6, 3, 11, 2, 1, 1], |statistics| &statistics.unknown_security_models),
    // snmpInvalidMsgs
    counter(&[1, 3, 6, 1, 6, 3, 11, 2, 1, 2], |statistics| &statistics.invalid_messages),
    // snmpUnknownPDUHandlers
    counter(&[1, 3, 6, 1, 6, 3, 11, 2, 1, 3], |statistics| &statistics.unknown_pdu_handlers),
    // snmpUnavailableContexts
    counter(&[1, 3, 6, 1, 6, 3, 12, 1, 4], |statistics| &statistics.unavailable_contexts),
    // snmpUnknownContexts
    counter(&[1, 3, 6, 1, 6, 3, 12, 1, 5], |statistics| &statistics.unknown_contexts),
    // usmStatsUnsupportedSecLevels
    counter(&[1, 3, 6, 1, 6, 3, 15, 1, 1, 1], |statistics| &statistics.unsupported_security_levels),
    // usmStatsNotInTimeWindows
    counter(&[1, 3, 6, 1, 6, 3, 15, 1, 1, 2], |statistics| &statistics.not_in_time_windows),
    // usmStatsUnknownUserNames
    counter(&[1, 3, 6, 1, 6, 3, 15, 1, 1, 3], |statistics| &statistics.unknown_user_names),
    // usmStatsUnknownEngineIDs
    counter(&[1, 3, 6, 1, 6, 3, 15, 1, 1, 4], |statistics| &statistics.unknown_engine_ids),
    // usmStatsWrongDigests
    counter(&[1, 3, 6, 1, 6, 3, 15, 1, 1, 5], |statistics| &statistics.wrong_digests),
    // usmStatsDecryptionErrors
    counter(&[1, 3, 6, 1, 6, 3, 15, 1, 1, 6], |statistics| &statistics.decryption_errors),
];

const DESCRIPTION: &str = concat!("snmp-operator ", env!("CARGO_PKG_VERSION"), ", AgentX master agent");

fn sys_object_id() -> Oid {
    Oid::new([PRODUCT_OID, &[MASTER]].concat()).unwrap_or_default()
}

fn ticks(from: Instant, to: Instant) -> Value {
    Value::TimeTicks(time_ticks(from, to))
}

fn integer(value: impl TryInto<i32>) -> Value {
    Value::Integer(value.try_into().unwrap_or(i32::MAX))
}
