//! Delayed offers at the beginning of a call (RFC 3261 §13.2.1): the caller's INVITE had no offer, or
//! the trunk shall make one.
//!
//! The callee of such a caller still gets an early offer; what it chooses leads our offer in the
//! caller's 2xx. Nothing is bridged before the ACK has brought the answer, and an ACK without a
//! usable one ends the call under its own cause.

use std::sync::Arc;

use sip::event::CallKey;
use sip::offer_answer::{Codec, RemoteAudio, Unusable};
use sip::sdp::{Direction, SessionDescription};

use super::control::CallControl;
use super::event::Now;
use super::local_party::playable;
use super::media_plan::abilities::{self, Policy};
use super::one_call::{Asked, Call, Side};
use super::snapshot::Snapshot;
use super::video;

impl CallControl {
    /// The codecs that this side may speak; empty: all.
    pub(super) fn policy(&self, key: CallKey, side: Side) -> Policy<'_> {
        self.calls
            .get(&key)
            .map_or(&[], |call| policy_of(call, side, &self.snapshot))
    }

    /// Our offer for the 2xx of a caller that made none. The answer comes with the ACK.
    pub(super) fn offer_to_caller(
        &mut self,
        key: CallKey,
    ) -> Result<SessionDescription, &'static str> {
        let snapshot = Arc::clone(&self.snapshot);
        let call = self.calls.get_mut(&key).ok_or("call_gone")?;
        let codecs = full_codecs(call, Side::A, &snapshot);
        if !codecs.iter().any(Codec::is_speech) {
            return Err(Unusable::NoCommonCodec.as_str());
        }
        let callee = call.ports(Side::B).and_then(|ports| ports.leg.remote());
        let direction = callee.map_or(Direction::SendRecv, |callee| callee.direction);
        let ptime_ms = callee.and_then(|callee| callee.ptime_ms);
        video::wish_from_other(call, Side::A, &snapshot);
        let ports = call.ports_mut(Side::A).ok_or("call_gone")?;
        let before = ports.leg.current().clone();
        let offer = ports.leg.offer(&codecs, direction, ptime_ms);
        call.asked = Some(Box::new(Asked {
            side: Side::A,
            before,
            is_first: true,
        }));
        Ok(offer)
    }

    /// The callee's 2xx brought an offer: with the caller's offer there is an answer for both at
    /// once, without it the callee waits for the caller's ACK.
    pub(super) fn join_offer(
        &mut self,
        now: Now,
        key: CallKey,
        offer: &SessionDescription,
    ) -> Result<SessionDescription, &'static str> {
        let remote = self
            .read_offer(key, Side::B, offer)
            .map_err(Unusable::as_str)?;
        let snapshot = Arc::clone(&self.snapshot);
        let call = self.calls.get_mut(&key).ok_or("call_gone")?;
        let (direction, ptime_ms) = (remote.direction, remote.ptime_ms);
        let caller = call.ports(Side::A).and_then(|ports| ports.leg.remote());
        let caller = caller.cloned();
        let policies = [Side::A, Side::B].map(|side| policy_of(call, side, &snapshot));
        let ports = call.ports_mut(Side::B).ok_or("call_gone")?;
        ports.leg.accept_offer(remote);
        let Some(caller) = caller else {
            if let Some(attempt) = &mut call.attempt {
                attempt.owes_answer = true;
            }
            let offer = self.offer_to_caller(key)?;
            self.update_media(key);
            return Ok(offer);
        };
        let [a_policy, b_policy] = policies;
        let common = abilities::permitted(&caller.codecs, a_policy, b_policy);
        video::wish(call, Side::B, Some(&caller), &snapshot);
        let ports = call.ports_mut(Side::B).ok_or("call_gone")?;
        let answer = ports
            .leg
            .answer(&common, caller.direction, caller.ptime_ms)
            .map_err(Unusable::as_str)?;
        let chosen = ports.leg.current().codecs.clone();
        video::wish_as_answered(call, Side::A, &snapshot);
        let description = call.answer_to_caller(&chosen, direction, ptime_ms)?;
        self.acknowledge_callee(now, key, &answer);
        self.update_media(key);
        Ok(description)
    }

    fn acknowledge_callee(&mut self, now: Now, key: CallKey, answer: &SessionDescription) {
        let attempt = self
            .calls
            .get_mut(&key)
            .and_then(|call| call.attempt.as_mut());
        let Some(attempt) = attempt else { return };
        attempt.owes_answer = false;
        let leg = attempt.leg;
        let told = self.endpoint.acknowledge(now.instant, key, leg, answer);
        self.check(told);
    }

    /// The ACK of a caller that had no offer: its answer, or what is wrong with it.
    pub(super) fn complete_first(
        &mut self,
        now: Now,
        key: CallKey,
        answer: Result<&SessionDescription, &'static str>,
    ) {
        let remote = answer.and_then(|answer| {
            self.read_answer(key, Side::A, answer)
                .map_err(Unusable::as_str)
        });
        if let Err(cause) = remote.and_then(|remote| self.bridge(now, key, &remote)) {
            self.hang_up(now, key, cause);
        }
    }

    /// Both sides are known: media flows. A caller that chose another codec than the callee is
    /// right, because it had the list.
    fn bridge(&mut self, now: Now, key: CallKey, remote: &RemoteAudio) -> Result<(), &'static str> {
        let call = self.calls.get_mut(&key).ok_or("call_gone")?;
        let ports = call.ports_mut(Side::A).ok_or("call_gone")?;
        ports.leg.accept_answer(remote.clone());
        let owes_answer = call
            .attempt
            .as_ref()
            .is_some_and(|attempt| attempt.owes_answer);
        if owes_answer {
            video::wish(call, Side::B, Some(remote), &self.snapshot);
            let callee = call.ports_mut(Side::B).ok_or("call_gone")?;
            let answer = callee
                .leg
                .answer(&remote.codecs, remote.direction, remote.ptime_ms)
                .map_err(Unusable::as_str)?;
            self.acknowledge_callee(now, key, &answer);
            self.update_media(key);
            return Ok(());
        }
        self.update_media(key);
        self.tell_what_changed(now, key, Side::A, true);
        Ok(())
    }
}

