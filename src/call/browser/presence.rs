//! Whether a guest is still there: by its signalling, and by its transport.
//!
//! A call ends when the page says so, or when both have been silent for [`VANISHED_AFTER`]: a page that comes
//! back within that time goes on with its call.

use std::time::{Duration, Instant};

use media::command::{PairKey, TransportFailure};
use media::srtp::Suite;
use sip::event::{CallKey, Refusal};

use super::super::callers::Caller;
use super::super::control::CallControl;
use super::super::event::{Now, Output};
use super::super::one_call::{Ending, Side};
use super::event::{BrowserOutput, KeypadWay};
use super::guest::Exchange;
use crate::links::resolve::ResolveRefusal;

/// How long a call outlives the last word of its guest.
pub(super) const VANISHED_AFTER: Duration = Duration::from_secs(10);

/// Cause of a call whose guest is gone.
const VANISHED: &str = "guest_vanished";

impl CallControl {
    /// The guest hangs up: a callee that still rings is cancelled.
    pub(super) fn end_guest_call(&mut self, now: Now, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        if call.over || call.ending.is_some() {
            return;
        }
        let (cause, status) = match call.answered_at {
            Some(_) => ("normal", 200),
            None => ("cancelled", 487),
        };
        call.ending = Some(Ending {
            released_by: "originating",
            cause,
            status,
        });
        let told = self.endpoint.hang_up(now.instant, key, &Refusal::default());
        self.check(told);
    }

    /// The call is over: its guest is told, and heard no more.
    pub(in super::super) fn end_guest(&mut self, key: CallKey, ending: Ending) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        let is_ringing = call.is_ringing_guest();
        let Some(guest) = call.guest_mut() else {
            return;
        };
        if is_ringing {
            self.ringing_guests.settle(Caller::of_guest(guest.client));
        }
        let (name, retry_after) = (guest.key, guest.retry_after);
        let (cause, status) = if guest.is_hidden {
            (ResolveRefusal::Unknown.as_str(), 404)
        } else {
            (ending.cause, ending.status)
        };
        if let Some(at) = guest.given_up_at.take() {
            self.deadlines.remove(&(at, key));
        }
        self.guests.remove(&name);
        let output = BrowserOutput::Ended {
            cause,
            status,
            retry_after,
        };
        self.put(Output::Browser {
            guest: name,
            output,
        });
    }

    /// Its signalling is gone.
    pub(super) fn lose_guest(&mut self, now: Now, key: CallKey) {
        let Some(guest) = self.calls.get_mut(&key).and_then(|call| call.guest_mut()) else {
            return;
        };
        if guest.lost_at.is_some() {
            return;
        }
        guest.lost_at = Some(now.instant);
        self.give_up_guest_at(key, now.instant + VANISHED_AFTER);
    }

    /// It is there again.
    pub(super) fn find_guest_again(&mut self, key: CallKey) {
        let Some(guest) = self.calls.get_mut(&key).and_then(|call| call.guest_mut()) else {
            return;
        };
        guest.lost_at = None;
        if let Some(at) = guest.given_up_at.take() {
            self.deadlines.remove(&(at, key));
        }
        // It has missed what was said meanwhile.
        let Some(guest) = self.calls.get_mut(&key).and_then(|call| call.guest_mut()) else {
            return;
        };
        guest.state = None;
        guest.keypad = KeypadWay::None;
        if guest.exchange == Exchange::Pending {
            guest.exchange = Exchange::Forgotten;
        }
        let is_asked = guest.exchange == Exchange::Asked;
        if is_asked {
            guest.exchange = Exchange::Settled;
        }
        self.tell_guest_state(key);
        self.tell_guest_keypad(key);
        if is_asked {
            self.settle_guest(key);
        }
    }

    fn give_up_guest_at(&mut self, key: CallKey, at: Instant) {
        let Some(guest) = self.calls.get_mut(&key).and_then(|call| call.guest_mut()) else {
            return;
        };
        if let Some(before) = guest.given_up_at.replace(at) {
            self.deadlines.remove(&(before, key));
        }
        self.deadlines.insert((at, key));
    }

    /// The time of a deadline has come: true where it was for this.
    pub(in super::super) fn is_guest_given_up(
        &mut self,
        now: Now,
        key: CallKey,
        at: Instant,
    ) -> bool {
        let Some(guest) = self.calls.get_mut(&key).and_then(|call| call.guest_mut()) else {
            return false;
        };
        if guest.given_up_at != Some(at) {
            return false;
        }
        guest.given_up_at = None;
        self.end_if_vanished(now, key);
        true
    }

    /// Neither signalling nor transport, for long enough.
    fn end_if_vanished(&mut self, now: Now, key: CallKey) {
        let Some(guest) = self.calls.get(&key).and_then(|call| call.guest()) else {
            return;
        };
        let since = guest.lost_at.filter(|_| guest.is_silent);
        let is_long = since.is_some_and(|since| now.instant >= since + VANISHED_AFTER);
        if is_long {
            self.hang_up(now, key, VANISHED);
        }
    }

    /// What a worker says of the transport whose audio is this leg.
    pub(in super::super) fn handle_transport(
        &mut self,
        now: Now,
        pair: PairKey,
        word: TransportWord,
    ) {
        let Some(key) = self.pairs.get(&pair).copied() else {
            return;
        };
        self.touch(Some(key));
        let Some(guest) = self.calls.get_mut(&key).and_then(|call| call.guest_mut()) else {
            return;
        };
        match word {
            TransportWord::Up(suite) => {
                guest.is_silent = false;
                let call = self.calls.get_mut(&key);
                if let Some(ports) = call.and_then(|call| call.ports_mut(Side::A)) {
                    ports.leg.note_suite(suite);
                }
            }
            TransportWord::Back => guest.is_silent = false,
            TransportWord::Silent => {
                guest.is_silent = true;
                self.end_if_vanished(now, key);
            }
            // A page that hangs up says so twice, and this word may be the first to come.
            TransportWord::Failed(TransportFailure::Closed) => self.end_guest_call(now, key),
            TransportWord::Failed(failure) => self.hang_up(now, key, failure.as_str()),
        }
    }
}

/// A report about a transport.
#[derive(Debug, Clone, Copy)]
pub(in super::super) enum TransportWord {
    Up(Suite),
    Silent,
    Back,
    Failed(TransportFailure),
}
