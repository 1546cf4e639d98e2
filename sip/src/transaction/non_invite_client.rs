//! The non-INVITE client transaction (RFC 3261 §17.1.2, figure 6).
//!
//! Owns the state, not the bytes. Over a reliable transport timer E does not run and timer K is zero.
//!
//! | state | 1xx | 200–699 | timer E | timer F | timer K |
//! |---|---|---|---|---|---|
//! | Trying | Proceeding, deliver | Completed, deliver | repeat, doubled up to T2 | Terminated, timed out | – |
//! | Proceeding | deliver | Completed, deliver | repeat, each T2 | Terminated, timed out | – |
//! | Completed | – | – | – | – | Terminated |
//! | Terminated | – | – | – | – | – |

use std::time::{Duration, Instant};

use crate::event::{Timers, Transport};

/// The state of a request other than INVITE and ACK that we sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NonInviteClient {
    /// Sent, nothing heard. Timers E (repeat) and F (give up) run.
    Trying {
        /// Timer E; `None`: the transport repeats what is lost.
        retransmit_at: Option<Instant>,
        /// The interval that timer E ran for.
        interval: Duration,
        /// Timer F.
        give_up_at: Instant,
    },
    /// A provisional response came; timers E (now each T2) and F run on.
    Proceeding {
        /// Timer E; `None`: the transport repeats what is lost.
        retransmit_at: Option<Instant>,
        /// Timer F.
        give_up_at: Instant,
    },
    /// Answered; repeated answers are swallowed.
    Completed {
        /// Timer K.
        until: Instant,
    },
    /// Over; the entry goes.
    Terminated,
}

/// What the layer must do after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NonInviteClientAction {
    /// Nothing.
    None,
    /// Give the response to the user.
    Deliver,
    /// Send the same request again.
    Retransmit,
    /// Tell the user that no final response came.
    TimedOut,
}

impl NonInviteClient {
    /// The request leaves now.
    #[must_use]
    pub fn new(now: Instant, timers: &Timers, transport: Transport) -> Self {
        debug_assert!(timers.are_sound(), "timers that run: {timers:?}");
        Self::Trying {
            retransmit_at: timers.first_interval(transport).map(|first| now + first),
            interval: timers.t1,
            give_up_at: now + timers.transaction_timeout(),
        }
    }

    /// A response with this status arrived.
    #[must_use]
    pub fn handle_response(
        self,
        now: Instant,
        status: u16,
        timers: &Timers,
        transport: Transport,
    ) -> (Self, NonInviteClientAction) {
        use NonInviteClientAction as Action;
        debug_assert!((100..700).contains(&status), "a status that was read");
        match (self, status) {
            // Timer E keeps its running interval and changes to T2 when it next fires.
            (
                Self::Trying {
                    retransmit_at,
                    give_up_at,
                    ..
                }
                | Self::Proceeding {
                    retransmit_at,
                    give_up_at,
                },
                ..200,
            ) => (
                Self::Proceeding {
                    retransmit_at,
                    give_up_at,
                },
                Action::Deliver,
            ),
            (Self::Trying { .. } | Self::Proceeding { .. }, 200..) => (
                Self::Completed {
                    until: now + timers.network_life(transport),
                },
                Action::Deliver,
            ),
            (Self::Completed { .. } | Self::Terminated, _) => (self, Action::None),
        }
    }

    /// `now` may have reached a timer.
    #[must_use]
    pub fn handle_deadline(self, now: Instant, timers: &Timers) -> (Self, NonInviteClientAction) {
        use NonInviteClientAction as Action;
        match self {
            Self::Trying { give_up_at, .. } | Self::Proceeding { give_up_at, .. }
                if give_up_at <= now =>
            {
                (Self::Terminated, Action::TimedOut)
            }
            Self::Trying {
                retransmit_at: Some(retransmit_at),
                interval,
                give_up_at,
            } if retransmit_at <= now => {
                let interval = timers.next_capped(interval);
                (
                    Self::Trying {
                        retransmit_at: Some(now + interval),
                        interval,
                        give_up_at,
                    },
                    Action::Retransmit,
                )
            }
            Self::Proceeding {
                retransmit_at: Some(retransmit_at),
                give_up_at,
            } if retransmit_at <= now => (
                Self::Proceeding {
                    retransmit_at: Some(now + timers.t2),
                    give_up_at,
                },
                Action::Retransmit,
            ),
            Self::Completed { until } if until <= now => (Self::Terminated, Action::None),
            Self::Trying { .. }
            | Self::Proceeding { .. }
            | Self::Completed { .. }
            | Self::Terminated => (self, Action::None),
        }
    }

