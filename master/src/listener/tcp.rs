//! AgentX over TCP (RFC 2741 section 8.1).

use std::{net::SocketAddr, os::fd::AsFd, time::Duration};

use nix::{
    errno::Errno,
    sys::socket::{SockType, setsockopt, sockopt},
};

use super::{ListenError, bound, listen_at};

/// A peer that is silent this long is asked whether it is still there.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(30);
/// How often it is asked.
const KEEPALIVE_PERIOD: Duration = Duration::from_secs(10);
/// How often it may fail to say so.
const KEEPALIVE_PROBES: u32 = 3;

/// Listens at `address`. Whether it may is the document's affair.
///
/// # Errors
/// The system's.
pub(super) fn bind(address: SocketAddr) -> Result<std::net::TcpListener, ListenError> {
    let listening = || -> Result<std::net::TcpListener, Errno> {
        let fd = bound(address, SockType::Stream)?;
        listen_at(&fd)?;
        Ok(fd.into())
    };
    listening().map_err(ListenError::at("AgentX", address))
}

/// Sets a connection up: requests leave at once, and a peer whose machine is gone is found out.
///
/// # Errors
/// The system's.
pub(crate) fn prepare(stream: &impl AsFd) -> Result<(), Errno> {
    setsockopt(stream, sockopt::TcpNoDelay, &true)?;
    setsockopt(stream, sockopt::KeepAlive, &true)?;
    let seconds = |duration: Duration| u32::try_from(duration.as_secs()).unwrap_or(u32::MAX);
    setsockopt(stream, sockopt::TcpKeepIdle, &seconds(KEEPALIVE_AFTER))?;
    setsockopt(stream, sockopt::TcpKeepInterval, &seconds(KEEPALIVE_PERIOD))?;
    setsockopt(stream, sockopt::TcpKeepCount, &KEEPALIVE_PROBES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_an_error_that_names_it() {
        let first = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = first.local_addr().unwrap();
        let error = bind(address).unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot listen for AgentX at {address}: ")), "{error}");
    }

    #[test]
    fn both_families_listen_at_one_port() {
        let four = bind("0.0.0.0:0".parse().unwrap()).unwrap();
        let six = format!("[::]:{}", four.local_addr().unwrap().port());
        bind(six.parse().unwrap()).unwrap();
    }

    #[test]
    fn a_connection_is_prepared() {
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        prepare(&stream).unwrap();
        assert!(stream.nodelay().unwrap());
        assert!(nix::sys::socket::getsockopt(&stream, sockopt::KeepAlive).unwrap());
    }
}
