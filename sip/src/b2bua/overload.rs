//! Overload: whom we take when there is no room for all (RFC 3261 §21.5.4, RFC 5390).
//!
//! Owns what is an emergency and how long the others shall wait. A refusal keeps no state: one
//! datagram and no timer (RFC 3261 §8.2.7). Requests within dialogs are never refused for it, because
//! a BYE makes room.

use std::time::Duration;

use super::core::Core;
use super::uas::Request;

/// What a table that is full says.
pub(super) const FULL_WAIT: Duration = Duration::from_secs(2);

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
