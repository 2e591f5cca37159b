//! Responses without an allocation per varbind: an incremental encoder, and a parser that borrows from the frame.

use crate::{
    DecodeError, DecodeErrorKind, EncodeError, FrameHeader, Header, Limits, Oid, PduType, ResponseError, SubId,
    ValueRef,
    encode::Writer,
    reader::{Reader, WireValue},
};

/// Encoder that writes a Response at the end of a buffer, varbind by varbind. It allocates memory only if the buffer is too
/// small.
///
/// If the encoder is dropped before [`ResponseEncoder::finish`], the buffer is unchanged.
#[derive(Debug)]
pub struct ResponseEncoder<'b> {
    writer: Writer<'b>,
    varbinds: usize,
    limit: u32,
    finished: bool,
}

impl<'b> ResponseEncoder<'b> {
    /// Number of octets before the first varbind: header, res.sysUpTime, res.error and res.index.
    const FIXED_LEN: usize = FrameHeader::LEN + 8;
    /// Offset of res.error and res.index.
    const ERROR_AT: usize = FrameHeader::LEN + 4;

    /// Starts a Response with the header of its request. Subagents pass 0 as `sys_up_time`.
    pub fn begin(buf: &'b mut Vec<u8>, header: Header, sys_up_time: u32) -> Self {
        let mut writer = Writer::begin(buf, header, PduType::Response, 0);
        writer.response(sys_up_time, ResponseError::NoError, 0);
        Self { writer, varbinds: 0, limit: u32::MAX, finished: false }
    }

    /// Sets a limit for the payload, in octets. Varbinds that exceed it are rejected.
    #[must_use]
    pub fn with_payload_limit(mut self, limit: u32) -> Self {
        self.limit = limit;
        self
    }

    /// Appends a varbind.
    ///
    /// # Errors
    /// Returns an error if the varbind cannot be encoded or the payload would exceed the limit. Earlier varbinds are kept, and
    /// more can follow.
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

    /// Returns the number of varbinds written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.varbinds
    }

    /// Returns whether no varbind is written yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.varbinds == 0
    }

    /// Returns the number of octets of the PDU written so far, including the header.
    #[must_use]
    pub fn octets(&self) -> usize {
        FrameHeader::LEN + self.writer.payload_len()
    }

    /// Completes the Response. With an error, all varbinds are removed (RFC 2741 section 7.2.3).
    ///
    /// # Errors
    /// Returns [`EncodeError::PayloadOverLimit`] if the payload exceeds the limit. The buffer is unchanged then.
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

/// A Response, borrowed from its frame. The whole frame is validated.
#[derive(Debug, Clone, Copy)]
pub struct ResponseRef<'a> {
    /// Byte order, session, transaction and packet.
    pub header: Header,
    /// The master's sysUpTime in hundredths of a second. Without meaning in Responses of subagents.
    pub sys_up_time: u32,
    /// Error, or [`ResponseError::NoError`].
    pub error: ResponseError,
    /// Position of the request's varbind or search range with the error, from 1. 0: none.
    pub index: u16,
    varbinds: VarBinds<'a>,
}

impl<'a> ResponseRef<'a> {
    /// Parses and validates the whole `frame`.
    ///
    /// # Errors
    /// Returns the errors of [`crate::decode()`], and [`DecodeErrorKind::UnexpectedPduType`] for any other PDU type.
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

    /// Returns the varbinds.
    #[must_use]
    pub fn varbinds(&self) -> VarBinds<'a> {
        self.varbinds
    }
}

/// Reusable memory for the OIDs of a varbind.
#[derive(Debug, Default)]
pub struct VarBindScratch {
    name: Oid,
    value: Oid,
}

/// A varbind that borrows its octets from the frame and its OIDs from a [`VarBindScratch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VarBindRef<'s> {
    /// OID of the instance.
    pub name: &'s [SubId],
    /// Value of the instance.
    pub value: ValueRef<'s>,
}

/// Varbinds, read one at a time.
#[derive(Debug, Clone, Copy)]
pub struct VarBinds<'a> {
    reader: Reader<'a>,
    remaining: usize,
}

impl<'a> VarBinds<'a> {
    /// Returns the next varbind, with its OIDs in `scratch`.
    ///
    /// Allocates memory only if `scratch` has no capacity for the OIDs.
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

    /// Returns the number of remaining varbinds.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.remaining
    }
}
