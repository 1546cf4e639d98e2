//! Offers within a call: hold, resume, a new address, other codecs. Passed to the other side, whose
//! answer comes back; a refusal leaves everything as it was (RFC 3261 §14.1).
//!
//! A description that says nothing new (the same `o=` line: a session refresh) is answered in `refresh`,
//! without a word to the other side. What the other side says is in `reoffer_answer`,
//! offers that we make on our own in `telling`, requests without an offer in `offerless`.

use sip::event::{CallKey, LegKey};
use sip::message::StatusCode;
use sip::offer_answer::{Codec, RemoteAudio};
use sip::sdp::{Direction, SessionDescription};

use super::control::CallControl;
use super::delayed::policy_of;
use super::event::Now;
use super::local_party::playable;
use super::media_plan::abilities;
use super::one_call::{Before, Call, Reoffer, Side, Waiting};
use super::video;

const GONE: StatusCode = StatusCode::CALL_TRANSACTION_DOES_NOT_EXIST;

impl CallControl {
    /// While the other side is told of the offer before, this one waits: what it says may depend on
    /// the outcome, and CUCM sends the next step of a hold at once (E-01).
    pub(super) fn handle_reoffered(
        &mut self,
        now: Now,
        key: CallKey,
        leg: LegKey,
        offer: Option<Box<SessionDescription>>,
    ) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let Some(side) = call.side(leg) else {
            return self.refuse_offer(now, key, leg, GONE);
        };
        if call.is_telling(side) && call.waiting.is_none() {
            call.waiting = Some(Waiting { side, offer });
            return;
        }
        self.take_offer(now, key, side, offer.as_deref());
    }

    /// The offer that waited has its turn.
    pub(super) fn serve_waiting(&mut self, now: Now, key: CallKey) {
        let call = self.calls.get_mut(&key);
        let Some(call) = call.filter(|call| !call.over) else {
            return;
        };
        let has_turn = |waiting: &Waiting| !call.is_telling(waiting.side);
        if call
            .waiting
            .as_ref()
            .is_none_or(|waiting| !has_turn(waiting))
        {
            return;
        }
        if let Some(waiting) = call.waiting.take() {
            self.take_offer(now, key, waiting.side, waiting.offer.as_deref());
        }
    }

    fn take_offer(
        &mut self,
        now: Now,
        key: CallKey,
        side: Side,
        offer: Option<&SessionDescription>,
    ) {
        let Some(leg) = self.calls.get(&key).and_then(|call| call.leg_key(side)) else {
            return;
        };
        let answered = match offer {
            Some(offer) => self.answer_offer(now, key, side, offer),
            None => self.offer_everything(key, side).map(Some),
        };
        match answered {
            Ok(Some(description)) => {
                self.answer_leg(now, key, leg, &description);
            }
            Ok(None) => {}
            Err(status) => self.refuse_offer(now, key, leg, status),
        }
    }

    pub(super) fn refuse_offer(&mut self, now: Now, key: CallKey, leg: LegKey, status: StatusCode) {
        self.counters.refuse("reoffer_refused");
        if self.is_browser(key, leg) {
            // A page is never left with an offer that is open: it keeps what it had.
            return self.answer_guest_as_it_stands(key);
        }
        let told = self.endpoint.refuse_reoffer(now.instant, key, leg, status);
        self.check(told);
    }

    /// The answer to an offer of this leg leaves.
    pub(super) fn answer_leg(
        &mut self,
        now: Now,
        key: CallKey,
        leg: LegKey,
        description: &SessionDescription,
    ) {
        if self.is_browser(key, leg) {
            return self.answer_guest_as_it_stands(key);
        }
        let told = self
            .endpoint
            .answer_reoffer(now.instant, key, leg, description);
        self.check(told);
    }

    /// An answer at once, or `None`: the other side is asked first.
    fn answer_offer(
        &mut self,
        now: Now,
        key: CallKey,
        side: Side,
        offer: &SessionDescription,
    ) -> Result<Option<SessionDescription>, StatusCode> {
        let call = self.calls.get(&key).ok_or(GONE)?;
        if call.over || call.reoffer.is_some() {
            // The other side has an offer of its own on the way (RFC 3261 §14.2).
            return Err(StatusCode::REQUEST_PENDING);
        }
        let remote = self
            .read_offer(key, side, offer)
            .map_err(|_unusable| StatusCode::NOT_ACCEPTABLE_HERE)?;
        let call = self.calls.get_mut(&key).ok_or(GONE)?;
        if is_refresh(call, side, &remote) {
            return self.answer_refresh(key, side).map(Some);
        }
        if side == Side::B && call.guest().is_some() && call.answered_at.is_some() {
            return self.answer_beside_guest(key, remote).map(Some);
        }
        if call.answered_at.is_none() || call.local_party.is_some() {
            return self.answer_here(key, side, remote).map(Some);
        }
        self.pass_on(now, key, side, remote)?;
        Ok(None)
    }

    /// A local party agrees to everything. So do we for an early dialog, as long as the codec stays:
    /// the other side is not asked before there is a call (RFC 3311 §5.1).
    fn answer_here(
        &mut self,
        key: CallKey,
        side: Side,
        remote: RemoteAudio,
    ) -> Result<SessionDescription, StatusCode> {
        let call = self.calls.get_mut(&key).ok_or(GONE)?;
        let other = call
            .ports(side.other())
            .and_then(|ports| ports.leg.remote());
        let (chosen, direction) = match (call.local_party, other) {
            (Some(party), _) => (playable(&remote.codecs, party), Direction::SendRecv),
            (None, Some(other)) => (other.codecs.clone(), other.direction),
            (None, None) => return Err(StatusCode::REQUEST_PENDING),
        };
        if call.local_party == Some(media::command::Target::Tone) {
            video::wish_of_tone(call, Some(&remote), &self.snapshot);
        } else {
            video::wish_from_other(call, side, &self.snapshot);
        }
        let ports = call.ports_mut(side).ok_or(GONE)?;
        let before = ports.leg.current().clone();
        ports.leg.accept_offer(remote);
        let Ok(answer) = ports.leg.answer(&chosen, direction, None) else {
            ports.leg.restore(before);
            return Err(StatusCode::NOT_ACCEPTABLE_HERE);
        };
        call.has_reoffered_early |= side == Side::A && call.answered_at.is_none();
        self.update_media(key);
        Ok(answer)
    }

    /// Offers to the other side what this one offered, which waits for the answer.
    pub(super) fn pass_on(
        &mut self,
        now: Now,
        key: CallKey,
        side: Side,
        remote: RemoteAudio,
    ) -> Result<(), StatusCode> {
        let before = self.offer_other_side(now, key, side, &remote)?;
        let call = self.calls.get_mut(&key).ok_or(GONE)?;
        if let Some(ports) = call.ports_mut(side) {
            ports.leg.accept_offer(remote);
        }
        call.reoffer = Some(Reoffer {
            from: Some(side),
            before: Box::new(before),
            withdrawn: None,
            decides: false,
        });
        Ok(())
    }

    /// The offer leaves; both legs as they were before it. Where it cannot leave nothing has changed.
    pub(super) fn offer_other_side(
        &mut self,
        now: Now,
        key: CallKey,
        side: Side,
        remote: &RemoteAudio,
    ) -> Result<Before, StatusCode> {
        let snapshot = std::sync::Arc::clone(&self.snapshot);
        let call = self.calls.get_mut(&key).ok_or(GONE)?;
        let policy = policy_of(call, side.other(), &snapshot);
        let codecs = abilities::permitted(&remote.codecs, policy, &[]);
        if !codecs.iter().any(Codec::is_speech) {
            return Err(StatusCode::NOT_ACCEPTABLE_HERE);
        }
        let before = Before {
            a: call.ports(Side::A).map(|ports| ports.leg.current().clone()),
            b: call.ports(Side::B).map(|ports| ports.leg.current().clone()),
        };
        let other = call.leg_key(side.other()).ok_or(GONE)?;
        self.provide_video(key, remote);
        let call = self.calls.get_mut(&key).ok_or(GONE)?;
        video::wish(call, side.other(), Some(remote), &snapshot);
        let ports = call.ports_mut(side.other()).ok_or(GONE)?;
        let offer = ports.leg.offer(&codecs, remote.direction, remote.ptime_ms);
        match self.endpoint.reoffer(now.instant, key, other, &offer) {
            Ok(()) => Ok(before),
            Err(_declined) => {
                self.unsay_offer(key, side.other(), before);
                self.update_video(key);
                Err(StatusCode::REQUEST_PENDING)
            }
        }
    }

    /// The side that offered has taken it back (RFC 3261 §9.2): its session is what it was. The other
    /// side's answer is waited for and then put right, because an offer is not taken back there.
    pub(super) fn handle_reoffer_cancelled(&mut self, key: CallKey, leg: LegKey) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let side = call.side(leg);
        self.counters.refuse("reoffer_withdrawn");
        if call
            .waiting
            .take_if(|waiting| Some(waiting.side) == side)
            .is_some()
        {
            return;
        }
        let Some(reoffer) = call.reoffer.as_mut().filter(|open| open.from == side) else {
            return;
        };
        let Some(side) = side else { return };
        debug_assert!(reoffer.withdrawn.is_none(), "an offer is taken back once");
        reoffer.from = None;
        reoffer.withdrawn = Some(side);
        let before = match side {
            Side::A => reoffer.before.a.clone(),
            Side::B => reoffer.before.b.clone(),
        };
        if let (Some(ports), Some(before)) = (call.ports_mut(side), before) {
            ports.leg.restore(before);
        }
    }

    /// The offer to this side never left.
    fn unsay_offer(&mut self, key: CallKey, side: Side, before: Before) {
        let before = match side {
            Side::A => before.a,
            Side::B => before.b,
        };
        let call = self.calls.get_mut(&key);
        if let (Some(ports), Some(before)) = (call.and_then(|call| call.ports_mut(side)), before) {
            ports.leg.unsay(before);
        }
    }

    /// Both legs are as they were, but that a side which answered has seen what is taken back.
    pub(super) fn put_back(&mut self, key: CallKey, before: Before, answered: Option<Side>) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        for (side, before) in [(Side::A, before.a), (Side::B, before.b)] {
            let (Some(ports), Some(before)) = (call.ports_mut(side), before) else {
                continue;
            };
            if answered == Some(side) {
                ports.leg.restore_answered(before);
            } else {
                ports.leg.restore(before);
            }
        }
        self.update_media(key);
    }
}

/// The peer says what it said before.
fn is_refresh(call: &Call, side: Side, remote: &RemoteAudio) -> bool {
    let known = call.ports(side).and_then(|ports| ports.leg.remote());
    known.is_some_and(|known| known == remote)
}
