//! The caller's INVITE: from 100 to the final response (RFC 3261 §13.3.1).
//!
//! Owns the a-leg until it is answered or refused. The 2xx that waits for its ACK is in
//! `acknowledge`, the CANCEL in `cancel`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::acknowledge::{self, Answer};
use super::call::{self, Call};
use super::compose::{self, ResponseParts};
use super::core::{Core, User};
use super::leg::{Leg, OfferedBy, PendingInvite, Provisional, Reoffer, Side, Stage};
use super::session_timer::{self, Session};
use super::uas::{self, Request};
use super::{identity, overload, prack, reoffer, update};
use crate::dialog::{Dialog, DialogRefused};
use crate::error::{CommandError, ProtocolError};
use crate::event::{
    AttemptFailure, CallKey, CallOffered, EndCause, Event, Flow, LegKey, Refusal, ReleaseParty,
    Supported,
};
use crate::limits::{
    AUTHORIZATIONS_MAX, EMERGENCY_CALLS_MAX, MAX_FORWARDS_DEFAULT, OFFERED_HEADER_BYTES_MAX,
    OFFERED_HEADERS_MAX,
};
use crate::message::{self, HeaderName, Message, StatusCode};
use crate::sdp::SessionDescription;
use crate::table::Key;
use crate::transaction::layer::Packet;

/// An INVITE outside a dialog that nothing speaks against so far.
pub(super) fn handle_invite(core: &mut Core, now: Instant, request: &Request<'_>) {
    use ProtocolError as Error;
    if core.config.draining {
        return uas::refuse(
            core,
            request,
            StatusCode::SERVICE_UNAVAILABLE,
            Error::Draining,
        );
    }
    if request.message.max_forwards() == Some(0) {
        return uas::refuse(core, request, StatusCode::TOO_MANY_HOPS, Error::TooManyHops);
    }
    let settings = core.config.session_timer;
    if let Some(least) = session_timer::too_small(settings, request.message) {
        return session_timer::refuse(core, request, least);
    }
    let Some(offer) = take_offer(core, request) else {
        return;
    };
    let admission = match overload::admit(core, request) {
        Ok(admission) => admission,
        Err(objection) => return uas::refuse_overloaded(core, request, objection),
    };
    let (tag, cseq) = (core.identifiers.tag(), core.identifiers.first_cseq());
    let dialog = match Dialog::from_request(request.message, request.flow, tag, cseq) {
        Ok(dialog) => dialog,
        Err(refused) => {
            let error = match refused {
                DialogRefused::NoTag => Error::NoFromTag,
                DialogRefused::NoContact => Error::NoContact,
                DialogRefused::RouteSetTooLong => Error::RouteSetTooLong,
            };
            return uas::refuse(core, request, StatusCode::BAD_REQUEST, error);
        }
    };
    if let Some((call, a_leg)) = insert(core, request, dialog, offer.is_some()) {
        overload::begin(core, call, admission);
        core.counters.calls_offered += 1;
        respond(
            core,
            now,
            a_leg,
            StatusCode::TRYING,
            &ResponseParts::default(),
        );
        if let Some(offered) = offered_of(core, request, offer) {
            core.emit(Event::CallOffered {
                call: CallKey(call),
                a_leg: LegKey(a_leg),
                offered: Box::new(offered),
            });
        }
    }
}

/// The offer of an INVITE: `None`, it was refused; `Some(None)`, it has none (RFC 3261 §8.2.3).
#[expect(clippy::option_option, reason = "refused, without, with")]
pub(super) fn take_offer(
    core: &mut Core,
    request: &Request<'_>,
) -> Option<Option<Box<SessionDescription>>> {
    let message = request.message;
    let is_encoded = message
        .elements(&HeaderName::ContentEncoding)
        .any(|coding| !coding.eq_ignore_ascii_case(b"identity"));
    if !message.body().is_empty() && (is_encoded || !is_readable_type(message)) {
        let headers = [
            (HeaderName::Accept, compose::SDP_TYPE.as_bytes()),
            (HeaderName::AcceptEncoding, &b"identity"[..]),
        ];
        let (status, error) = (StatusCode::UNSUPPORTED_MEDIA_TYPE, ProtocolError::MediaType);
        uas::refuse_with(core, request, status, &headers, error);
        return None;
    }
    match message.sdp().map(SessionDescription::parse) {
        None => Some(None),
        Some(Ok(offer)) => Some(Some(Box::new(offer))),
        Some(Err(_unreadable)) => {
            let error = ProtocolError::SessionDescription;
            uas::refuse(core, request, StatusCode::BAD_REQUEST, error);
            None
        }
    }
}

