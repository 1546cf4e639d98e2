//! RTCP of browsers: one compound packet about two streams.

use super::super::harness::{Harness, Sent, Stream, TestLeg, address, plan};
use super::guest::{Guest, OURS, PORT, VIDEO, audio_plan, harness, rtp, video_plan};
use super::model::Model;
use crate::command::{Command, LegPlan, MediaKind, Report, Target};
use crate::drop_reason::DropReason;
use crate::dtls::{KeyExchange as _, Role};
use crate::engine::transport::TransportCounters;
use crate::ingress::{Protocol, classify};
use crate::rtcp::{Compound, Kind, SenderInformation, write_sender_report};
use crate::rtp::{RtpView, Ssrc};
use crate::test_picture::reader::Reader;

/// A receiver report with a block about each of these, who says it and how many were lost.
fn report(sender: u32, blocks: &[(Ssrc, u8)]) -> Vec<u8> {
    let count = u8::try_from(blocks.len()).unwrap();
    let mut octets = vec![0x80 | count, 201, 0, 1 + 6 * count];
    octets.extend(sender.to_be_bytes());
    for (ssrc, lost) in blocks {
        octets.extend(ssrc.0.to_be_bytes());
        octets.extend([0, 0, 0, *lost, 0, 0, 1, 0, 0, 0, 0, 7]);
        octets.extend([0; 8]);
    }
    octets
}

/// PLI about one of our streams.
fn picture_loss(sender: u32, media: Ssrc) -> Vec<u8> {
    let mut octets = vec![0x81, 206, 0, 2];
    octets.extend(sender.to_be_bytes());
    octets.extend(media.0.to_be_bytes());
    octets
}

