//! The media of a model leg: its side of the session, and the RTP it sends.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::keys::{Habit, Keys, Protection};
use super::leg::{Leg, Outbox, Timer};
use super::plan::Plan;
use super::session::{Direction, Session, TELEPHONE_EVENT};
use super::voice::{Stamp, Voice};
use crate::network::{Kind, Packet};
use crate::random::Generator;
use crate::time::SimTime;

/// Numbers of legs from here on belong to intruders.
pub(crate) const INTRUDER: u32 = 1 << 31;

/// What an intruder's packets come from.
pub(crate) const INTRUDER_ADDRESS: ([u8; 4], u16) = ([10, 9, 9, 9], 9000);

/// One side of a session.
#[derive(Debug)]
pub(crate) struct Media {
    /// Where this leg wants RTP.
    pub(crate) local: SocketAddr,
    /// Where it wants it but for music.
    pub(super) home: SocketAddr,
    /// Where it sends it: the gateway's port.
    pub(crate) remote: Option<SocketAddr>,
    /// Our direction as offered or answered last.
    pub(crate) direction: Direction,
    /// Theirs, as written by them.
    pub(crate) remote_direction: Direction,
    /// Packets sent so far.
    pub(crate) sent: u32,
    /// Packets of model peers that arrived here.
    pub(crate) heard: u32,
    payloads: Vec<u8>,
    payload_type: u8,
    version: u64,
    left: u32,
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
    marker: bool,
    number: u32,
    stopped: bool,
    /// It has a camera; `None`: a flow says so line by line.
    camera: Option<bool>,
    /// The video lines that were said last, ours and theirs: true where one has a port.
    video: [Option<bool>; 2],
    /// Its keys, and what the last description says of them.
    pub(crate) keys: Keys,
    protection: Protection,
}

impl Media {
    pub(super) fn new(number: u32, ip: IpAddr, plan: &Plan, random: &mut Generator) -> Self {
        let port = u16::try_from(20_000 + 2 * u64::from(number)).unwrap_or(20_000);
        let mut sequence = u16::try_from(random.below(65_536)).unwrap_or(0);
        let camera = (!plan.manual).then_some(sequence % 2 == 0);
        if plan.keys != Habit::Plain {
            // RFC 4568 §6.4.
            sequence &= 0x7fff;
        }
        let habit = (!plan.manual).then_some(plan.keys);
        let keys = Keys::new(habit, plan.fickle, random.split("keys"));
        Self {
            local: SocketAddr::new(ip, port),
            home: SocketAddr::new(ip, port),
            remote: None,
            direction: Direction::SendReceive,
            remote_direction: Direction::SendReceive,
            sent: 0,
            heard: 0,
            payload_type: plan.payloads.first().copied().unwrap_or(0),
            payloads: plan.payloads.clone(),
            version: 1,
            left: plan.voice_packets,
            sequence,
            timestamp: random.word(),
            ssrc: random.word(),
            marker: true,
            number,
            stopped: false,
            // Half of them, by a number that is drawn anyway.
            camera,
            video: [None; 2],
            keys,
            protection: Protection::default(),
        }
    }

    /// The body of an offer in this direction.
    pub(super) fn offer(&mut self, direction: Direction) -> String {
        self.direction = direction;
        // Now and then the camera is off.
        let wants = self.camera == Some(true) && self.version % 4 != 3;
        let has_line = self.video.iter().any(Option::is_some);
        self.video[0] = (wants || has_line).then_some(wants);
        self.protection = self.keys.offered();
        self.body(self.payloads.clone())
    }

    /// The body of an answer to what the other side wrote last.
    pub(super) fn answer(&mut self) -> String {
        self.direction = self.remote_direction.answered();
        // Each line has its answer (RFC 3264 §6); in a flow its line says which.
        self.video[0] = self
            .camera
            .and_then(|camera| self.video[1].map(|offered| offered && camera));
        self.protection = self.keys.answered();
        let mut payloads = vec![self.payload_type];
        if self.payloads.contains(&TELEPHONE_EVENT) {
            payloads.push(TELEPHONE_EVENT);
        }
        self.body(payloads)
    }

