//! Offers that we make on our own: one side has changed and has its answer already, and the other
//! side must hear of it.
//!
//! Owns when: at once, or a little later where that side is in the middle of an exchange of its own.

use std::time::Duration;

use sip::event::CallKey;
use sip::message::StatusCode;
use sip::offer_answer::Unusable;

use super::control::CallControl;
use super::event::Now;
use super::media_plan::abilities::share_voice;
use super::one_call::{Call, Reoffer, Side, Untold};
use super::snapshot::Snapshot;
use super::video;

/// How long until the other side is asked again.
pub(super) const TELL_AFTER: Duration = Duration::from_millis(500);
/// Then it is left as it is: longer than any transaction lasts (64·T1).
pub(super) const TELL_TRIES_MAX: u8 = 80;

impl CallControl {
    /// Where the direction of `side` or its codec is not what the other side was told, it is told.
    /// `is_first`: the call is new, and ends where they have no codec in common.
    pub(super) fn tell_what_changed(&mut self, now: Now, key: CallKey, side: Side, is_first: bool) {
        if side == Side::B && self.is_guest(key) {
            return self.settle_guest(key);
        }
        let Some(call) = self.calls.get(&key) else {
            return;
        };
        if let Some(news) = news(call, side, &self.snapshot) {
            self.tell_other_side(now, key, side, is_first && news == News::Codec);
        }
    }

    /// Offers to the other side what this one has; nobody waits for the answer, and what the other
    /// side refuses stays as it is there.
    pub(super) fn tell_other_side(&mut self, now: Now, key: CallKey, side: Side, decides: bool) {
        if side == Side::B && self.is_guest(key) {
            return self.settle_guest(key);
        }
        let Some(call) = self.calls.get(&key) else {
            return;
        };
        if call.reoffer.is_some() {
            return self.tell_later(now, key, side, decides);
        }
        let Some(remote) = call.ports(side).and_then(|ports| ports.leg.remote_in_use()) else {
            return;
        };
        match self.offer_other_side(now, key, side, &remote) {
            Ok(before) => {
                if let Some(call) = self.calls.get_mut(&key) {
                    call.reoffer = Some(Reoffer {
                        from: None,
                        before: Box::new(before),
                        withdrawn: None,
                        decides,
                    });
                    let is_told = |untold: &Untold| untold.side == side && !untold.decides;
                    if call.untold.as_ref().is_some_and(is_told) {
                        self.forget_untold(key);
                    }
                }
            }
            Err(StatusCode::REQUEST_PENDING) => self.tell_later(now, key, side, decides),
            Err(_no_codec) => {
                self.counters.refuse("reoffer_refused");
                if decides {
                    self.hang_up(now, key, Unusable::NoCommonCodec.as_str());
                }
            }
        }
    }

    /// This side has answered from another place with another key: it is offered a new one of ours.
    pub(super) fn tell_new_keys(&mut self, now: Now, key: CallKey, side: Side) {
        // What is told first may change what this offer says.
        let call = self.calls.get(&key).filter(|call| call.untold.is_none());
        let ports = call.and_then(|call| call.ports(side));
        if ports.is_some_and(|ports| ports.leg.owes_keys()) {
            self.tell_other_side(now, key, side.other(), false);
        }
    }

    pub(super) fn tell_later(&mut self, now: Now, key: CallKey, side: Side, decides: bool) {
        let Some(call) = self.calls.get_mut(&key).filter(|call| !call.over) else {
            return;
        };
        let tries = call.untold.map_or(0, |untold| untold.tries);
        self.forget_untold(key);
        if tries >= TELL_TRIES_MAX {
            return self.counters.refuse("reoffer_refused");
        }
        let at = now.instant + TELL_AFTER;
        if let Some(call) = self.calls.get_mut(&key) {
            call.untold = Some(Untold {
                side,
                at,
                tries: tries + 1,
                decides,
            });
        }
        self.deadlines.insert((at, key));
    }

    pub(super) fn forget_untold(&mut self, key: CallKey) {
        let untold = self.calls.get_mut(&key).and_then(|call| call.untold.take());
        let ends_at = self.calls.get(&key).and_then(|call| call.ends_at);
        if let Some(untold) = untold.filter(|untold| ends_at != Some(untold.at)) {
            self.deadlines.remove(&(untold.at, key));
        }
    }

    /// Its time has come: what is still news is told.
    pub(super) fn handle_untold(&mut self, now: Now, key: CallKey, untold: Untold) {
        let Some(call) = self.calls.get(&key) else {
            return;
        };
        if call.reoffer.is_some() {
            return self.tell_later(now, key, untold.side, untold.decides);
        }
        if news(call, untold.side, &self.snapshot).is_some() {
            self.tell_other_side(now, key, untold.side, untold.decides);
        }
        let again = |untold: &Untold| untold.at > now.instant;
        let call = self.calls.get(&key);
        if !call.is_some_and(|call| call.untold.as_ref().is_some_and(again)) {
            self.forget_untold(key);
            self.update_video(key);
            self.tell_new_keys(now, key, untold.side);
        }
        self.serve_waiting(now, key);
    }
}

/// What the other side does not know of this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum News {
    Codec,
    Direction,
    Keys,
}

fn news(call: &Call, side: Side, snapshot: &Snapshot) -> Option<News> {
    let remote = call.ports(side)?.leg.remote()?;
    // A local party has nobody who could be told.
    let other = &call.ports(side.other())?.leg;
    let heard = other.remote()?;
    // What it can do is not enough: it speaks what it was told last.
    let told = &other.current().codecs;
    let is_deaf = !told.is_empty() && !share_voice(&remote.codecs, told);
    if is_deaf || !share_voice(&remote.codecs, &heard.codecs) {
        Some(News::Codec)
    } else if other.current().direction != remote.direction || video::is_news(call, side, snapshot)
    {
        Some(News::Direction)
    } else {
        other.owes_keys().then_some(News::Keys)
    }
}
