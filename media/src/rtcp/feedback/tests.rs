use super::*;
use crate::rtcp::Compound;
use proptest::prelude::*;

const MAPPING: FeedbackMapping = FeedbackMapping {
    ours: Ssrc(0x0101_0101),
    sender: Ssrc(0x0202_0202),
    feed: Ssrc(0x0303_0303),
    intra_request: 77,
};

/// Feedback of a peer, `media` its second word.
pub(crate) fn packet(kind: u8, format: u8, media: u32, content: &[u8]) -> Vec<u8> {
    let words = u8::try_from(2 + content.len() / 4).unwrap();
    let mut octets = vec![0x80 | format, kind, 0, words, 9, 9, 9, 9];
    octets.extend(media.to_be_bytes());
    octets.extend(content);
    octets
}

fn mapped(
    octets: &[u8],
    number: impl Fn(SequenceNumber) -> Option<SequenceNumber>,
) -> Result<Vec<u8>, DropReason> {
    let part = Compound::parse(octets)?.packets().next().unwrap();
    let mut written = vec![0; 256];
    let size = Feedback::read(part)?.write(&mut written, MAPPING, number)?;
    written.truncate(size);
    Compound::parse(&written).expect("what we write is valid");
    Ok(written)
}

fn minus_100(number: SequenceNumber) -> Option<SequenceNumber> {
    Some(number.wrapping_add(0_u16.wrapping_sub(100)))
}

#[test]
fn a_picture_loss_names_our_source_and_the_feed() {
    let sent = mapped(&packet(206, 1, 0x0101_0101, &[]), minus_100).unwrap();
    assert_eq!(sent, [0x81, 206, 0, 2, 2, 2, 2, 2, 3, 3, 3, 3]);
}

#[test]
fn an_intra_request_has_a_number_of_our_own() {
    let two = [8, 8, 8, 8, 5, 0, 0, 0, 1, 1, 1, 1, 6, 0, 0, 0];
    let sent = mapped(&packet(206, 4, 0, &two), minus_100).unwrap();
    assert_eq!(&sent[8..], [0, 0, 0, 0, 3, 3, 3, 3, 77, 0, 0, 0]);
}

#[test]
fn losses_are_told_in_the_numbers_of_the_feed() {
    let losses = [0, 50, 0x80, 0x01, 1, 0, 0, 0];
    let sent = mapped(&packet(205, 1, 0x0101_0101, &losses), minus_100).unwrap();
    assert_eq!(&sent[12..], [0xff, 0xce, 0x80, 0x01, 0, 156, 0, 0]);
    assert_eq!(sent[3], 4);
}

#[test]
fn losses_that_are_not_of_the_feed_are_left_out() {
    let not_before = |first: u16| {
        move |number: SequenceNumber| {
            (number.distance_from(SequenceNumber(first)) >= 0).then_some(number)
        }
    };
    let losses = packet(205, 1, 0x0101_0101, &[0, 10, 0x00, 0x0f]);
    assert_eq!(
        &mapped(&losses, not_before(12)).unwrap()[12..],
        [0, 12, 0, 3]
    );
    assert_eq!(
        mapped(&losses, not_before(20)),
        Err(DropReason::FeedbackForeign)
    );
}

#[test]
fn a_bit_rate_keeps_its_rate_and_names_the_feed_alone() {
    let estimate = [
        b'R', b'E', b'M', b'B', 2, 0x0b, 0x12, 0x34, 7, 7, 7, 7, 1, 1, 1, 1,
    ];
    let sent = mapped(&packet(206, 15, 0, &estimate), minus_100).unwrap();
    assert_eq!(
        &sent[12..],
        [b'R', b'E', b'M', b'B', 1, 0x0b, 0x12, 0x34, 3, 3, 3, 3]
    );
}

