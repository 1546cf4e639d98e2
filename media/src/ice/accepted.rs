//! Which checks were accepted, so that a copy of one is known.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::ice::agent::Transaction;
use crate::ice::refusal::Refusal;
use crate::limits::{ICE_CHECK_REPEATED_MAX, ICE_CHECKS_KEPT_MAX};

/// Those of one agent.
#[derive(Debug, Clone)]
pub(super) struct AcceptedChecks {
    /// The newest last. It grows with the minutes of a call; most are short.
    checks: VecDeque<Accepted>,
    began: Instant,
}

/// Accepted checks for which there is room at once: those of a call of five minutes.
const CHECKS_AT_FIRST: usize = 128;

/// A check that was accepted.
#[derive(Debug, Clone, Copy)]
struct Accepted {
    /// Of its random octets: enough to know it.
    check: u32,
    /// When it came first, in milliseconds of the agent's life, as they go round.
    first_ms: u32,
    /// Of where it came from. Of that nobody finds another one with the same.
    source: u64,
}

const _: () = assert!(size_of::<Accepted>() == 16, "packed");

impl AcceptedChecks {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            checks: VecDeque::with_capacity(CHECKS_AT_FIRST),
            began: now,
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
        let check = low_half(hash_of(transaction));
        let known = self.checks.iter().find(|known| known.check == check);
        match known {
            Some(known) if known.source != hash_of(&source) => Err(Refusal::Replayed),
            Some(known) if self.age(now, known) > ICE_CHECK_REPEATED_MAX => Err(Refusal::Replayed),
            Some(_) | None => Ok(()),
        }
    }

    /// The rest of it was in order, too.
    pub(super) fn accept(&mut self, now: Instant, transaction: &Transaction, source: SocketAddr) {
        let check = low_half(hash_of(transaction));
        if self.checks.iter().any(|known| known.check == check) {
            return;
        }
        if self.checks.len() >= ICE_CHECKS_KEPT_MAX {
            self.checks.pop_front();
        }
        self.checks.push_back(Accepted {
            check,
            first_ms: self.milliseconds(now),
            source: hash_of(&source),
        });
    }

    fn age(&self, now: Instant, known: &Accepted) -> Duration {
        let age_ms = self.milliseconds(now).wrapping_sub(known.first_ms);
        Duration::from_millis(u64::from(age_ms))
    }

    fn milliseconds(&self, now: Instant) -> u32 {
        let age = now.saturating_duration_since(self.began);
        low_half(u64::try_from(age.as_millis()).unwrap_or_default())
    }
}

fn low_half(number: u64) -> u32 {
    u32::try_from(number & u64::from(u32::MAX)).unwrap_or_default()
}

fn hash_of(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}
