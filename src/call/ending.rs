//! Ends: of an attempt, of a call. Everything taken is given back here, and every row is closed.

use media::command::Command;
use sip::event::{AttemptFailure, CallKey, EndCause, LegKey, ReleaseParty};

use super::control::CallControl;
use super::event::{Level, LogLine, Now, Output, StockedPair};
use super::failover::{self, Next};
use super::one_call::{Attempt, Call, Ending, Ports};
use crate::cdr::record::{AttemptClosed, CallClosed, LATE_ANSWER, MediaFigures, Record};

impl CallControl {
    pub(super) fn handle_attempt_failed(
        &mut self,
        now: Now,
        key: CallKey,
        leg: LegKey,
        failure: AttemptFailure,
    ) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        if call
            .attempt
            .as_ref()
            .is_none_or(|attempt| attempt.leg != leg)
        {
            return;
        }
        let Some(attempt) = call.attempt.take() else {
            return;
        };
        let status = failover::status(failure);
        call.failures.push(failure);
        let trunk = attempt.trunk.clone();
        if matches!(
            failure,
            AttemptFailure::NoResponse | AttemptFailure::TransportFailed
        ) {
            self.health.suspect(&trunk, attempt.target, now.instant);
        }
        self.close_attempt(now, key, attempt, status.code(), failover::outcome(failure));
        self.silence_a_leg(key);
        let ending = self
            .calls
            .get(&key)
            .is_none_or(|call| call.over || call.ending.is_some());
        if ending {
            return;
        }
        let snapshot = std::sync::Arc::clone(&self.snapshot);
        let known = snapshot.trunks.iter().find(|known| known.id == trunk);
        let next = known.map_or(Next::Trunk, |trunk| failover::next(trunk, failure));
        if next == Next::Stop
            && let Some(call) = self.calls.get_mut(&key)
        {
            call.routes.clear();
        }
        self.dial_next(now, key);
    }

    /// A 2xx crossed our CANCEL: `sip` has acknowledged and ended it; the attempt's row says so.
    pub(super) fn handle_late_answer(&mut self, now: Now, key: CallKey, leg: LegKey) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let Some((_, closed)) = call.left.iter_mut().find(|(left, _)| *left == leg) else {
            return;
        };
        closed.at = now.timestamp;
        closed.answered_at = Some(now.timestamp);
        closed.status = 200;
        closed.outcome = LATE_ANSWER.to_owned();
        let record = Record::AttemptClosed(closed.clone());
        self.put_record(record);
    }

    pub(super) fn handle_ended(
        &mut self,
        now: Now,
        key: CallKey,
        by: ReleaseParty,
        cause: EndCause,
    ) {
        let Some(call) = self.calls.get(&key) else {
            return;
        };
        if call.over {
            return;
        }
        let answered = call.answered_at.is_some();
        let ending = call.ending.unwrap_or_else(|| Ending {
            released_by: released_by(by),
            cause: cause_word(cause),
            status: status_of(cause, answered),
        });
        self.finish(now, key, ending);
    }

    pub(super) fn handle_gone(&mut self, now: Now, key: CallKey) {
        let lost = Ending {
            released_by: "gateway",
            cause: "lost",
            status: 500,
        };
        if self.calls.get(&key).is_some_and(|call| !call.over) {
            debug_assert!(false, "a call is gone that never ended");
            self.finish(now, key, lost);
        }
        self.calls.remove(&key);
        self.former_peers.forget(key);
    }

    /// Gives everything back and closes the rows. The key lives on until `CallGone`.
    fn finish(&mut self, now: Now, key: CallKey, ending: Ending) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        call.over = true;
        self.live = self.live.saturating_sub(1);
        call.routes.clear();
        call.reoffer = None;
        let (attempt, a_media) = (call.attempt.take(), call.a_media.take());
        let (ticket, trunk) = (call.ticket.take(), call.from_trunk.take());
        let ends_at = call.ends_at.take();
        let record = Record::CallClosed(closed_call(call, now, ending));
        let line = LogLine {
            level: Level::Note,
            event: "call_closed",
            call: Some(call.id.clone()),
            detail: format!(
                "{} {} by {}",
                ending.status, ending.cause, ending.released_by
            ),
        };
        if let Some(attempt) = attempt {
            let answered = attempt.answered_at.is_some();
            let (status, outcome) = if answered {
                (200, "answered")
            } else {
                (487, ending.cause)
            };
            self.close_attempt(now, key, attempt, status, outcome);
        }
        match a_media {
            Some(ports) => self.release_ports(now, &ports, Some(record)),
            None => self.put_record(record),
        }
        if let Some(ticket) = ticket {
            self.tickets.remove(&ticket);
        }
        if let Some(trunk) = trunk {
            self.loads.end_received(&trunk);
        }
        if let Some(at) = ends_at {
            self.deadlines.remove(&(at, key));
        }
        self.put(Output::Log(line));
    }

    pub(super) fn close_attempt(
        &mut self,
        now: Now,
        key: CallKey,
        attempt: Attempt,
        status: u16,
        outcome: &str,
    ) {
        let Attempt {
            number,
            leg,
            trunk,
            cleared,
            media,
            ringing_at,
            answered_at,
            ..
        } = attempt;
        self.guard.release(cleared);
        self.loads.end_sent(&trunk);
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let closed = AttemptClosed {
            call: call.id.clone(),
            number,
            at: now.timestamp,
            ringing_at,
            answered_at,
            status,
            outcome: outcome.to_owned(),
            media: MediaFigures::default(),
        };
        call.left.push((leg, closed.clone()));
        self.release_ports(now, &media, Some(Record::AttemptClosed(closed)));
    }

    /// The pair goes back to its worker; `record` follows its counters.
    pub(super) fn release_ports(&mut self, now: Now, ports: &Ports, record: Option<Record>) {
        let pair = ports.leg.pair;
        self.pairs.remove(&pair);
        self.draining.begin(pair, ports.bound, record, now.instant);
        self.send_media(Command::Disconnect { pair });
    }

    /// The worker's queue took no `Connect`: the pair was never used, the call cannot go on.
    pub(super) fn handle_connect_refused(&mut self, now: Now, pair: media::command::PairKey) {
        let Some(key) = self.pairs.remove(&pair) else {
            // The call ended meanwhile, and the pair waits for counters that will never come.
            if let Some((rtp, record)) = self.draining.unused(pair) {
                self.stock.forget(pair, rtp);
                self.stock.add(StockedPair { pair, rtp });
                record
                    .into_iter()
                    .for_each(|record| self.put_record(record));
            }
            return;
        };
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let is_a = call
            .a_media
            .as_ref()
            .is_some_and(|ports| ports.leg.pair == pair);
        let bound = if is_a {
            call.a_media.take().map(|ports| ports.bound)
        } else {
            call.attempt.as_ref().map(|attempt| attempt.media.bound)
        };
        if let Some(rtp) = bound {
            self.stock.forget(pair, rtp);
            self.stock.add(StockedPair { pair, rtp });
        }
        if !is_a {
            self.drop_attempt_without_media(now, key);
        }
        self.hang_up(now, key, "media_queue_full");
    }

    fn drop_attempt_without_media(&mut self, now: Now, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let Some(attempt) = call.attempt.take() else {
            return;
        };
        let record = Record::AttemptClosed(AttemptClosed {
            call: call.id.clone(),
            number: attempt.number,
            at: now.timestamp,
            ringing_at: attempt.ringing_at,
            answered_at: attempt.answered_at,
            status: 503,
            outcome: "media_queue_full".to_owned(),
            media: MediaFigures::default(),
        });
        self.guard.release(attempt.cleared);
        self.loads.end_sent(&attempt.trunk);
        self.put_record(record);
    }
}

