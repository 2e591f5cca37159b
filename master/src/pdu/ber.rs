//! Encodes AgentX values in BER (X.690) as SNMP uses it, front to back and without allocations.
//!
//! Decoding, authentication and encryption are left to async-snmp.

use agentx::{SubId, ValueRef};

/// Tags of the types of SNMP (RFC 3416 section 3, RFC 2578 section 2).
pub(crate) mod tag {
    #![allow(missing_docs)]
    pub(crate) const INTEGER: u8 = 0x02;
    pub(crate) const OCTET_STRING: u8 = 0x04;
    pub(crate) const NULL: u8 = 0x05;
    pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
    pub(crate) const SEQUENCE: u8 = 0x30;
    pub(crate) const IP_ADDRESS: u8 = 0x40;
    pub(crate) const COUNTER32: u8 = 0x41;
    pub(crate) const GAUGE32: u8 = 0x42;
    pub(crate) const TIME_TICKS: u8 = 0x43;
    pub(crate) const OPAQUE: u8 = 0x44;
    pub(crate) const COUNTER64: u8 = 0x46;
    pub(crate) const NO_SUCH_OBJECT: u8 = 0x80;
    pub(crate) const NO_SUCH_INSTANCE: u8 = 0x81;
    pub(crate) const END_OF_MIB_VIEW: u8 = 0x82;
    pub(crate) const RESPONSE: u8 = 0xA2;
    pub(crate) const REPORT: u8 = 0xA8;
}

/// Returns the number of octets of tag and length before a content of `len` octets.
#[must_use]
pub(crate) fn header_len(len: usize) -> usize {
    match len {
        0..=0x7F => 2,
        0x80..=0xFF => 3,
        0x100..=0xFFFF => 4,
        0x1_0000..=0xFF_FFFF => 5,
        _ => 6,
    }
}

/// Appends tag and length of a content of `len` octets, which the caller appends next.
pub(crate) fn push_header(out: &mut Vec<u8>, tag: u8, len: usize) {
    out.push(tag);
    let [.., a, b, c, d] = (len as u64).to_be_bytes();
    match header_len(len) {
        2 => out.push(d),
        3 => out.extend_from_slice(&[0x81, d]),
        4 => out.extend_from_slice(&[0x82, c, d]),
        5 => out.extend_from_slice(&[0x83, b, c, d]),
        _ => out.extend_from_slice(&[0x84, a, b, c, d]),
    }
}

/// Appends tag, length and content.
pub(crate) fn push_octets(out: &mut Vec<u8>, tag: u8, octets: &[u8]) {
    push_header(out, tag, octets.len());
    out.extend_from_slice(octets);
}

/// Appends an INTEGER.
pub(crate) fn push_integer(out: &mut Vec<u8>, value: i32) {
    let octets = value.to_be_bytes();
    // Leading octets that only repeat the sign are left out.
    let spare = octets
        .windows(2)
        .take_while(|pair| matches!(pair, [0, next] if *next < 0x80) || matches!(pair, [0xFF, next] if *next >= 0x80))
        .count();
    push_octets(out, tag::INTEGER, octets.get(spare..).unwrap_or_default());
}

/// Appends an unsigned number with this tag.
pub(crate) fn push_unsigned(out: &mut Vec<u8>, tag: u8, value: u64) {
    let mut octets = [0; 9];
    if let Some(low) = octets.last_chunk_mut::<8>() {
        *low = value.to_be_bytes();
    }
    let spare = octets.windows(2).take_while(|pair| matches!(pair, [0, next] if *next < 0x80)).count();
    push_octets(out, tag, octets.get(spare..).unwrap_or_default());
}

/// Appends an OBJECT IDENTIFIER. An OID of fewer than two arcs is padded with zeros: the null OID is written as 0.0.
pub(crate) fn push_oid(out: &mut Vec<u8>, arcs: &[SubId]) {
    let (first, rest) = match arcs {
        [a, b, rest @ ..] => (u64::from(*a) * 40 + u64::from(*b), rest),
        [a] => (u64::from(*a) * 40, &[][..]),
        [] => (0, &[][..]),
    };
    let len = arc_len(first) + rest.iter().map(|&arc| arc_len(u64::from(arc))).sum::<usize>();
    push_header(out, tag::OBJECT_IDENTIFIER, len);
    push_arc(out, first);
    for &arc in rest {
        push_arc(out, u64::from(arc));
    }
}

fn arc_len(arc: u64) -> usize {
    match arc {
        0..=0x7F => 1,
        0x80..=0x3FFF => 2,
        0x4000..=0x1F_FFFF => 3,
        0x20_0000..=0xFFF_FFFF => 4,
        _ => 5,
    }
}

#[allow(clippy::cast_possible_truncation, reason = "seven bits at a time")]
fn push_arc(out: &mut Vec<u8>, arc: u64) {
    for septet in (1..arc_len(arc)).rev() {
        out.push(0x80 | (arc >> (7 * septet)) as u8 & 0x7F);
    }
    out.push(arc as u8 & 0x7F);
}

