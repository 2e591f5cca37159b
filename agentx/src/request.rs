//! Requests to read, borrowed from their frame: Get, GetNext, GetBulk.

use crate::{DecodeError, DecodeErrorKind, Header, Limits, PduType, SearchRange, reader::Reader};

/// A Get, GetNext or GetBulk, borrowed from its frame. The whole frame has been checked.
#[derive(Debug, Clone)]
pub struct RequestRef<'a> {
    /// Byte order, session, transaction and packet: what the Response repeats.
    pub header: Header,
    /// The SNMP context; empty is the default.
    pub context: &'a [u8],
    /// What is to be read in each range.
    pub kind: RequestKind,
    ranges: SearchRanges<'a>,
}

/// What is to be read in each search range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestKind {
    /// The instance that the range starts with.
    Get,
    /// The first instance.
    GetNext,
    /// The first instances.
    GetBulk {
        /// How many of the ranges, from the first, are answered once.
        non_repeaters: u16,
        /// How many times each other range is answered, at most.
        max_repetitions: u16,
    },
}

impl<'a> RequestRef<'a> {
    /// Reads and checks the whole of `frame`.
    ///
    /// # Errors
    /// As [`crate::decode()`], and [`DecodeErrorKind::UnexpectedPduType`] for any other PDU.
    pub fn parse(frame: &'a [u8], limits: &Limits) -> Result<Self, DecodeError> {
        let (header, mut reader) = Reader::new(frame, limits)?;
        let context = reader.context(&header)?;
        let kind = match header.pdu_type {
            PduType::Get => RequestKind::Get,
            PduType::GetNext => RequestKind::GetNext,
            PduType::GetBulk => RequestKind::GetBulk { non_repeaters: reader.u16()?, max_repetitions: reader.u16()? },
            other => return Err(DecodeError { offset: 1, kind: DecodeErrorKind::UnexpectedPduType(other) }),
        };
        let remaining = reader.list(Reader::range, drop)?;
        Ok(Self { header: header.header, context, kind, ranges: SearchRanges { reader, remaining } })
    }

    /// The search ranges, from the first.
    #[must_use]
    pub fn ranges(&self) -> SearchRanges<'a> {
        self.ranges.clone()
    }
}

/// Search ranges, read one at a time into a buffer that is used again.
///
/// A clone goes on from where the original stands: both only point into the frame.
#[derive(Debug, Clone)]
pub struct SearchRanges<'a> {
    reader: Reader<'a>,
    remaining: usize,
}

impl SearchRanges<'_> {
    /// Reads the next range into `range`; false if there is none, and `range` is then as it was.
    ///
    /// Allocates only while `range` has not yet had room for the longest OIDs that come.
    pub fn next_into(&mut self, range: &mut SearchRange) -> bool {
        if self.remaining == 0 {
            return false;
        }
        let Ok(wire) = self.reader.range() else { return false };
        self.remaining -= 1;
        wire.read_into(range);
        true
    }

    /// How many ranges are left.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.remaining
    }
}

impl Iterator for SearchRanges<'_> {
    type Item = SearchRange;

    /// The next range, owned.
    fn next(&mut self) -> Option<SearchRange> {
        let mut range = SearchRange::default();
        self.next_into(&mut range).then_some(range)
    }
}