    /// The same request leaves by another path: timer E begins anew, and timer F runs on.
    #[must_use]
    pub fn moved(self, now: Instant, timers: &Timers, transport: Transport) -> Self {
        match self {
            Self::Trying { give_up_at, .. } => Self::Trying {
                retransmit_at: timers.first_interval(transport).map(|first| now + first),
                interval: timers.t1,
                give_up_at,
            },
            Self::Proceeding { .. } | Self::Completed { .. } | Self::Terminated => self,
        }
    }

    /// When `handle_deadline` has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Trying {
                retransmit_at,
                give_up_at,
                ..
            }
            | Self::Proceeding {
                retransmit_at,
                give_up_at,
            } => Some(retransmit_at.map_or(*give_up_at, |at| at.min(*give_up_at))),
            Self::Completed { until } => Some(*until),
            Self::Terminated => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use NonInviteClientAction as Action;

    #[expect(clippy::disallowed_methods, reason = "a test needs one base instant")]
    fn base() -> Instant {
        Instant::now()
    }

    /// RFC 3261 §17.1.2.2: the table of the module, cell by cell.
    #[test]
    fn every_cell_of_the_state_table_holds() {
        let (start, timers) = (base(), Timers::default());
        let later = start + Duration::from_secs(32);
        let trying = NonInviteClient::new(start, &timers, Transport::Udp);
        let proceeding = NonInviteClient::Proceeding {
            retransmit_at: Some(start + timers.t1),
            give_up_at: later,
        };
        let completed = NonInviteClient::Completed {
            until: start + timers.t4,
        };
        let terminated = NonInviteClient::Terminated;
        for (state, status, next, action) in [
            (trying, 100, proceeding, Action::Deliver),
            (trying, 200, completed, Action::Deliver),
            (trying, 404, completed, Action::Deliver),
            (proceeding, 183, proceeding, Action::Deliver),
            (proceeding, 200, completed, Action::Deliver),
            (proceeding, 699, completed, Action::Deliver),
            (completed, 100, completed, Action::None),
            (completed, 200, completed, Action::None),
            (terminated, 100, terminated, Action::None),
            (terminated, 200, terminated, Action::None),
        ] {
            let step = state.handle_response(start, status, &timers, Transport::Udp);
            assert_eq!(step, (next, action), "{status} in {state:?}");
        }
        for (state, next, action) in [
            (trying, terminated, Action::TimedOut),
            (proceeding, terminated, Action::TimedOut),
            (completed, terminated, Action::None),
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
        let first = start + timers.t1;
        assert_eq!(trying.handle_deadline(first, &timers).1, Action::Retransmit);
        let (next, action) = proceeding.handle_deadline(first, &timers);
        assert_eq!(action, Action::Retransmit);
        assert_eq!(next.deadline(), Some(first + timers.t2));
    }

    /// RFC 3261 §17.1.2.2: 500 ms, 1 s, 2 s, then each 4 s, until 32 s.
    #[test]
    fn timer_e_doubles_up_to_t2_until_timer_f() {
        let (start, timers) = (base(), Timers::default());
        let mut state = NonInviteClient::new(start, &timers, Transport::Udp);
        let mut sent = Vec::new();
        while let Some(at) = state.deadline() {
            let (next, action) = state.handle_deadline(at, &timers);
            if action == Action::Retransmit {
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
    }

    /// RFC 3261 §17.1.2.2: over TCP the request leaves once and timer F alone ends the wait.
    #[test]
    fn over_tcp_timer_e_does_not_run_and_timer_k_is_zero() {
        let (start, timers) = (base(), Timers::default());
        let later = start + Duration::from_secs(32);
        let trying = NonInviteClient::new(start, &timers, Transport::Tcp);
        assert_eq!(trying.deadline(), Some(later));
        let (proceeding, _) = trying.handle_response(start, 100, &timers, Transport::Tcp);
        assert_eq!(proceeding.deadline(), Some(later));
        let (completed, _) = trying.handle_response(start, 200, &timers, Transport::Tcp);
        let over = (NonInviteClient::Terminated, Action::None);
        assert_eq!(completed.handle_deadline(start, &timers), over);
    }
}
