//! What a caught panic costs (DECISIONS, Shape 6): the first is logged and lived with, a second
//! within a minute drains the node.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A second panic within this long drains the node.
pub const WITHIN: Duration = Duration::from_secs(60);

/// Counts panics of all turns.
#[derive(Debug, Default)]
pub struct PanicWatch {
    count: AtomicU64,
    last: Mutex<Option<Instant>>,
    fatal: std::sync::atomic::AtomicBool,
}

impl PanicWatch {
    /// A turn has panicked and was caught.
    pub fn count(&self, now: Instant) {
        self.count.fetch_add(1, Ordering::Relaxed);
        let mut last = self
            .last
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let again = last.is_some_and(|last| now.saturating_duration_since(last) < WITHIN);
        *last = Some(now);
        drop(last);
        tracing::error!(again, "a turn panicked; it was ended");
        if again {
            self.fatal.store(true, Ordering::Release);
        }
    }

    /// The node should take no new calls.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        self.fatal.load(Ordering::Acquire)
    }

    /// How many.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_panic_within_a_minute_is_fatal_and_a_later_one_is_not() {
        let start = Instant::now();
        let watch = PanicWatch::default();
        watch.count(start);
        watch.count(start + WITHIN);
        assert!(!watch.is_fatal());
        watch.count(start + WITHIN + Duration::from_secs(1));
        assert!(watch.is_fatal());
        assert_eq!(watch.total(), 3);
    }
}
