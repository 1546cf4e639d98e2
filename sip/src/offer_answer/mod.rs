//! Offer and answer (RFC 3264) as data in, data out.
//!
//! Owns who may offer now ([`Exchange`]), which codecs two sides share, and what our descriptions
//! say. Knows no dialog, no transaction and no socket. One audio line is taken; every other line is
//! answered with port 0, because each line of an offer must have its answer (RFC 3264 §6).

mod answer;
mod codec_match;
mod direction;
mod exchange;
mod negotiate;
mod offer;

pub use self::answer::{AgreedCodec, AnswerTaken, build_answer, read_answer};
pub use self::codec_match::{CODECS_MAX, Codec, codecs_of};
pub use self::direction::{answer_direction, reversed};
pub use self::exchange::{Exchange, OutOfOrder};
pub use self::negotiate::{Negotiated, OfferRefusal, RemoteAudio, negotiate, read_offer};
pub use self::offer::{LocalMedia, build_offer, build_reoffer, local_origin};

#[cfg(test)]
mod tests;
