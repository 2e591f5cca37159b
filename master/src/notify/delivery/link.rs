//! The sockets of targets.

use std::{
    cell::RefCell,
    io::{self, ErrorKind},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    rc::Rc,
};

use tokio::{
    net::UdpSocket,
    sync::mpsc,
    task::{AbortHandle, spawn_local},
};

use super::{Arrival, Key};

/// The longest datagram.
const MAX_DATAGRAM: usize = 65_535;

thread_local! {
    /// The buffer of all sockets, which read one after the other.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; MAX_DATAGRAM]);
}

/// A connected UDP socket: it receives datagrams of its peer alone, and learns from ICMP that the peer refuses them. A task
/// reads from it until it is dropped.
#[derive(Debug)]
pub(super) struct Socket {
    udp: Rc<UdpSocket>,
    address: SocketAddr,
    reader: AbortHandle,
}

impl Socket {
    /// Connects a socket. What it receives goes to `sender`. Needs a `LocalSet`.
    ///
    /// # Errors
    /// Returns an error if no socket is available, or if there is no route to the address.
    pub(super) fn connect(address: SocketAddr, key: Key, sender: mpsc::Sender<(Key, Arrival)>) -> io::Result<Self> {
        let any = match address {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let socket = std::net::UdpSocket::bind(any)?;
        socket.connect(address)?;
        socket.set_nonblocking(true)?;
        let socket = Rc::new(UdpSocket::from_std(socket)?);
        let reader = spawn_local(read(Rc::clone(&socket), key, sender)).abort_handle();
        Ok(Self { udp: socket, address, reader })
    }

    /// Returns the address of the peer.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends a datagram.
    ///
    /// # Errors
    /// Returns an error if the datagram cannot be sent.
    pub(super) fn send(&self, datagram: &[u8]) -> io::Result<()> {
        match self.udp.try_send(datagram) {
            // The error of an earlier datagram, which the reader may not have seen yet.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => self.udp.try_send(datagram).map(drop),
            sent => sent.map(drop),
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

async fn read(socket: Rc<UdpSocket>, key: Key, sender: mpsc::Sender<(Key, Arrival)>) {
    while socket.readable().await.is_ok() {
        let received = BUFFER.with_borrow_mut(|buffer| {
            let len = socket.try_recv(buffer)?;
            Ok(buffer.get(..len).unwrap_or_default().to_vec())
        });
        let arrival = match received {
            Ok(datagram) => Arrival::Datagram(datagram),
            Err(error) => match io::Error::kind(&error) {
                ErrorKind::ConnectionRefused => Arrival::Refused,
                _ => continue,
            },
        };
        if sender.send((key.clone(), arrival)).await.is_err() {
            return;
        }
    }
}
