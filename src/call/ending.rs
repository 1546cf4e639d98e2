//! Ends: of an attempt, of a call. Everything taken is given back here, and every row is closed.

use media::command::Command;
use sip::b2bua::fork;
use sip::event::{AttemptFailure, CallKey, EndCause, LegKey, Q850, Refusal, ReleaseParty};
use sip::message::StatusCode;

use super::admission::Denied;
use super::control::CallControl;
use super::crypto;
use super::event::{Level, LogLine, Now, Output, StockedPair};
use super::failover::{self, Next};
use super::one_call::{Attempt, Call, Ending, Ports};
use crate::cdr::record::{AttemptClosed, CallClosed, LATE_ANSWER, MediaFigures, Record};
use crate::trunks::select::Route;

/// Cause of a call that a panic of ours ended.
const INTERNAL_ERROR: &str = "internal_error";

impl CallControl {
    pub(super) fn handle_attempt_failed(
        &mut self,
        now: Now,
        key: CallKey,
        leg: LegKey,
        failure: AttemptFailure,
        reason: Option<Q850>,
    ) {
        if self.is_first_party(key, leg) {
            return self.handle_first_party_failed(now, key, failure, reason);
        }
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
        let Some(mut attempt) = call.attempt.take() else {
            return;
        };
        attempt.reason = reason;
        let status = fork::status_of(failure);
        call.failures.push(failure);
        call.reasons.push(reason);
        let trunk = attempt.trunk.clone();
        if matches!(
            failure,
            AttemptFailure::NoResponse | AttemptFailure::TransportFailed
        ) {
            self.health.suspect(&trunk, attempt.target, now.instant);
        }
        let falls_back = crypto::falls_back(&attempt.media, status);
        let target = attempt.target;
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
        let known = snapshot.trunk(&trunk);
        let next = known.map_or(Next::Trunk, |trunk| failover::next(trunk, failure));
        if let Some(call) = self.calls.get_mut(&key) {
            if falls_back {
                call.refused_keys = Some(target);
                call.routes.push_front(Route { trunk, target });
            } else if next == Next::Stop {
                call.routes.clear();
            }
        }
        self.dial_next(now, key);
    }

