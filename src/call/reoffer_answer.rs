//! What the other side says to an offer within a call, and what follows for the side that waits.

use sip::event::{CallKey, LegKey};
use sip::message::StatusCode;
use sip::offer_answer::{RemoteAudio, Unusable};
use sip::sdp::SessionDescription;

use super::control::CallControl;
use super::event::Now;
use super::one_call::Side;
use super::video;

impl CallControl {
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
        let understood = remote.is_some();
        let agreed = remote.and_then(|remote| self.agree(key, side, reoffer.from, remote));
        let asking = self
            .calls
            .get(&key)
            .and_then(|call| call.leg_key(reoffer.from?));
        match (agreed, asking) {
            (Some(description), Some(asking)) => {
                self.update_media(key);
                self.answer_leg(now, key, asking, &description);
                self.tell_new_keys(now, key, side);
            }
            (Some(_), None) => {
                self.update_media(key);
                if let Some(withdrawn) = reoffer.withdrawn {
                    // It agreed to what nobody wants any more.
                    self.tell_other_side(now, key, withdrawn, false);
                }
                self.tell_new_keys(now, key, side);
            }
            (None, asking) => {
                let is_first = reoffer.from.is_some() || reoffer.withdrawn.is_some();
                self.put_back(key, *reoffer.before, Some(side));
                if let Some(asking) = asking {
                    self.refuse_offer(now, key, asking, StatusCode::NOT_ACCEPTABLE_HERE);
                }
                // It believes in a session that the other cannot have; who is told so and says again what
                // nobody understands is left there.
                if understood || is_first {
                    self.tell_other_side(now, key, side.other(), false);
                }
                self.end_where_it_decides(now, key, reoffer.decides);
            }
        }
        self.serve_waiting(now, key);
    }

    /// The answer takes effect; what the side that waits is told, or, where nobody waits, what it
    /// has.
    fn agree(
        &mut self,
        key: CallKey,
        side: Side,
        from: Option<Side>,
        remote: RemoteAudio,
    ) -> Option<SessionDescription> {
        let call = self.calls.get_mut(&key)?;
        let (chosen, direction, ptime_ms) =
            (remote.codecs.clone(), remote.direction, remote.ptime_ms);
        if let Some(from) = from {
            video::wish(call, from, Some(&remote), &self.snapshot);
        }
        call.ports_mut(side)?.leg.accept_answer(remote);
        match from {
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
        let Some(side) = call.side(leg) else { return };
        let Some(reoffer) = call.reoffer.take() else {
            return;
        };
        let asking = reoffer.from.and_then(|from| call.leg_key(from));
        let is_pending = asking.is_none() && status == StatusCode::REQUEST_PENDING;
        if is_pending {
            // Its own offer comes first, and may settle it.
            self.tell_later(now, key, side.other(), reoffer.decides);
        }
        self.put_back(key, *reoffer.before, None);
        if let Some(asking) = asking {
            self.refuse_offer(now, key, asking, status);
        } else if !is_pending {
            self.counters.refuse("reoffer_refused");
            self.end_where_it_decides(now, key, reoffer.decides);
        }
        self.serve_waiting(now, key);
    }

    /// Nothing that both can speak, and nobody has been heard yet.
    fn end_where_it_decides(&mut self, now: Now, key: CallKey, decides: bool) {
        if decides {
            self.hang_up(now, key, Unusable::NoCommonCodec.as_str());
        }
    }
}
