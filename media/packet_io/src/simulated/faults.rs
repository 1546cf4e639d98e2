//! `Faults`: what goes wrong in the twin, as a type. Asked in a fixed order, so that a seeded
//! implementation replays; [`NoFaults`] is zero-sized and compiles to nothing.

use std::net::SocketAddr;

use crate::packet_io::OpenRefused;

/// Decides at each point where a kernel may refuse. Count calls inside to fail the n-th.
pub trait Faults {
    /// `open` of this address is refused.
    fn refuse_open(&mut self, _local: SocketAddr) -> Option<OpenRefused> {
        None
    }

    /// `allocate` finds the pool empty.
    fn refuse_allocation(&mut self) -> bool {
        false
    }

    /// `receive` finds no buffer; what waits goes on waiting.
    fn starve_reception(&mut self) -> bool {
        false
    }

    /// A queued datagram does not leave.
    fn fail_send(&mut self, _from: SocketAddr, _to: SocketAddr) -> Option<SendFault> {
        None
    }
}

/// How a send fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendFault {
    /// The socket or device queue is full.
    WouldBlock,
    /// No route, too long, forbidden.
    Failed,
}

/// Nothing goes wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NoFaults;

impl Faults for NoFaults {}

const _: () = assert!(size_of::<NoFaults>() == 0);
