//! `Command` (control to worker) and `Report` (worker to control): plain data, the only door.

use std::net::SocketAddr;
use std::time::Duration;

use arrayvec::ArrayVec;

use crate::dtls;
use crate::ice;
use crate::limits::FINGERPRINTS_MAX;
use crate::rtp::Ssrc;
use crate::srtp::{SrtpPlan, Suite};

/// A port pair of a worker's stock: two open sockets, RTP on the even port, RTCP on the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PairKey {
    /// The worker that holds it.
    pub worker: u16,
    /// Slot in the worker's table of pairs.
    pub slot: u32,
    /// Differs for two pairs that had the same slot one after the other.
    pub generation: u32,
}

/// What a leg carries. It decides what its peer may bring at once, and what is put into its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MediaKind {
    /// Speech: a few packets a second of the clock, a marker at the begin of a talkspurt
    /// (RFC 3551 §4.1), tones.
    #[default]
    Audio,
    /// Pictures: bursts of packets with one timestamp, a marker at the end of a frame (RFC 6184
    /// §5.1, RFC 7741 §4.1). No sound, and no timeout of its own.
    Video,
}

/// One payload type of a leg, and what it is on the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayloadMapping {
    /// Payload type in packets that arrive on this leg.
    pub received: u8,
    /// Payload type the same media has where it is sent on.
    pub sent: u8,
    /// RTP clock in Hz.
    pub clock_rate_hz: u32,
    /// True for telephone-event: it never decides about latching a codec, and is never timed out on.
    pub is_telephone_event: bool,
    /// The clock in Hz that events are counted by where they are sent on. `None`: the same.
    pub sent_clock_hz: Option<u32>,
}

/// Most payload types that one leg can negotiate.
pub const PAYLOAD_MAPPINGS_MAX: usize = 8;

/// How a leg learns where its peer really is (RFC 7362, with a guard).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LatchPolicy {
    /// Send to and accept from the address of the SDP; the port may move once.
    Sdp,
    /// Only this address (the signalling source), locked after 4 consecutive packets of one SSRC
    /// with a negotiated payload type.
    Signalling(std::net::IpAddr),
    /// Any source, locked likewise, until one that is nearer speaks: nearest is the address of the SDP,
    /// then its host, then this one (the signalling source). Explicit in the trunk: a peer that sends
    /// from none of them leaves the leg to a stranger who speaks first and goes on.
    Any(std::net::IpAddr),
    /// Of a leg without ports of its own: the source that the ICE of its transport has nominated, and
    /// no other, whatever it sends.
    Nominated,
}

/// What one side of a call negotiated.
#[derive(Debug, Clone)]
pub struct LegPlan {
    /// What it carries.
    pub kind: MediaKind,
    /// Where its RTP goes, from its SDP; `None`: not known yet, nothing is sent.
    pub remote_rtp: Option<SocketAddr>,
    /// Where its RTCP goes (RFC 3605, or RTP's port plus one).
    pub remote_rtcp: Option<SocketAddr>,
    /// Its SDP wants to receive and ours sends.
    pub sends: bool,
    /// Its SDP sends and ours wants to receive.
    pub receives: bool,
    /// What may arrive here, and what it becomes on the other side.
    pub payloads: ArrayVec<PayloadMapping, PAYLOAD_MAPPINGS_MAX>,
    /// How the source is learnt.
    pub latch: LatchPolicy,
    /// A report after this long without a packet, while `receives`; `None`: never (on hold).
    pub media_timeout: Option<Duration>,
    /// Rises with each offer/answer that changes address, port or payloads: to tell plans apart. What
    /// reopens the latch are the address, the policy and the keys themselves.
    pub version: u32,
    /// Keys of its SRTP; `None`: plain RTP.
    pub srtp: Option<Box<SrtpPlan>>,
}

