//! What an endpoint counts.
//!
//! Owns numbers only; names and units of the metrics are the appliance's.

use std::collections::BTreeMap;

use crate::error::DropReason;

/// How full a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableUse {
    /// What stands in it.
    pub name: &'static str,
    /// Entries now.
    pub used: u32,
    /// Its bound.
    pub max: u32,
}

/// Counts since the endpoint was made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests received, repetitions included.
    pub requests_received: u64,
    /// Responses received, repetitions included.
    pub responses_received: u64,
    /// Messages handed to the shell, repetitions included.
    pub messages_sent: u64,
    /// Of these, the ones that a timer or a repetition of the peer's caused.
    pub messages_repeated: u64,
    /// Calls that were offered to call control.
    pub calls_offered: u64,
    /// Calls that call control placed.
    pub calls_placed: u64,
    /// REGISTER requests that were offered to the registrar.
    pub registers_offered: u64,
    /// Attempts that were made.
    pub attempts: u64,
    /// Requests of ours that were sent without a transaction, because the table was full.
    pub sent_without_transaction: u64,
    /// Requests of ours that went by TCP because a datagram might not carry them.
    pub sent_by_tcp_for_size: u64,
    /// Of these, the ones that went by UDP after all.
    pub fell_back_to_udp: u64,
    /// Turns that a panic cut short, and whose tables were made to agree again.
    pub turns_cut_short: u64,
    dropped: BTreeMap<&'static str, u64>,
}

impl Counters {
    /// How often a reason has occurred, by its label.
    #[must_use]
    pub fn dropped(&self, label: &str) -> u64 {
        self.dropped.get(label).copied().unwrap_or_default()
    }

    /// Every reason that has occurred, by label.
    pub fn dropped_by_reason(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.dropped.iter().map(|(label, count)| (*label, *count))
    }

    pub(crate) fn count_dropped(&mut self, reason: DropReason) {
        *self.dropped.entry(reason.as_str()).or_default() += 1;
    }
}
