//! Who is connected (F-05): what each side's peer says of itself, kept with the leg, and written to
//! the other side by the identity profile of the trunk there.
//!
//! Only trunks say and hear it: a link hides whom it leads to from everybody else.

use std::sync::Arc;

use sip::event::{CallKey, LegKey};
use sip::message::HeaderName;

use super::control::CallControl;
use super::event::Now;
use super::one_call::Side;
use crate::trunks::identity;

impl CallControl {
    /// A response says who answers; ours will say it too.
    pub(super) fn note_peer(
        &mut self,
        key: CallKey,
        leg: LegKey,
        headers: &[(HeaderName, Box<[u8]>)],
    ) {
        if let Some(side) = self.calls.get(&key).and_then(|call| call.side(leg)) {
            let _is_news = self.note_connected(key, side, headers);
        }
    }

    /// The peer says, beside an offer or alone, who it is now.
    pub(super) fn handle_connected_changed(
        &mut self,
        now: Now,
        key: CallKey,
        leg: LegKey,
        headers: &[(HeaderName, Box<[u8]>)],
    ) {
        let Some(side) = self.calls.get(&key).and_then(|call| call.side(leg)) else {
            return;
        };
        if self.note_connected(key, side, headers) {
            self.tell_connected(now, key, side);
        }
    }

    /// True where the other side has something new to hear, and its next message will say it.
    pub(super) fn note_connected(
        &mut self,
        key: CallKey,
        side: Side,
        headers: &[(HeaderName, Box<[u8]>)],
    ) -> bool {
        let snapshot = Arc::clone(&self.snapshot);
        let Some(call) = self.calls.get_mut(&key).filter(|call| !call.over) else {
            return false;
        };
        let trunk = call.trunk(side, &snapshot);
        if headers.is_empty() || trunk.is_none() {
            return false;
        }
        let Some(party) = identity::read(trunk, headers, None) else {
            return false;
        };
        let Some(ports) = call.ports_mut(side) else {
            return false;
        };
        if ports.connected.as_ref() == Some(&party) {
            return false;
        }
        ports.connected = Some(party.clone());
        let other = side.other();
        let towards = call.trunk(other, &snapshot);
        let remote = match other {
            Side::A => call.a_address(),
            Side::B => call.attempt.as_ref().map(|attempt| attempt.target),
        };
        let (Some(leg), Some(towards), Some(remote)) = (call.leg_key(other), towards, remote)
        else {
            return false;
        };
        let host = self.own_host(self.path_to(towards, remote).local);
        let role = match side {
            Side::A => "calling",
            Side::B => "called",
        };
        let written = identity::connected(Some(towards), &party, role, &host);
        let told = self.endpoint.set_connected(key, leg, written);
        let is_told = told.is_ok();
        self.check(told);
        is_told
    }

    /// The other side hears it now, where its peer knows UPDATE.
    pub(super) fn tell_connected(&mut self, now: Now, key: CallKey, side: Side) {
        let call = self.calls.get(&key);
        let leg = call
            .filter(|call| call.answered_at.is_some())
            .and_then(|call| call.leg_key(side.other()));
        if let Some(leg) = leg {
            let told = self.endpoint.tell_connected(now.instant, key, leg);
            self.check(told.map(|_by| ()));
        }
    }
}
