//! What will happen: entries in the order of their time, and of their making where that is equal.

use std::net::SocketAddr;

use crate::network::Packet;
use crate::store::Reply;
use crate::streams::Segment;
use crate::time::SimTime;
use crate::world::Word;

/// What is due at a time.
#[derive(Debug)]
pub(crate) enum Due {
    Packet(Packet),
    Leg(usize),
    Reply(Reply),
    /// What a guest has to do.
    Guest(usize),
    /// A word by this WebSocket of a guest, one way or the other.
    Word(usize, u32, Box<Word>),
    /// The gateway is told to place this call.
    Place(u32),
    /// The gateway is told to end this call.
    EndCall(u32),
    Unreachable(SocketAddr),
    Segment(Segment),
    /// The connection to this peer breaks, where it is still that one.
    Breaks(SocketAddr, u32),
}

/// What is due, when, and before what else at that time.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) at: SimTime,
    pub(crate) order: u64,
    pub(crate) due: Due,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}
