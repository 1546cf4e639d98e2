//! RTCP: sender reports passed on, receiver reports of our own, the rest taken in.

use packet_io::Faults;

use super::harness::{Harness, Sent, Stream, TestLeg, plan};
use crate::command::{LegPlan, MediaKind, Target};
use crate::drop_reason::DropReason;
use crate::rtcp::{
    Cname, Compound, Kind, ReportBlock, SenderInformation, write_receiver_report,
    write_sender_report,
};
use crate::rtp::{RtpTimestamp, Ssrc};
use std::net::SocketAddr;

const PEER_NAME: Cname = Cname(*b"the-peer-itself!");
const NTP: u64 = 0xe000_1111_2222_3333;

fn rtcp_address(rtp: SocketAddr) -> SocketAddr {
    SocketAddr::new(rtp.ip(), rtp.port() + 1)
}

fn sender_report(ssrc: u32, rtp: u32) -> Vec<u8> {
    let mut octets = [0; 64];
    let information = SenderInformation {
        ntp: NTP,
        rtp,
        packets: 9_999,
        octets: 8_888,
    };
    let size = write_sender_report(&mut octets, Ssrc(ssrc), information, None, PEER_NAME).unwrap();
    octets[..size].to_vec()
}

fn send_rtcp(harness: &mut Harness, leg: TestLeg, packet: &[u8]) -> Vec<Sent> {
    harness.exchange(rtcp_address(leg.ours), rtcp_address(leg.peer), packet)
}

fn information(sent: &Sent) -> (Ssrc, SenderInformation) {
    let packet = Compound::parse(&sent.bytes)
        .unwrap()
        .packets()
        .next()
        .unwrap();
    (packet.ssrc().unwrap(), packet.sender_information().unwrap())
}

#[test]
fn a_sender_report_goes_on_with_its_time_and_our_numbers() {
    let mut harness = Harness::new();
    let (a, b) = harness.call();
    let mut stream = Stream::new(0xaaaa);
    harness.exchange(a.ours, a.peer, &stream.next());
    let stamp = stream.timestamp;
    let media = harness.exchange(a.ours, a.peer, &stream.next());
    let sent = send_rtcp(
        &mut harness,
        a,
        &sender_report(0xaaaa, stamp.wrapping_add(80)),
    );
    assert_eq!(sent.len(), 1);
    assert_eq!(
        (sent[0].from, sent[0].to),
        (rtcp_address(b.ours), rtcp_address(b.peer))
    );
    let (ssrc, ours) = information(&sent[0]);
    assert_eq!(ssrc, media[0].rtp().ssrc());
    assert_eq!(ours.ntp, NTP);
    assert_eq!(
        RtpTimestamp(ours.rtp).distance_from(media[0].rtp().timestamp()),
        80
    );
    assert_eq!((ours.packets, ours.octets), (2, 2 * 160));
    let name = PEER_NAME.0.as_slice();
    assert!(
        !sent[0].bytes.windows(name.len()).any(|part| part == name),
        "our name, not theirs"
    );
}

#[test]
fn the_round_trip_is_what_passed_less_what_the_peer_held() {
    let mut harness = Harness::new();
    let (a, b) = harness.call();
    let mut stream = Stream::new(0xaaaa);
    let media = harness.exchange(a.ours, a.peer, &stream.next());
    harness.exchange(b.ours, b.peer, &Stream::new(2).next());
    let sent = send_rtcp(&mut harness, a, &sender_report(0xaaaa, 0));
    let (ssrc, ours) = information(&sent[0]);
    assert_eq!(ssrc, media[0].rtp().ssrc());
    harness.pass_ms(540);
    let block = ReportBlock {
        ssrc,
        fraction_lost: 0,
        cumulative_lost: 0,
        highest_sequence: 0,
        jitter_ticks: 44,
        last_sender_report: ours.ntp_middle(),
        delay_since_last: 1 << 15,
    };
    let mut octets = [0; 64];
    let size = write_receiver_report(&mut octets, Ssrc(2), Some(block), PEER_NAME).unwrap();
    harness.sent();
    assert_eq!(send_rtcp(&mut harness, b, &octets[..size]), []);
    let counters = harness.disconnect(b);
    assert_eq!(counters.round_trip_us, Some(40_000));
    assert!(counters.score_hundredths.is_some());
    let peer = counters.peer.unwrap();
    assert_eq!((peer.packets_lost, peer.jitter_us), (0, 5_500));
    assert_eq!(peer.score_hundredths, counters.score_hundredths);
    let counters = harness.disconnect(a);
    assert_eq!((counters.round_trip_us, counters.peer), (None, None));
}