    /// A session of this shape; empty payloads: an answer's codec, or all.
    pub(super) fn say(
        &mut self,
        payloads: &[u8],
        direction: Option<Direction>,
        answers: bool,
    ) -> String {
        if let Some(first) = payloads.iter().find(|given| **given != TELEPHONE_EVENT) {
            self.payload_type = *first;
        }
        if answers && payloads.is_empty() {
            let text = self.answer();
            return match direction {
                Some(direction) => {
                    self.version -= 1;
                    self.direction = direction;
                    let payloads = Session::read(&text).map(|session| session.payloads);
                    self.body(payloads.unwrap_or_default())
                }
                None => text,
            };
        }
        let fitting = if answers {
            self.remote_direction.answered()
        } else {
            Direction::SendReceive
        };
        self.direction = direction.unwrap_or(fitting);
        let payloads = if payloads.is_empty() {
            self.payloads.clone()
        } else {
            payloads.to_vec()
        };
        self.body(payloads)
    }

    /// Another machine speaks from now on, with a stream of its own.
    pub(super) fn move_to(&mut self, local: SocketAddr, random: &mut Generator) {
        if self.local != local {
            self.local = local;
            self.change_ssrc(random);
            self.keys.move_away();
        }
    }

    fn body(&mut self, payloads: Vec<u8>) -> String {
        let text = Session {
            version: self.version,
            rtp: self.local,
            payloads,
            direction: self.direction,
            video: self.video[0].map(|has| if has { self.local.port() + 10_000 } else { 0 }),
            protection: self.protection.clone(),
        }
        .write();
        self.version += 1;
        text
    }

    pub(super) const fn stop(&mut self) {
        self.stopped = true;
    }

    pub(super) fn change_ssrc(&mut self, random: &mut Generator) {
        self.ssrc = random.word();
        self.sequence = u16::try_from(random.below(65_536)).unwrap_or(0);
        if self.protection != Protection::default() {
            self.sequence &= 0x7fff;
        }
        self.timestamp = random.word();
        self.marker = true;
    }

    pub(super) const fn jump(&mut self, gap: u16) {
        self.sequence = self.sequence.wrapping_add(gap);
        self.timestamp = self.timestamp.wrapping_add(160 * gap as u32);
    }

    fn take(&mut self, session: &Session) {
        self.remote = Some(session.rtp);
        self.remote_direction = session.direction;
        self.keys.take(session);
        self.video[1] = session.video.map(|port| port != 0);
        let common = self
            .payloads
            .iter()
            .find(|ours| **ours != TELEPHONE_EVENT && session.payloads.contains(ours));
        if let Some(payload_type) = common {
            self.payload_type = *payload_type;
        }
    }

    const fn may_send(&self) -> bool {
        self.direction.sends() && self.remote_direction.receives()
    }

    /// True where this side expects what that side sends.
    pub(crate) fn wants(&self, other: &Self) -> bool {
        self.direction.receives()
            && self.remote_direction.sends()
            && other.may_send()
            && self.keys.is_sound()
            && other.keys.is_sound()
            && self.payload_type == other.payload_type
    }

    /// True where this side expects voice of this payload type.
    pub(crate) fn hears(&self, payload_type: u8) -> bool {
        self.direction.receives()
            && self.remote_direction.sends()
            && self.keys.is_sound()
            && self.payload_type == payload_type
    }

    /// True where this side may send voice of this payload type.
    pub(crate) fn speaks(&self, payload_type: u8) -> bool {
        self.may_send() && self.keys.is_sound() && self.payload_type == payload_type
    }

    fn next(&mut self) -> Voice {
        let voice = Voice {
            payload_type: self.payload_type,
            marker: self.marker,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
            stamp: Stamp {
                leg: self.number,
                counter: self.sent,
            },
        };
        self.marker = false;
        self.sent += 1;
        self.left = self.left.saturating_sub(1);
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(160);
        voice
    }
}

