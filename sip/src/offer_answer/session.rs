//! What is said in one dialog, from our side: our last description, the peer's, and the numbers
//! that codecs have.
//!
//! A description that leaves raises the version of `o=` exactly when it changed (RFC 3264 §8). A
//! payload type number, once it names a codec in a dialog, names it for good (RFC 3264 §8.3.2).

use std::net::SocketAddr;

use super::codec_match::Codec;
use super::crypto::{
    AgreedKeys, CryptoLine, CryptoOffer, CryptoPolicy, CryptoSuite, LineKeys, OwnKeys, Profile,
    SECURE,
};
use super::describe::{AudioLine, refused_line};
use super::direction::answer_direction;
use super::numbers::Numbers;
use super::remote::{RemoteAudio, Unusable};
use super::video::{self, RemoteVideo, SaidVideo, VideoWish};
use crate::sdp::{Direction, Host, MediaDescription, MediaKind, Origin, SessionDescription};

/// The descriptions of one dialog.
#[derive(Debug)]
pub struct Session {
    /// Where we receive.
    local: SocketAddr,
    session_id: u64,
    version: u64,
    current: Descriptions,
    numbers: Numbers,
    /// `None`: no SRTP here.
    crypto: Option<Box<Crypto>>,
    /// Where we receive video.
    video_local: Option<SocketAddr>,
    /// What our next description says of video.
    wish: Option<VideoWish>,
    video_numbers: Numbers,
}

/// What a dialog may do with keys.
#[derive(Debug)]
struct Crypto {
    policy: CryptoPolicy,
    offer: CryptoOffer,
    /// Ours, of the audio line.
    audio: OwnKeys,
    /// Of the video line.
    video: Option<OwnKeys>,
}

/// What both sides said last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptions {
    /// Our description, as it left.
    pub ours: Option<SessionDescription>,
    /// The codecs it named, with the numbers that arrive.
    pub codecs: Vec<Codec>,
    /// Its direction, from our side.
    pub direction: Direction,
    /// What the peer said, and we accepted.
    pub theirs: Option<RemoteAudio>,
    /// What we said of video; `None`: no line of ours, or port 0.
    pub video: Option<SaidVideo>,
    /// It answered an offer of the peer's.
    pub is_answer: bool,
    /// Our keys that it named.
    pub crypto: Vec<CryptoLine>,
    /// The keys in use since the last exchange that is over; `None`: plain RTP.
    pub agreed: Option<Box<AgreedKeys>>,
    /// The keys of video; `None`: plain RTP, or no video.
    pub video_agreed: Option<Box<AgreedKeys>>,
    /// The version of the last description that left.
    said: u64,
}

impl Descriptions {
    /// Keys were said, and it is not known yet which, if any, hold: nothing may flow, least of all in the
    /// clear.
    #[must_use]
    pub fn waits_for_keys(&self) -> bool {
        let theirs_are_secure = match &self.theirs {
            Some(theirs) => theirs.is_secure,
            None => !self.crypto.is_empty(),
        };
        self.agreed.is_none() && theirs_are_secure
    }

    /// The same of video.
    #[must_use]
    pub fn video_waits_for_keys(&self) -> bool {
        let video = self.theirs.as_ref().map(|theirs| theirs.video.as_ref());
        let is_secure = match (video, &self.video) {
            (Some(video), _) => video.is_some_and(|video| video.is_secure),
            (None, Some(said)) => !said.crypto.is_empty(),
            (None, None) => false,
        };
        self.video_agreed.is_none() && is_secure
    }

    fn video_suite(&self) -> Option<CryptoSuite> {
        self.video_agreed.as_ref().map(|agreed| agreed.suite())
    }

    fn suite(&self) -> Option<CryptoSuite> {
        self.agreed.as_ref().map(|agreed| agreed.suite())
    }
}

