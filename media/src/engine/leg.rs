//! The cold side of a pair: its sockets, and of its leg what no relayed packet needs.

use std::net::SocketAddr;

use packet_io::SocketKey;

use crate::command::{LegCounters, LegPlan, MediaKind, PeerReception, Target};
use crate::engine::line::{IngressLine, ReceptionLine, SentCounters};
use crate::engine::own_picture::OwnPicture;
use crate::engine::stock::PortPair;
use crate::ingress::{Latch, PeerAddress, RateGuard};
use crate::quality::{Equipment, Measured};
use crate::relay::{EventClock, EventCounter};
use crate::rtcp::{Cname, ReportBlock};
use crate::rtp::{RtpTimestamp, RtpViewMut, Ssrc};
use crate::tone::TonePhase;

/// One slot of the pair table.
#[derive(Debug, Default)]
pub(super) struct Pair {
    pub(super) generation: u32,
    pub(super) open: Option<OpenPair>,
    /// A datagram came, whatever became of it.
    pub(super) was_heard: bool,
    pub(super) leg: Option<Leg>,
}

/// The sockets of a pair.
#[derive(Debug, Clone, Copy)]
pub(super) struct OpenPair {
    pub(super) ports: PortPair,
    pub(super) rtp: SocketKey,
    /// `None` where workers open ports for RTP only.
    pub(super) rtcp: Option<SocketKey>,
}

/// What one side of a call is, beside its hot lines.
#[derive(Debug)]
pub(super) struct Leg {
    pub(super) plan: LegPlan,
    pub(super) target: Target,
    pub(super) latch: Latch,
    /// It is a leg with keys even while it has none: a browser's, before its handshake is done.
    pub(super) has_keys_only: bool,
    pub(super) control: Control,
    pub(super) tone: TonePhase,
    /// Of its peer, where they are counted by another clock on the other side.
    pub(super) events: EventCounter,
    /// What its peer sees of `local:tone`, which few legs show.
    pub(super) picture: Option<Box<OwnPicture>>,
    pub(super) discarded: u64,
    /// Worst jitter of the sources before the present one.
    pub(super) jitter_us: u64,
    /// The media timeout counts from here, or from the last packet.
    pub(super) silence_from_us: u64,
    pub(super) is_silent: bool,
    pub(super) is_socket_connected: bool,
    /// When connecting or disconnecting the socket is looked at next; every change of source or
    /// plan puts it off.
    pub(super) socket_check_us: Option<u64>,
}

/// RTCP of one leg.
#[derive(Debug)]
pub(super) struct Control {
    pub(super) cname: Cname,
    pub(super) source: Option<PeerAddress>,
    pub(super) guard: RateGuard,
    pub(super) due_us: u64,
    pub(super) received: u64,
    /// The peer's last sender report.
    pub(super) heard: Option<HeardReport>,
    /// The last two sender reports that were sent here: middle of the NTP time, and when.
    pub(super) sent: [Option<(u32, u64)>; 2],
    pub(super) round_trip_us: Option<u32>,
    /// The peer has sent a sender report, once.
    pub(super) has_reported: bool,
    /// Reports of ours in a row that could have been about a stream on which its source says nothing.
    pub(super) reports_missing: u8,
    /// What had been sent when we reported last.
    pub(super) packets_reported: u64,
    /// The last that the peer reported of our stream.
    pub(super) reported: Option<ReportBlock>,
    /// Which source of its peer was asked for a keyframe last, and when.
    pub(super) keyframe_asked: Option<(Ssrc, u64)>,
    /// When its peer was last told what it may send by who it speaks with.
    pub(super) rate_said_us: Option<u64>,
    /// Of which source its transport-wide feedback is, from when on.
    pub(super) arrivals_of: Option<(Ssrc, u64)>,
    /// Number of the last FIR that was sent to its peer.
    pub(super) intra_request_sent: u8,
    /// Number of the last FIR of its peer that was passed on.
    pub(super) intra_request_heard: Option<(Ssrc, Ssrc, u8)>,
}

