//! What a peer's description means: which line, which codecs, where to send.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::codec_match::{Codec, codecs_of};
use super::crypto::{self, CryptoLine, CryptoPolicy, Profile};
use super::describe::refused_line;
use super::video::{RemoteVideo, answered_video, is_video, offered_video};
use crate::sdp::{Direction, MediaDescription, MediaKind, SessionDescription, Word};

/// Why a description cannot be used: 488 for an offer (RFC 3261 §13.3.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unusable {
    /// No audio line with a port.
    #[error("no audio")]
    NoAudio,
    /// Only SRTP is offered, and none is taken here.
    #[error("only secure profiles")]
    SecureOnly,
    /// SRTP without a key of a kind that we have (RFC 4568 §5.1.2).
    #[error("no usable key")]
    NoUsableKey,
    /// Plain RTP where only SRTP is taken.
    #[error("not secure")]
    NotSecure,
    /// An answer with a key under a tag or of a suite that we did not offer so (RFC 4568 §5.1.3).
    #[error("wrong tag of a key")]
    WrongTag,
    /// An answer with our own key.
    #[error("our own key")]
    ReusedKey,
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
            Self::NoUsableKey => "sdp_no_usable_key",
            Self::NotSecure => "sdp_not_secure",
            Self::WrongTag => "sdp_wrong_crypto_tag",
            Self::ReusedKey => "sdp_reused_key",
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
    /// A video line has a port, whether or not it can be taken.
    pub has_open_video: bool,
    /// The line is `RTP/SAVP` or `RTP/SAVPF`.
    pub is_secure: bool,
    /// The peer's keys that may be used, in its order; in an answer one. Empty: plain RTP.
    pub crypto: Vec<CryptoLine>,
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
            has_open_video,
            is_secure,
            crypto,
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
            && *has_open_video == before.has_open_video
            && *is_secure == before.is_secure
            && *crypto == before.crypto
    }

    /// The peer holds: it does not want to hear us (RFC 3264 §8.4), in any of the three forms.
    #[must_use]
    pub const fn is_hold(&self) -> bool {
        !self.direction.receives()
    }
}

/// Reads an offer: its first usable audio line, one with keys before one without where `policy` takes
/// keys. `forbids` knows addresses where no peer can be, beside multicast and broadcast.
///
/// All lines are looked at before any is refused: a peer may offer SAVP and AVP as alternatives.
///
/// # Errors
///
/// The refusal of the line that came furthest.
pub fn read_offer(
    offer: &SessionDescription,
    policy: CryptoPolicy,
    forbids: impl Fn(SocketAddr) -> Option<Forbidden>,
) -> Result<RemoteAudio, Unusable> {
    let mut refusal = Unusable::NoAudio;
    let mut plain = None;
    let lines = offer.media.iter().enumerate();
    for (index, media) in lines.filter(|(_, media)| is_audio(media)) {
        let line = offered_keys(media, policy).and_then(|keys| {
            let line = (index, media, keys);
            remote_audio(offer, line, codecs_of(media), &forbids)
        });
        match line {
            Ok(audio) if policy == CryptoPolicy::Off || !audio.crypto.is_empty() => {
                return Ok(beside(audio, offer, policy, &forbids));
            }
            Ok(audio) => plain = plain.or(Some(audio)),
            Err(found) => refusal = further(refusal, found),
        }
    }
    let audio = plain.ok_or(refusal)?;
    Ok(beside(audio, offer, policy, &forbids))
}

/// The audio of an offer with the video that can be taken beside it.
fn beside(
    audio: RemoteAudio,
    offer: &SessionDescription,
    policy: CryptoPolicy,
    forbids: &impl Fn(SocketAddr) -> Option<Forbidden>,
) -> RemoteAudio {
    let video = offered_video(offer, policy, !audio.crypto.is_empty(), forbids);
    with_video(audio, video)
}

/// The keys of an offered line that may be taken; none: plain RTP.
pub(super) fn offered_keys(
    media: &MediaDescription,
    policy: CryptoPolicy,
) -> Result<Vec<CryptoLine>, Unusable> {
    let keys = match policy {
        CryptoPolicy::Off => Vec::new(),
        CryptoPolicy::Preferred | CryptoPolicy::Required => crypto::read(media),
    };
    check_profile(media, &keys, policy)?;
    Ok(keys)
}

