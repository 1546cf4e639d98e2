//! The video of a browser: H.264 in the ways of packing it, and VP8.
//!
//! A browser is told of Constrained Baseline at level 3.1 always, with the level of each way its own: what the
//! SIP side can do less becomes the bandwidth of the line.

use super::level::bandwidth_of;
use super::offer::Line;
use super::{GuestVideo, NoVideo};
use crate::offer_answer::codec_match::Codec;
use crate::offer_answer::describe::coded_line;
use crate::offer_answer::direction::answer_direction;
use crate::offer_answer::header_extension::{
    HeaderExtension, TRANSPORT_FEEDBACK, carried, is_transport_number,
};
use crate::offer_answer::video::{FEEDBACK, RemoteVideo, VideoWish, is_main};
use crate::sdp::{
    Bandwidth, Direction, Feedback, Fingerprint, IceCredentials, MediaDescription, MediaKind,
    TransportLines, Word,
};

/// The video of a browser's offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrowserVideo {
    /// Which `m=` line.
    pub index: usize,
    /// From the browser's side.
    pub direction: Direction,
    /// What it can do, of what we carry, in its order.
    pub forms: Vec<VideoForm>,
    /// It takes RTCP of reduced size (RFC 5506 §5.1).
    pub reduced_rtcp: bool,
    /// The streams that it names.
    pub sources: Vec<u32>,
    /// The header extensions that it names, of what we carry.
    pub extensions: Vec<HeaderExtension>,
}

/// A codec of a browser's video with what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoForm {
    /// With the browser's number and parameters.
    pub codec: Codec,
    /// The feedback that it names for this one, of what we carry.
    pub feedback: Vec<&'static str>,
}

/// What was answered of video.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnsweredVideo {
    /// Which `m=` line.
    pub index: usize,
    /// From our side.
    pub direction: Direction,
    /// With the browser's number; the packetization mode is that of the SIP side.
    pub codec: Codec,
    /// The feedback that both sides read.
    pub feedback: Vec<&'static str>,
    /// The header extensions of both ways.
    pub extensions: Vec<HeaderExtension>,
}

/// The video of an offer that goes over the transport of its audio.
pub(super) fn offered_video(
    audio: Line<'_>,
    ice: &IceCredentials,
    fingerprints: &[Fingerprint],
) -> Result<Box<BrowserVideo>, NoVideo> {
    let mut why = NoVideo::NotOffered;
    for (index, media) in audio.offer.media.iter().enumerate() {
        let line = Line {
            index,
            media,
            ..audio
        };
        if media.kind != MediaKind::Video || !line.is_open() || !is_main(media) {
            continue;
        }
        match read_video(line, audio, (ice, fingerprints)) {
            Ok(video) => return Ok(Box::new(video)),
            Err(found) if why == NoVideo::NotOffered => why = found,
            Err(_) => {}
        }
    }
    Err(why)
}

fn read_video(
    line: Line<'_>,
    audio: Line<'_>,
    (ice, fingerprints): (&IceCredentials, &[Fingerprint]),
) -> Result<BrowserVideo, NoVideo> {
    if !line.is_secure() {
        return Err(NoVideo::NotSecure);
    }
    let is_same_group = line.bundle().is_some() && line.bundle() == audio.bundle();
    let is_same_end = line.said(TransportLines::credentials).as_ref() == Some(ice)
        && line
            .fingerprints()
            .is_ok_and(|found| *found == *fingerprints);
    if !is_same_group || !is_same_end {
        return Err(NoVideo::OwnTransport);
    }
    if !line.has_rtcp_mux() {
        return Err(NoVideo::NoRtcpMux);
    }
    let forms = forms_of(line);
    if forms.is_empty() {
        return Err(NoVideo::NoCommonCodec);
    }
    Ok(BrowserVideo {
        index: line.index,
        direction: line.offer.direction_of(line.media),
        forms,
        reduced_rtcp: line
            .media
            .browser
            .as_ref()
            .is_some_and(|said| said.rtcp_rsize),
        sources: line.sources(),
        extensions: carried(&line.extensions()),
    })
}

fn forms_of(line: Line<'_>) -> Vec<VideoForm> {
    let codecs = line.codecs();
    let is_carried = |codec: &&Codec| {
        let named = |name: &str| codec.name.eq_ignore_ascii_case(name);
        codec.clock_rate_hz == VIDEO_CLOCK_HZ && (named("H264") || named("VP8"))
    };
    let form = |codec: &Codec| VideoForm {
        codec: codec.clone(),
        feedback: FEEDBACK
            .into_iter()
            .filter(|value| line.names_feedback(codec.payload_type, value))
            .collect(),
    };
    codecs.iter().filter(is_carried).map(form).collect()
}

impl AnsweredVideo {
    /// Packets of a group are told apart by their numbers (RFC 8843 §9.2).
    pub(super) fn is_apart_from(&self, audio: &[Codec]) -> bool {
        let number = self.codec.payload_type;
        audio.iter().all(|codec| codec.payload_type != number)
    }
}

