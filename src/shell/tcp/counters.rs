//! What connections count: how many there were, and why each ended or was not made.

use std::sync::atomic::{AtomicU64, Ordering};

use sip::error::FrameError;

/// Why a connection ended, or never was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The peer closed it.
    Peer,
    /// The kernel says that it is broken.
    Broken,
    /// Nobody listens there, or the way is barred.
    ConnectFailed,
    /// No answer to our SYN in time.
    ConnectTimeout,
    /// As many connections as we open are open.
    DialledFull,
    /// Of those, as many as lead to no trunk.
    GuestsDialledFull,
    /// What came cannot be cut into messages.
    Frame(FrameError),
    /// A part of a message, and the rest not in time.
    HalfMessage,
    /// The peer takes nothing of what we send.
    WriteStalled,
    /// More waits for the peer than we keep.
    OutboxFull,
    /// No octet in either direction for long.
    Idle,
    /// The peer answered our pings, and does not any more.
    NoPong,
    /// Pings without an end.
    PingFlood,
    /// Of an address that nobody knows: closed without an answer.
    Stranger,
    /// Of such an address, without any message.
    StrangerSilent,
    /// As many connections of such addresses as we bear.
    StrangersFull,
    /// As many connections as may be.
    ConnectionsFull,
    /// As many as one address may have.
    SourceFull,
    /// The kernel gave us no connection: no descriptors, no memory.
    AcceptFailed,
}

impl Reason {
    /// Every one.
    pub const ALL: [Self; 23] = [
        Self::Peer,
        Self::Broken,
        Self::ConnectFailed,
        Self::ConnectTimeout,
        Self::DialledFull,
        Self::GuestsDialledFull,
        Self::Frame(FrameError::NotSip),
        Self::Frame(FrameError::HeaderTooLong),
        Self::Frame(FrameError::NoContentLength),
        Self::Frame(FrameError::ContentLength),
        Self::Frame(FrameError::BodyTooLong),
        Self::HalfMessage,
        Self::WriteStalled,
        Self::OutboxFull,
        Self::Idle,
        Self::NoPong,
        Self::PingFlood,
        Self::Stranger,
        Self::StrangerSilent,
        Self::StrangersFull,
        Self::ConnectionsFull,
        Self::SourceFull,
        Self::AcceptFailed,
    ];

    /// A stable label for counters and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Broken => "broken",
            Self::ConnectFailed => "connect_failed",
            Self::ConnectTimeout => "connect_timeout",
            Self::DialledFull => "dialled_full",
            Self::GuestsDialledFull => "guests_dialled_full",
            Self::Frame(error) => error.as_str(),
            Self::HalfMessage => "half_message",
            Self::WriteStalled => "write_stalled",
            Self::OutboxFull => "outbox_full",
            Self::Idle => "idle",
            Self::NoPong => "no_pong",
            Self::PingFlood => "ping_flood",
            Self::Stranger => "stranger",
            Self::StrangerSilent => "stranger_silent",
            Self::StrangersFull => "strangers_full",
            Self::ConnectionsFull => "connections_full",
            Self::SourceFull => "source_full",
            Self::AcceptFailed => "accept_failed",
        }
    }
}

/// Totals since start, and what is open now.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections that peers opened and we took.
    pub accepted: AtomicU64,
    /// Connections that we opened.
    pub connected: AtomicU64,
    /// Connections that are open.
    pub open: AtomicU64,
    /// Whole messages received.
    pub messages_received: AtomicU64,
    /// Messages given to connections.
    pub messages_sent: AtomicU64,
    /// Pings that were answered.
    pub pings_answered: AtomicU64,
    /// Pings that we sent.
    pub pings_sent: AtomicU64,
    ended: [AtomicU64; Reason::ALL.len()],
}

impl Counters {
    /// How many connections ended, or were not made, for this reason.
    #[must_use]
    pub fn ended(&self, reason: Reason) -> u64 {
        self.slot(reason)
            .map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// Every reason with its count.
    pub fn ended_by_reason(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Reason::ALL
            .into_iter()
            .map(|reason| (reason.as_str(), self.ended(reason)))
    }

    pub(super) fn count_ended(&self, reason: Reason) {
        if let Some(count) = self.slot(reason) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn slot(&self, reason: Reason) -> Option<&AtomicU64> {
        let position = Reason::ALL.iter().position(|known| *known == reason);
        debug_assert!(position.is_some(), "every reason is listed");
        self.ended.get(position?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_word_and_a_count_of_its_own() {
        let counters = Counters::default();
        for reason in Reason::ALL {
            counters.count_ended(reason);
            assert_eq!(counters.ended(reason), 1, "{reason:?}");
        }
        let mut words: Vec<_> = counters.ended_by_reason().map(|(word, _)| word).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Reason::ALL.len());
    }
}
