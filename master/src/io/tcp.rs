//! AgentX over TCP (RFC 2741 section 8.1).

use std::{net::SocketAddr, os::fd::AsFd, time::Duration};

use nix::{
    errno::Errno,
    sys::socket::{SockType, setsockopt, sockopt},
};

use super::{ListenError, bound, listen_at};

/// Idle time before the first keepalive probe.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
/// Time between keepalive probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// Unanswered probes before the connection is closed.
const KEEPALIVE_PROBES: u32 = 3;

/// Listens at `address`.
///
/// # Errors
/// Returns an error if a system call fails.
pub(super) fn bind(address: SocketAddr) -> Result<std::net::TcpListener, ListenError> {
    let listening = || -> Result<std::net::TcpListener, Errno> {
        let fd = bound(address, SockType::Stream)?;
        listen_at(&fd)?;
        Ok(fd.into())
    };
    listening().map_err(ListenError::at("AgentX", address))
}

/// Configures a connection: disables Nagle's algorithm, and enables keepalive to detect peers that disappeared.
///
/// # Errors
/// Returns an error if a system call fails.
pub(super) fn prepare(stream: &impl AsFd) -> Result<(), Errno> {
    setsockopt(stream, sockopt::TcpNoDelay, &true)?;
    setsockopt(stream, sockopt::KeepAlive, &true)?;
    let seconds = |duration: Duration| u32::try_from(duration.as_secs()).unwrap_or(u32::MAX);
    setsockopt(stream, sockopt::TcpKeepIdle, &seconds(KEEPALIVE_IDLE))?;
    setsockopt(stream, sockopt::TcpKeepInterval, &seconds(KEEPALIVE_INTERVAL))?;
    setsockopt(stream, sockopt::TcpKeepCount, &KEEPALIVE_PROBES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_an_error_with_the_address() {
        let first = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = first.local_addr().unwrap();
        let error = bind(address).unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot listen for AgentX at {address}: ")), "{error}");
    }

    #[test]
    fn ipv4_and_ipv6_can_listen_at_the_same_port() {
        let four = bind("0.0.0.0:0".parse().unwrap()).unwrap();
        let six = format!("[::]:{}", four.local_addr().unwrap().port());
        bind(six.parse().unwrap()).unwrap();
    }

    #[test]
    fn connections_have_nodelay_and_keepalive() {
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        prepare(&stream).unwrap();
        assert!(stream.nodelay().unwrap());
        assert!(nix::sys::socket::getsockopt(&stream, sockopt::KeepAlive).unwrap());
    }
}
