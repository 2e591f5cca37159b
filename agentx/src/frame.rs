//! Cuts a stream into frames.

use crate::{DecodeError, FrameHeader, Limits};

/// Cuts a stream of octets, in whatever pieces it comes, into frames of one PDU each.
///
/// Read into [`Framer::space`] and tell [`Framer::filled`] how much, or copy with [`Framer::feed`]; then take frames
/// from [`Framer::next_frame`] until there is none. What a peer announces is not reserved before it arrives.
#[derive(Debug)]
pub struct Framer {
    limits: Limits,
    /// All of it initialized; the octets received are at `taken..received`.
    buf: Vec<u8>,
    taken: usize,
    received: usize,
    broken: Option<DecodeError>,
}

impl Framer {
    /// The least space that is offered to read into.
    const CHUNK: usize = 16 << 10;
    /// The most memory that is kept while nothing is in it.
    const KEPT: usize = 2 * Self::CHUNK;

    /// A framer at the start of a stream.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, buf: Vec::new(), taken: 0, received: 0, broken: None }
    }

    /// Space to read into: never empty, and no more than what has come so far of a frame, or 32 KiB.
    pub fn space(&mut self) -> &mut [u8] {
        self.drop_taken();
        if self.buf.len() - self.received < Self::CHUNK {
            self.buf.resize(self.received + self.received.max(Self::CHUNK), 0);
        }
        self.buf.get_mut(self.received..).unwrap_or_default()
    }

    /// Says that the first `len` octets of the space were read.
    pub fn filled(&mut self, len: usize) {
        self.received = self.received.saturating_add(len).min(self.buf.len());
    }

    /// Copies `octets` in.
    pub fn feed(&mut self, octets: &[u8]) {
        self.drop_taken();
        self.buf.truncate(self.received);
        self.buf.extend_from_slice(octets);
        self.received = self.buf.len();
    }

    /// Moves what is left to the front; where nothing is, gives back what a long frame took.
    fn drop_taken(&mut self) {
        if self.taken == self.received {
            self.buf.truncate(Self::KEPT);
            self.buf.shrink_to(Self::KEPT);
        } else if self.taken > 0 {
            self.buf.copy_within(self.taken..self.received, 0);
        }
        self.received -= self.taken;
        self.taken = 0;
    }

    /// Whether everything received was taken: what is left is not the beginning of a frame.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.taken == self.received
    }

    /// The next whole frame, or none until more octets come.
    ///
    /// # Errors
    /// For a header that cannot be trusted: wrong version, a payload that is no multiple of four or over the limit.
    /// The stream cannot be read any further: the same error comes from then on.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, DecodeError> {
        if let Some(error) = self.broken {
            return Err(error);
        }
        let received = self.buf.get(self.taken..self.received).unwrap_or_default();
        if received.len() < FrameHeader::LEN {
            return Ok(None);
        }
        let header = FrameHeader::parse(received).and_then(|header| {
            self.limits.check_payload(header.payload_len)?;
            Ok(header)
        });
        let header = match header {
            Ok(header) => header,
            Err(error) => {
                self.broken = Some(error);
                return Err(error);
            }
        };
        let len = usize::try_from(header.payload_len).unwrap_or(usize::MAX).saturating_add(FrameHeader::LEN);
        let Some(frame) = received.get(..len) else { return Ok(None) };
        self.taken += len;
        Ok(Some(frame))
    }
}
