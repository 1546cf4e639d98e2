//! Pictures both ways at 2 Mbit/s, H.264 one way and VP8 the other, over lines that lose and disorder
//! packets: the relay loses none, losses are asked for and sent again, and keyframes are asked for no more
//! often than they may.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::harness::{Harness, Sent, Stream, TestLeg, video};
use crate::drop_reason::DropReason;
use crate::limits::KEYFRAME_REQUEST_INTERVAL_MIN;
use crate::rtp::{PayloadType, RtpTimestamp, RtpViewMut, SequenceNumber, Ssrc};

/// What a line does to a packet, by a sequence that is the same in each run.
struct Line {
    state: u64,
    /// Of a thousand packets.
    lost: u64,
    late: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Arrives,
    IsLost,
    /// Arrives with the next frame.
    IsLate,
}

impl Line {
    const fn new(state: u64) -> Self {
        Self {
            state,
            lost: 20,
            late: 20,
        }
    }

    fn fate(&mut self) -> Fate {
        // Knuth's constants for a sequence of 64 bits.
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005);
        self.state = self.state.wrapping_add(1_442_695_040_888_963_407);
        match (self.state >> 33) % 1_000 {
            drawn if drawn < self.lost => Fate::IsLost,
            drawn if drawn < self.lost + self.late => Fate::IsLate,
            _ => Fate::Arrives,
        }
    }
}

/// Makes frames, and sends again what is asked for.
struct Camera {
    stream: Stream,
    made: BTreeMap<u16, Vec<u8>>,
    frames: u64,
    key_is_due: bool,
    to_send: Vec<u16>,
    late: Vec<u16>,
    keys_asked: Vec<Instant>,
    repeats_asked: usize,
}

impl Camera {
    fn new(ssrc: u32, payload_type: u8) -> Self {
        let stream = Stream {
            payload_type,
            ..Stream::new(ssrc)
        };
        Self {
            stream,
            made: BTreeMap::new(),
            frames: 0,
            key_is_due: true,
            to_send: Vec::new(),
            late: Vec::new(),
            keys_asked: Vec::new(),
            repeats_asked: 0,
        }
    }

    fn film(&mut self) {
        let count = if self.key_is_due { 40 } else { 6 };
        self.key_is_due = false;
        let stream = &mut self.stream;
        for place in 1..=count {
            let mut bytes = vec![0x5a; 1_200];
            bytes[0] = 0x80;
            let mut view = RtpViewMut::parse(&mut bytes).unwrap();
            view.set(
                place == count,
                PayloadType::from_bits(stream.payload_type),
                SequenceNumber(stream.sequence),
                RtpTimestamp(stream.timestamp),
                Ssrc(stream.ssrc),
            );
            bytes[12..14].copy_from_slice(&stream.sequence.to_be_bytes());
            self.to_send.push(stream.sequence);
            self.made.insert(stream.sequence, bytes);
            stream.sequence = stream.sequence.wrapping_add(1);
        }
        stream.timestamp = stream.timestamp.wrapping_add(3_000);
        self.frames += 1;
    }

    /// What of it reaches the relay, late ones first.
    fn arriving(&mut self, line: &mut Line) -> Vec<Vec<u8>> {
        let mut numbers = std::mem::take(&mut self.late);
        for number in std::mem::take(&mut self.to_send) {
            match line.fate() {
                Fate::Arrives => numbers.push(number),
                Fate::IsLost => {}
                Fate::IsLate => self.late.push(number),
            }
        }
        let packets = numbers.iter().map(|number| self.made[number].clone());
        packets.collect()
    }

