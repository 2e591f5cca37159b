//! Encoding of PDUs into a buffer.

use crate::{
    Body, ByteOrder, EncodeError, FrameHeader, Header, Oid, Pdu, PduType, Range, ResponseError, SearchRange, SubId,
    ValueRef, VarBind, header::flag, reader::padding,
};

/// Appends `pdu` to `buf`.
///
/// OIDs below 1.3.6.1.1 to 1.3.6.1.255 are compressed with the prefix field (RFC 2741 section 5.1). Reserved fields and
/// padding are zero.
///
/// # Errors
/// Returns an error if the wire format cannot represent the PDU. `buf` is unchanged then.
pub fn encode(pdu: &Pdu, buf: &mut Vec<u8>) -> Result<(), EncodeError> {
    let pdu_type = pdu.body.pdu_type();
    if !pdu.context.is_default() && !pdu_type.has_context() {
        return Err(EncodeError::NoContextField(pdu_type));
    }
    let start = buf.len();
    let mut writer = Writer::begin(buf, pdu.header, pdu_type, flags(pdu));
    let written = writer.context(&pdu.context.0).and_then(|()| body(&mut writer, &pdu.body));
    let written = written.and_then(|()| writer.finish(u32::MAX));
    if written.is_err() {
        buf.truncate(start);
    }
    written
}

fn flags(pdu: &Pdu) -> u8 {
    let context = if pdu.context.is_default() { 0 } else { flag::NON_DEFAULT_CONTEXT };
    let set = |yes, flag| if yes { flag } else { 0 };
    context
        | match &pdu.body {
            Body::Register(register) => set(register.instance, flag::INSTANCE_REGISTRATION),
            Body::IndexAllocate(index) => set(index.new, flag::NEW_INDEX) | set(index.any, flag::ANY_INDEX),
            _ => 0,
        }
}

fn body(writer: &mut Writer<'_>, body: &Body) -> Result<(), EncodeError> {
    match body {
        Body::Open(open) => {
            writer.bytes(&[open.timeout_s, 0, 0, 0]);
            writer.oid(&open.id, false)?;
            writer.octets(&open.description)
        }
        Body::Close(reason) => {
            writer.bytes(&[reason.code(), 0, 0, 0]);
            Ok(())
        }
        Body::Register(register) => {
            writer.region([register.timeout_s, register.priority], &register.subtree, register.range)
        }
        Body::Unregister(unregister) => writer.region([0, unregister.priority], &unregister.subtree, unregister.range),
        Body::Get(ranges) | Body::GetNext(ranges) => writer.ranges(ranges),
        Body::GetBulk(bulk) => {
            writer.u16(bulk.non_repeaters);
            writer.u16(bulk.max_repetitions);
            writer.ranges(&bulk.ranges)
        }
        Body::CommitSet | Body::UndoSet | Body::CleanupSet | Body::Ping => Ok(()),
        Body::TestSet(varbinds) | Body::Notify(varbinds) | Body::IndexDeallocate(varbinds) => writer.varbinds(varbinds),
        Body::IndexAllocate(index) => writer.varbinds(&index.varbinds),
        Body::AddAgentCaps(caps) => {
            writer.oid(&caps.id, false)?;
            writer.octets(&caps.description)
        }
        Body::RemoveAgentCaps(caps) => writer.oid(&caps.id, false),
        Body::Response(response) => {
            writer.response(response.sys_up_time, response.error, response.index);
            writer.varbinds(&response.varbinds)
        }
    }
}

/// Writer of one PDU at the end of a buffer.
#[derive(Debug)]
pub(crate) struct Writer<'b> {
    pub(crate) buf: &'b mut Vec<u8>,
    pub(crate) start: usize,
    header: Header,
}

impl<'b> Writer<'b> {
    /// Writes the header of a PDU.
    pub(crate) fn begin(buf: &'b mut Vec<u8>, header: Header, pdu_type: PduType, flags: u8) -> Self {
        let start = buf.len();
        let order = match header.byte_order {
            ByteOrder::Big => flag::NETWORK_BYTE_ORDER,
            ByteOrder::Little => 0,
        };
        let mut writer = Self { buf, start, header };
        writer.bytes(&[FrameHeader::VERSION, pdu_type.code(), flags | order, 0]);
        writer.u32(header.session_id);
        writer.u32(header.transaction_id);
        writer.u32(header.packet_id);
        writer.u32(0);
        writer
    }

    /// Returns the number of octets of payload written so far.
    pub(crate) fn payload_len(&self) -> usize {
        self.buf.len() - self.start - FrameHeader::LEN
    }

    /// Writes the final length of the payload into the header.
    pub(crate) fn finish(&mut self, limit: u32) -> Result<(), EncodeError> {
        let len = self.payload_len();
        let Some(announced) = u32::try_from(len).ok().filter(|len| *len <= limit) else {
            return Err(EncodeError::PayloadOverLimit { len, limit });
        };
        self.patch(FrameHeader::PAYLOAD_LEN_AT, self.header.byte_order.put_u32(announced));
        Ok(())
    }

    /// Overwrites res.error and res.index at offset `at` of this PDU.
    pub(crate) fn patch_error(&mut self, at: usize, error: ResponseError, index: u16) {
        self.patch(at, self.header.byte_order.put_u16(error.code()));
        self.patch(at + 2, self.header.byte_order.put_u16(index));
    }

