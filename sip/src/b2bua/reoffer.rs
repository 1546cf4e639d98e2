//! The peer's offers within a dialog: re-INVITE (RFC 3261 §14.2), and what waits of UPDATE and PRACK.
//!
//! Owns who may offer now; what an UPDATE may is decided in `update`, and our own offers are in
//! `modify`. What an offer means is call control's affair: an offer of one leg is given to it, and it
//! offers to the other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::acknowledge::{self, Answer};
use super::compose::ResponseParts;
use super::core::{Core, User};
use super::early::{connected_of, sdp_of};
use super::leg::{Leg, OfferedBy, PendingInvite, Reoffer};
use super::uas::{self, Request};
use super::{identity, modify, offered, prack, session_timer, update};
use crate::error::{CommandError, ProtocolError};
use crate::event::{CallKey, Event, LegKey};
use crate::message::{self, HeaderName, Message, StatusCode};
use crate::sdp::SessionDescription;
use crate::table::Key;

/// An INVITE within the dialog of this leg (§14.2).
pub(super) fn handle_invite(core: &mut Core, now: Instant, request: &Request<'_>, key: Key) {
    if let Some(status) = objection(core, key) {
        return refuse_pending(core, request, status);
    }
    let Some(offer) = offered::take_offer(core, request) else {
        return;
    };
    let Some(pending) = keep(core, request, key, (offer.is_some(), OfferedBy::Invite)) else {
        return;
    };
    let parts = ResponseParts::default();
    offered::send_response(core, now, &pending, StatusCode::TRYING, &parts);
    hand_up(core, request, key, pending, offer);
}

/// An offer by UPDATE or PRACK, which nothing speaks against. It cannot wait as long as a re-INVITE:
/// after timer F the peer believes that the dialog is lost (RFC 3311 §5.2).
pub(super) fn receive(
    core: &mut Core,
    now: Instant,
    request: &Request<'_>,
    key: Key,
    (offer, by): (Box<SessionDescription>, OfferedBy),
) {
    debug_assert!(by != OfferedBy::Invite, "an INVITE is told 100");
    let Some(mut pending) = keep(core, request, key, (true, by)) else {
        return;
    };
    let timers = core.config.timers;
    let wait = timers.transaction_timeout().saturating_sub(timers.t2 * 2);
    pending.answer_until = Some(now + wait);
    hand_up(core, request, key, pending, Some(offer));
}

/// Makes the server transaction of an offer within a dialog.
fn keep(
    core: &mut Core,
    request: &Request<'_>,
    key: Key,
    (has_offer, by): (bool, OfferedBy),
) -> Option<PendingInvite> {
    let user = User::Leg(key);
    debug_assert!(
        core.legs
            .get(key)
            .is_some_and(|leg| !matches!(leg.reoffer, Reoffer::Received(_))),
        "one offer of the peer's at a time"
    );
    let started = core.start_server(request, false, user);
    let Ok(transaction) = started else {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        uas::refuse(core, request, status, ProtocolError::TransactionsFull);
        return None;
    };
    core.hold(user);
    Some(PendingInvite {
        transaction,
        request: request.to_packet(),
        flow: request.flow,
        cseq: request.identity.cseq,
        has_offer,
        by,
        answer_until: None,
        remote_tag: request.identity.from_tag.into(),
    })
}

fn hand_up(
    core: &mut Core,
    request: &Request<'_>,
    key: Key,
    pending: PendingInvite,
    offer: Option<Box<SessionDescription>>,
) {
    debug_assert!(
        pending.has_offer == offer.is_some(),
        "what is kept is what is handed up"
    );
    debug_assert!(
        pending.has_offer || pending.by == OfferedBy::Invite,
        "only an INVITE may ask for an offer of ours"
    );
    debug_assert!(
        (pending.by == OfferedBy::Invite) == pending.answer_until.is_none(),
        "what cannot be told 100 has a time to be answered within"
    );
    if pending.by != OfferedBy::Prack {
        note_target(core, request.message, key, request.identity.from_tag);
    }
    let changed = core.change(key, |leg| {
        let before = std::mem::replace(&mut leg.reoffer, Reoffer::Received(pending));
        let gave_way = matches!(before, Reoffer::Retrying { is_refresh, .. } if !is_refresh);
        (leg.call, gave_way)
    });
    let Some((call, gave_way)) = changed else {
        return;
    };
    let (call, leg) = (CallKey(call), LegKey(key));
    if gave_way {
        core.emit(Event::ReofferRefused {
            call,
            leg,
            status: StatusCode::REQUEST_PENDING,
        });
    }
    let connected = connected_of(request.message);
    core.emit(Event::Reoffered {
        call,
        leg,
        offer,
        connected,
    });
}

