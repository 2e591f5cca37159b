//! AgentX over TLS. A subagent sends an HTTP request with a ServiceAccount token, and speaks AgentX after the response
//! 101.
//!
//! A peer is not authenticated before that. Its handshake and its request are handled on the main thread, and limited:
//! the number of such connections from one address and in total, their duration, and the length of the request. An
//! authenticated connection is handed over to the agent thread as a socket with its TLS state and its identity.

mod certificates;
mod http;
mod listener;
mod registrations;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, atomic::AtomicU64},
};

use identity::ReviewCounts;
use nix::sys::socket::SockType;

pub use listener::{Dependencies, ServiceAccount, Settings, TlsListener};

use super::{ListenError, bound, listen_at};
use crate::snmp::statistics::Counter;

/// A bound address that does not listen yet. It starts to listen when there is a certificate.
#[derive(Debug)]
pub struct BoundTls(TcpListener);

/// Counters of AgentX over TLS.
#[derive(Debug, Default)]
pub struct TlsTraffic {
    /// Accepted connections.
    pub connections: Counter,
    /// Connections closed because of the limit of unauthenticated connections from one address.
    pub too_many: Counter,
    /// Connections whose TLS handshake failed.
    pub handshake_failures: Counter,
    /// Connections without a valid HTTP/1.1 request.
    pub http_failures: Counter,
    /// Connections that exceeded the timeout before they were upgraded.
    pub timeouts: Counter,
    /// Responses 101: connections upgraded to AgentX.
    pub upgrades: Counter,
    /// Responses to the operator with registrations.
    pub registrations: Counter,
    /// Responses 401.
    pub unauthorized: Counter,
    /// Responses 403.
    pub forbidden: Counter,
    /// Responses 429.
    pub too_many_requests: Counter,
    /// Responses 503.
    pub unavailable: Counter,
    /// Responses with other errors.
    pub other_errors: Counter,
    /// Certificates loaded.
    pub certificates: Counter,
    /// Certificates that could not be loaded.
    pub certificate_errors: Counter,
    /// When the certificate in use expires, in seconds since 1970. 0 without a certificate.
    pub certificate_expires: AtomicU64,
    /// Counters of token reviews.
    pub reviews: Arc<ReviewCounts>,
}

/// Binds `address`.
///
/// # Errors
/// Returns an error if a system call fails.
pub(super) fn bind(address: SocketAddr) -> Result<BoundTls, ListenError> {
    bound(address, SockType::Stream).map(|fd| BoundTls(fd.into())).map_err(ListenError::at("AgentX over TLS", address))
}

impl BoundTls {
    /// Returns the bound address.
    ///
    /// # Errors
    /// Returns an error if the system call fails.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    fn listen(self) -> io::Result<tokio::net::TcpListener> {
        listen_at(&self.0)?;
        tokio::net::TcpListener::from_std(self.0)
    }
}
