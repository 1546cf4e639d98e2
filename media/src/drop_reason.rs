//! Every reason a packet can die here. Each has its counter in every worker.

/// Why a packet was not sent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum DropReason {
    /// Its socket belongs to no pair any more.
    SocketUnknown,
    /// The pair is in stock: no call uses it yet.
    NotConnected,
    /// The leg is over: its counters wait to be taken, or its port is kept from the next call.
    LegEnded,
    /// STUN on a leg that negotiated no ICE (RFC 7983).
    Stun,
    /// DTLS on a leg that negotiated no keys (RFC 7983).
    Dtls,
    /// ZRTP, TURN channel data, or an octet that no protocol starts with (RFC 7983).
    UnknownProtocol,
    /// Shorter than its header says.
    RtpTruncated,
    /// RTP version other than 2.
    RtpVersion,
    /// Padding count zero or longer than the payload.
    RtpPadding,
    /// A payload type that this leg did not negotiate.
    PayloadNotNegotiated,
    /// Nobody knows yet where the peer of this leg is.
    RemoteUnknown,
    /// From an address that the latch does not admit.
    SourceNotAdmitted,
    /// From an address that is being proven: too few packets in a row so far.
    LatchPending,
    /// The leg is locked to another source.
    SourceNotLatched,
    /// More packets a second than a leg may bring.
    RateExceeded,
    /// A jump in sequence numbers that one packet alone does not prove (RFC 3550 A.1).
    SequenceJump,
    /// From before the switch to this source: its place in the sent stream is taken.
    BeforeSwitch,
    /// The peer may not send now (held).
    NotReceiving,
    /// The leg is connected to nothing.
    NoTarget,
    /// The leg it is connected to is gone, or not connected yet.
    OppositeGone,
    /// The other leg may not be sent to now (held).
    OppositeNotSending,
    /// The other leg has no address to send to yet.
    DestinationUnknown,
    /// Not a valid RTCP compound packet (RFC 3550 A.2).
    RtcpMalformed,
    /// RTCP that speaks of our own stream: taken in, not passed on.
    RtcpConsumed,
    /// RTCP feedback of a format that is not passed on: SLI, RPSI, unknown ones.
    FeedbackUnknown,
    /// RTCP feedback about another stream, or packets that the present source never sent.
    FeedbackForeign,
    /// A keyframe was asked for a moment ago.
    FeedbackLimited,
    /// RTCP feedback longer than what is sent.
    FeedbackTooLong,
    /// RTCP feedback, and nobody to tell: a local party, a leg that is gone, no address for RTCP.
    FeedbackNoTarget,
    /// RTP on the RTCP port.
    RtpOnRtcpPort,
    /// SRTP whose tag is not what the key of its leg makes of it (RFC 3711 §3.3).
    SrtpAuthentication,
    /// SRTP whose index was used, or is from before what is remembered (RFC 3711 §3.3.2).
    SrtpReplay,
    /// From the peer of a leg with keys: too short for a tag.
    SrtpNotProtected,
    /// A leg of a browser that has no keys yet; otherwise one whose keys the cipher refused, or no room
    /// for a tag: a fault of ours.
    SrtpUnavailable,
    /// One more source under a key than are remembered: it could not be told from a replay.
    SrtpSources,
    /// Not sent: another packet was sent under its index, or may have been (RFC 3711 §9.1).
    SrtpIndexUsed,
    /// The key has protected as many packets as a key may (RFC 3711 §9.2).
    SrtpKeyExhausted,
    /// What we sent, come back (RFC 3550 §8.2).
    OwnStream,
    /// From a port of our own: a loop.
    OwnAddress,
    /// STUN on the port of browsers that is not answered; a counter of its own says why.
    StunRefused,
    /// RTP or RTCP on the port of browsers, from where none of them is nominated.
    BundleForeign,
    /// DTLS on the port of browsers, from where none of them is nominated.
    DtlsForeign,
    /// DTLS of a browser whose handshake has failed, or whose session is over.
    DtlsOver,
    /// DTLS of a browser, and as much of it waits already as may.
    DtlsQueueFull,
    /// The begin of a handshake, and as many are under way as may be.
    DtlsHandshakesFull,
}