/// A target refresh request, or its 2xx: the peer's new Contact (§12.2), and what it allows now.
pub(super) fn note_target(core: &mut Core, message: &Message<'_>, key: Key, remote_tag: &[u8]) {
    let Some(leg) = core.legs.get_mut(key) else {
        return;
    };
    if let Some(dialog) = leg.dialog_mut(remote_tag) {
        dialog.refresh_target(message);
    }
    if let Some(allows) = update::allowed(message) {
        match leg.attempt_mut() {
            Some(attempt) => {
                if let Some(early) = attempt.early_mut(remote_tag) {
                    early.allows_update = allows;
                }
            }
            None => leg.allows_update = allows,
        }
    }
}

/// Why the peer may not offer now: 491 where one of us has offered already, 500 where its own
/// INVITE is not answered yet (§14.2). What waits on the other leg counts too, because the answer
/// would need it.
pub(super) fn objection(core: &Core, key: Key) -> Option<StatusCode> {
    let leg = core.legs.get(key)?;
    if !leg.is_confirmed() {
        return Some(StatusCode::SERVER_INTERNAL_ERROR);
    }
    match leg.reoffer {
        Reoffer::Received(_) => return Some(StatusCode::SERVER_INTERNAL_ERROR),
        Reoffer::Sent(_) => return Some(StatusCode::REQUEST_PENDING),
        Reoffer::Idle | Reoffer::Retrying { .. } => {}
    }
    let opposite = core.opposite(key).and_then(|key| core.legs.get(key));
    let is_busy = leg.unacknowledged.is_some()
        || leg.unanswered.is_some()
        || opposite.is_some_and(|leg| {
            !leg.is_listening()
                || leg.unacknowledged.is_some()
                // An offer of ours that is under way there holds this one back in call control.
                || matches!(leg.reoffer, Reoffer::Received(_))
        });
    is_busy.then_some(StatusCode::REQUEST_PENDING)
}

pub(super) fn refuse_pending(core: &mut Core, request: &Request<'_>, status: StatusCode) {
    debug_assert!(
        status == StatusCode::REQUEST_PENDING || status == StatusCode::SERVER_INTERNAL_ERROR,
        "§14.2 names two"
    );
    let error = ProtocolError::ExchangePending;
    if status == StatusCode::REQUEST_PENDING {
        return uas::refuse(core, request, status, error);
    }
    let wait = core
        .identifiers
        .back_off(Duration::ZERO, Duration::from_secs(10))
        .as_secs();
    let headers = [(HeaderName::RetryAfter, &*wait.to_string().into_bytes())];
    uas::refuse_with(core, request, status, &headers, error);
}

fn received(core: &Core, call: Key, key: Key) -> Result<PendingInvite, CommandError> {
    match &core.living_leg(call, key)?.reoffer {
        Reoffer::Received(pending) => Ok(pending.clone()),
        Reoffer::Idle | Reoffer::Sent(_) | Reoffer::Retrying { .. } => {
            Err(CommandError::NothingToAnswer)
        }
    }
}

/// The `answer_reoffer` command.
pub(crate) fn answer(
    core: &mut Core,
    now: Instant,
    call: Key,
    key: Key,
    body: &SessionDescription,
) -> Result<(), CommandError> {
    let pending = received(core, call, key)?;
    if pending.by == OfferedBy::Invite {
        let answer = Answer {
            pending,
            body: Some(body),
            is_first: false,
        };
        return acknowledge::answer(core, now, key, &answer).ok_or(CommandError::WrongState);
    }
    let leg = core.legs.get(key).ok_or(CommandError::NoSuchLeg)?;
    let (contact, is_confirmed) = (leg.contact.clone(), leg.is_confirmed());
    let identity = leg.identity.clone();
    let request = Arc::clone(&pending.request);
    let update = message::parse(&request)
        .ok()
        .filter(|_| is_confirmed && pending.by == OfferedBy::Update);
    let session = update.and_then(|update| session_timer::accept(core, now, key, &update));
    let parts = ResponseParts {
        session,
        headers: &identity::shown(&identity),
        contact: Some(&contact)
            .filter(|_| pending.by == OfferedBy::Update)
            .map(|it| &**it),
        capabilities: true,
        body: Some(body),
        ..Default::default()
    };
    offered::send_response(core, now, &pending, StatusCode::OK, &parts);
    core.change(key, |leg| {
        leg.reoffer = Reoffer::Idle;
        let theirs = message::parse(&pending.request)
            .ok()
            .and_then(|request| sdp_of(&request));
        note_exchange(leg, &pending.remote_tag, body, theirs);
    });
    prack::proceed(core, now, key);
    Ok(())
}