impl Session {
    /// Nothing is said yet; `local` is what our descriptions will name, `session_id` their `o=`.
    #[must_use]
    pub const fn new(local: SocketAddr, session_id: u64) -> Self {
        Self {
            local,
            session_id,
            version: 0,
            current: Descriptions {
                ours: None,
                codecs: Vec::new(),
                direction: Direction::SendRecv,
                theirs: None,
                video: None,
                is_answer: false,
                crypto: Vec::new(),
                agreed: None,
                video_agreed: None,
                said: 0,
            },
            numbers: Numbers::NONE,
            crypto: None,
            video_local: None,
            wish: None,
            video_numbers: Numbers::NONE,
        }
    }

    /// From now on video can be received here; `None`: nowhere.
    pub const fn receive_video_at(&mut self, local: Option<SocketAddr>) {
        self.video_local = local;
    }

    /// What the next description says of video; without it that has no video, or port 0.
    pub fn wish_video(&mut self, wish: Option<VideoWish>) {
        self.wish = wish;
    }

    /// From now on keys are offered and taken so, and these are ours. The same `keys` for as long as the
    /// peer stays where it is (RFC 4568 §7.1.4).
    pub fn set_crypto(&mut self, policy: CryptoPolicy, offer: CryptoOffer, keys: LineKeys) {
        debug_assert!(
            policy != CryptoPolicy::Off || offer == CryptoOffer::Plain,
            "what is offered would be taken"
        );
        self.crypto = Some(Box::new(Crypto {
            policy,
            offer,
            audio: OwnKeys::new(keys),
            video: None,
        }));
    }

    /// The first offer of this dialog shall be such a one.
    pub fn set_crypto_offer(&mut self, offer: CryptoOffer) {
        if let Some(crypto) = &mut self.crypto {
            crypto.offer = offer;
        }
    }

    /// Keys of ours for when the present ones are left, of audio and of video.
    pub fn take_spare_keys(&mut self, audio: LineKeys, video: LineKeys) {
        let Some(crypto) = &mut self.crypto else {
            return;
        };
        crypto
            .audio
            .take_spare(audio, self.current.agreed.as_deref());
        if let Some(own) = &mut crypto.video {
            own.take_spare(video, self.current.video_agreed.as_deref());
        }
    }

    /// There are none of them.
    #[must_use]
    pub fn wants_spare_keys(&self) -> bool {
        self.lines_of_keys().any(OwnKeys::wants_spare)
    }

    /// The peer has moved and has another key: our next offer has another one of ours.
    #[must_use]
    pub fn owes_keys(&self) -> bool {
        self.lines_of_keys().any(OwnKeys::owes)
    }

    fn lines_of_keys(&self) -> impl Iterator<Item = &OwnKeys> {
        let crypto = self.crypto.iter();
        crypto.flat_map(|crypto| [&crypto.audio].into_iter().chain(&crypto.video))
    }

    /// Our keys of a video line, where keys are set at all.
    pub fn set_video_keys(&mut self, keys: LineKeys) {
        if let Some(crypto) = &mut self.crypto {
            crypto.video = Some(OwnKeys::new(keys));
        }
    }

    /// Whether keys are taken in this dialog.
    #[must_use]
    pub fn policy(&self) -> CryptoPolicy {
        self.crypto
            .as_ref()
            .map_or(CryptoPolicy::Off, |crypto| crypto.policy)
    }

    /// What both sides said last.
    #[must_use]
    pub const fn current(&self) -> &Descriptions {
        &self.current
    }

