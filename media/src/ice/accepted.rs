//! Which checks were accepted, so that a copy of one is known.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::net::SocketAddr;
use std::time::Instant;

use crate::ice::agent::Transaction;
use crate::ice::refusal::Refusal;
use crate::limits::{ICE_CHECK_REPEATED_MAX, ICE_CHECKS_KEPT_MAX, ICE_CHECKS_RECENT_MAX};

/// Those of one agent.
#[derive(Debug, Clone)]
pub(super) struct AcceptedChecks {
    /// Those that may still be repeated, the newest last.
    recent: VecDeque<Recent>,
    /// Of each one before these its number, the newest last: whoever sends it now has copied it.
    older: VecDeque<u32>,
}

/// Room at once: for those of ten seconds of a browser that has a path, and of five minutes.
const RECENT_AT_FIRST: usize = 16;
const OLDER_AT_FIRST: usize = 128;

/// A check that was accepted a moment ago.
#[derive(Debug, Clone, Copy)]
struct Recent {
    number: u32,
    first_at: Instant,
    /// Of where it came from. Of that nobody finds another one with the same.
    source: u64,
}

impl AcceptedChecks {
    pub(super) fn new() -> Self {
        Self {
            recent: VecDeque::with_capacity(RECENT_AT_FIRST),
            older: VecDeque::with_capacity(OLDER_AT_FIRST),
        }
    }

    /// A check that came from elsewhere before is a copy: integrity says nothing of where it is sent from,
    /// and whoever can listen could move the media by it. So is one from the same address that came first
    /// long ago: it says nothing of now, and could keep up the consent of who has left.
    ///
    /// # Errors
    /// It is a copy.
    pub(super) fn expect_first(
        &self,
        now: Instant,
        transaction: &Transaction,
        source: SocketAddr,
    ) -> Result<(), Refusal> {
        let number = number_of(transaction);
        let known = self.recent.iter().find(|known| known.number == number);
        match known {
            Some(known) if known.source != hash_of(&source) => Err(Refusal::Replayed),
            Some(known) if known.is_old(now) => Err(Refusal::Replayed),
            None if self.older.contains(&number) => Err(Refusal::Replayed),
            Some(_) | None => Ok(()),
        }
    }

    /// The rest of it was in order, too.
    pub(super) fn accept(&mut self, now: Instant, transaction: &Transaction, source: SocketAddr) {
        let number = number_of(transaction);
        if self.recent.iter().any(|known| known.number == number) {
            return;
        }
        while let Some(first) = self.recent.front()
            && (first.is_old(now) || self.recent.len() >= ICE_CHECKS_RECENT_MAX)
        {
            if self.older.len() >= ICE_CHECKS_KEPT_MAX {
                self.older.pop_front();
            }
            self.older.push_back(first.number);
            self.recent.pop_front();
        }
        self.recent.push_back(Recent {
            number,
            first_at: now,
            source: hash_of(&source),
        });
    }
}

impl Recent {
    fn is_old(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.first_at) > ICE_CHECK_REPEATED_MAX
    }
}

/// Of its random octets: enough to know it.
fn number_of(transaction: &Transaction) -> u32 {
    let low_half = hash_of(transaction) & u64::from(u32::MAX);
    u32::try_from(low_half).unwrap_or_default()
}

fn hash_of(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}
