//! An attempt towards a trunk: our INVITE from `dial` or `place` to its final response.
//!
//! Owns the three timers of call control, and the attempt that nobody waits for any
//! more (RFC 3261 §9.1, §13.2.2). Its early dialogs are in `early`.

use std::sync::Arc;
use std::time::Instant;

use super::compose;
use super::core::{Core, User};
use super::early::{self, connected_of, sdp_of};
use super::leg::{Attempt, Leg, Side, Stage};
use super::session_timer::Session;
use super::{
    acknowledge, bye, call, cancel, challenge, overload, place, reason, reoffer, session_timer,
};
use crate::dialog::{Dialog, RouteSet};
use crate::error::CommandError;
use crate::event::{Answered, AttemptFailure, CallKey, Dial, Event, LegKey, Q850, Refusal};
use crate::limits::ATTEMPTS_PER_CALL_MAX;
use crate::message::{HeaderName, Message, Method, SendBuffer, StatusCode};
use crate::table::{Full, Key};
use crate::transaction::layer::{ClientIdentity, ClientKind};

/// The `dial` command.
pub(crate) fn dial(
    core: &mut Core,
    now: Instant,
    call: Key,
    dial: Dial,
) -> Result<Key, CommandError> {
    let entry = core.living_call(call)?;
    if entry.answered.is_some() || place::is_unanswered(core, entry) {
        return Err(CommandError::WrongState);
    }
    if entry.attempts >= ATTEMPTS_PER_CALL_MAX {
        return Err(CommandError::LimitReached);
    }
    let key = begin(core, now, call, Side::B, dial)?;
    if let Some(entry) = core.calls.get_mut(call) {
        entry.attempts += 1;
        debug_assert!(entry.attempts <= ATTEMPTS_PER_CALL_MAX, "the bound holds");
        debug_assert!(
            entry.legs.first() == Some(&entry.a_leg),
            "the a-leg came first"
        );
    }
    core.counters.attempts += 1;
    Ok(key)
}

/// A leg of this call, and its INVITE; nothing is left where there is no room for one of them.
pub(super) fn begin(
    core: &mut Core,
    now: Instant,
    call: Key,
    side: Side,
    dial: Dial,
) -> Result<Key, CommandError> {
    if !overload::has_room_to_dial(core, call) {
        return Err(CommandError::LimitReached);
    }
    debug_assert!(!dial.timers.ring.is_zero(), "a phone may ring");
    debug_assert!(
        dial.flow.local.is_ipv4() == dial.flow.remote.is_ipv4(),
        "a socket reaches its own family"
    );
    let dialog = dialog_of(core, &dial);
    let tag = dialog.local_tag;
    let contact = compose::contact(Some(&dial.contact_user), dial.flow);
    let timers = dial.timers;
    let (credentials, has_offered) = (dial.credentials.clone(), dial.offer.is_some());
    let session_timer = dial.session_timer;
    let offer = dial.offer.clone().filter(|_| session_timer.is_some());
    let stage = Stage::Attempting(Box::new(Attempt {
        dial,
        transaction: call,
        response_at: Some(now + timers.response),
        progress_at: Some(now + timers.progress),
        ring_at: Some(now + timers.ring),
        is_heard: false,
        left: None,
        give_up_at: None,
        is_authorized: false,
        early: Vec::new(),
    }));
    let mut leg = Leg::new(call, side, stage, dialog, contact);
    leg.session = Session::new(session_timer);
    if let Some(offer) = offer {
        session_timer::note_description(&mut leg, &offer);
    }
    leg.credentials = credentials;
    leg.has_offered = has_offered;
    let key = core
        .legs
        .insert(leg)
        .map_err(|Full| CommandError::LimitReached)?;
    if side == Side::A {
        // Nobody else knows of this call before the command is done.
        (core.touched, core.in_turn) = (Some(key), true);
    }
    let previous = core.tags.insert(tag, key);
    debug_assert!(previous.is_none(), "a tag is used once");
    if let Some(entry) = core.calls.get_mut(call) {
        entry.legs.push(key);
    }
    if send_invite(core, now, key, None).is_none() {
        core.change(key, Leg::set_over);
        call::finish_leg(core, key);
        return Err(CommandError::LimitReached);
    }
    Ok(key)
}