fn disconnected(harness: &mut Harness) -> crate::command::LegCounters {
    match harness.reports.pop() {
        Some(Report::Disconnected { counters, .. }) => counters,
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_compound_reaches_the_sound_and_the_picture_that_it_is_about() {
    let mut harness = harness();
    let mut guest = Guest::up(&mut harness, 1, Target::Echo);
    guest.add_video(&mut harness, Target::Echo);
    for _ in 0..10 {
        guest.speak(&mut harness);
        guest.show(&mut harness);
    }
    let [audio, video] = guest.plan.ssrcs;
    for sender in [guest.sound.ssrc, guest.picture.ssrc, 1] {
        let sent = guest.protect_rtcp(report(sender, &[(audio, 2), (video, 3)]));
        guest.exchange(&mut harness, &sent);
    }
    let rtcp = harness.worker.counters().rtcp;
    assert_eq!(
        (rtcp.compounds_received, rtcp.receiver_reports_received),
        (3, 3)
    );
    let pair = guest.video.unwrap();
    harness.command(Command::Disconnect { pair });
    let picture = disconnected(&mut harness);
    harness.command(Command::Disconnect { pair: guest.audio });
    let sound = disconnected(&mut harness);
    assert_eq!(sound.peer.unwrap().packets_lost, 2);
    assert_eq!(picture.peer.unwrap().packets_lost, 3);
}

#[test]
fn a_compound_that_comes_again_is_a_replay_whoever_says_it() {
    let mut harness = harness();
    let mut guest = Guest::up(&mut harness, 1, Target::Echo);
    guest.add_video(&mut harness, Target::Echo);
    let [audio, _] = guest.plan.ssrcs;
    let early = guest.protect_rtcp(report(guest.picture.ssrc, &[(audio, 1)]));
    guest.exchange(&mut harness, &early);
    // Its source is known from here on.
    guest.show(&mut harness);
    guest.exchange(&mut harness, &early);
    assert_eq!(harness.dropped(DropReason::SrtpReplay), 1);
    let mut forged = early.clone();
    forged[10] ^= 1;
    guest.exchange(&mut harness, &forged);
    assert_eq!(harness.worker.counters().rtcp.compounds_received, 1);
}

/// A browser that has seen a picture of a telephone's.
fn filmed() -> (Harness, TestLeg, Guest) {
    let mut harness = harness();
    let phone_plan = |target_type| LegPlan {
        kind: MediaKind::Video,
        payloads: video_plan()
            .payloads
            .iter()
            .map(|mapping| crate::command::PayloadMapping {
                received: 97,
                sent: target_type,
                ..*mapping
            })
            .collect(),
        ..plan("198.51.100.1:4000")
    };
    let phone = harness.connect(phone_plan(VIDEO), Target::Nowhere);
    let mut guest = Guest::up(&mut harness, 1, Target::Echo);
    guest.add_video(&mut harness, Target::Leg(phone.pair));
    let video = guest.video.unwrap();
    harness.update(phone, phone_plan(VIDEO), Target::Leg(video));
    guest.show(&mut harness);
    (harness, phone, guest)
}

/// What its pictures are.
fn film() -> Stream {
    Stream {
        payload_type: 97,
        ..Stream::new(5)
    }
}

/// What the telephone is told when the browser says this.
fn told(harness: &mut Harness, phone: TestLeg, guest: &mut Guest, said: Vec<u8>) -> Vec<Kind> {
    let said = guest.protect_rtcp(said);
    harness.deliver(address(PORT), guest.at, &said);
    harness.turn();
    let left = harness.sent();
    let told = left.iter().filter(|sent| sent.to.ip() == phone.peer.ip());
    let told: Vec<_> = told
        .filter(|sent| classify(&sent.bytes) == Protocol::Rtcp)
        .collect();
    assert!(told.len() <= 1);
    let compounds = told.iter().map(|it| Compound::parse(&it.bytes).unwrap());
    let kinds = compounds.flat_map(|it| it.packets().map(|part| part.kind()).collect::<Vec<_>>());
    kinds.collect()
}

#[test]
fn a_lost_picture_is_asked_for_where_the_pictures_come_from() {
    let (mut harness, phone, mut guest) = filmed();
    harness.exchange(phone.ours, phone.peer, &film().next());
    let [audio, picture] = guest.plan.ssrcs;
    let compound = [
        report(guest.sound.ssrc, &[(audio, 0)]),
        picture_loss(guest.sound.ssrc, picture),
    ]
    .concat();
    let parts = told(&mut harness, phone, &mut guest, compound);
    assert!(parts.contains(&Kind::PayloadFeedback), "{parts:?}");
    assert_eq!(harness.worker.counters().rtcp.feedback_refused, 0);
}

/// What is too old to be sent again by us, the camera may still have.
#[test]
fn a_packet_that_is_not_kept_is_asked_for_where_the_pictures_come_from() {
    let (mut harness, phone, mut guest) = filmed();
    let mut film = film();
    let left = rtp(harness.exchange(phone.ours, phone.peer, &film.next()));
    let [_, picture] = guest.plan.ssrcs;
    let asked = missed(guest.sound.ssrc, picture, left[0].rtp().sequence().0, 0);
    assert_eq!(told(&mut harness, phone, &mut guest, asked.clone()), []);
    harness.pass_ms(1_100);
    harness.exchange(phone.ours, phone.peer, &film.next());
    let parts = told(&mut harness, phone, &mut guest, asked);
    assert!(parts.contains(&Kind::TransportFeedback), "{parts:?}");
}

#[test]
fn both_streams_are_reported_on_under_one_name_and_each_by_its_own_source() {
    let mut harness = harness();
    let mut guest = Guest::up(&mut harness, 1, Target::Echo);
    guest.add_video(&mut harness, Target::Echo);
    let mut names = std::collections::BTreeSet::new();
    let mut senders = std::collections::BTreeSet::new();
    for _ in 0..400 {
        let mut left = guest.speak(&mut harness);
        left.extend(guest.show(&mut harness));
        for sent in left {
            let is_rtcp = classify(&sent.bytes) == Protocol::Rtcp;
            let plain = guest.unprotect(&sent).unwrap();
            if is_rtcp {
                let compound = Compound::parse(&plain).unwrap();
                senders.extend(compound.packets().next().and_then(|part| part.ssrc()));
                // SDES is the last part: a CNAME of sixteen octets, an end.
                names.insert(plain[plain.len() - 18..].to_vec());
            }
        }
    }
    assert_eq!(senders, guest.plan.ssrcs.into());
    assert_eq!(names.len(), 1, "{names:?}");
}

#[test]
fn a_sender_report_of_the_pictures_is_none_of_the_sound() {
    let mut harness = harness();
    let mut guest = Guest::up(&mut harness, 1, Target::Nowhere);
    let phone = harness.connect(plan("198.51.100.1:4000"), Target::Leg(guest.audio));
    harness.command(Command::Update {
        pair: guest.audio,
        plan: audio_plan(),
        target: Target::Leg(phone.pair),
    });
    guest.add_video(&mut harness, Target::Echo);
    guest.speak(&mut harness);
    guest.show(&mut harness);
    let says = |ssrc: u32| {
        let mut octets = vec![0; 64];
        let information = SenderInformation {
            ntp: 1 << 40,
            rtp: 9,
            packets: 1,
            octets: 160,
        };
        let cname = crate::rtcp::Cname(*b"0123456789abcdef");
        let size = write_sender_report(&mut octets, Ssrc(ssrc), information, None, cname);
        octets.truncate(size.unwrap());
        octets
    };
    let sent = guest.protect_rtcp(says(guest.picture.ssrc));
    guest.exchange(&mut harness, &sent);
    let passed = |harness: &Harness| harness.worker.counters().rtcp.sender_reports_sent;
    let before = passed(&harness);
    let sent = guest.protect_rtcp(says(guest.sound.ssrc));
    guest.exchange(&mut harness, &sent);
    assert_eq!(passed(&harness), before + 1, "to the telephone");
}

/// Generic NACK of these.
fn missed(sender: u32, media: Ssrc, first: u16, mask: u16) -> Vec<u8> {
    let mut octets = vec![0x81, 205, 0, 3];
    octets.extend(sender.to_be_bytes());
    octets.extend(media.0.to_be_bytes());
    octets.extend(first.to_be_bytes());
    octets.extend(mask.to_be_bytes());
    octets
}

#[test]
fn pictures_that_a_browser_missed_are_sent_again_as_they_left() {
    let mut harness = harness();
    let mut guest = Guest::up(&mut harness, 1, Target::Echo);
    guest.add_video(&mut harness, Target::Echo);
    let [_, video] = guest.plan.ssrcs;
    let mut left = Vec::new();
    for _ in 0..60 {
        left.extend(rtp(guest.show(&mut harness)));
    }
    // One in the middle and the three after it never arrived.
    let lost: Vec<Sent> = left.drain(30..34).collect();
    for sent in &left {
        assert!(guest.unprotect(sent).is_some());
    }
    let first = lost[0].rtp().sequence().0;
    let asked = guest.protect_rtcp(missed(guest.sound.ssrc, video, first, 0b111));
    let again = rtp(guest.exchange(&mut harness, &asked));
    assert_eq!(again, lost, "octet for octet");
    for sent in &again {
        assert!(guest.unprotect(sent).is_some());
    }
    let counters = harness.worker.counters();
    assert_eq!(counters.transport.repeats_sent, 4);
    assert_eq!(counters.rtcp.feedback_sent, 0, "nobody else is asked");
    let asked = guest.protect_rtcp(missed(guest.sound.ssrc, video, first.wrapping_sub(999), 0));
    assert!(rtp(guest.exchange(&mut harness, &asked)).is_empty());
    assert_eq!(harness.worker.counters().transport.repeats_missing, 1);
}

/// A camera on a browser that sees itself, and the number of its last picture.
fn seen() -> (Harness, Guest, u16) {
    let mut harness = harness();
    let mut guest = Guest::up(&mut harness, 1, Target::Echo);
    guest.add_video(&mut harness, Target::Echo);
    let mut last = 0;
    for _ in 0..20 {
        last = rtp(guest.show(&mut harness))[0].rtp().sequence().0;
    }
    (harness, guest, last)
}

/// It says that it missed one of that stream, and gets nothing.
fn ask_in_vain(
    harness: &mut Harness,
    guest: &mut Guest,
    stream: Ssrc,
    number: u16,
) -> TransportCounters {
    let asked = guest.protect_rtcp(missed(guest.sound.ssrc, stream, number, 0));
    assert_eq!(rtp(guest.exchange(harness, &asked)), []);
    harness.worker.counters().transport
}

#[test]
fn of_what_a_browser_misses_of_its_sound_no_picture_is_sent_again() {
    let (mut harness, mut guest, last) = seen();
    let [audio, _] = guest.plan.ssrcs;
    let counters = ask_in_vain(&mut harness, &mut guest, audio, last);
    assert_eq!(counters.repeats_sent, 0);
}

#[test]
fn a_browser_that_wants_no_pictures_any_more_is_sent_none_again() {
    let (mut harness, mut guest, last) = seen();
    let [_, video] = guest.plan.ssrcs;
    harness.command(Command::Update {
        pair: guest.video.unwrap(),
        plan: LegPlan {
            sends: false,
            ..video_plan()
        },
        target: Target::Echo,
    });
    let counters = ask_in_vain(&mut harness, &mut guest, video, last);
    assert_eq!((counters.repeats_sent, counters.repeats_limited), (0, 1));
}

#[test]
fn nothing_is_sent_again_that_left_under_the_keys_before() {
    let (mut harness, mut guest, last) = seen();
    let [_, video] = guest.plan.ssrcs;
    let next = Model(0x55);
    guest.plan.fingerprints[0] = next.fingerprint();
    guest.command(&mut harness);
    guest.handshake = Some(next.begin(harness.now, Role::Client, &[OURS.fingerprint()]));
    guest.go_on(&mut harness);
    let counters = ask_in_vain(&mut harness, &mut guest, video, last);
    assert_eq!((counters.repeats_sent, counters.repeats_missing), (0, 1));
}

/// It sends none itself: that its checks are answered where it is, and its keys, prove it.
#[test]
fn a_browser_without_a_camera_sees_the_test_picture_and_asks_for_what_it_missed() {
    let mut harness = harness();
    let mut guest = Guest::up(&mut harness, 1, Target::Tone);
    guest.add_video(&mut harness, Target::Tone);
    let [_, video] = guest.plan.ssrcs;
    let mut reader = Reader::default();
    let mut left = Vec::new();
    for _ in 0..30 {
        harness.pass_ms(100);
        let check = guest.check(false);
        left.extend(rtp(harness.sent()));
        left.extend(rtp(guest.exchange(&mut harness, &check)));
        harness.pass_ms(100);
        left.extend(rtp(harness.sent()));
    }
    let pictures: Vec<&Sent> = left.iter().filter(|sent| sent.to == guest.at).collect();
    for sent in &pictures {
        let plain = guest.unprotect(sent).unwrap();
        let view = RtpView::parse(&plain).unwrap();
        assert_eq!(view.ssrc(), video);
        reader.read(view.payload());
    }
    assert!((59..=61).contains(&reader.pictures), "{}", reader.pictures);
    let keyframes = reader.keyframes;
    let lost = pictures[pictures.len() - 2];
    let number = lost.rtp().sequence().0;
    let asked = guest.protect_rtcp(missed(guest.sound.ssrc, video, number, 0));
    let again = rtp(guest.exchange(&mut harness, &asked));
    assert_eq!(again, std::slice::from_ref(lost), "octet for octet");
    let asked = guest.protect_rtcp(picture_loss(guest.sound.ssrc, video));
    guest.exchange(&mut harness, &asked);
    harness.pass_ms(100);
    for sent in rtp(harness.sent()) {
        let plain = guest.unprotect(&sent).unwrap();
        reader.read(RtpView::parse(&plain).unwrap().payload());
    }
    assert_eq!(reader.keyframes, keyframes + 1);
}

/// RFC 7675 §5.1: what it reported once says that it was there, not that it still wants to be sent to.
#[test]
fn a_browser_that_no_longer_consents_is_shown_no_test_picture() {
    let mut harness = harness();
    let mut guest = Guest::up(&mut harness, 1, Target::Tone);
    guest.add_video(&mut harness, Target::Tone);
    let [_, video] = guest.plan.ssrcs;
    let report = guest.protect_rtcp(picture_loss(guest.sound.ssrc, video));
    guest.exchange(&mut harness, &report);
    harness.pass_ms(1_000);
    assert!(!rtp(harness.sent()).is_empty(), "while it does");
    harness.pass_ms(31_000);
    harness.sent();
    harness.pass_ms(5_000);
    assert_eq!(rtp(harness.sent()), []);
}

/// Its line takes as long as 45 packets: the first that it asks for are gone.
#[test]
fn a_browser_behind_a_long_line_is_sent_again_what_it_missed_once_we_know() {
    let mut harness = harness();
    let mut guest = Guest::up(&mut harness, 1, Target::Echo);
    guest.add_video(&mut harness, Target::Echo);
    let [_, video] = guest.plan.ssrcs;
    let mut again = Vec::new();
    for round in 0..600_u16 {
        let last = rtp(guest.show_large(&mut harness))[0].rtp().sequence().0;
        if round % 20 == 19 && round > 50 {
            let number = last.wrapping_sub(45);
            let asked = guest.protect_rtcp(missed(guest.sound.ssrc, video, number, 0));
            again.push(rtp(guest.exchange(&mut harness, &asked)).len());
        }
    }
    assert_eq!(again[0], 0);
    let misses = again.iter().filter(|count| **count == 0).count();
    assert!(again[4..].iter().all(|count| *count == 1), "{again:?}");
    let missing = harness.worker.counters().transport.repeats_missing;
    assert_eq!(missing, misses as u64);
}

#[test]
fn what_a_browser_is_sent_again_is_bounded() {
    let (mut harness, mut guest, last) = seen();
    let [_, video] = guest.plan.ssrcs;
    let mut again = 0;
    for _ in 0..50 {
        let first = last.wrapping_sub(16);
        let asked = guest.protect_rtcp(missed(guest.sound.ssrc, video, first, u16::MAX));
        again += rtp(guest.exchange(&mut harness, &asked)).len();
    }
    let most = crate::limits::REPEATS_BURST_MAX + 2;
    assert!(again <= most as usize, "{again}");
    assert!(harness.worker.counters().transport.repeats_limited > 500);
}

#[test]
fn a_browser_is_told_what_its_pictures_may_have_unless_who_it_speaks_with_says_so() {
    let mut harness = harness();
    let mut guest = Guest::up(&mut harness, 1, Target::Echo);
    guest.plan.bitrate_max_bps = Some(1_500_000);
    guest.add_video(&mut harness, Target::Echo);
    let mut rates = std::collections::BTreeSet::new();
    for _ in 0..600 {
        for sent in guest.show(&mut harness) {
            let plain = guest.unprotect(&sent).unwrap();
            if classify(&sent.bytes) == Protocol::Rtcp
                && let Some(at) = plain.windows(4).position(|octets| octets == b"REMB")
            {
                assert_eq!(plain[at + 8..at + 12], guest.picture.ssrc.to_be_bytes());
                let number = |at: usize| u32::from(plain[at]);
                let mantissa = (number(at + 5) & 3) << 16 | number(at + 6) << 8 | number(at + 7);
                rates.insert(mantissa << (number(at + 5) >> 2));
            }
        }
    }
    assert_eq!(rates.into_iter().collect::<Vec<_>>(), [1_500_000]);
    assert!(harness.worker.counters().transport.bit_rates_sent > 1);
}
