//! The media of one leg: our port, what we said, what the peer said, and the plan that follows.
//!
//! A description that leaves raises the version of `o=` exactly when it changed (RFC 3264 §8). A
//! payload type number, once it names a codec in a dialog, names it for good (RFC 3264 §8.3.2).

use std::net::SocketAddr;
use std::time::Duration;

use arrayvec::ArrayVec;
use media::command::{LatchPolicy, LegPlan, PairKey, PayloadMapping};
use sip::sdp::{
    Direction, Fmtp, Host, MediaDescription, MediaKind, Origin, RtpMap, SessionDescription,
};

use super::codec::{CODECS_MAX, Codec};
use super::remote::{Line, Remote};

/// A state of a leg that both sides have agreed on.
#[derive(Debug, Clone)]
pub struct Agreed {
    remote: Option<Remote>,
    last: Option<SessionDescription>,
    local_codecs: Vec<Codec>,
    local_direction: Direction,
}

/// One leg's media.
#[derive(Debug)]
pub struct LegMedia {
    /// Its ports.
    pub pair: PairKey,
    /// The address our descriptions name.
    named: SocketAddr,
    /// How its source is learnt.
    pub latch: LatchPolicy,
    session_id: u64,
    version: u64,
    last: Option<SessionDescription>,
    /// What the peer said last and we accepted.
    remote: Option<Remote>,
    /// What we named last, which is what arrives.
    local_codecs: Vec<Codec>,
    local_direction: Direction,
    /// Every number this dialog has given a meaning.
    numbered: Vec<Codec>,
    plan_version: u32,
}

impl LegMedia {
    /// A leg on `pair` whose descriptions name `named`.
    #[must_use]
    pub const fn new(
        pair: PairKey,
        named: SocketAddr,
        latch: LatchPolicy,
        session_id: u64,
    ) -> Self {
        Self {
            pair,
            named,
            latch,
            session_id,
            version: 0,
            last: None,
            remote: None,
            local_codecs: Vec::new(),
            local_direction: Direction::SendRecv,
            numbered: Vec::new(),
            plan_version: 0,
        }
    }

    /// What the peer said last and we accepted.
    #[must_use]
    pub const fn remote(&self) -> Option<&Remote> {
        self.remote.as_ref()
    }

    /// What we said last.
    #[must_use]
    pub const fn last(&self) -> Option<&SessionDescription> {
        self.last.as_ref()
    }

    /// The peer is held, or holds: no timeout then.
    #[must_use]
    pub fn is_held(&self) -> bool {
        let remote = self
            .remote
            .as_ref()
            .map_or(Direction::SendRecv, |remote| remote.direction);
        remote != Direction::SendRecv || self.local_direction != Direction::SendRecv
    }

    /// The peer's description takes effect.
    pub fn accept(&mut self, remote: Remote) {
        if self
            .remote
            .as_ref()
            .is_none_or(|old| old.moves_media(&remote))
        {
            self.plan_version += 1;
        }
        for codec in &remote.codecs {
            self.number(codec);
        }
        self.remote = Some(remote);
    }

    /// What both sides of this leg have said, to be taken back to.
    #[must_use]
    pub fn agreed(&self) -> Agreed {
        Agreed {
            remote: self.remote.clone(),
            last: self.last.clone(),
            local_codecs: self.local_codecs.clone(),
            local_direction: self.local_direction,
        }
    }

    /// Takes back what a refused or withdrawn exchange changed: what the peer said, and what we said
    /// (RFC 3261 §14.1: the session stays as it was). The version of `o=` never falls.
    pub fn restore(&mut self, agreed: Agreed) {
        self.plan_version += 1;
        self.remote = agreed.remote;
        if self.last != agreed.last {
            // The peer has seen the version of what is taken back.
            self.version += 1;
            self.last = agreed.last;
        }
        if let Some(last) = &mut self.last {
            debug_assert!(last.origin.version <= self.version, "versions only rise");
            last.origin.version = self.version;
        }
        self.local_codecs = agreed.local_codecs;
        self.local_direction = agreed.local_direction;
    }

