//! The UAS core: what a request of the peer's is, and who answers it (RFC 3261 §8.2, §12.2.2).
//!
//! Owns inspection and dispatch, and the refusals that keep no state.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::core::{Core, User};
use super::leg::Stage;
use super::{
    acknowledge, bye, cancel, compose, info, offered, options, overload, prack, registrar, reoffer,
    session_timer, update,
};
use crate::error::{DropReason, ProtocolError};
use crate::event::Flow;
use crate::identifier::Identifier;
use crate::message::{HeaderName, Message, Method, Scheme, StatusCode, Via};
use crate::table::Key;
use crate::transaction::layer::{Packet, RequestStep};
use crate::transaction::matching::RequestIdentity;
use crate::transport::via;

/// A validated request.
#[derive(Debug)]
pub(super) struct Request<'a> {
    /// When it came.
    pub(super) at: Instant,
    /// The path it came by.
    pub(super) flow: Flow,
    /// The message.
    pub(super) message: &'a Message<'a>,
    /// Its method.
    pub(super) method: Method,
    /// What it is matched by.
    pub(super) identity: RequestIdentity<'a>,
    top_via: Via<'a>,
}

/// The server transaction of a request that is answered at once, or none where the table is full.
#[derive(Debug, Clone, Copy)]
pub(super) struct Responder(Option<Key>);

impl<'a> Request<'a> {
    fn new(at: Instant, flow: Flow, message: &'a Message<'a>) -> Option<Self> {
        let top_via = message.top_via()?;
        let method = message.method()?;
        let crate::message::StartLine::Request {
            method: name, uri, ..
        } = message.start_line()
        else {
            return None;
        };
        let identity = RequestIdentity {
            branch: top_via.branch().unwrap_or_default(),
            host: top_via.host().as_bytes(),
            port: top_via.port().unwrap_or(5060),
            method: if method == Method::Ack {
                b"INVITE"
            } else {
                name
            },
            from_tag: message.from()?.tag().unwrap_or_default(),
            to_tag: message.to()?.tag().unwrap_or_default(),
            call_id: message.call_id()?,
            cseq: message.cseq()?.number,
            request_uri: uri,
        };
        Some(Self {
            at,
            flow,
            message,
            method,
            identity,
            top_via,
        })
    }

    /// Where its responses go.
    pub(super) fn response_flow(&self) -> Flow {
        via::response_flow(self.flow, &self.top_via)
    }

    /// The octets, to be kept.
    pub(super) fn to_packet(&self) -> Packet {
        Arc::from(self.message.as_bytes())
    }
}

/// A request arrived.
pub(super) fn handle_request(core: &mut Core, now: Instant, flow: Flow, message: &Message<'_>) {
    if let Err(invalid) = message.validate() {
        if let (Some(status), Some(via)) = (invalid.answer, message.top_via()) {
            refuse_malformed(core, flow, message, &via, status, invalid.defect.reason());
        }
        core.discard(flow, DropReason::Malformed(invalid.defect));
        return;
    }
    let Some(request) = Request::new(now, flow, message) else {
        return;
    };
    let is_ack = request.method == Method::Ack;
    if let Some(key) = core.transactions.match_request(&request.identity) {
        core.touched = core.transactions.user(key).and_then(User::leg);
        match core.transactions.handle_request(now, key, is_ack) {
            RequestStep::Absorb => {}
            RequestStep::Send(flow, packet) => core.repeat(flow, packet),
            RequestStep::Deliver(_) => acknowledge::handle_ack(core, now, &request),
        }
        return;
    }
    match request.method {
        Method::Ack => acknowledge::handle_ack(core, now, &request),
        Method::Cancel => cancel::handle_cancel(core, now, &request),
        Method::Invite
        | Method::Bye
        | Method::Options
        | Method::Register
        | Method::Prack
        | Method::Update
        | Method::Info
        | Method::Refer
        | Method::Subscribe
        | Method::Notify
        | Method::Message
        | Method::Publish
        | Method::Other(_) => {
            if request.identity.to_tag.is_empty() {
                outside_dialog(core, now, &request);
            } else {
                within_dialog(core, now, &request);
            }
        }
    }
}