    /// The peer's answer to our last offer takes effect, and with it the keys.
    pub fn accept_answer(&mut self, theirs: RemoteAudio) {
        let agreed = agreed_of(&self.current.crypto, &theirs.crypto);
        debug_assert!(
            agreed.is_some() || theirs.crypto.is_empty(),
            "an answer was read against the offer"
        );
        let before = std::mem::replace(&mut self.current.agreed, agreed);
        let (said, video) = (self.current.video.as_ref(), theirs.video.as_deref());
        let agreed = said
            .zip(video)
            .and_then(|(said, theirs)| agreed_of(&said.crypto, &theirs.crypto));
        let video_before = std::mem::replace(&mut self.current.video_agreed, agreed);
        if let Some(crypto) = &mut self.crypto {
            let (named, now) = ((theirs.rtp, &*theirs.crypto), &self.current.agreed);
            crypto
                .audio
                .answered(named, before.as_deref(), now.as_deref());
            if let Some(own) = &mut crypto.video {
                let named = video.map_or((None, &[][..]), |video| (video.rtp, &video.crypto));
                let now = &self.current.video_agreed;
                own.answered(named, video_before.as_deref(), now.as_deref());
            }
        }
        self.accept(theirs);
    }

    /// The peer's description takes effect. Keys of an offer do with our answer.
    pub fn accept(&mut self, theirs: RemoteAudio) {
        for codec in &theirs.codecs {
            self.numbers.number(codec);
        }
        for codec in theirs.video.iter().flat_map(|video| &video.codecs) {
            self.video_numbers.number(codec);
        }
        self.current.theirs = Some(theirs);
    }

    /// Takes back a refused or withdrawn exchange: the session is as it was (RFC 3261 §14.1).
    /// Versions and numbers that were used stay used.
    pub fn restore(&mut self, before: Descriptions) {
        if self.current.ours != before.ours {
            // The peer has seen the version of what is taken back.
            self.version = self.current.said + 1;
        }
        let said = self.current.said;
        let left = std::mem::replace(&mut self.current, before);
        self.current.said = said;
        self.note_left_keys(&left);
        if let Some(ours) = &mut self.current.ours {
            debug_assert!(ours.origin.version <= self.version, "versions only rise");
            ours.origin.version = self.version;
        }
    }

    /// The same of an exchange that the peer has answered: lines of ours that it has seen stay, refused,
    /// because no line ever goes away (RFC 3264 §8).
    pub fn restore_answered(&mut self, before: Descriptions) {
        let left = self.current.ours.clone();
        self.restore(before);
        if let (Some(ours), Some(left)) = (&mut self.current.ours, left) {
            let kept = ours.media.len();
            let more = left.media.iter().skip(kept).map(refused_line);
            ours.media = ours.media.iter().cloned().chain(more).collect();
        }
    }

    /// Keys that were in use before, and may not be any more.
    fn note_left_keys(&mut self, before: &Descriptions) {
        let Some(crypto) = &mut self.crypto else {
            return;
        };
        let now = self.current.agreed.as_deref();
        crypto.audio.settle(None, before.agreed.as_deref(), now);
        if let Some(own) = &mut crypto.video {
            let now = self.current.video_agreed.as_deref();
            own.settle(None, before.video_agreed.as_deref(), now);
        }
    }

    /// Takes back an offer that never left: nobody has seen its version.
    pub fn unsay(&mut self, before: Descriptions) {
        debug_assert!(before.said <= self.current.said, "versions only rise");
        self.current = before;
        let ours = self.current.ours.as_ref();
        self.version = ours.map_or(0, |ours| ours.origin.version);
    }