impl DropReason {
    /// Every reason, in the order of its counters.
    pub const ALL: [Self; 45] = [
        Self::SocketUnknown,
        Self::NotConnected,
        Self::LegEnded,
        Self::Stun,
        Self::Dtls,
        Self::UnknownProtocol,
        Self::RtpTruncated,
        Self::RtpVersion,
        Self::RtpPadding,
        Self::PayloadNotNegotiated,
        Self::RemoteUnknown,
        Self::SourceNotAdmitted,
        Self::LatchPending,
        Self::SourceNotLatched,
        Self::RateExceeded,
        Self::SequenceJump,
        Self::BeforeSwitch,
        Self::NotReceiving,
        Self::NoTarget,
        Self::OppositeGone,
        Self::OppositeNotSending,
        Self::DestinationUnknown,
        Self::RtcpMalformed,
        Self::RtcpConsumed,
        Self::FeedbackUnknown,
        Self::FeedbackForeign,
        Self::FeedbackLimited,
        Self::FeedbackTooLong,
        Self::FeedbackNoTarget,
        Self::RtpOnRtcpPort,
        Self::SrtpAuthentication,
        Self::SrtpReplay,
        Self::SrtpNotProtected,
        Self::SrtpUnavailable,
        Self::SrtpSources,
        Self::SrtpIndexUsed,
        Self::SrtpKeyExhausted,
        Self::OwnStream,
        Self::OwnAddress,
        Self::StunRefused,
        Self::BundleForeign,
        Self::DtlsForeign,
        Self::DtlsOver,
        Self::DtlsQueueFull,
        Self::DtlsHandshakesFull,
    ];

