//! Calls of guests whose caller is a browser: no dialog of SIP, but the same guard, trunks, attempts and
//! records.
//!
//! The a-leg of such a call is there from its beginning, as that of a placed one is when its first party has
//! answered. The page always offers and we always answer: at once, with what the callee will most likely take,
//! so that the transport is up before anybody answers; when the callee has taken something else, the page is
//! asked for another offer. `beginning` makes the call, `answering` its descriptions, `joining` hears the
//! callee, `presence` knows whether somebody is still there.

mod answering;
mod beginning;
pub mod event;
mod guest;
mod joining;
mod keypad;
mod ports;
mod presence;

pub(super) use self::answering::led;
pub(super) use self::guest::Guest;
pub(super) use self::joining::with_events;
pub(super) use self::presence::TransportWord;

use sip::event::CallKey;

use self::event::{BrowserInput, BrowserOutput, GuestKey};
use super::control::CallControl;
use super::event::{Now, Output};
use super::one_call::Side;

/// What calls of browsers need, set once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrowserConfig {
    /// SHA-256 of the certificate that the media workers show.
    pub fingerprint: [u8; 32],
}

impl CallControl {
    /// A guest's browser speaks. Who has no call, or has one no longer, is heard no more.
    pub(super) fn handle_browser(&mut self, now: Now, guest: GuestKey, input: BrowserInput) {
        if let BrowserInput::Call(call) = input {
            self.guest_in_hand = Some(guest);
            self.begin_guest_call(now, guest, *call);
            self.guest_in_hand = None;
            return;
        }
        let Some(key) = self.guests.get(&guest).copied() else {
            return;
        };
        self.touch(Some(key));
        match input {
            BrowserInput::Call(_) => {}
            BrowserInput::Offer(offer) => self.take_guest_offer(now, key, &offer),
            BrowserInput::Digits(digits) => self.take_guest_digits(now, key, &digits),
            BrowserInput::Camera(is_on) => self.set_guest_camera(key, is_on),
            BrowserInput::HangUp => self.end_guest_call(now, key),
            BrowserInput::Lost => self.lose_guest(now, key),
            BrowserInput::Resumed => self.find_guest_again(key),
        }
    }

    /// True for a call of a guest.
    pub(super) fn is_guest(&self, key: CallKey) -> bool {
        let call = self.calls.get(&key);
        call.is_some_and(|call| call.guest().is_some())
    }

    /// True where this leg is a guest's browser.
    pub(super) fn is_browser(&self, key: CallKey, leg: sip::event::LegKey) -> bool {
        let call = self.calls.get(&key);
        call.is_some_and(|call| call.guest().is_some() && call.side(leg) == Some(Side::A))
    }

    fn tell_guest(&mut self, key: CallKey, output: BrowserOutput) {
        let guest = self.calls.get(&key).and_then(|call| call.guest());
        if let Some(guest) = guest.map(|guest| guest.key) {
            self.put(Output::Browser { guest, output });
        }
    }
}
