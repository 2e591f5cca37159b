//! Decoding of request PDUs.

use agentx::{Oid, ResponseError, VarBind};
use async_snmp::{DecodeConfig, Value, ber::Decoder, varbind::decode_varbind_list};
use bytes::Bytes;

use super::{message::Version, tlv::Elements};
use crate::pdu::{Operation, ber::tag};

/// Tags of PDUs (RFC 3416 section 3).
pub(crate) mod pdu_tag {
    pub(crate) const GET: u8 = 0xA0;
    pub(crate) const GET_NEXT: u8 = 0xA1;
    pub(crate) const SET: u8 = 0xA3;
    pub(crate) const GET_BULK: u8 = 0xA5;
    pub(crate) const INFORM: u8 = 0xA6;
    pub(crate) const TRAP: u8 = 0xA7;
}

/// A PDU whose varbinds are not decoded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawPdu<'a> {
    pub(crate) tag: u8,
    pub(crate) request_id: i32,
    /// non-repeaters of a GetBulk; error-status of other PDUs.
    non_repeaters: i32,
    /// max-repetitions of a GetBulk; error-index of other PDUs.
    max_repetitions: i32,
    /// The list of varbinds, including its tag and length.
    varbind_list: &'a [u8],
}

impl<'a> RawPdu<'a> {
    /// Parses `pdu`, which must hold one PDU and nothing else. Returns `None` if it is malformed.
    pub(crate) fn parse(pdu: &'a [u8]) -> Option<Self> {
        let mut outer = Elements(pdu);
        let (tag, content) = outer.next()?;
        outer.end()?;
        let mut fields = Elements(content);
        let (request_id, non_repeaters, max_repetitions) = (fields.integer()?, fields.integer()?, fields.integer()?);
        let varbind_list = fields.next_whole()?;
        fields.end()?;
        Some(Self { tag, request_id, non_repeaters, max_repetitions, varbind_list })
    }

    /// Returns whether the sender expects a response: the Confirmed Class of RFC 3411 section 2.8.
    pub(crate) fn is_confirmed(&self) -> bool {
        use pdu_tag::{GET, GET_BULK, GET_NEXT, INFORM, SET};
        matches!(self.tag, GET | GET_NEXT | GET_BULK | SET | INFORM)
    }
}

/// The error of a PDU that is not a valid request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PduError {
    /// An agent does not serve this type of PDU, or not in this version.
    Unexpected,
    /// The PDU cannot be decoded.
    Malformed,
}

/// A decoded request PDU.
#[derive(Debug)]
pub(crate) struct RequestPdu {
    /// The operation; or, for a Set with an invalid value, the error and the index from 1 of its varbind.
    pub(crate) operation: Result<Operation, (ResponseError, u32)>,
    /// The encoded varbinds. A response with an error repeats them.
    pub(crate) varbinds: Bytes,
}

impl RequestPdu {
    /// Decodes the varbinds of a request.
    ///
    /// # Errors
    /// Returns an error if the PDU is not a request of this version, or if its varbinds are malformed.
    pub(crate) fn decode(version: Version, pdu: &RawPdu<'_>) -> Result<Self, PduError> {
        use pdu_tag::{GET, GET_BULK, GET_NEXT, SET};
        if !matches!(pdu.tag, GET | GET_NEXT | SET) && (pdu.tag != GET_BULK || version == Version::V1) {
            return Err(PduError::Unexpected);
        }
        let list = Bytes::copy_from_slice(pdu.varbind_list);
        let varbinds = Elements(&list).expect(tag::SEQUENCE).map(|content| list.slice_ref(content));
        let varbinds = varbinds.ok_or(PduError::Malformed)?;
        let mut decoder = Decoder::new(list).with_decode_config(DecodeConfig::STRICT);
        let list = decode_varbind_list(&mut decoder).map_err(|_| PduError::Malformed)?;
        let operation = if pdu.tag == SET {
            set_operation(list)?
        } else {
            let names = list.iter().map(|varbind| convert_oid(&varbind.oid)).collect::<Result<_, _>>()?;
            Ok(match pdu.tag {
                GET => Operation::Get(names),
                GET_NEXT => Operation::GetNext(names),
                // RFC 3416 section 4.2.3: negative numbers count as zero.
                _ => Operation::GetBulk {
                    non_repeaters: u32::try_from(pdu.non_repeaters).unwrap_or(0),
                    max_repetitions: u32::try_from(pdu.max_repetitions).unwrap_or(0),
                    names,
                },
            })
        };
        Ok(Self { operation, varbinds })
    }

    /// Returns the index of the first varbind: 1, or 0 if there is none.
    pub(crate) fn first_index(&self) -> u32 {
        u32::from(!self.varbinds.is_empty())
    }
}

/// Converts the varbinds of a Set. The inner result is wrongType if one of them has no value.
fn set_operation(decoded: Vec<async_snmp::VarBind>) -> Result<Result<Operation, (ResponseError, u32)>, PduError> {
    let mut varbinds = Vec::with_capacity(decoded.len());
    let mut error = None;
    for (index, varbind) in (1..).zip(decoded) {
        let name = convert_oid(&varbind.oid)?;
        match convert_value(varbind.value)? {
            Some(value) => varbinds.push(VarBind { name, value }),
            None => error = error.or(Some((ResponseError::WrongType, index))),
        }
    }
    Ok(error.map_or(Ok(Operation::Set(varbinds)), Err))
}

/// Converts a value. Returns `None` for NULL and the exceptions, which are not values.
fn convert_value(value: Value) -> Result<Option<agentx::Value>, PduError> {
    Ok(Some(match value {
        Value::Integer(v) => agentx::Value::Integer(v),
        Value::OctetString(v) => agentx::Value::OctetString(v.into()),
        Value::ObjectIdentifier(v) => agentx::Value::ObjectIdentifier(convert_oid(&v)?),
        Value::IpAddress(v) => agentx::Value::IpAddress(v),
        Value::Counter32(v) => agentx::Value::Counter32(v),
        Value::Gauge32(v) => agentx::Value::Gauge32(v),
        Value::TimeTicks(v) => agentx::Value::TimeTicks(v),
        Value::Opaque(v) => agentx::Value::Opaque(v.into()),
        Value::Counter64(v) => agentx::Value::Counter64(v),
        Value::Null | Value::NoSuchObject | Value::NoSuchInstance | Value::EndOfMibView => return Ok(None),
        // Types that RFC 3416 does not define.
        _ => return Err(PduError::Malformed),
    }))
}

fn convert_oid(oid: &async_snmp::Oid) -> Result<Oid, PduError> {
    Oid::try_from(oid.arcs()).map_err(|_| PduError::Malformed)
}