#[test]
fn receiver_reports_of_our_own_tell_loss_and_the_last_sender_report() {
    let mut harness = Harness::new();
    let (a, _) = harness.call();
    let mut stream = Stream::new(0xaaaa);
    for count in 0..4 {
        let packet = stream.next();
        if count != 2 {
            harness.exchange(a.ours, a.peer, &packet);
        }
    }
    send_rtcp(&mut harness, a, &sender_report(0xaaaa, 0));
    harness.pass_ms(20_000);
    let sent = harness.sent();
    let reports: Vec<_> = sent
        .iter()
        .filter(|sent| sent.to == rtcp_address(a.peer))
        .collect();
    assert!((3..=8).contains(&reports.len()), "{}", reports.len());
    let first: Vec<_> = Compound::parse(&reports[0].bytes)
        .unwrap()
        .packets()
        .collect();
    assert_eq!(
        [first[0].kind(), first[1].kind()],
        [Kind::ReceiverReport, Kind::SourceDescription]
    );
    let block = first[0].report_blocks().next().unwrap();
    assert_eq!(
        (block.ssrc, block.fraction_lost, block.cumulative_lost),
        (Ssrc(0xaaaa), 64, 1)
    );
    assert_eq!(block.highest_sequence & 0xffff, 65_503);
    assert_eq!(block.last_sender_report, 0x1111_2222);
    assert!(block.delay_since_last > 0);
    let later = Compound::parse(&reports[1].bytes).unwrap();
    let blocks = later.packets().flat_map(|part| part.report_blocks());
    assert_eq!(blocks.count(), 0, "nothing came since");
}

#[test]
fn bye_feedback_and_names_of_the_peer_end_here() {
    let mut harness = Harness::new();
    let (a, _) = harness.call();
    harness.exchange(a.ours, a.peer, &Stream::new(0xaaaa).next());
    let mut octets = [0; 64];
    let size = write_receiver_report(&mut octets, Ssrc(0xaaaa), None, PEER_NAME).unwrap();
    let mut bye = octets[..size].to_vec();
    bye.extend([0x81, 203, 0, 1, 0, 0, 0xaa, 0xaa]);
    assert_eq!(send_rtcp(&mut harness, a, &bye), []);
    let picture_loss = [0x81, 206, 0, 2, 0, 0, 0xaa, 0xaa, 0, 0, 0, 1];
    assert_eq!(send_rtcp(&mut harness, a, &picture_loss), []);
    let counters = harness.worker.counters().rtcp;
    assert_eq!((counters.byes_received, counters.feedback_received), (1, 1));
    assert_eq!(harness.dropped(DropReason::RtcpConsumed), 1);
    assert_eq!(harness.dropped(DropReason::FeedbackForeign), 1);
    let counters = harness.disconnect(a);
    assert_eq!((counters.rtcp_received, counters.packets_discarded), (2, 0));
}

#[test]
fn rtcp_of_a_stranger_is_neither_taken_in_nor_answered() {
    let mut harness = Harness::new();
    let (a, _) = harness.call();
    harness.exchange(a.ours, a.peer, &Stream::new(0xaaaa).next());
    let stranger = SocketAddr::new("192.0.2.66".parse().unwrap(), 5);
    let report = sender_report(0xaaaa, 0);
    assert_eq!(
        harness.exchange(rtcp_address(a.ours), stranger, &report),
        []
    );
    assert_eq!(harness.exchange(a.ours, stranger, &report), []);
    assert_eq!(harness.dropped(DropReason::SourceNotLatched), 2);
    assert_eq!(harness.disconnect(a).rtcp_received, 0);
}

