//! `Arrival`: a datagram with its true source, before the last look that makes it a `Received`.

use std::net::SocketAddr;

use crate::counters::IoCounters;
use crate::packet_buf::PacketBuf;
use crate::packet_io::{Received, SocketKey};

/// A datagram with its true source.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) socket: SocketKey,
    pub(crate) source: SocketAddr,
    pub(crate) packet: PacketBuf,
}

/// The peer of a socket, where there is the socket.
pub(crate) type PeerOf = Option<Option<SocketAddr>>;

impl Arrival {
    /// The socket may have been closed or connected since the datagram came: `peer` is of now.
    #[inline]
    pub(crate) fn hand_on(self, peer: PeerOf, counters: &mut IoCounters) -> Option<Received> {
        let Self {
            socket,
            source,
            packet,
        } = self;
        let source = match peer {
            None => {
                counters.stale_datagrams += 1;
                return None;
            }
            Some(Some(peer)) if peer != source => {
                counters.stranger_datagrams += 1;
                return None;
            }
            Some(Some(_)) => None,
            Some(None) => Some(source),
        };
        counters.packets_received += 1;
        Some(Received {
            socket,
            source,
            packet,
        })
    }
}
