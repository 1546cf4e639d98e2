//! What a peer said about its audio, read from its session description and checked.

use std::net::{IpAddr, SocketAddr};

use sip::sdp::{Direction, Host, MediaDescription, MediaKind, SessionDescription};

use super::codec::{Codec, codecs};

/// A peer's audio.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Where it receives RTP; `None`: nowhere (`0.0.0.0`, RFC 2543 hold).
    pub rtp: Option<SocketAddr>,
    /// Where it receives RTCP.
    pub rtcp: Option<SocketAddr>,
    /// From the peer's point of view.
    pub direction: Direction,
    /// In the peer's order.
    pub codecs: Vec<Codec>,
    /// `a=ptime`.
    pub ptime_ms: Option<u32>,
    /// `o=` session id and version: a description with the same ones says nothing new.
    pub origin: (Box<str>, u64),
    /// All `m=` lines, and which of them is the audio: an answer must mirror them.
    pub lines: Vec<Line>,
    /// Index of the audio in `lines`.
    pub audio: usize,
}

/// An `m=` line as far as an answer must repeat it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Audio, video, …
    pub kind: MediaKind,
    /// `RTP/AVP`, …
    pub protocol: Box<str>,
    /// Its formats: a refused line repeats the first.
    pub formats: Vec<Box<str>>,
}

/// Why a description cannot be used: 488.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unusable {
    /// No plain RTP audio with a port and a codec.
    NoAudio,
    /// The address is a name, or none.
    NoAddress,
    /// Multicast, broadcast, loopback from elsewhere, or a port of our own.
    ForbiddenAddress,
}

impl Unusable {
    /// Stable word for the CDR and the counter.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoAudio => "sdp_no_audio",
            Self::NoAddress => "sdp_no_address",
            Self::ForbiddenAddress => "sdp_forbidden_address",
        }
    }
}

/// Reads the audio of `description`. `signalling` is where the message came from, `is_own` knows our
/// media addresses.
///
/// # Errors
/// [`Unusable`] with the reason for a 488.
pub fn read(
    description: &SessionDescription,
    signalling: IpAddr,
    is_own: impl Fn(SocketAddr) -> bool,
) -> Result<Remote, Unusable> {
    let (audio, media) = description
        .media
        .iter()
        .enumerate()
        .find(|(_, media)| is_plain_audio(media))
        .ok_or(Unusable::NoAudio)?;
    let codecs = codecs(media);
    if !codecs.iter().any(Codec::is_voice) {
        return Err(Unusable::NoAudio);
    }
    let host = description
        .connection_of(media)
        .ok_or(Unusable::NoAddress)?;
    let mut direction = description.direction_of(media);
    let rtp = match host.address().ok_or(Unusable::NoAddress)? {
        address if address.is_unspecified() => {
            direction = Direction::new(direction.sends(), false);
            None
        }
        address => Some(SocketAddr::new(address, media.port)),
    };
    let rtcp = rtp.and_then(|rtp| rtcp_address(media, rtp));
    for address in rtp.iter().chain(rtcp.iter()) {
        check_address(*address, signalling, &is_own)?;
    }
    Ok(Remote {
        rtp,
        rtcp,
        direction,
        codecs,
        ptime_ms: media.ptime_ms,
        origin: (
            description.origin.session_id.clone(),
            description.origin.version,
        ),
        lines: description.media.iter().map(line).collect(),
        audio,
    })
}

impl Remote {
    /// True when another description of the same peer changes what the worker must do.
    #[must_use]
    pub fn moves_media(&self, other: &Self) -> bool {
        self.rtp != other.rtp || self.rtcp != other.rtcp || self.codecs != other.codecs
    }
}

fn is_plain_audio(media: &MediaDescription) -> bool {
    media.kind == MediaKind::Audio
        && media.port != 0
        && ["RTP/AVP", "RTP/AVPF"]
            .iter()
            .any(|known| media.protocol.eq_ignore_ascii_case(known))
}

/// RFC 3605, or the next port (RFC 3550 §11).
fn rtcp_address(media: &MediaDescription, rtp: SocketAddr) -> Option<SocketAddr> {
    match &media.rtcp {
        Some(rtcp) => {
            let host = rtcp
                .host
                .as_ref()
                .and_then(Host::address)
                .unwrap_or_else(|| rtp.ip());
            Some(SocketAddr::new(host, rtcp.port))
        }
        None => rtp
            .port()
            .checked_add(1)
            .map(|port| SocketAddr::new(rtp.ip(), port)),
    }
}

/// No packet of ours shall go where an SDP could make us a weapon, or a loop.
fn check_address(
    address: SocketAddr,
    signalling: IpAddr,
    is_own: &impl Fn(SocketAddr) -> bool,
) -> Result<(), Unusable> {
    let ip = address.ip().to_canonical();
    let broadcast = matches!(ip, IpAddr::V4(ipv4) if ipv4.is_broadcast());
    let foreign_loopback = ip.is_loopback() && !signalling.to_canonical().is_loopback();
    let nowhere = ip.is_unspecified() || address.port() == 0;
    if ip.is_multicast() || broadcast || foreign_loopback || nowhere || is_own(address) {
        return Err(Unusable::ForbiddenAddress);
    }
    Ok(())
}

fn line(media: &MediaDescription) -> Line {
    Line {
        kind: media.kind.clone(),
        protocol: media.protocol.clone(),
        formats: media.formats.clone(),
    }
}
