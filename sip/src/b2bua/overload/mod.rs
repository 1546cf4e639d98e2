//! Overload: whom we take when there is no room for all (RFC 3261 §21.5.4, RFC 5390).
//!
//! Owns what is an emergency, what room there is for a new call, and how long the others shall wait.
//! A refusal keeps no state: one datagram and no timer (RFC 3261 §8.2.7). Requests within dialogs are
//! never refused for it, because a BYE makes room.
//!
//! The room of the tables has three parts. Trunks have all of it but the last. Callers that are no trunk
//! share it: each address, and each group of them, may hold by calls that nobody has answered so many
//! times what is still free ([`SHARE_OF_FREE`], [`GROUP_SHARE_OF_FREE`]). So whoever floods leaves room for
//! the next one, and whoever is alone has most of it. A caller that has acknowledged an answer before is not held against
//! its group: addresses that are made up cannot do that. The last part is for emergency calls.

use std::time::Duration;

use super::core::{Core, User};
use super::uas::Request;
use crate::error::ProtocolError;
use crate::event::CallerAddress;
use crate::limits::{
    EMERGENCY_CALLS_MAX, EMERGENCY_LEGS_MAX, EMERGENCY_TRANSACTIONS_MAX, EMERGENCY_UNSETTLED_MAX,
    GROUP_SHARE_OF_FREE, LEGS_PER_CALL_MAX, SHARE_OF_FREE, UNSETTLED_TRANSACTIONS,
};
use crate::table::Key;
use share::{Claim, Held, is_within};

pub(crate) mod share;

/// What a table that is full says.
pub(super) const FULL_WAIT: Duration = Duration::from_secs(2);

/// What a caller hears that has had its share of this second.
pub(super) const FAST_WAIT: Duration = Duration::from_secs(1);

/// The longest Retry-After: what is longer would keep calls away after the overload.
const WAIT_S_MAX: u64 = 60;

/// The URN of an emergency call (RFC 5031), with or without its sub-services.
const EMERGENCY_URN: &str = "urn:service:sos";

/// An INVITE to `urn:service:sos`, or to a number that is configured as one.
pub(super) fn is_emergency(core: &Core, request: &Request<'_>) -> bool {
    let Some(uri) = request.message.request_uri() else {
        return false;
    };
    let text = uri.as_str();
    let urn = text.get(..EMERGENCY_URN.len());
    let rest = text.get(EMERGENCY_URN.len()..).unwrap_or_default();
    let is_urn = urn.is_some_and(|urn| urn.eq_ignore_ascii_case(EMERGENCY_URN))
        && (rest.is_empty() || rest.starts_with('.'));
    let user = uri.user_raw().unwrap_or_default();
    let is_number = (core.config.emergency_numbers.iter()).any(|number| **number == *user);
    is_urn || (!user.is_empty() && is_number)
}

/// Whole seconds from `wait` to two and a half times as much, by a number that is the request's own.
pub(super) fn retry_after_s(wait: Duration, hash: u64) -> u64 {
    let least = wait.as_secs().clamp(1, WAIT_S_MAX);
    let wait_s = least + hash % (least * 3 / 2 + 1);
    debug_assert!(
        wait_s >= least && wait_s <= WAIT_S_MAX * 5 / 2,
        "a wait has its bounds"
    );
    wait_s
}

/// What a new call needs.
#[derive(Debug, Clone, Copy)]
struct Room {
    calls: u32,
    entries: u32,
    legs: u32,
    transactions: u32,
}

impl Room {
    /// What is free, for emergencies or for the others.
    fn free(core: &Core, is_emergency: bool) -> Self {
        let kept = u32::from(!is_emergency);
        let reserved = u32::from(is_emergency) * EMERGENCY_CALLS_MAX;
        let left = |capacity: u32, used: u32, kept: u32| capacity.saturating_sub(used + kept);
        Self {
            calls: left(core.config.calls_max + reserved, core.active_calls, 0),
            entries: left(
                core.calls.capacity(),
                core.calls.count(),
                kept * EMERGENCY_CALLS_MAX,
            ),
            legs: left(
                core.legs.capacity(),
                core.legs.count(),
                kept * EMERGENCY_LEGS_MAX,
            ),
            transactions: left(
                core.transactions.capacity(),
                core.transactions.count(),
                kept * EMERGENCY_TRANSACTIONS_MAX,
            ),
        }
    }

    /// Why there is none at all.
    const fn objection(self) -> Option<ProtocolError> {
        if self.calls == 0 || self.entries == 0 || self.legs == 0 {
            Some(ProtocolError::CallsFull)
        } else if self.transactions == 0 {
            Some(ProtocolError::TransactionsFull)
        } else {
            None
        }
    }

    /// Who holds so much may have one more.
    const fn is_shared_with(self, held: Held, share: u32) -> bool {
        is_within(held.active, self.calls, share)
            && is_within(held.kept, self.entries, share)
            && is_within(held.kept * LEGS_PER_CALL_MAX, self.legs, share)
            && is_within(held.kept * UNSETTLED_TRANSACTIONS, self.transactions, share)
    }
}