/// The codecs that this side may speak; empty: all.
pub(super) fn policy_of<'a>(call: &Call, side: Side, snapshot: &'a Snapshot) -> Policy<'a> {
    let trunk = call.trunk(side, snapshot);
    trunk.map_or(&[], |trunk| &trunk.codecs)
}

/// All that can be offered to `towards`: what the other side uses first, then what else it has ever
/// offered; of a side that only answered we know no more than what we would offer it ourselves.
pub(super) fn full_codecs(call: &Call, towards: Side, snapshot: &Snapshot) -> Vec<Codec> {
    let own = policy_of(call, towards, snapshot);
    if let Some(party) = call.local_party {
        return playable_all(own, party);
    }
    let other = policy_of(call, towards.other(), snapshot);
    let Some(ports) = call.ports(towards.other()) else {
        return abilities::ours(own, other);
    };
    let used = ports.leg.remote().map_or(&[][..], |remote| &remote.codecs);
    let used = abilities::permitted(used, own, other);
    let able = if ports.leg.able().is_empty() {
        abilities::ours(own, other)
    } else {
        abilities::permitted(ports.leg.able(), own, other)
    };
    abilities::led_by(&used, &able)
}

/// A tone is made in G.711, whichever; an echo plays what it hears.
fn playable_all(own: Policy<'_>, party: media::command::Target) -> Vec<Codec> {
    let ours = abilities::ours(own, &[]);
    let mut codecs: Vec<Codec> = Vec::new();
    for codec in &ours {
        codecs.extend(playable(std::slice::from_ref(codec), party));
    }
    codecs
}
