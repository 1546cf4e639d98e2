//! Our answers to one browser: as ICE-lite, over one transport.

use std::net::SocketAddr;

use arrayvec::ArrayVec;

use super::offer::BrowserOffer;
use super::video::{AnsweredVideo, describe};
use super::{BROWSER_ADDRESSES_MAX, BrowserRefusal, DtlsRole, GuestVideo, NoVideo};
use crate::offer_answer::codec_match::Codec;
use crate::offer_answer::describe::coded_line;
use crate::offer_answer::direction::answer_direction;
use crate::offer_answer::video::VideoWish;
use crate::sdp::{
    BrowserLines, BrowserSessionLines, Candidate, Candidates, Direction, FINGERPRINTS_MAX,
    Fingerprint, Host, IceCredentials, MediaDescription, MediaKind, Msid, Origin,
    SessionDescription, Setup, Source, TransportLines, Word,
};

/// What an answer shall say.
#[derive(Debug, Clone)]
pub struct BrowserWish<'a> {
    /// Never used before. Taken by the first answer and by each that answers a restart of ICE.
    pub ice: IceCredentials,
    /// Of our certificate.
    pub fingerprint: Fingerprint,
    /// Where browsers reach us, the best one first.
    pub addresses: &'a [SocketAddr],
    /// What the other side takes, in its order, events among it.
    pub audio: &'a [Codec],
    /// From our side.
    pub audio_direction: Direction,
    /// `a=ptime` of audio.
    pub ptime_ms: Option<u32>,
    /// What the other side wishes of video.
    pub video: Option<&'a VideoWish>,
    /// Which ways video may go.
    pub policy: GuestVideo,
    /// What we send.
    pub streams: Streams,
}

/// The streams that we send to a browser. What it missed is sent again by the same one: it has no RTX stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Streams {
    /// The name of who sends (RFC 7022).
    pub cname: Word,
    /// The name of the stream that audio and video are of.
    pub stream: Word,
    /// SSRC of audio.
    pub audio: u32,
    /// SSRC of video.
    pub video: u32,
}

/// An answer, and what holds from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrowserAnswer {
    /// As it leaves.
    pub description: SessionDescription,
    /// Speech and, where both sides have them, its events, with the browser's numbers.
    pub audio: Vec<Codec>,
    /// From our side.
    pub audio_direction: Direction,
    /// What was answered of video, or why there is none.
    pub video: Result<AnsweredVideo, NoVideo>,
    /// Ours, of this transport.
    pub ice: IceCredentials,
    /// Ours in the handshake.
    pub role: DtlsRole,
    /// The browser has a new end of the transport, and so have we.
    pub restarts_ice: bool,
    /// The handshake is made anew: another certificate, or another role (RFC 8842 §5).
    pub renews_dtls: bool,
}

/// The answers to one browser.
#[derive(Debug, Clone)]
pub struct BrowserSession {
    session_id: u64,
    version: u64,
    said: Option<SessionDescription>,
    transport: Option<Box<Transport>>,
}

/// Both ends, as they were last agreed.
#[derive(Debug, Clone)]
struct Transport {
    theirs: IceCredentials,
    ours: IceCredentials,
    fingerprints: ArrayVec<Fingerprint, FINGERPRINTS_MAX>,
    role: DtlsRole,
}

impl BrowserSession {
    /// Nothing is said yet; `session_id` is that of `o=`.
    #[must_use]
    pub const fn new(session_id: u64) -> Self {
        Self {
            session_id,
            version: 0,
            said: None,
            transport: None,
        }
    }

