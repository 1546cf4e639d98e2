//! The video line beside the audio line: what a peer's says, and what ours says of the other side.
//!
//! Nothing is decoded, so that each side hears what the other one can: its codecs with their
//! parameters (level, sizes, packetization mode), its bandwidth, and the feedback that both name.
//! One line is taken, the first for the main picture; another one (slides, RFC 4796) gets port 0, as
//! does one that has nothing in common with what the other side takes.

use std::net::SocketAddr;

use super::codec_match::{Codec, codecs_of};
use super::crypto::{CryptoLine, CryptoPolicy, Profile};
use super::describe::coded_line;
use super::direction::{answer_direction, reversed};
use super::header_extension::{
    HeaderExtension, TRANSPORT_FEEDBACK, carried, has_transport_numbers,
};
use super::numbers::Numbers;
use super::remote::{Forbidden, Unusable, agreed, answered_keys, offered_keys, whereabouts};
use crate::sdp::{Bandwidth, Direction, Feedback, MediaDescription, MediaKind, SessionDescription};

/// The video of a peer's description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteVideo {
    /// Which `m=` line.
    pub index: usize,
    /// Where to send RTP. `None` while the peer holds with `0.0.0.0`.
    pub rtp: Option<SocketAddr>,
    /// Where to send RTCP, keyframe requests among it.
    pub rtcp: Option<SocketAddr>,
    /// From the peer's side.
    pub direction: Direction,
    /// All codecs in the peer's order, with the peer's numbers and parameters.
    pub codecs: Vec<Codec>,
    /// The peer offers or took `a=rtcp-mux`.
    pub rtcp_mux: bool,
    /// The line is `RTP/SAVP` or `RTP/SAVPF`.
    pub is_secure: bool,
    /// The peer's keys that may be used; in an answer one. Empty: plain RTP.
    pub crypto: Vec<CryptoLine>,
    /// The most that the peer wants to receive.
    pub bandwidth: Bandwidth,
    /// The feedback that it names for any of its codecs, of what we carry.
    pub feedback: Vec<&'static str>,
    /// The header extensions that it names, of what we carry; in an answer of those that we offered.
    pub extensions: Vec<HeaderExtension>,
}

/// What a side of ours shall be told of the other side's video.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoWish {
    /// What the other side can do, in its order.
    pub codecs: Vec<Codec>,
    /// From our side, towards who is told.
    pub direction: Direction,
    /// The most that the other side wants to receive.
    pub bandwidth: Bandwidth,
    /// The feedback that it understands.
    pub feedback: Vec<&'static str>,
    /// The header extensions that it has.
    pub extensions: Vec<HeaderExtension>,
}

/// What we said last of video, where our line has a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaidVideo {
    /// With the numbers that arrive.
    pub codecs: Vec<Codec>,
    /// From our side.
    pub direction: Direction,
    /// Our keys that the line names.
    pub crypto: Vec<CryptoLine>,
}

impl RemoteVideo {
    /// What the other side shall be told of this one.
    #[must_use]
    pub fn wish(&self) -> VideoWish {
        VideoWish {
            codecs: self.codecs.clone(),
            direction: self.direction,
            bandwidth: self.bandwidth,
            feedback: self.feedback.clone(),
            extensions: self.extensions.clone(),
        }
    }
}

impl VideoWish {
    /// What we offer of video on our own: both ways of packing H.264, and VP8. Constrained Baseline at
    /// level 3.1 is what every endpoint with H.264 decodes (RFC 7742 §6.2).
    #[must_use]
    pub fn ours() -> Self {
        let codec = |payload_type, name: &str, fmtp: Option<&str>| Codec {
            payload_type,
            name: name.into(),
            clock_rate_hz: VIDEO_CLOCK_HZ,
            channels: 1,
            fmtp: fmtp.map(Into::into),
        };
        Self {
            codecs: vec![
                codec(97, "H264", Some(OURS_FRAGMENTED)),
                codec(98, "H264", Some(OURS_SINGLE)),
                codec(100, "VP8", None),
            ],
            direction: Direction::SendRecv,
            bandwidth: Bandwidth::UNSAID,
            feedback: vec!["nack pli", "ccm fir"],
            extensions: Vec::new(),
        }
    }

