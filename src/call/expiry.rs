//! What is due: deadlines of the endpoint, of phones, of calls, and of records that wait for figures.

use std::time::Instant;

use sip::event::{CallKey, Refusal};
use sip::message::StatusCode;

use super::control::CallControl;
use super::event::{Now, Output};

impl CallControl {
    pub(super) fn handle_expired(&mut self, now: Now) {
        self.watch_lateness(now);
        self.endpoint
            .handle_input(now.instant, sip::event::Input::Expired);
        self.bindings.expire(now.instant);
        while let Some((at, key)) = self.deadlines.first().copied()
            && at <= now.instant
        {
            self.deadlines.remove(&(at, key));
            self.touch(Some(key));
            self.handle_due(now, key, at);
        }
        while let Some(record) = self.draining.poll_overdue(now.instant) {
            self.put(Output::Record(record));
        }
    }

    /// One deadline of a call: what it was for is known by the call.
    fn handle_due(&mut self, now: Now, key: CallKey, at: Instant) {
        let Some(call) = self.calls.get(&key) else {
            return;
        };
        if let Some(untold) = call.untold.filter(|untold| untold.at == at) {
            self.handle_untold(now, key, untold);
        }
        if self.is_guest_given_up(now, key, at) {
            return;
        }
        let Some(call) = self.calls.get(&key).filter(|call| call.ends_at == Some(at)) else {
            return;
        };
        if call.ticket.is_some() {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            return self.refuse(now, key, status, "store_silent", &Refusal::default());
        }
        let party = call.local_party.and_then(super::local_party::name);
        let cause = if party.is_some() {
            "local_party_over"
        } else {
            "guard_duration_max"
        };
        self.hang_up(now, key, cause);
    }
}
