//! Offer and answer (RFC 3264) as data in, data out.
//!
//! Owns what a peer's description means ([`read_offer`], [`read_answer`]), when two codecs are the
//! same, and what our descriptions in one dialog say ([`Session`]). Who may offer now is known by
//! the legs of `b2bua`, because a pending offer is a pending INVITE there. Knows no dialog, no
//! transaction, no socket and no random source. One audio line is taken and, beside it, one video line;
//! every other line is answered with port 0,
//! because each line of an offer must have its answer (RFC 3264 §6).

pub mod browser;
mod codec_match;
pub mod crypto;
mod describe;
mod direction;
mod header_extension;
mod numbers;
mod remote;
mod session;
mod video;

pub use self::codec_match::Codec;
pub use self::describe::refusal_of;
pub use self::header_extension::HeaderExtension;
pub use self::remote::{Forbidden, RemoteAudio, Unusable, read_answer, read_offer};
pub use self::session::{Descriptions, Session};
pub use self::video::{RemoteVideo, SaidVideo, VideoWish};

#[cfg(test)]
mod tests;
