//! Our offers within a dialog: re-INVITE (RFC 3261 §14.1) and UPDATE (RFC 3311 §5.1), and glare.
//!
//! Owns what we asked until it is answered, refused or given up, and the tries after that. The
//! peer's offers are in `reoffer`.
//!
//! | our offer meets | confirmed | early |
//! |---|---|---|
//! | 2xx | `ReofferAnswered` | `ReofferAnswered` |
//! | 401, 407 | once more with credentials | the same |
//! | 405, 501 to UPDATE | re-INVITE | `ReofferRefused` |
//! | 491 | again after 2.1 to 4 s where the Call-ID is ours, else after 0 to 2 s | the same |
//! | 500 with `Retry-After` | again after that | the same |
//! | 408, 481, silence | the call ends | `ReofferRefused` |
//! | another failure, too many tries | `ReofferRefused` | `ReofferRefused` |
//! | a provisional response only, for 64·T1 | CANCEL, then 408 | – |

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::acknowledge;
use super::compose::{self, RequestParts};
use super::core::{Core, User};
use super::early::sdp_of;
use super::leg::{EarlyDialog, Leg, Reoffer, SentReoffer, Stage};
use super::reoffer::{note_exchange, note_target};
use super::{call, cancel, challenge, prack, session_timer};
use crate::error::CommandError;
use crate::event::{CallKey, EndCause, Event, LegKey, RefreshBy, ReleaseParty};
use crate::limits::{GLARE_RETRIES_MAX, RETRY_AFTER_S_MAX};
use crate::message::{HeaderName, Message, Method, StatusCode};
use crate::sdp::SessionDescription;
use crate::table::Key;
use crate::transaction::layer::{ClientIdentity, ClientKind};

/// The `reoffer` and `reoffer_by` commands.
pub(crate) fn offer(
    core: &mut Core,
    now: Instant,
    call: Key,
    key: Key,
    offer: &SessionDescription,
    by: RefreshBy,
) -> Result<(), CommandError> {
    let leg = core.living_leg(call, key)?;
    let (remote_tag, by) = match &leg.stage {
        Stage::Confirmed if by == RefreshBy::Update && leg.allows_update => {
            (Arc::clone(&leg.dialog.remote_tag), RefreshBy::Update)
        }
        Stage::Confirmed => (Arc::clone(&leg.dialog.remote_tag), RefreshBy::Invite),
        Stage::Offered(_) if leg.allows_update && is_early_answered(leg) => {
            (Arc::clone(&leg.dialog.remote_tag), RefreshBy::Update)
        }
        Stage::Attempting(attempt) if attempt.left.is_none() => {
            let can_update = |early: &&EarlyDialog| early.is_answered && early.allows_update;
            let early = attempt.early.iter().rev().find(can_update);
            let early = early.ok_or(CommandError::WrongState)?;
            (Arc::clone(&early.dialog.remote_tag), RefreshBy::Update)
        }
        Stage::Offered(_) | Stage::Attempting(_) | Stage::Local | Stage::Leaving | Stage::Over => {
            return Err(CommandError::WrongState);
        }
    };
    let is_waiting = leg.unacknowledged.is_some() || leg.unanswered.is_some();
    if is_waiting || !matches!(leg.reoffer, Reoffer::Idle) {
        return Err(CommandError::ExchangePending);
    }
    let asked = Asked {
        offer: Box::new(offer.clone()),
        by,
        remote_tag,
        tries: 1,
        is_refresh: false,
    };
    send(core, now, key, asked, None).ok_or(CommandError::LimitReached)
}

/// A re-INVITE that refreshes the session, with the description that the peer has already
/// (RFC 4028 §7.4). Call control hears of its answer, and where the dialog is lost.
pub(super) fn refresh(
    core: &mut Core,
    now: Instant,
    key: Key,
    description: Box<SessionDescription>,
) -> Option<()> {
    let leg = core.legs.get(key)?;
    debug_assert!(leg.is_confirmed(), "an early dialog is not refreshed");
    let asked = Asked {
        offer: description,
        by: RefreshBy::Invite,
        remote_tag: Arc::clone(&leg.dialog.remote_tag),
        tries: 1,
        is_refresh: true,
    };
    send(core, now, key, asked, None)
}

/// The caller's early dialog has its answer, and no 2xx is on its way.
fn is_early_answered(leg: &Leg) -> bool {
    leg.provisional
        .as_ref()
        .is_some_and(|said| said.is_answered && said.held_answer.is_none())
}