/// A request without a tag in To (RFC 3261 §8.2).
fn outside_dialog(core: &mut Core, now: Instant, request: &Request<'_>) {
    use ProtocolError as Error;
    match &request.method {
        Method::Invite | Method::Options => {}
        Method::Register if core.config.allow.contains(&Method::Register) => {}
        Method::Refer => return refuse(core, request, StatusCode::FORBIDDEN, Error::Refer),
        Method::Bye | Method::Notify => return refuse_unknown_dialog(core, request),
        Method::Ack
        | Method::Cancel
        | Method::Register
        | Method::Prack
        | Method::Update
        | Method::Info
        | Method::Subscribe
        | Method::Message
        | Method::Publish
        | Method::Other(_) => return refuse_method(core, request),
    }
    let scheme = request.message.request_uri().map(|uri| uri.scheme());
    let is_served = matches!(scheme, Some(Scheme::Sip | Scheme::Sips | Scheme::Tel));
    if !is_served && !overload::is_emergency(core, request) {
        return refuse(
            core,
            request,
            StatusCode::UNSUPPORTED_URI_SCHEME,
            Error::UriScheme,
        );
    }
    if is_too_much(core, request) {
        return;
    }
    if core.transactions.is_merged(&request.identity) {
        return refuse(
            core,
            request,
            StatusCode::LOOP_DETECTED,
            Error::MergedRequest,
        );
    }
    if is_loop(core, request) {
        return refuse(core, request, StatusCode::LOOP_DETECTED, Error::Loop);
    }
    if requires_extension(core, request) {
        return;
    }
    if request.method == Method::Options {
        options::answer(core, request, true);
    } else if request.method == Method::Register {
        registrar::handle_register(core, now, request);
    } else {
        offered::handle_invite(core, now, request);
    }
}

/// In overload a new INVITE gets 503, before anything is looked up for it.
fn is_too_much(core: &mut Core, request: &Request<'_>) -> bool {
    let (wait, error) = match (core.overloaded, core.origin.is_too_fast) {
        (Some(wait), _) => (wait, ProtocolError::Overloaded),
        (None, true) => (overload::FAST_WAIT, ProtocolError::CallerRate),
        (None, false) => return false,
    };
    if request.method != Method::Invite || overload::is_urgent(core, request) {
        return false;
    }
    refuse_for(core, request, wait, error);
    true
}

/// A request with a tag in To (RFC 3261 §12.2.2).
fn within_dialog(core: &mut Core, now: Instant, request: &Request<'_>) {
    let Some(key) = find_leg(core, request) else {
        return refuse_unknown_dialog(core, request);
    };
    core.touched = Some(key);
    debug_assert!(core.legs.get(key).is_some(), "a tag leads to its leg");
    if let Some(leg) = core.legs.get_mut(key) {
        leg.adopt_flow(request.flow);
    }
    if request.method == Method::Bye && requires_nothing(core, request) {
        return bye::handle_bye(core, now, request, key);
    }
    let in_order = core.legs.get_mut(key).map(|leg| match leg.stage {
        Stage::Local | Stage::Leaving | Stage::Over => None,
        // Each fork counts for itself.
        Stage::Attempting(_) | Stage::Offered(_) | Stage::Confirmed => leg
            .dialog_mut(request.identity.from_tag)
            .map(|dialog| dialog.take_remote_cseq(request.identity.cseq)),
    });
    match in_order.flatten() {
        None => return refuse_unknown_dialog(core, request),
        Some(false) => {
            let status = StatusCode::SERVER_INTERNAL_ERROR;
            return refuse(core, request, status, ProtocolError::LowCseq);
        }
        Some(true) => {}
    }
    if requires_extension(core, request) {
        return;
    }
    let is_target_refresh = matches!(request.method, Method::Invite | Method::Update);
    if is_target_refresh && session_timer::refuses(core, request, key) {
        return;
    }
    match &request.method {
        Method::Info if core.config.allow.contains(&Method::Info) => {
            info::handle_info(core, now, request, key);
        }
        Method::Invite => reoffer::handle_invite(core, now, request, key),
        Method::Options => options::answer(core, request, false),
        Method::Refer => refuse(core, request, StatusCode::DECLINE, ProtocolError::Refer),
        Method::Notify => refuse_unknown_dialog(core, request),
        Method::Prack => prack::handle_prack(core, now, request, key),
        Method::Update => update::handle_update(core, now, request, key),
        Method::Ack
        | Method::Bye
        | Method::Cancel
        | Method::Register
        | Method::Info
        | Method::Subscribe
        | Method::Message
        | Method::Publish
        | Method::Other(_) => refuse_method(core, request),
    }
}

