//! Requests within a call that want our offer (RFC 3261 §14.2): a session refresh, or one step of a
//! hold or resume as CUCM does it.
//!
//! The offer is always a full one, sendrecv, with every codec that both sides can do, whatever the
//! last state was: an operator would otherwise have to switch the inactive step off (E-02, D-08).
//! What the answer in the ACK changes, the other side hears.

use std::sync::Arc;

use sip::event::{CallKey, LegKey};
use sip::message::StatusCode;
use sip::offer_answer::Codec;
use sip::sdp::{Direction, SessionDescription};

use super::control::CallControl;
use super::delayed::full_codecs;
use super::event::Now;
use super::one_call::{Asked, Side};
use super::video;

impl CallControl {
    pub(super) fn offer_everything(
        &mut self,
        key: CallKey,
        side: Side,
    ) -> Result<SessionDescription, StatusCode> {
        let snapshot = Arc::clone(&self.snapshot);
        let gone = StatusCode::CALL_TRANSACTION_DOES_NOT_EXIST;
        let call = self.calls.get_mut(&key).ok_or(gone)?;
        if call.over || call.answered_at.is_none() || call.reoffer.is_some() || call.asked.is_some()
        {
            return Err(StatusCode::REQUEST_PENDING);
        }
        let codecs = full_codecs(call, side, &snapshot);
        if !codecs.iter().any(Codec::is_speech) {
            return Err(StatusCode::NOT_ACCEPTABLE_HERE);
        }
        let ptime_ms = call
            .ports(side.other())
            .and_then(|ports| ports.leg.remote())
            .and_then(|remote| remote.ptime_ms);
        let other = call.ports(side.other());
        if let Some(other) = other.and_then(|ports| ports.leg.remote_in_use()) {
            self.provide_video(key, &other);
        }
        let call = self.calls.get_mut(&key).ok_or(gone)?;
        video::wish_everything(call, side, &snapshot);
        let ports = call.ports_mut(side).ok_or(gone)?;
        let before = ports.leg.current().clone();
        let offer = ports.leg.offer(&codecs, Direction::SendRecv, ptime_ms);
        call.asked = Some(Box::new(Asked {
            side,
            before,
            is_first: false,
        }));
        Ok(offer)
    }

    /// The ACK came for an offer of ours in a 2xx.
    pub(super) fn handle_reoffer_completed(
        &mut self,
        now: Now,
        key: CallKey,
        leg: LegKey,
        answer: Result<&SessionDescription, &'static str>,
    ) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let side = call.side(leg);
        let Some(asked) = call.asked.take_if(|asked| Some(asked.side) == side) else {
            return;
        };
        if asked.is_first {
            return self.complete_first(now, key, answer);
        }
        let side = asked.side;
        let Ok(answer) = answer else {
            return self.keep_as_it_was(key, *asked);
        };
        match self.read_answer(key, side, answer) {
            Ok(remote) => {
                let call = self.calls.get_mut(&key);
                if let Some(ports) = call.and_then(|call| call.ports_mut(side)) {
                    ports.leg.accept_answer(remote);
                }
                self.update_media(key);
                self.tell_what_changed(now, key, side, false);
                self.tell_new_keys(now, key, side);
            }
            Err(_unusable) => self.hold_unusable(now, key, side, "ack_unusable"),
        }
    }

    /// An ACK without an answer: the session stands as it was.
    fn keep_as_it_was(&mut self, key: CallKey, asked: Asked) {
        self.counters.refuse("ack_without_answer");
        let call = self.calls.get_mut(&key);
        if let Some(ports) = call.and_then(|call| call.ports_mut(asked.side)) {
            ports.leg.restore(asked.before);
        }
        self.update_media(key);
    }

    /// An answer cannot be refused. One that we cannot use (music from a multicast group, a line
    /// refused) leaves this side held until its next offer: nothing goes where it was before.
    pub(super) fn hold_unusable(
        &mut self,
        now: Now,
        key: CallKey,
        side: Side,
        label: &'static str,
    ) {
        self.counters.refuse(label);
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        if let Some(ports) = call.ports_mut(side)
            && let Some(mut remote) = ports.leg.remote().cloned()
        {
            remote.direction = Direction::Inactive;
            if let Some(video) = &mut remote.video {
                video.direction = Direction::Inactive;
            }
            ports.leg.accept(remote);
        }
        self.update_media(key);
        self.tell_what_changed(now, key, side, false);
    }
}
