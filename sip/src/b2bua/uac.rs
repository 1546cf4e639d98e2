//! The UAC core: which request of ours a response answers (RFC 3261 §8.1.3).
//!
//! Owns matching, the ACK of failures, and dispatch to the files that sent the request.

use std::sync::Arc;
use std::time::Instant;

use super::core::{Core, User};
use super::{attempt, bye, compose, info, modify, options, prack, register, session_timer};
use crate::error::{DropReason, ProtocolError};
use crate::event::{AttemptFailure, Flow, RegisterOutcome};
use crate::message::{HeaderName, Message, Method, StatusCode};
use crate::table::Key;
use crate::transaction::layer::ResponseStep;
use crate::transport::via;

/// A response arrived.
pub(super) fn handle_response(core: &mut Core, now: Instant, flow: Flow, message: &Message<'_>) {
    if let Err(invalid) = message.validate() {
        return core.discard(flow, DropReason::Malformed(invalid.defect));
    }
    let (Some(top_via), Some(cseq), Some(status)) =
        (message.top_via(), message.cseq(), message.status())
    else {
        return;
    };
    let is_cancel = cseq.method == Method::Cancel;
    let key = top_via.branch().and_then(|branch| {
        core.transactions
            .match_response(branch, cseq.number, is_cancel)
    });
    let local = key
        .and_then(|key| core.transactions.flow(key))
        .unwrap_or(flow)
        .local;
    // More than one Via: it went astray below us (RFC 3261 §8.1.3.3).
    let is_only_via = message.elements(&HeaderName::Via).count() == 1;
    if !via::is_sent_by(&top_via, local) || !is_only_via {
        return core.discard_for(flow, ProtocolError::ForeignVia);
    }
    let Some(key) = key else {
        return core.discard_for(flow, ProtocolError::StrayResponse);
    };
    core.touched = core.transactions.user(key).and_then(User::leg);
    if let Some(leg) = core.touched.and_then(|key| core.legs.get_mut(key)) {
        leg.adopt_flow(flow);
    }
    match core.transactions.handle_response(now, key, status.code()) {
        ResponseStep::Absorb => {}
        ResponseStep::Send(flow, packet) => core.repeat(flow, packet),
        ResponseStep::Deliver(user) => deliver(core, now, user, key, message, status),
        ResponseStep::DeliverAndAcknowledge(user) => {
            acknowledge_failure(core, key, message);
            deliver(core, now, user, key, message, status);
        }
    }
}

/// RFC 3261 §17.1.1.3.
fn acknowledge_failure(core: &mut Core, key: Key, response: &Message<'_>) {
    let Some((flow, invite)) = core.transactions.request(key) else {
        return;
    };
    debug_assert!(
        invite.starts_with(b"INVITE "),
        "only an INVITE is acknowledged"
    );
    let to = response.value(&HeaderName::To);
    if let Some(ack) = compose::companion(core, &invite, &Method::Ack, to, None) {
        debug_assert!(ack.starts_with(b"ACK "), "a failure is acknowledged");
        core.transactions.set_acknowledgement(key, Arc::clone(&ack));
        core.send(flow, ack);
    }
}

fn deliver(
    core: &mut Core,
    now: Instant,
    user: User,
    transaction: Key,
    response: &Message<'_>,
    status: StatusCode,
) {
    match user {
        User::Invite(leg) => {
            attempt::handle_response(core, now, leg, transaction, response, status)
        }
        User::Reinvite(leg) => {
            modify::handle_response(core, now, leg, transaction, response, status);
        }
        User::Update(leg) => {
            modify::handle_response(core, now, leg, transaction, response, status);
        }
        User::Prack(leg) => prack::handle_response(core, now, leg, response, status),
        User::Refresh(leg) => {
            session_timer::handle_response(core, now, leg, transaction, response, status);
        }
        User::Info(leg) => info::handle_response(core, now, leg, response, status),
        User::Bye(leg) => bye::handle_response(core, now, leg, response, status),
        User::Ping(ping) => options::handle_response(core, ping, status),
        User::Register(key) => register::handle_response(core, now, key, response, status),
        User::Errand(_) | User::Leg(_) | User::Nobody => {}
    }
}

/// Timer B or F: no final response came. The caller releases the transaction afterwards.
pub(super) fn handle_timeout(core: &mut Core, now: Instant, user: User, transaction: Key) {
    match user {
        User::Invite(leg) => {
            let failure = AttemptFailure::NoResponse;
            attempt::fail(core, now, leg, transaction, failure, None);
        }
        User::Reinvite(leg) | User::Update(leg) => {
            modify::handle_lost(core, now, leg, transaction);
        }
        User::Bye(leg) => bye::finish(core, leg),
        User::Ping(ping) => options::end(core, ping, None),
        User::Register(key) => register::fail(core, key, RegisterOutcome::NoResponse),
        User::Refresh(leg) => session_timer::handle_lost(core, now, leg, transaction),
        User::Info(leg) => info::end(core, leg),
        User::Prack(_) | User::Errand(_) | User::Leg(_) | User::Nobody => {}
    }
}

/// A request could not be sent, which is as a 503 (RFC 3261 §8.1.3.1).
pub(super) fn handle_transport_failed(core: &mut Core, now: Instant, user: User, transaction: Key) {
    match user {
        User::Invite(leg) => {
            let failure = AttemptFailure::TransportFailed;
            attempt::fail(core, now, leg, transaction, failure, None);
        }
        User::Reinvite(leg) | User::Update(leg) => {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            modify::refused(core, now, leg, transaction, status);
        }
        User::Bye(leg) => bye::finish(core, leg),
        User::Ping(ping) => options::end(core, ping, None),
        User::Register(key) => register::fail(core, key, RegisterOutcome::TransportFailed),
        User::Refresh(leg) => session_timer::handle_unsent(core, now, leg, transaction),
        User::Info(leg) => info::end(core, leg),
        User::Prack(_) | User::Errand(_) | User::Leg(_) | User::Nobody => {}
    }
}