    /// An offer: the `wanted` codecs under the numbers they have here, one of each. Within a dialog
    /// every line of our last description stands again in its place (RFC 3264 §8).
    pub fn offer(
        &mut self,
        wanted: &[Codec],
        direction: Direction,
        ptime_ms: Option<u32>,
    ) -> SessionDescription {
        if let Some(crypto) = &mut self.crypto {
            crypto.audio.offer(self.current.agreed.as_deref());
            if let Some(own) = &mut crypto.video {
                own.offer(self.current.video_agreed.as_deref());
            }
        }
        let mut codecs: Vec<Codec> = Vec::with_capacity(wanted.len());
        for codec in wanted {
            // Two forms of one codec differ in what its parameters say only; the first is taken.
            if !codecs.iter().any(|taken| taken.is_same(codec)) {
                codecs.extend(self.numbers.number(codec));
            }
        }
        let last = self.current.ours.as_ref();
        let mut lines: Vec<_> = last.iter().flat_map(|last| &last.media).collect();
        let in_use = |line: &&MediaDescription| line.kind == MediaKind::Audio && line.port != 0;
        let audio = lines.iter().position(in_use).unwrap_or(lines.len());
        let first = MediaDescription::new(MediaKind::Audio, 0, self.first_transport().into());
        let is_first = audio == lines.len();
        if is_first {
            lines.push(&first);
        }
        let mut lines: Vec<_> = lines.into_iter().map(refused_line).collect();
        let protocol = lines.get(audio).map_or("", |line| &line.protocol);
        let crypto = self.offered_keys(is_first, protocol);
        self.offer_video(&mut lines, audio, !crypto.is_empty());
        let last = self.current.ours.as_ref();
        debug_assert!(
            last.is_none_or(|last| lines.len() >= last.media.len()),
            "no line ever goes away (RFC 3264 §8)"
        );
        self.current.is_answer = false;
        let said = (codecs, crypto, direction);
        self.describe(lines, audio, said, ptime_ms)
    }

