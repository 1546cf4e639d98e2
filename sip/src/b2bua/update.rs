//! UPDATE of the peer's (RFC 3311).
//!
//! Owns who may ask when. That an offer by UPDATE is answered, and our own UPDATE, is in `reoffer`,
//! where the rules of re-INVITE are the same.
//!
//! | leg | UPDATE with an offer | without one |
//! |---|---|---|
//! | a, no reliable answer acknowledged yet | 500, Retry-After (§5.2) | 200 |
//! | a, answered by a reliable response and its PRACK | `Reoffered` | 200 |
//! | b, no answer in a reliable response yet | 491 (§5.2) | 200 |
//! | b, answered by a reliable response | `Reoffered` | 200 |
//! | b, left | 481 | 481 |
//! | confirmed | `Reoffered` | 200 |
//! | any, an offer of the peer's waits | 500, Retry-After | 500, Retry-After where that came by UPDATE |
//! | any, an offer of ours waits | 491 | 200 |

use std::time::Instant;

use super::compose::ResponseParts;
use super::core::Core;
use super::leg::{OfferedBy, Reoffer, Stage};
use super::uas::{self, Request, Responder};
use super::{early, offered, reoffer, session_timer};
use crate::event::{CallKey, Event, LegKey};
use crate::message::{HeaderName, Message, StatusCode};
use crate::table::Key;

/// What Allow says of UPDATE; `None`: there is no Allow (RFC 3311 §4).
pub(super) fn allowed(message: &Message<'_>) -> Option<bool> {
    message.value(&HeaderName::Allow)?;
    Some(message.has_token(&HeaderName::Allow, "UPDATE"))
}

/// An UPDATE within the dialog of this leg.
pub(super) fn handle_update(core: &mut Core, now: Instant, request: &Request<'_>, key: Key) {
    let Some(offer) = offered::take_offer(core, request) else {
        return;
    };
    match (objection(core, key, request, offer.is_some()), offer) {
        (Some(StatusCode::CALL_TRANSACTION_DOES_NOT_EXIST), _) => {
            uas::refuse_unknown_dialog(core, request);
        }
        (Some(status), _) => reoffer::refuse_pending(core, request, status),
        (None, Some(offer)) => {
            reoffer::receive(core, now, request, key, (offer, OfferedBy::Update));
        }
        (None, None) => refresh(core, now, request, key),
    }
}

/// Why this UPDATE cannot be taken now.
fn objection(core: &Core, key: Key, request: &Request<'_>, has_offer: bool) -> Option<StatusCode> {
    let leg = core.legs.get(key)?;
    let (pending, impatient) = (
        Some(StatusCode::REQUEST_PENDING),
        Some(StatusCode::SERVER_INTERNAL_ERROR),
    );
    match (&leg.reoffer, has_offer) {
        (Reoffer::Received(before), _) if has_offer || before.by == OfferedBy::Update => {
            return impatient;
        }
        (Reoffer::Sent(_), true) => return pending,
        (Reoffer::Received(_) | Reoffer::Sent(_) | Reoffer::Idle | Reoffer::Retrying { .. }, _) => {
        }
    }
    match &leg.stage {
        Stage::Attempting(attempt) if attempt.left.is_some() => {
            Some(StatusCode::CALL_TRANSACTION_DOES_NOT_EXIST)
        }
        _ if !has_offer => None,
        Stage::Offered(_) => {
            let said = leg.provisional.as_ref();
            let is_answered = said.is_some_and(|said| said.is_answered);
            impatient.filter(|_| !is_answered)
        }
        Stage::Attempting(attempt) => {
            let tag = request.identity.from_tag;
            let is_answered = |early: &super::leg::EarlyDialog| {
                early.dialog.is_remote_tag(tag) && early.is_answered
            };
            pending.filter(|_| !attempt.early.iter().any(is_answered))
        }
        Stage::Confirmed => reoffer::objection(core, key),
        Stage::Local | Stage::Leaving | Stage::Over => {
            Some(StatusCode::CALL_TRANSACTION_DOES_NOT_EXIST)
        }
    }
}

/// Without an offer it names a new target, or who is connected.
fn refresh(core: &mut Core, now: Instant, request: &Request<'_>, key: Key) {
    reoffer::note_target(core, request.message, key, request.identity.from_tag);
    let Some(leg) = core.legs.get(key) else {
        return;
    };
    let (call, contact, is_confirmed) = (leg.call, leg.contact.clone(), leg.is_confirmed());
    let session = if is_confirmed {
        session_timer::accept(core, now, key, request.message)
    } else {
        None
    };
    let parts = ResponseParts {
        session,
        contact: Some(&contact),
        capabilities: true,
        ..Default::default()
    };
    let responder = Responder::start(core, request);
    responder.respond_with(core, now, request, StatusCode::OK, parts);
    let connected = early::connected_of(request.message);
    if core.living_call(call).is_err() {
        return;
    }
    if !connected.is_empty() {
        core.emit(Event::ConnectedChanged {
            call: CallKey(call),
            leg: LegKey(key),
            connected,
        });
    }
}
