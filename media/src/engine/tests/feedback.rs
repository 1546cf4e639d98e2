//! Feedback of one peer, as the other has to hear it.

use super::harness::{Harness, Sent, Stream, TestLeg, address, plan};
use crate::command::LegPlan;
use crate::drop_reason::DropReason;
use crate::rtcp::{Compound, Kind, ReportBlock};
use crate::rtp::Ssrc;
use std::net::SocketAddr;

/// Two legs that hear each other. `a` hears the stream of `b`, whose source is 0xbbbb.
struct Call {
    harness: Harness,
    a: TestLeg,
    b: TestLeg,
    from_b: Stream,
    /// Our source towards `a`, and towards `b`.
    ours: [Ssrc; 2],
    /// What our stream to `a` made of the first number of `b`.
    first: u16,
}

fn with_port(leg: LegPlan, is_multiplexed: bool) -> LegPlan {
    LegPlan {
        remote_rtcp: leg
            .remote_rtp
            .filter(|_| is_multiplexed)
            .or(leg.remote_rtcp),
        ..leg
    }
}

/// Where the peer of a leg takes RTCP, and where it sends its own.
fn rtcp_of(rtp: SocketAddr, is_multiplexed: bool) -> SocketAddr {
    SocketAddr::new(rtp.ip(), rtp.port() + u16::from(!is_multiplexed))
}

fn call_with(a_multiplexed: bool, b_multiplexed: bool) -> Call {
    let mut harness = Harness::new();
    let (a, b) = harness.call_with(
        with_port(plan("198.51.100.1:4000"), a_multiplexed),
        with_port(plan("203.0.113.2:6000"), b_multiplexed),
    );
    let (mut from_a, mut from_b) = (Stream::new(0xaaaa), Stream::new(0xbbbb));
    let to_b = harness.exchange(a.ours, a.peer, &from_a.next());
    let to_a = harness.exchange(b.ours, b.peer, &from_b.next());
    let ours = [to_a[0].rtp().ssrc(), to_b[0].rtp().ssrc()];
    let first = to_a[0].rtp().sequence().0;
    Call {
        harness,
        a,
        b,
        from_b,
        ours,
        first,
    }
}

fn call() -> Call {
    call_with(false, false)
}

/// Feedback in its reduced size (RFC 5506).
pub(super) fn feedback(kind: u8, format: u8, media: Ssrc, content: &[u8]) -> Vec<u8> {
    let words = u16::try_from(2 + content.len() / 4).unwrap();
    let mut octets = vec![0x80 | format, kind];
    octets.extend(words.to_be_bytes());
    octets.extend([0, 0, 0xaa, 0xaa]);
    octets.extend(media.0.to_be_bytes());
    octets.extend(content);
    octets
}

impl Call {
    fn heard_from_a(&mut self, octets: &[u8]) -> Vec<Sent> {
        let (to, from) = (rtcp_of(self.a.ours, false), rtcp_of(self.a.peer, false));
        self.harness.exchange(to, from, octets)
    }

    fn dropped(&self, reason: DropReason) -> u64 {
        self.harness.dropped(reason)
    }
}

/// The last packet of a compound of ours, which has to begin as compounds do (RFC 3550 §6.1).
pub(super) fn last_part(sent: &Sent) -> Vec<u8> {
    let compound = Compound::parse(&sent.bytes).unwrap();
    let kinds: Vec<_> = compound.packets().map(|part| part.kind()).collect();
    assert!(matches!(
        kinds[..2],
        [
            Kind::ReceiverReport | Kind::SenderReport,
            Kind::SourceDescription
        ]
    ));
    let mut rest = &sent.bytes[..];
    for _ in 1..kinds.len() {
        let words = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        rest = &rest[4 * words + 4..];
    }
    rest.to_vec()
}

pub(super) fn word(octets: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(*octets[at..].first_chunk().unwrap())
}