/// A new call that may be taken: in whose name, and by which right.
#[derive(Debug, Clone, Copy)]
pub(super) struct Admission {
    claim: Option<Claim>,
    is_emergency: bool,
}

/// Whether there is room for this INVITE.
pub(super) fn admit(core: &Core, request: &Request<'_>) -> Result<Admission, ProtocolError> {
    let is_emergency = is_emergency(core, request);
    let claim = core.origin.group.map(|group| Claim {
        caller: CallerAddress::of(request.flow.remote),
        group,
        is_emergency,
    });
    let admission = Admission {
        claim,
        is_emergency,
    };
    match objection(core, claim) {
        None => Ok(admission),
        Some(_) if is_emergency && is_in_distress(core, request) => {
            match Room::free(core, true).objection() {
                None => Ok(admission),
                Some(objection) => Err(objection),
            }
        }
        Some(objection) => Err(objection),
    }
}

/// What speaks against one more call that is as every other.
fn objection(core: &Core, claim: Option<Claim>) -> Option<ProtocolError> {
    let free = Room::free(core, false);
    if let Some(full) = free.objection() {
        return Some(full);
    }
    let Claim { caller, group, .. } = claim?;
    let shares = &core.shares;
    if !free.is_shared_with(shares.held_by(caller), SHARE_OF_FREE) {
        Some(ProtocolError::CallerShare)
    } else if !shares.has_proven(caller)
        && !free.is_shared_with(shares.held_in(group), GROUP_SHARE_OF_FREE)
    {
        Some(ProtocolError::GroupShare)
    } else {
        None
    }
}

/// An emergency call that goes before all others: neither rate nor load is held against it.
pub(super) fn is_urgent(core: &Core, request: &Request<'_>) -> bool {
    is_emergency(core, request) && is_in_distress(core, request)
}

/// What is for emergencies is not for a flood of them: a caller that is no trunk has so many at once
/// before the others, and the next ones as everybody. Those that were refused count as long as they
/// are kept.
fn is_in_distress(core: &Core, request: &Request<'_>) -> bool {
    let held = core.shares.held_by(CallerAddress::of(request.flow.remote));
    core.origin.group.is_none() || held.emergencies < EMERGENCY_UNSETTLED_MAX
}

/// The call was made.
pub(super) fn begin(core: &mut Core, key: Key, admission: Admission) {
    let Some(call) = core.calls.get_mut(key) else {
        return;
    };
    debug_assert!(call.claim.is_none(), "a call begins once");
    call.claim = admission.claim;
    call.is_emergency = admission.is_emergency;
    if let Some(claim) = admission.claim {
        core.shares.begin(claim);
    }
}

/// Its answer was acknowledged.
pub(super) fn settle(core: &mut Core, key: Key) {
    let call = core.calls.get_mut(key).filter(|call| !call.ended);
    if let Some(claim) = call.and_then(|call| call.claim.take()) {
        core.shares.settle(claim);
    }
}

/// It has ended.
pub(super) fn end(core: &mut Core, claim: Option<Claim>) {
    if let Some(claim) = claim {
        core.shares.end(claim);
    }
}

/// Its entry is gone.
pub(super) fn forget(core: &mut Core, claim: Option<Claim>) {
    if let Some(claim) = claim {
        core.shares.forget(claim);
    }
}

/// There is room for a leg of this call and its INVITE.
pub(super) fn has_room_to_dial(core: &Core, call: Key) -> bool {
    let is_emergency = core.calls.get(call).is_some_and(|call| call.is_emergency);
    let free = Room::free(core, is_emergency);
    free.legs > 0 && free.transactions > 0
}

/// There is room for a call without a caller.
pub(super) fn has_room_to_place(core: &Core) -> bool {
    Room::free(core, false).objection().is_none()
}

/// There is room for a transaction of this user: the last ones are for emergency calls.
pub(super) fn has_room_for(core: &Core, user: User) -> bool {
    let call = user.leg().and_then(|leg| core.legs.get(leg));
    let call = call.and_then(|leg| core.calls.get(leg.call));
    Room::free(core, call.is_some_and(|call| call.is_emergency)).transactions > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_stays_within_its_bounds_and_differs_between_requests() {
        for (wait, least, most) in [(0, 1, 2), (2, 2, 5), (10, 10, 25), (1_000_000, 60, 150)] {
            let waits = (0..1_000).map(|hash| retry_after_s(Duration::from_secs(wait), hash));
            let waits: Vec<u64> = waits.collect();
            assert_eq!(
                (waits.iter().min(), waits.iter().max()),
                (Some(&least), Some(&most))
            );
        }
        assert_eq!(
            retry_after_s(FULL_WAIT, u64::MAX),
            retry_after_s(FULL_WAIT, u64::MAX)
        );
    }
}
