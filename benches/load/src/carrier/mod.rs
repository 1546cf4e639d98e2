//! Whoever carries sessions: a node that runs, a peer, or a relay inside this program.
//!
//! Each is told where the two ends of a session listen, and says where they send to. Everything else
//! about them is in their own files, so that one load and one method serve all of them.

mod asterisk;
mod bencode;
mod daemon;
mod freeswitch;
mod guests;
mod minimal;
mod node;
mod resting;
mod rtpengine;
mod rtpproxy;
mod stand_in;
mod through;

use std::net::SocketAddr;

use anyhow::{Context as _, Result};

pub(crate) use self::daemon::Daemon;
pub(crate) use self::guests::{Guests, Joined};
pub(crate) use self::minimal::Minimal;
pub(crate) use self::node::{Node, NodeByHttp, NodePlace};
pub(crate) use self::resting::Resting;
pub(crate) use self::rtpengine::Rtpengine;
pub(crate) use self::rtpproxy::Rtpproxy;
pub(crate) use self::stand_in::StandIn;
pub(crate) use self::through::{Through, Where};

use crate::rtp_flow::RtpLoad;
use crate::session_key::Way;
use crate::subject::Subject;

/// Where the two ends of a session listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ends {
    /// Who calls.
    pub(crate) caller: SocketAddr,
    /// Who is called.
    pub(crate) callee: SocketAddr,
}

/// Where the two ends of a session send to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ways {
    /// The caller's packets go there.
    pub(crate) caller: Way,
    /// The callee's packets go there.
    pub(crate) callee: Way,
}

impl Ways {
    /// Without keys.
    pub(crate) const fn plain(caller: SocketAddr, callee: SocketAddr) -> Self {
        Self {
            caller: Way {
                to: caller,
                keys: None,
            },
            callee: Way {
                to: callee,
                keys: None,
            },
        }
    }
}

/// System calls and packets of a relay, by its own count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct OwnCount {
    /// Times that it entered the kernel.
    pub(crate) kernel_entries: u64,
    /// Packets that it sent on.
    pub(crate) packets: u64,
}

/// Asks a relay for its own count, by a thread beside the load. `None`: it did not say.
pub(crate) type Counter = Box<dyn Fn() -> Option<OwnCount> + Send>;

/// A relay under load.
pub(crate) trait Target {
    /// What it is called in tables.
    fn name(&self) -> &str;

    /// More sessions. The ways are in the order of the ends.
    ///
    /// # Errors
    /// It refused one, or did not answer.
    fn carry(&mut self, ends: &[Ends]) -> Result<Vec<Ways>>;

    /// What of it is charged to packets.
    ///
    /// # Errors
    /// It does not run.
    fn subject(&self) -> Result<Subject>;

    /// How to ask for its own count, where it publishes one.
    fn counter(&self) -> Option<Counter> {
        None
    }

    /// It is not measured for a while.
    fn rest(&self) {}

    /// It is about to be measured.
    fn wake(&self) {}

    /// Ends its sessions.
    fn finish(&mut self) {}
}

/// Sessions through `target`, added to `load`.
///
/// # Errors
/// Sockets run out, or the target refuses.
pub(crate) fn establish(target: &mut dyn Target, load: &mut RtpLoad, count: usize) -> Result<()> {
    let mut places = Vec::with_capacity(count);
    let mut ends = Vec::with_capacity(count);
    for _ in 0..count {
        let (caller, callee) = (load.next_end()?, load.next_end()?);
        ends.push(Ends {
            caller: caller.address.into(),
            callee: callee.address.into(),
        });
        places.push((caller, callee));
    }
    let ways = target
        .carry(&ends)
        .with_context(|| format!("set up {count} sessions through {}", target.name()))?;
    for ((caller, callee), ways) in places.into_iter().zip(ways) {
        load.add(caller, ways.caller)?;
        load.add(callee, ways.callee)?;
    }
    Ok(())
}
