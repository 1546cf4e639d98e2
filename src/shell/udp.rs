//! SIP over UDP: bind, receive up to 32 datagrams a turn with one system call, send one.
//!
//! Knows bytes and addresses only. What a datagram means is decided by call control.

use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrLike, SockaddrStorage, recvmmsg, recvmsg,
    setsockopt, sockopt,
};
use socket2::{Domain, Protocol, Socket, Type};

/// Datagrams taken from one socket in one turn (DECISIONS, Shape 2).
pub const DATAGRAMS_A_TURN: usize = 32;
/// The largest datagram that UDP can carry.
pub const DATAGRAM_OCTETS_MAX: usize = 65_535;
/// What we ask of the kernel for a burst of INVITEs; it may give less.
const RECEIVE_BUFFER_OCTETS: usize = 4 << 20;
/// CS3, what signalling is marked with (RFC 4594 §3.2), in the upper six bits of the octet.
pub(super) const TRAFFIC_CLASS: u32 = 24 << 2;

/// `SO_EE_ORIGIN_ICMP` and `SO_EE_ORIGIN_ICMP6`: a router or the peer's host said so, not we.
const ORIGIN_ICMP: u8 = 2;
const ORIGIN_ICMP6: u8 = 3;
/// "Destination unreachable" (RFC 792, RFC 4443 §3.1), and the code of it that only asks for
/// smaller packets.
const UNREACHABLE_V4: u8 = 3;
const UNREACHABLE_V6: u8 = 1;
const FRAGMENTATION_NEEDED: u8 = 4;

/// One of our SIP sockets, and room for what one turn receives.
pub struct UdpPort {
    socket: UdpSocket,
    local: SocketAddr,
    buffers: Vec<u8>,
    headers: MultiHeaders<SockaddrStorage>,
}

impl std::fmt::Debug for UdpPort {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("UdpPort")
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}

/// Binds a socket of the signalling thread.
///
/// # Errors
/// What the kernel says; `AddrInUse` names a busy port.
pub fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
        // A mark that the host does not allow is no reason not to serve.
        drop(socket.set_tclass_v6(TRAFFIC_CLASS));
        setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?;
    } else {
        drop(socket.set_tos_v4(TRAFFIC_CLASS));
        setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?;
    }
    drop(socket.set_recv_buffer_size(RECEIVE_BUFFER_OCTETS));
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

impl UdpPort {
    /// Takes a bound socket. Made on the thread that uses it.
    ///
    /// # Errors
    /// Where the kernel does not say what the socket is bound to.
    pub fn new(socket: UdpSocket) -> io::Result<Self> {
        let local = socket.local_addr()?;
        Ok(Self {
            socket,
            local,
            buffers: vec![0; DATAGRAMS_A_TURN * DATAGRAM_OCTETS_MAX],
            headers: MultiHeaders::preallocate(DATAGRAMS_A_TURN, None),
        })
    }

    /// What it is bound to.
    #[must_use]
    pub const fn local(&self) -> SocketAddr {
        self.local
    }