    fn first_transport(&self) -> &'static str {
        match self.crypto.as_ref().map(|crypto| crypto.offer) {
            Some(CryptoOffer::Secure) => SECURE,
            Some(CryptoOffer::Plain | CryptoOffer::BestEffort) | None => "RTP/AVP",
        }
    }

    /// The keys that an offer names: a line that has keys keeps them, and one that has none gets none
    /// but in its first offer.
    fn offered_keys(&self, is_first: bool, protocol: &str) -> Vec<CryptoLine> {
        let Some(crypto) = &self.crypto else {
            return Vec::new();
        };
        let begins = is_first && crypto.offer != CryptoOffer::Plain;
        let is_secure = Profile::of(protocol) == Profile::Secure;
        if begins || is_secure || self.current.agreed.is_some() {
            crypto.audio.keys().offered(self.current.suite())
        } else {
            Vec::new()
        }
    }

    /// Answers the peer's last offer: of what it has in common with `chosen`, in the order of
    /// `chosen`, the first codec for speech and `telephone-event`, under the peer's numbers.
    /// `wanted` is the direction we would like, from our side.
    ///
    /// # Errors
    ///
    /// Where they have no codec for speech in common, or nothing was offered.
    pub fn answer(
        &mut self,
        chosen: &[Codec],
        wanted: Direction,
        ptime_ms: Option<u32>,
    ) -> Result<SessionDescription, Unusable> {
        let theirs = self.current.theirs.as_ref().ok_or(Unusable::NoAudio)?;
        let codecs = answered(chosen, &theirs.codecs).ok_or(Unusable::NoCommonCodec)?;
        let direction = answer_direction(theirs.direction, wanted);
        let (mut lines, audio) = (theirs.lines.clone(), theirs.index);
        let rtp = theirs.rtp;
        let taken = self.crypto.as_mut().and_then(|crypto| {
            let (suite, in_use) = (self.current.suite(), self.current.agreed.as_deref());
            crypto.audio.meet((rtp, &theirs.crypto), in_use);
            crypto.audio.keys().answer(&theirs.crypto, suite)
        });
        if taken.is_none() && (theirs.is_secure || self.policy() == CryptoPolicy::Required) {
            return Err(Unusable::NoUsableKey);
        }
        let agreed = taken
            .as_ref()
            .map(|(ours, theirs)| AgreedKeys::of(ours, theirs));
        let crypto = taken.map(|(ours, _)| ours).into_iter().collect();
        self.answer_video(&mut lines, agreed.is_some());
        let before = std::mem::replace(&mut self.current.agreed, agreed.map(Box::new));
        if let Some(crypto) = &mut self.crypto {
            let now = self.current.agreed.as_deref();
            crypto.audio.settle(rtp, before.as_deref(), now);
        }
        self.current.is_answer = true;
        let said = (codecs, crypto, direction);
        Ok(self.describe(lines, audio, said, ptime_ms))
    }

    /// Answers an offer of which nothing can be taken, where refusing the whole of it would be worse: a
    /// hold with music from a multicast group is still a hold. Every line gets port 0, and the next
    /// offer begins anew.
    pub fn refuse_streams(&mut self, offer: &SessionDescription) -> SessionDescription {
        let lines = offer.media.iter().map(refused_line).collect();
        let before = self.current.clone();
        (self.current.theirs, self.current.agreed) = (None, None);
        (self.current.video, self.current.video_agreed) = (None, None);
        self.note_left_keys(&before);
        self.current.is_answer = true;
        self.say(lines, (Vec::new(), Vec::new(), Direction::Inactive))
    }

    /// Our video line in an offer, where there is something to say of video; with keys where audio has
    /// some, and not at all where it would have none then. A new line goes as the audio line does.
    fn offer_video(&mut self, lines: &mut Vec<MediaDescription>, audio: usize, is_secure: bool) {
        let wish = self.wish.take().zip(self.video_local);
        let ours = self
            .crypto
            .as_ref()
            .and_then(|crypto| crypto.video.as_ref());
        let keys = match ours {
            _ if !is_secure => Some(Vec::new()),
            Some(own) => Some(own.keys().offered(self.current.video_suite())),
            None => None,
        };
        let in_use = |line: &MediaDescription| line.kind == MediaKind::Video && line.port != 0;
        let last = self.current.ours.as_ref();
        let in_use = last.and_then(|last| last.media.iter().position(in_use));
        let theirs = self.current.theirs.as_ref();
        let theirs = theirs.and_then(|theirs| theirs.video.as_deref());
        let numbers = &mut self.video_numbers;
        let places = (audio, in_use);
        self.current.video = wish.zip(keys).and_then(|((wish, local), keys)| {
            video::offer_line(lines, places, (&wish, local), theirs, keys, numbers)
        });
    }

    /// Our answer to the peer's video line, where it has one and there is something to say.
    fn answer_video(&mut self, lines: &mut [MediaDescription], is_secure: bool) {
        let wish = self.wish.take().zip(self.video_local);
        let theirs = self.current.theirs.as_ref();
        let theirs = theirs.and_then(|theirs| theirs.video.as_deref());
        let ours = self
            .crypto
            .as_mut()
            .and_then(|crypto| crypto.video.as_mut());
        let suite = self.current.video_suite();
        let taken = theirs.zip(ours).and_then(|(theirs, ours)| {
            let in_use = self.current.video_agreed.as_deref();
            ours.meet((theirs.rtp, &theirs.crypto), in_use);
            ours.keys().answer(&theirs.crypto, suite)
        });
        let rtp = theirs.and_then(|theirs| theirs.rtp);
        let agreed = taken
            .as_ref()
            .map(|(ours, theirs)| Box::new(AgreedKeys::of(ours, theirs)));
        let key = taken.map(|(ours, _)| ours);
        // As audio is protected, so is video.
        let fits = |theirs: &&RemoteVideo| {
            key.is_some() == is_secure && (key.is_some() || !theirs.is_secure)
        };
        let said = theirs
            .filter(fits)
            .zip(wish)
            .and_then(|(theirs, (wish, local))| {
                video::answer_line(lines, &wish, local, theirs, key.clone())
            });
        let agreed = agreed.filter(|_| said.is_some());
        let before = std::mem::replace(&mut self.current.video_agreed, agreed);
        self.current.video = said;
        let own = self
            .crypto
            .as_mut()
            .and_then(|crypto| crypto.video.as_mut());
        if let Some(own) = own {
            let now = self.current.video_agreed.as_deref();
            own.settle(rtp, before.as_deref(), now);
        }
    }

    fn describe(
        &mut self,
        mut lines: Vec<MediaDescription>,
        audio: usize,
        said: Said,
        ptime_ms: Option<u32>,
    ) -> SessionDescription {
        debug_assert!(audio < lines.len(), "the audio line is one of the lines");
        let theirs = self.current.theirs.as_ref();
        let (codecs, crypto, direction) = &said;
        let ours = AudioLine {
            local: self.local,
            codecs,
            direction: *direction,
            ptime_ms,
            rtcp_mux: theirs.is_some_and(|theirs| theirs.rtcp_mux),
            crypto,
        };
        if let Some(line) = lines.get_mut(audio) {
            *line = ours.describe(&line.protocol);
        }
        self.say(lines, said)
    }

    /// These lines are our description now; its version rises where it is another one.
    fn say(
        &mut self,
        mut lines: Vec<MediaDescription>,
        (codecs, crypto, direction): Said,
    ) -> SessionDescription {
        let address = Host::Address(self.local.ip());
        let elsewhere = self.video_local.map(|local| local.ip());
        if let Some(elsewhere) = elsewhere.filter(|video| *video != self.local.ip()) {
            let video = |line: &&mut MediaDescription| line.kind == MediaKind::Video;
            for line in lines.iter_mut().filter(video).filter(|line| line.port != 0) {
                line.connection = Some(Host::Address(elsewhere));
            }
        }
        let mut description = SessionDescription {
            origin: Origin {
                username: "-".into(),
                session_id: smol_str::format_smolstr!("{}", self.session_id),
                version: self.version,
                address: address.clone(),
            },
            connection: Some(address),
            direction: None,
            browser: None,
            media: lines.into(),
        };
        if self.current.ours.as_ref() != Some(&description) {
            self.version = self.current.said + 1;
            description.origin.version = self.version;
        }
        debug_assert!(
            (self.current.said..=self.current.said + 1).contains(&self.version),
            "a version rises by one at most (RFC 3264 §8)"
        );
        debug_assert_eq!(
            description.origin.version, self.version,
            "what is said has the version that is remembered"
        );
        self.current.said = self.version;
        self.current.codecs = codecs;
        self.current.crypto = crypto;
        self.current.direction = direction;
        self.current.ours = Some(description.clone());
        description
    }
}