/// The leg of a request within a dialog: our tag finds it, Call-ID and the peer's tag must agree.
pub(super) fn find_leg(core: &Core, request: &Request<'_>) -> Option<Key> {
    let tag = std::str::from_utf8(request.identity.to_tag).ok()?;
    let key = *core.tags.get(&Identifier::from(tag).ok()?)?;
    let leg = core.legs.get(key)?;
    (*leg.dialog.call_id == *request.identity.call_id
        && leg.has_remote_tag(request.identity.from_tag))
    .then_some(key)
}

/// One of the Vias below the top is ours and still open. A proxy that sends it back keeps CSeq.
fn is_loop(core: &Core, request: &Request<'_>) -> bool {
    request
        .message
        .elements(&HeaderName::Via)
        .skip(1)
        .any(|element| {
            Via::parse(element)
                .and_then(|via| via.branch())
                .and_then(|branch| {
                    core.transactions
                        .match_response(branch, request.identity.cseq, false)
                })
                .is_some()
        })
}

/// Extensions that a request may require (RFC 3261 §8.2.2.3). A session timer that is off is not
/// understood: nobody would refresh.
fn is_understood(core: &Core, tag: &[u8]) -> bool {
    let is_it = |known: &str| known.as_bytes().eq_ignore_ascii_case(tag);
    let has_timer = core.config.session_timer.is_some();
    tag.is_empty() || is_it(prack::OPTION_TAG) || (has_timer && is_it(session_timer::OPTION_TAG))
}

fn requires_nothing(core: &Core, request: &Request<'_>) -> bool {
    request
        .message
        .elements(&HeaderName::Require)
        .all(|tag| is_understood(core, tag))
}

/// Answers 420 where the request requires an extension.
fn requires_extension(core: &mut Core, request: &Request<'_>) -> bool {
    let tags: Vec<&[u8]> = request
        .message
        .elements(&HeaderName::Require)
        .filter(|tag| !is_understood(core, tag))
        .collect();
    if tags.is_empty() {
        return false;
    }
    let headers = [(HeaderName::Unsupported, &*tags.join(&b", "[..]))];
    let status = StatusCode::BAD_EXTENSION;
    refuse_with(core, request, status, &headers, ProtocolError::Extension);
    true
}

fn refuse_method(core: &mut Core, request: &Request<'_>) {
    let (status, error) = match request.method {
        Method::Other(_) => (StatusCode::NOT_IMPLEMENTED, ProtocolError::MethodUnknown),
        Method::Subscribe => (StatusCode::BAD_EVENT, ProtocolError::EventPackage),
        Method::Invite
        | Method::Ack
        | Method::Bye
        | Method::Cancel
        | Method::Options
        | Method::Register
        | Method::Prack
        | Method::Update
        | Method::Info
        | Method::Refer
        | Method::Notify
        | Method::Message
        | Method::Publish => (
            StatusCode::METHOD_NOT_ALLOWED,
            ProtocolError::MethodNotAllowed,
        ),
    };
    let allow = core.allow.clone();
    refuse_with(
        core,
        request,
        status,
        &[(HeaderName::Allow, allow.as_bytes())],
        error,
    );
}

pub(super) fn refuse_unknown_dialog(core: &mut Core, request: &Request<'_>) {
    let status = StatusCode::CALL_TRANSACTION_DOES_NOT_EXIST;
    refuse(core, request, status, ProtocolError::NoDialog);
}

/// Refuses. Without state, one datagram (RFC 3261 §8.2.7); but what can carry an offer within a dialog
/// by a transaction: its repetition gets the same refusal, although it might be taken by then, and the
/// refusal of an INVITE that is lost is sent again until its ACK (§17.2.1).
pub(super) fn refuse(
    core: &mut Core,
    request: &Request<'_>,
    status: StatusCode,
    error: ProtocolError,
) {
    refuse_with(core, request, status, &[], error);
}

/// Refuses for want of room: 503. Calls end all the time, so a moment later there may be some.
pub(super) fn refuse_overloaded(core: &mut Core, request: &Request<'_>, error: ProtocolError) {
    refuse_for(core, request, overload::FULL_WAIT, error);
}

