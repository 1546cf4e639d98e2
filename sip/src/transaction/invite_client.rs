//! The INVITE client transaction (RFC 3261 §17.1.1, figure 5, with RFC 6026 §8.4).
//!
//! Owns the state, not the bytes. Over a reliable transport timer A does not run and timer D is zero.
//!
//! | state | 1xx | 2xx | 300–699 | timer A | timer B | timer D | timer M |
//! |---|---|---|---|---|---|---|---|
//! | Calling | Proceeding, deliver | Accepted, deliver | Completed, deliver + ACK | repeat | Terminated, timed out | – | – |
//! | Proceeding | deliver | Accepted, deliver | Completed, deliver + ACK | – | – | – | – |
//! | Completed | – | – | ACK again | – | – | Terminated | – |
//! | Accepted | – | deliver | – | – | – | – | Terminated |
//! | Terminated | – | – | – | – | – | – | – |

use std::time::{Duration, Instant};

use crate::event::{Timers, Transport};

/// The state of an INVITE that we sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InviteClient {
    /// Sent, nothing heard. Timers A (repeat) and B (give up) run.
    Calling {
        /// Timer A; `None`: the transport repeats what is lost.
        retransmit_at: Option<Instant>,
        /// The interval that timer A ran for.
        interval: Duration,
        /// Timer B.
        give_up_at: Instant,
    },
    /// A provisional response came; how long to wait is the user's affair.
    Proceeding,
    /// A failure came and is acknowledged each time it comes again.
    Completed {
        /// Timer D.
        until: Instant,
    },
    /// A 2xx came; further ones go to the user, who acknowledges them (RFC 6026 §7.2).
    Accepted {
        /// Timer M.
        until: Instant,
    },
    /// Over; the entry goes.
    Terminated,
}

/// What the layer must do after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InviteClientAction {
    /// Nothing.
    None,
    /// Give the response to the user.
    Deliver,
    /// Make and send the ACK of a failure, and give the response to the user.
    DeliverAndAcknowledge,
    /// Send the same ACK again.
    Acknowledge,
    /// Send the same INVITE again.
    Retransmit,
    /// Tell the user that no response came.
    TimedOut,
}

impl InviteClient {
    /// The INVITE leaves now.
    #[must_use]
    pub fn new(now: Instant, timers: &Timers, transport: Transport) -> Self {
        debug_assert!(timers.are_sound(), "timers that run: {timers:?}");
        Self::Calling {
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
    ) -> (Self, InviteClientAction) {
        use InviteClientAction as Action;
        debug_assert!((100..700).contains(&status), "a status that was read");
        match (self, status) {
            (Self::Calling { .. } | Self::Proceeding, ..200) => (Self::Proceeding, Action::Deliver),
            (Self::Calling { .. } | Self::Proceeding, 200..300) => (
                Self::Accepted {
                    until: now + timers.transaction_timeout(),
                },
                Action::Deliver,
            ),
            (Self::Calling { .. } | Self::Proceeding, 300..) => (
                Self::Completed {
                    until: now + timers.response_absorption(transport),
                },
                Action::DeliverAndAcknowledge,
            ),
            (Self::Completed { .. }, 300..) => (self, Action::Acknowledge),
            (Self::Accepted { .. }, 200..300) => (self, Action::Deliver),
            (Self::Completed { .. } | Self::Accepted { .. } | Self::Terminated, _) => {
                (self, Action::None)
            }
        }
    }

    /// `now` may have reached a timer.
    #[must_use]
    pub fn handle_deadline(self, now: Instant) -> (Self, InviteClientAction) {
        match self {
            Self::Calling { give_up_at, .. } if give_up_at <= now => {
                (Self::Terminated, InviteClientAction::TimedOut)
            }
            Self::Calling {
                retransmit_at: Some(retransmit_at),
                interval,
                give_up_at,
            } if retransmit_at <= now => {
                debug_assert!(retransmit_at < give_up_at, "timer A runs within timer B");
                let interval = interval * 2;
                (
                    Self::Calling {
                        retransmit_at: Some(now + interval),
                        interval,
                        give_up_at,
                    },
                    InviteClientAction::Retransmit,
                )
            }
            Self::Completed { until } | Self::Accepted { until } if until <= now => {
                (Self::Terminated, InviteClientAction::None)
            }
            Self::Calling { .. }
            | Self::Proceeding
            | Self::Completed { .. }
            | Self::Accepted { .. }
            | Self::Terminated => (self, InviteClientAction::None),
        }
    }

    /// The same INVITE leaves by another path: timer A begins anew, and timer B runs on.
    #[must_use]
    pub fn moved(self, now: Instant, timers: &Timers, transport: Transport) -> Self {
        match self {
            Self::Calling { give_up_at, .. } => Self::Calling {
                retransmit_at: timers.first_interval(transport).map(|first| now + first),
                interval: timers.t1,
                give_up_at,
            },
            Self::Proceeding
            | Self::Completed { .. }
            | Self::Accepted { .. }
            | Self::Terminated => self,
        }
    }

    /// When `handle_deadline` has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Calling {
                retransmit_at,
                give_up_at,
                ..
            } => Some(retransmit_at.map_or(*give_up_at, |at| at.min(*give_up_at))),
            Self::Completed { until } | Self::Accepted { until } => Some(*until),
            Self::Proceeding | Self::Terminated => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use InviteClientAction as Action;

