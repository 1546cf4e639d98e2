//! Offers within a call: hold, resume, a new address, other codecs. Passed to the other side, whose
//! answer comes back; a refusal leaves everything as it was (RFC 3261 §14.1).
//!
//! A description that says nothing new (the same `o=` line: a session refresh) is answered with what
//! we said last, without a word to the other side.

use sip::event::{CallKey, LegKey};
use sip::message::StatusCode;
use sip::offer_answer::{Codec, RemoteAudio};
use sip::sdp::{Direction, SessionDescription};

use super::control::CallControl;
use super::event::Now;
use super::local_party::playable;
use super::one_call::{Before, Call, Reoffer, Side};
use crate::trunks::model::Trunk;

impl CallControl {
    pub(super) fn handle_reoffered(
        &mut self,
        now: Now,
        key: CallKey,
        leg: LegKey,
        offer: Option<&SessionDescription>,
    ) {
        let answered = match offer {
            Some(offer) => self.take_reoffer(now, key, leg, offer),
            // Our offer in the 2xx: what we said last stands (RFC 3261 §14.2).
            None => self.restate(key, leg).map(Some),
        };
        match answered {
            Ok(Some(description)) => {
                let told = self
                    .endpoint
                    .answer_reoffer(now.instant, key, leg, &description);
                self.check(told);
            }
            Ok(None) => {}
            Err(status) => {
                self.counters.refuse("reoffer_refused");
                let told = self.endpoint.refuse_reoffer(now.instant, key, leg, status);
                self.check(told);
            }
        }
    }

    fn restate(&self, key: CallKey, leg: LegKey) -> Result<SessionDescription, StatusCode> {
        let call = self
            .calls
            .get(&key)
            .ok_or(StatusCode::CALL_TRANSACTION_DOES_NOT_EXIST)?;
        let side = call
            .side(leg)
            .ok_or(StatusCode::CALL_TRANSACTION_DOES_NOT_EXIST)?;
        call.last_description(side)
            .ok_or(StatusCode::NOT_ACCEPTABLE_HERE)
    }

    /// An answer at once, or `None`: the other side is asked first.
    fn take_reoffer(
        &mut self,
        now: Now,
        key: CallKey,
        leg: LegKey,
        offer: &SessionDescription,
    ) -> Result<Option<SessionDescription>, StatusCode> {
        let gone = StatusCode::CALL_TRANSACTION_DOES_NOT_EXIST;
        let call = self.calls.get(&key).ok_or(gone)?;
        let side = call.side(leg).ok_or(gone)?;
        if call.over || call.answered_at.is_none() || call.reoffer.is_some() {
            // The other side has an offer of its own on the way (RFC 3261 §14.2).
            return Err(StatusCode::REQUEST_PENDING);
        }
        let remote = self
            .read_offer(key, side, offer)
            .map_err(|_unusable| StatusCode::NOT_ACCEPTABLE_HERE)?;
        let call = self.calls.get_mut(&key).ok_or(gone)?;
        if is_refresh(call, side, &remote) {
            return Ok(call.last_description(side));
        }
        if let Some(party) = call.local_party {
            let ports = call.ports_mut(side).ok_or(gone)?;
            let chosen = playable(&remote.codecs, party);
            let before = ports.leg.current().clone();
            ports.leg.accept(remote);
            let Ok(answer) = ports.leg.answer(&chosen, Direction::SendRecv, None) else {
                ports.leg.restore(before);
                return Err(StatusCode::NOT_ACCEPTABLE_HERE);
            };
            self.update_media(key);
            return Ok(Some(answer));
        }
        self.pass_on(now, key, side, remote)?;
        Ok(None)
    }

    /// Offers to the other side what this one offered.
    fn pass_on(
        &mut self,
        now: Now,
        key: CallKey,
        side: Side,
        remote: RemoteAudio,
    ) -> Result<(), StatusCode> {
        let gone = StatusCode::CALL_TRANSACTION_DOES_NOT_EXIST;
        let snapshot = std::sync::Arc::clone(&self.snapshot);
        let call = self.calls.get_mut(&key).ok_or(gone)?;
        let trunk = trunk_of(call, side.other(), &snapshot.trunks);
        let codecs: Vec<_> = remote
            .codecs
            .iter()
            .filter(|codec| {
                !codec.is_speech() || trunk.is_none_or(|trunk| trunk.takes_codec(&codec.name))
            })
            .cloned()
            .collect();
        if !codecs.iter().any(Codec::is_speech) {
            return Err(StatusCode::NOT_ACCEPTABLE_HERE);
        }
        let before = Before {
            a: call.ports(Side::A).map(|ports| ports.leg.current().clone()),
            b: call.ports(Side::B).map(|ports| ports.leg.current().clone()),
        };
        let (direction, ptime_ms) = (remote.direction, remote.ptime_ms);
        let other = call.leg_key(side.other()).ok_or(gone)?;
        let ports = call.ports_mut(side.other()).ok_or(gone)?;
        let offer = ports.leg.offer(&codecs, direction, ptime_ms);
        let told = self.endpoint.reoffer(now.instant, key, other, &offer);
        let told = told.map_err(|_declined| StatusCode::REQUEST_PENDING);
        if told.is_err() {
            // The offer has not left.
            self.put_back(key, before);
            return told;
        }
        let call = self.calls.get_mut(&key).ok_or(gone)?;
        if let Some(ports) = call.ports_mut(side) {
            ports.leg.accept(remote);
        }
        call.reoffer = Some(Reoffer {
            from: Some(side),
            before: Box::new(before),
            withdrawn: None,
        });
        told
    }