/// Appends a varbind (RFC 3416 section 3): a SEQUENCE of name and value.
pub(crate) fn push_varbind(out: &mut Vec<u8>, name: &[SubId], value: ValueRef<'_>) {
    let start = out.len();
    // Most varbinds are shorter than 128 octets. So the short form of the length is reserved, and widened if necessary.
    out.extend_from_slice(&[tag::SEQUENCE, 0]);
    push_oid(out, name);
    push_value(out, value);
    let len = out.len() - start - 2;
    if let (Ok(short @ 0..=0x7F), Some(octet)) = (u8::try_from(len), out.get_mut(start + 1)) {
        *octet = short;
        return;
    }
    let mut header = Vec::with_capacity(6);
    push_header(&mut header, tag::SEQUENCE, len);
    out.splice(start..start + 2, header);
}

fn push_value(out: &mut Vec<u8>, value: ValueRef<'_>) {
    match value {
        ValueRef::Integer(v) => push_integer(out, v),
        ValueRef::OctetString(v) => push_octets(out, tag::OCTET_STRING, v),
        ValueRef::Null => push_header(out, tag::NULL, 0),
        ValueRef::ObjectIdentifier(v) => push_oid(out, v),
        ValueRef::IpAddress(v) => push_octets(out, tag::IP_ADDRESS, &v),
        ValueRef::Counter32(v) => push_unsigned(out, tag::COUNTER32, v.into()),
        ValueRef::Gauge32(v) => push_unsigned(out, tag::GAUGE32, v.into()),
        ValueRef::TimeTicks(v) => push_unsigned(out, tag::TIME_TICKS, v.into()),
        ValueRef::Opaque(v) => push_octets(out, tag::OPAQUE, v),
        ValueRef::Counter64(v) => push_unsigned(out, tag::COUNTER64, v),
        ValueRef::NoSuchObject => push_header(out, tag::NO_SUCH_OBJECT, 0),
        ValueRef::NoSuchInstance => push_header(out, tag::NO_SUCH_INSTANCE, 0),
        ValueRef::EndOfMibView => push_header(out, tag::END_OF_MIB_VIEW, 0),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use agentx::{Oid, Value};
    use async_snmp::ber::Decoder;
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn value() -> impl Strategy<Value = Value> {
        let octets = || proptest::collection::vec(any::<u8>(), 0..300);
        let oid = proptest::collection::vec(any::<u32>(), 0..20)
            .prop_map(|arcs| Oid::new([vec![1, 3], arcs].concat()).expect("short"));
        prop_oneof![
            any::<i32>().prop_map(Value::Integer),
            octets().prop_map(Value::OctetString),
            Just(Value::Null),
            oid.prop_map(Value::ObjectIdentifier),
            any::<[u8; 4]>().prop_map(Value::IpAddress),
            any::<u32>().prop_map(Value::Counter32),
            any::<u32>().prop_map(Value::Gauge32),
            any::<u32>().prop_map(Value::TimeTicks),
            octets().prop_map(Value::Opaque),
            any::<u64>().prop_map(Value::Counter64),
            Just(Value::NoSuchObject),
            Just(Value::NoSuchInstance),
            Just(Value::EndOfMibView),
        ]
    }

    fn to_async_snmp(value: &Value) -> async_snmp::Value {
        use async_snmp::Value as Converted;
        match value.clone() {
            Value::Integer(v) => Converted::Integer(v),
            Value::OctetString(v) => Converted::OctetString(v.into()),
            Value::Null => Converted::Null,
            Value::ObjectIdentifier(v) => Converted::ObjectIdentifier(async_snmp::Oid::from_slice(v.as_slice())),
            Value::IpAddress(v) => Converted::IpAddress(v),
            Value::Counter32(v) => Converted::Counter32(v),
            Value::Gauge32(v) => Converted::Gauge32(v),
            Value::TimeTicks(v) => Converted::TimeTicks(v),
            Value::Opaque(v) => Converted::Opaque(v.into()),
            Value::Counter64(v) => Converted::Counter64(v),
            Value::NoSuchObject => Converted::NoSuchObject,
            Value::NoSuchInstance => Converted::NoSuchInstance,
            Value::EndOfMibView => Converted::EndOfMibView,
        }
    }

    proptest! {
        #[test]
        fn a_varbind_equals_that_of_async_snmp(arcs in proptest::collection::vec(any::<u32>(), 0..60), value in value()) {
            let name = [vec![1, 3, 6], arcs].concat();
            let mut encoded = b"before".to_vec();
            push_varbind(&mut encoded, &name, value.as_ref());
            let varbind = async_snmp::VarBind::new(async_snmp::Oid::from_slice(&name), to_async_snmp(&value));
            let mut expected = async_snmp::ber::EncodeBuf::new();
            varbind.encode(&mut expected).expect("it encodes");
            prop_assert_eq!(&encoded[6..], &expected.finish()[..]);
            let decoded = async_snmp::VarBind::decode(&mut Decoder::from_slice(&encoded[6..])).expect("it decodes");
            prop_assert_eq!(decoded, varbind);
        }
    }
}