    /// The label of its metric: `sluice_media_packets_dropped_total{worker,reason}`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SocketUnknown => "socket_unknown",
            Self::NotConnected => "not_connected",
            Self::LegEnded => "leg_ended",
            Self::Stun => "stun",
            Self::Dtls => "dtls",
            Self::UnknownProtocol => "unknown_protocol",
            Self::RtpTruncated => "rtp_truncated",
            Self::RtpVersion => "rtp_version",
            Self::RtpPadding => "rtp_padding",
            Self::PayloadNotNegotiated => "payload_not_negotiated",
            Self::RemoteUnknown => "remote_unknown",
            Self::SourceNotAdmitted => "source_not_admitted",
            Self::LatchPending => "latch_pending",
            Self::SourceNotLatched => "source_not_latched",
            Self::RateExceeded => "rate_exceeded",
            Self::SequenceJump => "sequence_jump",
            Self::BeforeSwitch => "before_switch",
            Self::NotReceiving => "not_receiving",
            Self::NoTarget => "no_target",
            Self::OppositeGone => "opposite_gone",
            Self::OppositeNotSending => "opposite_not_sending",
            Self::DestinationUnknown => "destination_unknown",
            Self::RtcpMalformed => "rtcp_malformed",
            Self::RtcpConsumed => "rtcp_consumed",
            Self::FeedbackUnknown => "feedback_unknown",
            Self::FeedbackForeign => "feedback_foreign",
            Self::FeedbackLimited => "feedback_limited",
            Self::FeedbackTooLong => "feedback_too_long",
            Self::FeedbackNoTarget => "feedback_no_target",
            Self::RtpOnRtcpPort => "rtp_on_rtcp_port",
            Self::SrtpAuthentication => "srtp_authentication",
            Self::SrtpReplay => "srtp_replay",
            Self::SrtpNotProtected => "srtp_not_protected",
            Self::SrtpUnavailable => "srtp_unavailable",
            Self::SrtpSources => "srtp_sources",
            Self::SrtpIndexUsed => "srtp_index_used",
            Self::SrtpKeyExhausted => "srtp_key_exhausted",
            Self::OwnStream => "own_stream",
            Self::OwnAddress => "own_address",
            Self::StunRefused => "stun_refused",
            Self::BundleForeign => "bundle_foreign",
            Self::DtlsForeign => "dtls_foreign",
            Self::DtlsOver => "dtls_over",
            Self::DtlsQueueFull => "dtls_queue_full",
            Self::DtlsHandshakesFull => "dtls_handshakes_full",
        }
    }

    /// What it means, for who reads the counter.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::SocketUnknown => "Its socket belongs to no pair any more.",
            Self::NotConnected => "The pair is in stock: no call uses it yet.",
            Self::LegEnded => {
                "The leg is over: its counters wait to be taken, or its port is kept from the next call."
            }
            Self::Stun => "STUN on a leg that negotiated no ICE (RFC 7983).",
            Self::Dtls => "DTLS on a leg that negotiated no keys (RFC 7983).",
            Self::UnknownProtocol => {
                "ZRTP, TURN channel data, or an octet that no protocol starts with (RFC 7983)."
            }
            Self::RtpTruncated => "Shorter than its header says.",
            Self::RtpVersion => "RTP version other than 2.",
            Self::RtpPadding => "Padding count zero or longer than the payload.",
            Self::PayloadNotNegotiated => "A payload type that this leg did not negotiate.",
            Self::RemoteUnknown => "Nobody knows yet where the peer of this leg is.",
            Self::SourceNotAdmitted => "From an address that the latch does not admit.",
            Self::LatchPending => {
                "From an address that is being proven: too few packets in a row so far."
            }
            Self::SourceNotLatched => "The leg is locked to another source.",
            Self::RateExceeded => "More packets a second than a leg may bring.",
            Self::SequenceJump => {
                "A jump in sequence numbers that one packet alone does not prove (RFC 3550 A.1)."
            }
            Self::BeforeSwitch => {
                "From before the switch to this source: its place in the sent stream is taken."
            }
            Self::NotReceiving => "The peer may not send now (held).",
            Self::NoTarget => "The leg is connected to nothing.",
            Self::OppositeGone => "The leg it is connected to is gone, or not connected yet.",
            Self::OppositeNotSending => "The other leg may not be sent to now (held).",
            Self::DestinationUnknown => "The other leg has no address to send to yet.",
            Self::RtcpMalformed => "Not a valid RTCP compound packet (RFC 3550 A.2).",
            Self::RtcpConsumed => "RTCP that speaks of our own stream: taken in, not passed on.",
            Self::FeedbackUnknown => {
                "RTCP feedback of a format that is not passed on: SLI, RPSI, unknown ones."
            }
            Self::FeedbackForeign => {
                "RTCP feedback about another stream, or packets that the present source never sent."
            }
            Self::FeedbackLimited => "A keyframe was asked for a moment ago.",
            Self::FeedbackTooLong => "RTCP feedback longer than what is sent.",
            Self::FeedbackNoTarget => {
                "RTCP feedback, and nobody to tell: a local party, a leg that is gone, no address for RTCP."
            }
            Self::RtpOnRtcpPort => "RTP on the RTCP port.",
            Self::SrtpAuthentication => {
                "SRTP whose tag is not what the key of its leg makes of it (RFC 3711 §3.3)."
            }
            Self::SrtpReplay => {
                "SRTP whose index was used, or is from before what is remembered (RFC 3711 §3.3.2)."
            }
            Self::SrtpNotProtected => "From the peer of a leg with keys: too short for a tag.",
            Self::SrtpUnavailable => {
                "A browser's leg without keys yet; else keys that the cipher refused, a fault of ours."
            }
            Self::SrtpSources => {
                "One more source under a key than are remembered: it could not be told from a replay."
            }
            Self::SrtpIndexUsed => {
                "Not sent: another packet was sent under its index, or may have been (RFC 3711 §9.1)."
            }
            Self::SrtpKeyExhausted => {
                "The key has protected as many packets as a key may (RFC 3711 §9.2)."
            }
            Self::OwnStream => "What we sent, come back (RFC 3550 §8.2).",
            Self::OwnAddress => "From a port of our own: a loop.",
            Self::StunRefused => {
                "STUN on the port of browsers that is not answered: media_checks_refused says why."
            }
            Self::BundleForeign => {
                "RTP or RTCP on the port of browsers, from where none of them is nominated."
            }
            Self::DtlsForeign => {
                "DTLS on the port of browsers, from where none of them is nominated."
            }
            Self::DtlsOver => {
                "DTLS of a browser whose handshake has failed, or whose session is over."
            }
            Self::DtlsQueueFull => "DTLS of a browser, and as much of it waits already as may.",
            Self::DtlsHandshakesFull => {
                "The begin of a handshake, and as many are under way as may be."
            }
        }
    }
}

/// One counter a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DropCounters([u64; DropReason::ALL.len()]);

impl Default for DropCounters {
    fn default() -> Self {
        Self([0; DropReason::ALL.len()])
    }
}

impl DropCounters {
    /// One more packet died of `reason`.
    pub fn count(&mut self, reason: DropReason) {
        if let Some(counter) = self.0.get_mut(usize::from(reason as u8)) {
            *counter += 1;
        }
    }

    /// How many died of `reason`.
    #[must_use]
    pub fn of(&self, reason: DropReason) -> u64 {
        self.0
            .get(usize::from(reason as u8))
            .copied()
            .unwrap_or_default()
    }

    /// How many died.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_own_counter_and_label() {
        for (index, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(reason as u8), index);
            let same = DropReason::ALL
                .iter()
                .filter(|other| other.as_str() == reason.as_str());
            assert_eq!(same.count(), 1, "{}", reason.as_str());
            let explained = DropReason::ALL
                .iter()
                .filter(|other| other.meaning() == reason.meaning());
            assert_eq!(explained.count(), 1, "{}", reason.as_str());
            assert!(reason.meaning().ends_with('.'), "{}", reason.meaning());
        }
    }
}