/// The dialog before the peer has a part in it.
fn dialog_of(core: &mut Core, dial: &Dial) -> Dialog {
    let (tag, call_id) = (core.identifiers.tag(), core.identifiers.call_id());
    let mut buffer = SendBuffer::new();
    dial.from.clone().with_tag(&tag).write(&mut buffer);
    let local = buffer.as_bytes().into();
    buffer.clear();
    dial.to.clone().with_tag("").write(&mut buffer);
    Dialog {
        call_id: call_id.as_bytes().into(),
        local_tag: tag,
        remote_tag: Arc::default(),
        local,
        remote: buffer.as_bytes().into(),
        local_cseq: core.identifiers.first_cseq(),
        remote_cseq: None,
        remote_target: dial.request_uri.clone(),
        route_set: RouteSet::default(),
        flow: dial.flow,
        is_flow_open: true,
    }
}

fn send_invite(
    core: &mut Core,
    now: Instant,
    key: Key,
    authorization: Option<(HeaderName, Box<[u8]>)>,
) -> Option<()> {
    let branch = core.identifiers.branch();
    let leg = core.legs.get_mut(key)?;
    debug_assert!(leg.we_invited, "who was called does not call");
    leg.authorization = authorization;
    let cseq = leg.dialog.next_local_cseq();
    let invite = compose::first_invite(core, key, cseq, &branch)?;
    let user = User::Invite(key);
    let identity = ClientIdentity { branch, cseq };
    let transaction = core
        .start_client(now, ClientKind::Invite, identity, invite, user)
        .ok()?;
    // What the last INVITE made rings no more.
    reoffer::close(core, now, key);
    core.change(key, |leg| {
        if let Some(attempt) = leg.attempt_mut() {
            attempt.transaction = transaction;
            attempt.is_heard = false;
            attempt.early.clear();
        }
    })
}

/// A response to the INVITE of this leg.
pub(super) fn handle_response(
    core: &mut Core,
    now: Instant,
    key: Key,
    transaction: Key,
    response: &Message<'_>,
    status: StatusCode,
) {
    if status.is_success() {
        return handle_success(core, now, key, response, status);
    }
    let is_current = core.legs.get_mut(key).and_then(Leg::attempt_mut);
    let Some(attempt) = is_current.filter(|attempt| attempt.transaction == transaction) else {
        return;
    };
    if status.is_provisional() {
        return handle_provisional(core, now, key, response, status);
    }
    if attempt.left.is_none() && !attempt.is_authorized {
        attempt.is_authorized = true;
        let method = Method::Invite;
        let header = challenge::authorization(core, key, &method, response, status);
        if header.is_some() && send_invite(core, now, key, header).is_some() {
            return;
        }
    }
    let is_waited_for = is_waited_for(core, key);
    if is_waited_for && session_timer::lengthen(core, key, response, status) {
        // The same INVITE with the next CSeq; a proxy may challenge it anew.
        if let Some(attempt) = core.legs.get_mut(key).and_then(Leg::attempt_mut) {
            attempt.is_authorized = false;
        }
        if send_invite(core, now, key, None).is_some() {
            return;
        }
    }
    reoffer::close(core, now, key);
    let reason = reason::of(response);
    let failure = AttemptFailure::Refused(status);
    fail(core, now, key, transaction, failure, reason);
}

fn handle_provisional(
    core: &mut Core,
    now: Instant,
    key: Key,
    response: &Message<'_>,
    status: StatusCode,
) {
    let Some(leg) = core.legs.get_mut(key) else {
        return;
    };
    let call = leg.call;
    let Some(attempt) = leg.attempt_mut() else {
        return;
    };
    debug_assert!(status.is_provisional(), "finals go elsewhere");
    attempt.is_heard = true;
    attempt.response_at = None;
    // An INVITE without an offer is answered with one in the 2xx: what comes before is a preview.
    let answer = sdp_of(response).filter(|_| attempt.dial.offer.is_some());
    if attempt.left.is_some() {
        // Whoever answers all the same waits for the PRACK of its answer (RFC 3262 §3).
        if answer.is_some() {
            early::take_early(core, now, key, response, answer.as_deref());
        }
        return send_cancel(core, now, key);
    }
    if status == StatusCode::TRYING {
        return core.arm(key);
    }
    attempt.progress_at = None;
    core.arm(key);
    let Some(answered_reliably) = early::take_early(core, now, key, response, answer.as_deref())
    else {
        return;
    };
    core.emit(Event::Progress {
        call: CallKey(call),
        leg: LegKey(key),
        status,
        answer,
        answered_reliably,
        connected: connected_of(response),
    });
}

