//! Ringing, early media and the answer: what a trunk says is planned for both legs and passed on.

use std::net::{IpAddr, SocketAddr};

use media::command::Command;
use sip::event::{Answered, CallKey, LegKey, Refusal};
use sip::message::StatusCode;
use sip::offer_answer::{self, Forbidden, RemoteAudio, Unusable};
use sip::sdp::SessionDescription;

use super::callers::Caller;
use super::control::CallControl;
use super::event::{Level, LogLine, Now, Output};
use super::media_plan::address;
use super::one_call::Side;
use super::video;

impl CallControl {
    pub(super) fn handle_progress(
        &mut self,
        now: Now,
        key: CallKey,
        leg: LegKey,
        status: StatusCode,
        answer: Option<&SessionDescription>,
    ) {
        if self.is_first_party(key, leg) {
            return self.handle_first_party_rings(now, key);
        }
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        if call.side(leg) != Some(Side::B) || call.answered_at.is_some() {
            return;
        }
        let at = call.time(now);
        if let Some(attempt) = &mut call.attempt {
            attempt.ringing_at.get_or_insert(at);
            attempt.is_alerting |= status == StatusCode::RINGING;
        }
        if call.guest().is_some() {
            return self.ring_guest(key, answer);
        }
        if call.placed().is_some() {
            if let Some(answer) = answer {
                self.hear_second_party(key, answer);
            }
            return;
        }
        // Early media that cannot be used is no reason to end a call that only rings.
        let early = answer.and_then(|answer| self.join_early(key, answer).ok().flatten());
        let told = self.endpoint.ring(now.instant, key, status, early.as_ref());
        self.check(told);
    }

    pub(super) fn handle_answered(
        &mut self,
        now: Now,
        key: CallKey,
        leg: LegKey,
        answered: &Answered,
    ) {
        if self.is_first_party(key, leg) {
            return self.handle_first_party_answered(now, key, answered);
        }
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        if call.side(leg) != Some(Side::B) || call.answered_at.is_some() {
            return;
        }
        let at = call.time(now);
        let Some(attempt) = &mut call.attempt else {
            return;
        };
        attempt.answered_at = Some(at);
        attempt.cleared.note_answered(now.instant);
        if self.is_guest(key) {
            return match self.join_guest(now, key, answered) {
                Ok(()) => {}
                Err(cause) => self.refuse_unjoined(now, key, cause),
            };
        }
        if self.is_placed(key) {
            return match self.join_second_party(now, key, answered) {
                Ok(()) => {}
                Err(cause) => self.refuse_unjoined(now, key, cause),
            };
        }
        let Some(attempt) = self.calls.get(&key).and_then(|call| call.attempt.as_ref()) else {
            return;
        };
        let duration_max = attempt.cleared.duration_max();
        let joined = match (&answered.offer, &answered.answer) {
            (Some(offer), _) => self.join_offer(now, key, offer),
            (None, Some(answer)) => self.join(key, answer),
            // A 200 without a body repeats what a reliable or early answer said already.
            (None, None) => self.last_join(key),
        };
        match joined {
            Ok(description) => {
                self.mark_answered(now, key, duration_max);
                let told = self.endpoint.answer(now.instant, key, &description);
                self.check(told);
                if self
                    .calls
                    .get(&key)
                    .is_some_and(|call| call.has_reoffered_early)
                {
                    self.tell_what_changed(now, key, Side::B, true);
                }
                // Another device than the one that was heard early.
                self.tell_new_keys(now, key, Side::B);
            }
            Err(cause) => self.refuse_unjoined(now, key, cause),
        }
    }

    /// The callee has answered, but not so that the two can talk.
    fn refuse_unjoined(&mut self, now: Now, key: CallKey, cause: &'static str) {
        let status = if cause == Unusable::NoCommonCodec.as_str() {
            StatusCode::NOT_ACCEPTABLE_HERE
        } else {
            StatusCode::BAD_GATEWAY
        };
        self.refuse(now, key, status, cause, &Refusal::default());
    }

    pub(super) fn mark_answered(
        &mut self,
        now: Now,
        key: CallKey,
        duration_max: std::time::Duration,
    ) {
        self.counters.calls_answered += 1;
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let guest = call.guest().map(|guest| guest.client);
        let is_first = call.answered_at.replace(call.time(now)).is_none();
        if let Some(client) = guest.filter(|_| is_first) {
            self.ringing_guests.settle(Caller::of_guest(client));
        }
        let at = now.instant + duration_max;
        if let Some(before) = call.ends_at.replace(at) {
            self.deadlines.remove(&(before, key));
        }
        let line = LogLine {
            level: Level::Debug,
            event: "call_answered",
            call: Some(call.id.clone()),
            detail: String::new(),
        };
        self.deadlines.insert((at, key));
        self.put(Output::Log(line));
        // Whoever has answered without video wants no ports for it.
        self.update_video(key);
    }