/// A sender report of the peer.
#[derive(Debug, Clone, Copy)]
pub(super) struct HeardReport {
    pub(super) ssrc: Ssrc,
    pub(super) ntp_middle: u32,
    pub(super) at_us: u64,
}

impl Leg {
    /// Nothing plain comes or goes.
    pub(super) const fn is_secure(&self) -> bool {
        self.has_keys_only || self.plan.srtp.is_some()
    }

    /// What it saw, from its lines.
    pub(super) fn counters(
        &self,
        ingress: &IngressLine,
        received: &ReceptionLine,
        sent: &SentCounters,
    ) -> LegCounters {
        let jitter_us = ingress
            .clock
            .microseconds(received.reception.jitter_ticks());
        let counters = LegCounters {
            packets_received: received.packets,
            octets_received: received.octets,
            packets_sent: sent.packets,
            octets_sent: sent.octets,
            packets_lost: received.reception.lost(),
            packets_discarded: self.discarded,
            rtcp_received: self.control.received,
            jitter_us: u32::try_from(jitter_us.max(self.jitter_us)).unwrap_or(u32::MAX),
            round_trip_us: self.control.round_trip_us,
            score_hundredths: None,
            peer: None,
        };
        let equipment = self.equipment(ingress);
        let score = |received, lost, jitter_us| {
            let measured = Measured {
                received,
                lost,
                jitter_us,
                round_trip_us: counters.round_trip_us,
            };
            equipment.and_then(|equipment| measured.score(equipment))
        };
        let peer = self.control.reported.map(|block| {
            // What a peer says it lost is bounded by what it was sent.
            let packets_lost = u64::try_from(block.cumulative_lost)
                .unwrap_or_default()
                .min(sent.packets);
            let jitter_us = ingress.clock.microseconds(block.jitter_ticks);
            let jitter_us = u32::try_from(jitter_us).unwrap_or(u32::MAX);
            let received = sent.packets - packets_lost;
            PeerReception {
                packets_lost,
                jitter_us,
                score_hundredths: score(received, packets_lost, jitter_us),
            }
        });
        LegCounters {
            score_hundredths: score(
                counters.packets_received,
                counters.packets_lost,
                counters.jitter_us,
            ),
            peer,
            ..counters
        }
    }

    /// Counts an event of its peer by the clock of who hears it; gives how much later that begins there.
    pub(super) fn count_event(
        &mut self,
        line: &IngressLine,
        stamp: RtpTimestamp,
        view: &mut RtpViewMut<'_>,
    ) -> u32 {
        let Some(clock) = self.event_clock(line.payload_received) else {
            return 0;
        };
        let begin = self.events.count(clock, stamp, view.payload_mut());
        stamp.offset_to(begin)
    }

    /// Events of its peer under that payload type are counted by another clock where they go.
    fn event_clock(&self, received: u8) -> Option<EventClock> {
        let mut payloads = self.plan.payloads.iter();
        let event = payloads.clone().find(|it| it.received == received)?;
        let sound = payloads.find(|it| !it.is_telephone_event);
        let clock = EventClock {
            from_hz: event.clock_rate_hz,
            to_hz: event.sent_clock_hz?,
            stamp_hz: sound.map_or(event.clock_rate_hz, |sound| sound.clock_rate_hz),
        };
        clock.is_sound().then_some(clock)
    }

    /// The codec that is spoken, as far as the score depends on it.
    fn equipment(&self, ingress: &IngressLine) -> Option<Equipment> {
        let mut audio =
            self.plan.payloads.iter().filter(|mapping| {
                !mapping.is_telephone_event && self.plan.kind == MediaKind::Audio
            });
        let spoken = audio
            .clone()
            .find(|mapping| mapping.received == ingress.payload_received);
        let mapping = spoken.or_else(|| audio.next())?;
        Equipment::of(mapping.received, mapping.clock_rate_hz)
    }
}

/// Where the SDP says the peer is; the unspecified address is a hold of RFC 2543 times.
pub(super) fn expected(plan: &LegPlan) -> Option<PeerAddress> {
    plan.remote_rtp
        .filter(|remote: &SocketAddr| !remote.ip().is_unspecified() && remote.port() != 0)
        .map(PeerAddress::from)
}
