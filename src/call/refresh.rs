//! Refreshes of a session (RFC 4028 §7.4, RFC 3264 §8): descriptions that say nothing new.
//!
//! The peer's are answered without a word to the other side; what a peer answers to ours is heard, because
//! it may have moved or have another key all the same.

use std::sync::Arc;

use sip::event::{CallKey, LegKey};
use sip::message::StatusCode;
use sip::offer_answer::{Codec, Descriptions, RemoteAudio, RemoteVideo};
use sip::sdp::SessionDescription;

use super::control::CallControl;
use super::event::Now;
use super::local_party::playable;
use super::one_call::{Call, Side};
use super::video;

const GONE: StatusCode = StatusCode::CALL_TRANSACTION_DOES_NOT_EXIST;

impl CallControl {
    /// The peer says what it said before. What we answered then holds; where we had offered, our offer is
    /// no answer (RFC 3264 §6.1, RFC 4568 §5.1.2), so that one is made of what is in use.
    pub(super) fn answer_refresh(
        &mut self,
        key: CallKey,
        side: Side,
    ) -> Result<SessionDescription, StatusCode> {
        let snapshot = Arc::clone(&self.snapshot);
        let call = self.calls.get_mut(&key).ok_or(GONE)?;
        let leg = &call.ports(side).ok_or(GONE)?.leg;
        if leg.current().is_answer {
            return call.last_description(side).ok_or(GONE);
        }
        let other = call.ports(side.other());
        let ptime_ms = other.and_then(|other| other.leg.remote()?.ptime_ms);
        let (chosen, direction) = (codecs_in_use(call, side), leg.current().direction);
        video::wish_from_other(call, side, &snapshot);
        let ports = call.ports_mut(side).ok_or(GONE)?;
        let before = ports.leg.current().clone();
        let Ok(answer) = ports.leg.answer(&chosen, direction, ptime_ms) else {
            ports.leg.restore(before);
            return Err(StatusCode::NOT_ACCEPTABLE_HERE);
        };
        self.update_media(key);
        Ok(answer)
    }

    /// The peer has answered our refresh. What is new in that takes effect and the other side hears of it;
    /// an answer that we cannot use leaves this side held.
    pub(super) fn handle_refreshed(
        &mut self,
        now: Now,
        key: CallKey,
        leg: LegKey,
        answer: &SessionDescription,
    ) {
        let side = self.calls.get(&key).and_then(|call| call.side(leg));
        let Some(side) = side else { return };
        let Ok(remote) = self.read_answer(key, side, answer) else {
            return self.hold_unusable(now, key, side, "refresh_unusable");
        };
        let Some(call) = self.calls.get_mut(&key).filter(|call| !call.over) else {
            return;
        };
        let Some(ports) = call.ports_mut(side) else {
            return;
        };
        if is_unchanged(ports.leg.current(), &remote) {
            return;
        }
        ports.leg.accept_answer(remote);
        let current = ports.leg.current().clone();
        // An offer to the other side that comes to nothing does not take this back.
        if let Some(reoffer) = &mut call.reoffer {
            match side {
                Side::A => reoffer.before.a = Some(current),
                Side::B => reoffer.before.b = Some(current),
            }
        }
        self.update_media(key);
        self.tell_what_changed(now, key, side, false);
    }
}

/// The codecs that the other side has heard of and can hear, else those of this side.
fn codecs_in_use(call: &Call, side: Side) -> Vec<Codec> {
    let own = call.ports(side).and_then(|ports| ports.leg.remote());
    let own = own.map_or(&[][..], |remote| &remote.codecs);
    if let Some(party) = call.local_party {
        return playable(own, party);
    }
    let Some(other) = call.ports(side.other()).map(|ports| &ports.leg) else {
        return own.to_vec();
    };
    let told = &other.current().codecs;
    let heard = other.remote().map_or(&[][..], |remote| &remote.codecs);
    let in_use = heard
        .iter()
        .filter(|codec| told.iter().any(|told| told.is_same(codec)));
    let in_use: Vec<Codec> = in_use.cloned().collect();
    if in_use.iter().any(Codec::is_speech) {
        in_use
    } else {
        own.to_vec()
    }
}

/// The answer to a refresh says what holds already. To what we had answered it can name no other codec.
fn is_unchanged(current: &Descriptions, remote: &RemoteAudio) -> bool {
    let Some(known) = &current.theirs else {
        return false;
    };
    let key = current.agreed.as_ref().map(|agreed| &agreed.receive);
    let audio = (remote.rtp, remote.rtcp, remote.direction)
        == (known.rtp, known.rtcp, known.direction)
        && remote.crypto.first().map(|line| &line.key) == key
        && (current.is_answer || remote.codecs == known.codecs);
    let place = |video: &RemoteVideo| (video.rtp, video.rtcp, video.direction);
    let key = current.video_agreed.as_ref().map(|agreed| &agreed.receive);
    let (now, before) = (remote.video.as_deref(), known.video.as_deref());
    let named = now.and_then(|video| video.crypto.first());
    let video = now.map(place) == before.map(place) && named.map(|line| &line.key) == key;
    audio && (current.video.is_none() || video)
}
