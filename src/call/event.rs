//! Every word call control exchanges with the world. Plain data only.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use sip::event::Flow;

use super::browser::event::{BrowserInput, BrowserOutput, GuestKey};
use super::command::{Command, CommandOutcome, CommandRefusal};
use super::snapshot::Snapshot;
use crate::cdr::record::Record;
use crate::fraud_guard::StoredCount;
use crate::links::resolve::{ResolveRefusal, ResolvedLink};
use crate::registrar::kept::KeptPhones;

/// The two clocks: one that never jumps, for deadlines, and one for records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Monotonic.
    pub instant: Instant,
    /// Wall clock.
    pub timestamp: Timestamp,
}

impl Now {
    /// A moment of the monotonic clock on the wall clock, as that runs now.
    #[must_use]
    pub fn wall(self, moment: Instant) -> Timestamp {
        let later = moment.saturating_duration_since(self.instant);
        let earlier = self.instant.saturating_duration_since(moment);
        let wall = self.timestamp.checked_add(later);
        let wall = wall.and_then(|wall| wall.checked_sub(earlier));
        wall.unwrap_or(self.timestamp)
    }
}

/// The name of a question: ours to the link store, or somebody's to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// What the world says.
#[derive(Debug)]
pub enum Input<'a> {
    /// A datagram on one of our SIP sockets, or a whole message of a connection, from anybody: call
    /// control decides who is heard.
    Datagram {
        /// The path it came by.
        flow: Flow,
        /// All of it.
        bytes: &'a [u8],
    },
    /// A send on this flow failed, or the kernel reported an ICMP error for it; or a connection could
    /// not be made, or is closed.
    TransportFailed {
        /// The path that does not work.
        flow: Flow,
    },
    /// A media worker reports.
    Report {
        /// What.
        report: media::command::Report,
    },
    /// A media worker's queue took no more: this `Connect` of audio never reached it (the one
    /// command that may be refused). The pair is still in stock.
    ConnectRefused {
        /// The pair.
        pair: media::command::PairKey,
    },
    /// The answer to [`Output::Resolve`].
    Resolved {
        /// The question.
        ticket: Ticket,
        /// The link, or why there is none.
        outcome: Result<ResolvedLink, ResolveRefusal>,
    },
    /// The answer to [`Output::ReserveAliases`]: numbers `first` to `first + count - 1` are ours
    /// and were never used. A count of zero: the reservation failed, ask again later.
    AliasBlock {
        /// The first number.
        first: u64,
        /// How many.
        count: u32,
    },
    /// What the fraud guard counted before the node was started. Comes before the first snapshot.
    GuardCounts(Vec<StoredCount>),
    /// Where phones were before the node was started. Comes before the first snapshot.
    Phones(Vec<KeptPhones>),
    /// A new snapshot replaces the old one; calls that are up keep what they were given.
    Snapshot(Arc<Snapshot>),
    /// Somebody asks or orders. Answered by [`Output::CommandDone`] within the same turn.
    Command {
        /// The asker's name of it.
        ticket: Ticket,
        /// What.
        command: Command,
    },
    /// A guest's browser speaks.
    Browser {
        /// Which page.
        guest: GuestKey,
        /// What it says.
        input: BrowserInput,
    },
    /// New calls and pings are refused with 503 from now on.
    Drain,
    /// Every call is ended with BYE or a final response, now.
    Stop,
    /// Time has passed: whatever is due happens.
    Expired,
}

/// What the shell must do.
#[derive(Debug)]
pub enum Output {
    /// Send what is in the send buffer on this flow.
    Send {
        /// The path.
        flow: Flow,
    },
    /// Close this connection without a word: a message came by it from nobody we know.
    Close {
        /// The path.
        flow: Flow,
    },
    /// Hand a command to a media worker. Never lost: it waits in the shell's backlog; only
    /// `Connect` of audio may come back as [`Input::ConnectRefused`].
    Media {
        /// Which worker.
        worker: u16,
        /// What it shall do.
        command: media::command::Command,
    },
    /// Ask the link store. Answered by [`Input::Resolved`], in any order.
    Resolve {
        /// The question.
        ticket: Ticket,
        /// User part of the Request-URI, unescaped.
        user: String,
        /// Its host.
        host: String,
        /// Name of the source that asks.
        source: String,
    },
    /// Store this. Nothing waits for it.
    Record(Record),
    /// Reserve a block of alias numbers. Answered by [`Input::AliasBlock`].
    ReserveAliases {
        /// How many.
        count: u32,
    },
    /// What came of [`Input::Command`].
    CommandDone {
        /// The asker's name of it.
        ticket: Ticket,
        /// What came of it, or why nothing did.
        outcome: Result<CommandOutcome, CommandRefusal>,
    },
    /// A guest's browser is told something.
    Browser {
        /// Which page.
        guest: GuestKey,
        /// What it is told.
        output: BrowserOutput,
    },
    /// A line for the log.
    Log(LogLine),
    /// After [`Input::Stop`]: no call is left. Comes once.
    Stopped,
}

/// How loud a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For somebody who looks for it.
    Debug,
    /// What an operator wants to see once.
    Note,
    /// Something is wrong outside, or an own limit was reached.
    Warning,
}

/// One fact, one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// How loud.
    pub level: Level,
    /// Stable word for the kind of fact.
    pub event: &'static str,
    /// The call's id, where it is about one.
    pub call: Option<String>,
    /// Names, statuses, addresses; no secrets.
    pub detail: String,
}

/// A media pair in stock: its key, and the address an SDP names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StockedPair {
    /// The pair.
    pub pair: media::command::PairKey,
    /// Where its RTP socket is bound.
    pub rtp: SocketAddr,
}
