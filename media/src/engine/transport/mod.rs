//! Transports of browsers: ICE as an agent that looks for no way, DTLS-SRTP, and all media of a call on
//! one source address, all calls of a worker on one port (RFC 8445 §2.5, RFC 5764, RFC 9143, RFC 5761).
//!
//! Owns whose datagram it is: a check names a fragment of ours, all else comes from a source that a
//! check nominated. What is audio or video then goes the way of every other leg. The legs of a
//! browser are slots beyond those of port pairs, without sockets of their own; the transport is held
//! by the slot of its audio.

mod arrival;
mod begin;
mod check;
mod control;
mod counters;
mod flights;
mod handshake;
mod repeats;
mod source_map;
mod table;
mod timing;
mod way;

pub use counters::{FailureCounters, RefusalCounters, TransportCounters};
pub(super) use table::Transports;
