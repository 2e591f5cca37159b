//! Sockets that are watched either for reading or for writing.
//!
//! A socket watched for both would also wake its reader each time the peer reads: one more wake-up for each response.
//! Therefore sockets are watched for reading, and writes are tried without waiting.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    task::{Context, Poll, ready},
};

use tokio::io::{Interest, unix::AsyncFd};

/// A non-blocking socket, watched either for reading or for writing.
#[derive(Debug)]
pub(crate) struct WatchedSocket {
    fd: AsyncFd<OwnedFd>,
    interest: Interest,
}

impl WatchedSocket {
    /// Watches a socket for reading. Needs a Tokio runtime.
    ///
    /// # Errors
    /// Returns an error if the socket cannot be registered with the runtime.
    pub(crate) fn readable(socket: OwnedFd) -> io::Result<Self> {
        Self::new(socket, Interest::READABLE)
    }

    /// Duplicates the socket and watches the duplicate for writing. Needs a Tokio runtime.
    ///
    /// # Errors
    /// Returns an error if no file descriptor is free, or if the socket cannot be registered with the runtime.
    pub(crate) fn writable_clone(&self) -> io::Result<Self> {
        Self::new(self.fd.get_ref().try_clone()?, Interest::WRITABLE)
    }

    #[expect(
        deprecated,
        reason = "its replacement is unsafe because a type may change its file descriptor; OwnedFd does not"
    )]
    fn new(socket: OwnedFd, interest: Interest) -> io::Result<Self> {
        Ok(Self { fd: AsyncFd::with_interest(socket, interest)?, interest })
    }

    /// Polls for readiness.
    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ready = if self.interest.is_readable() {
            ready!(self.fd.poll_read_ready(cx))
        } else {
            ready!(self.fd.poll_write_ready(cx))
        };
        Poll::Ready(ready.map(drop))
    }

    /// Runs `io` on the socket. Clears the readiness if it returns `EWOULDBLOCK`.
    ///
    /// # Errors
    /// Returns the error of `io`, or `WouldBlock` if the socket is not ready.
    pub(crate) fn try_io<T>(&self, io: impl FnOnce(RawFd) -> nix::Result<T>) -> io::Result<T> {
        self.fd.try_io(self.interest, |fd| Ok(io(fd.as_raw_fd())?))
    }

    /// Clears the readiness after a read that did not fill its buffer. This saves another read that would return
    /// `EWOULDBLOCK`.
    pub(crate) fn clear_readiness(&self) {
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
