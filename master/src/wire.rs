//! The octets of a connection on their way through its socket: as they are, or by TLS.
//!
//! The handshake is over when a connection comes here. What is left, a symmetric cipher, runs where the octets are: one
//! read and one write for each wake-up, as without it.

use std::{
    cell::RefCell,
    fmt,
    io::{self, IoSlice, Read, Write},
    os::fd::{AsRawFd, RawFd},
};

use bytes::{Buf, Bytes};
use nix::sys::socket::{MsgFlags, recv, send, sendmsg};
use rustls::ServerConnection;

use crate::{dispatch::Output, watched_socket::WatchedSocket};

/// Octets that are read from the socket of a connection by TLS at once: the longest record (RFC 8446 section 5.2) is a
/// little longer.
const READ: usize = 16 << 10;
/// Octets that are encrypted at once, at most.
const WRITE: usize = 64 << 10;

/// How octets go through a socket.
pub(crate) enum Wire {
    /// As they are.
    Plain,
    /// By TLS.
    Tls(RefCell<Box<Tls>>),
}

/// A connection by TLS after its handshake.
pub(crate) struct Tls {
    session: ServerConnection,
    /// What was read and decrypted before the connection came here.
    early: Bytes,
    /// What was read from the socket, and did not fit behind what had been decrypted.
    unread: Vec<u8>,
    /// Whether there may be more that was decrypted already.
    has_more: bool,
    /// Why nothing more is read, if that came right behind something.
    failure: Option<io::Error>,
    /// So many octets of what is to be sent have been encrypted, and the socket has not taken all of that yet.
    encrypted: usize,
    /// Whether the peer was told that nothing follows.
    closed: bool,
}

/// What came of reading.
pub(crate) struct Received {
    /// Octets.
    pub(crate) len: usize,
    /// Whether that was all there is.
    pub(crate) all: bool,
}

impl Wire {
    /// Of a connection by TLS; `early` is what came behind the handshake and was read already.
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

    /// Whether there is something to read, whatever the socket says.
    pub(crate) fn has_more(&self) -> bool {
        match self {
            Self::Plain => false,
            Self::Tls(tls) => tls.borrow().has_more,
        }
    }

    /// Reads once.
    ///
    /// # Errors
    /// The system's; `UnexpectedEof` at the end of the connection; `InvalidData` for what is no TLS.
    pub(crate) fn receive(&self, socket: &WatchedSocket, space: &mut [u8]) -> io::Result<Received> {
        match self {
            Self::Plain => {
                let len = receive(socket, space)?;
                Ok(Received { len, all: len < space.len() })
            }
            Self::Tls(tls) => tls.borrow_mut().receive(socket, space),
        }
    }

    /// Sends what there is to send.
    ///
    /// # Errors
    /// `WouldBlock` where the socket does not take all of it; the system's.
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

/// Reads once; 0 octets if there is nothing.
fn receive(socket: &WatchedSocket, space: &mut [u8]) -> io::Result<usize> {
    let size = space.len();
    match socket.try_io(|socket| recv(socket, space, MsgFlags::empty())) {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(len) => {
            if len < size {
                socket.is_drained();
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
            // What came before counts.
            Err(failure) if len > 0 => {
                (self.failure, self.has_more) = (Some(failure), true);
                Ok(Received { len, all: false })
            }
            Err(failure) => Err(failure),
        }
    }

    /// Reads behind the `len` octets that there are, and says whether that was all.
    fn read(&mut self, socket: &WatchedSocket, space: &mut [u8], len: &mut usize) -> io::Result<bool> {
        let mut scratch = [0; READ];
        let kept = std::mem::take(&mut self.unread);
        let (mut unread, mut all) = (kept.as_slice(), None);
        loop {
            let end = self.decrypted(space, len);
            if *len == space.len() {
                (self.unread, self.has_more) = (unread.to_vec(), true);
                return Ok(false);
            }
            end?;
            if !unread.is_empty() {
                self.take(socket, &mut unread)?;
            } else if let Some(all) = all {
                return Ok(all);
            } else {
                let read = receive(socket, &mut scratch)?;
                all = Some(read < READ);
                unread = scratch.get(..read).unwrap_or_default();
            }
        }
    }

    /// Takes what was decrypted, as far as there is space.
    fn decrypted(&mut self, space: &mut [u8], len: &mut usize) -> io::Result<()> {
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

    /// Decrypts some of what was read.
    fn take(&mut self, socket: &WatchedSocket, unread: &mut &[u8]) -> io::Result<()> {
        if self.session.read_tls(unread)? == 0 {
            // The peer has said that nothing follows, and something does.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let processed = self.session.process_new_packets();
        // An answer of TLS itself, as to new keys, or why it ends.
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
            let there = output.pending().len();
            output.advance(std::mem::take(&mut self.encrypted).min(there));
            if !output.is_empty() {
                let pending = output.pending();
                let some = pending.get(..WRITE).unwrap_or(pending);
                self.encrypted = self.session.writer().write(some)?;
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

/// A socket to write to, all at once.
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
