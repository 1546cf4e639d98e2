//! How our requests and responses are written.
//!
//! Owns the order of headers. Every message ends in the scratch buffer of the core and comes back
//! as the packet that is sent and, where a machine repeats it, kept.

use std::sync::Arc;
use std::time::Duration;

use super::core::Core;
use super::prack;
use crate::dialog::Dialog;
use crate::dialog::route_set::RouteValue;
use crate::event::{Flow, Refusal, Reliable, Transport};
use crate::identifier::Identifier;
use crate::limits::MAX_FORWARDS_DEFAULT;
use crate::message::{self, HeaderName, Message, MessageWriter, Method, StatusCode};
use crate::sdp::SessionDescription;
use crate::session_timer::{Agreement, Asked, OPTION_TAG, Refresher};
use crate::table::Key;
use crate::transaction::layer::Packet;
use crate::transport::via;

/// CSeq number of a request outside a dialog.
pub(super) const PING_CSEQ: u32 = 1;

/// The media type of a session description.
pub(super) const SDP_TYPE: &str = "application/sdp";

/// What a response has beside what it copies.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ResponseParts<'a> {
    /// The reason phrase, where not that of the status.
    pub(super) reason: Option<&'a str>,
    /// Our tag, where the request had none.
    pub(super) to_tag: Option<&'a str>,
    /// Our Contact.
    pub(super) contact: Option<&'a str>,
    /// Copy Record-Route (RFC 3261 §12.1.1).
    pub(super) makes_dialog: bool,
    /// Write Allow, Accept and Supported.
    pub(super) capabilities: bool,
    /// Further headers.
    pub(super) headers: &'a [(HeaderName, &'a [u8])],
    /// Retry-After, Warning, Reason.
    pub(super) refusal: Option<&'a Refusal>,
    /// What a 2xx agrees to (RFC 4028 §9).
    pub(super) session: Option<Agreement>,
    /// The body.
    pub(super) body: Option<&'a SessionDescription>,
}

/// A request within a dialog.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestParts<'a> {
    pub(super) method: &'a Method,
    pub(super) cseq: u32,
    pub(super) branch: &'a Identifier,
    pub(super) contact: Option<&'a str>,
    pub(super) headers: &'a [(HeaderName, Box<[u8]>)],
    pub(super) refusal: Option<&'a Refusal>,
    /// The session timer that it asks for.
    pub(super) session: Option<Asked>,
    pub(super) body: Option<&'a SessionDescription>,
    /// A body of another type: of an INFO.
    pub(super) content: Option<(&'a str, &'a [u8])>,
}

impl<'a> RequestParts<'a> {
    /// Without headers and body of its own.
    pub(super) const fn new(method: &'a Method, cseq: u32, branch: &'a Identifier) -> Self {
        Self {
            method,
            cseq,
            branch,
            contact: None,
            headers: &[],
            refusal: None,
            session: None,
            body: None,
            content: None,
        }
    }
}

/// Value of a Contact of ours.
pub(super) fn contact(user: Option<&str>, flow: Flow) -> Box<str> {
    let local = flow.local;
    let transport = match flow.transport {
        Transport::Udp => "",
        Transport::Tcp => ";transport=tcp",
    };
    match user {
        Some(user) if !user.is_empty() => format!("<sip:{user}@{local}{transport}>").into(),
        Some(_) | None => format!("<sip:{local}{transport}>").into(),
    }
}

/// A response to a request that came by `flow` (RFC 3261 §8.2.6).
pub(super) fn response(
    core: &mut Core,
    request: &Message<'_>,
    flow: Flow,
    status: StatusCode,
    parts: &ResponseParts<'_>,
) -> Packet {
    debug_assert!(
        parts.body.is_none() || !status.is_failure(),
        "a refusal describes no session"
    );
    debug_assert!(
        parts.refusal.is_none() || status.is_failure(),
        "only a failure says why"
    );
    debug_assert!(
        status != StatusCode::TRYING || parts.to_tag.is_none(),
        "100 makes no dialog (RFC 3261 §8.2.6.2)"
    );
    let reason = parts.reason.unwrap_or_else(|| status.reason());
    let mut writer = MessageWriter::response_with_reason(&mut core.scratch, status, reason);
    via::copy(&mut writer, request, flow);
    writer.copy(&HeaderName::From, request);
    for to in request.lines(&HeaderName::To) {
        match parts.to_tag {
            Some(tag) => writer.copy_line_with(&to, &format_args!(";tag={tag}")),
            None => writer.copy_line(&to),
        };
    }
    writer
        .copy(&HeaderName::CallId, request)
        .copy(&HeaderName::CSeq, request);
    if parts.makes_dialog {
        writer.copy(&HeaderName::RecordRoute, request);
    }
    if status == StatusCode::TRYING {
        writer.copy(&HeaderName::Timestamp, request);
    }
    if let Some(contact) = parts.contact {
        writer.header(&HeaderName::Contact, contact.as_bytes());
    }
    if parts.capabilities {
        write_capabilities(
            &mut writer,
            &core.allow,
            core.config.session_timer.is_some(),
        );
    }
    if let Some(agreed) = parts.session {
        write_agreement(&mut writer, agreed);
    }
    for (name, value) in parts.headers {
        writer.header(name, value);
    }
    if let Some(refusal) = parts.refusal {
        write_refusal(&mut writer, refusal, status.is_failure());
    }
    write_product(&mut writer, &HeaderName::Server, &core.config.product);
    finish(writer, parts.body);
    core.packet()
}

