//! The INVITE server transaction (RFC 3261 §17.2.1, figure 7, with RFC 6026 §8.3 and §8.5).
//!
//! Owns the state, not the bytes. The user sends 100 at once, so there is no 200 ms wait. Over a
//! reliable transport timer G does not run and timer I is zero.
//!
//! | state | INVITE | ACK | send 1xx | send 2xx | send 300–699 | timer G | timer H | timer I | timer L |
//! |---|---|---|---|---|---|---|---|---|---|
//! | Proceeding | repeat response | – | send | Accepted, send | Completed, send | – | – | – | – |
//! | Completed | repeat response | Confirmed | – | – | – | repeat response | Terminated, no ACK | – | – |
//! | Confirmed | – | – | – | – | – | – | – | Terminated | – |
//! | Accepted | – | deliver | – | send | – | – | – | – | Terminated |
//! | Terminated | – | – | – | – | – | – | – | – | – |

use std::time::{Duration, Instant};

use crate::event::{Timers, Transport};

/// The state of an INVITE that we received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InviteServer {
    /// No final response yet.
    Proceeding,
    /// A failure was sent; timers G (repeat) and H (give up) run.
    Completed {
        /// Timer G; `None`: the transport repeats what is lost.
        retransmit_at: Option<Instant>,
        /// The interval that timer G ran for.
        interval: Duration,
        /// Timer H.
        give_up_at: Instant,
    },
    /// The failure was acknowledged; later ACKs are swallowed.
    Confirmed {
        /// Timer I.
        until: Instant,
    },
    /// A 2xx was sent; the user repeats it, the transaction swallows repeated INVITEs.
    Accepted {
        /// Timer L.
        until: Instant,
    },
    /// Over; the entry goes.
    Terminated,
}

/// What the layer must do after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InviteServerAction {
    /// Nothing.
    None,
    /// Send the response that caused the step, and keep it.
    Send,
    /// Send the kept response again.
    Repeat,
    /// Give the ACK to the user.
    Deliver,
    /// Nobody acknowledged our failure within 64·T1.
    NotAcknowledged,
}

impl InviteServer {
    /// An INVITE arrived.
    #[must_use]
    pub const fn new() -> Self {
        Self::Proceeding
    }

    /// The same INVITE again.
    #[must_use]
    pub const fn handle_retransmission(self) -> (Self, InviteServerAction) {
        match self {
            Self::Proceeding | Self::Completed { .. } => (self, InviteServerAction::Repeat),
            Self::Confirmed { .. } | Self::Accepted { .. } | Self::Terminated => {
                (self, InviteServerAction::None)
            }
        }
    }

    /// An ACK that matches this transaction.
    #[must_use]
    pub fn handle_ack(
        self,
        now: Instant,
        timers: &Timers,
        transport: Transport,
    ) -> (Self, InviteServerAction) {
        match self {
            Self::Completed { .. } => (
                Self::Confirmed {
                    until: now + timers.network_life(transport),
                },
                InviteServerAction::None,
            ),
            Self::Accepted { .. } => (self, InviteServerAction::Deliver),
            Self::Proceeding | Self::Confirmed { .. } | Self::Terminated => {
                (self, InviteServerAction::None)
            }
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
    ) -> (Self, InviteServerAction) {
        use InviteServerAction as Action;
        debug_assert!((100..700).contains(&status), "a status that can be sent");
        debug_assert!(timers.are_sound(), "timers that run: {timers:?}");
        match (self, status) {
            (Self::Proceeding, ..200) => (self, Action::Send),
            (Self::Proceeding, 200..300) => (
                Self::Accepted {
                    until: now + timers.transaction_timeout(),
                },
                Action::Send,
            ),
            (Self::Proceeding, 300..) => (
                Self::Completed {
                    retransmit_at: timers.first_interval(transport).map(|first| now + first),
                    interval: timers.t1,
                    give_up_at: now + timers.transaction_timeout(),
                },
                Action::Send,
            ),
            (Self::Accepted { .. }, 200..300) => (self, Action::Send),
            (
                Self::Accepted { .. }
                | Self::Completed { .. }
                | Self::Confirmed { .. }
                | Self::Terminated,
                _,
            ) => (self, Action::None),
        }
    }

    /// `now` may have reached a timer.
    #[must_use]
    pub fn handle_deadline(self, now: Instant, timers: &Timers) -> (Self, InviteServerAction) {
        match self {
            Self::Completed { give_up_at, .. } if give_up_at <= now => {
                (Self::Terminated, InviteServerAction::NotAcknowledged)
            }
            Self::Completed {
                retransmit_at: Some(retransmit_at),
                interval,
                give_up_at,
            } if retransmit_at <= now => {
                let interval = timers.next_capped(interval);
                debug_assert!(interval <= timers.t2, "timer G stops growing at T2");
                (
                    Self::Completed {
                        retransmit_at: Some(now + interval),
                        interval,
                        give_up_at,
                    },
                    InviteServerAction::Repeat,
                )
            }
            Self::Confirmed { until } | Self::Accepted { until } if until <= now => {
                (Self::Terminated, InviteServerAction::None)
            }
            Self::Proceeding
            | Self::Completed { .. }
            | Self::Confirmed { .. }
            | Self::Accepted { .. }
            | Self::Terminated => (self, InviteServerAction::None),
        }
    }

    /// When `handle_deadline` has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Completed {
                retransmit_at,
                give_up_at,
                ..
            } => Some(retransmit_at.map_or(*give_up_at, |at| at.min(*give_up_at))),
            Self::Confirmed { until } | Self::Accepted { until } => Some(*until),
            Self::Proceeding | Self::Terminated => None,
        }
    }
}