/// The transport of a browser: ICE as an agent that looks for no way (RFC 8445 §2.5), DTLS-SRTP
/// (RFC 5764), one port for all its media (RFC 9143) and their RTCP (RFC 5761).
#[derive(Debug, Clone)]
pub struct TransportPlan {
    /// Our credentials of ICE, as our description names them.
    pub ours: ice::Credentials,
    /// Those of the browser, as its description names them.
    pub peer: ice::Credentials,
    /// The certificates that its description names.
    pub fingerprints: ArrayVec<dtls::Fingerprint, FINGERPRINTS_MAX>,
    /// Who begins the handshake.
    pub role: dtls::Role,
    /// The sources of our audio and of our video, as our description names them. They differ: one key
    /// protects both, so that no index may be used by two streams of one source (RFC 3711 §9.1).
    pub ssrcs: [Ssrc; 2],
    /// What the browser may send of video, in bits a second: it is told so (REMB). `None`: it is told
    /// nothing of our own.
    pub bitrate_max_bps: Option<u32>,
}

/// Why a transport carries nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransportFailure {
    /// The plan holds no two sources, or fragments that another transport has.
    Plan,
    /// No source was nominated in time: no way was found.
    NoSource,
    /// The browser has not said for 30 s that it still wants to be sent to (RFC 7675 §5.1).
    ConsentExpired,
    /// As many handshakes are under way as may be.
    HandshakesFull,
    /// The handshake came to no keys.
    Handshake(dtls::Failure),
    /// The browser has ended the session of DTLS.
    Closed,
}

impl TransportFailure {
    /// Every reason.
    pub const ALL: [Self; 12] = [
        Self::Plan,
        Self::NoSource,
        Self::ConsentExpired,
        Self::HandshakesFull,
        Self::Handshake(dtls::Failure::Fingerprint),
        Self::Handshake(dtls::Failure::CertificateTooLong),
        Self::Handshake(dtls::Failure::CertificateMissing),
        Self::Handshake(dtls::Failure::NoProfile),
        Self::Handshake(dtls::Failure::Timeout),
        Self::Handshake(dtls::Failure::Protocol),
        Self::Handshake(dtls::Failure::Fault),
        Self::Closed,
    ];

    /// The stable word for records and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plan => "transport_plan",
            Self::NoSource => "ice_no_source",
            Self::ConsentExpired => "ice_consent_expired",
            Self::HandshakesFull => "dtls_handshakes_full",
            Self::Handshake(failure) => failure.as_str(),
            Self::Closed => "dtls_closed",
        }
    }
}

/// What happens to the packets of a leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Nowhere (held, ringing): counted, not forwarded.
    Nowhere,
    /// To the peer of the leg on this pair.
    Leg(PairKey),
    /// Back to the sender (`local:echo`).
    Echo,
    /// A tone goes to the sender, one packet for each received (`local:tone`). Of video: what comes goes
    /// nowhere, and once its source is believed a moving test picture goes there, in H.264, under the
    /// first payload type of the plan.
    Tone,
    /// What a caller hears while the other end rings goes to the sender (425 Hz, one second in five),
    /// one packet for each received in G.711; packets of other codecs go nowhere.
    Ringback,
}

/// Control to worker.
#[derive(Debug, Clone)]
pub enum Command {
    /// A stocked pair becomes a leg. The only command that a full queue may refuse.
    Connect {
        /// The pair, from `Report::Stocked`.
        pair: PairKey,
        /// What was negotiated so far.
        plan: LegPlan,
        /// Where its packets go.
        target: Target,
    },
    /// A new offer/answer took effect, or the target changed.
    Update {
        /// The leg.
        pair: PairKey,
        /// The new plan.
        plan: LegPlan,
        /// Where its packets go now.
        target: Target,
    },
    /// The transport of a browser's legs: after `Connect` of its audio; again after a restart of ICE,
    /// with other certificates, or when its video comes or goes. It ends with its audio leg.
    Transport {
        /// The leg of its audio.
        pair: PairKey,
        /// The leg of its video.
        video: Option<PairKey>,
        /// What was negotiated.
        plan: Box<TransportPlan>,
    },
    /// The leg is over. Its final counters come as `Report::Disconnected` and stay in the slot
    /// until `Acknowledge`.
    Disconnect {
        /// The leg.
        pair: PairKey,
    },
    /// The final counters have been taken; the slot may be used again.
    Acknowledge {
        /// The pair.
        pair: PairKey,
    },
}

