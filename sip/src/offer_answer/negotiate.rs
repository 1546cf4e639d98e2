//! Reading an offer: which line, which codec, where to send.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::codec_match::{Codec, codecs_of};
use crate::error::SdpError;
use crate::message::StatusCode;
use crate::sdp::{Direction, MediaDescription, MediaKind, SessionDescription};

/// Why a description cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum OfferRefusal {
    /// No audio line with a port.
    #[error("no audio")]
    NoAudio,
    /// Audio, but no codec for speech that both sides have.
    #[error("no common codec")]
    NoCommonCodec,
    /// Multicast, broadcast, a name, no address, or an address of our own.
    #[error("unusable address")]
    UnusableAddress,
    /// Only SRTP is offered.
    #[error("only secure profiles")]
    SecureOnly,
    /// The text cannot be read.
    #[error("unreadable: {0}")]
    Unreadable(#[from] SdpError),
}

impl OfferRefusal {
    /// A stable label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoAudio => "no_audio",
            Self::NoCommonCodec => "no_common_codec",
            Self::UnusableAddress => "unusable_address",
            Self::SecureOnly => "secure_only",
            Self::Unreadable(error) => error.as_str(),
        }
    }

    /// What an INVITE with it gets (RFC 3261 §13.3.1.3, §21.4.26).
    #[must_use]
    pub const fn status(self) -> StatusCode {
        StatusCode::NOT_ACCEPTABLE_HERE
    }

    /// The code of a Warning header that says why (RFC 3261 §20.43).
    #[must_use]
    pub const fn warning_code(self) -> u16 {
        match self {
            Self::NoAudio => 304,
            Self::NoCommonCodec => 305,
            Self::UnusableAddress => 301,
            Self::SecureOnly => 302,
            Self::Unreadable(_) => 399,
        }
    }
}

/// The audio line of a peer's description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteAudio {
    /// Which `m=` line.
    pub index: usize,
    /// Where to send RTP. `None` while the peer holds with `0.0.0.0`.
    pub rtp: Option<SocketAddr>,
    /// Where to send RTCP: `a=rtcp`, or RTP's port where muxed, or the next port.
    pub rtcp: Option<SocketAddr>,
    /// From the peer's side. With `0.0.0.0` the peer does not receive.
    pub direction: Direction,
    /// All codecs in the peer's order.
    pub codecs: Vec<Codec>,
    /// `a=ptime`.
    pub ptime_ms: Option<u32>,
    /// The peer offers or took `a=rtcp-mux`.
    pub rtcp_mux: bool,
}

/// What an offer and our capabilities have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// The line that is taken.
    pub audio: RemoteAudio,
    /// Codecs for speech that both have, in the order of the offer, with its payload types.
    pub codecs: Vec<Codec>,
    /// `telephone-event` of the clock of the first codec, with the payload type of the offer.
    pub telephone_event: Option<Codec>,
}

impl Negotiated {
    /// The codec that is answered: the first one (RFC 3264 §6.1).
    #[must_use]
    pub fn codec(&self) -> Option<&Codec> {
        self.codecs.first()
    }
}

/// Reads an offer against what we can do. `own` are sockets of ours where the peer cannot be.
///
/// All lines are looked at before any is refused: a peer may offer SAVP and AVP as alternatives.
///
/// # Errors
///
/// The refusal of the line that came furthest.
pub fn negotiate(
    offer: &SessionDescription,
    capabilities: &[Codec],
    own: &[SocketAddr],
) -> Result<Negotiated, OfferRefusal> {
    let mut refusal = OfferRefusal::NoAudio;
    for candidate in audio_lines(offer, own) {
        match candidate.and_then(|audio| common(audio, capabilities)) {
            Ok(negotiated) => return Ok(negotiated),
            Err(found) => refusal = further(refusal, found),
        }
    }
    Err(refusal)
}

/// Reads an offer without looking for codecs: its first usable audio line.
///
/// # Errors
///
/// As [`negotiate`].
pub fn read_offer(
    offer: &SessionDescription,
    own: &[SocketAddr],
) -> Result<RemoteAudio, OfferRefusal> {
    let mut refusal = OfferRefusal::NoAudio;
    for candidate in audio_lines(offer, own) {
        match candidate {
            Ok(audio) => return Ok(audio),
            Err(found) => refusal = further(refusal, found),
        }
    }
    Err(refusal)
}

