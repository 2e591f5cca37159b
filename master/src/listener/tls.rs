//! AgentX over TLS: an HTTP request with a ServiceAccount's token, and AgentX once that is answered by 101.
//!
//! Until then a peer is nobody. All that is done for it is done away from the agent thread, and bounded: how many there may
//! be at once, of one address and in all, how long one may take, how much it may say. What has come through goes to the agent
//! thread as a socket with a cipher, and with whose it is.

mod certificates;
mod front;
mod http;
mod registrations;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, atomic::AtomicU64},
};

use nix::sys::socket::SockType;

pub use front::{Front, Outward, ServiceAccount, Settings};

use super::{ListenError, bound, listen_at};
use crate::{identity::Reviews, statistics::Counter};

/// An address that is bound, and does not listen yet: without a certificate nobody could be answered.
#[derive(Debug)]
pub struct BoundTls(TcpListener);

/// What has come by TLS, and what has not come through.
#[derive(Debug, Default)]
pub struct TlsTraffic {
    /// Connections.
    pub connections: Counter,
    /// Connections that were closed at once: there were as many of that address as may be.
    pub too_many: Counter,
    /// Connections that did not shake hands.
    pub handshake_failures: Counter,
    /// Connections whose request was none that HTTP/1.1 knows, or none at all.
    pub http_failures: Counter,
    /// Connections that took too long.
    pub timeouts: Counter,
    /// Answers 101: from then on it is AgentX.
    pub upgrades: Counter,
    /// Answers to the operator.
    pub registrations: Counter,
    /// Answers 401.
    pub unauthorized: Counter,
    /// Answers 403.
    pub forbidden: Counter,
    /// Answers 429.
    pub too_many_requests: Counter,
    /// Answers 503.
    pub unavailable: Counter,
    /// Answers of other errors.
    pub other_errors: Counter,
    /// Certificates that were put to use.
    pub certificates: Counter,
    /// Certificates that could not be.
    pub certificate_errors: Counter,
    /// When the one in use ends, in seconds since 1970; 0: there is none.
    pub certificate_expires: AtomicU64,
    /// What came of tokens.
    pub reviews: Arc<Reviews>,
}

/// Binds `address`.
///
/// # Errors
/// The system's.
pub(super) fn bind(address: SocketAddr) -> Result<BoundTls, ListenError> {
    bound(address, SockType::Stream).map(|fd| BoundTls(fd.into())).map_err(ListenError::at("AgentX over TLS", address))
}

impl BoundTls {
    /// Where it is bound.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    fn listen(self) -> io::Result<tokio::net::TcpListener> {
        listen_at(&self.0)?;
        tokio::net::TcpListener::from_std(self.0)
    }
}
