//! What a browser's offer means: which lines, which transport, which codecs.

use arrayvec::ArrayVec;

use super::video::{BrowserVideo, offered_video};
use super::{BrowserRefusal, NoVideo};
use crate::offer_answer::RemoteAudio;
use crate::offer_answer::codec_match::{Codec, codecs_of};
use crate::offer_answer::crypto::Profile;
use crate::offer_answer::describe::refused_line;
use crate::sdp::{
    BrowserLines, DigestKind, Direction, ExtMap, FINGERPRINTS_MAX, Fingerprint, IceCredentials,
    MediaDescription, MediaKind, SessionDescription, Setup, TransportLines, Word,
};

/// What an offer of a browser says, of what we act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrowserOffer {
    /// The audio line that is taken.
    pub audio: BrowserAudio,
    /// The video beside it, or why there is none.
    pub video: Result<Box<BrowserVideo>, NoVideo>,
    /// Of its end of the transport. Others than those of the last offer restart ICE (RFC 8839 §4.4.1.1.1).
    pub ice: IceCredentials,
    /// One of them its certificate must have.
    pub fingerprints: ArrayVec<Fingerprint, FINGERPRINTS_MAX>,
    /// Candidates that were read over: names of mDNS among them. None of any kind is ever sent to.
    pub skipped_candidates: u16,
    /// What it says of the handshake.
    pub(super) setup: Setup,
    /// The audio line is in a BUNDLE group.
    pub(super) is_bundled: bool,
    /// All `m=` lines, refused, each with its `a=mid`.
    pub(super) lines: Vec<MediaDescription>,
}

/// The audio of a browser's offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrowserAudio {
    /// Which `m=` line.
    pub index: usize,
    /// From the browser's side.
    pub direction: Direction,
    /// Those that we carry, in the browser's order, with its numbers: speech, and events of each clock.
    pub codecs: Vec<Codec>,
    /// The streams that it names.
    pub sources: Vec<u32>,
}

impl BrowserOffer {
    /// The same as a SIP endpoint would say it, for the side of a call that knows nothing of browsers. It
    /// has no address and no keys: those are of the transport. Of video it has the ways of packing H.264 that
    /// SIP endpoints have.
    #[must_use]
    pub fn as_remote(&self) -> RemoteAudio {
        let mut lines = self.lines.clone();
        for line in &mut lines {
            line.protocol = "RTP/AVP".into();
        }
        let video = self.video.as_ref().ok();
        RemoteAudio {
            index: self.audio.index,
            lines,
            rtp: None,
            rtcp: None,
            direction: self.audio.direction,
            codecs: self.audio.codecs.clone(),
            ptime_ms: None,
            rtcp_mux: true,
            has_open_video: video.is_some(),
            video: video.and_then(|video| video.as_remote()).map(Box::new),
            is_secure: false,
            crypto: Vec::new(),
            origin: ("browser".into(), 0),
        }
    }
}

/// Codecs for speech that every browser has and we carry (RFC 7874 §3): name and clock of RTP.
const SPEECH: [(&str, u32); 4] = [
    ("opus", 48_000),
    ("G722", 8_000),
    ("PCMA", 8_000),
    ("PCMU", 8_000),
];

/// Reads an offer: its first audio line that can be answered, and the video that shares its transport.
///
/// # Errors
///
/// The refusal of the audio line that came furthest.
pub fn read_browser_offer(offer: &SessionDescription) -> Result<BrowserOffer, BrowserRefusal> {
    let mut refusal = BrowserRefusal::NoAudio;
    for (index, media) in offer.media.iter().enumerate() {
        let line = Line {
            offer,
            index,
            media,
        };
        if media.kind != MediaKind::Audio || !line.is_open() {
            continue;
        }
        match read_lines(line) {
            Ok(read) => return Ok(read),
            Err(found) => refusal = refusal.max(found),
        }
    }
    Err(refusal)
}

