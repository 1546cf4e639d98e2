//! The test picture of `local:tone`: who sees it, when, and what a decoder makes of it.

use super::feedback::feedback;
use super::harness::{Harness, Sent, Stream, TestLeg, address, video};
use crate::command::{LegPlan, Target};
use crate::drop_reason::DropReason;
use crate::rtcp::{Compound, Kind};
use crate::rtp::{RtpTimestamp, RtpView, Ssrc};
use crate::test_picture::reader::Reader;
use std::net::SocketAddr;

/// H.264 that is 97 here and 103 where its peer takes it.
fn h264(remote: &str) -> LegPlan {
    video(remote, [(97, 103)])
}

const PEER: &str = "198.51.100.1:4000";

/// A phone that has shown its own picture once, and what we have sent it since.
fn call() -> (Harness, TestLeg, Vec<Sent>) {
    let mut harness = Harness::new();
    let leg = harness.connect(h264(PEER), Target::Tone);
    let sent = show(&mut harness, leg);
    (harness, leg, sent)
}

fn show(harness: &mut Harness, leg: TestLeg) -> Vec<Sent> {
    let mut stream = Stream {
        payload_type: 97,
        ..Stream::new(0xaaaa)
    };
    harness.exchange(leg.ours, leg.peer, &stream.next())
}

/// What leaves for the peer's own port in so long.
fn seen(harness: &mut Harness, leg: TestLeg, milliseconds: u64) -> Vec<Sent> {
    harness.pass_ms(milliseconds);
    let sent = harness.sent();
    sent.into_iter()
        .filter(|sent| sent.to == leg.peer)
        .collect()
}

const fn beside(rtp: SocketAddr) -> SocketAddr {
    SocketAddr::new(rtp.ip(), rtp.port() + 1)
}

/// A decoder behind a depacketizer: numbers without a gap, one time a picture, its end marked.
#[derive(Default)]
struct Screen {
    reader: Reader,
    last: Option<(u16, RtpTimestamp, bool)>,
    /// The time of the first picture.
    first: Option<RtpTimestamp>,
}

impl Screen {
    fn take(&mut self, packets: &[Sent]) {
        for packet in packets {
            self.take_one(packet.rtp());
        }
    }

    fn take_one(&mut self, packet: RtpView<'_>) {
        assert_eq!(packet.payload_type().value(), 103);
        let (number, at) = (packet.sequence().0, packet.timestamp());
        if let Some((last, before, was_end)) = self.last {
            assert_eq!(number, last.wrapping_add(1));
            assert_eq!(at != before, was_end, "a marker ends a picture");
        }
        self.last = Some((number, at, packet.marker()));
        self.reader.read(packet.payload());
        let first = *self.first.get_or_insert(at);
        if packet.marker() {
            let ticks = u32::try_from(at.distance_from(first)).unwrap();
            assert!(ticks.is_multiple_of(9_000), "ten a second in 90 kHz");
        }
    }
}

#[test]
fn whoever_is_proven_sees_ten_pictures_a_second() {
    let mut harness = Harness::new();
    let leg = harness.connect(h264(PEER), Target::Tone);
    assert!(seen(&mut harness, leg, 1_000).is_empty(), "nobody is there");
    assert!(show(&mut harness, leg).is_empty());
    let mut screen = Screen::default();
    for second in 1..=20 {
        screen.take(&seen(&mut harness, leg, 1_000));
        assert_eq!(screen.reader.pictures, 10 * second);
        let number = 10 * (second + 1);
        let shows = |number| screen.reader.shows(number);
        assert!(shows(number) || shows(number - 1), "{second}");
    }
    assert_eq!(screen.reader.keyframes, 4);
    assert_eq!(harness.dropped(DropReason::NoTarget), 1, "what came");
    let counters = harness.disconnect(leg);
    assert_eq!(counters.packets_sent, 200 + 2 * 4);
    assert!(harness.pool_is_whole());
}

#[test]
fn who_asks_for_a_keyframe_gets_one_with_the_next_picture() {
    let (mut harness, leg, sent) = call();
    let mut screen = Screen::default();
    screen.take(&sent);
    screen.take(&seen(&mut harness, leg, 1_000));
    assert_eq!(screen.reader.keyframes, 1);
    let ours = harness.sent();
    assert!(ours.is_empty());
    let ours = screen_source(&mut harness, leg, &mut screen);
    let request = |number: u8| {
        let [a, b, c, d] = ours.0.to_be_bytes();
        feedback(206, 4, Ssrc(0), &[a, b, c, d, number, 0, 0, 0])
    };
    // Each with the keyframes that there are after it.
    let asked = [
        (feedback(206, 1, ours, &[]), 2),
        (request(7), 3),
        (request(7), 3),
        (request(8), 4),
        (feedback(206, 1, Ssrc(5), &[]), 4),
        (feedback(205, 1, ours, &[0, 1, 0, 0]), 4),
    ];
    for (octets, keyframes) in asked {
        let sent = harness.exchange(beside(leg.ours), beside(leg.peer), &octets);
        assert!(sent.is_empty(), "in its time");
        screen.take(&seen(&mut harness, leg, 100));
        assert_eq!(screen.reader.keyframes, keyframes, "{octets:?}");
    }
    assert_eq!(harness.dropped(DropReason::FeedbackNoTarget), 2);
}

