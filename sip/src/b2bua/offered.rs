//! The caller's INVITE: from 100 to the final response (RFC 3261 §13.3.1).
//!
//! Owns the a-leg until it is answered or refused. The 2xx that waits for its ACK is in
//! `acknowledge`, the CANCEL in `cancel`.

use std::time::Instant;

use super::acknowledge::{self, Answer};
use super::call::{self, Call};
use super::compose::{self, ResponseParts};
use super::core::{Core, User};
use super::leg::{Leg, PendingInvite, Side, Stage};
use super::uas::{self, Request};
use crate::dialog::{Dialog, DialogRefused};
use crate::error::{CommandError, ProtocolError};
use crate::event::{
    AttemptFailure, CallKey, CallOffered, EndCause, Event, LegKey, Refusal, ReleaseParty, Supported,
};
use crate::limits::{MAX_FORWARDS_DEFAULT, OFFERED_HEADER_BYTES_MAX, OFFERED_HEADERS_MAX};
use crate::message::{self, HeaderName, Message, StatusCode};
use crate::sdp::SessionDescription;
use crate::table::Key;

/// Calls end all the time: a moment later there may be room (RFC 3261 §21.5.4).
const OVERLOADED: [(HeaderName, &[u8]); 1] = [(HeaderName::RetryAfter, b"2")];

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
    let Some(offer) = take_offer(core, request) else {
        return;
    };
    let is_full =
        core.active_calls >= core.config.calls_max || core.calls.is_full() || core.legs.is_full();
    if is_full || core.transactions.is_full() {
        let error = if is_full {
            Error::CallsFull
        } else {
            Error::TransactionsFull
        };
        let status = StatusCode::SERVICE_UNAVAILABLE;
        return uas::refuse_with(core, request, status, &OVERLOADED, error);
    }
    let (tag, cseq) = (core.identifiers.tag(), core.identifiers.first_cseq());
    let dialog = match Dialog::from_request(request.message, request.flow, tag, cseq) {
        Ok(dialog) => dialog,
        Err(refused) => {
            let error = match refused {
                DialogRefused::NoContact => Error::NoContact,
                DialogRefused::RouteSetTooLong => Error::RouteSetTooLong,
            };
            return uas::refuse(core, request, StatusCode::BAD_REQUEST, error);
        }
    };
    if let Some((call, a_leg)) = insert(core, request, dialog, offer.is_some()) {
        core.touched = Some(a_leg);
        core.counters.calls_offered += 1;
        respond(
            core,
            now,
            a_leg,
            StatusCode::TRYING,
            &ResponseParts::default(),
        );
        if let Some(offered) = offered_of(request, offer) {
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
    });
    // Whether there is room was asked before.
    let nowhere = Key {
        index: u32::MAX,
        generation: u32::MAX,
    };
    let call = core.calls.insert(Call {
        a_leg: nowhere,
        legs: Vec::with_capacity(2),
        answered: None,
        attempts: 0,
        last_failure: None,
        ended: false,
    });
    let call = call.ok()?;
    let a_leg = core
        .legs
        .insert(Leg::new(call, Side::A, stage, dialog, contact))
        .ok()?;
    if let Some(entry) = core.calls.get_mut(call) {
        entry.a_leg = a_leg;
        entry.legs.push(a_leg);
    }
    core.active_calls += 1;
    debug_assert!(
        core.active_calls <= core.config.calls_max,
        "the bound holds"
    );
    let previous = core.tags.insert(tag, a_leg);
    debug_assert!(previous.is_none(), "a tag is used once");
    core.transactions.set_user(transaction, User::Leg(a_leg));
    core.hold(User::Leg(a_leg));
    Some((call, a_leg))
}

fn offered_of(
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
    })
}

/// What the peer says it can do.
pub(super) fn supported_of(message: &Message<'_>) -> Supported {
    let has = |name: &HeaderName, word: &[u8]| {
        message
            .elements(name)
            .any(|element| element.eq_ignore_ascii_case(word))
    };
    let required_reliable = has(&HeaderName::Require, b"100rel");
    Supported {
        reliable: required_reliable || has(&HeaderName::Supported, b"100rel"),
        required_reliable,
        timer: has(&HeaderName::Supported, b"timer") || has(&HeaderName::Require, b"timer"),
        update: has(&HeaderName::Allow, b"UPDATE"),
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

/// Answers the INVITE of an a-leg by its transaction. Nothing where it has been answered.
fn respond(
    core: &mut Core,
    now: Instant,
    key: Key,
    status: StatusCode,
    parts: &ResponseParts<'_>,
) -> Option<()> {
    let leg = core.legs.get(key)?;
    let Stage::Offered(pending) = &leg.stage else {
        return None;
    };
    let pending = pending.clone();
    let tag = leg.dialog.local_tag;
    let contact = leg.contact.clone();
    let is_trying = status == StatusCode::TRYING;
    debug_assert!(!status.is_success(), "a 2xx is repeated by `acknowledge`");
    debug_assert!(leg.side == Side::A, "the caller is answered");
    let parts = ResponseParts {
        to_tag: (!is_trying).then_some(tag.as_str()),
        contact: (!is_trying && !status.is_failure()).then_some(&*contact),
        makes_dialog: !is_trying && !status.is_failure(),
        ..*parts
    };
    send_response(core, now, &pending, status, &parts)
}

/// Answers an INVITE that was kept, by its transaction.
pub(super) fn send_response(
    core: &mut Core,
    now: Instant,
    pending: &PendingInvite,
    status: StatusCode,
    parts: &ResponseParts<'_>,
) -> Option<()> {
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
    core.send(flow, packet);
    Some(())
}

/// The a-leg of a call that has not been answered or refused.
fn offered_leg(core: &Core, call: Key) -> Result<Key, CommandError> {
    let a_leg = core.living_call(call)?.a_leg;
    match core.legs.get(a_leg).map(|leg| &leg.stage) {
        Some(Stage::Offered(_)) => Ok(a_leg),
        Some(_) | None => Err(CommandError::WrongState),
    }
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
    let parts = ResponseParts {
        body: answer,
        ..Default::default()
    };
    respond(core, now, a_leg, status, &parts).ok_or(CommandError::WrongState)
}

/// The `answer` command: 200, which is repeated until its ACK comes.
pub(crate) fn answer(
    core: &mut Core,
    now: Instant,
    call: Key,
    answer: &SessionDescription,
) -> Result<(), CommandError> {
    let a_leg = offered_leg(core, call)?;
    let leg = core.legs.get(a_leg).ok_or(CommandError::NoSuchLeg)?;
    let Stage::Offered(pending) = &leg.stage else {
        return Err(CommandError::WrongState);
    };
    let answer = Answer {
        pending: pending.clone(),
        body: answer,
        is_first: true,
    };
    acknowledge::answer(core, now, a_leg, &answer).ok_or(CommandError::WrongState)
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
    call::end(
        core,
        now,
        call,
        by,
        EndCause::Refused(status),
        status,
        refusal,
    );
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
    core.change(key, Leg::set_over);
}
