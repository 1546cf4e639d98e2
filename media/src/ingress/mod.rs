//! What happens to a packet before it is believed: which protocol it is, whether its source is the
//! peer of its leg, and whether that peer sends too much.

mod classify;
mod latch;
mod peer_address;
mod rate_guard;

pub use classify::{Protocol, classify};
pub use latch::{Latch, Verdict};
pub use peer_address::PeerAddress;
pub use rate_guard::RateGuard;
