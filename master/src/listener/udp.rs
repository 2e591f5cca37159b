//! SNMP over UDP (RFC 3417 section 3).
//!
//! One system call takes all datagrams that wait, up to a batch, and knows by their number that no more do. Answers
//! leave from the address that was asked: a manager drops those that come from another. A socket bound to one address
//! can do no else; one bound to all of them is told each datagram's (`IP_PKTINFO`) and tells it back.
//!
//! Sending is tried, never waited for: whoever waits for room is woken for each datagram that the other side takes.

use std::{
    future::poll_fn,
    io::{self, IoSlice, IoSliceMut},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
    os::fd::AsRawFd,
};

use super::{ListenError, bound};
use crate::watched_socket::WatchedSocket;
use nix::{
    cmsg_space,
    errno::Errno,
    libc,
    sys::socket::{
        ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockType, SockaddrStorage, recvmmsg,
        sendmsg, sendto, setsockopt, sockopt,
    },
};

/// How many datagrams are taken at once.
const BATCH: usize = 8;
/// Longer than any datagram.
const DATAGRAM: usize = 1 << 16;
/// What the system is asked to hold of datagrams that wait, each way; it grants as much as its administrator allows.
const SYSTEM_BUFFER: usize = 4 << 20;

/// A socket for SNMP.
#[derive(Debug)]
pub struct Udp {
    socket: WatchedSocket,
    address: SocketAddr,
}

/// Room for datagrams.
#[derive(Debug)]
pub struct Batch {
    headers: MultiHeaders<SockaddrStorage>,
    octets: Vec<u8>,
}

/// A datagram as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received<'a> {
    /// Who sent it.
    pub from: SocketAddr,
    /// To which address of ours, where the socket is bound to all of them.
    pub to: Option<IpAddr>,
    /// What it says.
    pub octets: &'a [u8],
}

/// A socket bound to `address`.
///
/// # Errors
/// The system's.
pub(super) fn bind(address: SocketAddr) -> Result<std::net::UdpSocket, ListenError> {
    let binding = || -> Result<std::net::UdpSocket, Errno> {
        let fd = bound(address, SockType::Datagram)?;
        setsockopt(&fd, sockopt::RcvBuf, &SYSTEM_BUFFER)?;
        setsockopt(&fd, sockopt::SndBuf, &SYSTEM_BUFFER)?;
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
    /// Serves `socket` on the runtime that this is called in.
    ///
    /// # Errors
    /// The system's.
    pub fn new(socket: std::net::UdpSocket) -> io::Result<Self> {
        let address = socket.local_addr()?;
        Ok(Self { socket: WatchedSocket::readable(socket.into())?, address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for datagrams.
    ///
    /// # Errors
    /// The system's.
    pub async fn readable(&self) -> io::Result<()> {
        poll_fn(|cx| self.socket.poll_ready(cx)).await
    }

    /// Hands a batch of what waits to `each`. Whether more may wait.
    ///
    /// # Errors
    /// The system's; `WouldBlock` if nothing waits.
    pub fn receive(&self, batch: &mut Batch, mut each: impl FnMut(Received<'_>)) -> io::Result<bool> {
        let Batch { headers, octets } = batch;
        let mut rooms = octets.chunks_exact_mut(DATAGRAM);
        let mut slices: [[IoSliceMut<'_>; 1]; BATCH] =
            std::array::from_fn(|_| [IoSliceMut::new(rooms.next().unwrap_or_default())]);
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
            self.socket.is_drained();
        }
        Ok(count == BATCH)
    }

    /// Sends a datagram from our address `from`, if given, at once or not at all.
    ///
    /// # Errors
    /// The system's: `WouldBlock` if its buffers are full, EMSGSIZE for more than the way there can carry.
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

/// The address that a datagram came to; none where it was not told, or cannot be answered from.
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
        tokio::time::timeout(DEADLINE, receiving).await.expect("the datagrams come");
        all
    }

    #[rstest]
    #[case::one("127.0.0.1:0", "127.0.0.1", false)]
    #[case::all("0.0.0.0:0", "127.0.0.1", true)]
    #[case::another_of_all("0.0.0.0:0", "127.0.0.2", true)]
    #[case::one_of_six("[::1]:0", "::1", false)]
    #[case::all_of_six("[::]:0", "::1", true)]
    #[tokio::test]
    async fn an_answer_leaves_from_the_address_that_was_asked(
        #[case] listen: &str,
        #[case] asked: IpAddr,
        #[case] told: bool,
    ) {
        let udp = Udp::new(bind(listen.parse().unwrap()).unwrap()).unwrap();
        let asked = SocketAddr::new(asked, udp.address().port());
        let client = UdpSocket::bind(SocketAddr::new(asked.ip(), 0)).await.unwrap();
        let mut batch = Batch::default();
        for text in ["first", "second"] {
            client.send_to(text.as_bytes(), asked).await.unwrap();
            let all = received(&udp, &mut batch, 1).await;
            let local = told.then_some(asked.ip());
            assert_eq!(all, [(client.local_addr().unwrap(), local, text.as_bytes().to_vec())]);
            udp.send(local, client.local_addr().unwrap(), b"answer").unwrap();
            let mut answer = [0; 10];
            let (len, from) = tokio::time::timeout(DEADLINE, client.recv_from(&mut answer)).await.unwrap().unwrap();
            assert_eq!((&answer[..len], from), (&b"answer"[..], asked));
        }
    }

    #[tokio::test]
    async fn many_datagrams_come_in_batches_and_none_is_lost_between_them() {
        let udp = Udp::new(bind("127.0.0.1:0".parse().unwrap()).unwrap()).unwrap();
        let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut batch = Batch::default();
        for round in 0..3_u8 {
            for number in 0..20_u8 {
                client.send_to(&[round, number], udp.address()).unwrap();
            }
            let all: Vec<_> = received(&udp, &mut batch, 20).await.into_iter().map(|(.., octets)| octets).collect();
            assert_eq!(all, (0..20).map(|number| vec![round, number]).collect::<Vec<_>>());
        }
    }

    #[tokio::test]
    async fn the_longest_and_the_empty_datagram_come_whole() {
        let udp = Udp::new(bind("127.0.0.1:0".parse().unwrap()).unwrap()).unwrap();
        let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut batch = Batch::default();
        for len in [65_507, 0, 1] {
            client.send_to(&vec![7; len], udp.address()).unwrap();
            assert_eq!(received(&udp, &mut batch, 1).await[0].2.len(), len);
        }
    }

    #[tokio::test]
    async fn a_datagram_longer_than_udp_carries_is_an_error() {
        let udp = Udp::new(bind("127.0.0.1:0".parse().unwrap()).unwrap()).unwrap();
        let error = udp.send(None, udp.address(), &vec![0; 65_508]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE));
    }

    #[test]
    fn an_address_that_is_not_ours_is_an_error_that_names_it() {
        let error = bind("192.0.2.1:161".parse().unwrap()).unwrap_err().to_string();
        assert!(error.starts_with("cannot listen for SNMP at 192.0.2.1:161: "), "{error}");
    }
}