fn is_readable_type(message: &Message<'_>) -> bool {
    message.content_type().is_some_and(|(kind, subtype)| {
        kind.eq_ignore_ascii_case(b"multipart")
            || (kind.eq_ignore_ascii_case(b"application") && subtype.eq_ignore_ascii_case(b"sdp"))
    })
}

/// Makes transaction, call and leg, or none of them.
fn insert(
    core: &mut Core,
    request: &Request<'_>,
    dialog: Dialog,
    has_offer: bool,
) -> Option<(Key, Key)> {
    let flow = request.response_flow();
    let user = User::Nobody;
    let transaction = core
        .transactions
        .start_server(&request.identity, flow, true, user)
        .ok()?;
    let tag = dialog.local_tag;
    let user_part = request.message.request_uri().and_then(|uri| uri.user_raw());
    let contact = compose::contact(user_part, request.flow);
    let stage = Stage::Offered(PendingInvite {
        transaction,
        request: request.to_packet(),
        flow: request.flow,
        cseq: request.identity.cseq,
        has_offer,
        by: OfferedBy::Invite,
        answer_until: None,
        remote_tag: request.identity.from_tag.into(),
    });
    // Whether there is room was asked before.
    let call = core.calls.insert(Call::new());
    let call = call.ok()?;
    let mut leg = Leg::new(call, Side::A, stage, dialog, contact);
    let supported = supported_of(request.message);
    leg.allows_update = supported.update;
    leg.session = Session::new(core.config.session_timer);
    // An INVITE that is over at once is no INVITE: 0 is read over.
    let expires_s = request.message.expires_s().filter(|&seconds| seconds > 0);
    let expires_at = expires_s.map(|seconds| request.at + Duration::from_secs(seconds.into()));
    leg.provisional = Some(Box::new(Provisional::new(supported, expires_at)));
    let a_leg = core.legs.insert(leg).ok()?;
    core.touched = Some(a_leg);
    core.step();
    if let Some(entry) = core.calls.get_mut(call) {
        entry.a_leg = a_leg;
        entry.legs.push(a_leg);
    }
    core.active_calls += 1;
    debug_assert!(
        core.active_calls <= core.config.calls_max + EMERGENCY_CALLS_MAX,
        "the bound holds"
    );
    let previous = core.tags.insert(tag, a_leg);
    debug_assert!(previous.is_none(), "a tag is used once");
    core.transactions.set_user(transaction, User::Leg(a_leg));
    core.hold(User::Leg(a_leg));
    core.arm(a_leg);
    Some((call, a_leg))
}

fn offered_of(
    core: &Core,
    request: &Request<'_>,
    offer: Option<Box<SessionDescription>>,
) -> Option<CallOffered> {
    const SHOWN: [HeaderName; 6] = [
        HeaderName::PAssertedIdentity,
        HeaderName::RemotePartyId,
        HeaderName::Privacy,
        HeaderName::Diversion,
        HeaderName::UserAgent,
        HeaderName::Subject,
    ];
    let message = request.message;
    let headers = shown_headers(message, &SHOWN, OFFERED_HEADERS_MAX);
    Some(CallOffered {
        flow: request.flow,
        request_uri: message.request_uri()?.to_uri(),
        from: message.from()?.to_name_addr(),
        to: message.to()?.to_name_addr(),
        call_id: String::from_utf8_lossy(request.identity.call_id).into(),
        max_forwards: message.max_forwards().unwrap_or(MAX_FORWARDS_DEFAULT),
        offer,
        headers,
        supported: supported_of(message),
        authorization: authorizations(message),
        is_emergency: overload::is_emergency(core, request),
    })
}

/// The credentials of a request; those that are too long are no digest.
pub(super) fn authorizations(message: &Message<'_>) -> Vec<Box<[u8]>> {
    [HeaderName::Authorization, HeaderName::ProxyAuthorization]
        .iter()
        .flat_map(|name| message.lines(name))
        .map(|line| line.value())
        .filter(|value| value.len() <= OFFERED_HEADER_BYTES_MAX)
        .take(AUTHORIZATIONS_MAX)
        .map(Into::into)
        .collect()
}

