//! Read requests (Get, GetNext and GetBulk), borrowed from their frame.

use crate::{DecodeError, DecodeErrorKind, Header, Limits, PduType, SearchRange, reader::Reader};

/// A Get, GetNext or GetBulk, borrowed from its frame. The whole frame is validated.
#[derive(Debug, Clone)]
pub struct RequestRef<'a> {
    /// Byte order, session, transaction and packet. The Response repeats them.
    pub header: Header,
    /// Name of the SNMP context. Empty for the default context.
    pub context: &'a [u8],
    /// What to read in each range.
    pub kind: RequestKind,
    ranges: SearchRanges<'a>,
}

/// What to read in each search range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestKind {
    /// The instance at the start of the range.
    Get,
    /// The first instance.
    GetNext,
    /// The first instances.
    GetBulk {
        /// Number of ranges, from the first, that are read once.
        non_repeaters: u16,
        /// Maximum number of instances to read in each of the other ranges.
        max_repetitions: u16,
    },
}

impl<'a> RequestRef<'a> {
    /// Parses and validates the whole `frame`.
    ///
    /// # Errors
    /// Returns the errors of [`crate::decode()`], and [`DecodeErrorKind::UnexpectedPduType`] for any other PDU type.
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

    /// Returns the search ranges.
    #[must_use]
    pub fn ranges(&self) -> SearchRanges<'a> {
        self.ranges.clone()
    }
}

/// Search ranges, read one at a time into a reusable buffer.
///
/// A clone continues at the position of the original. Both only point into the frame.
#[derive(Debug, Clone)]
pub struct SearchRanges<'a> {
    reader: Reader<'a>,
    remaining: usize,
}

impl SearchRanges<'_> {
    /// Reads the next range into `range`. Returns false if there is none; `range` is unchanged then.
    ///
    /// Allocates memory only if `range` has no capacity for the OIDs.
    pub fn next_into(&mut self, range: &mut SearchRange) -> bool {
        if self.remaining == 0 {
            return false;
        }
        let Ok(wire) = self.reader.range() else { return false };
        self.remaining -= 1;
        wire.read_into(range);
        true
    }

    /// Returns the number of remaining ranges.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.remaining
    }
}

impl Iterator for SearchRanges<'_> {
    type Item = SearchRange;

    /// Returns the next range as an owned value.
    fn next(&mut self) -> Option<SearchRange> {
        let mut range = SearchRange::default();
        self.next_into(&mut range).then_some(range)
    }
}
