//! Overload: when new calls are turned away before they cost anything (RFC 3261 §8.2.7, §21.5.4).
//!
//! Owns the three signs of it: more new calls a second than the setting allows, deadlines that are
//! handled late because events pile up before them, and no ports in stock. The endpoint then answers
//! a new INVITE with 503 and Retry-After without a transaction; emergency calls and what belongs to a
//! call that is up go on. What it has begun it ends with a margin: lateness after a second without, the rate when a
//! twentieth of it is free.

use std::time::{Duration, Instant};

use super::control::CallControl;
use super::event::{Level, LogLine, Now, Output};

/// A deadline that is handled this late says that we are behind.
pub(super) const BEHIND_AFTER: Duration = Duration::from_millis(200);
/// So long are new calls turned away after that.
pub(super) const BEHIND_FOR: Duration = Duration::from_secs(1);
/// The rate's overload is over when so small a part of the rate is free again, not with the first call
/// that is a second old: what begins and ends with each message is no state.
const RATE_LEAVES: u32 = 20;

/// What is too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strain {
    CallsPerSecond,
    Behind,
    StockEmpty,
}

impl Strain {
    /// For counters and the log.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::CallsPerSecond => "overload_calls_per_second",
            Self::Behind => "overload_behind",
            Self::StockEmpty => "overload_stock_empty",
        }
    }

    /// How long the caller shall wait.
    const fn retry_after(self) -> Duration {
        match self {
            Self::CallsPerSecond => Duration::from_secs(1),
            Self::Behind => Duration::from_secs(2),
            Self::StockEmpty => Duration::from_secs(5),
        }
    }
}

/// What was noticed.
#[derive(Debug, Default)]
pub(super) struct Overload {
    behind_until: Option<Instant>,
    strain: Option<Strain>,
}

impl CallControl {
    /// Deadlines are about to be handled: how late?
    pub(super) fn watch_lateness(&mut self, now: Now) {
        let due = self.poll_deadline();
        if due.is_some_and(|due| now.instant.saturating_duration_since(due) > BEHIND_AFTER) {
            self.overload.behind_until = Some(now.instant + BEHIND_FOR);
        }
    }

    /// A message is about to be handled: is there room for a new call?
    pub(super) fn watch_load(&mut self, now: Now) {
        let strain = self.strain_at(now);
        let before = self.overload.strain;
        if strain == before {
            return;
        }
        self.overload.strain = strain;
        let wait = strain.map_or(Duration::ZERO, Strain::retry_after);
        self.endpoint.set_overloaded(strain.is_some(), wait);
        let (event, word) = match (before, strain) {
            (None, Some(strain)) => {
                self.counters.overloads += 1;
                self.counters.refuse(strain.as_str());
                ("overload", strain)
            }
            (Some(before), None) => ("overload_over", before),
            (Some(_), Some(_)) | (None, None) => return,
        };
        self.put(Output::Log(LogLine {
            level: Level::Warning,
            event,
            call: None,
            detail: word.as_str().to_owned(),
        }));
    }

    fn strain_at(&mut self, now: Now) -> Option<Strain> {
        let rate = self.config.calls_per_second_max;
        let is_behind = (self.overload.behind_until).is_some_and(|until| now.instant < until);
        let most = match self.overload.strain {
            Some(Strain::CallsPerSecond) => rate - rate / RATE_LEAVES,
            Some(Strain::Behind | Strain::StockEmpty) | None => rate,
        };
        if !self.offered_lately.admits(now.instant, most) {
            Some(Strain::CallsPerSecond)
        } else if is_behind {
            Some(Strain::Behind)
        } else if !self.stock.has_room() {
            Some(Strain::StockEmpty)
        } else {
            None
        }
    }
}