/// Worker to control.
#[derive(Debug, Clone)]
pub enum Report {
    /// A port pair is open and may be named in an SDP.
    Stocked {
        /// The pair.
        pair: PairKey,
        /// Its RTP address; RTCP is the next port.
        rtp: SocketAddr,
    },
    /// A pair for a leg of a browser: it has no ports of its own, but all that there are on one.
    BrowserStocked {
        /// The pair.
        pair: PairKey,
        /// The worker's one port for browsers.
        at: SocketAddr,
    },
    /// A browser's source is nominated and there are keys: its legs may speak and be spoken to. Again
    /// after each handshake.
    TransportUp {
        /// The leg of its audio.
        pair: PairKey,
        /// What protects both ways.
        suite: Suite,
    },
    /// There is no way to a browser, or there are no keys. Its legs stay until `Disconnect`.
    TransportFailed {
        /// The leg of its audio.
        pair: PairKey,
        /// Why.
        failure: TransportFailure,
    },
    /// Neither an authenticated check nor an authenticated packet came from a browser for 10 s.
    TransportSilent {
        /// The leg of its audio.
        pair: PairKey,
    },
    /// A silent browser is heard again.
    TransportBack {
        /// The leg of its audio.
        pair: PairKey,
    },
    /// The first valid packet of a leg arrived, or its source moved.
    Latched {
        /// The leg.
        pair: PairKey,
        /// The source.
        source: SocketAddr,
    },
    /// Nothing arrived for `media_timeout`.
    Silent {
        /// The leg.
        pair: PairKey,
    },
    /// A fault of ours struck while the worker was at this leg: nothing passes it any more.
    Struck {
        /// The leg.
        pair: PairKey,
    },
    /// What a worker has to do changed: where calls are placed goes by it.
    Loaded {
        /// The worker.
        worker: u16,
        /// Packets that it took from the kernel within the last second.
        packets_per_second: u32,
    },
    /// The final counters of a leg.
    Disconnected {
        /// The leg.
        pair: PairKey,
        /// What it saw.
        counters: LegCounters,
    },
}

/// What a leg saw, for the CDR.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LegCounters {
    /// RTP packets accepted from the peer.
    pub packets_received: u64,
    /// Their octets, RTP header included.
    pub octets_received: u64,
    /// RTP packets sent to the peer.
    pub packets_sent: u64,
    /// Their octets, RTP header included.
    pub octets_sent: u64,
    /// RTP packets that the sequence numbers say never came (RFC 3550 A.3).
    pub packets_lost: u64,
    /// RTP packets discarded, any reason.
    pub packets_discarded: u64,
    /// RTCP packets accepted.
    pub rtcp_received: u64,
    /// Interarrival jitter, RFC 3550 A.8, in microseconds.
    pub jitter_us: u32,
    /// Round trip by RTCP, in microseconds; `None`: no report came back.
    pub round_trip_us: Option<u32>,
    /// What the peer sent, as [`quality`](crate::quality) scores it, in hundredths: 441 is 4.41. `None`: nothing came, it is
    /// video, or nobody gave figures for the codec.
    pub score_hundredths: Option<u16>,
    /// How the peer hears us, by the last of its reports; `None`: it sent none.
    pub peer: Option<PeerReception>,
}

/// How the peer of a leg hears what is sent to it, as it reported (RFC 3550 §6.4.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PeerReception {
    /// Packets of ours that never came.
    pub packets_lost: u64,
    /// Interarrival jitter in microseconds.
    pub jitter_us: u32,
    /// The score of what it heard, as that of what it sent.
    pub score_hundredths: Option<u16>,
}