/// What the peer says it can do.
pub(super) fn supported_of(message: &Message<'_>) -> Supported {
    let required_reliable = message.has_token(&HeaderName::Require, prack::OPTION_TAG);
    let supports = |tag| message.has_token(&HeaderName::Supported, tag);
    Supported {
        reliable: required_reliable || supports(prack::OPTION_TAG),
        required_reliable,
        timer: supports("timer") || message.has_token(&HeaderName::Require, "timer"),
        update: update::allowed(message).unwrap_or_default(),
    }
}

/// The first headers of these names, those that are too long left out.
pub(super) fn shown_headers(
    message: &Message<'_>,
    names: &[HeaderName],
    most: usize,
) -> Vec<(HeaderName, Box<[u8]>)> {
    message
        .headers()
        .filter(|line| names.iter().any(|name| line.is(name)))
        .filter(|line| line.value().len() <= OFFERED_HEADER_BYTES_MAX)
        .take(most)
        .map(|line| (line.name(), line.value().into()))
        .collect()
}

/// Answers the INVITE of an a-leg by its transaction; what was sent, and where. Nothing where it has
/// been answered.
pub(super) fn respond(
    core: &mut Core,
    now: Instant,
    key: Key,
    status: StatusCode,
    parts: &ResponseParts<'_>,
) -> Option<(Flow, Packet)> {
    let leg = core.legs.get(key)?;
    let Stage::Offered(pending) = &leg.stage else {
        return None;
    };
    let pending = pending.clone();
    let tag = leg.dialog.local_tag;
    let contact = leg.contact.clone();
    let identity = leg.identity.clone();
    let is_trying = status == StatusCode::TRYING;
    debug_assert!(!status.is_success(), "a 2xx is repeated by `acknowledge`");
    debug_assert!(leg.side == Side::A, "the caller is answered");
    let mut headers = parts.headers.to_vec();
    if !is_trying && !status.is_failure() {
        headers.extend(identity::shown(&identity));
    }
    let parts = ResponseParts {
        headers: &headers,
        to_tag: (!is_trying).then_some(tag.as_str()),
        contact: (!is_trying && !status.is_failure()).then_some(&*contact),
        makes_dialog: !is_trying && !status.is_failure(),
        ..*parts
    };
    send_response(core, now, &pending, status, &parts)
}

/// Answers a request that was kept, by its transaction.
pub(super) fn send_response(
    core: &mut Core,
    now: Instant,
    pending: &PendingInvite,
    status: StatusCode,
    parts: &ResponseParts<'_>,
) -> Option<(Flow, Packet)> {
    let request = message::parse(&pending.request).ok()?;
    debug_assert!(
        request
            .cseq()
            .is_some_and(|cseq| cseq.number == pending.cseq),
        "what was kept is what came"
    );
    let packet = compose::response(core, &request, pending.flow, status, parts);
    let transaction = pending.transaction;
    let flow = core
        .transactions
        .respond(now, transaction, status.code(), &packet)?;
    core.send(flow, Arc::clone(&packet));
    Some((flow, packet))
}

/// The a-leg of a call that has not been answered or refused.
fn offered_leg(core: &Core, call: Key) -> Result<Key, CommandError> {
    let a_leg = core.living_call(call)?.a_leg;
    let leg = core.legs.get(a_leg).ok_or(CommandError::NoSuchLeg)?;
    let is_answered = (leg.provisional.as_ref()).is_some_and(|said| said.held_answer.is_some());
    match &leg.stage {
        Stage::Offered(_) if !is_answered => Ok(a_leg),
        Stage::Offered(_)
        | Stage::Attempting(_)
        | Stage::Local
        | Stage::Confirmed
        | Stage::Leaving
        | Stage::Over => Err(CommandError::WrongState),
    }
}

