//! The sockets of managers and subagents.
//!
//! Sockets are bound on the main thread, so that a wrong address is an error at startup. The agent thread serves them.
//!
//! | module | content |
//! |---|---|
//! | `udp` | SNMP over UDP |
//! | `unix`, `tcp`, `tls` | listeners of AgentX |
//! | `acceptor` | accepts connections from these listeners |
//! | `connection`, `wire` | a connection of a subagent: its task; its octets, plain or over TLS |
//! | `watched_socket` | readiness of a socket |
//! | `traffic` | counters |

mod acceptor;
pub(crate) mod connection;
mod tcp;
pub mod tls;
pub mod traffic;
mod udp;
mod unix;
mod watched_socket;
mod wire;

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

pub(crate) use acceptor::Acceptor;
pub use acceptor::Arrival;
pub use udp::{Batch, Udp};
pub use unix::UnixPath;

/// Connections that the kernel queues until they are accepted: all subagents of a cluster may connect at once.
const BACKLOG: i32 = 4096;

/// The bound sockets of all configured listeners.
#[derive(Debug)]
pub struct Bound {
    /// Sockets of SNMP, in the order of the document.
    pub snmp: Vec<std::net::UdpSocket>,
    /// The listener of AgentX over a Unix socket, and its file.
    pub agentx_unix: Option<(std::os::unix::net::UnixListener, UnixPath)>,
    /// The listener of AgentX over TCP.
    pub agentx_tcp: Option<std::net::TcpListener>,
    /// The socket of AgentX over TLS. It does not listen before there is a certificate.
    pub agentx_tls: Option<tls::BoundTls>,
}

/// Why a socket cannot be bound. Each message names the socket.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// A system call failed.
    #[error("cannot listen for {what} at {at}: {error}")]
    Io {
        /// The protocol.
        what: &'static str,
        /// The address or path.
        at: String,
        /// Why.
        error: io::Error,
    },
    /// The path of the Unix socket is too long for a `sockaddr_un`.
    #[error("cannot listen for AgentX at {}: the path of a Unix socket has at most {} octets", path.display(), master_config::MAX_SOCKET_PATH)]
    PathTooLong {
        /// The path.
        path: PathBuf,
    },
    /// Another process listens at the path.
    #[error("cannot listen for AgentX at {}: another process listens there", path.display())]
    InUse {
        /// The path.
        path: PathBuf,
    },
    /// The path exists and is not a socket. It is not removed.
    #[error("cannot listen for AgentX at {}: the file exists and is not a socket", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The mode is not an octal number.
    #[error("cannot listen for AgentX at {}: the mode is not a file mode in octal, for example 0660", path.display())]
    Mode {
        /// The path.
        path: PathBuf,
    },
    /// The group does not exist.
    #[error("cannot listen for AgentX at {}: the group {group:?} does not exist", path.display())]
    Group {
        /// The path.
        path: PathBuf,
        /// The group.
        group: String,
    },
}

impl Bound {
    /// Binds all `listeners`.
    ///
    /// # Errors
    /// Returns an error for the first socket that cannot be bound.
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

/// Creates a non-blocking socket bound to `address`.
fn bound(address: SocketAddr, kind: SockType) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let fd = new_socket(family, kind)?;
    if address.is_ipv6() {
        // [::] and 0.0.0.0 are two separate listeners. Peers then have no IPv4-mapped addresses.
        setsockopt(&fd, sockopt::Ipv6V6Only, &true)?;
    }
    if kind == SockType::Stream {
        // Connections of the previous process do not block the port.
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
