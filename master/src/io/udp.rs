//! SNMP over UDP (RFC 3417 section 3).
//!
//! One system call receives a batch of datagrams. A batch that is not full shows that no more datagrams wait.
//!
//! A response is sent from the address that the request was sent to, because managers drop responses from other
//! addresses. A socket bound to one address does so automatically. A socket bound to all addresses gets the address of
//! each request by `IP_PKTINFO`, and passes it back with the response.
//!
//! Sending never waits for space in the socket buffer: the task would be woken for each datagram that leaves it.

use std::{
    future::poll_fn,
    io::{self, IoSlice, IoSliceMut},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
    os::fd::AsRawFd,
};

use super::{ListenError, bound};
use crate::io::watched_socket::WatchedSocket;
use nix::{
    cmsg_space,
    errno::Errno,
    libc,
    sys::socket::{
        ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockType, SockaddrStorage, recvmmsg,
        sendmsg, sendto, setsockopt, sockopt,
    },
};

/// Datagrams received by one system call.
const BATCH: usize = 8;
/// Octets for each datagram, longer than any datagram.
const DATAGRAM: usize = 1 << 16;
/// Requested size of the send and receive buffers in octets. The kernel limits it to `net.core.[rw]mem_max`.
const SOCKET_BUFFER: usize = 4 << 20;

/// A UDP socket for SNMP.
#[derive(Debug)]
pub struct Udp {
    socket: WatchedSocket,
}

/// Buffers for a batch of datagrams, reused for each batch.
#[derive(Debug)]
pub struct Batch {
    headers: MultiHeaders<SockaddrStorage>,
    octets: Vec<u8>,
}

/// A received datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received<'a> {
    /// The source address.
    pub from: SocketAddr,
    /// The destination address, if the socket is bound to all addresses.
    pub to: Option<IpAddr>,
    /// The payload.
    pub octets: &'a [u8],
}

/// Binds a socket to `address`.
///
/// # Errors
/// Returns an error if a system call fails.
pub(super) fn bind(address: SocketAddr) -> Result<std::net::UdpSocket, ListenError> {
    let binding = || -> Result<std::net::UdpSocket, Errno> {
        let fd = bound(address, SockType::Datagram)?;
        setsockopt(&fd, sockopt::RcvBuf, &SOCKET_BUFFER)?;
        setsockopt(&fd, sockopt::SndBuf, &SOCKET_BUFFER)?;
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => setsockopt(&fd, sockopt::Ipv4PacketInfo, &true)?,
            IpAddr::V6(ip) if ip.is_unspecified() => setsockopt(&fd, sockopt::Ipv6RecvPacketInfo, &true)?,
            _ => {}
        }
        Ok(fd.into())
    };
    binding().map_err(ListenError::at("SNMP", address))
}

impl Udp {
    /// Wraps a bound socket. Needs a Tokio runtime.
    ///
    /// # Errors
    /// Returns an error if the socket cannot be registered with the runtime.
    pub fn new(socket: std::net::UdpSocket) -> io::Result<Self> {
        Ok(Self { socket: WatchedSocket::readable(socket.into())? })
    }

    /// Waits until datagrams can be received.
    ///
    /// # Errors
    /// Returns an error if the runtime is shutting down.
    pub async fn readable(&self) -> io::Result<()> {
        poll_fn(|cx| self.socket.poll_ready(cx)).await
    }

