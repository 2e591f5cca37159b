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

/// How much may still be taken in.
#[derive(Debug, Clone)]
pub(super) struct Intake(Arc<AtomicU64>);

impl Intake {
    /// From now on so much.
    pub(super) fn allow(&self, octets: u64) {
        self.0.store(octets, Ordering::Relaxed);
    }

    /// Whether there was too much.
    pub(super) fn is_exhausted(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

/// The stream.
pub(super) struct Counted<S> {
    stream: S,
    intake: Intake,
}

impl<S> Counted<S> {
    pub(super) fn new(stream: S) -> (Self, Intake) {
        let intake = Intake(Arc::new(AtomicU64::new(INTAKE)));
        (Self { stream, intake: intake.clone() }, intake)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        let read = u64::try_from(buf.filled().len().saturating_sub(before)).unwrap_or(u64::MAX);
        let left = self.intake.0.load(Ordering::Relaxed).saturating_sub(read);
        self.intake.0.store(left, Ordering::Relaxed);
        if left == 0 { Poll::Ready(Err(io::Error::other("more than may be taken in"))) } else { polled }
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
        assert!(!intake.is_exhausted());
        far.write_all(&[1; 9]).await.unwrap();
        counted.read_exact(&mut read).await.unwrap_err();
        assert!(intake.is_exhausted());
        intake.allow(10);
        assert!(!intake.is_exhausted());
    }
}
