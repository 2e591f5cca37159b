//! A stream that counts what it takes in, and ends when that is too much.

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

use crate::source::sql::INTAKE;

/// How much may still be taken in, and how much was.
#[derive(Debug, Clone)]
pub(super) struct Intake(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    limit: AtomicU64,
    left: AtomicU64,
    total: AtomicU64,
}

impl Intake {
    /// From now on so much.
    pub(super) fn allow(&self, octets: u64) {
        self.0.limit.store(octets, Ordering::Relaxed);
        self.0.left.store(octets, Ordering::Relaxed);
    }

    /// How much was allowed last, if there was more.
    pub(super) fn exceeded(&self) -> Option<u64> {
        self.is_exhausted().then(|| self.0.limit.load(Ordering::Relaxed))
    }

    /// Whether there was too much.
    fn is_exhausted(&self) -> bool {
        self.0.left.load(Ordering::Relaxed) == 0
    }

    /// How much came over this connection.
    pub(super) fn total(&self) -> u64 {
        self.0.total.load(Ordering::Relaxed)
    }

    /// Whether so much may be taken in as came now.
    fn take(&self, octets: u64) -> bool {
        self.0.total.fetch_add(octets, Ordering::Relaxed);
        // Nobody else takes in: at the same time it may only be allowed more.
        let left = self.0.left.load(Ordering::Relaxed).saturating_sub(octets);
        self.0.left.store(left, Ordering::Relaxed);
        left > 0
    }
}

/// The stream.
pub(super) struct Counted<S> {
    stream: S,
    intake: Intake,
}

impl<S> Counted<S> {
    pub(super) fn new(stream: S) -> (Self, Intake) {
        let intake = Intake(Arc::new(Counts {
            limit: AtomicU64::new(INTAKE),
            left: AtomicU64::new(INTAKE),
            total: AtomicU64::new(0),
        }));
        (Self { stream, intake: intake.clone() }, intake)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        let read = u64::try_from(buf.filled().len().saturating_sub(before)).unwrap_or(u64::MAX);
        if self.intake.take(read) { polled } else { Poll::Ready(Err(io::Error::other("more than may be taken in"))) }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
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
    async fn a_stream_ends_when_it_brings_too_much() {
        let (near, mut far) = tokio::io::duplex(64);
        let (mut counted, intake) = Counted::new(near);
        intake.allow(10);
        far.write_all(&[1; 9]).await.unwrap();
        let mut read = [0; 9];
        counted.read_exact(&mut read).await.unwrap();
        assert_eq!(intake.exceeded(), None);
        far.write_all(&[1; 9]).await.unwrap();
        counted.read_exact(&mut read).await.unwrap_err();
        assert_eq!(intake.exceeded(), Some(10));
        assert_eq!(intake.total(), 18);
        intake.allow(10);
        assert_eq!(intake.exceeded(), None);
    }
}