    /// Receives a batch of datagrams and passes them to `each`. Returns whether more datagrams may wait.
    ///
    /// # Errors
    /// Returns `WouldBlock` if no datagram waits, or the error of the system call.
    pub fn receive(&self, batch: &mut Batch, mut each: impl FnMut(Received<'_>)) -> io::Result<bool> {
        let Batch { headers, octets } = batch;
        let mut buffers = octets.chunks_exact_mut(DATAGRAM);
        let mut slices: [[IoSliceMut<'_>; 1]; BATCH] =
            std::array::from_fn(|_| [IoSliceMut::new(buffers.next().unwrap_or_default())]);
        let mut count = 0;
        let received =
            self.socket.try_io(|socket| recvmmsg(socket, headers, slices.iter_mut(), MsgFlags::empty(), None))?;
        for message in received {
            count += 1;
            let octets = message.iovs().next().unwrap_or_default();
            if let Some(from) = message.address.as_ref().and_then(std_address) {
                each(Received { from, to: local_address(&message), octets });
            }
        }
        if count < BATCH {
            self.socket.clear_readiness();
        }
        Ok(count == BATCH)
    }

    /// Sends a datagram without waiting, from the local address `from` if it is given.
    ///
    /// # Errors
    /// Returns the error of the system call: `WouldBlock` if the socket buffer is full, EMSGSIZE if the datagram is too
    /// long.
    pub fn send(&self, from: Option<IpAddr>, to: SocketAddr, octets: &[u8]) -> io::Result<()> {
        let (socket, to) = (self.socket.as_raw_fd(), SockaddrStorage::from(to));
        let Some(from) = from else { return Ok(sendto(socket, octets, &to, MsgFlags::empty()).map(drop)?) };
        let slices = [IoSlice::new(octets)];
        let send = |control| Ok(sendmsg(socket, &slices, &[control], MsgFlags::empty(), Some(&to)).map(drop)?);
        match from {
            IpAddr::V4(from) => send(ControlMessage::Ipv4PacketInfo(&libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: libc::in_addr { s_addr: from.to_bits().to_be() },
                ipi_addr: libc::in_addr { s_addr: 0 },
            })),
            IpAddr::V6(from) => send(ControlMessage::Ipv6PacketInfo(&libc::in6_pktinfo {
                ipi6_addr: libc::in6_addr { s6_addr: from.octets() },
                ipi6_ifindex: 0,
            })),
        }
    }
}

impl Default for Batch {
    fn default() -> Self {
        let control = cmsg_space!(libc::in6_pktinfo);
        Self { headers: MultiHeaders::preallocate(BATCH, Some(control)), octets: vec![0; BATCH * DATAGRAM] }
    }
}

fn std_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    let four = address.as_sockaddr_in().map(|&four| SocketAddr::V4(SocketAddrV4::from(four)));
    four.or_else(|| address.as_sockaddr_in6().map(|&six| SocketAddr::V6(SocketAddrV6::from(six))))
}

/// Returns the destination address of a datagram, if it is known and can be used as a source address.
fn local_address(message: &RecvMsg<'_, '_, SockaddrStorage>) -> Option<IpAddr> {
    message.cmsgs().ok()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            Some(IpAddr::V4(Ipv4Addr::from_bits(u32::from_be(info.ipi_spec_dst.s_addr))))
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => {
            Some(IpAddr::V6(Ipv6Addr::from(info.ipi6_addr.s6_addr))).filter(|address| !address.is_multicast())
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use tokio::net::UdpSocket;

    use super::*;

    const DEADLINE: std::time::Duration = std::time::Duration::from_secs(30);

    /// Binds and wraps a socket. Also returns its address.
    fn udp(listen: &str) -> (Udp, SocketAddr) {
        let socket = bind(listen.parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        (Udp::new(socket).unwrap(), address)
    }

    async fn received(udp: &Udp, batch: &mut Batch, wanted: usize) -> Vec<(SocketAddr, Option<IpAddr>, Vec<u8>)> {
        let mut all = Vec::new();
        let receiving = async {
            while all.len() < wanted {
                udp.readable().await.unwrap();
                let more = udp.receive(batch, |datagram| {
                    all.push((datagram.from, datagram.to, datagram.octets.to_vec()));
                });
                assert!(more.is_ok_and(|more| more == (all.len() % BATCH == 0)) || all.len() >= wanted);
            }
        };
        tokio::time::timeout(DEADLINE, receiving).await.expect("datagrams arrive");
        all
    }

    #[rstest]
    #[case::one_v4("127.0.0.1:0", "127.0.0.1", false)]
    #[case::all_v4("0.0.0.0:0", "127.0.0.1", true)]
    #[case::another_of_all_v4("0.0.0.0:0", "127.0.0.2", true)]
    #[case::one_v6("[::1]:0", "::1", false)]
    #[case::all_v6("[::]:0", "::1", true)]
    #[tokio::test]
    async fn a_response_is_sent_from_the_address_of_the_request(
        #[case] listen: &str,
        #[case] server: IpAddr,
        #[case] is_known: bool,
    ) {
        let (udp, address) = udp(listen);
        let server = SocketAddr::new(server, address.port());
        let client = UdpSocket::bind(SocketAddr::new(server.ip(), 0)).await.unwrap();
        let mut batch = Batch::default();
        for text in ["first", "second"] {
            client.send_to(text.as_bytes(), server).await.unwrap();
            let all = received(&udp, &mut batch, 1).await;
            let local = is_known.then_some(server.ip());
            assert_eq!(all, [(client.local_addr().unwrap(), local, text.as_bytes().to_vec())]);
            udp.send(local, client.local_addr().unwrap(), b"response").unwrap();
            let mut response = [0; 10];
            let (len, from) = tokio::time::timeout(DEADLINE, client.recv_from(&mut response)).await.unwrap().unwrap();
            assert_eq!((&response[..len], from), (&b"response"[..], server));
        }
    }

    #[tokio::test]
    async fn no_datagram_is_lost_between_batches() {
        let (udp, address) = udp("127.0.0.1:0");
        let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut batch = Batch::default();
        for round in 0..3_u8 {
            for number in 0..20_u8 {
                client.send_to(&[round, number], address).unwrap();
            }
            let all: Vec<_> = received(&udp, &mut batch, 20).await.into_iter().map(|(.., octets)| octets).collect();
            assert_eq!(all, (0..20).map(|number| vec![round, number]).collect::<Vec<_>>());
        }
    }

    #[tokio::test]
    async fn the_longest_and_the_empty_datagram_arrive_complete() {
        let (udp, address) = udp("127.0.0.1:0");
        let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut batch = Batch::default();
        for len in [65_507, 0, 1] {
            client.send_to(&vec![7; len], address).unwrap();
            assert_eq!(received(&udp, &mut batch, 1).await[0].2.len(), len);
        }
    }

    #[tokio::test]
    async fn a_datagram_longer_than_udp_allows_is_an_error() {
        let (udp, address) = udp("127.0.0.1:0");
        let error = udp.send(None, address, &vec![0; 65_508]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE));
    }

    #[test]
    fn an_address_of_another_host_is_an_error_that_names_it() {
        let error = bind("192.0.2.1:161".parse().unwrap()).unwrap_err().to_string();
        assert!(error.starts_with("cannot listen for SNMP at 192.0.2.1:161: "), "{error}");
    }
}