    /// A 2xx crossed our CANCEL: `sip` has acknowledged and ended it; the attempt's row says so.
    pub(super) fn handle_late_answer(&mut self, now: Now, key: CallKey, leg: LegKey) {
        let mut key = key;
        while let Some(next) = self.replaced.get(&key) {
            key = *next;
        }
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let at = call.time(now);
        let Some((_, closed)) = call.left.iter_mut().find(|(left, _)| *left == leg) else {
            return;
        };
        closed.at = at;
        closed.answered_at = Some(at);
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
        reason: Option<Q850>,
    ) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        if call.over {
            return;
        }
        call.reason = reason.or(call.reason);
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
            debug_assert!(
                self.endpoint.counters().turns_cut_short > 0,
                "a call is gone that never ended"
            );
            self.finish(now, key, lost);
        }
        self.calls.remove(&key);
        self.replaced.remove(&key);
        self.former_peers.forget(key);
    }

    /// The steps from here on are about this call.
    pub(super) fn touch(&mut self, key: Option<CallKey>) {
        self.touched = key;
        #[cfg(test)]
        if key.is_some()
            && let Some(steps) = self.fault.take()
        {
            assert!(steps > 0, "injected");
            self.fault = Some(steps - 1);
        }
    }

    /// A panic cut the last input short (DECISIONS, Shape 6). The call that it was about ends here
    /// and now, both sides are told, and its ports go back; all others go on. An input that was
    /// about no call is lost.
    pub fn handle_panic(&mut self, now: Now) {
        let cut = self.endpoint.recover(now.instant);
        let in_hand = self.in_hand.take();
        self.put_down(now, in_hand);
        let touched = self.touched.take();
        if let Some(unknown) = cut.filter(|_| touched.is_some() && touched != cut) {
            // A call that was being made when the turn broke off: nobody else knows of it.
            let refusal = Refusal::default();
            let told = self.endpoint.hang_up(now.instant, unknown, &refusal);
            self.check(told);
        }
        let guest = self.guest_in_hand.take();
        if let Some(guest) = guest.filter(|guest| !self.guests.contains_key(guest)) {
            self.turn_guest_away(guest, &Denied::of_code(500, INTERNAL_ERROR));
        }
        let Some(key) = touched.or(cut) else {
            return;
        };
        let ending = Ending {
            released_by: "gateway",
            cause: INTERNAL_ERROR,
            status: StatusCode::SERVER_INTERNAL_ERROR.code(),
        };
        self.counters.refuse(ending.cause);
        let call = self.calls.get(&key).map(|call| call.id.clone());
        self.put(Output::Log(LogLine {
            level: Level::Warning,
            event: "call_lost",
            call,
            detail: "a panic in its turn ended this call".to_owned(),
        }));
        if self.calls.get(&key).is_some_and(|call| !call.over) {
            self.finish(now, key, ending);
        }
        self.tickets.retain(|_, waits| *waits != key);
        self.release_stray_pairs(now, key);
        let (status, refusal) = (StatusCode::SERVER_INTERNAL_ERROR, Refusal::default());
        let refused = self.endpoint.refuse(now.instant, key, status, &refusal);
        let told = refused.or_else(|_answered| self.endpoint.hang_up(now.instant, key, &refusal));
        if told.is_err() {
            // It had ended already; what was cut short may have been its very last event.
            self.calls.remove(&key);
            self.former_peers.forget(key);
        }
    }

    /// Pairs that the interrupted step had taken from the call's entry.
    fn release_stray_pairs(&mut self, now: Now, key: CallKey) {
        let strays = self.pairs.iter().filter(|(_, owner)| **owner == key);
        for pair in strays.map(|(pair, _)| *pair).collect::<Vec<_>>() {
            self.pairs.remove(&pair);
            if let Some(bound) = self.stock.bound(pair) {
                self.draining.begin(pair, bound, None, now.instant);
            }
            self.send_media(Command::Disconnect { pair });
        }
    }

    /// Gives everything back and closes the rows. The key lives on until `CallGone`.
    fn finish(&mut self, now: Now, key: CallKey, ending: Ending) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        call.over = true;
        self.live = self.live.saturating_sub(1);
        self.live_calls.end(&call.id, call.age);
        self.ladders.end(call.age, now.instant);
        let untold = call.untold.take();
        let former = call
            .placed()
            .map(|placed| (placed.token.clone(), call.view()));
        let first_party = call.placed_mut().and_then(|placed| placed.leg.take());
        let (attempt, a_media) = (call.attempt.take(), call.a_media.take());
        let (ticket, trunk) = (call.ticket.take(), call.from_trunk.take());
        let ends_at = call.ends_at.take();
        let record = Record::CallClosed(closed_call(call, now, ending));
        let id = call.id.clone();
        call.shed();
        if let Some(attempt) = attempt {
            let (status, outcome) = outcome_of(attempt.answered_at.is_some(), ending);
            self.close_attempt(now, key, attempt, status, outcome);
        }
        let first_party = first_party.map(|leg| {
            let (status, outcome) = outcome_of(leg.answered_at.is_some(), ending);
            self.close_first_party(now, key, leg, (status, outcome, None))
        });
        match a_media {
            Some(ports) => self.release_a_ports(now, &ports, first_party, record),
            None => first_party
                .into_iter()
                .chain([record])
                .for_each(|record| self.put_record(record)),
        }
        self.end_guest(key, ending);
        if let Some((token, view)) = former {
            self.orders.end(&token, view, now.instant);
        }
        if let Some(ticket) = ticket {
            self.tickets.remove(&ticket);
        }
        if let Some(trunk) = trunk {
            self.loads.end_received(&trunk);
        }
        let due = ends_at.into_iter().chain(untold.map(|untold| untold.at));
        for at in due {
            self.deadlines.remove(&(at, key));
        }
        self.log_call((Level::Note, "call_closed"), &id, |_| {
            format!(
                "{} {} by {}",
                ending.status, ending.cause, ending.released_by
            )
        });
    }

    pub(super) fn close_attempt(
        &mut self,
        now: Now,
        key: CallKey,
        attempt: Box<Attempt>,
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
            reason,
            ..
        } = *attempt;
        self.guard.release(cleared, now.instant);
        self.loads.end_sent(&trunk);
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let closed = AttemptClosed {
            call: call.id.clone(),
            number,
            at: call.time(now),
            ringing_at,
            answered_at,
            status,
            outcome: outcome.to_owned(),
            q850: reason.map(|reason| reason.0),
            media: MediaFigures::default(),
        };
        call.left.reserve_exact(1); // Most calls have one.
        call.left.push((leg, closed.clone()));
        self.release_ports(now, &media, Some(Record::AttemptClosed(closed)));
    }

    /// The pair goes back to its worker; `record` follows its counters.
    pub(super) fn release_ports(&mut self, now: Now, ports: &Ports, record: Option<Record>) {
        let pair = ports.leg.pair;
        self.pairs.remove(&pair);
        let record = record.map(|record| protected(record, ports));
        self.draining.begin(pair, ports.bound, record, now.instant);
        self.send_media(Command::Disconnect { pair });
        if let Some(video) = ports.leg.video {
            self.release_video_pair(now, video);
        }
    }

    /// The same for the a-leg, whose counters belong to the call's record, and in a placed call to
    /// that of its first party.
    fn release_a_ports(
        &mut self,
        now: Now,
        ports: &Ports,
        first_party: Option<Record>,
        record: Record,
    ) {
        let pair = ports.leg.pair;
        self.pairs.remove(&pair);
        let Some(first_party) = first_party else {
            return self.release_ports(now, ports, Some(record));
        };
        let records = (protected(first_party, ports), protected(record, ports));
        self.draining
            .begin_placed(pair, ports.bound, records, now.instant);
        self.send_media(Command::Disconnect { pair });
        if let Some(video) = ports.leg.video {
            self.release_video_pair(now, video);
        }
    }

    /// The worker's queue took no `Connect`: the pair was never used, the call cannot go on.
    pub(super) fn handle_connect_refused(&mut self, now: Now, pair: media::command::PairKey) {
        let Some(key) = self.pairs.remove(&pair) else {
            // The call ended meanwhile, and the pair waits for counters that will never come.
            if let Some((rtp, records)) = self.draining.unused(pair) {
                self.stock.put_back(StockedPair { pair, rtp });
                for record in records.into_iter().flatten() {
                    self.put_record(record);
                }
            }
            return;
        };
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        debug_assert!(!call.has_video_pair(pair), "video waits for its worker");
        let is_a = call
            .a_media
            .as_ref()
            .is_some_and(|ports| ports.leg.pair == pair);
        let mut video = None;
        let bound = if is_a {
            let ports = call.a_media.take();
            video = ports.as_ref().and_then(|ports| ports.leg.video);
            ports.map(|ports| ports.bound)
        } else {
            call.attempt.as_ref().map(|attempt| attempt.media.bound)
        };
        if let Some(rtp) = bound {
            self.stock.put_back(StockedPair { pair, rtp });
        }
        if let Some(video) = video {
            self.release_video_pair(now, video);
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
            at: call.time(now),
            ringing_at: attempt.ringing_at,
            answered_at: attempt.answered_at,
            status: 503,
            outcome: "media_queue_full".to_owned(),
            q850: None,
            media: MediaFigures::default(),
        });
        self.guard.release(attempt.cleared, now.instant);
        self.loads.end_sent(&attempt.trunk);
        if let Some(video) = attempt.media.leg.video {
            self.release_video_pair(now, video);
        }
        self.put_record(record);
    }
}

