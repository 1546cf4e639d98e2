//! What call control counts: every refusal under its own word.

use std::collections::BTreeMap;

/// Totals since start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams of sources that no policy knows: not parsed, not answered.
    pub unknown_source: u64,
    /// INVITEs outside a dialog.
    pub calls_offered: u64,
    /// Calls placed by command.
    pub calls_placed: u64,
    /// Calls that guests' browsers wanted.
    pub calls_of_guests: u64,
    /// Calls answered.
    pub calls_answered: u64,
    /// Attempts dialled.
    pub attempts: u64,
    /// How often new calls began to be turned away without state.
    pub overloads: u64,
    /// Commands that the endpoint declined, because the call had ended meanwhile.
    pub commands_declined: u64,
    /// Calls refused or ended by us, by reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// Commands refused, by reason.
    pub commands_refused: BTreeMap<&'static str, u64>,
    /// REGISTER requests and calls of extensions, by what was answered.
    pub registers: BTreeMap<&'static str, u64>,
    /// Messages that `sip` dropped before any call saw them, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Calls up or being set up.
    pub calls_active: u64,
    /// Octets of SIP messages kept for whoever looks at a call.
    pub ladder_octets: u64,
    /// Such messages that were let go of before their time.
    pub ladder_messages_dropped: u64,
    /// Media pairs in stock.
    pub stock_available: u64,
    /// Media pairs that calls hold.
    pub stock_taken: u64,
    /// The SIP core's own.
    pub endpoint: sip::counters::Counters,
    /// How full its tables are.
    pub tables: Vec<sip::counters::TableUse>,
    /// The guard's verdicts, by reason.
    pub guard: Vec<(&'static str, u64)>,
    /// What each trunk carries.
    pub trunks: Vec<TrunkFigures>,
}

/// A trunk of the snapshot that may be dialled or dials us.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrunkFigures {
    /// Its id.
    pub id: String,
    /// Its label.
    pub label: String,
    /// Calls in both directions.
    pub calls: u32,
    /// The cap on them.
    pub calls_max: Option<u32>,
    /// Its addresses.
    pub targets: u32,
    /// Those that are not known to be down.
    pub targets_up: u32,
}

impl Counters {
    pub(super) fn refuse(&mut self, reason: &'static str) {
        *self.refused.entry(reason).or_default() += 1;
    }

    pub(super) fn refuse_command(&mut self, reason: &'static str) {
        *self.commands_refused.entry(reason).or_default() += 1;
    }

    pub(super) fn drop_message(&mut self, reason: &'static str) {
        *self.dropped.entry(reason).or_default() += 1;
    }
}