/// 503 with a Retry-After between `wait` and two and a half times as much, so that not all come back
/// at once; the same request gets the same.
fn refuse_for(core: &mut Core, request: &Request<'_>, wait: Duration, error: ProtocolError) {
    let wait_s = overload::retry_after_s(wait, core.stateless_hash(request));
    debug_assert!(wait_s > 0, "nobody is asked back at once");
    let wait = wait_s.to_string();
    let headers = [(HeaderName::RetryAfter, wait.as_bytes())];
    let status = StatusCode::SERVICE_UNAVAILABLE;
    refuse_with(core, request, status, &headers, error);
}

/// The same with headers that belong to the status.
pub(super) fn refuse_with(
    core: &mut Core,
    request: &Request<'_>,
    status: StatusCode,
    headers: &[(HeaderName, &[u8])],
    error: ProtocolError,
) {
    debug_assert!(status.is_failure(), "a refusal is no answer");
    let parts = compose::ResponseParts {
        headers,
        ..Default::default()
    };
    let is_judged_once = matches!(
        request.method,
        Method::Invite | Method::Update | Method::Prack
    ) && find_leg(core, request).is_some();
    let responder = if is_judged_once {
        Responder::start(core, request)
    } else {
        Responder::STATELESS
    };
    responder.respond_with(core, request.at, request, status, parts);
    core.discard_for(request.flow, error);
}

/// Answers without state.
pub(super) fn respond_stateless(
    core: &mut Core,
    request: &Request<'_>,
    status: StatusCode,
    parts: compose::ResponseParts<'_>,
) {
    debug_assert!(
        !status.is_provisional(),
        "without state there is one answer"
    );
    let identity = &request.identity;
    let tag = core.stateless_tag(identity.call_id, identity.from_tag, identity.branch);
    let to_tag = identity.to_tag.is_empty().then_some(tag.as_str());
    let parts = compose::ResponseParts { to_tag, ..parts };
    let packet = compose::response(core, request.message, request.flow, status, &parts);
    core.send(request.response_flow(), packet);
}

fn refuse_malformed(
    core: &mut Core,
    flow: Flow,
    message: &Message<'_>,
    top_via: &Via<'_>,
    status: StatusCode,
    reason: &str,
) {
    debug_assert!(status.is_failure(), "what is malformed is refused");
    debug_assert!(!reason.is_empty(), "and told why");
    let has_tag = message.to().is_some_and(|to| to.tag().is_some());
    let call_id = message.value(&HeaderName::CallId).unwrap_or_default();
    let tag = core.stateless_tag(call_id, b"", top_via.branch().unwrap_or_default());
    let to_tag = (!has_tag).then_some(tag.as_str());
    let parts = compose::ResponseParts {
        reason: Some(reason),
        to_tag,
        ..Default::default()
    };
    let packet = compose::response(core, message, flow, status, &parts);
    core.send(via::response_flow(flow, top_via), packet);
}

impl Responder {
    /// Answers once and keeps nothing.
    const STATELESS: Self = Self(None);

    /// A transaction that repeats the answer, where the table has room.
    pub(super) fn start(core: &mut Core, request: &Request<'_>) -> Self {
        Self(core.start_server(request, false, User::Nobody).ok())
    }

    /// Answers, by the transaction or without it.
    pub(super) fn respond(
        self,
        core: &mut Core,
        now: Instant,
        request: &Request<'_>,
        status: StatusCode,
        to_tag: Option<&str>,
    ) {
        let parts = compose::ResponseParts {
            to_tag,
            ..Default::default()
        };
        self.respond_with(core, now, request, status, parts);
    }

    /// The same with headers that belong to the status.
    pub(super) fn respond_with(
        self,
        core: &mut Core,
        now: Instant,
        request: &Request<'_>,
        status: StatusCode,
        parts: compose::ResponseParts<'_>,
    ) {
        match self.0 {
            Some(key) => {
                let packet = compose::response(core, request.message, request.flow, status, &parts);
                if let Some(flow) = core.transactions.respond(now, key, status.code(), &packet) {
                    core.send(flow, packet);
                }
            }
            None => respond_stateless(core, request, status, parts),
        }
    }
}