/// A request within the dialog of a leg (RFC 3261 §12.2.1.1).
pub(super) fn request_of(
    core: &mut Core,
    leg: Key,
    parts: &RequestParts<'_>,
) -> Option<(Flow, Packet)> {
    let dialog = &core.legs.get(leg)?.dialog;
    write_request(
        &mut core.scratch,
        &core.config.product,
        &core.allow,
        dialog,
        parts,
    );
    Some((dialog.next_hop(), core.packet()))
}

/// A request within a dialog that no leg has: that of a fork which answered too late.
pub(super) fn request_within(
    core: &mut Core,
    dialog: &Dialog,
    parts: &RequestParts<'_>,
) -> (Flow, Packet) {
    write_request(
        &mut core.scratch,
        &core.config.product,
        &core.allow,
        dialog,
        parts,
    );
    (dialog.next_hop(), core.packet())
}

fn write_request(
    scratch: &mut message::SendBuffer,
    product: &str,
    allow: &str,
    dialog: &Dialog,
    parts: &RequestParts<'_>,
) {
    debug_assert!(
        *parts.method != Method::Invite || parts.body.is_some() && parts.contact.is_some(),
        "our INVITE offers, and says where we are"
    );
    debug_assert!(
        matches!(parts.method, Method::Ack | Method::Bye) || !dialog.remote_tag.is_empty(),
        "a dialog without the peer's tag is only ended"
    );
    debug_assert!(
        *parts.method == Method::Ack || parts.cseq == dialog.local_cseq,
        "each request has the next number (RFC 3261 §12.2.1.1)"
    );
    let mut writer = MessageWriter::request(scratch, parts.method, dialog.request_uri());
    write_via(&mut writer, dialog.next_hop(), parts.branch);
    writer.header_display(&HeaderName::MaxForwards, &MAX_FORWARDS_DEFAULT);
    for route in dialog.route_set.routes(dialog.remote_target.as_str()) {
        match route {
            RouteValue::Entry(value) => writer.header(&HeaderName::Route, value),
            RouteValue::Target(uri) => {
                writer.header_display(&HeaderName::Route, &format_args!("<{uri}>"))
            }
        };
    }
    writer.header(&HeaderName::From, &dialog.local);
    writer.header(&HeaderName::To, &dialog.remote);
    writer.header(&HeaderName::CallId, &dialog.call_id);
    writer.header_display(
        &HeaderName::CSeq,
        &format_args!("{} {}", parts.cseq, parts.method),
    );
    if let Some(contact) = parts.contact {
        writer.header(&HeaderName::Contact, contact.as_bytes());
        writer.header(&HeaderName::Allow, allow.as_bytes());
    }
    for (name, value) in parts.headers {
        writer.header(name, value);
    }
    if let Some(refusal) = parts.refusal {
        write_refusal(&mut writer, refusal, false);
    }
    if let Some(asked) = parts.session {
        write_asked(&mut writer, asked);
    }
    write_product(&mut writer, &HeaderName::UserAgent, product);
    match parts.content {
        Some((content_type, body)) => {
            debug_assert!(parts.body.is_none(), "a message has one body");
            writer.finish_with_body(content_type, |buffer| buffer.push(body));
        }
        None => finish(writer, parts.body),
    }
}

