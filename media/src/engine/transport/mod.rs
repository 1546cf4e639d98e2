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

use std::net::SocketAddr;

use packet_io::{PacketIo, SocketKey};

/// One datagram that is nobody's packet yet. True where it left: there was a buffer, and it fits.
fn send_copy<Io: PacketIo>(
    io: &mut Io,
    buffers_missing: &mut u64,
    octets: &[u8],
    (socket, to): (SocketKey, Option<SocketAddr>),
) -> bool {
    let Some(mut packet) = io.allocate() else {
        *buffers_missing += 1;
        return false;
    };
    if packet.copy_from(octets).is_err() {
        return false;
    }
    io.send(packet, socket, to);
    true
}
