//! Which counts are to be stored: gathered for a second, then handed out at once. The path of an
//! INVITE waits for nothing; a process that is killed forgets the counts of its last second.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::book::{Key, Ticks};
use super::compiled::Compiled;

/// One count as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredCount {
    /// Id of the rule.
    pub rule: String,
    /// The source, the destination, a pair of both, or all.
    pub key: Key,
    /// When its window began, in milliseconds since 1970.
    pub started_at_ms: i64,
    /// Calls, or micro units.
    pub value: u64,
}

/// Counts that differ from what is stored.
#[derive(Debug, Default)]
pub(super) struct Changes {
    rows: BTreeSet<(u32, Key)>,
    due: Option<Instant>,
    /// Wall clock less monotonic clock, in milliseconds.
    offset_ms: Option<i64>,
}

impl Changes {
    pub(super) fn note(&mut self, serial: u32, key: Key, now: Instant) {
        self.rows.insert((serial, key));
        self.due.get_or_insert(now + STORE_EVERY);
    }

    /// The wall clock has been moved: the beginnings that are stored are of the old one, and would
    /// be taken for older or younger after a restart. All are stored anew.
    pub(super) fn note_time(&mut self, ticks: Ticks, at: Timestamp, compiled: &Compiled) {
        let offset = at.as_millisecond().saturating_sub(ticks);
        let jumped = self
            .offset_ms
            .is_some_and(|before| before.abs_diff(offset) > JUMP_MS);
        if jumped {
            for (serial, book) in compiled.books() {
                self.rows
                    .extend(book.rows().into_iter().map(|key| (serial, key)));
            }
        }
        if jumped || self.offset_ms.is_none() {
            self.offset_ms = Some(offset);
        }
    }

    pub(super) const fn due(&self) -> Option<Instant> {
        self.due
    }

    pub(super) fn take(
        &mut self,
        ticks: Ticks,
        at: Timestamp,
        compiled: &mut Compiled,
    ) -> Vec<StoredCount> {
        self.due = None;
        let started_at_ms = |start: Ticks| {
            let age = ticks.saturating_sub(start).max(0);
            at.as_millisecond().saturating_sub(age)
        };
        std::mem::take(&mut self.rows)
            .into_iter()
            .filter_map(|(serial, key)| {
                let (rule, book) = compiled.of_serial(serial)?;
                let span = book.stored(key)?;
                Some(StoredCount {
                    rule: rule.id.clone(),
                    key,
                    started_at_ms: started_at_ms(span.start),
                    value: span.value,
                })
            })
            .collect()
    }
}

/// How long counts gather.
pub const STORE_EVERY: Duration = Duration::from_secs(1);
/// A clock that differs by more has been set.
const JUMP_MS: u64 = 2_000;
