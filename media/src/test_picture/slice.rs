//! A picture as one slice of flat macroblocks (ITU-T H.264 §7.3.3 to §7.3.5, §9.2).
//!
//! A macroblock is predicted from a neighbour, and what it differs by is one coefficient a plane: that of the
//! mean. The quantiser is the one at which a step of it is a step of luma and two of a colour difference, so
//! that what a decoder shows is the scene itself, and the encoder needs no picture to remember.

use super::scene::{COLUMNS, Colour, ROWS, STILL_ROWS, Scene};
use super::unit_writer::UnitWriter;

/// `pic_init_qp`: the scale of level 1 of a mean is 16 * 16 there (§8.5.8), which its way through §8.5.10
/// and §8.5.12 makes 64 of 64.
pub(super) const QUANTISER: i32 = 28;
/// What a level of a colour difference is worth by the same way (§8.5.11).
const CHROMA_STEP: i32 = 2;

/// Which picture a slice is of, and what it follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slice {
    /// It needs no other picture. The number differs from that of the one before (§7.4.3).
    Instantaneous { idr_pic_id: u32 },
    /// It changes the picture of that scene.
    Following { before: Scene, frame_num: u32 },
}

/// `slice_type` of a picture all of whose slices are of this kind (table 7-6).
const ALL_PREDICTED: u32 = 5;
const ALL_INTRA: u32 = 7;
/// `mb_type` of macroblocks that are not predicted from another picture is counted from here on in slices
/// that can be (table 7-13).
const INTRA_IN_PREDICTED: u32 = 5;

/// Bits of `frame_num`.
pub(super) const FRAME_NUM_BITS: u32 = 4;

impl Slice {
    /// Writes it. The size; `None`: it does not fit.
    pub(super) fn write(self, scene: &Scene, octets: &mut [u8]) -> Option<usize> {
        match self {
            Self::Instantaneous { idr_pic_id } => {
                let mut writer = UnitWriter::new(octets, super::INSTANTANEOUS);
                begin(&mut writer, ALL_INTRA, 0);
                writer.put_unsigned(idr_pic_id);
                // no_output_of_prior_pics_flag, long_term_reference_flag.
                writer.put(0b00, 2);
                end_header(&mut writer);
                for row in 0..ROWS {
                    for column in 0..COLUMNS {
                        macroblock(&mut writer, scene, (column, row), 0);
                    }
                }
                writer.end()
            }
            Self::Following { before, frame_num } => {
                let mut writer = UnitWriter::new(octets, super::FOLLOWING);
                begin(&mut writer, ALL_PREDICTED, frame_num);
                // num_ref_idx_active_override_flag, ref_pic_list_modification_flag_l0,
                // adaptive_ref_pic_marking_mode_flag.
                writer.put(0b000, 3);
                end_header(&mut writer);
                changes(&mut writer, scene, &before);
                writer.end()
            }
        }
    }
}

fn begin(writer: &mut UnitWriter<'_>, slice_type: u32, frame_num: u32) {
    // first_mb_in_slice.
    writer.put_unsigned(0);
    writer.put_unsigned(slice_type);
    // pic_parameter_set_id.
    writer.put_unsigned(0);
    writer.put(frame_num, FRAME_NUM_BITS);
}

fn end_header(writer: &mut UnitWriter<'_>) {
    // slice_qp_delta.
    writer.put_signed(0);
    // disable_deblocking_filter_idc: nothing smooths what is flat.
    writer.put_unsigned(1);
}

/// What is as before is skipped: it moves by nothing, as nothing ever moves (§8.4.1.1).
fn changes(writer: &mut UnitWriter<'_>, scene: &Scene, before: &Scene) {
    let mut skipped = STILL_ROWS * COLUMNS;
    for row in STILL_ROWS..ROWS {
        for column in 0..COLUMNS {
            if scene.colour(column, row) == before.colour(column, row) {
                skipped += 1;
                continue;
            }
            writer.put_unsigned(skipped);
            skipped = 0;
            macroblock(writer, scene, (column, row), INTRA_IN_PREDICTED);
        }
    }
    if skipped > 0 {
        writer.put_unsigned(skipped);
    }
}