    /// The b-leg's answer takes effect: media flows both ways, and the caller's answer follows. A
    /// caller that wants our offer gets that.
    fn join(
        &mut self,
        key: CallKey,
        answer: &SessionDescription,
    ) -> Result<SessionDescription, &'static str> {
        match self.join_early(key, answer)? {
            Some(description) => Ok(description),
            None => self.offer_to_caller(key),
        }
    }

    /// The same while it rings: to a caller that wants our offer nothing is said before its 2xx.
    fn join_early(
        &mut self,
        key: CallKey,
        answer: &SessionDescription,
    ) -> Result<Option<SessionDescription>, &'static str> {
        let remote = self
            .read_answer(key, Side::B, answer)
            .map_err(Unusable::as_str)?;
        let call = self.calls.get_mut(&key).ok_or("call_gone")?;
        video::wish(call, Side::A, Some(&remote), &self.snapshot);
        let chosen = remote.codecs.clone();
        let (direction, ptime_ms) = (remote.direction, remote.ptime_ms);
        let description = if call.wants_offer {
            None
        } else {
            Some(call.answer_to_caller(&chosen, direction, ptime_ms)?)
        };
        let attempt = call.attempt.as_mut().ok_or("call_gone")?;
        attempt.media.leg.accept_answer(remote);
        self.update_media(key);
        Ok(description)
    }

    /// What the callee said while it rang stands.
    fn last_join(&mut self, key: CallKey) -> Result<SessionDescription, &'static str> {
        let missing = "answer_missing";
        let call = self.calls.get(&key).ok_or("call_gone")?;
        let callee = call.ports(Side::B).and_then(|ports| ports.leg.remote());
        callee.ok_or(missing)?;
        if call.wants_offer {
            return self.offer_to_caller(key);
        }
        call.last_description(Side::A).ok_or(missing)
    }

    /// What the peer of this side offers.
    pub(super) fn read_offer(
        &self,
        key: CallKey,
        side: Side,
        offer: &SessionDescription,
    ) -> Result<RemoteAudio, Unusable> {
        let ports = self.calls.get(&key).and_then(|call| call.ports(side));
        let ports = ports.ok_or(Unusable::NoAddress)?;
        let (policy, signalling) = (ports.leg.policy(), ports.signalling);
        offer_answer::read_offer(offer, policy, |address| self.forbids(address, signalling))
    }

    /// What the peer of this side answers to what we said last.
    pub(super) fn read_answer(
        &self,
        key: CallKey,
        side: Side,
        answer: &SessionDescription,
    ) -> Result<RemoteAudio, Unusable> {
        let ports = self.calls.get(&key).and_then(|call| call.ports(side));
        let ports = ports.ok_or(Unusable::NoAddress)?;
        let offer = ports.leg.last().ok_or(Unusable::NoAudio)?;
        let (policy, signalling) = (ports.leg.policy(), ports.signalling);
        let forbids = |address| self.forbids(address, signalling);
        offer_answer::read_answer(offer, answer, policy, forbids)
    }

    /// No peer that signals from there can have its media here.
    pub(super) fn forbids(&self, address: SocketAddr, signalling: IpAddr) -> Option<Forbidden> {
        let signalled = |address| {
            let mut sockets = self.config.sockets.iter().chain(&self.config.listeners);
            sockets.any(|socket| *socket == address)
        };
        let advertised = |address: SocketAddr| {
            self.stock.owns_as(address) && self.snapshot.advertises(address.ip())
        };
        let is_own =
            |address| self.stock.owns(address) || signalled(address) || advertised(address);
        address::forbids(address, signalling, is_own)
    }

    /// Both legs as they are now go to the worker.
    pub(super) fn update_media(&mut self, key: CallKey) {
        self.keep_spare_keys(key);
        let timeout = self.snapshot.settings.media_timeout;
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let mut commands = Vec::with_capacity(2);
        for side in [Side::A, Side::B] {
            let Some(ports) = call.ports(side) else {
                continue;
            };
            // What a local party plays is in the codecs of the one who hears it.
            let alone = side == Side::A && call.local_party.is_some();
            let other = call.ports(side.other()).filter(|_| !alone);
            let other = other.map(|ports| &ports.leg);
            let (pair, plan) = (ports.leg.pair, ports.leg.plan(other, timeout));
            let target = call.media_target(side);
            if let Some(ports) = call.ports_mut(side) {
                ports.leg.note_protection(&plan);
            }
            commands.push(Command::Update { pair, plan, target });
        }
        for command in commands {
            self.send_media(command);
        }
        self.update_video(key);
    }

    /// Between attempts the caller hears nothing (the first party of a placed call: ringback), and nothing of the caller goes anywhere.
    pub(super) fn silence_a_leg(&mut self, key: CallKey) {
        if let Some(call) = self.calls.get_mut(&key)
            && call.placed().is_some()
            && call.answered_at.is_none()
        {
            call.local_party = Some(media::command::Target::Ringback);
        }
        let joined = self
            .calls
            .get(&key)
            .and_then(|call| call.last_description(Side::A))
            .is_some();
        if joined {
            self.update_media(key);
        }
    }
}
