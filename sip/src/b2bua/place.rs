//! A call that nobody asked for by SIP: its a-leg is an INVITE of ours, so that a program can join
//! two parties.
//!
//! Owns the call of that kind from `place` to the answer of its a-leg or the end. The INVITE itself
//! is an `attempt` like any other; after its answer the call is as one that was offered.

use std::time::Instant;

use super::attempt;
use super::call::{self, Call};
use super::core::Core;
use super::fork;
use super::leg::{Side, Stage};
use super::overload;
use crate::error::CommandError;
use crate::event::{AttemptFailure, Dial, EndCause, Q850, Refusal, ReleaseParty};
use crate::table::{Full, Key};

/// The `place` command.
pub(crate) fn place(core: &mut Core, now: Instant, dial: Dial) -> Result<(Key, Key), CommandError> {
    if core.config.draining {
        return Err(CommandError::Draining);
    }
    if !overload::has_room_to_place(core) {
        return Err(CommandError::LimitReached);
    }
    let call = core
        .calls
        .insert(Call::new())
        .map_err(|Full| CommandError::LimitReached)?;
    core.active_calls += 1;
    match attempt::begin(core, now, call, Side::A, dial) {
        Ok(a_leg) => {
            if let Some(entry) = core.calls.get_mut(call) {
                debug_assert_eq!(entry.legs, [a_leg], "the a-leg came first");
                entry.a_leg = a_leg;
            }
            core.counters.calls_placed += 1;
            Ok((call, a_leg))
        }
        Err(error) => {
            core.active_calls -= 1;
            core.calls.remove(call);
            Err(error)
        }
    }
}

/// True while our INVITE to the a-leg of this call has no final response.
pub(super) fn is_unanswered(core: &Core, call: &Call) -> bool {
    let stage = core.legs.get(call.a_leg).map(|leg| &leg.stage);
    matches!(stage, Some(Stage::Attempting(_)))
}

/// The attempt at the a-leg of a placed call has failed: there is nobody else in it.
pub(super) fn end_unanswered(
    core: &mut Core,
    now: Instant,
    key: Key,
    leg: Key,
    failure: AttemptFailure,
    reason: Option<Q850>,
) {
    if core.calls.get(key).is_none_or(|call| call.a_leg != leg) {
        return;
    }
    let by = match failure {
        AttemptFailure::Refused(_) => ReleaseParty::Originating,
        AttemptFailure::NoResponse
        | AttemptFailure::NoProgress
        | AttemptFailure::NoAnswer
        | AttemptFailure::TransportFailed
        | AttemptFailure::Abandoned => ReleaseParty::Gateway,
    };
    let status = fork::status_of(failure);
    let cause = EndCause::Refused(status);
    let refusal = Refusal::default();
    call::end(core, now, key, (by, cause, reason), status, &refusal);
}
