//! re-INVITE, both directions, and glare (RFC 3261 §14).
//!
//! Owns who may offer now. What an offer means is call control's affair: an offer of one leg is
//! given to it, and it offers to the other.

use std::time::{Duration, Instant};

use super::acknowledge::{self, Answer};
use super::attempt::{connected_of, sdp_of};
use super::compose::{self, RequestParts, ResponseParts};
use super::core::{Core, User};
use super::leg::{PendingInvite, Reoffer, SentReoffer, Side};
use super::uas::{self, Request};
use super::{call, cancel, challenge, offered};
use crate::error::{CommandError, ProtocolError};
use crate::event::{CallKey, EndCause, Event, LegKey, RefreshBy, ReleaseParty};
use crate::limits::GLARE_RETRIES_MAX;
use crate::message::{HeaderName, Message, Method, StatusCode};
use crate::sdp::SessionDescription;
use crate::table::Key;
use crate::transaction::layer::{ClientIdentity, ClientKind};

/// An INVITE within the dialog of this leg (§14.2).
pub(super) fn handle_invite(core: &mut Core, now: Instant, request: &Request<'_>, key: Key) {
    if let Some(status) = objection(core, key) {
        return refuse_pending(core, request, status);
    }
    let Some(offer) = offered::take_offer(core, request) else {
        return;
    };
    let flow = request.response_flow();
    let user = User::Leg(key);
    let started = core
        .transactions
        .start_server(&request.identity, flow, false, user);
    let Ok(transaction) = started else {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        return uas::refuse(core, request, status, ProtocolError::TransactionsFull);
    };
    core.hold(user);
    let pending = PendingInvite {
        transaction,
        request: request.to_packet(),
        flow: request.flow,
        cseq: request.identity.cseq,
        has_offer: offer.is_some(),
    };
    let parts = ResponseParts::default();
    offered::send_response(core, now, &pending, StatusCode::TRYING, &parts);
    let changed = core.change(key, |leg| {
        leg.dialog.refresh_target(request.message);
        let before = std::mem::replace(&mut leg.reoffer, Reoffer::Received(pending));
        (leg.call, matches!(before, Reoffer::Retrying { .. }))
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

/// Why the peer may not offer now: 491 where one of us has offered already, 500 where its own
/// INVITE is not answered yet (§14.2). What waits on the other leg counts too, because the answer
/// would need it.
fn objection(core: &Core, key: Key) -> Option<StatusCode> {
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
            !leg.is_confirmed()
                || leg.unacknowledged.is_some()
                // An offer of ours that is under way there holds this one back in call control.
                || matches!(leg.reoffer, Reoffer::Received(_))
        });
    is_busy.then_some(StatusCode::REQUEST_PENDING)
}

fn refuse_pending(core: &mut Core, request: &Request<'_>, status: StatusCode) {
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
    let answer = Answer {
        pending,
        body,
        is_first: false,
    };
    acknowledge::answer(core, now, key, &answer).ok_or(CommandError::WrongState)
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
    Ok(())
}

/// The peer's re-INVITE was cancelled, or its dialog ends: 487 (§9.2, §15.1.2).
pub(super) fn terminate_received(core: &mut Core, now: Instant, key: Key) {
    let Some(leg) = core.legs.get_mut(key) else {
        return;
    };
    if !matches!(leg.reoffer, Reoffer::Received(_)) {
        return;
    }
    if let Reoffer::Received(pending) = std::mem::take(&mut leg.reoffer) {
        let status = StatusCode::REQUEST_TERMINATED;
        offered::send_response(core, now, &pending, status, &ResponseParts::default());
    }
    core.arm(key);
}

/// The `reoffer` command.
pub(crate) fn offer(
    core: &mut Core,
    now: Instant,
    call: Key,
    key: Key,
    offer: &SessionDescription,
    _by: RefreshBy,
) -> Result<(), CommandError> {
    let leg = core.living_leg(call, key)?;
    if !leg.is_confirmed() {
        return Err(CommandError::WrongState);
    }
    let is_waiting = leg.unacknowledged.is_some() || leg.unanswered.is_some();
    if is_waiting || !matches!(leg.reoffer, Reoffer::Idle) {
        return Err(CommandError::ExchangePending);
    }
    let offer = Box::new(offer.clone());
    send(core, now, key, offer, 1, None).ok_or(CommandError::LimitReached)
}

fn send(
    core: &mut Core,
    now: Instant,
    key: Key,
    offer: Box<SessionDescription>,
    tries: u8,
    authorization: Option<(HeaderName, Box<[u8]>)>,
) -> Option<()> {
    let leg = core.legs.get_mut(key)?;
    debug_assert!(leg.is_confirmed(), "an offer within a dialog needs one");
    debug_assert!(
        matches!(leg.reoffer, Reoffer::Idle),
        "one offer at a time (§14.1)"
    );
    debug_assert!((1..=GLARE_RETRIES_MAX).contains(&tries), "the bound holds");
    let cseq = leg.dialog.next_local_cseq();
    let contact = leg.contact.clone();
    let branch = core.identifiers.branch();
    let is_authorized = authorization.is_some();
    let headers: Vec<_> = authorization.clone().into_iter().collect();
    leg.authorization = authorization;
    let parts = RequestParts {
        contact: Some(&contact),
        headers: &headers,
        body: Some(&offer),
        ..RequestParts::new(&Method::Invite, cseq, &branch)
    };
    let invite = compose::request_of(core, key, &parts)?;
    let user = User::Reinvite(key);
    let identity = ClientIdentity { branch, cseq };
    let transaction = core
        .start_client(now, ClientKind::Invite, identity, invite, user)
        .ok()?;
    let give_up_at = now + core.config.timers.transaction_timeout();
    core.change(key, |leg| {
        leg.reoffer = Reoffer::Sent(SentReoffer {
            transaction,
            offer,
            tries,
            is_authorized,
            give_up_at,
            is_cancelled: false,
        });
    })
}

/// Takes our re-INVITE out where it is the one of this transaction.
fn take_sent(core: &mut Core, key: Key, transaction: Key) -> Option<SentReoffer> {
    let leg = core.legs.get_mut(key)?;
    let is_it = matches!(&leg.reoffer, Reoffer::Sent(sent) if sent.transaction == transaction);
    let taken = if is_it {
        std::mem::take(&mut leg.reoffer)
    } else {
        Reoffer::Idle
    };
    core.arm(key);
    match taken {
        Reoffer::Sent(sent) => Some(sent),
        Reoffer::Idle | Reoffer::Received(_) | Reoffer::Retrying { .. } => None,
    }
}

/// A response to our re-INVITE (§14.1).
pub(super) fn handle_response(
    core: &mut Core,
    now: Instant,
    key: Key,
    transaction: Key,
    response: &Message<'_>,
    status: StatusCode,
) {
    if status.is_provisional() {
        return;
    }
    if status.is_success() {
        return handle_success(core, key, transaction, response);
    }
    debug_assert!(status.is_failure(), "what remains is a refusal");
    let Some(sent) = take_sent(core, key, transaction) else {
        return;
    };
    let Some(leg) = core.legs.get(key).filter(|leg| leg.is_confirmed()) else {
        return;
    };
    let (call, side) = (leg.call, leg.side);
    if !sent.is_authorized && !sent.is_cancelled {
        let header = challenge::authorization(core, key, &Method::Invite, response, status);
        if header.is_some()
            && send(core, now, key, sent.offer.clone(), sent.tries, header).is_some()
        {
            return;
        }
    }
    if status == StatusCode::REQUEST_PENDING && sent.tries < GLARE_RETRIES_MAX && !sent.is_cancelled
    {
        let retry_at = now + glare_wait(core, side);
        let (offer, tries) = (sent.offer, sent.tries);
        core.change(key, |leg| {
            leg.reoffer = Reoffer::Retrying {
                retry_at,
                offer,
                tries,
            }
        });
        return;
    }
    let is_lost = status == StatusCode::CALL_TRANSACTION_DOES_NOT_EXIST
        || (status == StatusCode::REQUEST_TIMEOUT && !sent.is_cancelled);
    if is_lost {
        return call::end_by(core, now, call, ReleaseParty::Gateway, EndCause::DialogLost);
    }
    core.emit(Event::ReofferRefused {
        call: CallKey(call),
        leg: LegKey(key),
        status,
    });
}

/// The owner of the Call-ID waits longer, so that both do not meet again (§14.1).
fn glare_wait(core: &mut Core, side: Side) -> Duration {
    match side {
        Side::A => core
            .identifiers
            .back_off(Duration::ZERO, Duration::from_secs(2)),
        Side::B => core
            .identifiers
            .back_off(Duration::from_millis(2_100), Duration::from_secs(4)),
    }
}

fn handle_success(core: &mut Core, key: Key, transaction: Key, response: &Message<'_>) {
    let tag = response.to().and_then(|to| to.tag()).unwrap_or_default();
    let Some(cseq) = response.cseq().map(|cseq| cseq.number) else {
        return;
    };
    if acknowledge::repeat(core, key, tag, cseq) {
        return;
    }
    let sent = take_sent(core, key, transaction);
    let dialog = core.change(key, |leg| {
        leg.dialog.refresh_target(response);
        leg.dialog.clone()
    });
    let Some(dialog) = dialog else { return };
    acknowledge::send(core, key, &dialog, cseq, false, None);
    let Some(call) = core
        .legs
        .get(key)
        .filter(|leg| leg.is_confirmed())
        .map(|leg| leg.call)
    else {
        return;
    };
    if sent.is_some() {
        let answer = sdp_of(response);
        core.emit(Event::ReofferAnswered {
            call: CallKey(call),
            leg: LegKey(key),
            answer,
        });
    }
}

/// No response at all within timer B: the dialog is lost (RFC 5057 §5.1).
pub(super) fn handle_lost(core: &mut Core, now: Instant, key: Key, transaction: Key) {
    let sent = take_sent(core, key, transaction);
    let leg = core.legs.get(key).filter(|leg| leg.is_confirmed());
    if let (Some(_), Some(leg)) = (sent, leg) {
        let call = leg.call;
        call::end_by(core, now, call, ReleaseParty::Gateway, EndCause::DialogLost);
    }
}

/// Our re-INVITE came to nothing; the session stays as it was.
pub(super) fn refused(core: &mut Core, key: Key, transaction: Key, status: StatusCode) {
    let sent = take_sent(core, key, transaction);
    let leg = core.legs.get(key).filter(|leg| leg.is_confirmed());
    if let (Some(_), Some(leg)) = (sent, leg) {
        let call = CallKey(leg.call);
        core.emit(Event::ReofferRefused {
            call,
            leg: LegKey(key),
            status,
        });
    }
}

/// The dialog is gone, and our re-INVITE with it.
pub(super) fn forget_sent(core: &mut Core, key: Key) {
    let Some(leg) = core.legs.get_mut(key) else {
        return;
    };
    let Reoffer::Sent(sent) = &leg.reoffer else {
        return;
    };
    let transaction = sent.transaction;
    leg.reoffer = Reoffer::Idle;
    if let Some(user) = core.transactions.remove(transaction) {
        core.release_transaction(user);
    }
}

/// The wait after 491 is over, or the peer has not answered for too long.
pub(super) fn handle_deadline(core: &mut Core, now: Instant, key: Key) {
    let timeout = core.config.timers.transaction_timeout();
    let Some(leg) = core.legs.get_mut(key) else {
        return;
    };
    let call = CallKey(leg.call);
    match &mut leg.reoffer {
        Reoffer::Retrying { retry_at, .. } if *retry_at <= now => retry(core, now, key),
        Reoffer::Sent(sent) if sent.give_up_at <= now => {
            let transaction = sent.transaction;
            if !sent.is_cancelled {
                sent.is_cancelled = true;
                sent.give_up_at = now + timeout;
                return cancel::send(core, now, key, transaction, None);
            }
            let is_confirmed = leg.is_confirmed();
            forget_sent(core, key);
            if is_confirmed {
                let status = StatusCode::REQUEST_TIMEOUT;
                core.emit(Event::ReofferRefused {
                    call,
                    leg: LegKey(key),
                    status,
                });
            }
        }
        Reoffer::Idle | Reoffer::Received(_) | Reoffer::Sent(_) | Reoffer::Retrying { .. } => {}
    }
}

fn retry(core: &mut Core, now: Instant, key: Key) {
    let Some(leg) = core.legs.get_mut(key) else {
        return;
    };
    let call = CallKey(leg.call);
    let may_send = leg.is_confirmed() && leg.unacknowledged.is_none();
    let Reoffer::Retrying { offer, tries, .. } = std::mem::take(&mut leg.reoffer) else {
        debug_assert!(false, "only what waits is tried again");
        return;
    };
    debug_assert!(tries < GLARE_RETRIES_MAX, "the last try is not repeated");
    if may_send && send(core, now, key, offer, tries + 1, None).is_some() {
        return;
    }
    let status = StatusCode::REQUEST_PENDING;
    core.emit(Event::ReofferRefused {
        call,
        leg: LegKey(key),
        status,
    });
}