    pub(super) fn handle_reoffer_answered(
        &mut self,
        now: Now,
        key: CallKey,
        leg: LegKey,
        answer: Option<&SessionDescription>,
    ) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let (Some(side), Some(reoffer)) = (call.side(leg), call.reoffer.take()) else {
            return;
        };
        let remote = answer.and_then(|answer| self.read_answer(key, side, answer).ok());
        let description = remote.and_then(|remote| self.complete(key, side, &reoffer, remote));
        let Some(call) = self.calls.get(&key) else {
            return;
        };
        let asking = reoffer.from.and_then(|from| call.leg_key(from));
        match (description, asking) {
            (Some(description), Some(asking)) => {
                self.update_media(key);
                let told = self
                    .endpoint
                    .answer_reoffer(now.instant, key, asking, &description);
                self.check(told);
            }
            (Some(_), None) => {
                self.update_media(key);
                self.offer_what_stands(now, key, &reoffer);
            }
            (None, Some(asking)) => {
                // The side that was asked believes in a session that the asking side cannot have.
                self.put_back(key, *reoffer.before);
                let status = StatusCode::NOT_ACCEPTABLE_HERE;
                let told = self
                    .endpoint
                    .refuse_reoffer(now.instant, key, asking, status);
                self.check(told);
            }
            (None, None) => self.put_back(key, *reoffer.before),
        }
    }

    /// The side that offered has taken it back (RFC 3261 §9.2): its session is what it was. The other
    /// side's answer is waited for and then put right, because an offer is not taken back there.
    pub(super) fn handle_reoffer_cancelled(&mut self, key: CallKey, leg: LegKey) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let side = call.side(leg);
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
        self.counters.refuse("reoffer_withdrawn");
    }

    /// After an offer that was taken back: the other side has agreed to what nobody wants any more.
    fn offer_what_stands(&mut self, now: Now, key: CallKey, reoffer: &Reoffer) {
        let Some(side) = reoffer.withdrawn else {
            return;
        };
        let remote = self
            .calls
            .get(&key)
            .and_then(|call| call.ports(side))
            .and_then(|ports| ports.leg.remote().cloned());
        if let Some(remote) = remote {
            self.tell_other_side(now, key, side, remote);
        }
    }

    /// Offers to the other side what this one has; nobody waits for the answer, and what the other
    /// side refuses stays as it is there.
    fn tell_other_side(&mut self, now: Now, key: CallKey, side: Side, remote: RemoteAudio) {
        let passed = self.pass_on(now, key, side, remote);
        if passed.is_ok()
            && let Some(reoffer) = self
                .calls
                .get_mut(&key)
                .and_then(|call| call.reoffer.as_mut())
        {
            reoffer.from = None;
        }
    }

    fn complete(
        &mut self,
        key: CallKey,
        side: Side,
        reoffer: &Reoffer,
        remote: RemoteAudio,
    ) -> Option<SessionDescription> {
        let call = self.calls.get_mut(&key)?;
        let (chosen, direction, ptime_ms) =
            (remote.codecs.clone(), remote.direction, remote.ptime_ms);
        call.ports_mut(side)?.leg.accept(remote);
        match reoffer.from {
            Some(from) => call
                .ports_mut(from)?
                .leg
                .answer(&chosen, direction, ptime_ms)
                .ok(),
            None => call.last_description(side.other()),
        }
    }

    pub(super) fn handle_reoffer_refused(
        &mut self,
        now: Now,
        key: CallKey,
        leg: LegKey,
        status: StatusCode,
    ) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        if call.side(leg).is_none() {
            return;
        }
        let Some(reoffer) = call.reoffer.take() else {
            return;
        };
        let asking = reoffer.from.and_then(|from| call.leg_key(from));
        self.put_back(key, *reoffer.before);
        if let Some(asking) = asking {
            self.counters.refuse("reoffer_refused");
            let told = self
                .endpoint
                .refuse_reoffer(now.instant, key, asking, status);
            self.check(told);
        }
    }

    /// The answer to the offer that we gave in a 2xx: where it moves, holds or resumes its side, the
    /// other side hears of it.
    pub(super) fn handle_reoffer_completed(
        &mut self,
        now: Now,
        key: CallKey,
        leg: LegKey,
        answer: Option<&SessionDescription>,
    ) {
        let Some(side) = self.calls.get(&key).and_then(|call| call.side(leg)) else {
            return;
        };
        let Some(answer) = answer else { return };
        let Ok(remote) = self.read_answer(key, side, answer) else {
            return;
        };
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let before = call
            .ports(side)
            .and_then(|ports| ports.leg.remote())
            .map(|old| old.direction);
        let changed = before.is_some_and(|before| before != remote.direction);
        if changed && call.local_party.is_none() && call.reoffer.is_none() {
            self.tell_other_side(now, key, side, remote.clone());
        }
        if let Some(ports) = self
            .calls
            .get_mut(&key)
            .and_then(|call| call.ports_mut(side))
        {
            ports.leg.accept(remote);
        }
        self.update_media(key);
    }

    fn put_back(&mut self, key: CallKey, before: Before) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        for (side, before) in [(Side::A, before.a), (Side::B, before.b)] {
            if let (Some(ports), Some(before)) = (call.ports_mut(side), before) {
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

fn trunk_of<'a>(call: &Call, side: Side, trunks: &'a [Trunk]) -> Option<&'a Trunk> {
    let id = match side {
        Side::A => call.from_trunk.as_ref(),
        Side::B => call.attempt.as_ref().map(|attempt| &attempt.trunk),
    };
    id.and_then(|id| trunks.iter().find(|trunk| trunk.id == *id))
}
