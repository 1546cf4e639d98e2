//! RFC 3261 §17 and RFC 6026: the four transactions.
//!
//! Owns matching, retransmission and the timers A to M. The four machines are pure: each takes
//! itself, returns the next state and one action; `layer` keeps them in a bounded table together
//! with the bytes they repeat.

pub mod invite_client;
pub mod invite_server;
pub mod layer;
pub mod matching;
pub mod non_invite_client;
pub mod non_invite_server;
pub mod timer;
