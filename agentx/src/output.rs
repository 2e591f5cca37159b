//! Octets that wait to be sent to a peer.

/// A queue of octets to send. Append to [`Output::buf`], send from [`Output::pending`], and pass the number of sent octets to
/// [`Output::advance`].
#[derive(Debug)]
pub struct Output {
    buf: Vec<u8>,
    sent: usize,
    total: u64,
    kept: usize,
}

impl Output {
    /// Returns an empty queue. When everything is sent, it keeps at most `kept` octets of memory.
    #[must_use]
    pub fn keeping(kept: usize) -> Self {
        Self { buf: Vec::new(), sent: 0, total: 0, kept }
    }

    /// Returns the octets that are not sent yet.
    #[must_use]
    pub fn pending(&self) -> &[u8] {
        self.buf.get(self.sent..).unwrap_or_default()
    }

    /// Returns whether everything is sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sent >= self.buf.len()
    }

    /// Marks the first `len` pending octets as sent.
    pub fn advance(&mut self, len: usize) {
        self.sent = self.sent.saturating_add(len).min(self.buf.len());
        self.total = self.total.wrapping_add(len as u64);
        if self.is_empty() {
            self.buf.clear();
            self.buf.shrink_to(self.kept);
            self.sent = 0;
        }
    }

    /// Returns the total number of sent octets.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Returns the buffer to append to.
    pub fn buf(&mut self) -> &mut Vec<u8> {
        // Moves fewer octets than it frees. Without this, a buffer that never becomes empty would grow forever.
        if self.sent > self.buf.len() / 2 {
            self.buf.drain(..self.sent);
            self.sent = 0;
        }
        &mut self.buf
    }

    /// Discards all octets that are not sent yet.
    pub fn clear(&mut self) {
        self.buf.clear();
        self.sent = 0;
    }
}
