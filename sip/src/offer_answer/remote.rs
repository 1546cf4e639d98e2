//! What a peer's description means: which line, which codecs, where to send.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::codec_match::{Codec, codecs_of};
use super::describe::refused_line;
use super::video::{RemoteVideo, answered_video, offered_video};
use crate::sdp::{Direction, MediaDescription, MediaKind, SessionDescription, Word};

/// Why a description cannot be used: 488 for an offer (RFC 3261 §13.3.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unusable {
    /// No audio line with a port.
    #[error("no audio")]
    NoAudio,
    /// Only SRTP is offered.
    #[error("only secure profiles")]
    SecureOnly,
    /// The address is a name, or there is none.
    #[error("no address")]
    NoAddress,
    /// No packet of ours may go there.
    #[error("forbidden address: {}", .0.as_str())]
    Forbidden(Forbidden),
    /// Audio, but no codec for speech that both sides have.
    #[error("no common codec")]
    NoCommonCodec,
}

impl Unusable {
    /// A stable label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoAudio => "sdp_no_audio",
            Self::SecureOnly => "sdp_secure_only",
            Self::NoAddress => "sdp_no_address",
            Self::Forbidden(why) => why.as_str(),
            Self::NoCommonCodec => "sdp_no_common_codec",
        }
    }
}

/// Why a peer cannot have its media at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Forbidden {
    /// A port of ours: packets would go round.
    Own,
    /// A group: we do not join any (RFC 3264 §6.2 would allow it).
    Multicast,
    /// Everybody.
    Broadcast,
    /// This machine, for a peer that signals from elsewhere.
    Loopback,
    /// Nobody, where it is no hold.
    Unspecified,
}

impl Forbidden {
    /// A stable label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Own => "sdp_address_own",
            Self::Multicast => "sdp_address_multicast",
            Self::Broadcast => "sdp_address_broadcast",
            Self::Loopback => "sdp_address_loopback",
            Self::Unspecified => "sdp_address_unspecified",
        }
    }
}

/// The audio of a peer's description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteAudio {
    /// Which `m=` line.
    pub index: usize,
    /// All `m=` lines, refused: what an answer says of those that it does not take.
    pub lines: Vec<MediaDescription>,
    /// Where to send RTP. `None` while the peer holds with `0.0.0.0`.
    pub rtp: Option<SocketAddr>,
    /// Where to send RTCP: RTP's port where muxed, else `a=rtcp`, else the next port.
    pub rtcp: Option<SocketAddr>,
    /// From the peer's side. With `0.0.0.0` the peer does not receive.
    pub direction: Direction,
    /// All codecs in the peer's order, with the peer's numbers.
    pub codecs: Vec<Codec>,
    /// `a=ptime`.
    pub ptime_ms: Option<u32>,
    /// The peer offers or took `a=rtcp-mux`.
    pub rtcp_mux: bool,
    /// The video beside it; `None`: no line of it can be taken.
    pub video: Option<Box<RemoteVideo>>,
    /// Session id and version of `o=`: with the same ones nothing new is said (RFC 3264 §8).
    pub origin: (Word, u64),
}

impl RemoteAudio {
    /// The same as `before` in everything but the version of `o=`: a refresh of the session, which
    /// changes nothing (RFC 3264 §8, RFC 4028 §7.4). A description with the version of the last one
    /// must be the last one; where a peer breaks that, what it says counts.
    #[must_use]
    pub fn repeats(&self, before: &Self) -> bool {
        let Self {
            index,
            lines,
            rtp,
            rtcp,
            direction,
            codecs,
            ptime_ms,
            rtcp_mux,
            video,
            origin: _,
        } = self;
        *index == before.index
            && *lines == before.lines
            && *rtp == before.rtp
            && *rtcp == before.rtcp
            && *direction == before.direction
            && *codecs == before.codecs
            && *ptime_ms == before.ptime_ms
            && *rtcp_mux == before.rtcp_mux
            && *video == before.video
    }

    /// The peer holds: it does not want to hear us (RFC 3264 §8.4), in any of the three forms.
    #[must_use]
    pub const fn is_hold(&self) -> bool {
        !self.direction.receives()
    }
}

/// Reads an offer: its first usable audio line. `forbids` knows addresses where no peer can be,
/// beside multicast and broadcast.
///
/// All lines are looked at before any is refused: a peer may offer SAVP and AVP as alternatives.
///
/// # Errors
///
/// The refusal of the line that came furthest.
pub fn read_offer(
    offer: &SessionDescription,
    forbids: impl Fn(SocketAddr) -> Option<Forbidden>,
) -> Result<RemoteAudio, Unusable> {
    let mut refusal = Unusable::NoAudio;
    let lines = offer.media.iter().enumerate();
    for (index, media) in lines.filter(|(_, media)| is_audio(media)) {
        match remote_audio(offer, index, media, codecs_of(media), &forbids) {
            Ok(audio) => {
                let video = offered_video(offer, &forbids);
                return Ok(RemoteAudio { video, ..audio });
            }
            Err(found) => refusal = further(refusal, found),
        }
    }
    Err(refusal)
}

