//! Digits of a guest's keypad: how they reach the callee, and by INFO (H-06) where the callee takes no events
//! in its stream, or none beside the voice that both have. Events cross by number and by clock.
//! And its camera, where the link lets it begin without one.

use sip::event::CallKey;

use super::super::control::CallControl;
use super::super::event::Now;
use super::super::one_call::{Call, Side};
use super::event::{BrowserOutput, KeypadWay};

/// Digits of one word of a page; further ones are left out.
const DIGITS_MAX: usize = 32;

/// How long each is said to have been pressed, in milliseconds.
const DURATION_MS: u32 = 160;

impl CallControl {
    pub(super) fn take_guest_digits(&mut self, now: Now, key: CallKey, digits: &str) {
        let Some(call) = self.calls.get(&key) else {
            return;
        };
        let can_hear = call.answered_at.is_some() && call.local_party.is_none();
        let callee = call.leg_key(Side::B).filter(|_| can_hear);
        let Some(callee) = callee else {
            return self.counters.refuse("info_unrelayed");
        };
        let known = digits.chars().filter(|digit| is_digit(*digit));
        for digit in known.take(DIGITS_MAX) {
            let body = format!(
                "Signal={}\r\nDuration={DURATION_MS}\r\n",
                digit.to_ascii_uppercase()
            );
            let told = self.endpoint.inform(
                now.instant,
                key,
                callee,
                "application/dtmf-relay",
                body.as_bytes(),
            );
            self.check(told);
        }
    }

    /// How its digits reach the callee now, where the guest was told otherwise.
    pub(super) fn tell_guest_keypad(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key).filter(|call| !call.over) else {
            return;
        };
        let way = way_of(call);
        let Some(guest) = call.guest_mut() else {
            return;
        };
        if std::mem::replace(&mut guest.keypad, way) != way {
            self.tell_guest(key, BrowserOutput::Keypad(way));
        }
    }

    /// The guest starts or ends its camera: where the link wants it dark at first, nothing passed before.
    pub(super) fn set_guest_camera(&mut self, key: CallKey, is_on: bool) {
        let Some(guest) = self.calls.get_mut(&key).and_then(|call| call.guest_mut()) else {
            return;
        };
        guest.is_dark = !is_on;
        self.update_video(key);
    }
}

/// Events cross where both descriptions name some: those of another clock beside a voice that both have.
fn way_of(call: &Call) -> KeypadWay {
    let (Some(guest), Some(callee)) = (call.ports(Side::A), call.ports(Side::B)) else {
        return KeypadWay::None;
    };
    let is_up = call.answered_at.is_some() && callee.leg.remote().is_some();
    if !is_up || call.local_party.is_some() {
        return KeypadWay::None;
    }
    if guest.leg.carries_events(&callee.leg) {
        KeypadWay::Rtp
    } else {
        KeypadWay::Info
    }
}

const fn is_digit(digit: char) -> bool {
    matches!(digit, '0'..='9' | '*' | '#' | 'A'..='D' | 'a'..='d')
}
