//! Reader for the fields of a frame (RFC 2741 section 5). It copies data only on request.

use crate::{
    ByteOrder, DecodeError, DecodeErrorKind, FrameHeader, Limits, Oid, SearchRange, SubId, Value, ValueRef, VarBind,
    header::flag,
};

/// Sub-identifiers before a nonzero prefix (RFC 2741 section 5.1).
pub(crate) const INTERNET: [SubId; 4] = [1, 3, 6, 1];

/// Reader for the fields of a frame, in their order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    frame_len: usize,
    byte_order: ByteOrder,
    octets_limit: usize,
    list_limit: usize,
}

/// An OID in the frame. Its length is checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WireOid<'a> {
    prefix: u8,
    pub(crate) include: bool,
    arcs: &'a [[u8; 4]],
    byte_order: ByteOrder,
}

/// A varbind in the frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WireVarBind<'a> {
    pub(crate) name: WireOid<'a>,
    pub(crate) value: WireValue<'a>,
}

/// A value in the frame.
#[derive(Debug, Clone, Copy)]
pub(crate) enum WireValue<'a> {
    Oid(WireOid<'a>),
    Other(ValueRef<'a>),
}

/// A search range in the frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WireRange<'a> {
    start: WireOid<'a>,
    end: WireOid<'a>,
}

impl WireOid<'_> {
    fn len(&self) -> usize {
        self.arcs.len() + if self.prefix == 0 { 0 } else { INTERNET.len() + 1 }
    }

    /// Replaces the arcs of `oid` by these. Reuses its memory.
    pub(crate) fn read_into(&self, oid: &mut Oid) {
        oid.clear();
        if self.prefix != 0 {
            let [a, b, c, d] = INTERNET;
            oid.extend([a, b, c, d, SubId::from(self.prefix)].into_iter());
        }
        match self.byte_order {
            ByteOrder::Big => oid.extend(self.arcs.iter().map(|arc| u32::from_be_bytes(*arc))),
            ByteOrder::Little => oid.extend(self.arcs.iter().map(|arc| u32::from_le_bytes(*arc))),
        }
    }

    pub(crate) fn to_oid(self) -> Oid {
        let mut oid = Oid::with_capacity(self.len());
        self.read_into(&mut oid);
        oid
    }
}

impl WireRange<'_> {
    /// Replaces `range` by this range. Reuses its memory.
    pub(crate) fn read_into(&self, range: &mut SearchRange) {
        self.start.read_into(&mut range.start);
        range.include = self.start.include;
        self.end.read_into(&mut range.end);
    }

    pub(crate) fn to_range(self) -> SearchRange {
        SearchRange { start: self.start.to_oid(), include: self.start.include, end: self.end.to_oid() }
    }
}

impl<'a> Reader<'a> {
    /// Checks that `frame` is one complete frame within `limits`, and returns its header and a reader of its payload.
    pub(crate) fn new(frame: &'a [u8], limits: &Limits) -> Result<(FrameHeader, Self), DecodeError> {
        let header = FrameHeader::parse(frame)?;
        limits.check_payload(header.payload_len)?;
        let rest = frame.get(FrameHeader::LEN..).unwrap_or_default();
        if usize::try_from(header.payload_len) != Ok(rest.len()) {
            return Err(DecodeError {
                offset: FrameHeader::PAYLOAD_LEN_AT,
                kind: DecodeErrorKind::PayloadMismatch { announced: header.payload_len, actual: rest.len() },
            });
        }
        let reader = Self {
            rest,
            frame_len: frame.len(),
            byte_order: header.header.byte_order,
            octets_limit: limits.octets,
            list_limit: limits.varbinds,
        };
        Ok((header, reader))
    }

    /// Returns the offset of the next field in the frame.
    pub(crate) fn offset(&self) -> usize {
        self.frame_len - self.rest.len()
    }

    fn fail<T>(&self, kind: DecodeErrorKind) -> Result<T, DecodeError> {
        Err(DecodeError { offset: self.offset(), kind })
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let Some((taken, rest)) = self.rest.split_at_checked(len) else {
            return self.fail(DecodeErrorKind::Truncated);
        };
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let Some((taken, rest)) = self.rest.split_first_chunk() else {
            return self.fail(DecodeErrorKind::Truncated);
        };
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(|bytes| self.byte_order.u16(bytes))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(|bytes| self.byte_order.u32(bytes))
    }

    fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(|bytes| self.byte_order.u64(bytes))
    }

    /// Reads an Object Identifier (RFC 2741 section 5.1).
    pub(crate) fn oid(&mut self) -> Result<WireOid<'a>, DecodeError> {
        let mut ahead = *self;
        let [arcs, prefix, include, _reserved] = ahead.array()?;
        let (arcs, _) = ahead.take(usize::from(arcs) * 4)?.as_chunks();
        let oid = WireOid { prefix, include: include != 0, arcs, byte_order: self.byte_order };
        if oid.len() > Oid::MAX_LEN {
            return self.fail(DecodeErrorKind::OidTooLong { len: oid.len() });
        }
        *self = ahead;
        Ok(oid)
    }

    /// Reads an Octet String (RFC 2741 section 5.3), without its padding.
    pub(crate) fn octets(&mut self) -> Result<&'a [u8], DecodeError> {
        let mut ahead = *self;
        let announced = ahead.u32()?;
        let len = usize::try_from(announced).unwrap_or(usize::MAX);
        if len > self.octets_limit {
            return self.fail(DecodeErrorKind::OctetsOverLimit { len: announced, limit: self.octets_limit });
        }
        let octets = ahead.take(len)?;
        ahead.take(padding(len))?;
        *self = ahead;
        Ok(octets)
    }

    /// Reads the context field if its flag is set, for any PDU type, like net-snmp.
    pub(crate) fn context(&mut self, header: &FrameHeader) -> Result<&'a [u8], DecodeError> {
        if header.flags & flag::NON_DEFAULT_CONTEXT == 0 { Ok(&[]) } else { self.octets() }
    }

    /// Reads a SearchRange (RFC 2741 section 5.2).
    pub(crate) fn range(&mut self) -> Result<WireRange<'a>, DecodeError> {
        Ok(WireRange { start: self.oid()?, end: self.oid()? })
    }

    /// Reads a VarBind (RFC 2741 section 5.4).
    pub(crate) fn varbind(&mut self) -> Result<WireVarBind<'a>, DecodeError> {
        let start = *self;
        let value_type = self.u16()?;
        let [_reserved, _] = self.array()?;
        let name = self.oid()?;
        let value = match value_type {
            2 => ValueRef::Integer(self.u32()?.cast_signed()),
            4 => ValueRef::OctetString(self.octets()?),
            5 => ValueRef::Null,
            6 => return Ok(WireVarBind { name, value: WireValue::Oid(self.oid()?) }),
            64 => ValueRef::IpAddress(self.ip_address()?),
            65 => ValueRef::Counter32(self.u32()?),
            66 => ValueRef::Gauge32(self.u32()?),
            67 => ValueRef::TimeTicks(self.u32()?),
            68 => ValueRef::Opaque(self.octets()?),
            70 => ValueRef::Counter64(self.u64()?),
            128 => ValueRef::NoSuchObject,
            129 => ValueRef::NoSuchInstance,
            130 => ValueRef::EndOfMibView,
            unknown => return start.fail(DecodeErrorKind::UnknownValueType(unknown)),
        };
        Ok(WireVarBind { name, value: WireValue::Other(value) })
    }

    /// Reads a VarBind as an owned value.
    pub(crate) fn owned_varbind(&mut self) -> Result<VarBind, DecodeError> {
        let start = *self;
        let WireVarBind { name, value } = self.varbind()?;
        let value = match value {
            WireValue::Oid(oid) => Value::ObjectIdentifier(oid.to_oid()),
            // Only an OID that is too long has no owned form, and this branch handles no OIDs.
            WireValue::Other(value) => {
                value.to_value().or_else(|_| start.fail(DecodeErrorKind::OidTooLong { len: Oid::MAX_LEN + 1 }))?
            }
        };
        Ok(VarBind { name: name.to_oid(), value })
    }

    /// Reads an IpAddress: an Octet String of four octets, always in network byte order (RFC 2741 section 5.4).
    fn ip_address(&mut self) -> Result<[u8; 4], DecodeError> {
        let start = *self;
        let octets = self.octets()?;
        octets.try_into().or_else(|_| start.fail(DecodeErrorKind::IpAddressLength { len: octets.len() }))
    }

    /// Reads the rest of the frame as a list, and returns the number of items.
    pub(crate) fn list<T>(
        mut self,
        item: impl Fn(&mut Self) -> Result<T, DecodeError>,
        mut each: impl FnMut(T),
    ) -> Result<usize, DecodeError> {
        let mut len = 0;
        while !self.rest.is_empty() {
            if len == self.list_limit {
                return self.fail(DecodeErrorKind::TooManyVarBinds { limit: self.list_limit });
            }
            each(item(&mut self)?);
            len += 1;
        }
        Ok(len)
    }

    /// Checks that the end of the frame is reached.
    pub(crate) fn end(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { self.fail(DecodeErrorKind::Trailing(self.rest.len())) }
    }
}

/// Returns the number of padding octets after an octet string of `len` octets.
pub(crate) const fn padding(len: usize) -> usize {
    len.wrapping_neg() % 4
}