#[test]
fn arrivals_are_passed_on_as_they_are() {
    let arrivals = [0, 5, 0, 1, 0, 0, 9, 1, 0x20, 1, 4, 0];
    let sent = mapped(&packet(205, 15, 0x0101_0101, &arrivals), minus_100).unwrap();
    assert_eq!(&sent[8..12], [3, 3, 3, 3]);
    assert_eq!(&sent[12..], arrivals);
}

/// CVE-2022-24786 is of RPSI.
#[test]
fn slice_loss_picture_selection_and_unknown_formats_end_here() {
    for (kind, format) in [(206, 2), (206, 3), (206, 15), (206, 31), (205, 0), (205, 9)] {
        let octets = packet(kind, format, 0x0101_0101, &[0; 8]);
        assert_eq!(
            mapped(&octets, minus_100),
            Err(DropReason::FeedbackUnknown),
            "{kind} {format}"
        );
    }
}

#[test]
fn feedback_about_another_stream_is_not_ours_to_pass_on() {
    let estimate = [b'R', b'E', b'M', b'B', 1, 0, 1, 1, 7, 7, 7, 7];
    for octets in [
        packet(206, 1, 0x0303_0303, &[]),
        packet(206, 4, 0x0101_0101, &[8, 8, 8, 8, 5, 0, 0, 0]),
        packet(205, 1, 7, &[0, 10, 0, 0]),
        packet(206, 15, 0, &estimate),
        packet(205, 15, 0, &[0, 5, 0, 1, 0, 0, 9, 1]),
    ] {
        assert_eq!(mapped(&octets, minus_100), Err(DropReason::FeedbackForeign));
    }
}

#[test]
fn feedback_whose_content_does_not_add_up_is_malformed() {
    let remb = [b'R', b'E', b'M', b'B', 9, 0, 0, 0, 1, 1, 1, 1];
    for octets in [
        packet(205, 1, 0x0101_0101, &[]),
        packet(205, 15, 0x0101_0101, &[0, 0, 0, 0]),
        packet(206, 4, 0, &[1, 1, 1, 1]),
        packet(206, 15, 0, &remb),
    ] {
        assert_eq!(mapped(&octets, minus_100), Err(DropReason::RtcpMalformed));
    }
}

#[test]
fn feedback_without_room_is_too_long() {
    let octets = packet(205, 15, 0x0101_0101, &[0; 40]);
    let part = Compound::parse(&octets).unwrap().packets().next().unwrap();
    let written = Feedback::read(part)
        .unwrap()
        .write(&mut [0; 48], MAPPING, minus_100);
    assert_eq!(written, Err(DropReason::FeedbackTooLong));
}

proptest! {
    /// Whatever is asked for again is what the feed sent of what was asked for.
    #[test]
    fn every_loss_of_the_feed_is_told_and_no_other(first in any::<u16>(), mask in any::<u16>(), offset in any::<u16>(), keep in any::<u32>()) {
        let asked: Vec<u16> = (0..17_u16).filter(|at| (u32::from(mask) << 1 | 1) >> at & 1 == 1).collect();
        let number = |number: SequenceNumber| {
            let at = SequenceNumber(first).offset_to(number);
            (keep >> at & 1 == 1).then(|| number.wrapping_add(offset))
        };
        let ([p0, p1], [b0, b1]) = (first.to_be_bytes(), mask.to_be_bytes());
        let told: Vec<u16> = mapped_losses([p0, p1, b0, b1], number).map(|[p0, p1, b0, b1]| {
            let start = u16::from_be_bytes([p0, p1]);
            let mask = u32::from(u16::from_be_bytes([b0, b1])) << 1 | 1;
            (0..17_u16).filter(|at| mask >> at & 1 == 1).map(|at| start.wrapping_add(at)).collect()
        }).unwrap_or_default();
        let expected: Vec<u16> = asked.into_iter().filter(|at| keep >> at & 1 == 1)
            .map(|at| first.wrapping_add(at).wrapping_add(offset)).collect();
        prop_assert_eq!(told, expected);
    }
}