    /// A compound that reached it: all that it asks is of its own stream.
    fn hear(&mut self, mut compound: &[u8], now: Instant, unheard: &BTreeSet<u16>) {
        while compound.len() >= 4 {
            let words = usize::from(u16::from_be_bytes([compound[2], compound[3]]));
            let (packet, rest) = compound.split_at(4 * words + 4);
            compound = rest;
            let (format, kind) = (packet[0] & 0x1f, packet[1]);
            if kind != 205 && kind != 206 {
                continue;
            }
            let source = u32::from_be_bytes(*packet[8..].first_chunk().unwrap());
            assert_eq!(source, self.stream.ssrc, "its own source");
            if (kind, format) == (206, 1) {
                self.keys_asked.push(now);
                self.key_is_due = true;
                continue;
            }
            assert_eq!((kind, format), (205, 1), "nothing else was sent");
            for pair in packet[12..].chunks_exact(4) {
                let first = u16::from_be_bytes([pair[0], pair[1]]);
                let others = u16::from_be_bytes([pair[2], pair[3]]);
                let more = (0..16).filter(|bit| others >> bit & 1 == 1);
                let asked =
                    std::iter::once(first).chain(more.map(|bit| first.wrapping_add(bit + 1)));
                for number in asked {
                    assert!(
                        unheard.contains(&number),
                        "{number} was heard or never sent"
                    );
                    self.repeats_asked += 1;
                    self.to_send.push(number);
                }
            }
        }
    }
}

/// Hears a stream of ours, and asks for what it misses.
#[derive(Default)]
struct Screen {
    ssrc: Option<Ssrc>,
    first: u16,
    /// Places after the first packet.
    heard: BTreeMap<u16, Vec<u8>>,
}

impl Screen {
    fn take(&mut self, sent: &Sent) {
        let rtp = sent.rtp();
        let ssrc = *self.ssrc.get_or_insert_with(|| rtp.ssrc());
        assert_eq!(rtp.ssrc(), ssrc, "one stream");
        if self.heard.is_empty() {
            self.first = rtp.sequence().0;
        }
        let place = rtp.sequence().0.wrapping_sub(self.first);
        self.heard.insert(place, sent.bytes.clone());
    }

    fn missing(&self) -> Vec<u16> {
        let last = self.heard.last_key_value().map_or(0, |(place, _)| *place);
        let missing = (0..last).filter(|place| !self.heard.contains_key(place));
        missing
            .map(|place| self.first.wrapping_add(place))
            .collect()
    }

    /// A NACK for what is missing, and a PLI besides: more often than anybody should.
    fn requests(&self) -> Vec<Vec<u8>> {
        let missing = self.missing();
        let Some(Ssrc(ssrc)) = self.ssrc.filter(|_| !missing.is_empty()) else {
            return Vec::new();
        };
        let pairs = missing.iter().take(30).map(|number| (*number, 0_u16));
        let content: Vec<u8> = pairs
            .flat_map(|(first, others)| [first.to_be_bytes(), others.to_be_bytes()].concat())
            .collect();
        vec![feedback(205, ssrc, &content), feedback(206, ssrc, &[])]
    }
}

/// Of format 1, in its reduced size (RFC 5506).
fn feedback(kind: u8, media: u32, content: &[u8]) -> Vec<u8> {
    let words = u16::try_from(2 + content.len() / 4).unwrap();
    let mut octets = vec![0x81, kind];
    octets.extend(words.to_be_bytes());
    octets.extend([0, 0, 0, 9]);
    octets.extend(media.to_be_bytes());
    octets.extend(content);
    octets
}

/// One direction: from the camera at one leg to the screen at the other.
struct Direction {
    camera: Camera,
    from: TestLeg,
    upstream: Line,
    screen: Screen,
    to: TestLeg,
    downstream: Line,
    /// Of what was filmed, what the screen had not heard when it asked last.
    unheard: BTreeSet<u16>,
    /// As the screen's side names the codec.
    payload_type: u8,
    /// Packets that reached the relay, and those that left it.
    brought: usize,
    relayed: usize,
}

const fn rtcp(rtp: SocketAddr) -> SocketAddr {
    SocketAddr::new(rtp.ip(), rtp.port() + 1)
}

