//! Where subagents connect to, of any kind.

use std::{future::pending, io, os::fd::OwnedFd, sync::Arc};

use tokio::{
    net::{TcpListener, UnixListener},
    sync::mpsc,
};

use super::{UnixPath, tcp::prepare};
use crate::{
    authority::{Peer, Transport},
    places::Place,
    wire::Wire,
};

/// A connection that has come.
#[derive(Debug)]
pub struct Arrival {
    /// It does not block.
    pub(crate) socket: OwnedFd,
    /// Who is at the other end.
    pub(crate) peer: Peer,
    /// How octets go through it.
    pub(crate) wire: Wire,
    /// Its place among those of its namespace, if it is of one.
    pub(crate) place: Option<Place<Arc<str>>>,
}

/// Sockets that subagents connect to.
#[derive(Debug)]
pub(crate) struct Doors {
    unix: Option<UnixListener>,
    tcp: Option<TcpListener>,
    /// Those by TLS come when they have shaken hands.
    tls: Option<mpsc::Receiver<Arrival>>,
    /// Removed at the end.
    _path: Option<UnixPath>,
}

impl Doors {
    /// Of the listeners that there are. Runs inside a runtime.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn open(
        unix: Option<(std::os::unix::net::UnixListener, UnixPath)>,
        tcp: Option<std::net::TcpListener>,
        tls: Option<mpsc::Receiver<Arrival>>,
    ) -> io::Result<Self> {
        let (unix, path) = unix.unzip();
        let unix = unix.map(UnixListener::from_std).transpose()?;
        Ok(Self { unix, tcp: tcp.map(TcpListener::from_std).transpose()?, tls, _path: path })
    }

    /// The next connection. Cancel safe.
    ///
    /// # Errors
    /// The system's, as for want of file descriptors.
    pub(crate) async fn accept(&mut self) -> io::Result<Arrival> {
        let Self { unix, tcp, tls, _path } = self;
        let arrival = |socket, transport| Arrival { socket, peer: Peer { transport }, wire: Wire::Plain, place: None };
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
