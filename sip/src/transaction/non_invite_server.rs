//! The non-INVITE server transaction (RFC 3261 §17.2.2, figure 8).
//!
//! Owns the state, not the bytes. Over a reliable transport timer J is zero.
//!
//! | state | request again | send 1xx | send 200–699 | timer J |
//! |---|---|---|---|---|
//! | Trying | – | Proceeding, send | Completed, send | – |
//! | Proceeding | repeat response | send | Completed, send | – |
//! | Completed | repeat response | – | – | Terminated |
//! | Terminated | – | – | – | – |

use std::time::Instant;

use crate::event::{Timers, Transport};

/// The state of a request other than INVITE and ACK that we received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NonInviteServer {
    /// Not answered.
    Trying,
    /// A provisional response was sent.
    Proceeding,
    /// Answered; the same answer goes to each repetition.
    Completed {
        /// Timer J.
        until: Instant,
    },
    /// Over; the entry goes.
    Terminated,
}

/// What the layer must do after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NonInviteServerAction {
    /// Nothing.
    None,
    /// Send the response that caused the step, and keep it.
    Send,
    /// Send the kept response again.
    Repeat,
}

impl NonInviteServer {
    /// A request arrived.
    #[must_use]
    pub const fn new() -> Self {
        Self::Trying
    }

    /// The same request again.
    #[must_use]
    pub const fn handle_retransmission(self) -> (Self, NonInviteServerAction) {
        match self {
            Self::Proceeding | Self::Completed { .. } => (self, NonInviteServerAction::Repeat),
            Self::Trying | Self::Terminated => (self, NonInviteServerAction::None),
        }
    }

    /// The user answers.
    #[must_use]
    pub fn respond(
        self,
        now: Instant,
        status: u16,
        timers: &Timers,
        transport: Transport,
    ) -> (Self, NonInviteServerAction) {
        use NonInviteServerAction as Action;
        debug_assert!((100..700).contains(&status), "a status that can be sent");
        debug_assert!(timers.are_sound(), "timers that run: {timers:?}");
        match (self, status) {
            (Self::Trying | Self::Proceeding, ..200) => (Self::Proceeding, Action::Send),
            (Self::Trying | Self::Proceeding, 200..) => (
                Self::Completed {
                    until: now + timers.request_absorption(transport),
                },
                Action::Send,
            ),
            (Self::Completed { .. } | Self::Terminated, _) => (self, Action::None),
        }
    }

    /// `now` may have reached timer J.
    #[must_use]
    pub fn handle_deadline(self, now: Instant) -> (Self, NonInviteServerAction) {
        match self {
            Self::Completed { until } if until <= now => {
                (Self::Terminated, NonInviteServerAction::None)
            }
            Self::Trying | Self::Proceeding | Self::Completed { .. } | Self::Terminated => {
                (self, NonInviteServerAction::None)
            }
        }
    }

    /// When `handle_deadline` has something to do.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Completed { until } => Some(*until),
            Self::Trying | Self::Proceeding | Self::Terminated => None,
        }
    }
}

impl Default for NonInviteServer {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use NonInviteServerAction as Action;

    /// RFC 3261 §17.2.2: the table of the module, cell by cell.
    #[test]
    fn every_cell_of_the_state_table_holds() {
        #[expect(clippy::disallowed_methods, reason = "a test needs one base instant")]
        let start = Instant::now();
        let timers = Timers::default();
        let later = start + timers.transaction_timeout();
        let trying = NonInviteServer::new();
        let proceeding = NonInviteServer::Proceeding;
        let completed = NonInviteServer::Completed { until: later };
        let terminated = NonInviteServer::Terminated;
        for (state, action) in [
            (trying, Action::None),
            (proceeding, Action::Repeat),
            (completed, Action::Repeat),
            (terminated, Action::None),
        ] {
            assert_eq!(state.handle_retransmission(), (state, action), "{state:?}");
        }
        for (state, status, next, action) in [
            (trying, 100, proceeding, Action::Send),
            (trying, 200, completed, Action::Send),
            (proceeding, 100, proceeding, Action::Send),
            (proceeding, 481, completed, Action::Send),
            (completed, 100, completed, Action::None),
            (completed, 200, completed, Action::None),
            (terminated, 100, terminated, Action::None),
            (terminated, 200, terminated, Action::None),
        ] {
            let step = state.respond(start, status, &timers, Transport::Udp);
            assert_eq!(step, (next, action), "{status} in {state:?}");
        }
        for (state, next) in [
            (trying, trying),
            (proceeding, proceeding),
            (completed, terminated),
            (terminated, terminated),
        ] {
            assert_eq!(
                state.handle_deadline(later),
                (next, Action::None),
                "{state:?}"
            );
            assert_eq!(
                state.handle_deadline(start),
                (state, Action::None),
                "{state:?}"
            );
        }
    }

    /// RFC 3261 §17.2.2.
    #[test]
    fn over_tcp_timer_j_is_zero() {
        #[expect(clippy::disallowed_methods, reason = "a test needs one base instant")]
        let start = Instant::now();
        let timers = Timers::default();
        let trying = NonInviteServer::new();
        let (completed, _) = trying.respond(start, 200, &timers, Transport::Tcp);
        let over = (NonInviteServer::Terminated, Action::None);
        assert_eq!(completed.handle_deadline(start), over);
    }
}
