//! The callee rings, answers, holds: what of it a guest hears.

use media::command::PairKey;
use sip::event::{Answered, CallKey};
use sip::message::StatusCode;
use sip::offer_answer::{Codec, RemoteAudio, Unusable};
use sip::sdp::{Direction, SessionDescription};

use super::super::control::CallControl;
use super::super::event::Now;
use super::super::media_plan::abilities;
use super::super::one_call::{Call, Side};
use super::super::video;
use super::event::{BrowserOutput, GuestState};

impl CallControl {
    /// Early media passes where the guest can hear it; a page that only rings makes its own sound.
    pub(in super::super) fn ring_guest(
        &mut self,
        key: CallKey,
        answer: Option<&SessionDescription>,
    ) {
        // Early media that cannot be used is no reason to end a call that only rings.
        if let Some(answer) = answer
            && self.accept_second_party(key, answer).is_ok()
        {
            self.update_media(key);
            self.settle_guest(key);
        }
        self.tell_guest_state(key);
    }

    /// The callee has answered: media flows, and the page is asked anew where it was told of another codec.
    pub(in super::super) fn join_guest(
        &mut self,
        now: Now,
        key: CallKey,
        answered: &Answered,
    ) -> Result<(), &'static str> {
        self.accept_final_answer(key, answered)?;
        let call = self.calls.get(&key).ok_or("call_gone")?;
        let callee = call.attempt.as_ref().ok_or("call_gone")?;
        let most = callee.cleared.duration_max();
        if !call.shares_voice() {
            return Err(Unusable::NoCommonCodec.as_str());
        }
        self.mark_answered(now, key, most);
        self.update_media(key);
        self.settle_guest(key);
        self.tell_guest_state(key);
        // Another device than the one that was heard early.
        self.tell_new_keys(now, key, Side::B);
        Ok(())
    }

    /// The callee offers within the call: it is answered at once by what the guest can do, and the page
    /// hears what follows for it.
    pub(in super::super) fn answer_beside_guest(
        &mut self,
        key: CallKey,
        remote: RemoteAudio,
    ) -> Result<SessionDescription, StatusCode> {
        const GONE: StatusCode = StatusCode::CALL_TRANSACTION_DOES_NOT_EXIST;
        self.provide_video(key, &remote);
        let snapshot = std::sync::Arc::clone(&self.snapshot);
        let call = self.calls.get_mut(&key).ok_or(GONE)?;
        let policy = super::super::delayed::policy_of(call, Side::B, &snapshot);
        let guest = call.ports(Side::A).ok_or(GONE)?;
        let theirs = guest.leg.remote().ok_or(GONE)?;
        // The codec in use leads, so that the page need not change it.
        let in_use = abilities::led_by(&guest.leg.current().codecs, &theirs.codecs);
        let mut chosen = abilities::permitted(&in_use, policy, &[]);
        with_events(&mut chosen);
        let direction = theirs.direction;
        video::wish_from_other(call, Side::B, &snapshot);
        let ports = call.ports_mut(Side::B).ok_or(GONE)?;
        let before = ports.leg.current().clone();
        ports.leg.accept_offer(remote);
        let Ok(answer) = ports.leg.answer(&chosen, direction, None) else {
            ports.leg.restore(before);
            return Err(StatusCode::NOT_ACCEPTABLE_HERE);
        };
        self.update_media(key);
        self.settle_guest(key);
        self.tell_guest_state(key);
        Ok(answer)
    }

    /// The first packet of a leg came: a callee that rings has something to be heard.
    pub(in super::super) fn note_callee_is_heard(&mut self, pair: PairKey) {
        let Some(key) = self.pairs.get(&pair).copied() else {
            return;
        };
        self.touch(Some(key));
        let call = self.calls.get_mut(&key);
        let attempt = call.and_then(|call| call.attempt.as_deref_mut());
        let Some(attempt) = attempt.filter(|attempt| attempt.media.leg.pair == pair) else {
            return;
        };
        attempt.is_heard = true;
        self.tell_guest_state(key);
    }

    /// How the call is now, where the guest was told otherwise.
    pub(in super::super) fn tell_guest_state(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key).filter(|call| !call.over) else {
            return;
        };
        let state = state_of(call);
        let Some(guest) = call.guest_mut() else {
            return;
        };
        if guest.state.replace(state) != Some(state) {
            self.tell_guest(key, BrowserOutput::State(state));
        }
        self.tell_guest_keypad(key);
    }
}

fn state_of(call: &Call) -> GuestState {
    let callee = call.ports(Side::B).and_then(|ports| ports.leg.remote());
    if call.answered_at.is_some() {
        let holds = callee.is_some_and(|callee| callee.direction != Direction::SendRecv);
        return if holds && call.local_party.is_none() {
            GuestState::Held
        } else {
            GuestState::Connected
        };
    }
    let attempt = call.attempt.as_deref();
    let rings = attempt.is_some_and(|attempt| attempt.ringing_at.is_some());
    // Who alerts and plays nothing leaves the sound to the caller's end (RFC 3960 §3.2).
    let plays = attempt.is_some_and(|attempt| attempt.is_heard || !attempt.is_alerting);
    match callee {
        Some(_) if plays => GuestState::EarlyMedia,
        _ if rings => GuestState::Ringing,
        _ => GuestState::Calling,
    }
}

/// What a callee is offered for a guest: events under the number that every SIP endpoint knows (H-01), of
/// every clock that they can be counted by beside these voices, whichever of them the page has.
pub(in super::super) fn with_events(codecs: &mut Vec<Codec>) {
    let events = |codecs: &[Codec], clock_hz: u32| {
        let mut events = codecs.iter().filter(|codec| codec.is_telephone_event());
        events.any(|codec| codec.clock_rate_hz == clock_hz)
    };
    let Some(known) = codecs.iter().find(|codec| codec.is_telephone_event()) else {
        return;
    };
    let known = known.clone();
    let mut voices = codecs.iter().filter(|codec| codec.is_speech());
    let is_wide = voices.any(|codec| codec.rtp_clock_hz() == WIDE_HZ);
    for clock_rate_hz in [NARROW_HZ].into_iter().chain(is_wide.then_some(WIDE_HZ)) {
        if !events(codecs, clock_rate_hz) {
            codecs.push(Codec {
                clock_rate_hz,
                ..known.clone()
            });
        }
    }
    for codec in codecs.iter_mut().filter(|codec| codec.is_telephone_event()) {
        codec.payload_type = match codec.clock_rate_hz {
            NARROW_HZ => 101,
            _ => 102,
        };
    }
}

/// The clocks of what browsers and telephones speak (RFC 7587 §4.1, RFC 3551 §4.5.14).
const WIDE_HZ: u32 = 48_000;
const NARROW_HZ: u32 = 8_000;
