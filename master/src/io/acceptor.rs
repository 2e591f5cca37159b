//! Accepts connections of subagents from all listeners.

use std::{future::pending, io, os::fd::OwnedFd, sync::Arc};

use daemon::keyed_limit::Permit;
use tokio::{
    net::{TcpListener, UnixListener},
    sync::mpsc,
};

use super::{UnixPath, tcp::prepare};
use crate::{
    io::wire::Wire,
    subagents::authority::{Peer, Transport},
};

/// An accepted connection.
#[derive(Debug)]
pub struct Arrival {
    /// The socket, in non-blocking mode.
    pub(crate) socket: OwnedFd,
    /// The peer.
    pub(crate) peer: Peer,
    /// How octets pass through the socket.
    pub(crate) wire: Wire,
    /// Its permit among the connections of its namespace. Only connections over TLS have one.
    pub(crate) permit: Option<Permit<Arc<str>>>,
}

/// The listeners for subagents.
#[derive(Debug)]
pub(crate) struct Acceptor {
    unix: Option<UnixListener>,
    tcp: Option<TcpListener>,
    /// Connections over TLS after their handshake.
    tls: Option<mpsc::Receiver<Arrival>>,
    /// Removes the file of the Unix socket when dropped.
    _path: Option<UnixPath>,
}

impl Acceptor {
    /// Wraps the listeners. Needs a Tokio runtime.
    ///
    /// # Errors
    /// Returns an error if a listener cannot be registered with the runtime.
    pub(crate) fn new(
        unix: Option<(std::os::unix::net::UnixListener, UnixPath)>,
        tcp: Option<std::net::TcpListener>,
        tls: Option<mpsc::Receiver<Arrival>>,
    ) -> io::Result<Self> {
        let (unix, path) = unix.unzip();
        let unix = unix.map(UnixListener::from_std).transpose()?;
        Ok(Self { unix, tcp: tcp.map(TcpListener::from_std).transpose()?, tls, _path: path })
    }

    /// Accepts the next connection. Cancel safe.
    ///
    /// # Errors
    /// Returns an error if a connection cannot be accepted, for example when file descriptors run out.
    pub(crate) async fn accept(&mut self) -> io::Result<Arrival> {
        let Self { unix, tcp, tls, _path } = self;
        let arrival = |socket, transport| Arrival { socket, peer: Peer { transport }, wire: Wire::Plain, permit: None };
        let unix = async {
            let Some(listener) = unix else { return pending().await };
            let (stream, _) = listener.accept().await?;
            let credentials = stream.peer_cred().ok();
            let pid = credentials.and_then(|credentials| credentials.pid());
            let transport = Transport::Unix { pid, uid: credentials.map(|credentials| credentials.uid()) };
            Ok(arrival(stream.into_std()?.into(), transport))
        };
        let tcp = async {
            let Some(listener) = tcp else { return pending().await };
            let (stream, address) = listener.accept().await?;
            prepare(&stream)?;
            Ok(arrival(stream.into_std()?.into(), Transport::Tcp { address }))
        };
        let tls = async {
            match tls {
                Some(arrivals) => arrivals.recv().await,
                None => None,
            }
        };
        tokio::select! {
            accepted = unix => accepted,
            accepted = tcp => accepted,
            Some(accepted) = tls => Ok(accepted),
        }
    }
}