/// RFC 5761: RTCP on the RTP port, where the peer asked for it.
#[test]
fn multiplexed_rtcp_is_taken_from_the_locked_source_and_answered_on_the_same_port() {
    let mut harness = Harness::new();
    let multiplexed = |remote: &str| {
        let plan = plan(remote);
        LegPlan {
            remote_rtcp: plan.remote_rtp,
            ..plan
        }
    };
    let (a, b) = harness.call_with(
        multiplexed("198.51.100.1:4000"),
        multiplexed("203.0.113.2:6000"),
    );
    let report = sender_report(0xaaaa, 0);
    assert_eq!(
        harness.exchange(a.ours, a.peer, &report),
        [],
        "not locked yet"
    );
    harness.exchange(a.ours, a.peer, &Stream::new(0xaaaa).next());
    let sent = harness.exchange(a.ours, a.peer, &report);
    assert_eq!((sent[0].from, sent[0].to), (b.ours, b.peer));
    harness.pass_ms(10_000);
    assert!(
        harness
            .sent()
            .iter()
            .all(|sent| sent.from == a.ours && sent.to == a.peer
                || sent.from == b.ours && sent.to == b.peer)
    );
}

#[test]
fn an_empty_pool_costs_a_report_and_nothing_else() {
    struct Empty;
    impl Faults for Empty {
        fn refuse_allocation(&mut self) -> bool {
            true
        }
    }
    let mut harness = Harness::with(Empty, |_| {});
    let (a, _) = harness.call();
    harness.exchange(a.ours, a.peer, &Stream::new(1).next());
    harness.pass_ms(20_000);
    assert_eq!(harness.sent(), []);
    assert!(harness.worker.counters().buffers_missing >= 3);
}

#[test]
fn rtcp_goes_to_no_host_but_that_of_the_media() {
    let mut harness = Harness::new();
    let elsewhere = Some("192.0.2.66:4001".parse().unwrap());
    let a = LegPlan {
        remote_rtcp: elsewhere,
        ..plan("198.51.100.1:4000")
    };
    let (a, b) = harness.call_with(a, plan("203.0.113.2:6000"));
    harness.exchange(a.ours, a.peer, &Stream::new(0xaaaa).next());
    harness.exchange(b.ours, b.peer, &Stream::new(0xbbbb).next());
    send_rtcp(&mut harness, b, &sender_report(0xbbbb, 0));
    harness.pass_ms(20_000);
    let sent = harness.sent();
    assert!(!sent.is_empty());
    assert!(sent.iter().all(|sent| sent.to == rtcp_address(b.peer)));
}

#[test]
fn the_first_rtcp_source_stays_unless_the_announced_one_speaks() {
    let mut harness = Harness::new();
    let (a, _) = harness.call();
    harness.exchange(a.ours, a.peer, &Stream::new(0xaaaa).next());
    let report = sender_report(0xaaaa, 0);
    let port = |port| SocketAddr::new(a.peer.ip(), port);
    for (source, received) in [(5_000, 1), (5_002, 1), (5_000, 2), (4_001, 3), (5_000, 3)] {
        harness.exchange(rtcp_address(a.ours), port(source), &report);
        let counters = harness.worker.counters().rtcp;
        assert_eq!(counters.compounds_received, received, "{source}");
    }
}

