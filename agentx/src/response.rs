//! Responses without an allocation per varbind: written varbind by varbind, and read borrowed from their frame.

use crate::{
    DecodeError, DecodeErrorKind, EncodeError, FrameHeader, Header, Limits, Oid, PduType, ResponseError, SubId,
    ValueRef,
    encode::Writer,
    reader::{Reader, WireValue},
};

/// Writes a Response at the end of a buffer, varbind by varbind. It allocates only when the buffer is too small.
///
/// One that is dropped without [`ResponseEncoder::finish`] leaves the buffer as it was.
#[derive(Debug)]
pub struct ResponseEncoder<'b> {
    writer: Writer<'b>,
    varbinds: usize,
    limit: u32,
    finished: bool,
}

impl<'b> ResponseEncoder<'b> {
    /// Octets of a Response before its first varbind: header, res.sysUpTime, res.error and res.index.
    const FIXED_LEN: usize = FrameHeader::LEN + 8;
    /// Where res.error and res.index are.
    const ERROR_AT: usize = FrameHeader::LEN + 4;

    /// Begins a Response with the header of its request. A subagent's `sys_up_time` means nothing: 0.
    pub fn begin(buf: &'b mut Vec<u8>, header: Header, sys_up_time: u32) -> Self {
        let mut writer = Writer::begin(buf, header, PduType::Response, 0);
        writer.response(sys_up_time, ResponseError::NoError, 0);
        Self { writer, varbinds: 0, limit: u32::MAX, finished: false }
    }

    /// Refuses varbinds that would make the payload longer than `limit` octets.
    #[must_use]
    pub fn with_payload_limit(mut self, limit: u32) -> Self {
        self.limit = limit;
        self
    }

    /// Appends a varbind.
    ///
    /// # Errors
    /// Where it cannot be written or the payload would be over the limit. The varbinds before it stand, and others can
    /// follow.
    pub fn varbind(&mut self, name: &[SubId], value: ValueRef<'_>) -> Result<(), EncodeError> {
        let before = self.writer.buf.len();
        let written = self.writer.varbind(name, value).and_then(|()| {
            let len = self.writer.payload_len();
            if u32::try_from(len).is_ok_and(|len| len <= self.limit) {
                Ok(())
            } else {
                Err(EncodeError::PayloadOverLimit { len, limit: self.limit })
            }
        });
        match written {
            Ok(()) => self.varbinds += 1,
            Err(_) => self.writer.buf.truncate(before),
        }
        written
    }

    /// How many varbinds have been written.
    #[must_use]
    pub fn len(&self) -> usize {
        self.varbinds
    }

    /// Whether no varbind has been written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.varbinds == 0
    }

    /// Octets of the PDU so far, its header included.
    #[must_use]
    pub fn octets(&self) -> usize {
        FrameHeader::LEN + self.writer.payload_len()
    }

    /// Completes the Response. With an error the varbinds written are taken out again (RFC 2741 section 7.2.3).
    ///
    /// # Errors
    /// [`EncodeError::PayloadOverLimit`]; the buffer is then as it was.
    pub fn finish(mut self, error: ResponseError, index: u16) -> Result<(), EncodeError> {
        if error != ResponseError::NoError {
            let end = self.writer.start + Self::FIXED_LEN;
            self.writer.buf.truncate(end);
        }
        self.writer.patch_error(Self::ERROR_AT, error, index);
        self.writer.finish(self.limit)?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for ResponseEncoder<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.writer.buf.truncate(self.writer.start);
        }
    }
}

/// A Response, borrowed from its frame. The whole frame has been checked.
#[derive(Debug, Clone, Copy)]
pub struct ResponseRef<'a> {
    /// Byte order, session, transaction and packet.
    pub header: Header,
    /// The sender's sysUpTime in hundredths of a second, if it is a master.
    pub sys_up_time: u32,
    /// What went wrong.
    pub error: ResponseError,
    /// Which varbind or search range of the request went wrong, from 1; 0: none.
    pub index: u16,
    varbinds: VarBinds<'a>,
}

impl<'a> ResponseRef<'a> {
    /// Reads and checks the whole of `frame`.
    ///
    /// # Errors
    /// As [`crate::decode()`], and [`DecodeErrorKind::UnexpectedPduType`] for any other PDU.
    pub fn parse(frame: &'a [u8], limits: &Limits) -> Result<Self, DecodeError> {
        let (header, mut reader) = Reader::new(frame, limits)?;
        if header.pdu_type != PduType::Response {
            return Err(DecodeError { offset: 1, kind: DecodeErrorKind::UnexpectedPduType(header.pdu_type) });
        }
        reader.context(&header)?;
        let sys_up_time = reader.u32()?;
        let (error, index) = (ResponseError::from_code(reader.u16()?), reader.u16()?);
        let remaining = reader.list(Reader::varbind, drop)?;
        Ok(Self { header: header.header, sys_up_time, error, index, varbinds: VarBinds { reader, remaining } })
    }

    /// The varbinds, from the first.
    #[must_use]
    pub fn varbinds(&self) -> VarBinds<'a> {
        self.varbinds
    }
}

/// Where OIDs of varbinds are expanded; used again for each varbind.
#[derive(Debug, Default)]
pub struct VarBindScratch {
    name: Oid,
    value: Oid,
}

/// A varbind: its octets borrowed from the frame, its OIDs from a [`VarBindScratch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VarBindRef<'s> {
    /// The instance's OID.
    pub name: &'s [SubId],
    /// Its value.
    pub value: ValueRef<'s>,
}

/// Varbinds, read one at a time.
#[derive(Debug, Clone, Copy)]
pub struct VarBinds<'a> {
    reader: Reader<'a>,
    remaining: usize,
}

impl<'a> VarBinds<'a> {
    /// The next varbind, its OIDs in `scratch`.
    ///
    /// Allocates only while `scratch` has not yet had room for the longest OIDs that come.
    pub fn next_in<'s>(&mut self, scratch: &'s mut VarBindScratch) -> Option<VarBindRef<'s>>
    where
        'a: 's,
    {
        if self.remaining == 0 {
            return None;
        }
        let wire = self.reader.varbind().ok()?;
        self.remaining -= 1;
        wire.name.read_into(&mut scratch.name);
        let value = match wire.value {
            WireValue::Oid(oid) => {
                oid.read_into(&mut scratch.value);
                ValueRef::ObjectIdentifier(&scratch.value)
            }
            WireValue::Other(value) => value,
        };
        Some(VarBindRef { name: &scratch.name, value })
    }

    /// How many varbinds are left.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.remaining
    }
}
