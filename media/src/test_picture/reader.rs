//! A decoder of what the encoder may write, by the tables and formulas of the standard: whatever else a
//! unit says ends the test.

use super::scene::{COLUMNS, Colour, ROWS, Scene};

/// What a decoder has of a stream.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    sequence: Option<Sequence>,
    quantiser: Option<i32>,
    /// Macroblocks of the picture, row by row.
    shown: Vec<Colour>,
    frame_num: u32,
    idr_pic_id: Option<u32>,
    /// Pictures that needed no other.
    pub(crate) keyframes: u32,
    pub(crate) pictures: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sequence {
    columns: u32,
    rows: u32,
}

struct Bits {
    octets: Vec<u8>,
    at: usize,
    /// Bits before the trailing ones.
    end: usize,
}

impl Bits {
    /// The payload of a unit, without what keeps start codes apart (§7.3.1).
    fn of(unit: &[u8]) -> Self {
        let mut octets = Vec::new();
        let mut zeros = 0;
        for octet in &unit[1..] {
            if zeros >= 2 {
                assert!(*octet >= 3, "a start code within a unit");
                if *octet == 3 {
                    zeros = 0;
                    continue;
                }
            }
            zeros = if *octet == 0 { zeros + 1 } else { 0 };
            octets.push(*octet);
        }
        let last = *octets.last().unwrap();
        assert_ne!(last, 0, "trailing bits");
        let end = octets.len() * 8 - 1 - usize::try_from(last.trailing_zeros()).unwrap();
        Self { octets, at: 0, end }
    }

    fn take(&mut self, count: u32) -> u32 {
        (0..count).fold(0, |value, _| {
            assert!(self.at < self.end, "beyond the end of a unit");
            let bit = self.octets[self.at / 8] >> (7 - self.at % 8) & 1;
            self.at += 1;
            value << 1 | u32::from(bit)
        })
    }

    fn unsigned(&mut self) -> u32 {
        let mut zeros = 0;
        while self.take(1) == 0 {
            zeros += 1;
        }
        (1 << zeros) - 1 + self.take(zeros)
    }

    fn signed(&mut self) -> i32 {
        let number = i32::try_from(self.unsigned()).unwrap();
        if number % 2 == 1 {
            (number + 1) / 2
        } else {
            -(number / 2)
        }
    }

    fn has_more(&self) -> bool {
        self.at < self.end
    }

    fn expect_unsigned(&mut self, values: &[u32]) {
        for value in values {
            assert_eq!(self.unsigned(), *value);
        }
    }
}

impl Reader {
    /// Takes in a unit.
    pub(crate) fn read(&mut self, unit: &[u8]) {
        let mut bits = Bits::of(unit);
        match unit[0] {
            0x67 => self.read_sequence(&mut bits),
            0x68 => self.read_picture_parameters(&mut bits),
            0x65 => self.read_keyframe(&mut bits),
            0x41 => self.read_following(&mut bits),
            other => panic!("a unit of no kind that is written: {other:#x}"),
        }
        assert!(!bits.has_more(), "all of a unit was read");
    }

    /// True if the decoder shows the picture of this number.
    pub(crate) fn shows(&self, number: u32) -> bool {
        let scene = Scene::of(number);
        let places = (0..ROWS).flat_map(|row| (0..COLUMNS).map(move |column| (column, row)));
        let colours = places.map(|(column, row)| scene.colour(column, row));
        colours.eq(self.shown.iter().copied())
    }

    fn read_sequence(&mut self, bits: &mut Bits) {
        // 42e01f of a description, or less of its level.
        assert_eq!(bits.take(16), 0x42e0);
        let level = bits.take(8);
        assert!(level <= 0x1f, "{level}");
        bits.expect_unsigned(&[0, 0, 2, 1]);
        assert_eq!(bits.take(1), 0, "gaps");
        let (columns, rows) = (bits.unsigned() + 1, bits.unsigned() + 1);
        assert_eq!(
            bits.take(4),
            0b1101,
            "frames, not cut, with how to show them"
        );
        assert_eq!(bits.take(3), 0b001);
        assert_eq!(
            bits.take(5),
            0b10101,
            "of no format, in the range of television"
        );
        assert_eq!(bits.take(24), 0x06_0606, "BT.601");
        assert_eq!(bits.take(7), 0b000_0010);
        bits.expect_unsigned(&[0, 0, 0, 0, 0, 1]);
        self.sequence = Some(Sequence { columns, rows });
    }

    fn read_picture_parameters(&mut self, bits: &mut Bits) {
        bits.expect_unsigned(&[0, 0]);
        assert_eq!(bits.take(2), 0, "CAVLC");
        bits.expect_unsigned(&[0, 0, 0]);
        assert_eq!(bits.take(3), 0, "no weights");
        self.quantiser = Some(26 + bits.signed());
        assert_eq!((bits.signed(), bits.signed()), (0, 0));
        assert_eq!(bits.take(3), 0b100);
    }

    fn read_keyframe(&mut self, bits: &mut Bits) {
        let sequence = self.sequence.expect("parameters come first");
        bits.expect_unsigned(&[0, 7, 0]);
        assert_eq!(bits.take(4), 0, "frame_num");
        let id = bits.unsigned();
        assert_ne!(self.idr_pic_id.replace(id), Some(id), "§7.4.3");
        assert_eq!(bits.take(2), 0);
        self.read_header_end(bits);
        self.shown.clear();
        self.frame_num = 0;
        for at in 0..sequence.columns * sequence.rows {
            let colour = self.read_macroblock(bits, at, 0);
            self.shown.push(colour);
        }
        self.keyframes += 1;
        self.pictures += 1;
    }