/// RFC 4585 §6.3.1, RFC 5761: over all four combinations of one port and two.
#[test]
fn a_picture_loss_reaches_the_sender_whatever_ports_each_side_has() {
    for (a_multiplexed, b_multiplexed) in
        [(false, false), (false, true), (true, false), (true, true)]
    {
        let mut call = call_with(a_multiplexed, b_multiplexed);
        let octets = feedback(206, 1, call.ours[0], &[]);
        let to = rtcp_of(call.a.ours, a_multiplexed);
        let from = rtcp_of(call.a.peer, a_multiplexed);
        let sent = call.harness.exchange(to, from, &octets);
        assert_eq!(sent.len(), 1, "{a_multiplexed} {b_multiplexed}");
        assert_eq!(sent[0].from, rtcp_of(call.b.ours, b_multiplexed));
        assert_eq!(sent[0].to, rtcp_of(call.b.peer, b_multiplexed));
        let part = last_part(&sent[0]);
        assert_eq!(part[..4], [0x81, 206, 0, 2]);
        assert_eq!((word(&part, 4), word(&part, 8)), (call.ours[1].0, 0xbbbb));
    }
}

#[test]
fn feedback_leaves_with_the_sender_report_it_came_with() {
    let mut call = call();
    let mut octets = vec![0x80, 200, 0, 6, 0, 0, 0xaa, 0xaa];
    octets.extend([7; 20]);
    octets.extend(feedback(206, 1, call.ours[0], &[]));
    let sent = call.heard_from_a(&octets);
    assert_eq!(sent.len(), 1);
    let kinds: Vec<_> = Compound::parse(&sent[0].bytes)
        .unwrap()
        .packets()
        .map(|part| part.kind())
        .collect();
    assert_eq!(
        kinds,
        [
            Kind::SenderReport,
            Kind::SourceDescription,
            Kind::PayloadFeedback
        ]
    );
}

#[test]
fn a_keyframe_is_asked_for_twice_a_second_at_most() {
    let mut call = call();
    let octets = feedback(206, 1, call.ours[0], &[]);
    let mut sent = 0;
    for _ in 0..20 {
        sent += call.heard_from_a(&octets).len();
    }
    assert_eq!(sent, 1);
    assert_eq!(call.dropped(DropReason::FeedbackLimited), 19);
    call.harness.pass_ms(500);
    call.harness.sent();
    assert_eq!(call.heard_from_a(&octets).len(), 1);
    let counters = call.harness.worker.counters().rtcp;
    assert_eq!(counters.keyframe_requests_sent, 2);
    assert_eq!(counters.keyframe_requests_limited, 19);
    assert_eq!(counters.feedback_refused, 19);
    // Another source has not been asked yet.
    let mut other = Stream::new(0xcccc);
    call.harness
        .exchange(call.b.ours, call.b.peer, &other.next());
    assert_eq!(call.heard_from_a(&octets).len(), 1);
}

/// RFC 5104 §4.3.1.1: a repeated request has the number of the first, a new one the next.
#[test]
fn intra_requests_are_numbered_by_us() {
    let mut call = call();
    let mut numbers = Vec::new();
    for heard in [200, 200, 201, 7, 7] {
        let [a, b, c, d] = call.ours[0].0.to_be_bytes();
        let octets = feedback(206, 4, Ssrc(0), &[a, b, c, d, heard, 0, 0, 0]);
        let sent = call.heard_from_a(&octets);
        let part = last_part(&sent[0]);
        assert_eq!((word(&part, 8), word(&part, 12)), (0, 0xbbbb));
        numbers.push(part[16]);
        call.harness.pass_ms(600);
        call.harness.sent();
    }
    assert_eq!(numbers, [1, 1, 2, 3, 3]);
    // Another asker's first number is no repetition of the one before.
    let [a, b, c, d] = call.ours[0].0.to_be_bytes();
    let mut octets = feedback(206, 4, Ssrc(0), &[a, b, c, d, 7, 0, 0, 0]);
    octets[7] ^= 0x55;
    let sent = call.heard_from_a(&octets);
    assert_eq!(last_part(&sent[0])[16], 4);
}

