//! The end of the node: every call is ended, and peers that stay silent are not waited for.

use std::time::{Duration, Instant};

use super::control::CallControl;
use super::event::{Now, Output};

/// After [`super::event::Input::Stop`] we wait this long for peers to acknowledge; then we are done.
pub(super) const STOP_WITHIN: Duration = Duration::from_secs(2);

/// How far the end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stopping {
    No,
    Until(Instant),
    Done,
}

impl CallControl {
    /// Ends every call: BYE where it is up, 503 where it is not.
    pub(super) fn stop(&mut self, now: Now) {
        if self.stop != Stopping::No {
            return;
        }
        self.endpoint.set_draining(true);
        self.stop = Stopping::Until(now.instant + STOP_WITHIN);
        let live = self
            .calls
            .iter()
            .filter(|(_, call)| !call.over)
            .map(|(key, _)| *key);
        self.stopping = live.collect();
        for key in self.stopping.clone() {
            self.hang_up(now, key, "node_stopped");
        }
    }

    pub(super) const fn is_stopping(&self) -> bool {
        !matches!(self.stop, Stopping::No)
    }

    /// Said once, when the last call is gone or peers took too long.
    pub(super) fn poll_stopped(&mut self) -> Option<Output> {
        let Stopping::Until(at) = self.stop else {
            return None;
        };
        let late = self.now.is_some_and(|now| now.instant >= at);
        // Calls that had ended before only wait for retransmissions.
        let gone = !self.stopping.iter().any(|key| self.calls.contains_key(key));
        let quiet = gone && self.draining.is_silent();
        if !late && !quiet {
            return None;
        }
        self.stop = Stopping::Done;
        if let Some(now) = self.now {
            let counts = self.guard.flush_changes(now.instant, now.timestamp);
            self.store_counts(counts);
            let phones = self.bindings.flush_changes(now.instant, now.timestamp);
            self.store_phones(phones);
        }
        self.put(Output::Stopped);
        self.outputs.pop_front()
    }
}
