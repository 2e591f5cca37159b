//! A stream that limits how much is received.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The maximum number of octets that one collection receives from a server.
pub(in crate::source::sql) const MAX_RECEIVED: u64 = 8 << 20;

/// The receive limit of a stream, shared with its user.
#[derive(Debug, Clone)]
pub(super) struct ReceiveLimit(Arc<Counters>);

#[derive(Debug)]
struct Counters {
    limit: AtomicU64,
    left: AtomicU64,
    total: AtomicU64,
}

impl ReceiveLimit {
    /// Sets the number of octets that can be received from now on.
    pub(super) fn set(&self, octets: u64) {
        self.0.limit.store(octets, Ordering::Relaxed);
        self.0.left.store(octets, Ordering::Relaxed);
    }

    /// Returns the limit if it was exceeded.
    pub(super) fn exceeded(&self) -> Option<u64> {
        self.is_exhausted().then(|| self.0.limit.load(Ordering::Relaxed))
    }

    /// Returns whether the limit was exceeded.
    fn is_exhausted(&self) -> bool {
        self.0.left.load(Ordering::Relaxed) == 0
    }

    /// Returns the number of octets received over the connection.
    pub(super) fn total(&self) -> u64 {
        self.0.total.load(Ordering::Relaxed)
    }

    /// Counts received octets. Returns whether they are within the limit.
    fn record(&self, octets: u64) -> bool {
        self.0.total.fetch_add(octets, Ordering::Relaxed);
        // Only this stream decreases the value. Others only set it to a new limit.
        let left = self.0.left.load(Ordering::Relaxed).saturating_sub(octets);
        self.0.left.store(left, Ordering::Relaxed);
        left > 0
    }
}

/// A stream with a receive limit.
pub(super) struct LimitedStream<S> {
    stream: S,
    limit: ReceiveLimit,
}

impl<S> LimitedStream<S> {
    /// Wraps a stream. The initial limit is [`MAX_RECEIVED`].
    pub(super) fn new(stream: S) -> (Self, ReceiveLimit) {
        let limit = ReceiveLimit(Arc::new(Counters {
            limit: AtomicU64::new(MAX_RECEIVED),
            left: AtomicU64::new(MAX_RECEIVED),
            total: AtomicU64::new(0),
        }));
        (Self { stream, limit: limit.clone() }, limit)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for LimitedStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        let read = u64::try_from(buf.filled().len().saturating_sub(before)).unwrap_or(u64::MAX);
        if self.limit.record(read) {
            polled
        } else {
            Poll::Ready(Err(io::Error::other("the receive limit is exceeded")))
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for LimitedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_stream_fails_when_it_exceeds_the_limit() {
        let (near, mut far) = tokio::io::duplex(64);
        let (mut limited, limit) = LimitedStream::new(near);
        limit.set(10);
        far.write_all(&[1; 9]).await.unwrap();
        let mut read = [0; 9];
        limited.read_exact(&mut read).await.unwrap();
        assert_eq!(limit.exceeded(), None);
        far.write_all(&[1; 9]).await.unwrap();
        limited.read_exact(&mut read).await.unwrap_err();
        assert_eq!(limit.exceeded(), Some(10));
        assert_eq!(limit.total(), 18);
        limit.set(10);
        assert_eq!(limit.exceeded(), None);
    }
}
