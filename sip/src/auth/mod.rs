//! Digest authentication (RFC 3261 §22, RFC 7616, RFC 8760, RFC 2617).
//!
//! Owns reading challenges and computing the answer, as a client; and, in `server`, challenging and
//! checking. When to try, and how often, is the caller's: once per challenge of the trunk's own peer.
//! Nothing here holds a password longer than a call.

mod challenge;
mod digest;
pub mod server;

pub use self::challenge::{Algorithm, CHALLENGES_MAX, Challenge, Protection, challenges};
pub use self::digest::{Answering, write_authorization};

#[cfg(test)]
mod tests;