#[test]
fn losses_go_back_in_the_numbers_of_the_sender() {
    let mut call = call();
    for _ in 0..5 {
        let packet = call.from_b.next();
        call.harness.exchange(call.b.ours, call.b.peer, &packet);
    }
    let [p0, p1] = call.first.wrapping_add(1).to_be_bytes();
    // The first after, the third after, and one that was never sent.
    let octets = feedback(205, 1, call.ours[0], &[p0, p1, 0x80, 0b10]);
    let sent = call.heard_from_a(&octets);
    let part = last_part(&sent[0]);
    assert_eq!((word(&part, 4), word(&part, 8)), (call.ours[1].0, 0xbbbb));
    let asked = u16::from_be_bytes([part[12], part[13]]);
    assert_eq!((asked, &part[14..]), (65_501, &[0, 0b10][..]));
}

#[test]
fn losses_of_a_stream_that_was_left_are_nobodys() {
    let mut call = call();
    let mut other = Stream::new(0xcccc);
    call.harness
        .exchange(call.b.ours, call.b.peer, &other.next());
    let [p0, p1] = call.first.to_be_bytes();
    let octets = feedback(205, 1, call.ours[0], &[p0, p1, 0, 0]);
    assert_eq!(call.heard_from_a(&octets), []);
    assert_eq!(call.dropped(DropReason::FeedbackForeign), 1);
}

#[test]
fn estimates_and_arrivals_reach_the_sender() {
    let mut call = call();
    let [a, b, c, d] = call.ours[0].0.to_be_bytes();
    let estimate = [b'R', b'E', b'M', b'B', 1, 0x0b, 1, 2, a, b, c, d];
    let sent = call.heard_from_a(&feedback(206, 15, Ssrc(0), &estimate));
    assert_eq!(word(&last_part(&sent[0]), 20), 0xbbbb);
    let arrivals = [0, 5, 0, 1, 0, 0, 9, 1, 0x20, 1, 4, 0];
    let sent = call.heard_from_a(&feedback(205, 15, call.ours[0], &arrivals));
    let part = last_part(&sent[0]);
    assert_eq!((word(&part, 8), &part[12..]), (0xbbbb, &arrivals[..]));
}

/// Their numbers are the sender's own, which the next sender has for other packets.
#[test]
fn arrivals_just_after_a_change_of_source_do_not_go_to_the_new_one() {
    let mut call = call();
    let arrivals = feedback(
        205,
        15,
        call.ours[0],
        &[0, 5, 0, 1, 0, 0, 9, 1, 0x20, 1, 4, 0],
    );
    assert_eq!(call.heard_from_a(&arrivals).len(), 1);
    let b = call.b;
    let media = call
        .harness
        .exchange(b.ours, b.peer, &Stream::new(0xcccc).next());
    assert_eq!(
        media[0].rtp().ssrc(),
        call.ours[0],
        "one stream to its hearer"
    );
    for _ in 0..4 {
        assert_eq!(call.heard_from_a(&arrivals), []);
        call.harness.pass_ms(100);
    }
    assert_eq!(call.dropped(DropReason::FeedbackForeign), 4);
    // What asks for a picture does not wait.
    let request = feedback(206, 1, call.ours[0], &[]);
    assert_eq!(word(&last_part(&call.heard_from_a(&request)[0]), 8), 0xcccc);
    call.harness.pass_ms(200);
    call.harness.sent();
    let sent = call.heard_from_a(&arrivals);
    assert_eq!(word(&last_part(&sent[0]), 8), 0xcccc);
}