impl Leg {
    /// The other side's session, offer or answer.
    pub(super) fn connect(&mut self, now: SimTime, session: &Session, out: &mut Outbox) {
        self.media.take(session);
        if self.role == super::leg::Role::Caller {
            self.start_voice(now, out);
        }
    }

    pub(super) fn start_voice(&mut self, now: SimTime, out: &mut Outbox) {
        if self.media.left > 0 && !self.is_armed(&Timer::Voice) {
            self.arm(now + Duration::from_millis(5), Timer::Voice, out);
        }
    }

    /// One packet, whatever the session says: a flow wants to see where it goes.
    pub(crate) fn speak_now(&mut self, out: &mut Outbox) {
        if let Some(remote) = self.media.remote {
            let bytes = self.media.next().write();
            let Some(bytes) = self.media.keys.protect(bytes) else {
                return;
            };
            out.packets.push(Packet {
                kind: Kind::Media,
                source: self.media.local,
                target: remote,
                bytes,
                damaged: false,
            });
        }
    }

    /// One packet, and the next in 20 ms.
    pub(super) fn speak(&mut self, now: SimTime, out: &mut Outbox) {
        if self.media.stopped || self.media.left == 0 {
            return;
        }
        if let Some(remote) = self.media.remote
            && self.media.may_send()
        {
            let bytes = self.media.next().write();
            let bytes = self.media.keys.protect(bytes);
            out.packets.extend(bytes.map(|bytes| Packet {
                kind: Kind::Media,
                source: self.media.local,
                target: remote,
                bytes,
                damaged: false,
            }));
        } else {
            self.media.left -= 1;
        }
        let drift = i64::from(self.plan.drift_ppm) * 20;
        let after = Duration::from_nanos(u64::try_from(20_000_000 + drift).unwrap_or(20_000_000));
        self.arm(now + after, Timer::Voice, out);
    }

    /// A key is pressed (RFC 4733 §2.5.1.4): the event, its end three times, and a network that
    /// doubles the last.
    pub(super) fn press(&mut self, digit: u8, out: &mut Outbox) {
        let Some(remote) = self.media.remote.filter(|_| self.media.may_send()) else {
            return;
        };
        let mut packets = Vec::new();
        for (number, duration) in [160_u16, 320, 480, 480, 480].into_iter().enumerate() {
            let marker = if number == 0 { 0x80 } else { 0 };
            let end = if number >= 2 { 0x80 } else { 0 };
            let mut bytes = vec![0x80, TELEPHONE_EVENT | marker];
            bytes.extend_from_slice(&self.media.sequence.to_be_bytes());
            bytes.extend_from_slice(&self.media.timestamp.to_be_bytes());
            bytes.extend_from_slice(&self.media.ssrc.to_be_bytes());
            bytes.extend_from_slice(&[digit, end | 10]);
            bytes.extend_from_slice(&duration.to_be_bytes());
            self.media.sequence = self.media.sequence.wrapping_add(1);
            packets.extend(self.media.keys.protect(bytes));
        }
        let last = packets.last().cloned();
        packets.extend(last.iter().cloned());
        packets.extend(last);
        self.media.timestamp = self.media.timestamp.wrapping_add(480);
        out.packets.extend(packets.into_iter().map(|bytes| Packet {
            kind: Kind::Media,
            source: self.media.local,
            target: remote,
            bytes,
            damaged: false,
        }));
    }

    /// RTP that looks like this leg's, from an address that is not its own.
    pub(super) fn intrude(&self, out: &mut Outbox) {
        let Some(remote) = self.media.remote else {
            return;
        };
        for counter in 0..6_u16 {
            let voice = Voice {
                payload_type: self.media.payload_type,
                marker: counter == 0,
                sequence: self.media.sequence.wrapping_add(counter),
                timestamp: self.media.timestamp,
                ssrc: self.media.ssrc,
                stamp: Stamp {
                    leg: INTRUDER | self.number,
                    counter: u32::from(counter),
                },
            };
            out.packets.push(Packet {
                kind: Kind::Media,
                source: SocketAddr::from(INTRUDER_ADDRESS),
                target: remote,
                bytes: voice.write(),
                damaged: false,
            });
        }
    }
}
