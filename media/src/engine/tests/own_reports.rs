//! The round trip to a peer that hears from nobody else how its clock stands.

use std::net::SocketAddr;

use super::harness::{Harness, Sent, Stream, TestLeg};
use crate::rtcp::{
    Cname, Compound, Kind, ReportBlock, SenderInformation, write_receiver_report,
    write_sender_report,
};
use crate::rtp::{RtpTimestamp, Ssrc};

const NAME: Cname = Cname(*b"the-peer-itself!");

const fn beside(rtp: SocketAddr) -> SocketAddr {
    SocketAddr::new(rtp.ip(), rtp.port() + 1)
}

/// What `b` sends for so long, a packet a second; what left meanwhile.
fn speak(harness: &mut Harness, b: TestLeg, stream: &mut Stream, seconds: u32) -> Vec<Sent> {
    let mut sent = Vec::new();
    for _ in 0..seconds {
        sent.extend(harness.exchange(b.ours, b.peer, &stream.next()));
        stream.timestamp = stream.timestamp.wrapping_add(8_000 - 160);
        harness.pass_ms(1_000);
        sent.extend(harness.sent());
    }
    sent
}

/// The last sender report among these to this peer, with who sent it.
fn report(sent: &[Sent], to: TestLeg) -> Option<(Ssrc, SenderInformation, usize)> {
    let mut reports = sent.iter().rev().filter(|sent| sent.to == beside(to.peer));
    reports.find_map(|sent| {
        let compound = Compound::parse(&sent.bytes).unwrap();
        let first = compound.packets().next().unwrap();
        let blocks = first.report_blocks().count();
        Some((first.ssrc()?, first.sender_information()?, blocks))
    })
}

fn answer(harness: &mut Harness, leg: TestLeg, ssrc: Ssrc, middle: u32) {
    let block = ReportBlock {
        ssrc,
        fraction_lost: 0,
        cumulative_lost: 0,
        highest_sequence: 0,
        jitter_ticks: 0,
        last_sender_report: middle,
        delay_since_last: 1 << 15,
    };
    let mut octets = [0; 64];
    let size = write_receiver_report(&mut octets, Ssrc(2), Some(block), NAME).unwrap();
    harness.exchange(beside(leg.ours), beside(leg.peer), &octets[..size]);
}

#[test]
fn a_peer_that_answers_reports_has_a_round_trip_though_the_other_side_sends_none() {
    let mut harness = Harness::new();
    let (a, b) = harness.call();
    harness.exchange(a.ours, a.peer, &Stream::new(0xaaaa).next());
    let mut stream = Stream::new(0xbbbb);
    let sent = speak(&mut harness, b, &mut stream, 40);
    let (ssrc, said, _) = report(&sent, a).expect("a report of our own");
    let media: Vec<_> = sent.iter().filter(|sent| sent.to == a.peer).collect();
    let last = media.last().unwrap().rtp();
    assert_eq!(ssrc, last.ssrc(), "of the stream that is sent there");
    assert_eq!(report(&sent, b), None, "nothing is sent to the other side");
    // 8,000 ticks a second, between the packets too: packet and report lie on one line.
    let first = media[0].rtp().timestamp();
    let ntp_ms = |ntp: u64| (ntp >> 32) * 1_000 + (((ntp & 0xffff_ffff) * 1_000) >> 32);
    let passed = i64::from(RtpTimestamp(said.rtp).distance_from(first));
    let at_ms = i64::try_from(ntp_ms(said.ntp)).unwrap();
    assert!((passed / 8 - at_ms).abs() < 1_500, "{passed} at {at_ms}");
    assert!((1..=40).contains(&said.packets));
    assert_eq!(said.octets, said.packets * 160);

    harness.sent();
    let sent = loop {
        let sent = speak(&mut harness, b, &mut stream, 1);
        if report(&sent, a).is_some() {
            break sent;
        }
    };
    let (_, said, _) = report(&sent, a).unwrap();
    answer(&mut harness, a, ssrc, said.ntp_middle());
    let counters = harness.disconnect(a);
    let round_trip_us = counters.round_trip_us.expect("a round trip");
    assert!(
        round_trip_us <= 500_000,
        "within the second: {round_trip_us}"
    );
    assert_eq!(harness.disconnect(b).round_trip_us, None);
}

/// Whoever receives both by one clock goes on doing so.
#[test]
fn where_the_source_reports_itself_our_clock_is_never_said() {
    let mut harness = Harness::new();
    let (a, b) = harness.call();
    harness.exchange(a.ours, a.peer, &Stream::new(0xaaaa).next());
    let mut stream = Stream::new(0xbbbb);
    speak(&mut harness, b, &mut stream, 1);
    let information = SenderInformation {
        ntp: 0xe000_1111_2222_3333,
        rtp: stream.timestamp,
        packets: 1,
        octets: 160,
    };
    let mut octets = [0; 64];
    let size = write_sender_report(&mut octets, Ssrc(0xbbbb), information, None, NAME).unwrap();
    harness.exchange(beside(b.ours), beside(b.peer), &octets[..size]);
    let sent = speak(&mut harness, b, &mut stream, 60);
    let is_own = |sent: &&Sent| {
        let first = Compound::parse(&sent.bytes).unwrap();
        let kind = first.packets().next().unwrap().kind();
        kind == Kind::SenderReport
    };
    let control = sent.iter().filter(|sent| sent.to == beside(a.peer));
    assert_eq!(control.filter(is_own).count(), 0);
}

/// A stream that stands still is not reported on.
#[test]
fn who_sends_nothing_says_nothing_of_a_stream() {
    let mut harness = Harness::new();
    let (a, b) = harness.call();
    harness.exchange(a.ours, a.peer, &Stream::new(0xaaaa).next());
    speak(&mut harness, b, &mut Stream::new(0xbbbb), 3);
    harness.pass_ms(60_000);
    assert_eq!(report(&harness.sent(), a), None);
}