    /// Answers an offer: the first codec for speech that the other side takes and the browser has, the
    /// events of its clock, and the first form of video that both have. What is not taken has port 0 and is
    /// in no group; video that only the other side does not have now is kept open without a direction,
    /// because a browser never uses a line again that was refused.
    ///
    /// # Errors
    ///
    /// Nothing is said then, and what was said last still holds.
    pub fn answer(
        &mut self,
        offer: &BrowserOffer,
        wish: &BrowserWish<'_>,
    ) -> Result<BrowserAnswer, BrowserRefusal> {
        let audio = answered_audio(wish.audio, &offer.audio.codecs)?;
        let address = wish.addresses.first().ok_or(BrowserRefusal::NoAddress)?;
        let (transport, restarts_ice, renews_dtls) = agree(offer, wish, self.transport.as_deref());
        let audio_direction = answer_direction(offer.audio.direction, wish.audio_direction);
        let offered = offer.video.as_deref().map_err(|why| *why);
        let video = offered.and_then(|video| {
            let taken = wish.video.ok_or(NoVideo::NotTaken)?;
            let answered = video.answered(taken, wish.policy)?;
            let is_apart = answered.is_apart_from(&audio);
            is_apart.then_some(answered).ok_or(NoVideo::SharedNumber)
        });
        let reduced_rtcp = offered.is_ok_and(|video| video.reduced_rtcp);
        let mut lines = offer.lines.clone();
        if let Some(line) = lines.get_mut(offer.audio.index) {
            let said = audio_line(line, &audio, wish, address.port());
            let source = Some(wish.streams.audio);
            *line = with_streams(said, line, source, (wish, reduced_rtcp));
            line.direction = Some(audio_direction);
        }
        if let (Ok(video), Some(taken)) = (&video, wish.video)
            && let Some(line) = lines.get_mut(video.index)
        {
            let said = describe(video, taken, address.port(), &line.protocol);
            let source = Some(wish.streams.video);
            *line = with_streams(said, line, source, (wish, reduced_rtcp));
        }
        if let (Err(NoVideo::NotTaken | NoVideo::NoCommonCodec), Ok(video)) = (&video, offered)
            && let Some(line) = lines.get_mut(video.index)
            && let Some(asleep) = video.asleep().filter(|asleep| asleep.is_apart_from(&audio))
        {
            let said = describe(&asleep, &VideoWish::ours(), address.port(), &line.protocol);
            *line = with_streams(said, line, None, (wish, reduced_rtcp));
        }
        let bundle = name_transport(&mut lines, wish, &transport);
        let description = self.describe(*address, lines, bundle.filter(|_| offer.is_bundled));
        let (ice, role) = (transport.ours.clone(), transport.role);
        self.transport = Some(Box::new(transport));
        Ok(BrowserAnswer {
            description,
            audio,
            audio_direction,
            video,
            ice,
            role,
            restarts_ice,
            renews_dtls,
        })
    }

    /// The version of `o=` rises with every change (RFC 3264 §8).
    fn describe(
        &mut self,
        address: SocketAddr,
        lines: Vec<MediaDescription>,
        bundle: Option<Vec<Word>>,
    ) -> SessionDescription {
        let host = Host::Address(address.ip());
        let mut description = SessionDescription {
            origin: Origin {
                username: "-".into(),
                session_id: smol_str::format_smolstr!("{}", self.session_id),
                version: self.version,
                address: host.clone(),
            },
            connection: Some(host),
            direction: None,
            browser: Some(Box::new(BrowserSessionLines {
                bundles: bundle.into_iter().collect(),
                ice_lite: true,
                transport: TransportLines {
                    // RFC 8445 §10.
                    ice_options: Some("ice2".into()),
                    ..TransportLines::default()
                },
                extensions: Vec::new(),
            })),
            media: lines.into(),
        };
        if self.said.as_ref() != Some(&description) {
            self.version += 1;
            description.origin.version = self.version;
        }
        self.said = Some(description.clone());
        description
    }
}

/// The same certificates, in whatever order (RFC 8842 §5.1).
fn names_same(known: &Transport, offer: &BrowserOffer) -> bool {
    let (before, now) = (&known.fingerprints, &offer.fingerprints);
    before.len() == now.len() && before.iter().all(|one| now.contains(one))
}

/// Which end we have from now on, whether ICE begins anew, and whether the handshake does.
fn agree(
    offer: &BrowserOffer,
    wish: &BrowserWish<'_>,
    known: Option<&Transport>,
) -> (Transport, bool, bool) {
    let role = match offer.setup {
        Setup::Passive => DtlsRole::Client,
        // Who offers to take either part keeps the one that it has (RFC 8842 §5.3).
        Setup::ActPass => known.map_or(DtlsRole::Server, |known| known.role),
        Setup::Active | Setup::HoldConn => DtlsRole::Server,
    };
    let restarts = known.is_some_and(|known| known.theirs != offer.ice);
    let renews = known.is_some_and(|known| known.role != role || !names_same(known, offer));
    let ours = match known {
        Some(known) if !restarts => known.ours.clone(),
        _ => wish.ice.clone(),
    };
    debug_assert!(
        !restarts || known.is_none_or(|known| known.ours != ours),
        "a restart has new credentials (RFC 8445 §9)"
    );
    let transport = Transport {
        theirs: offer.ice.clone(),
        ours,
        fingerprints: offer.fingerprints.clone(),
        role,
    };
    (transport, restarts, renews)
}

