//! What the level of an H.264 decoder means for who sends to it: the most bits a second.

use crate::offer_answer::codec_match::Codec;
use crate::offer_answer::video::VideoWish;
use crate::sdp::Bandwidth;

/// `level_idc` and the most kilobits a second (H.264 table A-1, `MaxBR`), below the level 3.1 that a browser is
/// told.
const KBIT: [(u8, u32); 8] = [
    (10, 64),
    (11, 192),
    (12, 384),
    (13, 768),
    (20, 2_000),
    (21, 4_000),
    (22, 4_000),
    (30, 10_000),
];

/// What the SIP side said of bandwidth; where it did not, what its level means.
pub(super) fn bandwidth_of(wish: &VideoWish, answered: &Codec) -> Bandwidth {
    if wish.bandwidth != Bandwidth::UNSAID {
        return wish.bandwidth;
    }
    let codec = wish.codecs.iter().find(|codec| codec.is_same(answered));
    Bandwidth {
        application_kbit: codec.and_then(level_kbit),
        independent_bit: None,
    }
}

fn level_kbit(codec: &Codec) -> Option<u32> {
    let level = codec.parameter("profile-level-id")?.get(4..6)?;
    let level = u8::from_str_radix(level, 16).ok()?;
    let (_, kbit) = KBIT.into_iter().find(|&(known, _)| known == level)?;
    // RFC 6184 §8.1: it may say more than its level.
    let more = codec.parameter("max-br").and_then(|text| text.parse().ok());
    Some(more.map_or(kbit, |more: u32| more.max(kbit)))
}