    /// Overwrites octets of this PDU at offset `at`.
    fn patch<const N: usize>(&mut self, at: usize, bytes: [u8; N]) {
        if let Some(field) = self.buf.get_mut(self.start + at..).and_then(<[u8]>::first_chunk_mut) {
            *field = bytes;
        }
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.buf.extend_from_slice(bytes);
    }

    pub(crate) fn u16(&mut self, number: u16) {
        self.bytes(&self.header.byte_order.put_u16(number));
    }

    pub(crate) fn u32(&mut self, number: u32) {
        self.bytes(&self.header.byte_order.put_u32(number));
    }

    /// Writes the first fields of a Response's payload (RFC 2741 section 6.2.16).
    pub(crate) fn response(&mut self, sys_up_time: u32, error: ResponseError, index: u16) {
        self.u32(sys_up_time);
        self.u16(error.code());
        self.u16(index);
    }

    fn context(&mut self, context: &[u8]) -> Result<(), EncodeError> {
        if context.is_empty() { Ok(()) } else { self.octets(context) }
    }

    /// Writes an Object Identifier (RFC 2741 section 5.1).
    pub(crate) fn oid(&mut self, arcs: &[SubId], include: bool) -> Result<(), EncodeError> {
        let (head, arcs) = compress(arcs, include)?;
        self.bytes(&head);
        self.arcs(arcs);
        Ok(())
    }

    fn arcs(&mut self, arcs: &[SubId]) {
        match self.header.byte_order {
            ByteOrder::Big => self.arcs_by(arcs, u32::to_be_bytes),
            ByteOrder::Little => self.arcs_by(arcs, u32::to_le_bytes),
        }
    }

    fn arcs_by(&mut self, arcs: &[SubId], put: impl Fn(SubId) -> [u8; 4]) {
        // Four arcs at a time take half as long as one at a time, and most octets of a walk's Responses are arcs.
        let (fours, rest) = arcs.as_chunks::<4>();
        for four in fours {
            self.bytes(four.map(&put).as_flattened());
        }
        for arc in rest {
            self.bytes(&put(*arc));
        }
    }

    /// Writes an Octet String (RFC 2741 section 5.3).
    pub(crate) fn octets(&mut self, octets: &[u8]) -> Result<(), EncodeError> {
        let Ok(len) = u32::try_from(octets.len()) else {
            return Err(EncodeError::OctetsTooLong { len: octets.len() });
        };
        self.u32(len);
        self.bytes(octets);
        self.buf.resize(self.buf.len() + padding(octets.len()), 0);
        Ok(())
    }

    fn region(&mut self, first: [u8; 2], subtree: &Oid, range: Option<Range>) -> Result<(), EncodeError> {
        let [timeout_s, priority] = first;
        let position = range.map_or(0, |range| range.position);
        self.bytes(&[timeout_s, priority, position, 0]);
        self.oid(subtree, false)?;
        let Some(range) = range else { return Ok(()) };
        if position == 0 || usize::from(position) > subtree.len() {
            return Err(EncodeError::RangePosition { position, len: subtree.len() });
        }
        self.u32(range.upper_bound);
        Ok(())
    }

    fn ranges(&mut self, ranges: &[SearchRange]) -> Result<(), EncodeError> {
        ranges.iter().try_for_each(|range| {
            self.oid(&range.start, range.include)?;
            self.oid(&range.end, false)
        })
    }

    fn varbinds(&mut self, varbinds: &[VarBind]) -> Result<(), EncodeError> {
        varbinds.iter().try_for_each(|varbind| self.varbind(&varbind.name, varbind.value.as_ref()))
    }

    /// Writes a VarBind (RFC 2741 section 5.4).
    pub(crate) fn varbind(&mut self, name: &[SubId], value: ValueRef<'_>) -> Result<(), EncodeError> {
        let [t0, t1] = self.header.byte_order.put_u16(value.type_code());
        let ([arcs, prefix, include, reserved], rest) = compress(name, false)?;
        self.bytes(&[t0, t1, 0, 0, arcs, prefix, include, reserved]);
        self.arcs(rest);
        match value {
            ValueRef::Integer(v) => self.u32(v.cast_unsigned()),
            ValueRef::Counter32(v) | ValueRef::Gauge32(v) | ValueRef::TimeTicks(v) => self.u32(v),
            ValueRef::Counter64(v) => self.bytes(&self.header.byte_order.put_u64(v)),
            ValueRef::OctetString(v) | ValueRef::Opaque(v) => self.octets(v)?,
            ValueRef::IpAddress(v) => self.octets(&v)?,
            ValueRef::ObjectIdentifier(v) => self.oid(v, false)?,
            ValueRef::Null | ValueRef::NoSuchObject | ValueRef::NoSuchInstance | ValueRef::EndOfMibView => {}
        }
        Ok(())
    }
}

/// Returns the first four octets of an encoded Object Identifier, and the arcs that follow them (RFC 2741 section 5.1).
fn compress(arcs: &[SubId], include: bool) -> Result<([u8; 4], &[SubId]), EncodeError> {
    let too_long = EncodeError::OidTooLong { len: arcs.len() };
    if arcs.len() > Oid::MAX_LEN {
        return Err(too_long);
    }
    let (prefix, written) = match arcs {
        [1, 3, 6, 1, prefix @ 1..=255, rest @ ..] => (u8::try_from(*prefix).map_err(|_| too_long)?, rest),
        arcs => (0, arcs),
    };
    let len = u8::try_from(written.len()).map_err(|_| too_long)?;
    Ok(([len, prefix, u8::from(include), 0], written))
}