/// A request that makes a dialog: the INVITE of an attempt.
pub(super) fn first_invite(
    core: &mut Core,
    leg: Key,
    cseq: u32,
    branch: &Identifier,
) -> Option<(Flow, Packet)> {
    let leg = core.legs.get(leg)?;
    let super::leg::Stage::Attempting(attempt) = &leg.stage else {
        return None;
    };
    let (dial, dialog) = (&attempt.dial, &leg.dialog);
    let uri = dial.request_uri.as_str();
    let mut writer = MessageWriter::request(&mut core.scratch, &Method::Invite, uri);
    write_via(&mut writer, dial.flow, branch);
    writer.header_display(&HeaderName::MaxForwards, &dial.max_forwards);
    writer.header(&HeaderName::From, &dialog.local);
    writer.header(&HeaderName::To, &dialog.remote);
    writer.header(&HeaderName::CallId, &dialog.call_id);
    writer.header_display(&HeaderName::CSeq, &format_args!("{cseq} INVITE"));
    writer.header(&HeaderName::Contact, leg.contact.as_bytes());
    writer.header(&HeaderName::Allow, core.allow.as_bytes());
    // The offer of a reliable response would have to be answered by its PRACK (RFC 3262 §5): an
    // INVITE without an offer does not ask for one.
    match dial.reliable {
        Reliable::Supported if dial.offer.is_some() => {
            writer.header(&HeaderName::Supported, prack::OPTION_TAG.as_bytes());
        }
        Reliable::Required if dial.offer.is_some() => {
            writer.header(&HeaderName::Require, prack::OPTION_TAG.as_bytes());
        }
        Reliable::Off | Reliable::Supported | Reliable::Required => {}
    }
    if let Some(session) = &leg.session {
        write_asked(&mut writer, session.asked());
    }
    for (name, value) in dial.headers.iter().chain(&leg.authorization) {
        writer.header(name, value);
    }
    write_product(&mut writer, &HeaderName::UserAgent, &core.config.product);
    let flow = dial.flow;
    finish(writer, dial.offer.as_ref());
    Some((flow, core.packet()))
}

/// A request outside a dialog that makes none: OPTIONS.
pub(super) fn outside_dialog(
    core: &mut Core,
    method: &Method,
    ping: &crate::event::Ping,
    branch: &Identifier,
) -> Packet {
    let (tag, call_id) = (core.identifiers.tag(), core.identifiers.call_id());
    let uri = ping.request_uri.as_str();
    let mut writer = MessageWriter::request(&mut core.scratch, method, uri);
    write_via(&mut writer, ping.flow, branch);
    writer.header_display(&HeaderName::MaxForwards, &MAX_FORWARDS_DEFAULT);
    writer.header_display(
        &HeaderName::From,
        &format_args!("<{}>;tag={tag}", ping.from),
    );
    writer.header_display(&HeaderName::To, &format_args!("<{uri}>"));
    writer.header_display(&HeaderName::CallId, &call_id);
    writer.header_display(&HeaderName::CSeq, &format_args!("{PING_CSEQ} {method}"));
    writer.header(&HeaderName::Contact, contact(None, ping.flow).as_bytes());
    writer.header(&HeaderName::Accept, SDP_TYPE.as_bytes());
    write_product(&mut writer, &HeaderName::UserAgent, &core.config.product);
    writer.finish();
    core.packet()
}

/// The CANCEL of an INVITE of ours, and the ACK of its failure, which differ in To and the method
/// only (RFC 3261 §9.1, §17.1.1.3).
pub(super) fn companion(
    core: &mut Core,
    invite: &Packet,
    method: &Method,
    to: Option<&[u8]>,
    refusal: Option<&Refusal>,
) -> Option<Packet> {
    debug_assert!(
        matches!(method, Method::Ack | Method::Cancel),
        "two requests share the branch of an INVITE"
    );
    let invite = Arc::clone(invite);
    let invite = message::parse(&invite).ok()?;
    let uri = invite.request_uri()?;
    let cseq = invite.cseq()?.number;
    let mut writer = MessageWriter::request(&mut core.scratch, method, uri.as_str());
    writer.copy(&HeaderName::Via, &invite);
    writer.header_display(&HeaderName::MaxForwards, &MAX_FORWARDS_DEFAULT);
    writer
        .copy(&HeaderName::Route, &invite)
        .copy(&HeaderName::From, &invite);
    match to {
        Some(to) => writer.header(&HeaderName::To, to),
        None => writer.copy(&HeaderName::To, &invite),
    };
    writer.copy(&HeaderName::CallId, &invite);
    writer.header_display(&HeaderName::CSeq, &format_args!("{cseq} {method}"));
    if let Some(refusal) = refusal {
        write_refusal(&mut writer, refusal, false);
    }
    write_product(&mut writer, &HeaderName::UserAgent, &core.config.product);
    writer.finish();
    Some(core.packet())
}