/// Reads the answer to our offer: the line in the place of our audio line, with those of its codecs
/// that we offered. `forbids` is that of [`read_offer`].
///
/// # Errors
///
/// Where the audio line was refused or cannot be used.
pub fn read_answer(
    offer: &SessionDescription,
    answer: &SessionDescription,
    forbids: impl Fn(SocketAddr) -> Option<Forbidden>,
) -> Result<RemoteAudio, Unusable> {
    let mut lines = offer.media.iter().zip(&answer.media).enumerate();
    let (index, (ours, theirs)) = lines
        .find(|(_, (ours, _))| is_audio(ours))
        .filter(|(_, (_, theirs))| is_audio(theirs))
        .ok_or(Unusable::NoAudio)?;
    let (offered, named) = (codecs_of(ours), codecs_of(theirs));
    let codecs = theirs
        .payload_types()
        .filter_map(|number| agreed(number, &named, &offered))
        .collect();
    let audio = remote_audio(answer, index, theirs, codecs, &forbids)?;
    let video = answered_video(offer, answer, &forbids);
    Ok(RemoteAudio { video, ..audio })
}

/// One format of an answer. A dynamic number without `rtpmap` can only mean what we offered under
/// it; some peers leave the line out.
pub(super) fn agreed(number: u8, named: &[Codec], offered: &[Codec]) -> Option<Codec> {
    match named.iter().find(|codec| codec.payload_type == number) {
        Some(theirs) if offered.iter().any(|ours| ours.is_same(theirs)) => Some(theirs.clone()),
        // An answer that leaves out the parameters of its form means those of the offer.
        Some(theirs) => offered
            .iter()
            .find(|ours| ours.payload_type == number && ours.is_kin(theirs))
            .filter(|_| theirs.fmtp.is_none())
            .cloned(),
        None => offered
            .iter()
            .find(|ours| ours.payload_type == number)
            .cloned(),
    }
}

fn is_audio(media: &MediaDescription) -> bool {
    media.kind == MediaKind::Audio && media.port != 0
}

/// What one audio line says.
fn remote_audio(
    description: &SessionDescription,
    index: usize,
    media: &MediaDescription,
    codecs: Vec<Codec>,
    forbids: &impl Fn(SocketAddr) -> Option<Forbidden>,
) -> Result<RemoteAudio, Unusable> {
    let (rtp, rtcp, direction) = whereabouts(description, media, forbids)?;
    if !codecs.iter().any(Codec::is_speech) {
        return Err(Unusable::NoCommonCodec);
    }
    Ok(RemoteAudio {
        index,
        lines: description.media.iter().map(refused_line).collect(),
        rtp,
        rtcp,
        direction,
        codecs,
        ptime_ms: media.ptime_ms,
        rtcp_mux: media.rtcp_mux,
        video: None,
        origin: (
            description.origin.session_id.clone(),
            description.origin.version,
        ),
    })
}

/// Where RTP and RTCP of a line go, and which way: what holds for every kind of media.
pub(super) fn whereabouts(
    description: &SessionDescription,
    media: &MediaDescription,
    forbids: &impl Fn(SocketAddr) -> Option<Forbidden>,
) -> Result<Whereabouts, Unusable> {
    if !is_plain_rtp(&media.protocol) {
        let secure = media.protocol.to_ascii_uppercase().contains("SAVP");
        return Err(if secure {
            Unusable::SecureOnly
        } else {
            Unusable::NoAudio
        });
    }
    let address = description
        .connection_of(media)
        .and_then(|host| host.address())
        .ok_or(Unusable::NoAddress)?;
    let written = description.direction_of(media);
    let (mut rtp, mut rtcp, mut direction) = (None, None, written);
    if address.is_unspecified() {
        direction = Direction::new(written.sends(), false);
    } else {
        let named = SocketAddr::new(address, media.port);
        rtp = Some(named);
        rtcp = rtcp_of(media, named).filter(|rtcp| !rtcp.ip().is_unspecified());
    }
    for named in rtp.iter().chain(&rtcp) {
        // What is our own or a group stays so where it is written as an IPv6 address.
        let plain = SocketAddr::new(named.ip().to_canonical(), named.port());
        if let Some(why) = no_single_host(plain.ip()).or_else(|| forbids(plain)) {
            return Err(Unusable::Forbidden(why));
        }
    }
    Ok((rtp, rtcp, direction))
}

/// RTP, RTCP, direction.
type Whereabouts = (Option<SocketAddr>, Option<SocketAddr>, Direction);

/// RFC 5761 §5.1.1, RFC 3605, RFC 3550 §11.
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

/// What is no address of one host.
fn no_single_host(address: IpAddr) -> Option<Forbidden> {
    if address.is_multicast() {
        Some(Forbidden::Multicast)
    } else if address.is_unspecified() {
        Some(Forbidden::Unspecified)
    } else if address == IpAddr::V4(Ipv4Addr::BROADCAST) {
        Some(Forbidden::Broadcast)
    } else {
        None
    }
}

/// Of two refusals the one whose line was nearer to success.
const fn further(one: Unusable, other: Unusable) -> Unusable {
    const fn rank(refusal: Unusable) -> u8 {
        match refusal {
            Unusable::NoAudio => 0,
            Unusable::SecureOnly => 1,
            Unusable::NoAddress => 2,
            Unusable::Forbidden(_) => 3,
            Unusable::NoCommonCodec => 4,
        }
    }
    if rank(other) > rank(one) { other } else { one }
}