impl Default for InviteServer {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use InviteServerAction as Action;

    #[expect(clippy::disallowed_methods, reason = "a test needs one base instant")]
    fn base() -> Instant {
        Instant::now()
    }

    /// RFC 3261 §17.2.1, RFC 6026 §7.1: the table of the module, cell by cell.
    #[test]
    fn every_cell_of_the_state_table_holds() {
        let (start, timers) = (base(), Timers::default());
        let later = start + Duration::from_secs(32);
        let proceeding = InviteServer::new();
        let completed = InviteServer::Completed {
            retransmit_at: Some(start + timers.t1),
            interval: timers.t1,
            give_up_at: later,
        };
        let confirmed = InviteServer::Confirmed {
            until: start + timers.t4,
        };
        let accepted = InviteServer::Accepted { until: later };
        let terminated = InviteServer::Terminated;
        for (state, action) in [
            (proceeding, Action::Repeat),
            (completed, Action::Repeat),
            (confirmed, Action::None),
            (accepted, Action::None),
            (terminated, Action::None),
        ] {
            assert_eq!(
                state.handle_retransmission(),
                (state, action),
                "INVITE in {state:?}"
            );
        }
        for (state, next, action) in [
            (proceeding, proceeding, Action::None),
            (completed, confirmed, Action::None),
            (confirmed, confirmed, Action::None),
            (accepted, accepted, Action::Deliver),
            (terminated, terminated, Action::None),
        ] {
            assert_eq!(
                state.handle_ack(start, &timers, Transport::Udp),
                (next, action),
                "ACK in {state:?}"
            );
        }
        for (state, status, next, action) in [
            (proceeding, 180, proceeding, Action::Send),
            (proceeding, 200, accepted, Action::Send),
            (proceeding, 486, completed, Action::Send),
            (completed, 180, completed, Action::None),
            (completed, 200, completed, Action::None),
            (completed, 486, completed, Action::None),
            (confirmed, 180, confirmed, Action::None),
            (confirmed, 200, confirmed, Action::None),
            (confirmed, 486, confirmed, Action::None),
            (accepted, 180, accepted, Action::None),
            (accepted, 200, accepted, Action::Send),
            (accepted, 486, accepted, Action::None),
            (terminated, 180, terminated, Action::None),
            (terminated, 200, terminated, Action::None),
            (terminated, 486, terminated, Action::None),
        ] {
            let step = state.respond(start, status, &timers, Transport::Udp);
            assert_eq!(step, (next, action), "{status} in {state:?}");
        }
        for (state, next, action) in [
            (proceeding, proceeding, Action::None),
            (completed, terminated, Action::NotAcknowledged),
            (confirmed, terminated, Action::None),
            (accepted, terminated, Action::None),
            (terminated, terminated, Action::None),
        ] {
            assert_eq!(
                state.handle_deadline(later, &timers),
                (next, action),
                "{state:?}"
            );
            assert_eq!(
                state.handle_deadline(start, &timers),
                (state, Action::None),
                "{state:?}"
            );
        }
    }

    /// RFC 3261 §17.2.1: timer G doubles up to T2, timer H ends it.
    #[test]
    fn timer_g_doubles_up_to_t2_until_timer_h() {
        let (start, timers) = (base(), Timers::default());
        let (mut state, _) = InviteServer::new().respond(start, 486, &timers, Transport::Udp);
        let mut sent = Vec::new();
        while let Some(at) = state.deadline() {
            let (next, action) = state.handle_deadline(at, &timers);
            if action == Action::Repeat {
                sent.push((at - start).as_millis());
            }
            state = next;
        }
        assert_eq!(
            sent,
            [
                500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500
            ]
        );
        assert_eq!(state, InviteServer::Terminated);
    }

    /// RFC 3261 §17.2.1: over TCP a failure leaves once, timer H still waits for its ACK, and timer I
    /// is zero.
    #[test]
    fn over_tcp_timer_g_does_not_run_and_timer_i_is_zero() {
        let (start, timers) = (base(), Timers::default());
        let later = start + Duration::from_secs(32);
        let (completed, _) = InviteServer::new().respond(start, 486, &timers, Transport::Tcp);
        assert_eq!(completed.deadline(), Some(later));
        let (confirmed, _) = completed.handle_ack(start, &timers, Transport::Tcp);
        let over = (InviteServer::Terminated, Action::None);
        assert_eq!(confirmed.handle_deadline(start, &timers), over);
        let (accepted, _) = InviteServer::new().respond(start, 200, &timers, Transport::Tcp);
        assert_eq!(accepted.deadline(), Some(later));
    }
}
