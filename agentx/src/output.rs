//! Octets on their way to the peer.

/// What is to be sent, in the order that it was written in: append to [`Output::buf`], send from [`Output::pending`] and
/// tell [`Output::advance`] how much went.
#[derive(Debug)]
pub struct Output {
    buf: Vec<u8>,
    sent: usize,
    total: u64,
    kept: usize,
}

impl Output {
    /// Nothing to send. Of the memory that it takes no more than `kept` octets stay once everything has been sent.
    #[must_use]
    pub fn keeping(kept: usize) -> Self {
        Self { buf: Vec::new(), sent: 0, total: 0, kept }
    }

    /// What is still to be sent.
    #[must_use]
    pub fn pending(&self) -> &[u8] {
        self.buf.get(self.sent..).unwrap_or_default()
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sent >= self.buf.len()
    }

    /// The first `len` octets of what was pending have been sent.
    pub fn advance(&mut self, len: usize) {
        self.sent = self.sent.saturating_add(len).min(self.buf.len());
        self.total = self.total.wrapping_add(len as u64);
        if self.is_empty() {
            self.buf.clear();
            self.buf.shrink_to(self.kept);
            self.sent = 0;
        }
    }

    /// How many octets have been sent in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Where to append.
    pub fn buf(&mut self) -> &mut Vec<u8> {
        // Moves less than it frees, so that a buffer that is never quite empty does not grow for ever.
        if self.sent > self.buf.len() / 2 {
            self.buf.drain(..self.sent);
            self.sent = 0;
        }
        &mut self.buf
    }

    /// Forgets what has not been sent.
    pub fn clear(&mut self) {
        self.buf.clear();
        self.sent = 0;
    }
}
