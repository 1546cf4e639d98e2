//! BYE, received and sent (RFC 3261 §15).
//!
//! Owns the end of a dialog. That the other side ends too is in `call`.

use std::time::Instant;

use super::call;
use super::compose::{self, RequestParts};
use super::core::{Core, User};
use super::leg::{Leg, Reoffer, Side, Stage};
use super::uas::{self, Request, Responder};
use super::{acknowledge, challenge, modify, offered, reason, reoffer};
use crate::error::ProtocolError;
use crate::event::{EndCause, Refusal, ReleaseParty};
use crate::message::{HeaderName, Message, Method, StatusCode};
use crate::table::Key;
use crate::transaction::layer::{ClientIdentity, ClientKind};

/// A BYE within the dialog of this leg: answered at once, whatever else is pending.
pub(super) fn handle_bye(core: &mut Core, now: Instant, request: &Request<'_>, key: Key) {
    let Some(leg) = core.legs.get_mut(key) else {
        return;
    };
    let (call, side) = (leg.call, leg.side);
    // The callee must not end an early dialog by BYE (§15), and what is over is over.
    if matches!(leg.stage, Stage::Attempting(_) | Stage::Local | Stage::Over) {
        return uas::refuse_unknown_dialog(core, request);
    }
    if !leg.dialog.take_remote_cseq(request.identity.cseq) {
        let status = StatusCode::SERVER_INTERNAL_ERROR;
        return uas::refuse(core, request, status, ProtocolError::LowCseq);
    }
    let is_early = matches!(leg.stage, Stage::Offered(_));
    let is_crossing = matches!(leg.stage, Stage::Leaving);
    let responder = Responder::start(core, request);
    responder.respond(core, now, request, StatusCode::OK, None);
    if is_crossing {
        return;
    }
    let reason = reason::of(request.message);
    let by = match side {
        Side::A => ReleaseParty::Originating,
        Side::B => ReleaseParty::Terminating,
    };
    if is_early {
        let status = StatusCode::REQUEST_TERMINATED;
        offered::send_refusal(core, now, key, status, &Refusal::default());
        return call::end_with_reason(core, now, call, by, EndCause::Cancelled, reason);
    }
    reoffer::terminate_received(core, now, key);
    finish(core, key);
    call::end_with_reason(core, now, call, by, EndCause::Bye, reason);
    call::finish_leg(core, key);
}

/// Ends a confirmed dialog from our side. As the callee's side of a 2xx that is not acknowledged,
/// we wait for the ACK or 64·T1 (§15).
pub(super) fn send(core: &mut Core, now: Instant, key: Key, refusal: &Refusal) {
    debug_assert!(
        core.legs.get(key).is_none_or(Leg::is_confirmed),
        "only a dialog is ended by BYE (§15)"
    );
    acknowledge::decline_offer(core, key);
    let waits = core.change(key, |leg| {
        if matches!(leg.reoffer, Reoffer::Retrying { .. }) {
            leg.reoffer = Reoffer::Idle;
        }
        match &mut leg.unacknowledged {
            Some(wait) if wait.is_first => {
                wait.bye_after.get_or_insert_with(|| refusal.clone());
                true
            }
            Some(_) | None => {
                leg.unacknowledged = None;
                leg.stage = Stage::Leaving;
                false
            }
        }
    });
    debug_assert!(
        core.legs.get(key).is_none_or(|leg| match waits {
            Some(true) => leg.is_confirmed(),
            Some(false) | None => matches!(leg.stage, Stage::Leaving),
        }),
        "it leaves now, or after the ACK (§15)"
    );
    if waits == Some(false) {
        send_now(core, now, key, refusal, None);
    }
}

fn send_now(
    core: &mut Core,
    now: Instant,
    key: Key,
    refusal: &Refusal,
    authorization: Option<(HeaderName, Box<[u8]>)>,
) {
    let Some(leg) = core.legs.get_mut(key) else {
        return;
    };
    let cseq = leg.dialog.next_local_cseq();
    if authorization.is_some() {
        // One answer to a challenge a leg.
        leg.credentials = None;
    }
    let branch = core.identifiers.branch();
    let headers: Vec<_> = authorization.into_iter().collect();
    let parts = RequestParts {
        refusal: Some(refusal),
        headers: &headers,
        ..RequestParts::new(&Method::Bye, cseq, &branch)
    };
    let Some(sent) = compose::request_of(core, key, &parts) else {
        return;
    };
    let identity = ClientIdentity { branch, cseq };
    let user = User::Bye(key);
    if !core.send_anyway(now, ClientKind::NonInvite, identity, sent, user) {
        finish(core, key);
        call::finish_leg(core, key);
    }
}

/// The answer to our BYE; whatever it is, the dialog is gone (§15.1.1), but a challenge is tried
/// once.
pub(super) fn handle_response(
    core: &mut Core,
    now: Instant,
    key: Key,
    response: &Message<'_>,
    status: StatusCode,
) {
    if status.is_provisional() {
        return;
    }
    let header = challenge::authorization(core, key, &Method::Bye, response, status);
    if header.is_some() {
        return send_now(core, now, key, &Refusal::default(), header);
    }
    finish(core, key);
}

/// The dialog of this leg is gone. What we asked within it is not waited for.
pub(super) fn finish(core: &mut Core, key: Key) {
    modify::forget_sent(core, key);
    acknowledge::decline_offer(core, key);
    core.change(key, Leg::set_over);
    debug_assert!(
        core.legs.get(key).is_none_or(|leg| leg.token.is_none()),
        "nothing of a dialog outlives it"
    );
}
