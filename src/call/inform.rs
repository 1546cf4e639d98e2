//! INFO across the call (RFC 6086): digits in both forms and picture requests go to the other side as
//! they came. What the endpoint does not know it has answered with 415 before this point.

use sip::event::{CallKey, LegKey};

use super::control::CallControl;
use super::event::Now;

/// The types that are relayed (H-06, I-04).
pub const INFO_TYPES: [&str; 3] = [
    "application/dtmf-relay",
    "application/dtmf",
    "application/media_control+xml",
];

impl CallControl {
    /// A local party has no use for it, and who is not connected yet cannot take it: counted.
    pub(super) fn handle_informed(
        &mut self,
        now: Now,
        key: CallKey,
        leg: LegKey,
        content_type: &str,
        body: &[u8],
    ) {
        let Some(call) = self.calls.get(&key) else {
            return;
        };
        let other = call
            .side(leg)
            .filter(|_| call.answered_at.is_some() && call.local_party.is_none())
            .and_then(|side| call.leg_key(side.other()));
        match other {
            Some(other) => {
                let told = self
                    .endpoint
                    .inform(now.instant, key, other, content_type, body);
                self.check(told);
            }
            None => self.counters.refuse("info_unrelayed"),
        }
    }
}