/// Both descriptions of an early dialog are new: what was said in provisional responses is past.
pub(super) fn note_exchange(
    leg: &mut Leg,
    remote_tag: &[u8],
    ours: &SessionDescription,
    theirs: Option<Box<SessionDescription>>,
) {
    session_timer::note_description(leg, ours);
    if let Some(said) = &mut leg.provisional {
        debug_assert!(
            said.is_answered,
            "offer and answer come before the next offer (RFC 3311 §5.1)"
        );
        said.said = Some(Box::new(ours.clone()));
        said.is_changed = true;
        // A 2xx that waits for this exchange has nothing to add to it.
        if let Some(held) = &mut said.held_answer {
            held.as_mut().clone_from(ours);
        }
    }
    let early = leg
        .attempt_mut()
        .and_then(|attempt| attempt.early_mut(remote_tag));
    if let (Some(early), Some(theirs)) = (early, theirs) {
        early.answer = Some(theirs);
    }
}

/// The `refuse_reoffer` command.
pub(crate) fn refuse(
    core: &mut Core,
    now: Instant,
    call: Key,
    key: Key,
    status: StatusCode,
) -> Result<(), CommandError> {
    let pending = received(core, call, key)?;
    if !status.is_failure() {
        return Err(CommandError::StatusUnfit);
    }
    offered::send_response(core, now, &pending, status, &ResponseParts::default());
    core.change(key, |leg| leg.reoffer = Reoffer::Idle);
    prack::proceed(core, now, key);
    Ok(())
}

/// The peer's offer was cancelled, or its dialog ends: 487 (§9.2, §15.1.2).
pub(super) fn terminate_received(core: &mut Core, now: Instant, key: Key) {
    refuse_received(core, now, key, StatusCode::REQUEST_TERMINATED);
}

fn refuse_received(core: &mut Core, now: Instant, key: Key, status: StatusCode) {
    let Some(leg) = core.legs.get_mut(key) else {
        return;
    };
    if !matches!(leg.reoffer, Reoffer::Received(_)) {
        return;
    }
    debug_assert!(status.is_failure(), "a refusal is no answer");
    if let Reoffer::Received(pending) = std::mem::take(&mut leg.reoffer) {
        offered::send_response(core, now, &pending, status, &ResponseParts::default());
    }
    core.arm(key);
}

/// What is pending within a dialog ends with it, without a word to call control.
pub(super) fn close(core: &mut Core, now: Instant, key: Key) {
    terminate_received(core, now, key);
    modify::forget_sent(core, key);
    debug_assert!(
        core.legs
            .get(key)
            .is_none_or(|leg| matches!(leg.reoffer, Reoffer::Idle | Reoffer::Retrying { .. })),
        "what was pending has its end"
    );
    core.change(key, |leg| leg.reoffer = Reoffer::Idle);
}

/// A 2xx has chosen one of the forks: what is pending within another one is over.
pub(super) fn close_other_forks(core: &mut Core, now: Instant, key: Key, chosen: &[u8]) {
    let Some(leg) = core.legs.get(key) else {
        return;
    };
    let (call, leg_key) = (CallKey(leg.call), LegKey(key));
    let (tag, is_theirs) = match &leg.reoffer {
        Reoffer::Idle => return,
        Reoffer::Received(pending) => (&pending.remote_tag, true),
        Reoffer::Sent(sent) => (&sent.remote_tag, false),
        Reoffer::Retrying { remote_tag, .. } => (remote_tag, false),
    };
    if **tag == *chosen {
        return;
    }
    close(core, now, key);
    core.emit(if is_theirs {
        Event::ReofferCancelled { call, leg: leg_key }
    } else {
        Event::ReofferRefused {
            call,
            leg: leg_key,
            status: StatusCode::CALL_TRANSACTION_DOES_NOT_EXIST,
        }
    });
}

/// Somebody has not answered for too long, or the wait after 491 is over.
pub(super) fn handle_deadline(core: &mut Core, now: Instant, key: Key) {
    let Some(leg) = core.legs.get(key) else {
        return;
    };
    let (call, leg_key) = (CallKey(leg.call), LegKey(key));
    match &leg.reoffer {
        Reoffer::Received(pending) if pending.answer_until.is_some_and(|at| at <= now) => {
            refuse_received(core, now, key, StatusCode::SERVER_TIME_OUT);
            core.emit(Event::ReofferCancelled { call, leg: leg_key });
            prack::proceed(core, now, key);
        }
        Reoffer::Idle | Reoffer::Received(_) => {}
        Reoffer::Sent(_) | Reoffer::Retrying { .. } => modify::handle_deadline(core, now, key),
    }
}
