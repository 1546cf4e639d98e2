//! What signalling and control say to each other, and what signalling publishes of itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use arc_swap::ArcSwap;
use crossbeam_queue::ArrayQueue;
use tokio::sync::Notify;

use super::figures::Figures;
use crate::call::counters::Counters;
use crate::call::event::Ticket;
use crate::call::snapshot::Snapshot;
use crate::fraud_guard::StoredCount;
use crate::health::Heart;
use crate::links::resolve::{ResolveRefusal, ResolvedLink};
use crate::registrar::kept::KeptPhones;
use crate::shell::asker::Asker;
use crate::shell::guests::Guests;
use crate::shell::tcp;
use crate::shell::wake::Wake;

/// What control says to signalling.
#[derive(Debug)]
pub enum Word {
    /// The answer to [`Question::Resolve`].
    Resolved {
        /// The question.
        ticket: Ticket,
        /// The link, or why there is none.
        outcome: Box<Result<ResolvedLink, ResolveRefusal>>,
    },
    /// The answer to [`Question::ReserveAliases`].
    AliasBlock {
        /// The first number.
        first: u64,
        /// How many; 0: it failed.
        count: u32,
    },
    /// What the fraud guard counted in the last run.
    GuardCounts(Vec<StoredCount>),
    /// Where phones were in the last run.
    Phones(Vec<KeptPhones>),
    /// Trunks, sources, settings.
    Snapshot(Arc<Snapshot>),
    /// Take no new calls.
    Drain,
    /// End all calls.
    Stop,
}

/// What signalling asks control.
#[derive(Debug)]
pub enum Question {
    /// What does this request path mean.
    Resolve {
        /// The question.
        ticket: Ticket,
        /// User part of the Request-URI.
        user: String,
        /// Its host.
        host: String,
    },
    /// A block of alias numbers.
    ReserveAliases {
        /// How many.
        count: u32,
    },
}

/// Control's end.
#[derive(Debug, Clone)]
pub struct SignallingLink {
    pub(super) words: Arc<ArrayQueue<Word>>,
    pub(super) wake: Arc<Wake>,
    pub(super) asker: Asker,
    pub(super) guests: Guests,
    /// What signalling publishes of itself.
    pub status: Arc<Status>,
}

/// What signalling publishes of itself.
#[derive(Debug, Default)]
pub struct Status {
    /// Calls up or being set up.
    pub calls_active: AtomicU64,
    /// After [`Word::Drain`]: no new call is taken, and `calls_active` is of a moment after that.
    pub draining: AtomicBool,
    /// After [`Word::Stop`]: nothing is left to do.
    pub stopped: AtomicBool,
    /// Totals, half a second old at most.
    pub counters: ArcSwap<Counters>,
    /// Records that were lost because storage stood still.
    pub records_lost: AtomicU64,
    /// Connections: how many, and why each ended.
    pub streams: Arc<tcp::Counters>,
    /// What the thread itself counts, as old as `counters`.
    pub figures: ArcSwap<Figures>,
    /// Beaten once a turn.
    pub heart: Heart,
    /// Told after each change of the above but the heart.
    pub changed: Notify,
}

impl Status {
    /// Waits until what is published says so.
    pub async fn wait_until(&self, is_so: impl Fn(&Self) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // What changes from here on is not missed.
            changed.as_mut().enable();
            if is_so(self) {
                return;
            }
            changed.await;
        }
    }
}

impl SignallingLink {
    /// Says something.
    ///
    /// # Errors
    /// The word, when too many wait already.
    pub fn say(&self, word: Word) -> Result<(), Word> {
        let said = self.words.push(word);
        self.wake.wake();
        said
    }

    /// For whoever asks or orders.
    #[must_use]
    pub fn asker(&self) -> Asker {
        self.asker.clone()
    }

    /// For whoever lets guests in.
    #[must_use]
    pub fn guests(&self) -> Guests {
        self.guests.clone()
    }
}