fn audio_lines<'a>(
    description: &'a SessionDescription,
    own: &'a [SocketAddr],
) -> impl Iterator<Item = Result<RemoteAudio, OfferRefusal>> + 'a {
    description
        .media
        .iter()
        .enumerate()
        .filter(|(_, media)| media.kind == MediaKind::Audio && media.port != 0)
        .map(move |(index, media)| remote_audio(description, index, media, own))
}

/// What one audio line says.
pub(super) fn remote_audio(
    description: &SessionDescription,
    index: usize,
    media: &MediaDescription,
    own: &[SocketAddr],
) -> Result<RemoteAudio, OfferRefusal> {
    if !is_plain_rtp(&media.protocol) {
        let secure = media.protocol.to_ascii_uppercase().contains("SAVP");
        return Err(if secure {
            OfferRefusal::SecureOnly
        } else {
            OfferRefusal::NoAudio
        });
    }
    let address = description
        .connection_of(media)
        .and_then(|host| host.address())
        .ok_or(OfferRefusal::UnusableAddress)?;
    let written = description.direction_of(media);
    let mut audio = RemoteAudio {
        index,
        rtp: None,
        rtcp: None,
        direction: Direction::new(written.sends(), false),
        codecs: codecs_of(media),
        ptime_ms: media.ptime_ms,
        rtcp_mux: media.rtcp_mux,
    };
    if address.is_unspecified() {
        return Ok(audio);
    }
    let rtp = SocketAddr::new(address, media.port);
    if !is_usable(address) || own.contains(&rtp) {
        return Err(OfferRefusal::UnusableAddress);
    }
    audio.rtp = Some(rtp);
    audio.rtcp = rtcp_of(media, rtp).filter(|rtcp| is_usable(rtcp.ip()) && !own.contains(rtcp));
    audio.direction = written;
    Ok(audio)
}

fn common(audio: RemoteAudio, capabilities: &[Codec]) -> Result<Negotiated, OfferRefusal> {
    let shared = |codec: &&Codec| capabilities.iter().any(|ours| ours.is_same(codec));
    let codecs: Vec<Codec> = audio
        .codecs
        .iter()
        .filter(|codec| codec.is_speech())
        .filter(shared)
        .cloned()
        .collect();
    let Some(first) = codecs.first() else {
        return Err(OfferRefusal::NoCommonCodec);
    };
    let wants_events = capabilities.iter().any(Codec::is_telephone_event);
    let telephone_event = audio
        .codecs
        .iter()
        .find(|codec| codec.is_telephone_event() && codec.clock_rate_hz == first.clock_rate_hz)
        .filter(|_| wants_events)
        .cloned();
    Ok(Negotiated {
        telephone_event,
        codecs,
        audio,
    })
}

/// RFC 3605, RFC 5761, RFC 3550 §11.
fn rtcp_of(media: &MediaDescription, rtp: SocketAddr) -> Option<SocketAddr> {
    if media.rtcp_mux {
        return Some(rtp);
    }
    match &media.rtcp {
        Some(rtcp) if rtcp.port != 0 => {
            let address = match &rtcp.host {
                Some(host) => host.address()?,
                None => rtp.ip(),
            };
            Some(SocketAddr::new(address, rtcp.port))
        }
        Some(_) => None,
        None => rtp
            .port()
            .checked_add(1)
            .map(|port| SocketAddr::new(rtp.ip(), port)),
    }
}

fn is_plain_rtp(protocol: &str) -> bool {
    protocol.eq_ignore_ascii_case("RTP/AVP") || protocol.eq_ignore_ascii_case("RTP/AVPF")
}

/// RFC 3264 §6.2 allows multicast; we do not join groups.
fn is_usable(address: IpAddr) -> bool {
    let address = address.to_canonical();
    !address.is_multicast()
        && !address.is_unspecified()
        && address != IpAddr::V4(Ipv4Addr::BROADCAST)
}

/// Of two refusals the one whose line was nearer to success.
const fn further(one: OfferRefusal, other: OfferRefusal) -> OfferRefusal {
    const fn rank(refusal: OfferRefusal) -> u8 {
        match refusal {
            OfferRefusal::Unreadable(_) => 0,
            OfferRefusal::NoAudio => 1,
            OfferRefusal::SecureOnly => 2,
            OfferRefusal::UnusableAddress => 3,
            OfferRefusal::NoCommonCodec => 4,
        }
    }
    if rank(other) > rank(one) { other } else { one }
}
