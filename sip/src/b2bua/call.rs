//! `Call`: which legs belong together, and the end of all of them.
//!
//! Owns the a-leg, the answered b-leg and the attempts. A call that has ended stays until the last
//! transaction of its legs is gone.

use std::time::Instant;

use super::core::{Core, Owner};
use super::leg::{Leg, Side, Stage};
use super::overload::{self, share::Claim};
use super::{attempt, bye, local, offered, reason, reoffer};
use crate::error::CommandError;
use crate::event::{AttemptFailure, CallKey, EndCause, Event, Q850, Refusal, ReleaseParty};
use crate::message::StatusCode;
use crate::table::Key;

/// One call.
#[derive(Debug)]
pub(crate) struct Call {
    /// The caller's side.
    pub(crate) a_leg: Key,
    /// Every leg that is not gone.
    pub(crate) legs: Vec<Key>,
    /// The b-leg that answered.
    pub(crate) answered: Option<Key>,
    /// How many attempts were made.
    pub(crate) attempts: u32,
    /// How the last attempt failed.
    pub(crate) last_failure: Option<AttemptFailure>,
    /// `Ended` has been said.
    pub(crate) ended: bool,
    /// Who holds it, until its answer is acknowledged.
    pub(crate) claim: Option<Claim>,
    /// It may use the room that is kept for emergencies.
    pub(crate) is_emergency: bool,
}

impl Call {
    /// Without legs, of which it gets one before anybody sees it.
    pub(crate) fn new() -> Self {
        Self {
            a_leg: Key {
                index: u32::MAX,
                generation: u32::MAX,
            },
            legs: Vec::with_capacity(2),
            answered: None,
            attempts: 0,
            last_failure: None,
            ended: false,
            claim: None,
            is_emergency: false,
        }
    }
}

/// What an unanswered caller gets when the call ends by other means than a refusal: nobody is
/// busy, nothing is broken, it may be tried again.
const ENDED_UNANSWERED: StatusCode = StatusCode::TEMPORARILY_UNAVAILABLE;

/// The `hang_up` command.
pub(crate) fn hang_up(
    core: &mut Core,
    now: Instant,
    call: Key,
    refusal: &Refusal,
) -> Result<(), CommandError> {
    core.living_call(call)?;
    let cause = EndCause::Commanded;
    let how = (ReleaseParty::Gateway, cause, None);
    end(core, now, call, how, ENDED_UNANSWERED, refusal);
    Ok(())
}

/// The call ends because one side or a timer ended it.
pub(crate) fn end_by(core: &mut Core, now: Instant, call: Key, by: ReleaseParty, cause: EndCause) {
    end_with_reason(core, now, call, by, cause, None);
}

/// The same, where the side that ended it said why: the other side is told.
pub(crate) fn end_with_reason(
    core: &mut Core,
    now: Instant,
    call: Key,
    by: ReleaseParty,
    cause: EndCause,
    reason: Option<Q850>,
) {
    let refusal = reason::refusal_of(reason);
    let how = (by, cause, reason);
    end(core, now, call, how, ENDED_UNANSWERED, &refusal);
}

/// Ends every leg, and says so once. `status` is for a caller who has no final response yet.
pub(crate) fn end(
    core: &mut Core,
    now: Instant,
    key: Key,
    (by, cause, reason): (ReleaseParty, EndCause, Option<Q850>),
    status: StatusCode,
    refusal: &Refusal,
) {
    let Some(call) = core.calls.get_mut(key) else {
        return;
    };
    if call.ended {
        return;
    }
    debug_assert!(status.is_failure(), "an end is no answer");
    debug_assert!(!call.legs.is_empty(), "a call that lives has legs");
    call.ended = true;
    debug_assert!(core.active_calls > 0, "what ends was counted");
    core.active_calls -= 1;
    let (legs, claim) = (call.legs.clone(), call.claim);
    overload::end(core, claim);
    for leg in &legs {
        release(core, now, *leg, status, refusal);
        debug_assert!(
            core.legs.get(*leg).is_none_or(is_ending),
            "no side goes on by itself"
        );
    }
    core.emit(Event::Ended {
        call: CallKey(key),
        by,
        cause,
        reason,
    });
    for leg in legs {
        finish_leg(core, leg);
    }
}

/// An end that was cut short is gone through again; what has left before does not leave twice.
pub(super) fn end_again(core: &mut Core, now: Instant, key: Key, status: StatusCode) {
    let Some(call) = core.calls.get(key) else {
        return;
    };
    debug_assert!(call.ended, "what lives is ended by `end`");
    for leg in call.legs.clone() {
        if !core.legs.get(leg).is_none_or(is_ending) {
            release(core, now, leg, status, &Refusal::default());
        }
        finish_leg(core, leg);
    }
}

/// True where a leg only waits for its last messages.
fn is_ending(leg: &Leg) -> bool {
    match &leg.stage {
        Stage::Attempting(attempt) => attempt.left.is_some(),
        // BYE follows the ACK of our 2xx.
        Stage::Confirmed => leg
            .unacknowledged
            .as_ref()
            .is_some_and(|wait| wait.bye_after.is_some()),
        Stage::Offered(_) | Stage::Local => false,
        Stage::Leaving | Stage::Over => true,
    }
}

/// Ends one leg by what its state asks for.
fn release(core: &mut Core, now: Instant, key: Key, status: StatusCode, refusal: &Refusal) {
    let Some(leg) = core.legs.get(key) else {
        return;
    };
    match leg.stage {
        Stage::Offered(_) => offered::send_refusal(core, now, key, status, refusal),
        Stage::Attempting(_) => attempt::leave(core, now, key, None, refusal),
        Stage::Confirmed => {
            reoffer::terminate_received(core, now, key);
            bye::send(core, now, key, refusal);
        }
        Stage::Local => local::release(core, key),
        Stage::Leaving | Stage::Over => {}
    }
}

/// Frees a leg that is over and has no transaction left, and with the last one its call.
pub(crate) fn finish_leg(core: &mut Core, key: Key) {
    let Some(leg) = core.legs.get(key) else {
        return;
    };
    if !leg.is_finished() {
        return;
    }
    let call_key = leg.call;
    let has_ended = core.calls.get(call_key).is_none_or(|call| call.ended);
    debug_assert!(
        leg.side == Side::B || has_ended,
        "a call ends with its a-leg"
    );
    if core.touched == Some(key) {
        core.touched_last.get_or_insert(call_key);
    }
    if let Some(mut leg) = core.legs.remove(key) {
        core.deadlines.set(&mut leg.token, Owner::Leg(key), None);
        debug_assert!(leg.token.is_none(), "no deadline outlives its leg");
        let found = core.tags.remove(&leg.dialog.local_tag);
        debug_assert_eq!(found, Some(key), "its tag led to it");
    }
    let Some(call) = core.calls.get_mut(call_key) else {
        return;
    };
    debug_assert!(call.legs.contains(&key), "a call knows its legs");
    call.legs.retain(|leg| *leg != key);
    if call.answered == Some(key) {
        call.answered = None;
    }
    debug_assert!(
        call.ended || !call.legs.is_empty(),
        "a call that lives keeps its a-leg"
    );
    if call.ended && call.legs.is_empty() {
        let claim = core.calls.remove(call_key).and_then(|call| call.claim);
        overload::forget(core, claim);
        core.emit(Event::CallGone {
            call: CallKey(call_key),
        });
    }
}
