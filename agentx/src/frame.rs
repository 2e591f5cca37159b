//! Splitting of a stream into frames.

use crate::{DecodeError, FrameHeader, Limits};

/// A splitter of a stream of octets into frames of one PDU each. The octets may arrive in any pieces.
///
/// Read into [`Framer::space`] and pass the number of octets to [`Framer::filled`], or copy with [`Framer::feed`]. Then call
/// [`Framer::next_frame`] until it returns `None`. Memory is allocated for octets that have arrived, not for the length that a
/// header announces.
#[derive(Debug)]
pub struct Framer {
    limits: Limits,
    /// The received octets are at `taken..received`. All octets are initialized.
    buf: Vec<u8>,
    taken: usize,
    received: usize,
    broken: Option<DecodeError>,
}

impl Framer {
    /// Minimum space to read into, in octets.
    const CHUNK: usize = 16 << 10;
    /// Maximum memory of an empty framer, in octets.
    const KEPT: usize = 2 * Self::CHUNK;

    /// Returns a framer at the start of a stream.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, buf: Vec::new(), taken: 0, received: 0, broken: None }
    }

    /// Returns space to read into. It is never empty, and not larger than the octets of the current frame that have arrived, or
    /// 32 KiB.
    pub fn space(&mut self) -> &mut [u8] {
        self.drop_taken();
        if self.buf.len() - self.received < Self::CHUNK {
            self.buf.resize(self.received + self.received.max(Self::CHUNK), 0);
        }
        self.buf.get_mut(self.received..).unwrap_or_default()
    }

    /// Marks the first `len` octets of the space as received.
    pub fn filled(&mut self, len: usize) {
        self.received = self.received.saturating_add(len).min(self.buf.len());
    }

    /// Appends `octets` to the received octets.
    pub fn feed(&mut self, octets: &[u8]) {
        self.drop_taken();
        self.buf.truncate(self.received);
        self.buf.extend_from_slice(octets);
        self.received = self.buf.len();
    }

    /// Moves unread octets to the front. If there are none, releases the memory of a long frame.
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

    /// Returns whether all received octets were returned as frames, so that no incomplete frame is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.taken == self.received
    }

    /// Returns the next complete frame, or `None` if more octets are needed.
    ///
    /// # Errors
    /// Returns an error if the header cannot be trusted: the version is wrong, or the payload length is not a multiple of four
    /// or exceeds the limit. The rest of the stream cannot be read then; all later calls return the same error.
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
