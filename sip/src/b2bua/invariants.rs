//! What always holds between calls, legs, transactions and deadlines, looked at after every turn of a debug
//! build.
//!
//! Owns the look; mends nothing.

use super::core::Core;
use super::leg::{Reoffer, Stage};
use crate::limits;

impl Core {
    /// Panics in debug builds where the tables contradict each other.
    pub(crate) fn check_invariants(&self) {
        if cfg!(debug_assertions) {
            self.transactions.check_invariants();
            self.calls.check_invariants();
            self.legs.check_invariants();
            self.pings.check_invariants();
            self.registrations.check_invariants();
            self.register_requests.check_invariants();
            let waiting = self
                .registrations
                .iter()
                .filter(|(_, one)| one.is_pending());
            let waiting = waiting.count() + crate::table::usize_of(self.register_requests.count());
            self.deadlines.check_invariants();
            let active = self.calls.iter().filter(|(_, call)| !call.ended).count();
            debug_assert_eq!(
                active,
                crate::table::usize_of(self.active_calls),
                "active calls"
            );
            debug_assert_eq!(
                self.tags.len(),
                crate::table::usize_of(self.legs.count()),
                "every leg is found by its tag"
            );
            for (key, leg) in self.legs.iter() {
                let listed = self
                    .calls
                    .get(leg.call)
                    .is_some_and(|call| call.legs.contains(&key));
                debug_assert!(listed, "a leg belongs to a call that knows it");
                debug_assert_eq!(
                    leg.token.is_some(),
                    leg.deadline().is_some(),
                    "armed as it says"
                );
                debug_assert!(!leg.is_finished(), "what is finished is freed");
            }
            for (key, leg) in self.legs.iter() {
                let found = self.tags.get(&leg.dialog.local_tag);
                debug_assert_eq!(found, Some(&key), "a tag names its own leg");
                debug_assert!(
                    leg.unacknowledged.is_none() || leg.is_confirmed(),
                    "only a 2xx waits for an ACK"
                );
                debug_assert!(
                    matches!(leg.reoffer, Reoffer::Idle) || !matches!(leg.stage, Stage::Over),
                    "an offer within a dialog needs one"
                );
                debug_assert_eq!(
                    leg.provisional.is_some(),
                    matches!(leg.stage, Stage::Offered(_)),
                    "what is said before the answer ends with it"
                );
            }
            for (_, call) in self.calls.iter() {
                debug_assert!(!call.legs.is_empty(), "a call has legs until it is gone");
                debug_assert!(
                    call.answered.is_none_or(|leg| call.legs.contains(&leg)),
                    "the callee is one of the legs"
                );
                debug_assert!(
                    call.attempts <= limits::ATTEMPTS_PER_CALL_MAX,
                    "attempts are bounded"
                );
            }
            let claims = self.calls.iter().filter(|(_, call)| call.claim.is_some());
            debug_assert_eq!(
                claims.count() == 0,
                self.shares.is_empty(),
                "who holds something has a call"
            );
            if self.calls.is_empty() && self.pings.is_empty() && waiting == 0 {
                debug_assert!(self.deadlines.is_empty(), "no deadline without an owner");
            }
        }
    }
}