#[test]
fn what_cannot_be_passed_on_dies_of_its_own_reason() {
    let mut call = call();
    let ours = call.ours[0];
    assert_eq!(call.heard_from_a(&feedback(206, 3, ours, &[0; 8])), []);
    assert_eq!(call.dropped(DropReason::FeedbackUnknown), 1);
    assert_eq!(call.heard_from_a(&feedback(206, 1, Ssrc(0xbbbb), &[])), []);
    assert_eq!(call.dropped(DropReason::FeedbackForeign), 1);
    assert_eq!(call.heard_from_a(&feedback(205, 15, ours, &[0; 1_400])), []);
    assert_eq!(call.dropped(DropReason::FeedbackTooLong), 1);
    assert_eq!(call.heard_from_a(&feedback(205, 1, ours, &[])), []);
    assert_eq!(call.dropped(DropReason::RtcpMalformed), 1);
    call.harness.disconnect(call.b);
    assert_eq!(call.harness.sent().len(), 1, "a goodbye");
    assert_eq!(call.heard_from_a(&feedback(206, 1, ours, &[])), []);
    assert_eq!(call.dropped(DropReason::FeedbackNoTarget), 1);
    assert!(call.harness.pool_is_whole());
}

#[test]
fn good_feedback_beside_bad_goes_on_alone() {
    let mut call = call();
    let mut octets = feedback(206, 3, call.ours[0], &[0; 8]);
    octets.extend(feedback(206, 1, call.ours[0], &[]));
    octets.extend(feedback(205, 1, Ssrc(1), &[0; 4]));
    let sent = call.heard_from_a(&octets);
    assert_eq!(
        Compound::parse(&sent[0].bytes).unwrap().packets().count(),
        3
    );
    let counters = call.harness.worker.counters().rtcp;
    assert_eq!((counters.feedback_sent, counters.feedback_refused), (1, 2));
}

/// Who only watches never sends RTP; its keyframe requests come to the port of the media.
#[test]
fn a_peer_that_only_listens_is_heard_on_one_port() {
    let mut harness = Harness::new();
    let (a, b) = harness.call_with(
        with_port(plan("198.51.100.1:4000"), true),
        plan("203.0.113.2:6000"),
    );
    let to_a = harness.exchange(b.ours, b.peer, &Stream::new(0xbbbb).next());
    let octets = feedback(206, 1, to_a[0].rtp().ssrc(), &[]);
    assert_eq!(harness.exchange(a.ours, a.peer, &octets).len(), 1);
    let stranger = address("192.0.2.66:4000");
    assert_eq!(harness.exchange(a.ours, stranger, &octets), []);
    assert_eq!(harness.dropped(DropReason::SourceNotLatched), 1);
}

/// RFC 3550 §6.3.7.
#[test]
fn a_leg_that_ends_says_goodbye_once_if_it_ever_spoke() {
    let mut call = call();
    let ours = call.ours[0];
    call.harness.disconnect(call.a);
    let sent = call.harness.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].to, rtcp_of(call.a.peer, false));
    assert_eq!(last_part(&sent[0])[..4], [0x81, 203, 0, 1]);
    assert_eq!(word(&last_part(&sent[0]), 4), ours.0);
    let mut silent = Harness::new();
    let (a, _) = silent.call();
    silent.disconnect(a);
    assert_eq!(silent.sent(), []);
}

/// RFC 3550 §8.2.
#[test]
fn rtcp_of_ours_that_comes_back_is_refused() {
    let mut call = call();
    let (ours, mut report) = (call.ours[0], [0; 64]);
    let block = ReportBlock {
        ssrc: ours,
        fraction_lost: 0,
        cumulative_lost: 0,
        highest_sequence: 0,
        jitter_ticks: 0,
        last_sender_report: 0,
        delay_since_last: 0,
    };
    let name = crate::rtcp::Cname([b'x'; 16]);
    let size = crate::rtcp::write_receiver_report(&mut report, ours, Some(block), name);
    assert_eq!(call.heard_from_a(&report[..size.unwrap()]), []);
    assert_eq!(call.dropped(DropReason::OwnStream), 1);
}