    #[expect(clippy::disallowed_methods, reason = "a test needs one base instant")]
    fn base() -> Instant {
        Instant::now()
    }

    /// RFC 3261 §17.1.1.2, RFC 6026 §7.2: the table of the module, cell by cell.
    #[test]
    fn every_cell_of_the_state_table_holds() {
        let (start, timers) = (base(), Timers::default());
        let later = start + Duration::from_secs(32);
        let calling = InviteClient::new(start, &timers, Transport::Udp);
        let completed = InviteClient::Completed { until: later };
        let accepted = InviteClient::Accepted { until: later };
        let proceeding = InviteClient::Proceeding;
        let terminated = InviteClient::Terminated;
        let cells = [
            (calling, 100, proceeding, Action::Deliver),
            (calling, 180, proceeding, Action::Deliver),
            (calling, 200, accepted, Action::Deliver),
            (calling, 300, completed, Action::DeliverAndAcknowledge),
            (calling, 699, completed, Action::DeliverAndAcknowledge),
            (proceeding, 199, proceeding, Action::Deliver),
            (proceeding, 299, accepted, Action::Deliver),
            (proceeding, 486, completed, Action::DeliverAndAcknowledge),
            (completed, 180, completed, Action::None),
            (completed, 200, completed, Action::None),
            (completed, 486, completed, Action::Acknowledge),
            (accepted, 180, accepted, Action::None),
            (accepted, 200, accepted, Action::Deliver),
            (accepted, 486, accepted, Action::None),
            (terminated, 180, terminated, Action::None),
            (terminated, 200, terminated, Action::None),
            (terminated, 486, terminated, Action::None),
        ];
        for (state, status, next, action) in cells {
            let step = state.handle_response(start, status, &timers, Transport::Udp);
            assert_eq!(step, (next, action), "{state:?} with {status}");
        }
        for (state, next, action) in [
            (calling, terminated, Action::TimedOut),
            (proceeding, proceeding, Action::None),
            (completed, terminated, Action::None),
            (accepted, terminated, Action::None),
            (terminated, terminated, Action::None),
        ] {
            assert_eq!(state.handle_deadline(later), (next, action), "{state:?}");
            if state != calling {
                assert_eq!(
                    state.handle_deadline(start),
                    (state, Action::None),
                    "{state:?} early"
                );
            }
        }
    }

    /// RFC 3261 §17.1.1.2: timer A doubles, timer B ends it: 0.5, 1.5, 3.5, 7.5, 15.5, 31.5, 32 s.
    #[test]
    fn timer_a_doubles_until_timer_b() {
        let (start, timers) = (base(), Timers::default());
        let mut state = InviteClient::new(start, &timers, Transport::Udp);
        let mut sent = Vec::new();
        while let Some(at) = state.deadline() {
            let (next, action) = state.handle_deadline(at);
            if action == Action::Retransmit {
                sent.push((at - start).as_millis());
            } else {
                assert_eq!(action, Action::TimedOut);
                assert_eq!(at - start, Duration::from_secs(32));
            }
            state = next;
        }
        assert_eq!(sent, [500, 1500, 3500, 7500, 15500, 31500]);
    }

    /// RFC 3261 §17.1.1.2: over TCP the INVITE leaves once, and its ACK is not asked for again; B and
    /// M run as ever (RFC 6026 §7.2).
    #[test]
    fn over_tcp_timer_a_does_not_run_and_timer_d_is_zero() {
        let (start, timers) = (base(), Timers::default());
        let later = start + Duration::from_secs(32);
        let calling = InviteClient::new(start, &timers, Transport::Tcp);
        assert_eq!(calling.deadline(), Some(later));
        let timed_out = (InviteClient::Terminated, Action::TimedOut);
        assert_eq!(calling.handle_deadline(later), timed_out);
        let (completed, action) = calling.handle_response(start, 486, &timers, Transport::Tcp);
        assert_eq!(action, Action::DeliverAndAcknowledge);
        let over = (InviteClient::Terminated, Action::None);
        assert_eq!(completed.handle_deadline(start), over);
        let (accepted, _) = calling.handle_response(start, 200, &timers, Transport::Tcp);
        assert_eq!(accepted.deadline(), Some(later));
    }
}