/// The first codec for speech of `taken` that the browser has, and the browser's events of its clock, else
/// any: events are mapped between clocks.
fn answered_audio(taken: &[Codec], offered: &[Codec]) -> Result<Vec<Codec>, BrowserRefusal> {
    let speech = taken
        .iter()
        .filter(|codec| codec.is_speech())
        .find_map(|codec| {
            let found = offered.iter().find(|offered| offered.is_same(codec))?;
            Some(codec.answering(found))
        });
    let speech = speech.ok_or(BrowserRefusal::NoCommonCodec)?;
    let events = || offered.iter().filter(|codec| codec.is_telephone_event());
    let of_its_clock = |event: &&Codec| event.clock_rate_hz == speech.rtp_clock_hz();
    let event = events().find(of_its_clock).or_else(|| events().next());
    let has_events = taken.iter().any(Codec::is_telephone_event);
    let event = event.filter(|_| has_events).map(|event| Codec {
        fmtp: Some(EVENTS.into()),
        ..event.clone()
    });
    Ok([speech].into_iter().chain(event).collect())
}

/// The keys of a telephone (RFC 4733 §3.2).
const EVENTS: &str = "0-15";

fn audio_line(
    line: &MediaDescription,
    codecs: &[Codec],
    wish: &BrowserWish<'_>,
    port: u16,
) -> MediaDescription {
    let mut media = coded_line(MediaKind::Audio, port, &line.protocol, codecs);
    media.ptime_ms = wish.ptime_ms;
    media
}

/// The line with its name, and the stream that we send on it.
fn with_streams(
    mut media: MediaDescription,
    line: &MediaDescription,
    source: Option<u32>,
    (wish, reduced_rtcp): (&BrowserWish<'_>, bool),
) -> MediaDescription {
    let Streams { cname, stream, .. } = &wish.streams;
    let track = smol_str::format_smolstr!("{stream}-{}", media.kind.as_str());
    media.rtcp_mux = true;
    media.browser = Some(Box::new(BrowserLines {
        mid: line.browser.as_ref().and_then(|said| said.mid.clone()),
        rtcp_rsize: media.kind == MediaKind::Video && reduced_rtcp,
        msid: Some(Msid {
            stream: stream.clone(),
            track: Some(track),
        }),
        sources: source
            .into_iter()
            .map(|ssrc| Source {
                ssrc,
                cname: Some(cname.clone()),
            })
            .collect(),
        ..BrowserLines::default()
    }));
    media
}

/// Every line that is taken names our end; the first one alone has its candidates (RFC 8843 §7.3.1). Their
/// names are those of the group.
fn name_transport(
    lines: &mut [MediaDescription],
    wish: &BrowserWish<'_>,
    transport: &Transport,
) -> Option<Vec<Word>> {
    let mut bundle = Vec::new();
    let mut is_first = true;
    for said in lines
        .iter_mut()
        .filter(|line| line.port != 0)
        .filter_map(|line| line.browser.as_deref_mut())
    {
        said.transport = TransportLines {
            ice_ufrag: Some(transport.ours.ufrag.clone()),
            ice_pwd: Some(transport.ours.password.clone()),
            ice_options: None,
            fingerprints: [wish.fingerprint.clone()].into_iter().collect(),
            setup: Some(transport.role.setup()),
        };
        if is_first {
            said.candidates = candidates(wish.addresses);
            said.end_of_candidates = true;
        }
        is_first = false;
        bundle.extend(said.mid.clone());
    }
    debug_assert!(!is_first, "an answer takes a line");
    (!bundle.is_empty()).then_some(bundle)
}

/// One host candidate for each address, the first one the best (RFC 8445 §5.1.2.1).
fn candidates(addresses: &[SocketAddr]) -> Candidates {
    const HOST_PREFERENCE: u32 = 126;
    const COMPONENT: u32 = 1;
    let hosts = (0_u16..)
        .zip(addresses.iter().take(BROWSER_ADDRESSES_MAX))
        .map(|(place, address)| Candidate {
            foundation: smol_str::format_smolstr!("{}", u32::from(place) + 1),
            priority: (HOST_PREFERENCE << 24)
                | (u32::from(u16::MAX - place) << 8)
                | (256 - COMPONENT),
            address: SocketAddr::new(address.ip(), address.port()),
        })
        .collect();
    Candidates { hosts, skipped: 0 }
}
