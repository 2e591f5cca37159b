//! Where subagents connect to, of either kind.

use std::{future::pending, io, os::fd::OwnedFd};

use tokio::net::{TcpListener, UnixListener};

use super::{UnixPath, tcp::prepare};
use crate::authority::{Peer, Transport};

/// Sockets that subagents connect to.
#[derive(Debug)]
pub(crate) struct Doors {
    unix: Option<UnixListener>,
    tcp: Option<TcpListener>,
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
    ) -> io::Result<Self> {
        let (unix, path) = unix.unzip();
        let unix = unix.map(UnixListener::from_std).transpose()?;
        Ok(Self { unix, tcp: tcp.map(TcpListener::from_std).transpose()?, _path: path })
    }

    /// The next connection, and who is at the other end. Cancel safe.
    ///
    /// # Errors
    /// The system's, as for want of file descriptors.
    pub(crate) async fn accept(&self) -> io::Result<(OwnedFd, Peer)> {
        let unix = async {
            let Some(listener) = &self.unix else { return pending().await };
            let (stream, _) = listener.accept().await?;
            let credentials = stream.peer_cred().ok();
            let pid = credentials.and_then(|credentials| credentials.pid());
            let transport = Transport::Unix { pid, uid: credentials.map(|credentials| credentials.uid()) };
            Ok((stream.into_std()?.into(), Peer { transport }))
        };
        let tcp = async {
            let Some(listener) = &self.tcp else { return pending().await };
            let (stream, address) = listener.accept().await?;
            prepare(&stream)?;
            Ok((stream.into_std()?.into(), Peer { transport: Transport::Tcp { address } }))
        };
        tokio::select! {
            accepted = unix => accepted,
            accepted = tcp => accepted,
        }
    }
}