    /// The same where a line may have no more than these directions, from our side: that towards who
    /// is told, and that towards whose video it is. `None`: neither way is left of a line that had one.
    #[must_use]
    pub fn limited(mut self, told: Direction, other: Direction) -> Option<Self> {
        let other = reversed(other);
        let most = Direction::new(
            told.sends() && other.sends(),
            told.receives() && other.receives(),
        );
        let (sends, receives) = (self.direction.sends(), self.direction.receives());
        self.direction = Direction::new(sends && most.sends(), receives && most.receives());
        (most != Direction::Inactive).then_some(self)
    }
}

const VIDEO_CLOCK_HZ: u32 = 90_000;
const OURS_FRAGMENTED: &str = "profile-level-id=42e01f;packetization-mode=1";
const OURS_SINGLE: &str = "profile-level-id=42e01f;packetization-mode=0";

/// Feedback that is carried across (RFC 4585 §6.2.1 and §6.3.1, RFC 5104 §4.3.1, and what browsers say of
/// bandwidth: an estimate, or when each packet came).
pub(super) const FEEDBACK: [&str; 5] = [
    "nack",
    "nack pli",
    "ccm fir",
    "goog-remb",
    TRANSPORT_FEEDBACK,
];

/// The video of an offer whose audio has keys, or none: video is protected where audio is, and only
/// there. `None`: no line of it can be taken.
pub(super) fn offered_video(
    offer: &SessionDescription,
    policy: CryptoPolicy,
    is_secure: bool,
    forbids: &impl Fn(SocketAddr) -> Option<Forbidden>,
) -> Option<Box<RemoteVideo>> {
    let lines = offer.media.iter().enumerate();
    lines
        .filter(|(_, media)| is_video(media) && is_main(media))
        .find_map(|(index, media)| {
            let keys = offered_keys(media, policy).ok()?;
            let keys = (keys.is_empty() != is_secure).then_some(keys)?;
            let line = (index, media, keys);
            remote_video(offer, line, codecs_of(media), forbids).ok()
        })
        .map(Box::new)
}

/// The video of an answer; `None`: our line was refused, or there was none.
pub(super) fn answered_video(
    offer: &SessionDescription,
    answer: &SessionDescription,
    policy: CryptoPolicy,
    forbids: &impl Fn(SocketAddr) -> Option<Forbidden>,
) -> Option<Box<RemoteVideo>> {
    let mut lines = offer.media.iter().zip(&answer.media).enumerate();
    let (index, (ours, theirs)) = lines
        .find(|(_, (ours, _))| is_video(ours))
        .filter(|(_, (_, theirs))| is_video(theirs))?;
    let (offered, named) = (codecs_of(ours), codecs_of(theirs));
    let codecs = theirs
        .payload_types()
        .filter_map(|number| agreed(number, &named, &offered))
        .collect();
    let keys = answered_keys(ours, theirs, policy).ok()?;
    let mut video = remote_video(answer, (index, theirs, keys), codecs, forbids).ok()?;
    let offered = carried(&ours.extensions);
    video.extensions.retain(|taken| offered.contains(taken));
    Some(Box::new(video))
}

pub(super) fn is_video(media: &MediaDescription) -> bool {
    media.kind == MediaKind::Video && media.port != 0
}

/// Not the second picture of an endpoint (RFC 4796 §5).
pub(super) fn is_main(media: &MediaDescription) -> bool {
    let content = media.content.as_deref().unwrap_or("main");
    !["slides", "sl", "alt"]
        .iter()
        .any(|other| content.eq_ignore_ascii_case(other))
}

fn remote_video(
    description: &SessionDescription,
    (index, media, crypto): (usize, &MediaDescription, Vec<CryptoLine>),
    codecs: Vec<Codec>,
    forbids: &impl Fn(SocketAddr) -> Option<Forbidden>,
) -> Result<RemoteVideo, Unusable> {
    let (rtp, rtcp, direction) = whereabouts(description, media, forbids)?;
    let codecs: Vec<Codec> = codecs.into_iter().filter(Codec::is_speech).collect();
    if codecs.is_empty() {
        return Err(Unusable::NoCommonCodec);
    }
    let names = |value: &str| media.feedback.iter().any(|named| *named.value == *value);
    Ok(RemoteVideo {
        index,
        rtp,
        rtcp,
        direction,
        codecs,
        rtcp_mux: media.rtcp_mux,
        is_secure: Profile::of(&media.protocol) == Profile::Secure,
        crypto,
        bandwidth: media.bandwidth,
        feedback: FEEDBACK.into_iter().filter(|value| names(value)).collect(),
        extensions: carried(&media.extensions),
    })
}

