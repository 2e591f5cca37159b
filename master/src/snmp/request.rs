//! From a PDU that came to what is asked for.

use agentx::{Oid, ResponseError, VarBind};
use async_snmp::{DecodeConfig, Value, ber::Decoder, varbind::decode_varbind_list};
use bytes::Bytes;

use super::{message::Version, tlv::Elements};
use crate::{ber::tag, dispatch::Operation};

/// Tags of PDUs (RFC 3416 section 3).
pub(crate) mod pdu_tag {
    pub(crate) const GET: u8 = 0xA0;
    pub(crate) const GET_NEXT: u8 = 0xA1;
    pub(crate) const SET: u8 = 0xA3;
    pub(crate) const GET_BULK: u8 = 0xA5;
    pub(crate) const INFORM: u8 = 0xA6;
    pub(crate) const TRAP: u8 = 0xA7;
}

/// A PDU but for its variable bindings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head<'a> {
    pub(crate) tag: u8,
    pub(crate) request_id: i32,
    /// error-status or non-repeaters.
    first: i32,
    /// error-index or max-repetitions.
    second: i32,
    /// The list of variable bindings, its header and all.
    list: &'a [u8],
}

impl<'a> Head<'a> {
    /// Reads `pdu`, which is all there is. `None` where it is of any other form.
    pub(crate) fn read(pdu: &'a [u8]) -> Option<Self> {
        let mut outer = Elements(pdu);
        let (tag, content) = outer.next()?;
        outer.end()?;
        let mut fields = Elements(content);
        let (request_id, first, second) = (fields.integer()?, fields.integer()?, fields.integer()?);
        let list = fields.whole()?;
        fields.end()?;
        Some(Self { tag, request_id, first, second, list })
    }

    /// Whether whoever sent this waits for an answer: the Confirmed Class of RFC 3411 section 2.8.
    pub(crate) fn is_confirmed(&self) -> bool {
        use pdu_tag::{GET, GET_BULK, GET_NEXT, INFORM, SET};
        matches!(self.tag, GET | GET_NEXT | GET_BULK | SET | INFORM)
    }
}

/// Why there is nothing to ask for in a PDU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotAsked {
    /// The PDU is none that an agent takes, or not in its version.
    Unexpected,
    /// It cannot be read.
    Malformed,
}

/// What a PDU asks for.
#[derive(Debug)]
pub(crate) struct Asked {
    /// What is to be done.
    ///
    /// # Errors
    /// What is wrong with a Set, and with which variable binding, from 1.
    pub(crate) operation: Result<Operation, (ResponseError, u32)>,
    /// The variable bindings as they came: an error's answer repeats them.
    pub(crate) varbinds: Bytes,
}

impl Asked {
    /// Reads what is asked for.
    pub(crate) fn read(version: Version, head: &Head<'_>) -> Result<Self, NotAsked> {
        use pdu_tag::{GET, GET_BULK, GET_NEXT, SET};
        if !matches!(head.tag, GET | GET_NEXT | SET) && (head.tag != GET_BULK || version == Version::V1) {
            return Err(NotAsked::Unexpected);
        }
        let list = Bytes::copy_from_slice(head.list);
        let varbinds = Elements(&list).expect(tag::SEQUENCE).map(|content| list.slice_ref(content));
        let varbinds = varbinds.ok_or(NotAsked::Malformed)?;
        let mut decoder = Decoder::new(list).with_decode_config(DecodeConfig::STRICT);
        let list = decode_varbind_list(&mut decoder).map_err(|_| NotAsked::Malformed)?;
        let operation = if head.tag == SET {
            set(list)?
        } else {
            let names = list.iter().map(|varbind| oid(&varbind.oid)).collect::<Result<_, _>>()?;
            Ok(match head.tag {
                GET => Operation::Get(names),
                GET_NEXT => Operation::GetNext(names),
                // RFC 3416 section 4.2.3: less than zero is zero.
                _ => Operation::GetBulk {
                    non_repeaters: u32::try_from(head.first).unwrap_or(0),
                    max_repetitions: u32::try_from(head.second).unwrap_or(0),
                    names,
                },
            })
        };
        Ok(Self { operation, varbinds })
    }

    /// The index of the first variable binding; 0 if there is none.
    pub(crate) fn first_index(&self) -> u32 {
        u32::from(!self.varbinds.is_empty())
    }
}

/// The values of a Set. One that no variable can have is refused here.
fn set(decoded: Vec<async_snmp::VarBind>) -> Result<Result<Operation, (ResponseError, u32)>, NotAsked> {
    let mut varbinds = Vec::with_capacity(decoded.len());
    let mut refused = None;
    for (index, varbind) in (1..).zip(decoded) {
        let name = oid(&varbind.oid)?;
        match value(varbind.value)? {
            Some(value) => varbinds.push(VarBind { name, value }),
            None => refused = refused.or(Some((ResponseError::WrongType, index))),
        }
    }
    Ok(refused.map_or(Ok(Operation::Set(varbinds)), Err))
}

/// The value in our terms; `None` for NULL and the exceptions, which say that there is none.
fn value(value: Value) -> Result<Option<agentx::Value>, NotAsked> {
    Ok(Some(match value {
        Value::Integer(v) => agentx::Value::Integer(v),
        Value::OctetString(v) => agentx::Value::OctetString(v.into()),
        Value::ObjectIdentifier(v) => agentx::Value::ObjectIdentifier(oid(&v)?),
        Value::IpAddress(v) => agentx::Value::IpAddress(v),
        Value::Counter32(v) => agentx::Value::Counter32(v),
        Value::Gauge32(v) => agentx::Value::Gauge32(v),
        Value::TimeTicks(v) => agentx::Value::TimeTicks(v),
        Value::Opaque(v) => agentx::Value::Opaque(v.into()),
        Value::Counter64(v) => agentx::Value::Counter64(v),
        Value::Null | Value::NoSuchObject | Value::NoSuchInstance | Value::EndOfMibView => return Ok(None),
        // Types that RFC 3416 does not have.
        _ => return Err(NotAsked::Malformed),
    }))
}

fn oid(oid: &async_snmp::Oid) -> Result<Oid, NotAsked> {
    Oid::try_from(oid.arcs()).map_err(|_| NotAsked::Malformed)
}
