//! A placed call from the answer of its first party to that of its second: ringback, the way to the
//! second party, early media, and both joined.

use media::command::Target;
use sip::event::{Answered, CallKey, LegKey, Refusal};
use sip::message::StatusCode;
use sip::offer_answer::Unusable;
use sip::sdp::SessionDescription;

use super::super::admission::Denied;
use super::super::control::CallControl;
use super::super::event::Now;
use super::super::local_party;
use super::super::one_call::{Call, Side};
use super::names;

impl CallControl {
    /// True where this leg is the first party of a placed call.
    pub(in super::super) fn is_first_party(&self, key: CallKey, leg: LegKey) -> bool {
        let call = self.calls.get(&key);
        call.is_some_and(|call| call.placed().is_some() && call.a_leg == leg)
    }

    /// True for a placed call.
    pub(in super::super) fn is_placed(&self, key: CallKey) -> bool {
        self.calls
            .get(&key)
            .and_then(|call| call.placed())
            .is_some()
    }

    pub(in super::super) fn handle_first_party_rings(&mut self, now: Now, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let at = call.time(now);
        if let Some(leg) = call.placed_leg_mut() {
            leg.ringing_at.get_or_insert(at);
        }
    }

    /// It hears ringback from now on, and the second party is dialled with what it accepted.
    pub(in super::super) fn handle_first_party_answered(
        &mut self,
        now: Now,
        key: CallKey,
        answered: &Answered,
    ) {
        let remote = match &answered.answer {
            Some(answer) => self
                .read_answer(key, Side::A, answer)
                .map_err(Unusable::as_str),
            None => Err("answer_missing"),
        };
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let at = call.time(now);
        call.counted.clear();
        call.failures.clear();
        call.reasons.clear();
        let Some(placed) = call.placed_mut() else {
            return;
        };
        placed.routes.clear();
        let party = placed.local_party;
        let Some(leg) = &mut placed.leg else { return };
        leg.answered_at = Some(at);
        leg.cleared.note_answered(now.instant);
        let duration_max = leg.cleared.duration_max();
        match remote {
            Ok(remote) => {
                if let Some(ports) = &mut call.a_media {
                    ports.leg.accept_answer(remote);
                }
            }
            Err(cause) => {
                let status = StatusCode::NOT_ACCEPTABLE_HERE;
                return self.refuse(now, key, status, cause, &Refusal::default());
            }
        }
        if let Some(party) = party {
            call.local_party = Some(party);
            self.mark_answered(now, key, duration_max.min(local_party::DURATION_MAX));
            return self.update_media(key);
        }
        call.local_party = Some(Target::Ringback);
        let at = now.instant + duration_max;
        call.ends_at = Some(at);
        self.deadlines.insert((at, key));
        self.update_media(key);
        match self.routes_to_second_party(now, key) {
            Ok(()) => self.dial_next(now, key),
            Err(denied) => self.deny(now, key, &denied),
        }
    }

    fn routes_to_second_party(&mut self, now: Now, key: CallKey) -> Result<(), Denied> {
        let gone = || Denied::new(StatusCode::SERVICE_UNAVAILABLE, "call_gone");
        let call = self.calls.get(&key).ok_or_else(gone)?;
        let mut wanted = call.wanted.clone().ok_or_else(gone)?;
        let remote = call.ports(Side::A).and_then(|ports| ports.leg.remote());
        let codecs = names(&remote.ok_or_else(gone)?.codecs);
        let allowed = call.placed().and_then(|placed| placed.trunks.clone());
        let (phones, routes) = self.ways_to(now, &mut wanted, &codecs, allowed.as_deref())?;
        let call = self.calls.get_mut(&key).ok_or_else(gone)?;
        (call.wanted, call.phones, call.routes) = (Some(wanted), phones, routes);
        Ok(())
    }

    /// Early media of the second party takes the place of our ringback, where the first can hear
    /// it as it is.
    pub(in super::super) fn hear_second_party(
        &mut self,
        key: CallKey,
        answer: &SessionDescription,
    ) {
        // Early media that cannot be used is no reason to end a call that only rings.
        if self.accept_second_party(key, answer).is_err() {
            return;
        }
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        if is_understood(call) {
            call.local_party = None;
            self.update_media(key);
        }
    }

    /// Both are joined; the first party is told where the answer of the second forces it.
    pub(in super::super) fn join_second_party(
        &mut self,
        now: Now,
        key: CallKey,
        answered: &Answered,
    ) -> Result<(), &'static str> {
        self.accept_final_answer(key, answered)?;
        let call = self.calls.get_mut(&key).ok_or("call_gone")?;
        call.local_party = None;
        let left = call
            .ends_at
            .map(|at| at.saturating_duration_since(now.instant));
        let callee = call.attempt.as_ref().ok_or("call_gone")?;
        let most = callee.cleared.duration_max();
        let understood = is_understood(call);
        self.mark_answered(now, key, left.unwrap_or(most).min(most));
        self.update_media(key);
        if understood {
            self.tell_what_changed(now, key, Side::B, true);
        } else {
            let decides = self
                .calls
                .get(&key)
                .is_some_and(|call| !call.shares_voice());
            self.tell_other_side(now, key, Side::B, decides);
        }
        // Another device than the one that was heard early.
        self.tell_new_keys(now, key, Side::B);
        Ok(())
    }

    /// What the 2xx of a callee says; one without a body repeats what an early answer said already.
    pub(in super::super) fn accept_final_answer(
        &mut self,
        key: CallKey,
        answered: &Answered,
    ) -> Result<(), &'static str> {
        if let Some(answer) = &answered.answer {
            return self.accept_second_party(key, answer);
        }
        let call = self.calls.get(&key).ok_or("call_gone")?;
        let said = call.ports(Side::B).and_then(|ports| ports.leg.remote());
        said.map(|_said| ()).ok_or("answer_missing")
    }

    pub(in super::super) fn accept_second_party(
        &mut self,
        key: CallKey,
        answer: &SessionDescription,
    ) -> Result<(), &'static str> {
        let remote = self
            .read_answer(key, Side::B, answer)
            .map_err(Unusable::as_str)?;
        let call = self.calls.get_mut(&key).ok_or("call_gone")?;
        let ports = call.ports_mut(Side::B).ok_or("call_gone")?;
        ports.leg.accept_answer(remote);
        Ok(())
    }
}

/// The second party takes the codec that the first speaks: the first one that it named.
fn is_understood(call: &Call) -> bool {
    let remote = |side| call.ports(side).and_then(|ports| ports.leg.remote());
    let (Some(first), Some(second)) = (remote(Side::A), remote(Side::B)) else {
        return false;
    };
    let spoken = first.codecs.iter().find(|codec| codec.is_speech());
    spoken.is_some_and(|spoken| second.codecs.iter().any(|codec| codec.is_same(spoken)))
}
