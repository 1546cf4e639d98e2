//! A browser for tests from outside: checks, a handshake as client, packets under its keys.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::time::Instant;

use arrayvec::ArrayVec;
use media::command::{LatchPolicy, LegPlan, MediaKind, PayloadMapping, TransportPlan};
use media::dtls::{Endpoint, Handshake, Output, POLL_BUFFER_SIZE, Role};
use media::ice::Credentials;
use media::ice::stun::{Attribute, write_request};
use media::rtp::Ssrc;
use media::srtp::{ReceiveContext, SendContext};

#[path = "../../src/dtls/tests/certificates.rs"]
mod certificates;

pub(crate) struct Guest {
    handshake: Handshake,
    fingerprint: media::dtls::Fingerprint,
    pub(crate) contexts: Option<(SendContext, ReceiveContext)>,
}

/// What the worker is: the other end of a guest's handshake.
pub(crate) fn endpoint() -> Arc<Endpoint> {
    Arc::new(made(certificates::OURS_CERTIFICATE, certificates::OURS_KEY))
}

fn made(certificate: &str, key: &str) -> Endpoint {
    let octets = |text: &str| -> Vec<u8> {
        let digits = text.as_bytes().chunks(2);
        let read = |two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap();
        digits.map(read).collect()
    };
    Endpoint::new(&octets(certificate), &octets(key)).unwrap()
}

const PASSWORD: &[u8] = &[b'p'; 24];

fn ours() -> Credentials {
    Credentials::new(b"ourFragment", PASSWORD).unwrap()
}

impl Guest {
    pub(crate) fn new(now: Instant) -> Self {
        let endpoint = made(certificates::PEER_CERTIFICATE, certificates::PEER_KEY);
        let expected = [self::endpoint().fingerprint()];
        Self {
            handshake: Handshake::new(now, &endpoint, Role::Client, &expected),
            fingerprint: endpoint.fingerprint(),
            contexts: None,
        }
    }

    pub(crate) fn plan(&self) -> TransportPlan {
        TransportPlan {
            ours: ours(),
            peer: Credentials::new(b"peer", PASSWORD).unwrap(),
            fingerprints: ArrayVec::from_iter([self.fingerprint]),
            role: Role::Server,
            ssrcs: [Ssrc(100), Ssrc(200)],
            bitrate_max_bps: None,
        }
    }

    /// A check that nominates.
    pub(crate) fn check(number: u32) -> ArrayVec<u8, 200> {
        let mut transaction = [7; 12];
        transaction[..4].copy_from_slice(&number.to_be_bytes());
        let attributes: [(u16, &[u8]); 4] = [
            (Attribute::Username.number(), b"ourFragment:peer"),
            (Attribute::IceControlling.number(), &[7; 8]),
            (Attribute::Priority.number(), &[0x6e, 0, 1, 0xff]),
            (Attribute::UseCandidate.number(), &[]),
        ];
        write_request(&transaction, &attributes, PASSWORD).unwrap()
    }

    /// Takes a datagram of the handshake, or nothing. Gives what it wants to send.
    pub(crate) fn shake(&mut self, now: Instant, datagram: Option<&[u8]>) -> Vec<Vec<u8>> {
        if let Some(datagram) = datagram {
            self.handshake.handle_packet(now, datagram);
        }
        let mut buffer = vec![0; POLL_BUFFER_SIZE].into_boxed_slice();
        let buffer: &mut [u8; POLL_BUFFER_SIZE] = (&mut *buffer).try_into().unwrap();
        let mut wanted = Vec::new();
        loop {
            match self.handshake.poll(buffer) {
                Some(Output::Datagram(datagram)) => wanted.push(datagram.to_vec()),
                Some(Output::Keys(keys)) => {
                    let send = SendContext::of_kind(&keys.send, MediaKind::Video).unwrap();
                    let receive = ReceiveContext::of_kind(&keys.receive, MediaKind::Video);
                    self.contexts = Some((send, receive.unwrap()));
                }
                Some(other) => panic!("{other:?}"),
                None => return wanted,
            }
        }
    }

    /// A packet of `source` under its keys, written into `octets`; gives its size.
    pub(crate) fn packet(
        &mut self,
        (source, payload_type): (u8, u8),
        sequence: u16,
        octets: &mut [u8; 220],
    ) -> usize {
        let (send, _) = self.contexts.as_mut().unwrap();
        let size = 172 + send.rtp_overhead();
        *octets = [0x5a; 220];
        octets[..12].copy_from_slice(&[0x80, payload_type, 0, 0, 0, 0, 0, 0, 0, 0, 0, source]);
        octets[2..4].copy_from_slice(&sequence.to_be_bytes());
        octets[4..8].copy_from_slice(&(u32::from(sequence) * 160).to_be_bytes());
        send.protect_rtp(&mut octets[..size]).unwrap();
        size
    }
}

/// A leg of a browser that sends this payload type.
pub(crate) fn leg(kind: MediaKind, payload_type: u8) -> LegPlan {
    let mapping = PayloadMapping {
        received: payload_type,
        sent: 0,
        clock_rate_hz: 8_000,
        is_telephone_event: false,
        sent_clock_hz: None,
    };
    LegPlan {
        kind,
        remote_rtp: None,
        remote_rtcp: None,
        sends: true,
        receives: true,
        payloads: ArrayVec::from_iter([mapping]),
        latch: LatchPolicy::Nominated,
        media_timeout: None,
        version: 1,
        srtp: None,
    }
}