    fn read_following(&mut self, bits: &mut Bits) {
        assert!(!self.shown.is_empty(), "there is a picture to change");
        bits.expect_unsigned(&[0, 5, 0]);
        self.frame_num = (self.frame_num + 1) % 16;
        assert_eq!(bits.take(4), self.frame_num, "no picture is missing");
        assert_eq!(bits.take(3), 0);
        self.read_header_end(bits);
        let mut at = 0;
        while bits.has_more() {
            at += bits.unsigned();
            if !bits.has_more() {
                break;
            }
            let colour = self.read_macroblock(bits, at, 5);
            self.shown[usize::try_from(at).unwrap()] = colour;
            at += 1;
        }
        assert_eq!(usize::try_from(at), Ok(self.shown.len()));
        self.pictures += 1;
    }

    fn read_header_end(&self, bits: &mut Bits) {
        assert!(self.quantiser.is_some(), "parameters come first");
        assert_eq!(bits.signed(), 0, "slice_qp_delta");
        assert_eq!(bits.unsigned(), 1, "nothing is smoothed");
    }

    fn read_macroblock(&self, bits: &mut Bits, at: u32, first: u32) -> Colour {
        let mb_type = bits.unsigned() - first;
        assert!(
            (1..=8).contains(&mb_type),
            "no luma but its mean: {mb_type}"
        );
        let (mode, has_chroma) = ((mb_type - 1) % 4, mb_type > 4);
        let columns = self.sequence.unwrap().columns;
        let known = |at: u32| self.shown[usize::try_from(at).unwrap()];
        let (predicted, chroma_mode) = match mode {
            0 => (known(at.checked_sub(columns).expect("a row above")), 2),
            1 if !at.is_multiple_of(columns) => (known(at - 1), 1),
            2 if at == 0 => (
                Colour {
                    y: 128,
                    cb: 128,
                    cr: 128,
                },
                0,
            ),
            other => panic!("prediction {other} of macroblock {at}"),
        };
        assert_eq!(bits.unsigned(), chroma_mode);
        assert_eq!(bits.signed(), 0, "mb_qp_delta");
        let quantiser = self.quantiser.unwrap();
        let luma = luma_of(read_block(bits, false), quantiser);
        let [blue, red] = if has_chroma {
            [(); 2].map(|()| chroma_of(read_block(bits, true), quantiser))
        } else {
            [0; 2]
        };
        let sum = |value: u8, more: i32| u8::try_from(i32::from(value) + more).unwrap();
        Colour {
            y: sum(predicted.y, luma),
            cb: sum(predicted.cb, blue),
            cr: sum(predicted.cr, red),
        }
    }
}

/// The one level of a block (§9.2, of one coefficient at most).
fn read_block(bits: &mut Bits, is_chroma: bool) -> i32 {
    // Table 9-5, of nC 0 and -1: no coefficient, one, one that trails.
    let codes: [(&str, u32); 3] = match is_chroma {
        false => [("1", 0), ("000101", 1), ("01", 2)],
        true => [("01", 0), ("000111", 1), ("1", 2)],
    };
    let mut code = String::new();
    let token = loop {
        code.push(if bits.take(1) == 1 { '1' } else { '0' });
        if let Some((_, token)) = codes.iter().find(|(known, _)| *known == code) {
            break *token;
        }
        assert!(code.len() < 6, "{code}");
    };
    let level = match token {
        0 => return 0,
        2 if bits.take(1) == 1 => -1,
        2 => 1,
        _ => read_level(bits),
    };
    assert_eq!(bits.take(1), 1, "no zeros before it");
    level
}

/// §9.2.2.1 with suffixLength 0 and no trailing ones.
fn read_level(bits: &mut Bits) -> i32 {
    let mut prefix = 0;
    while bits.take(1) == 0 {
        prefix += 1;
    }
    let (suffix_bits, more) = match prefix {
        0..14 => (0, 0),
        14 => (4, 0),
        _ => (12, 15),
    };
    let code = i32::try_from(prefix.min(15) + bits.take(suffix_bits) + more).unwrap() + 2;
    if code % 2 == 0 {
        (code + 2) / 2
    } else {
        (-code - 1) / 2
    }
}

/// normAdjust4x4(m, 0, 0), §8.5.9.
const SCALES: [i32; 6] = [10, 11, 13, 14, 16, 18];

/// What a level of the mean adds to luma: §8.5.10 below 36, §8.5.12.
fn luma_of(level: i32, quantiser: i32) -> i32 {
    let (scale, shift) = scale_of(quantiser);
    assert!(shift < 6);
    let mean = (level * scale + (1 << (5 - shift))) >> (6 - shift);
    (mean + 32) >> 6
}

/// The same of a colour difference, §8.5.11.
fn chroma_of(level: i32, quantiser: i32) -> i32 {
    assert!(quantiser < 30, "table 8-15 gives the same below 30");
    let (scale, shift) = scale_of(quantiser);
    let mean = ((level * scale) << shift) >> 5;
    (mean + 32) >> 6
}

fn scale_of(quantiser: i32) -> (i32, i32) {
    let place = usize::try_from(quantiser % 6).unwrap();
    (16 * SCALES[place], quantiser / 6)
}