/// An offer of ours within a dialog, and how it goes.
#[derive(Debug, Clone)]
struct Asked {
    offer: Box<SessionDescription>,
    by: RefreshBy,
    remote_tag: Arc<[u8]>,
    tries: u8,
    is_refresh: bool,
}

fn send(
    core: &mut Core,
    now: Instant,
    key: Key,
    asked: Asked,
    authorization: Option<(HeaderName, Box<[u8]>)>,
) -> Option<()> {
    let leg = core.legs.get_mut(key)?;
    debug_assert!(
        matches!(leg.reoffer, Reoffer::Idle),
        "one offer at a time (§14.1)"
    );
    debug_assert!(
        (1..=GLARE_RETRIES_MAX).contains(&asked.tries),
        "the bound holds"
    );
    debug_assert!(
        !asked.remote_tag.is_empty(),
        "without the peer's tag an INVITE is a new call"
    );
    if asked.remote_tag.is_empty() {
        return None;
    }
    debug_assert!(
        leg.is_confirmed() || asked.by == RefreshBy::Update,
        "an early dialog is changed by UPDATE only (RFC 3311 §1)"
    );
    let is_authorized = authorization.is_some();
    let identity = leg.identity.iter().cloned();
    let headers: Vec<_> = authorization.clone().into_iter().chain(identity).collect();
    let contact = leg.contact.clone();
    let session = leg.session.as_ref().filter(|_| leg.is_confirmed());
    let session = session.map(|session| session.asked());
    let dialog = leg.dialog_mut(&asked.remote_tag)?;
    let cseq = dialog.next_local_cseq();
    let dialog = dialog.clone();
    let (method, kind, user) = match asked.by {
        RefreshBy::Invite => {
            leg.authorization = authorization;
            (Method::Invite, ClientKind::Invite, User::Reinvite(key))
        }
        RefreshBy::Update => (Method::Update, ClientKind::NonInvite, User::Update(key)),
    };
    let branch = core.identifiers.branch();
    let parts = RequestParts {
        contact: Some(&contact),
        headers: &headers,
        session,
        body: Some(&asked.offer),
        ..RequestParts::new(&method, cseq, &branch)
    };
    let sent = compose::request_within(core, &dialog, &parts);
    let identity = ClientIdentity { branch, cseq };
    let transaction = core.start_client(now, kind, identity, sent, user).ok()?;
    // An UPDATE has timer F; an INVITE that is heard of has none (RFC 3261 §17.1.1.2).
    let give_up_at =
        (asked.by == RefreshBy::Invite).then(|| now + core.config.timers.transaction_timeout());
    core.change(key, |leg| {
        leg.reoffer = Reoffer::Sent(SentReoffer {
            transaction,
            offer: asked.offer,
            tries: asked.tries,
            is_authorized,
            is_refresh: asked.is_refresh,
            give_up_at,
            is_cancelled: false,
            by: asked.by,
            remote_tag: asked.remote_tag,
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

/// A response to our re-INVITE or UPDATE (§14.1, RFC 3311 §5.3).
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
    let is_invite = response
        .cseq()
        .is_some_and(|cseq| cseq.method == Method::Invite);
    if status.is_success() && is_invite {
        return handle_success(core, now, key, transaction, response);
    }
    let Some(sent) = take_sent(core, key, transaction) else {
        return;
    };
    if status.is_success() {
        return handle_updated(core, now, key, &sent, response);
    }
    debug_assert!(status.is_failure(), "what remains is a refusal");
    if !is_alive(core, key) || send_again(core, now, key, &sent, response, status) {
        return;
    }
    let is_lost = status == StatusCode::CALL_TRANSACTION_DOES_NOT_EXIST
        || (status == StatusCode::REQUEST_TIMEOUT && !sent.is_cancelled);
    end_refused(core, now, key, status, (is_lost, sent.is_refresh));
}

/// What is pending on this leg has a dialog, and call control waits for it.
fn is_alive(core: &Core, key: Key) -> bool {
    match core.legs.get(key).map(|leg| &leg.stage) {
        Some(Stage::Confirmed | Stage::Offered(_)) => true,
        Some(Stage::Attempting(attempt)) => attempt.left.is_none(),
        Some(Stage::Local | Stage::Leaving | Stage::Over) | None => false,
    }
}

/// Another try: with credentials, by the other method, or after a while.
fn send_again(
    core: &mut Core,
    now: Instant,
    key: Key,
    sent: &SentReoffer,
    response: &Message<'_>,
    status: StatusCode,
) -> bool {
    if sent.is_cancelled {
        return false;
    }
    let asked = Asked {
        offer: sent.offer.clone(),
        by: sent.by,
        remote_tag: Arc::clone(&sent.remote_tag),
        tries: sent.tries,
        is_refresh: sent.is_refresh,
    };
    let method = match sent.by {
        RefreshBy::Invite => Method::Invite,
        RefreshBy::Update => Method::Update,
    };
    if !sent.is_authorized {
        let dialog = core
            .legs
            .get_mut(key)
            .and_then(|leg| leg.dialog_mut(&sent.remote_tag).cloned());
        let header = dialog.and_then(|dialog| {
            challenge::authorization_for(core, key, &method, &dialog, (response, status))
        });
        if header.is_some() && send(core, now, key, asked.clone(), header).is_some() {
            return true;
        }
    }
    if session_timer::lengthen(core, key, response, status)
        && send(core, now, key, asked.clone(), None).is_some()
    {
        return true;
    }
    let is_unknown =
        status == StatusCode::METHOD_NOT_ALLOWED || status == StatusCode::NOT_IMPLEMENTED;
    if is_unknown && sent.by == RefreshBy::Update {
        let is_confirmed = core.legs.get_mut(key).is_some_and(|leg| {
            leg.allows_update = false;
            leg.is_confirmed()
        });
        let by = RefreshBy::Invite;
        return is_confirmed && send(core, now, key, Asked { by, ..asked }, None).is_some();
    }
    let Some(wait) = wait_before_retry(core, key, response, status) else {
        return false;
    };
    if sent.tries >= GLARE_RETRIES_MAX {
        return false;
    }
    debug_assert!(
        sent.tries < GLARE_RETRIES_MAX,
        "the last try is not repeated"
    );
    core.change(key, |leg| {
        debug_assert!(
            matches!(leg.reoffer, Reoffer::Idle),
            "what is tried again is not under way"
        );
        leg.reoffer = Reoffer::Retrying {
            retry_at: now + wait,
            offer: asked.offer,
            tries: asked.tries,
            is_refresh: asked.is_refresh,
            by: asked.by,
            remote_tag: asked.remote_tag,
        }
    });
    true
}

/// 491: the owner of the Call-ID waits longer, so that both do not meet again (§14.1). 500: the
/// peer's own offer came first, and it says how long to wait (§14.2, RFC 3311 §5.2).
fn wait_before_retry(
    core: &mut Core,
    key: Key,
    response: &Message<'_>,
    status: StatusCode,
) -> Option<Duration> {
    if status == StatusCode::SERVER_INTERNAL_ERROR {
        let seconds = response
            .retry_after_s()
            .filter(|&seconds| seconds <= RETRY_AFTER_S_MAX)?;
        return Some(Duration::from_secs(seconds.into()));
    }
    if status != StatusCode::REQUEST_PENDING {
        return None;
    }
    let (least, most) = if core.legs.get(key)?.owns_call_id() {
        (2_100, 4_000)
    } else {
        (0, 2_000)
    };
    let milliseconds = Duration::from_millis;
    Some(
        core.identifiers
            .back_off(milliseconds(least), milliseconds(most)),
    )
}

/// A confirmed dialog that is lost ends its call; an early one ends with its INVITE.
fn end_refused(
    core: &mut Core,
    now: Instant,
    key: Key,
    status: StatusCode,
    (is_lost, is_refresh): (bool, bool),
) {
    let Some(leg) = core.legs.get(key) else {
        return;
    };
    let call = leg.call;
    if is_lost && leg.is_confirmed() {
        return call::end_by(core, now, call, ReleaseParty::Gateway, EndCause::DialogLost);
    }
    if is_refresh {
        return session_timer::refused(core, now, key);
    }
    core.emit(Event::ReofferRefused {
        call: CallKey(call),
        leg: LegKey(key),
        status,
    });
    prack::proceed(core, now, key);
}

fn handle_success(
    core: &mut Core,
    now: Instant,
    key: Key,
    transaction: Key,
    response: &Message<'_>,
) {
    let tag = response.to().and_then(|to| to.tag()).unwrap_or_default();
    let Some(cseq) = response.cseq().map(|cseq| cseq.number) else {
        return;
    };
    if acknowledge::repeat(core, key, tag, cseq) {
        return;
    }
    let sent = take_sent(core, key, transaction);
    let remote_tag = core
        .legs
        .get(key)
        .map(|leg| Arc::clone(&leg.dialog.remote_tag));
    note_target(core, response, key, &remote_tag.unwrap_or_default());
    let Some(dialog) = core.legs.get(key).map(|leg| leg.dialog.clone()) else {
        return;
    };
    acknowledge::send(core, key, &dialog, cseq, false, None);
    let Some(call) = core
        .legs
        .get(key)
        .filter(|leg| leg.is_confirmed())
        .map(|leg| leg.call)
    else {
        return;
    };
    let Some(sent) = sent else { return };
    session_timer::accepted(core, now, key, response);
    core.change(key, |leg| {
        session_timer::note_description(leg, &sent.offer);
    });
    let (call, leg, answer) = (CallKey(call), LegKey(key), sdp_of(response));
    match answer {
        Some(answer) if sent.is_refresh => core.emit(Event::Refreshed { call, leg, answer }),
        None if sent.is_refresh => {}
        answer => core.emit(Event::ReofferAnswered { call, leg, answer }),
    }
}

/// Our UPDATE was taken.
fn handle_updated(
    core: &mut Core,
    now: Instant,
    key: Key,
    sent: &SentReoffer,
    response: &Message<'_>,
) {
    note_target(core, response, key, &sent.remote_tag);
    if !is_alive(core, key) {
        return;
    }
    if core.legs.get(key).is_some_and(Leg::is_confirmed) {
        session_timer::accepted(core, now, key, response);
    }
    let answer = sdp_of(response);
    let call = core.change(key, |leg| {
        note_exchange(leg, &sent.remote_tag, &sent.offer, answer.clone());
        leg.call
    });
    let Some(call) = call else { return };
    core.emit(Event::ReofferAnswered {
        call: CallKey(call),
        leg: LegKey(key),
        answer,
    });
    prack::proceed(core, now, key);
}

/// No response at all within timer B or F: the dialog is lost (RFC 5057 §5.1).
pub(super) fn handle_lost(core: &mut Core, now: Instant, key: Key, transaction: Key) {
    let sent = take_sent(core, key, transaction);
    if let Some(sent) = sent.filter(|_| is_alive(core, key)) {
        let status = StatusCode::REQUEST_TIMEOUT;
        end_refused(core, now, key, status, (true, sent.is_refresh));
    }
}

/// Our re-INVITE or UPDATE came to nothing; the session stays as it was.
pub(super) fn refused(
    core: &mut Core,
    now: Instant,
    key: Key,
    transaction: Key,
    status: StatusCode,
) {
    let sent = take_sent(core, key, transaction);
    if let Some(sent) = sent.filter(|_| is_alive(core, key)) {
        end_refused(core, now, key, status, (false, sent.is_refresh));
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
    let (call, leg_key) = (CallKey(leg.call), LegKey(key));
    match &mut leg.reoffer {
        Reoffer::Retrying { retry_at, .. } if *retry_at <= now => retry(core, now, key),
        Reoffer::Sent(sent) if sent.give_up_at.is_some_and(|at| at <= now) => {
            debug_assert!(
                sent.by == RefreshBy::Invite,
                "an UPDATE is given up by timer F"
            );
            let transaction = sent.transaction;
            if !sent.is_cancelled {
                sent.is_cancelled = true;
                sent.give_up_at = Some(now + timeout);
                return cancel::send(core, now, key, transaction, None);
            }
            let (is_refresh, is_confirmed) = (sent.is_refresh, leg.is_confirmed());
            forget_sent(core, key);
            if is_refresh {
                session_timer::refused(core, now, key);
            } else if is_confirmed {
                let status = StatusCode::REQUEST_TIMEOUT;
                core.emit(Event::ReofferRefused {
                    call,
                    leg: leg_key,
                    status,
                });
            }
        }
        Reoffer::Idle | Reoffer::Received(_) | Reoffer::Sent(_) | Reoffer::Retrying { .. } => {}
    }
}

fn retry(core: &mut Core, now: Instant, key: Key) {
    let is_alive = is_alive(core, key);
    let Some(leg) = core.legs.get_mut(key) else {
        return;
    };
    let call = CallKey(leg.call);
    let may_send = is_alive && leg.unacknowledged.is_none() && leg.unanswered.is_none();
    let Reoffer::Retrying {
        offer,
        tries,
        by,
        remote_tag,
        is_refresh,
        ..
    } = std::mem::take(&mut leg.reoffer)
    else {
        debug_assert!(false, "only what waits is tried again");
        return;
    };
    debug_assert!(tries < GLARE_RETRIES_MAX, "the last try is not repeated");
    let asked = Asked {
        offer,
        by,
        remote_tag,
        tries: tries + 1,
        is_refresh,
    };
    if may_send && send(core, now, key, asked, None).is_some() {
        return;
    }
    if is_refresh {
        return session_timer::refused(core, now, key);
    }
    let status = StatusCode::REQUEST_PENDING;
    core.emit(Event::ReofferRefused {
        call,
        leg: LegKey(key),
        status,
    });
    prack::proceed(core, now, key);
}
