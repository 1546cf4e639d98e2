//! REGISTER as a server: the request is handed out, and its answer sent (RFC 3261 §10.3).
//!
//! Owns the request while it waits. Who may register, and where the bindings are, is the affair of
//! the registrar outside. Path (RFC 3327) is not supported, and so read over.

use std::time::Instant;

use super::compose::{self, ResponseParts};
use super::core::{Core, Owner, User};
use super::offered;
use super::uas::{self, Request};
use crate::deadline::Token;
use crate::error::{CommandError, ProtocolError};
use crate::event::{Event, Flow, RegisterOffered, RegisterRequestKey, RegisteredContact};
use crate::limits::REGISTERED_CONTACTS_MAX;
use crate::message::{self, HeaderName, Message, StatusCode};
use crate::table::Key;
use crate::transaction::layer::Packet;

/// A REGISTER of a peer's that waits for its answer.
#[derive(Debug)]
pub(crate) struct RegisterRequest {
    transaction: Key,
    packet: Packet,
    flow: Flow,
    has_authorization: bool,
    token: Option<Token>,
}

impl RegisterRequest {
    pub(super) const fn token(&self) -> Option<Token> {
        self.token
    }

    pub(super) const fn transaction(&self) -> Key {
        self.transaction
    }
}

/// A REGISTER outside a dialog.
pub(super) fn handle_register(core: &mut Core, now: Instant, request: &Request<'_>) {
    let Some(offered) = offered_of(request) else {
        let error = ProtocolError::RegisterContacts;
        return uas::refuse(core, request, StatusCode::BAD_REQUEST, error);
    };
    if core.register_requests.is_full() {
        return uas::refuse_overloaded(core, request, ProtocolError::RegistersFull);
    }
    let started = core.start_server(request, true, User::Nobody);
    let Ok(transaction) = started else {
        return uas::refuse_overloaded(core, request, ProtocolError::TransactionsFull);
    };
    let waiting = RegisterRequest {
        transaction,
        packet: request.to_packet(),
        flow: request.flow,
        has_authorization: !offered.authorization.is_empty(),
        token: None,
    };
    let Ok(key) = core.register_requests.insert(waiting) else {
        debug_assert!(false, "there was room");
        return;
    };
    // Before the peer gives up, so that it still hears of it.
    let timers = core.config.timers;
    let wait = timers.transaction_timeout().saturating_sub(timers.t2 * 2);
    let give_up_at = now + wait;
    if let Some(waiting) = core.register_requests.get_mut(key) {
        let owner = Owner::RegisterRequest(key);
        core.deadlines
            .set(&mut waiting.token, owner, Some(give_up_at));
    }
    core.counters.registers_offered += 1;
    core.emit(Event::RegisterOffered {
        request: RegisterRequestKey(key),
        offered: Box::new(offered),
    });
}

/// `None` where the contacts are not what RFC 3261 §10.3 step 6 lets them be.
fn offered_of(request: &Request<'_>) -> Option<RegisterOffered> {
    const SHOWN: [HeaderName; 1] = [HeaderName::UserAgent];
    let message = request.message;
    let expires = message.expires_s();
    let star = message.contact_is_star();
    let contacts = if star {
        Vec::new()
    } else {
        contacts_of(message)?
    };
    let is_allowed = !star || expires == Some(0);
    is_allowed.then_some(())?;
    Some(RegisterOffered {
        flow: request.flow,
        request_uri: message.request_uri()?.to_uri(),
        aor: message.to()?.uri().to_uri(),
        contacts,
        star,
        expires,
        authorization: offered::authorizations(message),
        call_id: request.identity.call_id.into(),
        cseq: request.identity.cseq,
        headers: offered::shown_headers(message, &SHOWN, SHOWN.len()),
    })
}

fn contacts_of(message: &Message<'_>) -> Option<Vec<RegisteredContact>> {
    let count = message.elements(&HeaderName::Contact).count();
    let contacts: Vec<_> = message
        .addresses(&HeaderName::Contact)
        .take(REGISTERED_CONTACTS_MAX)
        .map(|address| RegisteredContact {
            uri: address.uri().to_uri(),
            expires: address.expires_s(),
            preference: address.preference(),
            address: address.to_name_addr(),
        })
        .collect();
    // A star beside others, one that is unreadable, or too many.
    (contacts.len() == count).then_some(contacts)
}

/// The `answer_register` command.
pub(crate) fn answer(
    core: &mut Core,
    now: Instant,
    key: Key,
    status: StatusCode,
    headers: &[(HeaderName, Box<[u8]>)],
) -> Result<(), CommandError> {
    conclude(core, now, (key, true), status, headers)
}

/// The `turn_away_register` command: one datagram, and nothing is kept (RFC 3261 §8.2.7).
pub(crate) fn turn_away(
    core: &mut Core,
    now: Instant,
    key: Key,
    status: StatusCode,
    headers: &[(HeaderName, Box<[u8]>)],
) -> Result<(), CommandError> {
    if !status.is_failure() {
        return Err(CommandError::StatusUnfit);
    }
    conclude(core, now, (key, false), status, headers)
}

fn conclude(
    core: &mut Core,
    now: Instant,
    (key, was_checked): (Key, bool),
    status: StatusCode,
    headers: &[(HeaderName, Box<[u8]>)],
) -> Result<(), CommandError> {
    if !status.is_final() {
        return Err(CommandError::StatusUnfit);
    }
    let waiting = take(core, key).ok_or(CommandError::NothingToAnswer)?;
    let Ok(request) = message::parse(&waiting.packet) else {
        debug_assert!(false, "what was read before can be read again");
        return Err(CommandError::NothingToAnswer);
    };
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.clone(), &**value))
        .collect();
    let call_id = request.call_id().unwrap_or_default();
    let branch = request.top_via().and_then(|via| via.branch());
    let tag = core.stateless_tag(call_id, b"", branch.unwrap_or_default());
    let parts = ResponseParts {
        to_tag: Some(tag.as_str()),
        headers: &headers,
        ..Default::default()
    };
    let packet = compose::response(core, &request, waiting.flow, status, &parts);
    let code = status.code();
    let transaction = waiting.transaction;
    if let Some(flow) = core.transactions.respond(now, transaction, code, &packet) {
        core.send(flow, packet);
    }
    // Whoever only asks for a challenge, and does not come back, costs no memory: its repetition
    // gets another one. What was checked is remembered, so that a repetition is no second guess.
    let is_kept = was_checked && waiting.has_authorization;
    if status.is_failure() && !is_kept {
        core.transactions.remove(transaction);
    }
    Ok(())
}

fn take(core: &mut Core, key: Key) -> Option<RegisterRequest> {
    let mut waiting = core.register_requests.remove(key)?;
    let owner = Owner::RegisterRequest(key);
    core.deadlines.set(&mut waiting.token, owner, None);
    debug_assert!(waiting.token.is_none(), "its time runs no more");
    debug_assert!(!waiting.packet.is_empty(), "what waits can be answered");
    Some(waiting)
}

/// Nobody answered in time: 504.
pub(super) fn handle_deadline(core: &mut Core, now: Instant, key: Key) {
    let Some(waiting) = core.register_requests.get_mut(key) else {
        return;
    };
    waiting.token = None;
    let flow = waiting.flow;
    let answered = answer(core, now, key, StatusCode::SERVER_TIME_OUT, &[]);
    debug_assert!(answered.is_ok(), "what waits can be answered");
    core.discard_for(flow, ProtocolError::RegisterUnanswered);
}