impl BrowserVideo {
    /// What an offer to the SIP side says of this video: the ways of packing H.264 that the browser has.
    /// `None`: it has no H.264 that a SIP endpoint would have.
    #[must_use]
    pub fn wish(&self, policy: GuestVideo) -> Option<VideoWish> {
        let mut wish = VideoWish::ours();
        let has = |codec: &Codec| self.forms.iter().any(|form| form.codec.is_same(codec));
        wish.codecs.retain(|codec| is_h264(codec) && has(codec));
        let most = policy.towards_sip();
        wish.direction = Direction::new(
            self.direction.sends() && most.sends(),
            self.direction.receives() && most.receives(),
        );
        wish.extensions.clone_from(&self.extensions);
        wish.extensions.retain(|one| !is_transport_number(*one));
        (!wish.codecs.is_empty()).then_some(wish)
    }

    /// The same as a SIP endpoint would say it; `None`: it has no H.264 that one would have.
    pub(super) fn as_remote(&self) -> Option<RemoteVideo> {
        let ours = VideoWish::ours().codecs;
        let ours = ours.iter().filter(|codec| is_h264(codec));
        let codecs: Vec<Codec> = ours
            .filter_map(|codec| {
                let (form, parameters) = self.form_for(codec)?;
                Some(Codec {
                    fmtp: parameters,
                    ..form.codec.clone()
                })
            })
            .collect();
        let carried = |value: &&'static str| *value != TRANSPORT_FEEDBACK;
        let named = self.forms.iter().flat_map(|form| &form.feedback).copied();
        let named: Vec<&'static str> = named.collect();
        let feedback = FEEDBACK.into_iter().filter(|value| named.contains(value));
        let mut extensions = self.extensions.clone();
        extensions.retain(|one| !is_transport_number(*one));
        (!codecs.is_empty()).then(|| RemoteVideo {
            index: self.index,
            rtp: None,
            rtcp: None,
            direction: self.direction,
            codecs,
            rtcp_mux: true,
            is_secure: false,
            crypto: Vec::new(),
            bandwidth: Bandwidth::UNSAID,
            feedback: feedback.filter(carried).collect(),
            extensions,
        })
    }

    /// What is answered of it while the other side has none: the line stays, and nothing goes over it.
    pub(super) fn asleep(&self) -> Option<AnsweredVideo> {
        let form = self.forms.first()?;
        Some(AnsweredVideo {
            index: self.index,
            direction: Direction::Inactive,
            codec: form.codec.clone(),
            feedback: Vec::new(),
            extensions: Vec::new(),
        })
    }

    /// What is answered of it, where the SIP side wishes so.
    pub(super) fn answered(
        &self,
        wish: &VideoWish,
        policy: GuestVideo,
    ) -> Result<AnsweredVideo, NoVideo> {
        let matched = wish.codecs.iter().find_map(|codec| self.form_for(codec));
        let (form, parameters) = matched.ok_or(NoVideo::NoCommonCodec)?;
        let extensions: Vec<HeaderExtension> = self
            .extensions
            .iter()
            .copied()
            .filter(|one| !is_transport_number(*one) && wish.extensions.contains(one))
            .collect();
        let mut feedback = form.feedback.clone();
        // Nobody speaks of numbers that our packets do not have.
        feedback.retain(|value| *value != TRANSPORT_FEEDBACK);
        let allowed = policy.towards_browser();
        let wanted = Direction::new(
            wish.direction.sends() && allowed.sends(),
            wish.direction.receives() && allowed.receives(),
        );
        Ok(AnsweredVideo {
            index: self.index,
            direction: answer_direction(self.direction, wanted),
            codec: Codec {
                fmtp: parameters,
                ..form.codec.clone()
            },
            feedback,
            extensions,
        })
    }

    /// The form of the browser's that packs as `codec` does, and what we say of it.
    fn form_for(&self, codec: &Codec) -> Option<(&VideoForm, Option<Word>)> {
        let mut said = codec.clone();
        if codec.name.eq_ignore_ascii_case("H264") {
            let mode = codec.parameter("packetization-mode").unwrap_or("0");
            said.fmtp = Some(smol_str::format_smolstr!(
                "level-asymmetry-allowed=1;packetization-mode={mode};profile-level-id=42e01f"
            ));
            if !said.is_same(codec) {
                return None;
            }
        }
        let exact = |form: &&VideoForm| form.codec.is_exactly(&said);
        let same = |form: &&VideoForm| form.codec.is_same(&said);
        let found = self.forms.iter().find(exact);
        let form = found.or_else(|| self.forms.iter().find(same))?;
        Some((form, said.fmtp))
    }
}

/// The line that says so.
pub(super) fn describe(
    answered: &AnsweredVideo,
    wish: &VideoWish,
    port: u16,
    protocol: &str,
) -> MediaDescription {
    let number = answered.codec.payload_type;
    let codecs = [answered.codec.clone()];
    let mut media = coded_line(MediaKind::Video, port, protocol, &codecs);
    media.feedback = answered
        .feedback
        .iter()
        .map(|value| Feedback {
            payload_type: Some(number),
            value: (*value).into(),
        })
        .collect();
    media.extensions = answered.extensions.iter().map(|one| one.write()).collect();
    media.bandwidth = bandwidth_of(wish, &answered.codec);
    media.direction = Some(answered.direction);
    media
}

fn is_h264(codec: &Codec) -> bool {
    codec.name.eq_ignore_ascii_case("H264")
}

pub(super) const VIDEO_CLOCK_HZ: u32 = 90_000;