/// What our audio line names: codecs, keys, direction.
type Said = (Vec<Codec>, Vec<CryptoLine>, Direction);

/// The keys of our lines and of the peer's that answer one of them.
fn agreed_of(ours: &[CryptoLine], theirs: &[CryptoLine]) -> Option<Box<AgreedKeys>> {
    theirs.iter().find_map(|theirs| {
        let ours = ours.iter().find(|ours| ours.answers(theirs))?;
        Some(Box::new(AgreedKeys::of(ours, theirs)))
    })
}

/// One codec for speech and the events that go with it: those of its clock (RFC 4733 §2.1), else
/// any, because many peers pair opus with `telephone-event/8000`.
fn answered(chosen: &[Codec], offered: &[Codec]) -> Option<Vec<Codec>> {
    let common = chosen.iter().filter_map(|codec| {
        let found = offered.iter().find(|offered| offered.is_same(codec))?;
        Some(codec.answering(found))
    });
    let (mut events, mut speech) = (Vec::new(), None);
    for codec in common {
        if codec.is_telephone_event() {
            events.push(codec);
        } else if codec.is_speech() && speech.is_none() {
            speech = Some(codec);
        }
    }
    let speech = speech?;
    let of_its_clock = |event: &&Codec| event.clock_rate_hz == speech.rtp_clock_hz();
    let event = events
        .iter()
        .find(of_its_clock)
        .or_else(|| events.first())
        .cloned();
    Some([speech].into_iter().chain(event).collect())
}