    /// An offer to this peer: `wanted` codecs under the numbers they have here.
    pub fn offer(
        &mut self,
        wanted: &[Codec],
        direction: Direction,
        ptime_ms: Option<u32>,
    ) -> SessionDescription {
        let codecs: Vec<Codec> = wanted
            .iter()
            .take(CODECS_MAX)
            .filter_map(|codec| self.number(codec))
            .collect();
        let (lines, audio) = match &self.remote {
            Some(remote) => (remote.lines.clone(), remote.audio),
            None => (vec![audio_line()], 0),
        };
        self.describe(lines, audio, codecs, direction, ptime_ms)
    }

    /// An answer to this peer's last offer: those of its codecs that `chosen` has, in that order,
    /// under the peer's numbers. `None` where they have no voice codec in common.
    pub fn answer(
        &mut self,
        chosen: &[Codec],
        direction: Direction,
        ptime_ms: Option<u32>,
    ) -> Option<SessionDescription> {
        let remote = self.remote.as_ref()?;
        let codecs = common(chosen, &remote.codecs);
        if !codecs.iter().any(Codec::is_voice) {
            return None;
        }
        let (lines, audio) = (remote.lines.clone(), remote.audio);
        let direction = answered(remote.direction, direction);
        Some(self.describe(lines, audio, codecs, direction, ptime_ms))
    }

    /// What the worker shall do with this leg while its peer leg is `other`.
    #[must_use]
    pub fn plan(&self, other: Option<&Self>, media_timeout: Duration) -> LegPlan {
        let remote = self.remote.as_ref();
        let sends = remote.is_none_or(|remote| remote.direction.receives());
        let receives = remote.is_none_or(|remote| remote.direction.sends());
        let held = self.is_held() || remote.is_none() || media_timeout.is_zero();
        LegPlan {
            remote_rtp: remote.and_then(|remote| remote.rtp),
            remote_rtcp: remote.and_then(|remote| remote.rtcp),
            sends: sends && self.local_direction.sends(),
            receives: receives && self.local_direction.receives(),
            payloads: self.payloads(other),
            latch: self.latch,
            media_timeout: (!held).then_some(media_timeout),
            version: self.plan_version,
        }
    }

    /// What arrives here, by the numbers we named, and what each is where it goes: on the other
    /// leg the number its peer named, without another leg (echo, tone) the one this peer named.
    fn payloads(&self, other: Option<&Self>) -> ArrayVec<PayloadMapping, { CODECS_MAX }> {
        let target = other.unwrap_or(self).remote.as_ref();
        let wanted = target.map_or(&[][..], |remote| remote.codecs.as_slice());
        self.local_codecs
            .iter()
            .filter_map(|codec| {
                let sent = wanted.iter().find(|wanted| wanted.is_same(codec))?;
                Some(PayloadMapping {
                    received: codec.payload_type,
                    sent: sent.payload_type,
                    clock_rate_hz: codec.clock_rate_hz,
                    is_telephone_event: codec.is_telephone_event(),
                })
            })
            .take(CODECS_MAX)
            .collect()
    }

    /// The codec under the number it has in this dialog; a new one gets its own number where that
    /// is free, else a free dynamic one. `None` where no number is left.
    fn number(&mut self, codec: &Codec) -> Option<Codec> {
        if let Some(known) = self.numbered.iter().find(|known| known.is_same(codec)) {
            let payload_type = known.payload_type;
            return Some(Codec {
                payload_type,
                ..codec.clone()
            });
        }
        let taken = |number: u8| {
            self.numbered
                .iter()
                .any(|known| known.payload_type == number)
        };
        let payload_type = if taken(codec.payload_type) {
            DYNAMIC.into_iter().find(|number| !taken(*number))?
        } else {
            codec.payload_type
        };
        let numbered = Codec {
            payload_type,
            ..codec.clone()
        };
        self.numbered.push(numbered.clone());
        Some(numbered)
    }