/// The first 2xx wins, the same one again gets the same ACK, another fork's is ended
/// (RFC 3261 §13.2.2.4).
fn handle_success(
    core: &mut Core,
    now: Instant,
    key: Key,
    response: &Message<'_>,
    status: StatusCode,
) {
    let tag = response.to().and_then(|to| to.tag()).unwrap_or_default();
    let Some(cseq) = response.cseq().map(|cseq| cseq.number) else {
        return;
    };
    if acknowledge::repeat(core, key, tag, cseq) {
        return;
    }
    let Some(leg) = core.legs.get_mut(key) else {
        return;
    };
    let call = leg.call;
    if leg.unanswered.is_some() && leg.dialog.is_remote_tag(tag) {
        // The same 2xx again; its ACK waits for our answer.
        return;
    }
    let Some(attempt) = leg.attempt_mut() else {
        return early::end_fork(core, now, key, response, cseq);
    };
    if tag.is_empty() {
        let transaction = attempt.transaction;
        return end_tagless(core, now, key, transaction, (response, cseq));
    }
    let Some(chosen) = early::choose(core, now, key, response, cseq) else {
        return;
    };
    let early::Chosen {
        dialog,
        is_left,
        answer,
        offer,
    } = chosen;
    debug_assert!(dialog.local_cseq >= cseq, "the peer answers what we sent");
    session_timer::accepted(core, now, key, response);
    if offer.is_none() {
        acknowledge::send(core, key, &dialog, cseq, true, None);
    }
    let winner = core
        .living_call(call)
        .is_ok_and(|entry| entry.answered.is_none() || entry.a_leg == key);
    if is_left.is_some() || !winner {
        core.emit(Event::LateAnswer {
            call: CallKey(call),
            leg: LegKey(key),
        });
        return bye::send(core, now, key, &is_left.unwrap_or_default());
    }
    if let Some(entry) = core.calls.get_mut(call).filter(|entry| entry.a_leg != key) {
        debug_assert!(entry.answered.is_none(), "one callee a call");
        entry.answered = Some(key);
    }
    core.emit(Event::Answered {
        call: CallKey(call),
        leg: LegKey(key),
        answered: Box::new(Answered {
            answer: answer.map(|answer| *answer),
            offer: offer.map(|offer| *offer),
            status,
            connected: connected_of(response),
        }),
    });
    leave_others(core, now, call, key);
}

