//! Streams as a decoder sees them.

use super::reader::Reader;
use super::*;

/// The units of a picture.
fn written(frame: &Frame) -> Vec<Vec<u8>> {
    let unit = |unit: &Unit| {
        let mut octets = [0; UNIT_BYTES_MAX];
        let size = frame.write(*unit, &mut octets).expect("room");
        octets[..size].to_vec()
    };
    frame.units().iter().map(unit).collect()
}

/// Shows the pictures of these numbers to a decoder.
fn shown(picture: &mut TestPicture, reader: &mut Reader, numbers: impl Iterator<Item = u32>) {
    for number in numbers {
        let frame = picture.frame(number);
        for unit in written(&frame) {
            reader.read(&unit);
        }
        picture.show(&frame);
        assert!(reader.shows(number), "{number}");
    }
}

/// Longer than any call to a local party lasts, and round all digits.
#[test]
fn every_picture_of_ten_minutes_is_decoded_to_what_it_shows() {
    let (mut picture, mut reader) = (TestPicture::NEW, Reader::default());
    let numbers = 600 * PICTURES_PER_SECOND;
    shown(&mut picture, &mut reader, 0..numbers);
    assert_eq!(reader.pictures, numbers);
    assert_eq!(reader.keyframes, numbers / KEYFRAME_INTERVAL);
}

#[test]
fn every_keyframe_fits_a_packet_and_is_decoded_without_any_other() {
    let mut longest = 0;
    for number in 0..600 * PICTURES_PER_SECOND {
        let frame = TestPicture::NEW.frame(number);
        let units = written(&frame);
        assert_eq!(units.len(), 3);
        longest = longest.max(units.iter().map(Vec::len).max().unwrap());
        let mut reader = Reader::default();
        for unit in units {
            reader.read(&unit);
        }
        assert!(reader.shows(number), "{number}");
    }
    assert!(longest < UNIT_BYTES_MAX, "{longest}");
}

#[test]
fn pictures_that_were_left_out_are_missed_by_nobody() {
    let (mut picture, mut reader) = (TestPicture::NEW, Reader::default());
    let numbers = (0..2_000).filter(|number| number * number % 7 > 1);
    shown(&mut picture, &mut reader, numbers);
}

#[test]
fn who_asks_gets_a_keyframe_at_once_and_the_next_five_seconds_later() {
    let (mut picture, mut reader) = (TestPicture::NEW, Reader::default());
    shown(&mut picture, &mut reader, 0..7);
    assert_eq!(reader.keyframes, 1);
    picture.begin_anew();
    shown(&mut picture, &mut reader, 7..7 + KEYFRAME_INTERVAL);
    assert_eq!(reader.keyframes, 2);
    shown(&mut picture, &mut reader, 7 + KEYFRAME_INTERVAL..60);
    assert_eq!(reader.keyframes, 3);
}

/// What did not leave was not shown: its place in the stream is the next one's.
#[test]
fn a_picture_that_did_not_leave_changes_nothing() {
    let (mut picture, mut reader) = (TestPicture::NEW, Reader::default());
    shown(&mut picture, &mut reader, 0..3);
    let lost = written(&picture.frame(3));
    assert!(!lost.is_empty());
    shown(&mut picture, &mut reader, 4..20);
    assert_eq!(reader.keyframes, 1);
}

#[test]
fn what_has_no_room_is_not_written() {
    let frame = TestPicture::NEW.frame(0);
    for unit in frame.units() {
        assert_eq!(frame.write(*unit, &mut [0; 3]), None, "{unit:?}");
    }
}

/// As decoders other than ours have read them.
#[test]
fn the_parameter_sets_and_a_change_are_these_octets() {
    let mut picture = TestPicture::NEW;
    let first = picture.frame(0);
    let units = written(&first);
    picture.show(&first);
    let hex = |octets: &[u8]| {
        let digits = octets.iter().map(|octet| format!("{octet:02x}"));
        digits.collect::<String>()
    };
    assert_eq!(hex(&units[0]), "6742e00bda0507e9a83030302fa8");
    assert_eq!(hex(&units[1]), "68ce09c8");
    assert_eq!(
        hex(&written(&picture.frame(1))[0]),
        "419a228023277c428a000232909c"
    );
}
