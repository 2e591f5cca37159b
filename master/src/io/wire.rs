//! How the octets of a connection pass through its socket: plain, or encrypted by TLS.
//!
//! The TLS handshake is complete before a connection gets here. The remaining encryption runs on the agent thread: one
//! read and one write for each wake-up, as without TLS.

use std::{
    cell::RefCell,
    fmt,
    io::{self, IoSlice, Read, Write},
    os::fd::{AsRawFd, RawFd},
};

use bytes::{Buf, Bytes};
use nix::sys::socket::{MsgFlags, recv, send, sendmsg};
use rustls::ServerConnection;

use crate::{io::watched_socket::WatchedSocket, subagents::dispatch::Output};

/// Octets read from the socket of a TLS connection at once. The longest record (RFC 8446 section 5.2) is slightly
/// longer.
const READ_OCTETS: usize = 16 << 10;
/// Most octets encrypted at once.
const WRITE_OCTETS: usize = 64 << 10;

/// How octets pass through a socket.
pub(crate) enum Wire {
    /// Unencrypted.
    Plain,
    /// Encrypted by TLS.
    Tls(RefCell<Box<Tls>>),
}

/// A TLS connection after its handshake.
pub(crate) struct Tls {
    session: ServerConnection,
    /// Octets that were decrypted before the connection was handed over.
    early: Bytes,
    /// Encrypted octets that were read from the socket but not decrypted yet, because there was no space.
    unread: Vec<u8>,
    /// Whether input may be available without reading from the socket.
    has_more: bool,
    /// An error that occurred after some octets were read. The next read returns it.
    failure: Option<io::Error>,
    /// Octets of the output that are encrypted but not yet written to the socket completely.
    encrypted: usize,
    /// Whether close_notify was sent.
    closed: bool,
}

/// The result of a read.
pub(crate) struct Received {
    /// The number of octets.
    pub(crate) len: usize,
    /// Whether all available input was read.
    pub(crate) all: bool,
}

impl Wire {
    /// Wraps a TLS connection. `early` contains octets that were decrypted already.
    pub(crate) fn tls(session: ServerConnection, early: Bytes) -> Self {
        Self::Tls(RefCell::new(Box::new(Tls {
            session,
            early,
            unread: Vec::new(),
            has_more: true,
            failure: None,
            encrypted: 0,
            closed: false,
        })))
    }

    /// Returns whether there may be input, even if the socket is not readable.
    pub(crate) fn has_more(&self) -> bool {
        match self {
            Self::Plain => false,
            Self::Tls(tls) => tls.borrow().has_more,
        }
    }

    /// Reads once.
    ///
    /// # Errors
    /// Returns `UnexpectedEof` at the end of the connection, `InvalidData` for invalid TLS, or the error of the system
    /// call.
    pub(crate) fn receive(&self, socket: &WatchedSocket, space: &mut [u8]) -> io::Result<Received> {
        match self {
            Self::Plain => {
                let len = receive(socket, space)?;
                Ok(Received { len, all: len < space.len() })
            }
            Self::Tls(tls) => tls.borrow_mut().receive(socket, space),
        }
    }

    /// Sends the output.
    ///
    /// # Errors
    /// Returns `WouldBlock` if the socket buffer is full, or the error of the system call.
    pub(crate) fn send(&self, socket: &WatchedSocket, output: &mut Output) -> io::Result<()> {
        match self {
            Self::Plain => {
                while !output.is_empty() {
                    let sent = send(socket.as_raw_fd(), output.pending(), MsgFlags::MSG_NOSIGNAL)?;
                    output.advance(sent);
                }
                Ok(())
            }
            Self::Tls(tls) => tls.borrow_mut().send(socket, output),
        }
    }
}

/// Reads once. Returns 0 if there is no input.
fn receive(socket: &WatchedSocket, space: &mut [u8]) -> io::Result<usize> {
    let size = space.len();
    match socket.try_io(|socket| recv(socket, space, MsgFlags::empty())) {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(len) => {
            if len < size {
                socket.clear_readiness();
            }
            Ok(len)
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        Err(error) => Err(error),
    }
}

impl Tls {
    fn receive(&mut self, socket: &WatchedSocket, space: &mut [u8]) -> io::Result<Received> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        self.has_more = false;
        let mut len = self.early.len().min(space.len());
        if let Some(space) = space.get_mut(..len) {
            self.early.copy_to_slice(space);
        }
        match self.read(socket, space, &mut len) {
            Ok(all) => Ok(Received { len, all }),
            // The octets before the error are returned first.
            Err(failure) if len > 0 => {
                (self.failure, self.has_more) = (Some(failure), true);
                Ok(Received { len, all: false })
            }
            Err(failure) => Err(failure),
        }
    }

    /// Reads into `space` after its first `len` octets. Returns whether all available input was read.
    fn read(&mut self, socket: &WatchedSocket, space: &mut [u8], len: &mut usize) -> io::Result<bool> {
        let mut scratch = [0; READ_OCTETS];
        let kept = std::mem::take(&mut self.unread);
        let (mut unread, mut all) = (kept.as_slice(), None);
        loop {
            let result = self.read_decrypted(space, len);
            if *len == space.len() {
                (self.unread, self.has_more) = (unread.to_vec(), true);
                return Ok(false);
            }
            result?;
            if !unread.is_empty() {
                self.decrypt(socket, &mut unread)?;
            } else if let Some(all) = all {
                return Ok(all);
            } else {
                let read = receive(socket, &mut scratch)?;
                all = Some(read < READ_OCTETS);
                unread = scratch.get(..read).unwrap_or_default();
            }
        }
    }

    /// Reads decrypted octets, as far as there is space.
    fn read_decrypted(&mut self, space: &mut [u8], len: &mut usize) -> io::Result<()> {
        let Some(space) = space.get_mut(*len..).filter(|space| !space.is_empty()) else { return Ok(()) };
        match self.session.reader().read(space) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                *len += read;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Decrypts some of the octets that were read from the socket.
    fn decrypt(&mut self, socket: &WatchedSocket, unread: &mut &[u8]) -> io::Result<()> {
        if self.session.read_tls(unread)? == 0 {
            // Octets after close_notify.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let processed = self.session.process_new_packets();
        // A message of TLS itself, for example a key update or an alert.
        if processed.is_err() || self.session.wants_write() && self.encrypted == 0 {
            _ = self.session.write_tls(&mut Socket(socket.as_raw_fd()));
        }
        processed.map(drop).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    fn send(&mut self, socket: &WatchedSocket, output: &mut Output) -> io::Result<()> {
        loop {
            while self.session.wants_write() {
                self.session.write_tls(&mut Socket(socket.as_raw_fd()))?;
            }
            let pending = output.pending().len();
            output.advance(std::mem::take(&mut self.encrypted).min(pending));
            if !output.is_empty() {
                let pending = output.pending();
                let chunk = pending.get(..WRITE_OCTETS).unwrap_or(pending);
                self.encrypted = self.session.writer().write(chunk)?;
                if self.encrypted == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
            } else if output.closes() && !self.closed {
                self.closed = true;
                self.session.send_close_notify();
            } else {
                return Ok(());
            }
        }
    }
}

/// Writes to a socket without a signal, many buffers in one system call.
struct Socket(RawFd);

impl Write for Socket {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        Ok(send(self.0, octets, MsgFlags::MSG_NOSIGNAL)?)
    }

    fn write_vectored(&mut self, octets: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(sendmsg::<()>(self.0, octets, &[], MsgFlags::MSG_NOSIGNAL, None)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if matches!(self, Self::Plain) { "Plain" } else { "Tls" })
    }
}
