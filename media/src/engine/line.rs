//! The hot lines of a leg: what the path of a packet touches, a cache line each. A relayed packet
//! reads the ingress and reception lines of the leg it came by and the egress line of the other.

use packet_io::SocketKey;

use crate::command::MediaKind;
use crate::drop_reason::DropReason;
use crate::ingress::{PeerAddress, RateGuard};
use crate::relay::Continuity;
use crate::rtp::{ClockRate, Reception, RtpTimestamp, SequenceNumber, Ssrc};

/// What a slot of the pair table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum State {
    /// No pair.
    Free,
    /// Open, and no leg yet.
    Stocked,
    /// A leg.
    Connected,
    /// A leg that is over; its counters wait.
    Ended,
    /// Nothing but open sockets that take in what comes late.
    Draining,
}

/// Where the packets of a leg go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Route {
    Nowhere,
    Leg,
    Echo,
    Tone,
    Ringback,
}

/// What decides about a received packet.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(super) struct IngressLine {
    pub(super) heard_us: u64,
    pub(super) guard: RateGuard,
    pub(super) source: PeerAddress,
    pub(super) opposite: u32,
    pub(super) opposite_generation: u32,
    pub(super) ssrc: Ssrc,
    pub(super) clock: ClockRate,
    pub(super) payload_received: u8,
    pub(super) payload_sent: u8,
    pub(super) state: State,
    pub(super) route: Route,
    pub(super) is_locked: bool,
    pub(super) is_event: bool,
    pub(super) receives: bool,
    /// It has keys: nothing is believed before they have authenticated it.
    pub(super) is_secure: bool,
    pub(super) kind: MediaKind,
}

/// No payload type on the wire is this: nothing remembered.
pub(super) const PAYLOAD_NONE: u8 = u8::MAX;

impl IngressLine {
    pub(super) const FREE: Self = Self {
        heard_us: 0,
        guard: RateGuard::NEW,
        source: PeerAddress::NOWHERE,
        opposite: u32::MAX,
        opposite_generation: 0,
        ssrc: Ssrc(0),
        clock: ClockRate::HZ_8000,
        payload_received: PAYLOAD_NONE,
        payload_sent: PAYLOAD_NONE,
        state: State::Free,
        route: Route::Nowhere,
        is_locked: false,
        is_event: false,
        receives: false,
        is_secure: false,
        kind: MediaKind::Audio,
    };

    /// Whether an accepted packet goes on at all. A local party answers a proven source only.
    #[inline]
    pub(super) const fn may_pass(&self) -> Result<(), DropReason> {
        match self.route {
            _ if !self.receives => Err(DropReason::NotReceiving),
            Route::Nowhere => Err(DropReason::NoTarget),
            Route::Echo | Route::Tone | Route::Ringback if !self.is_locked => {
                Err(DropReason::DestinationUnknown)
            }
            Route::Leg | Route::Echo | Route::Tone | Route::Ringback => Ok(()),
        }
    }
}

/// What was received, for loss and jitter.
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(64))]
pub(super) struct ReceptionLine {
    pub(super) reception: Reception,
    pub(super) packets: u64,
    pub(super) octets: u64,
}

/// Whether and how a leg is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Gate {
    /// No leg.
    Closed,
    /// Held: its SDP does not want to receive.
    Held,
    /// Nobody knows where its peer is.
    Unknown,
    /// To the destination.
    Address,
    /// The socket is connected to the destination.
    Connected,
}

/// What decides about a packet to be sent.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(super) struct EgressLine {
    pub(super) destination: PeerAddress,
    pub(super) continuity: Continuity,
    pub(super) socket: SocketKey,
    pub(super) generation: u32,
    pub(super) ssrc: Ssrc,
    pub(super) gate: Gate,
    /// It has keys: nothing leaves plain.
    pub(super) is_secure: bool,
}

impl EgressLine {
    pub(super) const FREE: Self = Self {
        destination: PeerAddress::NOWHERE,
        continuity: Continuity::new(SequenceNumber(0), RtpTimestamp(0)),
        socket: SocketKey {
            slot: u32::MAX,
            generation: 0,
        },
        generation: 0,
        ssrc: Ssrc(0),
        gate: Gate::Closed,
        is_secure: false,
    };
}

/// What was sent. Small, so that four legs share a line.
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(16))]
pub(super) struct SentCounters {
    pub(super) packets: u64,
    pub(super) octets: u64,
}

const _: () = {
    assert!(size_of::<IngressLine>() == 64, "one cache line");
    assert!(size_of::<ReceptionLine>() == 64, "one cache line");
    assert!(size_of::<EgressLine>() == 64, "one cache line");
    assert!(size_of::<SentCounters>() == 16, "four to a cache line");
};
