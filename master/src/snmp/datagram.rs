//! SNMP datagrams and their source addresses.

use std::net::{IpAddr, SocketAddr};

/// The sender of a datagram. The response is sent back to it the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Source {
    /// The sender's address.
    pub(crate) address: SocketAddr,
    /// Index of the listener that received the datagram and that sends the response.
    pub(crate) listener: usize,
    /// The local address that the datagram was sent to, if the listener is bound to the wildcard address. The response
    /// leaves from it.
    pub(crate) local: Option<IpAddr>,
}

/// A datagram to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Datagram {
    /// The destination.
    pub(crate) to: Source,
    /// The SNMP message.
    pub(crate) octets: Vec<u8>,
}
