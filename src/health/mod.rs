//! Whether the node lives and may take calls. `Heart` is beaten by each thread that must turn;
//! `node` is what the outside sees of a running node, `readiness` what it says of itself.

mod node;
mod readiness;

pub use node::{HttpFigures, Node, NodeParts, Phase};
pub use readiness::{Readiness, Unready};

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A thread turns at least this often, whatever it waits for.
pub const BEAT_EVERY: Duration = Duration::from_secs(1);
/// A thread that has not turned for so long stands still.
pub const STILL_AFTER: Duration = Duration::from_secs(5);

/// Beaten by a thread once a turn, looked at by others.
#[derive(Debug)]
pub struct Heart {
    start: Instant,
    /// Milliseconds since `start`.
    beaten: AtomicU64,
}

impl Default for Heart {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            beaten: AtomicU64::new(0),
        }
    }
}

impl Heart {
    /// One that was last beaten then.
    #[cfg(test)]
    pub(crate) fn last_beaten(start: Instant) -> Self {
        Self {
            start,
            beaten: AtomicU64::new(0),
        }
    }

    /// The thread turns.
    pub fn beat(&self, now: Instant) {
        let since = now.saturating_duration_since(self.start).as_millis();
        self.beaten
            .store(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Since its last turn.
    #[must_use]
    pub fn age(&self, now: Instant) -> Duration {
        let beaten = self.start + Duration::from_millis(self.beaten.load(Ordering::Relaxed));
        now.saturating_duration_since(beaten)
    }

    /// It turns.
    #[must_use]
    pub fn beats(&self, now: Instant) -> bool {
        self.age(now) < STILL_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heart_that_is_not_beaten_stands_still_after_five_seconds() {
        let heart = Heart::default();
        let start = Instant::now();
        heart.beat(start);
        assert!(heart.beats(start + STILL_AFTER - Duration::from_millis(100)));
        let later = start + STILL_AFTER + Duration::from_millis(100);
        assert!(!heart.beats(later));
        heart.beat(later);
        assert!(heart.beats(later));
        assert!(
            heart.beats(start),
            "a clock that seems to go back does no harm"
        );
    }
}