#[test]
fn rtcp_follows_the_media_to_a_new_address() {
    let mut harness = Harness::new();
    let (a, b) = harness.call();
    let mut stream = Stream::new(0xaaaa);
    harness.exchange(a.ours, a.peer, &stream.next());
    harness.exchange(b.ours, b.peer, &Stream::new(0xbbbb).next());
    send_rtcp(&mut harness, b, &sender_report(0xbbbb, 0));
    let moved = LegPlan {
        version: 2,
        ..plan("203.0.113.77:7000")
    };
    harness.update(b, moved, Target::Leg(a.pair));
    let sent = send_rtcp(&mut harness, a, &sender_report(0xaaaa, 0));
    assert_eq!(sent[0].to, "203.0.113.77:7001".parse().unwrap());
}

#[test]
fn reports_about_other_streams_tell_nothing_of_ours() {
    let mut harness = Harness::new();
    let (a, b) = harness.call();
    harness.exchange(a.ours, a.peer, &Stream::new(0xaaaa).next());
    let sent = send_rtcp(&mut harness, a, &sender_report(0xaaaa, 0));
    let (ssrc, ours) = information(&sent[0]);
    let block = ReportBlock {
        ssrc: Ssrc(ssrc.0 ^ 1),
        fraction_lost: 0,
        cumulative_lost: 0,
        highest_sequence: 0,
        jitter_ticks: 0,
        last_sender_report: ours.ntp_middle(),
        delay_since_last: 0,
    };
    let mut octets = [0; 64];
    let size = write_receiver_report(&mut octets, Ssrc(2), Some(block), PEER_NAME).unwrap();
    send_rtcp(&mut harness, b, &octets[..size]);
    // A sender report of a source that sends no media here is not what our report answers.
    send_rtcp(&mut harness, a, &sender_report(0xdddd, 0));
    harness.sent();
    harness.pass_ms(10_000);
    let sent = harness.sent();
    let report = sent
        .iter()
        .find(|sent| sent.to == rtcp_address(a.peer))
        .unwrap();
    let packet = Compound::parse(&report.bytes)
        .unwrap()
        .packets()
        .next()
        .unwrap();
    let block = packet.report_blocks().next().unwrap();
    assert_eq!((block.last_sender_report, block.delay_since_last), (0, 0));
    assert_eq!(harness.disconnect(b).round_trip_us, None);
}

/// A peer may say what it likes of our stream; no figure goes off its scale, and another codec, video
/// or a leg that heard nothing has no score.
#[test]
fn scores_are_of_speech_that_came_and_bear_any_report() {
    let mut harness = Harness::new();
    let (a, b) = harness.call();
    for _ in 0..3 {
        harness.exchange(a.ours, a.peer, &Stream::new(0xaaaa).next());
    }
    let sent = harness.exchange(b.ours, b.peer, &Stream::new(2).next());
    let block = ReportBlock {
        ssrc: sent[0].rtp().ssrc(),
        fraction_lost: 255,
        cumulative_lost: 0x7f_ffff,
        highest_sequence: u32::MAX,
        jitter_ticks: u32::MAX,
        last_sender_report: u32::MAX,
        delay_since_last: u32::MAX,
    };
    let mut octets = [0; 64];
    let size = write_receiver_report(&mut octets, Ssrc(0xaaaa), Some(block), PEER_NAME).unwrap();
    send_rtcp(&mut harness, a, &octets[..size]);
    let counters = harness.disconnect(a);
    let peer = counters.peer.unwrap();
    assert_eq!((peer.packets_lost, peer.score_hundredths), (1, None));
    assert!(counters.score_hundredths.is_some());
    for (kind, payload_type) in [(MediaKind::Video, 0), (MediaKind::Audio, 97)] {
        let mut unknown = plan("198.51.100.1:4000");
        unknown.kind = kind;
        unknown.payloads[0].received = payload_type;
        let leg = harness.connect(unknown, Target::Nowhere);
        let mut stream = Stream::new(1);
        stream.payload_type = payload_type;
        harness.exchange(leg.ours, leg.peer, &stream.next());
        let counters = harness.disconnect(leg);
        assert_eq!(
            (counters.packets_received, counters.score_hundredths),
            (1, None)
        );
    }
}