fn closed_call(call: &Call, now: Now, ending: Ending) -> CallClosed {
    CallClosed {
        call: call.id.clone(),
        at: now.timestamp,
        answered_at: call.answered_at,
        // An answered call was a 200 to its caller, whatever ended it.
        status: if call.answered_at.is_some() {
            200
        } else {
            ending.status
        },
        released_by: ending.released_by.to_owned(),
        cause: ending.cause.to_owned(),
        link: call.link,
        media: MediaFigures::default(),
    }
}

const fn released_by(by: ReleaseParty) -> &'static str {
    match by {
        ReleaseParty::Originating => "originating",
        ReleaseParty::Terminating => "terminating",
        ReleaseParty::Gateway => "gateway",
    }
}

const fn cause_word(cause: EndCause) -> &'static str {
    match cause {
        EndCause::Bye => "normal",
        EndCause::Cancelled => "cancelled",
        EndCause::Refused(_) => "refused",
        EndCause::NoAck => "no_ack",
        EndCause::DialogLost => "dialog_lost",
        EndCause::Commanded => "commanded",
    }
}

const fn status_of(cause: EndCause, answered: bool) -> u16 {
    match cause {
        EndCause::Refused(status) => status.code(),
        EndCause::Cancelled => 487,
        EndCause::Bye | EndCause::NoAck | EndCause::DialogLost | EndCause::Commanded => {
            if answered { 200 } else { 487 }
        }
    }
}