fn read_lines(line: Line<'_>) -> Result<BrowserOffer, BrowserRefusal> {
    if !line.is_secure() {
        return Err(BrowserRefusal::NotSecure);
    }
    let fingerprints = line.fingerprints()?;
    let setup = match line.said(|transport| transport.setup) {
        Some(Setup::HoldConn) => return Err(BrowserRefusal::NoHandshake),
        // RFC 4145 §4: an offer that does not say is active.
        said => said.unwrap_or(Setup::Active),
    };
    let ice = line
        .said(TransportLines::credentials)
        .ok_or(BrowserRefusal::NoIce)?;
    if line
        .offer
        .browser
        .as_ref()
        .is_some_and(|session| session.ice_lite)
    {
        return Err(BrowserRefusal::BothLite);
    }
    if !line.has_rtcp_mux() {
        return Err(BrowserRefusal::NoRtcpMux);
    }
    let audio = read_audio(line)?;
    let video = offered_video(line, &ice, &fingerprints);
    let skipped = |media: &MediaDescription| {
        let said = media.browser.as_ref();
        said.map_or(0, |said| said.candidates.skipped)
    };
    Ok(BrowserOffer {
        audio,
        video,
        ice,
        fingerprints,
        skipped_candidates: line
            .offer
            .media
            .iter()
            .map(skipped)
            .fold(0, u16::saturating_add),
        setup,
        is_bundled: line.bundle().is_some(),
        lines: line.offer.media.iter().map(refused_with_mid).collect(),
    })
}

fn read_audio(line: Line<'_>) -> Result<BrowserAudio, BrowserRefusal> {
    let mut codecs = line.codecs();
    codecs.retain(|codec| codec.is_telephone_event() || is_browser_speech(codec));
    if !codecs.iter().any(Codec::is_speech) {
        return Err(BrowserRefusal::NoCommonCodec);
    }
    Ok(BrowserAudio {
        index: line.index,
        direction: line.offer.direction_of(line.media),
        codecs,
        sources: line.sources(),
    })
}

fn is_browser_speech(codec: &Codec) -> bool {
    SPEECH.iter().any(|&(name, clock_hz)| {
        codec.name.eq_ignore_ascii_case(name) && codec.rtp_clock_hz() == clock_hz
    })
}

/// A refused line keeps its name (RFC 8829 §5.3.1).
fn refused_with_mid(line: &MediaDescription) -> MediaDescription {
    let mut refused = refused_line(line);
    let mid = line.browser.as_ref().and_then(|said| said.mid.clone());
    refused.browser = mid.map(|mid| {
        Box::new(BrowserLines {
            mid: Some(mid),
            ..BrowserLines::default()
        })
    });
    refused
}

impl BrowserOffer {
    /// What an offer to the SIP side names: of `taken`, in its order, what the browser has, and the events
    /// that `taken` has where the browser has any.
    #[must_use]
    pub fn codecs_for(&self, taken: &[Codec]) -> Vec<Codec> {
        let has_events = self.audio.codecs.iter().any(Codec::is_telephone_event);
        let has = |codec: &&Codec| {
            if codec.is_telephone_event() {
                has_events
            } else {
                self.audio.codecs.iter().any(|one| one.is_same(codec))
            }
        };
        taken.iter().filter(has).cloned().collect()
    }
}

/// One `m=` line of an offer, with what holds for it.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) offer: &'a SessionDescription,
    pub(super) index: usize,
    pub(super) media: &'a MediaDescription,
}

impl<'a> Line<'a> {
    /// Port 0 refuses a line, but for one that is only there within a group (RFC 8843 §6).
    pub(super) fn is_open(self) -> bool {
        let only = |said: &BrowserLines| said.bundle_only;
        self.media.port != 0 || (self.bundle().is_some() && self.own().is_some_and(only))
    }

    /// Any of the names under which browsers write SRTP keyed by DTLS (RFC 8829 §5.1.2).
    pub(super) fn is_secure(self) -> bool {
        matches!(
            Profile::of(&self.media.protocol),
            Profile::Secure | Profile::Foreign
        )
    }

