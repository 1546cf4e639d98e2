//! CANCEL, received and sent (RFC 3261 §9).
//!
//! Owns the two messages. What a cancelled attempt does with its final response is in `attempt`.

use std::time::Instant;

use super::call;
use super::compose;
use super::core::{Core, User};
use super::leg::{Reoffer, Stage};
use super::uas::{self, Request, Responder};
use super::{offered, reason, reoffer};
use crate::error::ProtocolError;
use crate::event::{CallKey, EndCause, Event, LegKey, Refusal, ReleaseParty};
use crate::identifier::Identifier;
use crate::message::{self, Method, StatusCode};
use crate::table::Key;
use crate::transaction::layer::{ClientIdentity, ClientKind};
use crate::transaction::matching::RequestIdentity;

/// A CANCEL of the peer's: 200 where an INVITE matches, and 487 to that INVITE where it has no
/// final response yet (RFC 3261 §9.2).
pub(super) fn handle_cancel(core: &mut Core, now: Instant, request: &Request<'_>) {
    let invite = RequestIdentity {
        method: b"INVITE",
        ..request.identity
    };
    let matched = core.transactions.match_request(&invite);
    let Some(transaction) = matched else {
        let status = StatusCode::CALL_TRANSACTION_DOES_NOT_EXIST;
        return uas::refuse(core, request, status, ProtocolError::StrayCancel);
    };
    let leg = core.transactions.user(transaction).and_then(User::leg);
    core.touched = leg;
    let tag = leg
        .and_then(|key| core.legs.get(key))
        .map(|leg| leg.dialog.local_tag);
    let to_tag = if request.identity.to_tag.is_empty() {
        tag.as_deref()
    } else {
        None
    };
    let responder = Responder::start(core, request);
    responder.respond(core, now, request, StatusCode::OK, to_tag);
    let Some(key) = leg else { return };
    let Some(leg) = core.legs.get(key) else {
        return;
    };
    let call = leg.call;
    match (&leg.stage, &leg.reoffer) {
        (Stage::Offered(pending), _) if pending.transaction == transaction => {
            let status = StatusCode::REQUEST_TERMINATED;
            offered::send_refusal(core, now, key, status, &Refusal::default());
            let by = ReleaseParty::Originating;
            let reason = reason::of(request.message);
            call::end_with_reason(core, now, call, by, EndCause::Cancelled, reason);
        }
        (_, Reoffer::Received(pending)) if pending.transaction == transaction => {
            reoffer::terminate_received(core, now, key);
            core.emit(Event::ReofferCancelled {
                call: CallKey(call),
                leg: LegKey(key),
            });
        }
        // It was answered before the CANCEL came: no effect.
        _ => {}
    }
}

/// Sends the CANCEL of an INVITE of ours that has had a provisional response.
pub(super) fn send(
    core: &mut Core,
    now: Instant,
    leg: Key,
    invite: Key,
    refusal: Option<&Refusal>,
) {
    let Some((flow, packet)) = core.transactions.request(invite) else {
        return;
    };
    debug_assert!(
        packet.starts_with(b"INVITE "),
        "nothing else is cancelled (RFC 3261 §9.1)"
    );
    let Some(identity) = identity_of(&packet) else {
        return;
    };
    let cancel = compose::companion(core, &packet, &Method::Cancel, None, refusal);
    let Some(cancel) = cancel else { return };
    debug_assert!(
        cancel.starts_with(b"CANCEL "),
        "the same but for the method"
    );
    core.send_anyway(
        now,
        ClientKind::Cancel,
        identity,
        (flow, cancel),
        User::Errand(leg),
    );
}

fn identity_of(invite: &[u8]) -> Option<ClientIdentity> {
    let message = message::parse(invite).ok()?;
    let branch = message.top_via()?.branch()?;
    let branch = Identifier::from(std::str::from_utf8(branch).ok()?).ok()?;
    Some(ClientIdentity {
        branch,
        cseq: message.cseq()?.number,
    })
}
