//! INFO, both directions (RFC 6086, RFC 2976).
//!
//! Owns what is taken and how it is answered. What is in it, and whether it goes to the other leg, is
//! call control's affair.

use std::time::Instant;

use super::call;
use super::compose::{self, RequestParts};
use super::core::{Core, User};
use super::leg::Stage;
use super::uas::{self, Request, Responder};
use crate::error::{CommandError, ProtocolError};
use crate::event::{CallKey, EndCause, Event, LegKey, ReleaseParty};
use crate::limits::{INFO_BODY_SIZE_MAX, INFOS_PENDING_MAX};
use crate::message::{HeaderName, Message, Method, StatusCode};
use crate::table::Key;
use crate::transaction::layer::{ClientIdentity, ClientKind};

/// An INFO within the dialog of this leg, early or confirmed.
pub(super) fn handle_info(core: &mut Core, now: Instant, request: &Request<'_>, key: Key) {
    let message = request.message;
    let body = message.body();
    if body.len() > INFO_BODY_SIZE_MAX {
        let status = StatusCode::REQUEST_ENTITY_TOO_LARGE;
        return uas::refuse(core, request, status, ProtocolError::InfoTooLarge);
    }
    let Some(content_type) = type_of(core, message) else {
        let types = core.config.info_types.join(", ");
        let headers = [
            (HeaderName::Accept, types.as_bytes()),
            (HeaderName::AcceptEncoding, &b"identity"[..]),
        ];
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return uas::refuse_with(core, request, status, &headers, ProtocolError::MediaType);
    };
    let responder = Responder::start(core, request);
    responder.respond(core, now, request, StatusCode::OK, None);
    let Some(call) = core.legs.get(key).map(|leg| leg.call) else {
        return;
    };
    if core.living_call(call).is_ok() {
        core.emit(Event::InfoReceived {
            call: CallKey(call),
            leg: LegKey(key),
            content_type,
            body: body.into(),
        });
    }
}

/// The type of the body where it is one that is taken; an INFO without a body asks whether we live.
fn type_of(core: &Core, message: &Message<'_>) -> Option<Box<str>> {
    if message.body().is_empty() {
        return Some(Box::default());
    }
    let is_encoded = message
        .elements(&HeaderName::ContentEncoding)
        .any(|coding| !coding.eq_ignore_ascii_case(b"identity"));
    let (kind, subtype) = message.content_type()?;
    let text = [kind, b"/", subtype].concat().to_ascii_lowercase();
    let known = core
        .config
        .info_types
        .iter()
        .find(|known| known.as_bytes() == text)?;
    (!is_encoded).then(|| known.clone())
}

/// The `inform` command.
pub(crate) fn inform(
    core: &mut Core,
    now: Instant,
    call: Key,
    key: Key,
    content_type: &str,
    body: &[u8],
) -> Result<(), CommandError> {
    let leg = core.living_leg(call, key)?;
    if !matches!(leg.stage, Stage::Confirmed) {
        return Err(CommandError::WrongState);
    }
    if leg.infos_pending >= INFOS_PENDING_MAX || body.len() > INFO_BODY_SIZE_MAX {
        return Err(CommandError::LimitReached);
    }
    send(core, now, key, content_type, body).ok_or(CommandError::LimitReached)
}

fn send(core: &mut Core, now: Instant, key: Key, content_type: &str, body: &[u8]) -> Option<()> {
    let leg = core.legs.get_mut(key)?;
    debug_assert!(leg.is_confirmed(), "INFO stands within a dialog");
    debug_assert!(leg.infos_pending < INFOS_PENDING_MAX, "the bound holds");
    debug_assert!(body.len() <= INFO_BODY_SIZE_MAX, "and that of the body");
    let cseq = leg.dialog.next_local_cseq();
    let branch = core.identifiers.branch();
    let parts = RequestParts {
        content: Some((content_type, body)).filter(|(_, body)| !body.is_empty()),
        ..RequestParts::new(&Method::Info, cseq, &branch)
    };
    let sent = compose::request_of(core, key, &parts)?;
    let identity = ClientIdentity { branch, cseq };
    let user = User::Info(key);
    core.start_client(now, ClientKind::NonInvite, identity, sent, user)
        .ok()?;
    let leg = core.legs.get_mut(key)?;
    leg.infos_pending += 1;
    debug_assert!(leg.infos_pending <= INFOS_PENDING_MAX, "the bound holds");
    Some(())
}

/// The answer to our INFO. Only 481 says that the dialog is gone: there are peers that never answer
/// one, and a call does not end for a digit. Deviation: RFC 3261 §12.2.1.2 would end it for 408 and
/// silence too; session timers find a dead peer.
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
    end(core, key);
    debug_assert!(
        response.status() == Some(status),
        "the response and its status"
    );
    let leg = core.legs.get(key).filter(|leg| leg.is_confirmed());
    if let (StatusCode::CALL_TRANSACTION_DOES_NOT_EXIST, Some(leg)) = (status, leg) {
        let call = leg.call;
        call::end_by(core, now, call, ReleaseParty::Gateway, EndCause::DialogLost);
    }
}

/// Our INFO has ended, whatever came of it.
pub(super) fn end(core: &mut Core, key: Key) {
    if let Some(leg) = core.legs.get_mut(key) {
        debug_assert!(leg.infos_pending > 0, "every one was counted");
        leg.infos_pending = leg.infos_pending.saturating_sub(1);
    }
}