/// `rport` asks for what a datagram needs (RFC 3581 §3); a connection needs nothing of the kind.
pub(super) fn write_via(writer: &mut MessageWriter<'_>, flow: Flow, branch: &Identifier) {
    let Flow {
        transport, local, ..
    } = flow;
    let rport = if transport.is_reliable() {
        ""
    } else {
        ";rport"
    };
    let transport = transport.as_str();
    writer.header_display(
        &HeaderName::Via,
        &format_args!("SIP/2.0/{transport} {local};branch={branch}{rport}"),
    );
}

/// Supported, Session-Expires and Min-SE of a request (RFC 4028 §7.1, §7.4).
fn write_asked(writer: &mut MessageWriter<'_>, asked: Asked) {
    writer.header(&HeaderName::Supported, OPTION_TAG.as_bytes());
    write_session_expires(writer, asked.expires.interval, asked.expires.refresher);
    if let Some(least) = asked.min {
        debug_assert!(
            least <= asked.expires.interval,
            "nobody asks for less than its least"
        );
        writer.header_display(&HeaderName::MinSe, &least.as_secs());
    }
}

/// Session-Expires of a 2xx, and Require where the peer refreshes (RFC 4028 §9).
fn write_agreement(writer: &mut MessageWriter<'_>, agreed: Agreement) {
    let refresher = if agreed.we_refresh {
        Refresher::Uas
    } else {
        Refresher::Uac
    };
    debug_assert!(
        agreed.we_refresh || agreed.is_supported,
        "only who can refreshes"
    );
    if !agreed.we_refresh {
        writer.header(&HeaderName::Require, OPTION_TAG.as_bytes());
    }
    write_session_expires(writer, agreed.interval, Some(refresher));
}

fn write_session_expires(
    writer: &mut MessageWriter<'_>,
    interval: Duration,
    refresher: Option<Refresher>,
) {
    let seconds = interval.as_secs();
    match refresher {
        Some(refresher) => writer.header_display(
            &HeaderName::SessionExpires,
            &format_args!("{seconds};refresher={}", refresher.as_str()),
        ),
        None => writer.header_display(&HeaderName::SessionExpires, &seconds),
    };
}

fn write_capabilities(writer: &mut MessageWriter<'_>, allow: &str, has_timer: bool) {
    writer.header(&HeaderName::Allow, allow.as_bytes());
    writer.header(&HeaderName::Accept, SDP_TYPE.as_bytes());
    writer.header(&HeaderName::Supported, prack::OPTION_TAG.as_bytes());
    if has_timer {
        writer.header(&HeaderName::Supported, OPTION_TAG.as_bytes());
    }
}

pub(super) fn write_product(writer: &mut MessageWriter<'_>, name: &HeaderName, product: &str) {
    if !product.is_empty() {
        writer.header(name, product.as_bytes());
    }
}

/// Retry-After and Warning in a failure; Reason (RFC 3326) there, in BYE and in CANCEL.
fn write_refusal(writer: &mut MessageWriter<'_>, refusal: &Refusal, is_failure: bool) {
    let text = refusal.warning.as_deref().unwrap_or_default();
    let text = text.replace(['"', '\\'], "'");
    if let (true, Some(wait)) = (is_failure, refusal.retry_after) {
        writer.header_display(&HeaderName::RetryAfter, &wait.as_secs());
    }
    for (name, value) in refusal.headers.iter().filter(|_| is_failure) {
        writer.header(name, value);
    }
    if is_failure && !text.is_empty() {
        writer.header_display(&HeaderName::Warning, &format_args!("399 sluice \"{text}\""));
    }
    match refusal.q850_cause {
        Some(cause) if text.is_empty() => {
            writer.header_display(&HeaderName::Reason, &format_args!("Q.850;cause={cause}"));
        }
        Some(cause) => {
            writer.header_display(
                &HeaderName::Reason,
                &format_args!("Q.850;cause={cause};text=\"{text}\""),
            );
        }
        None => {}
    }
}

fn finish(writer: MessageWriter<'_>, body: Option<&SessionDescription>) {
    match body {
        Some(body) => writer.finish_with_body(SDP_TYPE, |buffer| body.write(buffer)),
        None => writer.finish(),
    }
}