/// The record says how the media of these ports was protected.
fn protected(mut record: Record, ports: &Ports) -> Record {
    let words = ports.leg.protection().words();
    match &mut record {
        Record::AttemptClosed(closed) => closed.media.srtp = words,
        Record::CallClosed(closed) => closed.media.srtp = words,
        Record::CallOpened(_)
        | Record::AttemptOpened(_)
        | Record::GuardCounts(_)
        | Record::Phones(_) => {}
    }
    record
}

/// How an attempt ends with its call.
const fn outcome_of(answered: bool, ending: Ending) -> (u16, &'static str) {
    if answered {
        (200, "answered")
    } else {
        (487, ending.cause)
    }
}

pub(super) fn closed_call(call: &Call, now: Now, ending: Ending) -> CallClosed {
    CallClosed {
        call: call.id.clone(),
        at: call.time(now),
        answered_at: call.answered_at,
        // An answered call was a 200 to its caller, whatever ended it.
        status: if call.answered_at.is_some() {
            200
        } else {
            ending.status
        },
        released_by: ending.released_by.to_owned(),
        cause: ending.cause.to_owned(),
        q850: call.reason.map(|reason| reason.0),
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
        EndCause::OfferUnanswered => "offer_unanswered",
        EndCause::Expired => "invite_expired",
        EndCause::DialogLost => "dialog_lost",
        EndCause::SessionExpired => "session_expired",
        EndCause::Commanded => "commanded",
    }
}

const fn status_of(cause: EndCause, answered: bool) -> u16 {
    match cause {
        EndCause::Refused(status) => status.code(),
        EndCause::Cancelled | EndCause::Expired => 487,
        EndCause::Bye
        | EndCause::NoAck
        | EndCause::OfferUnanswered
        | EndCause::DialogLost
        | EndCause::SessionExpired
        | EndCause::Commanded => {
            if answered {
                200
            } else {
                487
            }
        }
    }
}