/// The key of the line that answers `ours`; none: plain RTP. Where a peer answers a secure offer with
/// plain RTP, it is taken by a policy that takes either.
pub(super) fn answered_keys(
    ours: &MediaDescription,
    theirs: &MediaDescription,
    policy: CryptoPolicy,
) -> Result<Vec<CryptoLine>, Unusable> {
    let offered = crypto::read(ours);
    if offered.is_empty() {
        check_profile(theirs, &[], policy)?;
        return Ok(Vec::new());
    }
    let mut named = crypto::read(theirs);
    // Keys that we cannot read are keys: under them nothing that follows is plain RTP.
    if named.is_empty() && !theirs.crypto.is_empty() {
        return Err(Unusable::NoUsableKey);
    }
    let is_any = !named.is_empty();
    named.retain(|key| offered.iter().any(|ours| ours.answers(key)));
    named.truncate(1);
    if is_any && named.is_empty() {
        return Err(Unusable::WrongTag);
    }
    if named
        .iter()
        .any(|key| offered.iter().any(|ours| ours.key == key.key))
    {
        return Err(Unusable::ReusedKey);
    }
    check_profile(theirs, &named, policy)?;
    Ok(named)
}

/// The transport of a line against the keys that it has and the policy.
fn check_profile(
    media: &MediaDescription,
    keys: &[CryptoLine],
    policy: CryptoPolicy,
) -> Result<(), Unusable> {
    match (Profile::of(&media.protocol), policy) {
        (Profile::None, _) => Err(Unusable::NoAudio),
        (Profile::Foreign, _) | (Profile::Secure, CryptoPolicy::Off) => Err(Unusable::SecureOnly),
        (Profile::Secure, _) if keys.is_empty() => Err(Unusable::NoUsableKey),
        (Profile::Plain, CryptoPolicy::Required) if keys.is_empty() => Err(Unusable::NotSecure),
        (Profile::Secure | Profile::Plain, _) => Ok(()),
    }
}

/// Reads the answer to our offer: the line in the place of our audio line, with those of its codecs
/// that we offered, and the key that it took. `policy` and `forbids` are those of [`read_offer`].
///
/// # Errors
///
/// Where the audio line was refused or cannot be used.
pub fn read_answer(
    offer: &SessionDescription,
    answer: &SessionDescription,
    policy: CryptoPolicy,
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
    let keys = answered_keys(ours, theirs, policy)?;
    let audio = remote_audio(answer, (index, theirs, keys), codecs, &forbids)?;
    Ok(with_video(
        audio,
        answered_video(offer, answer, policy, &forbids),
    ))
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
    (index, media, crypto): (usize, &MediaDescription, Vec<CryptoLine>),
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
        has_open_video: description.media.iter().any(is_video),
        is_secure: Profile::of(&media.protocol) == Profile::Secure,
        crypto,
        origin: (
            description.origin.session_id.clone(),
            description.origin.version,
        ),
    })
}

/// Video is protected where audio is, and only there: none of a call is in the clear by its other line.
fn with_video(audio: RemoteAudio, video: Option<Box<RemoteVideo>>) -> RemoteAudio {
    let video = video.filter(|video| video.crypto.is_empty() == audio.crypto.is_empty());
    RemoteAudio { video, ..audio }
}

/// Where RTP and RTCP of a line go, and which way: what holds for every kind of media.
pub(super) fn whereabouts(
    description: &SessionDescription,
    media: &MediaDescription,
    forbids: &impl Fn(SocketAddr) -> Option<Forbidden>,
) -> Result<Whereabouts, Unusable> {
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
            Unusable::NotSecure => 2,
            Unusable::NoUsableKey | Unusable::WrongTag | Unusable::ReusedKey => 3,
            Unusable::NoAddress => 4,
            Unusable::Forbidden(_) => 5,
            Unusable::NoCommonCodec => 6,
        }
    }
    if rank(other) > rank(one) { other } else { one }
}
