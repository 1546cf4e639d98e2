//! Ports of the load. Each is one end of many sessions, as a media gateway's would be if it could: what
//! it costs to deliver a packet here is charged to the relay that sent it, and must not grow with the
//! number of sessions, nor wake this program.

use std::io::IoSliceMut;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendto, setsockopt, sockopt,
};
use socket2::SockRef;

/// One end of sessions: which port, and where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) port: usize,
    pub(crate) address: SocketAddrV4,
}

/// A socket that many sessions share.
#[derive(Debug)]
pub(crate) struct Port {
    socket: UdpSocket,
    address: SocketAddrV4,
}

impl Port {
    /// # Errors
    /// No descriptor or no port left.
    pub(crate) fn open() -> Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("a socket of the load")?;
        if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER_BYTES).is_err() {
            SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
        }
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        let SocketAddr::V4(address) = socket.local_addr()? else {
            bail!("a socket of the load that is not IPv4");
        };
        Ok(Self { socket, address })
    }

    /// Where it is.
    pub(crate) const fn address(&self) -> SocketAddrV4 {
        self.address
    }

    /// Sends a packet now. False: the kernel refused it.
    pub(crate) fn send(&self, packet: &[u8], to: &SockaddrIn) -> bool {
        sendto(self.socket.as_raw_fd(), packet, to, MsgFlags::MSG_DONTWAIT).is_ok()
    }
}

/// What is known of a packet beside its octets.
#[derive(Debug, Clone, Copy)]
struct Envelope {
    size: usize,
    source: SocketAddrV4,
    /// When it arrived, nanoseconds of `CLOCK_REALTIME`.
    stamp_ns: u64,
}

/// Takes packets from ports, many at a time.
pub(crate) struct Reader {
    headers: MultiHeaders<SockaddrIn>,
    packets: Vec<[u8; PACKET_MAX]>,
    envelopes: Vec<Envelope>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Reader").finish_non_exhaustive()
    }
}

impl Reader {
    pub(crate) fn new() -> Self {
        let control = nix::cmsg_space!(nix::sys::time::TimeSpec);
        Self {
            headers: MultiHeaders::preallocate(BATCH, Some(control)),
            packets: vec![[0; PACKET_MAX]; BATCH],
            envelopes: Vec::with_capacity(BATCH),
        }
    }

    /// Takes what waits at a port, up to a batch. True: more may wait.
    pub(crate) fn read(&mut self, port: &Port) -> bool {
        self.envelopes.clear();
        let mut slices: Vec<[IoSliceMut<'_>; 1]> = self
            .packets
            .iter_mut()
            .map(|packet| [IoSliceMut::new(packet)])
            .collect();
        let descriptor = port.socket.as_raw_fd();
        let flags = MsgFlags::MSG_DONTWAIT;
        // Nothing waits, or an older packet's ICMP error: either way there is nothing to take.
        let Ok(messages) = recvmmsg(
            descriptor,
            &mut self.headers,
            slices.iter_mut(),
            flags,
            None,
        ) else {
            return false;
        };
        for message in messages {
            let stamp = message.cmsgs().ok().and_then(|mut all| {
                all.find_map(|one| {
                    let ControlMessageOwned::ScmTimestampns(time) = one else {
                        return None;
                    };
                    u64::try_from(Duration::from(time).as_nanos()).ok()
                })
            });
            let source = message.address;
            self.envelopes.push(Envelope {
                size: message.bytes,
                source: source.map_or(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0), |source| {
                    SocketAddrV4::new(source.ip(), source.port())
                }),
                stamp_ns: stamp.unwrap_or_default(),
            });
        }
        self.envelopes.len() == BATCH
    }

    /// What was taken: octets, source, time of arrival.
    pub(crate) fn taken(&mut self) -> impl Iterator<Item = (&mut [u8], SocketAddrV4, u64)> {
        self.packets
            .iter_mut()
            .zip(&self.envelopes)
            .filter_map(|(packet, envelope)| {
                let packet = packet.get_mut(..envelope.size)?;
                Some((packet, envelope.source, envelope.stamp_ns))
            })
    }
}

const BATCH: usize = 64;
/// Longer than any packet of ours, and any datagram of a handshake.
const PACKET_MAX: usize = 1_500;
/// For some 50 ms of the highest load there is.
const RECEIVE_BUFFER_BYTES: usize = 1 << 23;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_to_a_port_is_read_with_its_source_and_time() {
        let (one, other) = (Port::open().expect("a port"), Port::open().expect("a port"));
        let to = SockaddrIn::from(other.address());
        let mut reader = Reader::new();
        for round in 0..3_u8 {
            assert!(!reader.read(&other));
            assert_eq!(reader.taken().count(), 0);
            assert!(one.send(&[round, 1], &to) && one.send(&[round, 2, 3], &to));
            assert!(!reader.read(&other));
            let taken: Vec<(Vec<u8>, SocketAddrV4, bool)> = reader
                .taken()
                .map(|(packet, source, stamp_ns)| (packet.to_vec(), source, stamp_ns > 0))
                .collect();
            let source = one.address();
            assert_eq!(
                taken,
                [
                    (vec![round, 1], source, true),
                    (vec![round, 2, 3], source, true)
                ]
            );
        }
    }

    #[test]
    fn a_full_batch_says_that_more_may_wait() {
        let (one, other) = (Port::open().expect("a port"), Port::open().expect("a port"));
        let to = SockaddrIn::from(other.address());
        for _ in 0..BATCH + 1 {
            assert!(one.send(&[0], &to));
        }
        let mut reader = Reader::new();
        assert!(reader.read(&other));
        assert_eq!(reader.taken().count(), BATCH);
        assert!(!reader.read(&other));
        assert_eq!(reader.taken().count(), 1);
    }
}
