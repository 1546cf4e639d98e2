//! Copies of SIP messages for a capture server, in HEP version 3. Off unless a collector is
//! configured. `packet` writes one, here is who sends it.
//!
//! A copy is redacted before it leaves, is sent by a socket that is never waited for, and is dropped
//! and counted where the kernel does not take it: nothing is kept, so nothing grows.

mod packet;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
pub use packet::{Copied, Protocol, SIZE_MAX, write};

use crate::log::redact;

/// What became of the copies.
#[derive(Debug, Default)]
pub struct CaptureFigures {
    /// Given to the kernel.
    pub sent: AtomicU64,
    /// Too large, or not taken.
    pub dropped: AtomicU64,
}

/// Sends copies. Of one thread.
#[derive(Debug)]
pub struct Capture {
    socket: UdpSocket,
    id: u32,
    figures: Arc<CaptureFigures>,
    buffer: Vec<u8>,
}

impl Capture {
    /// Towards this collector, as the agent of this number.
    ///
    /// # Errors
    /// No socket, or no route at all to it.
    pub fn open(collector: SocketAddr, id: u32, figures: Arc<CaptureFigures>) -> io::Result<Self> {
        let any: SocketAddr = if collector.is_ipv4() {
            (Ipv4Addr::UNSPECIFIED, 0).into()
        } else {
            (Ipv6Addr::UNSPECIFIED, 0).into()
        };
        let socket = UdpSocket::bind(any)?;
        socket.set_nonblocking(true)?;
        socket.connect(collector)?;
        Ok(Self {
            socket,
            id,
            figures,
            buffer: Vec::with_capacity(2_048),
        })
    }

    /// Copies one message that went from `source` to `destination`.
    pub fn copy(
        &mut self,
        at: Timestamp,
        protocol: Protocol,
        source: SocketAddr,
        destination: SocketAddr,
        message: &[u8],
    ) {
        let copied = Copied {
            at,
            protocol,
            source,
            destination,
            agent: self.id,
        };
        let written = write(&copied, &redact::message(message), &mut self.buffer);
        // A collector that is gone is told by ICMP on the next send; the one after it goes again.
        let sent = written && self.socket.send(&self.buffer).is_ok();
        let counter = if sent {
            &self.figures.sent
        } else {
            &self.figures.dropped
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &[u8] =
        b"OPTIONS sip:a@b SIP/2.0\r\nAuthorization: Digest nonce=\"n0nce\"\r\n\r\n";

    fn copy(capture: &mut Capture) {
        let source = "192.0.2.1:5060".parse().unwrap();
        let destination = "192.0.2.2:5060".parse().unwrap();
        let at = Timestamp::UNIX_EPOCH;
        capture.copy(at, Protocol::Udp, source, destination, MESSAGE);
    }

    #[test]
    fn a_copy_reaches_the_collector_without_its_secrets() {
        let collector = UdpSocket::bind("127.0.0.1:0").unwrap();
        let figures = Arc::<CaptureFigures>::default();
        let address = collector.local_addr().unwrap();
        let mut capture = Capture::open(address, 7, Arc::clone(&figures)).unwrap();
        copy(&mut capture);
        let mut octets = [0; 2_048];
        let length = collector.recv(&mut octets).unwrap();
        let text = String::from_utf8_lossy(&octets[..length]);
        assert!(text.starts_with("HEP3") && text.contains("OPTIONS sip:a@b"));
        assert!(!text.contains("n0nce"), "{text}");
        assert_eq!(figures.sent.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_collector_that_is_gone_costs_copies_and_nothing_else() {
        // Nobody else gets the port, and nobody hears us at it: it is connected to somebody else.
        let held = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = held.local_addr().unwrap();
        held.connect("127.0.0.1:9").unwrap();
        let figures = Arc::<CaptureFigures>::default();
        let mut capture = Capture::open(address, 7, Arc::clone(&figures)).unwrap();
        for _ in 0..10 {
            copy(&mut capture);
        }
        let sent = figures.sent.load(Ordering::Relaxed);
        let dropped = figures.dropped.load(Ordering::Relaxed);
        assert_eq!(sent + dropped, 10);
        assert!(dropped > 0, "ICMP tells that nobody listens");
    }
}