/// Our video line of an offer, in the place where the last one stood, and what it says. A new line goes
/// as the `audio` line does.
pub(super) fn offer_line(
    lines: &mut Vec<MediaDescription>,
    (audio, in_use): (usize, Option<usize>),
    (wish, local): (&VideoWish, SocketAddr),
    theirs: Option<&RemoteVideo>,
    crypto: Vec<CryptoLine>,
    numbers: &mut Numbers,
) -> Option<SaidVideo> {
    let mut codecs: Vec<Codec> = Vec::with_capacity(wish.codecs.len());
    for codec in &wish.codecs {
        if !codecs.iter().any(|taken| taken.is_exactly(codec)) {
            codecs.extend(numbers.number(codec));
        }
    }
    if codecs.is_empty() {
        return None;
    }
    let unused = || lines.iter().position(|line| line.kind == MediaKind::Video);
    let place = in_use.or_else(unused).unwrap_or(lines.len());
    let transport = lines.get(audio)?.protocol.clone();
    let begun = MediaDescription::new(MediaKind::Video, 0, transport);
    match lines.get_mut(place) {
        Some(_) if in_use.is_some() => {}
        // The place of a line that is over may be taken by another transport (RFC 3264 §8.2).
        Some(line) => line.protocol = begun.protocol,
        None => lines.push(begun),
    }
    let said = SaidVideo {
        codecs,
        direction: wish.direction,
        crypto,
    };
    let mux = theirs.is_some_and(|theirs| theirs.rtcp_mux);
    let numbered = theirs.map_or(&[][..], |theirs| &theirs.extensions);
    let wish = VideoWish {
        extensions: wish
            .extensions
            .iter()
            .copied()
            .filter(|one| one.fits(numbered))
            .collect(),
        ..wish.clone()
    };
    describe(lines.get_mut(place)?, &said, &wish, local, mux);
    Some(said)
}

/// Our video line of an answer: the first codec of the wish that the peer has, in the form that the
/// other side has it (RFC 6184 §8.2.2), under the peer's number.
pub(super) fn answer_line(
    lines: &mut [MediaDescription],
    wish: &VideoWish,
    local: SocketAddr,
    theirs: &RemoteVideo,
    crypto: Option<CryptoLine>,
) -> Option<SaidVideo> {
    let codec = wish.codecs.iter().find_map(|codec| {
        let offered = codec.found_in(&theirs.codecs)?;
        Some(codec.answering(offered))
    })?;
    let said = SaidVideo {
        codecs: vec![codec],
        direction: answer_direction(theirs.direction, wish.direction),
        crypto: crypto.into_iter().collect(),
    };
    let named = |value: &&str| theirs.feedback.contains(value);
    let wish = VideoWish {
        feedback: wish.feedback.iter().copied().filter(named).collect(),
        extensions: wish
            .extensions
            .iter()
            .copied()
            .filter(|one| theirs.extensions.contains(one))
            .collect(),
        ..wish.clone()
    };
    let line = lines.get_mut(theirs.index)?;
    debug_assert!(
        line.kind == MediaKind::Video,
        "a video line is answered by one"
    );
    describe(line, &said, &wish, local, theirs.rtcp_mux);
    Some(said)
}

fn describe(
    line: &mut MediaDescription,
    said: &SaidVideo,
    wish: &VideoWish,
    local: SocketAddr,
    rtcp_mux: bool,
) {
    let mut media = coded_line(MediaKind::Video, local.port(), &line.protocol, &said.codecs);
    // Nobody can speak of numbers that the packets do not have.
    let has_numbers = has_transport_numbers(&wish.extensions);
    media.feedback = wish
        .feedback
        .iter()
        .filter(|value| has_numbers || **value != TRANSPORT_FEEDBACK)
        .map(|value| Feedback {
            payload_type: None,
            value: (*value).into(),
        })
        .collect();
    media.extensions = wish.extensions.iter().map(|one| one.write()).collect();
    media.bandwidth = wish.bandwidth;
    media.direction = Some(said.direction);
    media.rtcp_mux = rtcp_mux;
    media.crypto = said.crypto.iter().map(CryptoLine::write).collect();
    *line = media;
}
