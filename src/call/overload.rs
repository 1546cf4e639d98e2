//! Overload: when new calls are turned away before they cost anything (RFC 3261 §8.2.7, §21.5.4).
//!
//! Owns the three signs of it: more new calls a second than the setting allows, deadlines that are
//! handled late because events pile up before them, and no ports in stock. The endpoint then answers
//! a new INVITE with 503 and Retry-After without a transaction; emergency calls and what belongs to a
//! call that is up go on.

use std::time::{Duration, Instant};

use super::control::CallControl;
use super::event::{Level, LogLine, Now, Output};

/// A deadline that is handled this late says that we are behind.
pub(super) const BEHIND_AFTER: Duration = Duration::from_millis(200);
/// So long are new calls turned away after that.
pub(super) const BEHIND_FOR: Duration = Duration::from_secs(1);
/// Two pairs make a call.
const PAIRS_LEAST: usize = 2;

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
        let rate = self.config.calls_per_second_max;
        let behind = self
            .overload
            .behind_until
            .is_some_and(|until| now.instant < until);
        let strain = if !self.offered_lately.admits(now.instant, rate) {
            Some(Strain::CallsPerSecond)
        } else if behind {
            Some(Strain::Behind)
        } else if self.stock.available() < PAIRS_LEAST {
            Some(Strain::StockEmpty)
        } else {
            None
        };
        if strain == self.overload.strain {
            return;
        }
        let began = self.overload.strain.is_none();
        self.overload.strain = strain;
        let wait = strain.map_or(Duration::ZERO, Strain::retry_after);
        self.endpoint.set_overloaded(strain.is_some(), wait);
        let Some(strain) = strain.filter(|_| began) else {
            return;
        };
        self.counters.overloads += 1;
        self.counters.refuse(strain.as_str());
        self.put(Output::Log(LogLine {
            level: Level::Warning,
            event: "overload",
            call: None,
            detail: strain.as_str().to_owned(),
        }));
    }
}