/// From where a macroblock is predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prediction {
    Above,
    Left,
    Mean,
}

impl Prediction {
    /// The numbers of luma (table 8-4) and of both colour differences (table 8-5).
    const fn modes(self) -> (u32, u32) {
        match self {
            Self::Above => (0, 2),
            Self::Left => (1, 1),
            Self::Mean => (2, 0),
        }
    }
}

/// One that is coded by itself (`I_16x16`), without any coefficient but those of the means.
fn macroblock(
    writer: &mut UnitWriter<'_>,
    scene: &Scene,
    (column, row): (u32, u32),
    mb_type_first: u32,
) {
    let own = scene.colour(column, row);
    let left = column.checked_sub(1).map(|left| scene.colour(left, row));
    let above = row.checked_sub(1).map(|above| scene.colour(column, above));
    let (prediction, predicted) = match (left, above) {
        (_, Some(above)) if above == own => (Prediction::Above, above),
        (Some(left), _) => (Prediction::Left, left),
        (None, Some(above)) => (Prediction::Above, above),
        (None, None) => (Prediction::Mean, Colour::GREY),
    };
    let levels = (
        difference(own.y, predicted.y),
        difference(own.cb, predicted.cb) / CHROMA_STEP,
        difference(own.cr, predicted.cr) / CHROMA_STEP,
    );
    let has_chroma = (levels.1, levels.2) != (0, 0);
    let (luma_mode, chroma_mode) = prediction.modes();
    // Table 7-11: 1, the way of prediction, and four for coefficients of the colour differences.
    let coded = if has_chroma { 4 } else { 0 };
    writer.put_unsigned(mb_type_first + 1 + luma_mode + coded);
    writer.put_unsigned(chroma_mode);
    // mb_qp_delta.
    writer.put_signed(0);
    coefficient(writer, levels.0, LUMA);
    if has_chroma {
        coefficient(writer, levels.1, CHROMA);
        coefficient(writer, levels.2, CHROMA);
    }
}

fn difference(own: u8, predicted: u8) -> i32 {
    i32::from(own) - i32::from(predicted)
}

/// `coeff_token`, a code and its bits each, of no coefficient, of one that is 1 or -1, of another one
/// (table 9-5).
type Tokens = [(u32, u32); 3];
/// Where no neighbour has any that counts.
const LUMA: Tokens = [(0b1, 1), (0b01, 2), (0b00_0101, 6)];
const CHROMA: Tokens = [(0b01, 2), (0b1, 1), (0b00_0111, 6)];

/// A block of one coefficient, its first (§9.2).
fn coefficient(writer: &mut UnitWriter<'_>, level: i32, [none, one, other]: Tokens) {
    let (code, bits) = match level {
        0 => none,
        1 | -1 => one,
        _ => other,
    };
    writer.put(code, bits);
    let sign = u32::from(level < 0);
    match level.unsigned_abs() {
        0 => return,
        1 => writer.put(sign, 1),
        // It is none of those that are 1 or -1, and is counted from the next one on (§9.2.2.1).
        size => put_level(writer, 2 * (size - 2) + sign),
    }
    // total_zeros: none before it (tables 9-7 and 9-9).
    writer.put(1, 1);
}

/// `level_prefix` and `level_suffix` of a first level (§9.2.2.1, table 9-6).
fn put_level(writer: &mut UnitWriter<'_>, code: u32) {
    const SHORT: u32 = 14;
    const LONG: u32 = SHORT + 16;
    const LONG_BITS: u32 = 12;
    match code {
        0..SHORT => writer.put(1, code + 1),
        SHORT..LONG => {
            writer.put(1, SHORT + 1);
            writer.put(code - SHORT, 4);
        }
        _ => {
            debug_assert!(code - LONG < 1 << LONG_BITS, "an octet's difference fits");
            writer.put(1, SHORT + 2);
            writer.put(code - LONG, LONG_BITS);
        }
    }
}