    /// For `poll`.
    #[must_use]
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Hands what is there to `each`, at most [`DATAGRAMS_A_TURN`]. True when there may be more.
    ///
    /// # Errors
    /// What the kernel says, but not "nothing there".
    pub fn receive(&mut self, mut each: impl FnMut(SocketAddr, &[u8])) -> io::Result<bool> {
        let mut slices: Vec<[IoSliceMut<'_>; 1]> = self
            .buffers
            .chunks_exact_mut(DATAGRAM_OCTETS_MAX)
            .map(|chunk| [IoSliceMut::new(chunk)])
            .collect();
        let received = recvmmsg(
            self.socket.as_raw_fd(),
            &mut self.headers,
            slices.iter_mut(),
            MsgFlags::MSG_DONTWAIT,
            None,
        );
        let results = match received {
            Ok(results) => results,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(false),
            Err(errno) => return Err(errno.into()),
        };
        let mut count = 0;
        for message in results {
            count += 1;
            if let Some(source) = message.address.and_then(|address| standard(&address))
                && let Some(bytes) = message.iovs().next()
            {
                each(source, bytes);
            }
        }
        Ok(count == DATAGRAMS_A_TURN)
    }

    /// Names each peer that ICMP says cannot be reached, at most [`DATAGRAMS_A_TURN`]. True where
    /// the kernel had any error for us. To be asked after a failed receive or send: such an error
    /// fails the next call on the socket, whatever peer that is about.
    ///
    /// # Errors
    /// What the kernel says, but not "nothing there".
    pub fn unreachable(&self, mut each: impl FnMut(SocketAddr)) -> io::Result<bool> {
        let mut any = false;
        let mut control = nix::cmsg_space!([u8; 64]);
        for _ in 0..DATAGRAMS_A_TURN {
            let mut octet = [0_u8];
            let mut slices = [IoSliceMut::new(&mut octet)];
            let received = recvmsg::<SockaddrStorage>(
                self.socket.as_raw_fd(),
                &mut slices,
                Some(&mut control),
                MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT,
            );
            let message = match received {
                Ok(message) => message,
                Err(Errno::EAGAIN | Errno::EINTR) => break,
                Err(errno) => return Err(errno.into()),
            };
            any = true;
            let remote = message.address.and_then(|address| standard(&address));
            if let Some(remote) = remote
                && message.cmsgs()?.any(|control| is_unreachable(&control))
            {
                each(remote);
            }
        }
        Ok(any)
    }

    /// Sends one datagram. A full socket buffer is a loss, as the network's would be.
    ///
    /// # Errors
    /// What the kernel says: no route, not permitted, too large.
    pub fn send(&self, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        match self.socket.send_to(bytes, to) {
            Ok(_sent) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "two of many control messages"
)]
fn is_unreachable(control: &ControlMessageOwned) -> bool {
    match control {
        ControlMessageOwned::Ipv4RecvErr(error, _) => {
            error.ee_origin == ORIGIN_ICMP
                && error.ee_type == UNREACHABLE_V4
                && error.ee_code != FRAGMENTATION_NEEDED
        }
        ControlMessageOwned::Ipv6RecvErr(error, _) => {
            error.ee_origin == ORIGIN_ICMP6 && error.ee_type == UNREACHABLE_V6
        }
        _ => false,
    }
}

fn standard(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(ipv4) = address.as_sockaddr_in() {
        return Some(SocketAddr::V4(SocketAddrV4::new(ipv4.ip(), ipv4.port())));
    }
    debug_assert!(address.family().is_some(), "the kernel names a family");
    let ipv6 = address.as_sockaddr_in6()?;
    Some(SocketAddr::V6(SocketAddrV6::new(
        ipv6.ip(),
        ipv6.port(),
        0,
        ipv6.scope_id(),
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_arrives_in_order_and_in_turns() {
        let receiver = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let mut port = UdpPort::new(receiver).unwrap();
        let sender = UdpPort::new(bind("127.0.0.1:0".parse().unwrap()).unwrap()).unwrap();
        for number in 0..40_u8 {
            sender.send(port.local(), &[number; 3]).unwrap();
        }
        let mut seen = Vec::new();
        let more = port
            .receive(|source, bytes| {
                assert_eq!(source, sender.local());
                seen.push(bytes.to_vec());
            })
            .unwrap();
        assert!(more, "a full turn says that there may be more");
        let more = port.receive(|_, bytes| seen.push(bytes.to_vec())).unwrap();
        assert!(!more);
        assert_eq!(
            seen,
            (0..40_u8).map(|number| vec![number; 3]).collect::<Vec<_>>()
        );
        assert!(!port.receive(|_, _| panic!("nothing is left")).unwrap());
    }

    #[test]
    fn busy_port_is_told() {
        let first = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let second = bind(first.local_addr().unwrap());
        assert_eq!(
            second.map(drop).unwrap_err().kind(),
            io::ErrorKind::AddrInUse
        );
    }

    #[test]
    fn ipv6_source_keeps_its_address() {
        let Ok(receiver) = bind("[::1]:0".parse().unwrap()) else {
            return;
        };
        let mut port = UdpPort::new(receiver).unwrap();
        let sender = bind("[::1]:0".parse().unwrap()).unwrap();
        let from = sender.local_addr().unwrap();
        sender.send_to(b"x", port.local()).unwrap();
        let mut seen = 0;
        port.receive(|source, _| {
            assert_eq!(source, from);
            seen += 1;
        })
        .unwrap();
        assert_eq!(seen, 1);
    }
}