impl Direction {
    /// A frame and what was asked for go to the relay; then the screen asks for what it misses.
    fn bring(&mut self, harness: &mut Harness) {
        for packet in self.camera.arriving(&mut self.upstream) {
            self.brought += 1;
            harness.deliver(self.from.ours, self.from.peer, &packet);
        }
        let first = Stream::new(0).sequence;
        let heard = &self.screen.heard;
        let made = self.camera.made.keys().copied();
        self.unheard = made
            .filter(|number| !heard.contains_key(&number.wrapping_sub(first)))
            .collect();
        for request in self.screen.requests() {
            harness.deliver(rtcp(self.to.ours), rtcp(self.to.peer), &request);
        }
    }

    fn take(&mut self, sent: &Sent, now: Instant) {
        if sent.to == self.to.peer {
            self.relayed += 1;
            if self.screen.heard.is_empty() || self.downstream.fate() != Fate::IsLost {
                self.screen.take(sent);
            }
        } else if sent.to == rtcp(self.from.peer) {
            self.camera.hear(&sent.bytes, now, &self.unheard);
        }
    }

    /// All that was filmed has been seen, in its order, under the numbers of who sees it.
    fn assert_whole(&self) {
        assert_eq!(self.relayed, self.brought, "what came has left");
        assert_eq!(self.screen.heard.len(), self.camera.made.len());
        let mut number = Stream::new(0).sequence;
        for (place, heard) in &self.screen.heard {
            let made = &self.camera.made[&number];
            assert_eq!(heard[12..], made[12..], "place {place}");
            assert_eq!(heard[1], self.payload_type | made[1] & 0x80);
            number = number.wrapping_add(1);
        }
    }

    /// The sender hears of each request after the pause that it may expect.
    fn assert_calm(&self) {
        let asked = &self.camera.keys_asked;
        assert!(asked.len() > 10, "{}", asked.len());
        let pauses = asked.windows(2).map(|pair| pair[1] - pair[0]);
        let shortest = pauses.min().unwrap_or_default();
        assert!(shortest >= KEYFRAME_REQUEST_INTERVAL_MIN, "{shortest:?}");
    }
}

#[test]
fn pictures_over_lossy_lines_come_whole_and_keyframes_are_asked_for_in_measure() {
    let mut harness = Harness::new();
    let (a, b) = harness.call_with(
        video("198.51.100.1:4000", [(97, 120), (100, 121)]),
        video("203.0.113.2:6000", [(120, 97), (121, 100)]),
    );
    let direction = |number, from, to, sends, payload_type| Direction {
        camera: Camera::new(number, sends),
        from,
        upstream: Line::new(u64::from(number)),
        screen: Screen::default(),
        to,
        downstream: Line::new(u64::from(number) + 1),
        unheard: BTreeSet::new(),
        payload_type,
        brought: 0,
        relayed: 0,
    };
    // H.264 there, VP8 back.
    let mut directions = [
        direction(0xaaaa, a, b, 97, 120),
        direction(0xbbbb, b, a, 121, 100),
    ];
    let (frames, repairs) = (600, 30);
    for frame in 0..frames + repairs {
        for direction in &mut directions {
            let is_calm = frame == 0 || frame >= frames;
            for line in [&mut direction.upstream, &mut direction.downstream] {
                (line.lost, line.late) = if is_calm { (0, 0) } else { (20, 20) };
            }
            if frame < frames {
                direction.camera.film();
            }
            direction.bring(&mut harness);
        }
        harness.turn();
        let mut sent = harness.sent();
        let at = harness.now;
        // Reports of its own beside.
        harness.pass(Duration::from_micros(33_333));
        sent.append(&mut harness.sent());
        for sent in &sent {
            for direction in &mut directions {
                direction.take(sent, at);
            }
        }
    }
    for direction in &directions {
        direction.assert_whole();
        direction.assert_calm();
        assert!(
            direction.camera.repeats_asked > 100,
            "losses were asked for"
        );
    }
    assert!(
        harness.dropped(DropReason::FeedbackLimited) > 0,
        "screens asked too often"
    );
    assert!(harness.pool_is_whole());
}