/// What the caller is told before the 2xx, in the early dialog where that can be said.
///
/// The first answer within a dialog is the only one (RFC 3261 §13.2.1). Early media of one trunk and
/// the answer of the next one differ as the answers of two forks do, so each has a dialog of its own:
/// another To tag. `None`: this dialog has its answer already, reliably; or its session has been changed
/// since, which the 2xx does not undo (RFC 6337 §2.1); or there were too many.
pub(super) fn speak_early(
    core: &mut Core,
    key: Key,
    body: Option<&SessionDescription>,
) -> Option<Box<SessionDescription>> {
    let body = body?;
    let fresh = core.identifiers.tag();
    let leg = core.legs.get_mut(key)?;
    let Stage::Offered(pending) = &leg.stage else {
        return None;
    };
    // A provisional response to an INVITE without an offer describes nothing.
    if !pending.has_offer {
        return None;
    }
    let invite_cseq = pending.cseq;
    let said = leg.provisional.as_mut()?;
    match &said.said {
        Some(before) if is_same_session(before, body) => {
            return (!said.is_answered).then(|| Box::new(body.clone()));
        }
        Some(_) if said.is_changed || said.tags_left == 0 => return None,
        Some(_) => {
            said.tags_left -= 1;
            said.is_answered = false;
            let former = leg.dialog.set_local_tag(fresh);
            // What the caller numbers starts again behind its INVITE.
            leg.dialog.remote_cseq = Some(invite_cseq);
            let led_to = core.tags.remove(&former);
            debug_assert_eq!(led_to, Some(key), "its tag led to it");
            let previous = core.tags.insert(fresh, key);
            debug_assert!(previous.is_none(), "a tag is used once");
        }
        None => {}
    }
    let leg = core.legs.get_mut(key)?;
    leg.provisional.as_mut()?.said = Some(Box::new(body.clone()));
    Some(Box::new(body.clone()))
}

/// The same address, codecs and directions; the version of `o=` alone changes no session.
fn is_same_session(one: &SessionDescription, other: &SessionDescription) -> bool {
    one.media == other.media
        && one.connection == other.connection
        && one.direction == other.direction
}

/// The `ring` command.
pub(crate) fn ring(
    core: &mut Core,
    now: Instant,
    call: Key,
    status: StatusCode,
    answer: Option<&SessionDescription>,
) -> Result<(), CommandError> {
    let a_leg = offered_leg(core, call)?;
    if !status.is_provisional() || status == StatusCode::TRYING {
        return Err(CommandError::StatusUnfit);
    }
    let leg = core.legs.get(a_leg).ok_or(CommandError::NoSuchLeg)?;
    let has_offer = matches!(&leg.stage, Stage::Offered(pending) if pending.has_offer);
    let required = (leg.provisional.as_ref()).is_some_and(|said| said.supported.required_reliable);
    if !has_offer && required {
        // It would have to carry our offer (RFC 3262 §5), which stands in the 2xx: 100 must do.
        return Ok(());
    }
    let answer = answer.filter(|_| has_offer);
    let sent = if has_offer && prack::is_reliable(core, a_leg, answer.is_some()) {
        prack::respond(core, now, a_leg, status, answer)
    } else {
        let answer = speak_early(core, a_leg, answer);
        let parts = ResponseParts {
            body: answer.as_deref(),
            ..Default::default()
        };
        respond(core, now, a_leg, status, &parts).map(|_sent| ())
    };
    sent.ok_or(CommandError::WrongState)
}

/// The `answer` command: 200, which is repeated until its ACK comes. It waits for the PRACK of an
/// answer that was sent before (RFC 3262 §3), and for an exchange within the early dialog.
pub(crate) fn answer(
    core: &mut Core,
    now: Instant,
    call: Key,
    answer: &SessionDescription,
) -> Result<(), CommandError> {
    let a_leg = offered_leg(core, call)?;
    let waits = core.change(a_leg, |leg| {
        let is_idle = matches!(leg.reoffer, Reoffer::Idle);
        let said = leg.provisional.as_mut()?;
        let waits_for_prack =
            (said.unacknowledged.as_ref()).is_some_and(|wait| wait.carries_answer);
        said.next = None;
        (!is_idle || waits_for_prack).then(|| {
            said.held_answer = Some(Box::new(answer.clone()));
        })
    });
    match waits.flatten() {
        Some(()) => Ok(()),
        None => answer_now(core, now, a_leg, answer).ok_or(CommandError::WrongState),
    }
}