    /// Its codecs, but for those whose packets would be taken for RTCP (RFC 5761 §4).
    pub(super) fn codecs(self) -> Vec<Codec> {
        let mut codecs = codecs_of(self.media);
        codecs.retain(|codec| !(64..96).contains(&codec.payload_type));
        codecs
    }

    fn own(self) -> Option<&'a BrowserLines> {
        self.media.browser.as_deref()
    }

    fn mid(self) -> Option<&'a str> {
        self.own()?.mid.as_deref()
    }

    /// The names of the lines that share a transport with this one.
    pub(super) fn bundle(self) -> Option<&'a [Word]> {
        let mid = self.mid()?;
        let bundles = &self.offer.browser.as_deref()?.bundles;
        let has = |bundle: &&Vec<Word>| bundle.iter().any(|name| name == mid);
        bundles.iter().find(has).map(Vec::as_slice)
    }

    /// The line that speaks for the group: a line that is only there within it says nothing of the
    /// transport (RFC 8843 §7.2).
    fn tagged(self) -> Option<&'a MediaDescription> {
        let first = self.bundle()?.first()?;
        let is_first = |media: &&MediaDescription| {
            let mid = media.browser.as_ref().and_then(|said| said.mid.as_ref());
            mid == Some(first)
        };
        self.offer.media.iter().find(is_first)
    }

    /// What is said of the transport: by the line, else for its group, else for the session.
    pub(super) fn said<T>(self, what: impl Fn(&'a TransportLines) -> Option<T>) -> Option<T> {
        let own = self.own().map(|said| &said.transport);
        let tagged = self.tagged().and_then(|media| media.browser.as_deref());
        let session = self.offer.browser.as_deref();
        let places = [
            own,
            tagged.map(|said| &said.transport),
            session.map(|said| &said.transport),
        ];
        places.into_iter().flatten().find_map(what)
    }

    /// The digests that we compare.
    pub(super) fn fingerprints(
        self,
    ) -> Result<ArrayVec<Fingerprint, FINGERPRINTS_MAX>, BrowserRefusal> {
        let said = |transport: &'a TransportLines| {
            let fingerprints = &transport.fingerprints;
            (!fingerprints.is_empty()).then_some(fingerprints)
        };
        let mut fingerprints = self
            .said(said)
            .ok_or(BrowserRefusal::NoFingerprint)?
            .clone();
        let is_strong = |one: &Fingerprint| one.hash != DigestKind::Sha1;
        let refusal = if fingerprints.iter().any(is_strong) {
            BrowserRefusal::OtherFingerprint
        } else {
            BrowserRefusal::WeakFingerprint
        };
        fingerprints.retain(|fingerprint| fingerprint.hash == DigestKind::Sha256);
        if fingerprints.is_empty() {
            return Err(refusal);
        }
        Ok(fingerprints)
    }

    pub(super) fn has_rtcp_mux(self) -> bool {
        let only = self.own().is_some_and(|said| said.bundle_only);
        self.media.rtcp_mux || (only && self.tagged().is_some_and(|media| media.rtcp_mux))
    }

    /// Of the line and, behind them, of the session.
    pub(super) fn extensions(self) -> Vec<ExtMap> {
        let session = self.offer.browser.as_deref();
        let session = session.map_or(&[][..], |session| &session.extensions);
        self.media
            .extensions
            .iter()
            .chain(session)
            .cloned()
            .collect()
    }

    pub(super) fn sources(self) -> Vec<u32> {
        let sources = self.own().map_or(&[][..], |said| &said.sources);
        sources.iter().map(|source| source.ssrc).collect()
    }

    pub(super) fn names_feedback(self, payload_type: u8, value: &str) -> bool {
        self.media.feedback.iter().any(|named| {
            *named.value == *value
                && named
                    .payload_type
                    .is_none_or(|number| number == payload_type)
        })
    }
}
