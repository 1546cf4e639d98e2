//! Video legs: a marker is the end of a frame, a keyframe is a burst, and nothing is played of them.

use super::harness::{Harness, Stream, TestLeg, video};
use crate::command::{LegPlan, Target};
use crate::drop_reason::DropReason;
use crate::limits::{VIDEO_BURST_PACKETS_MAX, VIDEO_PACKETS_PER_SECOND_MAX};
use crate::rtp::{PayloadType, RtpViewMut};

/// H.264 that is 97 on both sides.
fn h264(remote: &str) -> LegPlan {
    video(remote, [(97, 97)])
}

fn call(harness: &mut Harness<packet_io::NoFaults>) -> (TestLeg, TestLeg) {
    harness.call_with(h264("198.51.100.1:4000"), h264("203.0.113.2:6000"))
}

fn stream(ssrc: u32) -> Stream {
    Stream {
        payload_type: 97,
        ..Stream::new(ssrc)
    }
}

/// The next packet of the frame, or its last one.
fn packet(stream: &mut Stream, ends_frame: bool) -> Vec<u8> {
    let mut bytes = stream.next();
    let mut view = RtpViewMut::parse(&mut bytes).unwrap();
    let (sequence, timestamp, ssrc) = (view.sequence(), view.timestamp(), view.ssrc());
    view.set(
        ends_frame,
        PayloadType::from_bits(97),
        sequence,
        timestamp,
        ssrc,
    );
    bytes
}

#[test]
fn a_marker_of_video_is_the_end_of_a_frame_over_a_switch_too() {
    let mut harness = Harness::new();
    let (a, _) = call(&mut harness);
    let mut relayed = Vec::new();
    let mut first = stream(1);
    // Another source, as after a keyframe that another camera sends.
    let mut second = stream(2);
    for source in [&mut first, &mut second] {
        for ends_frame in [false, false, true] {
            let bytes = packet(source, ends_frame);
            let sent = harness.exchange(a.ours, a.peer, &bytes);
            relayed.extend(sent.iter().map(|sent| sent.rtp().marker()));
        }
    }
    assert_eq!(relayed, [false, false, true, false, false, true]);
}

#[test]
fn packets_of_a_frame_keep_their_one_timestamp_and_time_goes_on_in_90_khz() {
    let mut harness = Harness::new();
    let (a, _) = call(&mut harness);
    let mut source = stream(1);
    let mut timestamps = Vec::new();
    for _ in 0..2 {
        for ends_frame in [false, true] {
            let (timestamp, bytes) = (source.timestamp, packet(&mut source, ends_frame));
            source.timestamp = timestamp;
            let sent = harness.exchange(a.ours, a.peer, &bytes);
            timestamps.extend(sent.iter().map(|sent| sent.rtp().timestamp()));
        }
        source.timestamp = source.timestamp.wrapping_add(3_600);
    }
    harness.pass_ms(40);
    let sent = harness.exchange(a.ours, a.peer, &packet(&mut stream(2), true));
    timestamps.extend(sent.iter().map(|sent| sent.rtp().timestamp()));
    let steps: Vec<i32> = timestamps
        .windows(2)
        .map(|pair| pair[1].distance_from(pair[0]))
        .collect();
    assert_eq!(
        steps,
        [0, 3_600, 0, 3_600],
        "the last one is a switch after 40 ms"
    );
}

#[test]
fn a_keyframe_passes_and_a_flood_of_video_is_bounded() {
    let mut harness = Harness::new();
    let (a, _) = call(&mut harness);
    let mut source = stream(1);
    let mut passed = 0;
    for _ in 0..3_000 {
        passed += harness.exchange(a.ours, a.peer, &source.next()).len();
    }
    let burst = VIDEO_BURST_PACKETS_MAX as usize;
    assert!((500..=1_100).contains(&burst), "several hundred at once");
    assert!((burst..=burst + 2).contains(&passed), "{passed}");
    assert_eq!(
        harness.dropped(DropReason::RateExceeded),
        3_000 - passed as u64
    );
}

/// 10 Mbit/s in packets of 1,200 octets, every frame at once.
#[test]
fn ten_megabits_a_second_pass_for_ten_seconds() {
    let mut harness = Harness::new();
    let (a, _) = call(&mut harness);
    let mut source = stream(1);
    let (frames, packets) = (300, 35);
    assert!(30 * packets > 10_000_000 / 9_600 && 30 * packets < VIDEO_PACKETS_PER_SECOND_MAX);
    let mut passed = 0;
    for _ in 0..frames {
        for _ in 0..packets {
            passed += harness.exchange(a.ours, a.peer, &source.next()).len();
        }
        harness.pass_ms(33);
        harness.sent(); // Reports.
    }
    assert_eq!(u32::try_from(passed), Ok(frames * packets));
}

#[test]
fn no_ringback_is_made_of_pictures() {
    let mut harness = Harness::new();
    let leg = harness.connect(h264("198.51.100.1:4000"), Target::Ringback);
    let mut source = stream(1);
    assert_eq!(harness.exchange(leg.ours, leg.peer, &source.next()), []);
    assert_eq!(harness.dropped(DropReason::NoTarget), 1);
}
