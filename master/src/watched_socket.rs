//! Sockets that are watched for one thing only.
//!
//! A socket watched for both wakes who reads it for everything that the other side takes as well: a wake-up more for
//! each answer. So sockets are watched for what can be read, and sending is tried.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    task::{Context, Poll, ready},
};

use tokio::io::{Interest, unix::AsyncFd};

/// A socket that does not block, and that is watched for octets to read or for room to write.
#[derive(Debug)]
pub(crate) struct WatchedSocket {
    fd: AsyncFd<OwnedFd>,
    interest: Interest,
}

impl WatchedSocket {
    /// Watched for what can be read. Runs inside a runtime.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn readable(socket: OwnedFd) -> io::Result<Self> {
        Self::new(socket, Interest::READABLE)
    }

    /// The same socket, watched for room. Runs inside a runtime.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn again_for_room(&self) -> io::Result<Self> {
        Self::new(self.fd.get_ref().try_clone()?, Interest::WRITABLE)
    }

    #[expect(
        deprecated,
        reason = "what replaces it is unsafe because a type may lie about its descriptor: this cannot"
    )]
    fn new(socket: OwnedFd, interest: Interest) -> io::Result<Self> {
        Ok(Self { fd: AsyncFd::with_interest(socket, interest)?, interest })
    }

    /// Whether it is ready now; if not, the task of `cx` is woken when it is.
    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ready = if self.interest.is_readable() {
            ready!(self.fd.poll_read_ready(cx))
        } else {
            ready!(self.fd.poll_write_ready(cx))
        };
        Poll::Ready(ready.map(drop))
    }

    /// Does something that the socket is thought to be ready for. If it says `WouldBlock`, it is not ready any more.
    ///
    /// # Errors
    /// What `io` says.
    pub(crate) fn try_io<T>(&self, io: impl FnOnce(RawFd) -> nix::Result<T>) -> io::Result<T> {
        self.fd.try_io(self.interest, |fd| Ok(io(fd.as_raw_fd())?))
    }

    /// Says that it is not ready any more: what was read came short of what there was room for. Another read would cost
    /// a call only to say so again.
    pub(crate) fn is_drained(&self) {
        _ = self.try_io(|_| Err::<(), _>(nix::errno::Errno::EWOULDBLOCK));
    }
}

impl AsRawFd for WatchedSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl AsFd for WatchedSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.get_ref().as_fd()
    }
}