/// A 2xx without a To tag would make a dialog in which whatever we ask stands outside of it. It is
/// acknowledged and ended; the attempt has failed.
fn end_tagless(
    core: &mut Core,
    now: Instant,
    key: Key,
    transaction: Key,
    (response, cseq): (&Message<'_>, u32),
) {
    reoffer::close(core, now, key);
    let failure = AttemptFailure::Refused(StatusCode::BAD_GATEWAY);
    fail(core, now, key, transaction, failure, None);
    early::end_fork(core, now, key, response, cseq);
}

/// The call has its callee: every other attempt is left.
fn leave_others(core: &mut Core, now: Instant, call: Key, winner: Key) {
    let Some(entry) = core.calls.get(call) else {
        return;
    };
    for key in entry.legs.clone() {
        if key != winner && is_waited_for(core, key) {
            leave(
                core,
                now,
                key,
                Some(AttemptFailure::Abandoned),
                &Refusal::default(),
            );
        }
    }
}

fn is_waited_for(core: &Core, key: Key) -> bool {
    match core.legs.get(key).map(|leg| &leg.stage) {
        Some(Stage::Attempting(attempt)) => attempt.left.is_none(),
        Some(
            Stage::Offered(_) | Stage::Local | Stage::Confirmed | Stage::Leaving | Stage::Over,
        )
        | None => false,
    }
}

/// The INVITE of this leg came to its end without an answer.
pub(super) fn fail(
    core: &mut Core,
    now: Instant,
    key: Key,
    transaction: Key,
    failure: AttemptFailure,
    reason: Option<Q850>,
) {
    let Some(leg) = core.legs.get_mut(key) else {
        return;
    };
    let call = leg.call;
    let Some(attempt) = leg
        .attempt_mut()
        .filter(|attempt| attempt.transaction == transaction)
    else {
        return;
    };
    let is_left = attempt.left.is_some();
    core.change(key, Leg::set_over);
    if !is_left {
        report_failure(core, now, call, key, failure, reason);
    }
}

/// Says so, and ends a placed call, which has nobody else.
fn report_failure(
    core: &mut Core,
    now: Instant,
    call: Key,
    key: Key,
    failure: AttemptFailure,
    reason: Option<Q850>,
) {
    if let Some(entry) = core.calls.get_mut(call) {
        entry.last_failure = Some(failure);
    }
    core.emit(Event::AttemptFailed {
        call: CallKey(call),
        leg: LegKey(key),
        failure,
        reason,
    });
    place::end_unanswered(core, now, call, key, failure, reason);
}

/// Nobody waits for this attempt any more. CANCEL leaves now, or with the first provisional
/// response (RFC 3261 §9.1).
pub(super) fn leave(
    core: &mut Core,
    now: Instant,
    key: Key,
    failure: Option<AttemptFailure>,
    refusal: &Refusal,
) {
    let Some(leg) = core.legs.get_mut(key) else {
        return;
    };
    let call = leg.call;
    let Some(attempt) = leg.attempt_mut() else {
        return;
    };
    if attempt.left.is_some() {
        return;
    }
    debug_assert!(attempt.give_up_at.is_none(), "CANCEL follows the leaving");
    attempt.left = Some(refusal.clone());
    attempt.stop_timers();
    debug_assert!(
        attempt.progress_at.is_none(),
        "nobody waits for it any more"
    );
    let is_heard = attempt.is_heard;
    reoffer::close(core, now, key);
    if is_heard {
        send_cancel(core, now, key);
    }
    core.arm(key);
    if let Some(failure) = failure {
        report_failure(core, now, call, key, failure, None);
    }
}

/// The connection of this INVITE broke before anything was heard. Nobody waits for it, and whoever
/// answers nevertheless is acknowledged and ended.
pub(super) fn break_off(core: &mut Core, now: Instant, key: Key, transaction: Key) {
    let is_current = core
        .legs
        .get_mut(key)
        .and_then(Leg::attempt_mut)
        .is_some_and(|attempt| attempt.transaction == transaction);
    if is_current {
        let failure = AttemptFailure::TransportFailed;
        leave(core, now, key, Some(failure), &Refusal::default());
    }
}

/// What was left is cancelled, where the turn that left it was cut short before its CANCEL.
pub(super) fn leave_again(core: &mut Core, now: Instant, key: Key, is_cancelled: bool) {
    let cut_at = now + core.config.timers.transaction_timeout();
    let Some(attempt) = core.legs.get_mut(key).and_then(Leg::attempt_mut) else {
        return;
    };
    // The CANCEL of a turn before may have been answered already.
    let is_older = attempt.give_up_at.is_some_and(|at| at != cut_at);
    if attempt.left.is_none() || !attempt.is_heard || is_cancelled || is_older {
        return;
    }
    attempt.give_up_at = None;
    attempt.stop_timers();
    send_cancel(core, now, key);
}

/// Once; after 64·T1 without a final response the attempt is given up (RFC 3261 §9.1).
fn send_cancel(core: &mut Core, now: Instant, key: Key) {
    let give_up_at = now + core.config.timers.transaction_timeout();
    let Some(attempt) = core.legs.get_mut(key).and_then(Leg::attempt_mut) else {
        return;
    };
    debug_assert!(attempt.left.is_some(), "only what is left is cancelled");
    debug_assert!(attempt.is_heard, "RFC 3261 §9.1: not before a response");
    if attempt.give_up_at.is_none() {
        attempt.give_up_at = Some(give_up_at);
        let (transaction, refusal) = (attempt.transaction, attempt.left.clone());
        cancel::send(core, now, key, transaction, refusal.as_ref());
    }
    core.arm(key);
}

/// The `abandon` command.
pub(crate) fn abandon(
    core: &mut Core,
    now: Instant,
    call: Key,
    key: Key,
) -> Result<(), CommandError> {
    let leg = core.living_leg(call, key)?;
    let refusal = Refusal::default();
    let failure = AttemptFailure::Abandoned;
    match (&leg.stage, leg.side) {
        (Stage::Attempting(attempt), Side::B) if attempt.left.is_none() => {
            leave(core, now, key, Some(failure), &refusal);
            Ok(())
        }
        (Stage::Confirmed, Side::B) => {
            if let Some(entry) = core.calls.get_mut(call) {
                entry.answered = None;
            }
            reoffer::terminate_received(core, now, key);
            bye::send(core, now, key, &refusal);
            report_failure(core, now, call, key, failure, None);
            Ok(())
        }
        _ => Err(CommandError::NoSuchLeg),
    }
}

/// A timer of the attempt is due.
pub(super) fn handle_deadline(core: &mut Core, now: Instant, key: Key) {
    let Some(attempt) = core.legs.get_mut(key).and_then(Leg::attempt_mut) else {
        return;
    };
    let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
    if is_due(attempt.give_up_at) {
        let transaction = attempt.transaction;
        core.change(key, Leg::set_over);
        if let Some(user) = core.transactions.remove(transaction) {
            core.release_transaction(user);
        }
        return call::finish_leg(core, key);
    }
    let failure = if is_due(attempt.response_at) {
        AttemptFailure::NoResponse
    } else if is_due(attempt.progress_at) {
        AttemptFailure::NoProgress
    } else if is_due(attempt.ring_at) {
        AttemptFailure::NoAnswer
    } else {
        return;
    };
    leave(core, now, key, Some(failure), &Refusal::default());
}