/// Nothing speaks against the 2xx.
pub(super) fn answer_now(
    core: &mut Core,
    now: Instant,
    a_leg: Key,
    answer: &SessionDescription,
) -> Option<()> {
    let has_offer = match &core.legs.get(a_leg)?.stage {
        Stage::Offered(pending) => pending.has_offer,
        Stage::Attempting(_) | Stage::Local | Stage::Confirmed | Stage::Leaving | Stage::Over => {
            return None;
        }
    };
    let body = if has_offer {
        core.legs.get_mut(a_leg)?.provisional.as_mut()?.tags_left = 1;
        speak_early(core, a_leg, Some(answer))
    } else {
        Some(Box::new(answer.clone()))
    };
    let leg = core.legs.get_mut(a_leg)?;
    let said = leg.provisional.take()?;
    if let Some(said) = &said.said {
        session_timer::note_description(leg, said);
    }
    let Stage::Offered(pending) = &leg.stage else {
        return None;
    };
    debug_assert!(
        said.held_answer.is_none(),
        "what was held is what is said now"
    );
    debug_assert!(
        body.is_some() || said.said.is_some(),
        "a caller that offered has its answer"
    );
    leg.overtaken = said.unacknowledged.map(|wait| (wait.rseq, pending.cseq));
    let answer = Answer {
        pending: pending.clone(),
        body: body.as_deref(),
        is_first: true,
    };
    acknowledge::answer(core, now, a_leg, &answer)
}

/// The `refuse` command.
pub(crate) fn refuse(
    core: &mut Core,
    now: Instant,
    call: Key,
    status: StatusCode,
    refusal: &Refusal,
) -> Result<(), CommandError> {
    offered_leg(core, call)?;
    if !status.is_failure() {
        return Err(CommandError::StatusUnfit);
    }
    // The callee's final failure ended it where the last attempt brought one.
    let last = core.living_call(call)?.last_failure;
    let by = match last {
        Some(AttemptFailure::Refused(_)) => ReleaseParty::Terminating,
        Some(
            AttemptFailure::NoResponse
            | AttemptFailure::NoProgress
            | AttemptFailure::NoAnswer
            | AttemptFailure::TransportFailed
            | AttemptFailure::Abandoned,
        )
        | None => ReleaseParty::Gateway,
    };
    let how = (by, EndCause::Refused(status), None);
    call::end(core, now, call, how, status, refusal);
    Ok(())
}

/// The `turn_away` command: the caller gets one datagram, and nothing is kept (RFC 3261 §8.2.7).
pub(crate) fn turn_away(
    core: &mut Core,
    now: Instant,
    call: Key,
    status: StatusCode,
    refusal: &Refusal,
) -> Result<(), CommandError> {
    let a_leg = offered_leg(core, call)?;
    if !status.is_failure() {
        return Err(CommandError::StatusUnfit);
    }
    let entry = core.living_call(call)?;
    let leg = core.legs.get(a_leg).ok_or(CommandError::NoSuchLeg)?;
    let Stage::Offered(pending) = &leg.stage else {
        return Err(CommandError::WrongState);
    };
    if entry.attempts > 0 {
        return Err(CommandError::WrongState);
    }
    let pending = pending.clone();
    let request =
        message::parse(&pending.request).map_err(|_unreadable| CommandError::WrongState)?;
    let from_tag = request.from().and_then(|from| from.tag());
    let via = request.top_via();
    let branch = via.and_then(|via| via.branch());
    // The tag of each repetition is the same, although nothing is remembered.
    let tag = core.stateless_tag(
        request.call_id().unwrap_or_default(),
        from_tag.unwrap_or_default(),
        branch.unwrap_or_default(),
    );
    let parts = ResponseParts {
        to_tag: Some(tag.as_str()),
        refusal: Some(refusal),
        ..Default::default()
    };
    send_response(core, now, &pending, status, &parts);
    reoffer::close(core, now, a_leg);
    core.change(a_leg, Leg::set_over);
    let how = (ReleaseParty::Gateway, EndCause::Refused(status), None);
    call::end(core, now, call, how, status, refusal);
    if let Some(user) = core.transactions.remove(pending.transaction) {
        core.release_transaction(user);
    }
    debug_assert!(core.calls.get(call).is_none(), "nothing of it is kept");
    Ok(())
}

/// Sends the final failure of an unanswered a-leg; the leg is over.
pub(super) fn send_refusal(
    core: &mut Core,
    now: Instant,
    key: Key,
    status: StatusCode,
    refusal: &Refusal,
) {
    let parts = ResponseParts {
        refusal: Some(refusal),
        ..Default::default()
    };
    debug_assert!(status.is_failure(), "a refusal is no answer");
    respond(core, now, key, status, &parts);
    reoffer::close(core, now, key);
    core.change(key, Leg::set_over);
    debug_assert!(
        core.legs
            .get(key)
            .is_none_or(|leg| matches!(leg.stage, Stage::Over)),
        "who was refused has no dialog"
    );
}
