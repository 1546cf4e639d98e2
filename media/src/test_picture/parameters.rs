//! The parameter sets (ITU-T H.264 §7.3.2.1, §7.3.2.2, §E.1): Constrained Baseline, as descriptions name it.

use super::scene::{COLUMNS, ROWS};
use super::slice::{FRAME_NUM_BITS, QUANTISER};
use super::unit_writer::UnitWriter;
use super::{PICTURE_PARAMETERS, PICTURES_PER_SECOND, SEQUENCE_PARAMETERS};

/// Baseline, and what makes it the constrained one and readable as Main and Extended (§A.2.1.1).
const PROFILE: u32 = 66;
const CONSTRAINTS: u32 = 0b1110_0000;
/// Level 1.1: whoever has H.264 of more than the smallest level decodes it.
const LEVEL: u32 = 11;
/// Macroblocks a second and a picture of that level (table A-1).
const LEVEL_RATE_MAX: u32 = 3_000;
const LEVEL_SIZE_MAX: u32 = 396;

const _: () = {
    assert!(COLUMNS * ROWS <= LEVEL_SIZE_MAX, "level 1.1");
    assert!(
        COLUMNS * ROWS * PICTURES_PER_SECOND <= LEVEL_RATE_MAX,
        "level 1.1"
    );
};

/// ITU-R BT.601, as of 525 lines (tables E-3 to E-5).
const BT_601: u32 = 6;
/// `video_format` of nothing in particular.
const UNSPECIFIED: u32 = 5;

/// Writes the set of the sequence. The size; `None`: it does not fit.
pub(super) fn write_sequence(octets: &mut [u8]) -> Option<usize> {
    let mut writer = UnitWriter::new(octets, SEQUENCE_PARAMETERS);
    writer.put(PROFILE, 8);
    writer.put(CONSTRAINTS, 8);
    writer.put(LEVEL, 8);
    // seq_parameter_set_id.
    writer.put_unsigned(0);
    writer.put_unsigned(FRAME_NUM_BITS - 4);
    // pic_order_cnt_type: pictures are shown in the order they come in.
    writer.put_unsigned(2);
    // max_num_ref_frames.
    writer.put_unsigned(1);
    // gaps_in_frame_num_value_allowed_flag.
    writer.put(0, 1);
    writer.put_unsigned(COLUMNS - 1);
    writer.put_unsigned(ROWS - 1);
    // frame_mbs_only_flag, direct_8x8_inference_flag; frame_cropping_flag; vui_parameters_present_flag.
    writer.put(0b1101, 4);
    // aspect_ratio_info_present_flag, overscan_info_present_flag; video_signal_type_present_flag.
    writer.put(0b001, 3);
    writer.put(UNSPECIFIED, 3);
    // video_full_range_flag; colour_description_present_flag.
    writer.put(0b01, 2);
    for _primaries_transfer_matrix in 0..3 {
        writer.put(BT_601, 8);
    }
    // No place of chroma, no timing, no two parameters of HRD, no pic_struct; bitstream_restriction_flag.
    writer.put(0b00_0001, 6);
    // motion_vectors_over_pic_boundaries_flag.
    writer.put(0, 1);
    // max_bytes_per_pic_denom, max_bits_per_mb_denom: no promise.
    writer.put_unsigned(0);
    writer.put_unsigned(0);
    // log2_max_mv_length, horizontal and vertical: nothing moves.
    writer.put_unsigned(0);
    writer.put_unsigned(0);
    // max_num_reorder_frames, max_dec_frame_buffering: whoever decodes a picture may show it.
    writer.put_unsigned(0);
    writer.put_unsigned(1);
    writer.end()
}

/// Writes the set of the pictures. The size; `None`: it does not fit.
pub(super) fn write_picture(octets: &mut [u8]) -> Option<usize> {
    let mut writer = UnitWriter::new(octets, PICTURE_PARAMETERS);
    // pic_parameter_set_id, seq_parameter_set_id.
    writer.put_unsigned(0);
    writer.put_unsigned(0);
    // entropy_coding_mode_flag: CAVLC; bottom_field_pic_order_in_frame_present_flag.
    writer.put(0b00, 2);
    // num_slice_groups_minus1, num_ref_idx_l0_default_active_minus1, num_ref_idx_l1_default_active_minus1.
    for _single in 0..3 {
        writer.put_unsigned(0);
    }
    // weighted_pred_flag, weighted_bipred_idc.
    writer.put(0b000, 3);
    writer.put_signed(QUANTISER - 26);
    // pic_init_qs_minus26, chroma_qp_index_offset.
    writer.put_signed(0);
    writer.put_signed(0);
    // deblocking_filter_control_present_flag; constrained_intra_pred_flag, redundant_pic_cnt_present_flag.
    writer.put(0b100, 3);
    writer.end()
}
