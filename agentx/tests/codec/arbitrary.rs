//! Generators of arbitrary PDUs for property tests.

use agentx::{
    AddAgentCaps, Body, ByteOrder, CloseReason, Context, GetBulk, Header, IndexAllocate, Oid, Open, Pdu, Range,
    Register, RemoveAgentCaps, Response, ResponseError, SearchRange, Unregister, Value, VarBind,
};
use proptest::{collection::vec, option, prelude::*};

pub(crate) fn byte_order() -> impl Strategy<Value = ByteOrder> {
    prop_oneof![Just(ByteOrder::Big), Just(ByteOrder::Little)]
}

pub(crate) fn header() -> impl Strategy<Value = Header> {
    (byte_order(), any::<[u32; 3]>()).prop_map(|(byte_order, [session_id, transaction_id, packet_id])| Header {
        byte_order,
        session_id,
        transaction_id,
        packet_id,
    })
}

/// Generates octets that are valid UTF-8, because other implementations use strings.
fn text() -> impl Strategy<Value = Vec<u8>> {
    vec(0..0x80_u8, 0..12)
}

pub(crate) fn oid() -> impl Strategy<Value = Oid> {
    let arc = prop_oneof![3 => 0..300_u32, 1 => any::<u32>()];
    let start = prop_oneof![Just(vec![]), Just(vec![1, 3, 6, 1]), Just(vec![1, 3, 6, 1, 4, 1])];
    let len = prop_oneof![20 => 0..12_usize, 1 => 120..=122_usize];
    (start, len.prop_flat_map(move |len| vec(arc.clone(), len)))
        .prop_map(|(start, arcs)| Oid::new([start, arcs].concat()).unwrap())
}

pub(crate) fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i32>().prop_map(Value::Integer),
        text().prop_map(Value::OctetString),
        Just(Value::Null),
        oid().prop_map(Value::ObjectIdentifier),
        any::<[u8; 4]>().prop_map(Value::IpAddress),
        any::<u32>().prop_map(Value::Counter32),
        any::<u32>().prop_map(Value::Gauge32),
        any::<u32>().prop_map(Value::TimeTicks),
        text().prop_map(Value::Opaque),
        any::<u64>().prop_map(Value::Counter64),
        Just(Value::NoSuchObject),
        Just(Value::NoSuchInstance),
        Just(Value::EndOfMibView),
    ]
}

pub(crate) fn varbinds() -> impl Strategy<Value = Vec<VarBind>> {
    vec((oid(), value()).prop_map(|(name, value)| VarBind { name, value }), 0..6)
}

fn ranges() -> impl Strategy<Value = Vec<SearchRange>> {
    vec((oid(), any::<bool>(), oid()).prop_map(|(start, include, end)| SearchRange { start, include, end }), 0..6)
}

fn region() -> impl Strategy<Value = (Oid, Option<Range>)> {
    (oid(), option::of((any::<prop::sample::Index>(), any::<u32>()))).prop_map(|(subtree, range)| {
        let range = range.filter(|_| !subtree.is_empty()).map(|(position, upper_bound)| {
            let position = u8::try_from(position.index(subtree.len()) + 1).unwrap();
            Range { position, upper_bound }
        });
        (subtree, range)
    })
}

fn register() -> impl Strategy<Value = Register> {
    (any::<(u8, u8, bool)>(), region()).prop_map(|((timeout_s, priority, instance), (subtree, range))| Register {
        timeout_s,
        priority,
        subtree,
        range,
        instance,
    })
}

fn response() -> impl Strategy<Value = Response> {
    let error = prop_oneof![0..20_u16, 250..270_u16, any::<u16>()].prop_map(ResponseError::from_code);
    (any::<u32>(), error, any::<u16>(), varbinds()).prop_map(|(sys_up_time, error, index, varbinds)| Response {
        sys_up_time,
        error,
        index,
        varbinds,
    })
}

fn get_bulk() -> impl Strategy<Value = GetBulk> {
    (any::<(u16, u16)>(), ranges()).prop_map(|((non_repeaters, max_repetitions), ranges)| GetBulk {
        non_repeaters,
        max_repetitions,
        ranges,
    })
}

pub(crate) fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        (any::<u8>(), oid(), text()).prop_map(|(timeout_s, id, description)| Body::Open(Open {
            timeout_s,
            id,
            description
        })),
        (0..8_u8).prop_map(|code| Body::Close(CloseReason::from_code(code))),
        register().prop_map(Body::Register),
        (any::<u8>(), region()).prop_map(|(priority, (subtree, range))| Body::Unregister(Unregister {
            priority,
            subtree,
            range
        })),
        ranges().prop_map(Body::Get),
        ranges().prop_map(Body::GetNext),
        get_bulk().prop_map(Body::GetBulk),
        varbinds().prop_map(Body::TestSet),
        prop_oneof![Just(Body::CommitSet), Just(Body::UndoSet), Just(Body::CleanupSet), Just(Body::Ping)],
        varbinds().prop_map(Body::Notify),
        (any::<(bool, bool)>(), varbinds()).prop_map(|((new, any), varbinds)| Body::IndexAllocate(IndexAllocate {
            new,
            any,
            varbinds
        })),
        varbinds().prop_map(Body::IndexDeallocate),
        (oid(), text()).prop_map(|(id, description)| Body::AddAgentCaps(AddAgentCaps { id, description })),
        oid().prop_map(|id| Body::RemoveAgentCaps(RemoveAgentCaps { id })),
        response().prop_map(Body::Response),
    ]
}

pub(crate) fn pdu() -> impl Strategy<Value = Pdu> {
    let context = prop_oneof![Just(Vec::new()), text()];
    (header(), context, body()).prop_map(|(header, context, body)| {
        let context = if body.pdu_type().has_context() { Context(context) } else { Context::default() };
        Pdu { header, context, body }
    })
}