/// Our source, as the next picture names it.
fn screen_source(harness: &mut Harness, leg: TestLeg, screen: &mut Screen) -> Ssrc {
    let sent = seen(harness, leg, 100);
    screen.take(&sent);
    sent[0].rtp().ssrc()
}

/// It has no camera: its reports come from where its pictures go, and say nothing of another place.
#[test]
fn who_only_listens_is_proven_by_its_reports() {
    let mut harness = Harness::new();
    let leg = harness.connect(h264(PEER), Target::Tone);
    let report = [0x80, 201, 0, 1, 0, 0, 0, 9];
    harness.exchange(beside(leg.ours), address("203.0.113.9:4001"), &report);
    assert!(seen(&mut harness, leg, 1_000).is_empty(), "of a stranger");
    harness.exchange(beside(leg.ours), beside(leg.peer), &report);
    let mut screen = Screen::default();
    screen.take(&seen(&mut harness, leg, 1_000));
    assert_eq!(screen.reader.pictures, 10);
    harness.update(leg, h264("203.0.113.9:4000"), Target::Tone);
    harness.pass_ms(1_000);
    let sent = harness.sent();
    let elsewhere = address("203.0.113.9:4000");
    assert!(sent.iter().all(|sent| sent.to != elsewhere), "not proven");
}

#[test]
fn a_hold_stops_the_pictures_and_they_begin_anew_after_it() {
    let (mut harness, leg, sent) = call();
    let mut screen = Screen::default();
    screen.take(&sent);
    screen.take(&seen(&mut harness, leg, 1_000));
    let held = LegPlan {
        sends: false,
        ..h264(PEER)
    };
    harness.update(leg, held, Target::Tone);
    assert!(seen(&mut harness, leg, 3_000).is_empty());
    harness.update(leg, h264(PEER), Target::Tone);
    screen.take(&seen(&mut harness, leg, 500));
    assert_eq!(screen.reader.keyframes, 2);
    let times = screen.last.zip(screen.first);
    let ticks = times.map(|((_, at, _), first)| at.distance_from(first));
    let at = ticks.expect("pictures") / 9_000;
    assert!((44..=46).contains(&at), "the time went on: {at}");
}

#[test]
fn only_video_with_a_tone_shows_a_picture() {
    for target in [Target::Ringback, Target::Echo, Target::Nowhere] {
        let mut harness = Harness::new();
        let leg = harness.connect(h264(PEER), target);
        show(&mut harness, leg);
        assert!(seen(&mut harness, leg, 1_000).is_empty(), "{target:?}");
    }
    let (mut harness, leg, _) = call();
    harness.update(leg, h264(PEER), Target::Nowhere);
    assert!(seen(&mut harness, leg, 1_000).is_empty(), "no longer");
}

/// Its clock is that of the pictures, and says when the next one was made.
#[test]
fn reports_name_the_clock_of_the_pictures() {
    let (mut harness, leg, _) = call();
    harness.pass_ms(40_000);
    let sent = harness.sent();
    let reports = sent.iter().filter(|sent| sent.to == beside(leg.peer));
    let said = reports.filter_map(|sent| {
        let compound = Compound::parse(&sent.bytes).unwrap();
        let first = compound.packets().next().unwrap();
        (first.kind() == Kind::SenderReport).then(|| first.sender_information())?
    });
    let said: Vec<_> = said.collect();
    assert!(said.len() >= 2, "{said:?}");
    let (first, last) = (said[0], said[said.len() - 1]);
    let ms = |ntp: u64| (ntp >> 32) * 1_000 + (((ntp & 0xffff_ffff) * 1_000) >> 32);
    let passed = i64::try_from(ms(last.ntp) - ms(first.ntp)).unwrap();
    let ticks = RtpTimestamp(last.rtp).distance_from(RtpTimestamp(first.rtp));
    assert!(
        (i64::from(ticks) - 90 * passed).abs() <= 90,
        "{ticks} in {passed} ms"
    );
}

/// A part of a picture is none: whoever has missed one sees the next whole.
#[test]
fn without_buffers_no_picture_leaves_and_then_a_keyframe() {
    let (mut harness, leg, sent) = call();
    let mut screen = Screen::default();
    screen.take(&sent);
    screen.take(&seen(&mut harness, leg, 1_000));
    let mut held = Vec::new();
    while let Some(buffer) = packet_io::PacketIo::allocate(harness.worker.io_mut()) {
        held.push(buffer);
    }
    assert!(seen(&mut harness, leg, 500).is_empty());
    // Enough for the parameter sets of a keyframe, and for no picture.
    held.truncate(held.len() - 2);
    let parts = seen(&mut harness, leg, 100);
    assert_eq!(parts.len(), 2);
    drop(held);
    let sent = seen(&mut harness, leg, 100);
    assert_eq!(sent.len(), 3);
    let numbers = parts
        .iter()
        .chain(&sent)
        .map(|sent| sent.rtp().sequence().0);
    let numbers: Vec<u16> = numbers.collect();
    let first = screen.last.expect("pictures").0.wrapping_add(1);
    assert_eq!(
        numbers,
        [0, 1, 2, 3, 4].map(|more| first.wrapping_add(more))
    );
    let mut late = Screen::default();
    late.take(&sent);
    assert_eq!(late.reader.keyframes, 1);
}