    fn describe(
        &mut self,
        lines: Vec<Line>,
        audio: usize,
        codecs: Vec<Codec>,
        direction: Direction,
        ptime_ms: Option<u32>,
    ) -> SessionDescription {
        let media = lines
            .into_iter()
            .enumerate()
            .map(|(index, line)| {
                if index == audio {
                    audio_media(line, self.named, &codecs, direction, ptime_ms)
                } else {
                    refused_media(line)
                }
            })
            .collect();
        let mut description = SessionDescription {
            origin: Origin {
                username: "-".into(),
                session_id: self.session_id.to_string().into(),
                version: self.version,
                address: Host::Address(self.named.ip()),
            },
            connection: Some(Host::Address(self.named.ip())),
            direction: None,
            media,
        };
        if self.last.as_ref() != Some(&description) {
            self.version += 1;
            description.origin.version = self.version;
        }
        if self.local_codecs != codecs {
            self.plan_version += 1;
        }
        self.local_codecs = codecs;
        self.local_direction = direction;
        self.last = Some(description.clone());
        description
    }
}

/// Those of `offered` that `chosen` has, in the order of `chosen`.
#[must_use]
pub fn common(chosen: &[Codec], offered: &[Codec]) -> Vec<Codec> {
    chosen
        .iter()
        .filter_map(|codec| {
            let found = offered.iter().find(|offered| offered.is_same(codec))?;
            // What the other side says about its decoder is what this side must hear.
            Some(Codec {
                parameters: codec.parameters.clone(),
                ..found.clone()
            })
        })
        .collect()
}

/// RFC 3264 §6.1: an answer may not send where the offer does not receive, nor the reverse.
#[must_use]
pub const fn answered(offered: Direction, wanted: Direction) -> Direction {
    Direction::new(
        wanted.sends() && offered.receives(),
        wanted.receives() && offered.sends(),
    )
}

fn audio_line() -> Line {
    Line {
        kind: MediaKind::Audio,
        protocol: "RTP/AVP".into(),
        formats: Vec::new(),
    }
}

fn audio_media(
    line: Line,
    named: SocketAddr,
    codecs: &[Codec],
    direction: Direction,
    ptime_ms: Option<u32>,
) -> MediaDescription {
    MediaDescription {
        kind: MediaKind::Audio,
        port: named.port(),
        protocol: line.protocol,
        formats: codecs
            .iter()
            .map(|codec| codec.payload_type.to_string().into())
            .collect(),
        connection: None,
        direction: Some(direction),
        rtpmaps: codecs
            .iter()
            .map(|codec| RtpMap {
                payload_type: codec.payload_type,
                name: codec.name.clone(),
                clock_rate_hz: codec.clock_rate_hz,
                channels: codec.channels,
            })
            .collect(),
        fmtps: codecs
            .iter()
            .filter_map(|codec| {
                let parameters = codec.parameters.clone()?;
                Some(Fmtp {
                    payload_type: codec.payload_type,
                    parameters,
                })
            })
            .collect(),
        ptime_ms,
        rtcp: None,
        rtcp_mux: false,
        crypto: Vec::new(),
    }
}

/// A line we do not take: port zero, the formats kept (RFC 3264 §6).
fn refused_media(line: Line) -> MediaDescription {
    MediaDescription {
        kind: line.kind,
        port: 0,
        protocol: line.protocol,
        formats: line.formats,
        connection: None,
        direction: None,
        rtpmaps: Vec::new(),
        fmtps: Vec::new(),
        ptime_ms: None,
        rtcp: None,
        rtcp_mux: false,
        crypto: Vec::new(),
    }
}

/// RFC 3551 §3.
const DYNAMIC: std::ops::RangeInclusive<u8> = 96..=127;
