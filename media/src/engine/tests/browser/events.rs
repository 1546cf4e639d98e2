//! Keys of a guest's keypad, as a telephone hears them that counts by another clock.

use arrayvec::ArrayVec;

use super::super::harness::{Stream, TestLeg, address, plan};
use super::guest::{AUDIO, Guest, PORT, audio_plan, harness, rtp};
use crate::command::{Command, LegPlan, PayloadMapping, Target};
use crate::rtp::{PayloadType, RtpTimestamp, RtpView, RtpViewMut, SequenceNumber, Ssrc};

const KEYS: u8 = 110;
const PHONE_SOUND: u8 = 96;
const PHONE_KEYS: u8 = 101;

fn mapping(received: u8, sent: u8, clocks: (u32, Option<u32>), is_event: bool) -> PayloadMapping {
    PayloadMapping {
        received,
        sent,
        clock_rate_hz: clocks.0,
        is_telephone_event: is_event,
        sent_clock_hz: clocks.1,
    }
}

/// Opus on both sides, and keys of 48,000 and of 8,000 ticks a second.
fn plans() -> (LegPlan, LegPlan) {
    let guest = LegPlan {
        payloads: ArrayVec::from_iter([
            mapping(AUDIO, PHONE_SOUND, (48_000, None), false),
            mapping(KEYS, PHONE_KEYS, (48_000, Some(8_000)), true),
        ]),
        ..audio_plan()
    };
    let phone = LegPlan {
        payloads: ArrayVec::from_iter([
            mapping(PHONE_SOUND, AUDIO, (48_000, None), false),
            mapping(PHONE_KEYS, KEYS, (8_000, Some(48_000)), true),
        ]),
        ..plan("198.51.100.1:4000")
    };
    (guest, phone)
}

/// A packet of a key of a stream whose sound steps by 960.
fn key(stream: &mut Stream, payload_type: u8, (stamp, is_end, ticks): (u32, bool, u16)) -> Vec<u8> {
    let mut packet = stream.next();
    packet.truncate(16);
    let [high, low] = ticks.to_be_bytes();
    packet[12..].copy_from_slice(&[9, if is_end { 0x8a } else { 0x0a }, high, low]);
    let sequence = SequenceNumber(stream.sequence.wrapping_sub(1));
    let mut view = RtpViewMut::parse(&mut packet).unwrap();
    view.set(
        ticks < 1_000,
        PayloadType::from_bits(payload_type),
        sequence,
        RtpTimestamp(stamp),
        Ssrc(stream.ssrc),
    );
    packet
}

fn sound(stream: &mut Stream) -> Vec<u8> {
    let packet = stream.next();
    stream.timestamp = stream.timestamp.wrapping_add(960 - 160);
    packet
}

#[test]
fn keys_cross_by_number_and_clock_in_both_directions_and_keep_their_place() {
    let (guest_plan, phone_plan) = plans();
    let mut harness = harness();
    let phone: TestLeg = harness.connect(phone_plan.clone(), Target::Nowhere);
    let mut guest = Guest::up(&mut harness, 1, Target::Leg(phone.pair));
    harness.update(phone, phone_plan, Target::Leg(guest.audio));
    harness.command(Command::Update {
        pair: guest.audio,
        plan: guest_plan,
        target: Target::Leg(phone.pair),
    });
    // To the telephone.
    let first = sound(&mut guest.sound);
    let first = guest.protect(first);
    let left = rtp(harness.exchange(address(PORT), guest.at, &first));
    let offset = |came: u32, went: RtpTimestamp| RtpTimestamp(came).offset_to(went);
    let moved = offset(
        guest.sound.timestamp.wrapping_sub(960),
        left[0].rtp().timestamp(),
    );
    let began = guest.sound.timestamp;
    let presses = [
        (false, 960),
        (false, 1_920),
        (true, 4_800),
        (true, 4_800),
        (true, 4_800),
    ];
    for (is_end, ticks) in presses {
        let packet = key(&mut guest.sound, KEYS, (began, is_end, ticks));
        let packet = guest.protect(packet);
        let left = rtp(harness.exchange(address(PORT), guest.at, &packet));
        assert_eq!((left.len(), left[0].to), (1, phone.peer));
        let view = left[0].rtp();
        assert_eq!(view.payload_type().value(), PHONE_KEYS);
        assert_eq!(
            offset(began, view.timestamp()),
            moved,
            "where it was pressed"
        );
        let [high, low] = (ticks / 6).to_be_bytes();
        assert_eq!(
            view.payload(),
            [9, if is_end { 0x8a } else { 0x0a }, high, low]
        );
    }
    // To the browser.
    let mut stream = Stream {
        payload_type: PHONE_SOUND,
        ..Stream::new(5)
    };
    harness.exchange(phone.ours, phone.peer, &sound(&mut stream));
    let began = stream.timestamp;
    for (is_end, ticks) in [(false, 160), (true, 800), (true, 800), (true, 800)] {
        let packet = key(&mut stream, PHONE_KEYS, (began, is_end, ticks));
        let left = rtp(harness.exchange(phone.ours, phone.peer, &packet));
        let plain = guest.unprotect(&left[0]).unwrap();
        let view = RtpView::parse(&plain).unwrap();
        assert_eq!(view.payload_type().value(), KEYS);
        let [high, low] = (ticks * 6).to_be_bytes();
        assert_eq!(
            view.payload(),
            [9, if is_end { 0x8a } else { 0x0a }, high, low]
        );
    }
}
