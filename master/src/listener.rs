//! Where managers and subagents come in. Sockets are bound on the main thread, so that what is wrong with an address is
//! an error at the start, and handed to the agent thread.

mod doors;
mod tcp;
pub mod tls;
mod udp;
mod unix;

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
    path::PathBuf,
};

use master_config::Listeners;
use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, Backlog, SockFlag, SockType, SockaddrLike, SockaddrStorage, bind, listen, setsockopt, socket,
        sockopt,
    },
};

pub use doors::Arrival;
pub(crate) use doors::Doors;
pub use udp::{Batch, Udp};
pub use unix::UnixPath;

/// Connections that the system holds until they are accepted: all subagents of a cluster may come at once.
const BACKLOG: i32 = 4096;

/// Everything that was asked for, bound.
#[derive(Debug)]
pub struct Bound {
    /// SNMP, in the order of the document.
    pub snmp: Vec<std::net::UdpSocket>,
    /// AgentX over a Unix socket, and the file that goes with it.
    pub agentx_unix: Option<(std::os::unix::net::UnixListener, UnixPath)>,
    /// AgentX over TCP.
    pub agentx_tcp: Option<std::net::TcpListener>,
    /// AgentX over TLS. It does not listen before there is a certificate.
    pub agentx_tls: Option<tls::BoundTls>,
}

/// Why a listener cannot be had. Each names it.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The system's reason.
    #[error("cannot listen for {what} at {at}: {error}")]
    Io {
        /// SNMP or AgentX.
        what: &'static str,
        /// The address or path.
        at: String,
        /// The reason.
        error: io::Error,
    },
    /// A Unix socket's path is as long as a sockaddr_un can hold, or longer.
    #[error("cannot listen for AgentX at {}: a Unix socket's path has at most {} octets", path.display(), master_config::MAX_SOCKET_PATH)]
    PathTooLong {
        /// The path.
        path: PathBuf,
    },
    /// Another process answers there.
    #[error("cannot listen for AgentX at {}: another process listens there", path.display())]
    InUse {
        /// The path.
        path: PathBuf,
    },
    /// Something else than a socket is there, and it is not ours to remove.
    #[error("cannot listen for AgentX at {}: there is something that is no socket", path.display())]
    NoSocket {
        /// The path.
        path: PathBuf,
    },
    /// Permissions that are no octal digits.
    #[error("cannot listen for AgentX at {}: its mode is not a file's mode in octal as 0660", path.display())]
    Mode {
        /// The path.
        path: PathBuf,
    },
    /// A group that the machine does not know.
    #[error("cannot listen for AgentX at {}: the group {group:?} is not known", path.display())]
    Group {
        /// The path.
        path: PathBuf,
        /// What is there for a group.
        group: String,
    },
}

impl Bound {
    /// Binds all `listeners`.
    ///
    /// # Errors
    /// [`ListenError`] for the first that cannot be had.
    pub fn bind(listeners: &Listeners) -> Result<Self, ListenError> {
        let snmp = listeners.snmp.iter().map(|address| udp::bind(*address)).collect::<Result<_, _>>()?;
        let agentx_unix = listeners.agentx_unix.as_ref().map(unix::bind).transpose()?;
        let agentx_tcp = listeners.agentx_tcp.map(tcp::bind).transpose()?;
        let agentx_tls = listeners.agentx_tls.map(tls::bind).transpose()?;
        Ok(Self { snmp, agentx_unix, agentx_tcp, agentx_tls })
    }
}

impl ListenError {
    fn at(what: &'static str, at: impl ToString) -> impl FnOnce(Errno) -> Self {
        move |errno| Self::Io { what, at: at.to_string(), error: errno.into() }
    }
}

/// A socket that does not block, bound to `address`.
fn bound(address: SocketAddr, kind: SockType) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let fd = new_socket(family, kind)?;
    if address.is_ipv6() {
        // [::] and 0.0.0.0 are two listeners, and an address is written in one way.
        setsockopt(&fd, sockopt::Ipv6V6Only, &true)?;
    }
    if kind == SockType::Stream {
        // Connections of the process before this one do not keep the port.
        setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    }
    bind_to(&fd, &SockaddrStorage::from(address))?;
    Ok(fd)
}

fn new_socket(family: AddressFamily, kind: SockType) -> Result<OwnedFd, Errno> {
    socket(family, kind, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)
}

fn bind_to(fd: &OwnedFd, address: &dyn SockaddrLike) -> Result<(), Errno> {
    use std::os::fd::AsRawFd;
    bind(fd.as_raw_fd(), address)
}

fn listen_at(fd: &impl AsFd) -> Result<(), Errno> {
    listen(fd, Backlog::new(BACKLOG)?)
}
