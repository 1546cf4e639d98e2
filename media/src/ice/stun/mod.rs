//! STUN messages as ICE has them (RFC 8489): a bounded view that any octets may be given to, and a
//! writer of responses. Knows no agent: what a message means is not decided here.

mod attribute;
mod crc;
mod message;
mod writer;

pub use attribute::Attribute;
pub use message::{Class, MessageView, TRANSACTION_SIZE};
pub use writer::{ErrorCode, RESPONSE_SIZE_MAX, Response, write_request};

/// Octets of a header (RFC 8489 §5).
pub(crate) const HEADER_SIZE: usize = 20;
/// What tells STUN from other protocols (RFC 8489 §5).
pub(crate) const MAGIC_COOKIE: u32 = 0x2112_A442;
/// The method Binding (RFC 8489 §18.2).
pub(crate) const BINDING: u16 = 0x001;
/// Octets of a type and a length (RFC 8489 §14).
pub(crate) const ATTRIBUTE_HEADER_SIZE: usize = 4;
/// Octets of HMAC-SHA1 (RFC 8489 §14.5).
pub(crate) const INTEGRITY_SIZE: usize = 20;
/// What FINGERPRINT is combined with (RFC 8489 §14.7).
pub(crate) const FINGERPRINT_MASK: u32 = 0x5354_554e;
