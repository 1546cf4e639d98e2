//! SRTP and SRTCP (RFC 3711, RFC 7714): what keys a leg has, and how a packet is protected and
//! unprotected where it lies. Knows no SDP and no socket; keys are given, never made here.
//!
//! A context holds the keys of one direction and what was seen of each source: the roll-over counter
//! and a window of indices that were used. Unprotecting changes nothing but the packet; only
//! [`accept`](ReceiveContext::accept) takes its index into the window, so that a packet that
//! another check refuses has used up nothing.
//!
//! MKI, key derivation rates other than zero and RFC 6904 are not used: SDES as it is spoken by
//! telephones has none of them.

mod contexts;
pub(crate) mod key_derivation;
mod left_keys;
mod master_key;
mod receive_context;
mod send_context;
mod streams;
mod suite;
mod transform;
mod window;

#[cfg(test)]
mod tests;

pub use contexts::Contexts;
pub use master_key::{MasterKey, SrtpPlan};
pub use receive_context::{ReceiveContext, Unprotected};
pub use send_context::SendContext;
pub use suite::Suite;

/// Octets of the word that follows an SRTCP packet: the E flag and the index (RFC 3711 §3.4).
pub const RTCP_INDEX_SIZE: usize = 4;
