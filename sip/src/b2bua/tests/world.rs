//! An endpoint, a clock, and the text of what it sent.

use std::time::{Duration, Instant};

use crate::endpoint::Endpoint;
use crate::event::{
    AttemptTimers, CallKey, Credentials, Dial, EndpointConfig, Event, Flow, Input, LegKey, Origin,
    Output, Reliable, Transport,
};
use crate::message::{self, HeaderName, Message, Method, NameAddr, SendBuffer, StatusCode, Uri};
use crate::sdp::SessionDescription;

pub(super) const OURS: &str = "10.0.0.9:5060";
pub(super) const CALLER: &str = "10.0.0.1:5060";
pub(super) const TRUNK: &str = "10.0.0.2:5060";

pub(super) const SDP: &str = "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n\
                              m=audio 4000 RTP/AVP 8\r\n";

/// A message that left, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) by: Transport,
    pub(super) to: String,
    pub(super) text: String,
}

impl Sent {
    pub(super) fn parsed(&self) -> Message<'_> {
        message::parse(self.text.as_bytes()).unwrap()
    }

    /// `INVITE`, `180`, …
    pub(super) fn what(&self) -> String {
        let message = self.parsed();
        match message.status() {
            Some(status) => status.to_string(),
            None => message.method().unwrap().to_string(),
        }
    }

    pub(super) fn header(&self, name: &HeaderName) -> String {
        let value = self.parsed().value(name).map(<[u8]>::to_vec);
        String::from_utf8(value.unwrap_or_default()).unwrap()
    }

    pub(super) fn to_tag(&self) -> String {
        let tag = self
            .parsed()
            .to()
            .and_then(|to| to.tag())
            .unwrap_or_default()
            .to_vec();
        String::from_utf8(tag).unwrap()
    }

    /// Empty where a peer of RFC 2543 has none.
    pub(super) fn branch(&self) -> String {
        let message = self.parsed();
        let branch = message
            .top_via()
            .and_then(|via| via.branch())
            .unwrap_or_default();
        String::from_utf8(branch.to_vec()).unwrap()
    }

    pub(super) fn cseq(&self) -> u32 {
        self.parsed().cseq().unwrap().number
    }
}

pub(super) fn flow(remote: &str) -> Flow {
    Flow {
        transport: Transport::Udp,
        local: OURS.parse().unwrap(),
        remote: remote.parse().unwrap(),
    }
}

pub(super) fn by_tcp(remote: &str) -> Flow {
    Flow {
        transport: Transport::Tcp,
        ..flow(remote)
    }
}

pub(super) fn sdp() -> SessionDescription {
    SessionDescription::parse(SDP.as_bytes()).unwrap()
}

pub(super) fn config(calls_max: u32) -> EndpointConfig {
    EndpointConfig {
        number: 1,
        seed: [9; 32],
        calls_max,
        allow: vec![
            Method::Invite,
            Method::Ack,
            Method::Cancel,
            Method::Bye,
            Method::Options,
            Method::Prack,
            Method::Update,
        ],
        tcp: true,
        ..EndpointConfig::default()
    }
}

pub(super) struct World {
    pub(super) endpoint: Endpoint,
    pub(super) now: Instant,
    pub(super) sent: Vec<Sent>,
    pub(super) events: Vec<Event>,
    buffer: SendBuffer,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with_calls_max(100)
    }

    pub(super) fn with_calls_max(calls_max: u32) -> Self {
        Self::with(calls_max, false)
    }

    /// Where early media is reliable for callers that can (`EndpointConfig::reliable_early_media`).
    pub(super) fn with_reliable_early_media() -> Self {
        Self::with(100, true)
    }

    fn with(calls_max: u32, reliable_early_media: bool) -> Self {
        Self::of(EndpointConfig {
            reliable_early_media,
            ..config(calls_max)
        })
    }

    /// An endpoint of this configuration.
    pub(super) fn of(config: EndpointConfig) -> Self {
        #[expect(clippy::disallowed_methods, reason = "a test needs one base instant")]
        let start = Instant::now();
        let endpoint = Endpoint::new(config);
        let (sent, events, buffer) = (Vec::new(), Vec::new(), SendBuffer::new());
        Self {
            endpoint,
            now: start,
            sent,
            events,
            buffer,
        }
    }

    /// With a method more in Allow.
    pub(super) fn allowing(method: Method) -> Self {
        let mut config = config(100);
        config.allow.push(method);
        Self::of(config)
    }

    pub(super) fn drain(&mut self) {
        while let Some(output) = self.endpoint.poll_output(&mut self.buffer) {
            match output {
                Output::Send { flow } => {
                    assert_eq!(flow.local.to_string(), OURS);
                    let text = String::from_utf8(self.buffer.as_bytes().to_vec()).unwrap();
                    let message = message::parse(text.as_bytes()).unwrap();
                    assert_eq!(
                        message.validate(),
                        Ok(()),
                        "we write what we would read: {text}"
                    );
                    self.sent.push(Sent {
                        by: flow.transport,
                        to: flow.remote.to_string(),
                        text,
                    });
                }
                Output::Event(event) => self.events.push(event),
            }
        }
    }

    /// Drains without a look at the messages, which may repeat what the peer broke.
    pub(super) fn drain_unread(&mut self) -> Vec<Vec<u8>> {
        let mut unread = Vec::new();
        while let Some(output) = self.endpoint.poll_output(&mut self.buffer) {
            match output {
                Output::Event(event) => self.events.push(event),
                Output::Send { .. } => unread.push(self.buffer.as_bytes().to_vec()),
            }
        }
        unread
    }

    /// Without a look at the answers, which repeat what the peer broke.
    pub(super) fn receive_unread(&mut self, from: &str, text: &str) {
        let flow = flow(from);
        let bytes = text.as_bytes();
        self.endpoint
            .handle_input(self.now, Input::Datagram { flow, bytes });
        self.drain_unread();
    }

    pub(super) fn receive(&mut self, from: &str, text: &str) {
        self.receive_by(flow(from), text);
    }

    pub(super) fn receive_by(&mut self, flow: Flow, text: &str) {
        self.endpoint.handle_input(
            self.now,
            Input::Datagram {
                flow,
                bytes: text.as_bytes(),
            },
        );
        self.drain();
    }

    /// The same from a caller that is no trunk, in this group.
    pub(super) fn receive_of(&mut self, group: u64, from: &str, text: &str) {
        let input = Input::Datagram {
            flow: flow(from),
            bytes: text.as_bytes(),
        };
        let origin = Origin {
            group: Some(group),
            is_too_fast: false,
        };
        self.endpoint.handle_input_of(self.now, origin, input);
        self.drain();
    }

    /// A send on this flow failed, or its connection is closed.
    pub(super) fn fail(&mut self, flow: Flow) {
        let failed = Input::TransportFailed { flow };
        self.endpoint.handle_input(self.now, failed);
        self.drain();
    }

    /// Lets time pass, each deadline at its instant.
    pub(super) fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.endpoint.poll_deadline().filter(|at| *at <= until) {
            assert!(at >= self.now, "a deadline lies behind");
            self.now = at;
            self.endpoint.handle_input(at, Input::Expired);
            self.drain();
            let next = self.endpoint.poll_deadline();
            assert!(
                next.is_none_or(|next| next > at),
                "a handled deadline moves forward"
            );
        }
        self.now = until;
    }

    pub(super) fn pass_ms(&mut self, milliseconds: u64) {
        self.pass(Duration::from_millis(milliseconds));
    }

    /// What was sent since the last look, as `INVITE>10.0.0.2:5060`.
    pub(super) fn log(&mut self) -> Vec<String> {
        self.sent
            .drain(..)
            .map(|sent| format!("{}>{}", sent.what(), peer(&sent.to)))
            .collect()
    }

    pub(super) fn take_sent(&mut self) -> Vec<Sent> {
        std::mem::take(&mut self.sent)
    }

    /// The last message of this kind that was sent.
    pub(super) fn last(&self, what: &str) -> Sent {
        let found = self.sent.iter().rev().find(|sent| sent.what() == what);
        found
            .unwrap_or_else(|| panic!("no {what} in {:#?}", self.sent))
            .clone()
    }

    pub(super) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Names of the events since the last look.
    pub(super) fn event_names(&mut self) -> Vec<String> {
        self.take_events().iter().map(name).collect()
    }

    /// An INVITE of the caller; the keys of the call.
    pub(super) fn offered(&mut self, call_id: &str) -> (CallKey, LegKey, String) {
        let invite = invite(call_id);
        self.receive(CALLER, &invite);
        let keys = self.take_events().into_iter().find_map(|event| {
            if let Event::CallOffered { call, a_leg, .. } = event {
                Some((call, a_leg))
            } else {
                None
            }
        });
        let (call, a_leg) = keys.expect("the call is offered");
        (call, a_leg, invite)
    }

    pub(super) fn dial(&mut self, call: CallKey) -> LegKey {
        self.dial_with(call, None)
    }

    pub(super) fn dial_with(&mut self, call: CallKey, credentials: Option<Credentials>) -> LegKey {
        let dial = Dial {
            credentials,
            ..dial()
        };
        let leg = self.endpoint.dial(self.now, call, dial).unwrap();
        self.drain();
        leg
    }

    /// A caller's INVITE as it is, and an attempt for it: the opening of most flows.
    pub(super) fn opened(&mut self, invite: &str, dial: Dial) -> Opened {
        self.receive(CALLER, invite);
        let keys = self.take_events().into_iter().find_map(|event| {
            if let Event::CallOffered { call, a_leg, .. } = event {
                Some((call, a_leg))
            } else {
                None
            }
        });
        let (call, a_leg) = keys.expect("the call is offered");
        let b_leg = self.endpoint.dial(self.now, call, dial).unwrap();
        self.drain();
        let b_invite = self.last("INVITE");
        self.sent.clear();
        Opened {
            call,
            a_leg,
            b_leg,
            invite: invite.into(),
            b_invite,
        }
    }

    /// The `ring` command.
    pub(super) fn ring(&mut self, call: CallKey, status: u16, answer: Option<&str>) {
        let status = StatusCode::new(status).unwrap();
        let answer = answer.map(|text| SessionDescription::parse(text.as_bytes()).unwrap());
        self.endpoint
            .ring(self.now, call, status, answer.as_ref())
            .unwrap();
        self.drain();
    }

    /// The `answer` command.
    pub(super) fn answer(&mut self, call: CallKey, answer: &str) {
        let answer = SessionDescription::parse(answer.as_bytes()).unwrap();
        self.endpoint.answer(self.now, call, &answer).unwrap();
        self.drain();
    }

    /// The `hang_up` command.
    pub(super) fn hang_up(&mut self, call: CallKey) {
        self.endpoint
            .hang_up(self.now, call, &crate::event::Refusal::default())
            .unwrap();
        self.drain();
    }

    /// A call that both sides have answered and acknowledged.
    pub(super) fn connected(&mut self) -> Connected {
        self.connected_with("")
    }

    /// The same with further headers of both peers.
    pub(super) fn connected_with(&mut self, headers: &str) -> Connected {
        let Opened {
            call,
            a_leg,
            b_leg,
            invite,
            b_invite,
        } = self.opened(&with_headers(&invite("connected"), headers), dial());
        let answered = response_with(&b_invite, 200, "callee", headers, Some(SDP));
        self.receive(TRUNK, &answered);
        self.endpoint.answer(self.now, call, &sdp()).unwrap();
        self.drain();
        let ok = self.last("200");
        self.receive(CALLER, &ack(&invite, &ok));
        self.sent.clear();
        self.events.clear();
        Connected {
            call,
            a_leg,
            b_leg,
            ok,
            b_invite,
        }
    }

    /// Everything that is pending ends by itself.
    pub(super) fn assert_quiescent(&mut self) {
        self.pass(Duration::from_secs(300));
        assert!(self.endpoint.is_idle(), "{:#?}", self.endpoint);
        assert_eq!(self.endpoint.active_calls(), 0);
    }
}

/// A call whose caller has no final response, and its attempt.
pub(super) struct Opened {
    pub(super) call: CallKey,
    pub(super) a_leg: LegKey,
    pub(super) b_leg: LegKey,
    pub(super) invite: String,
    pub(super) b_invite: Sent,
}

impl Opened {
    /// A request of the caller's within the dialog that this response of ours made.
    pub(super) fn caller_says(
        &self,
        heard: &Sent,
        (method, cseq, branch): (&str, u32, &str),
        headers: &str,
        body: &str,
    ) -> String {
        let (from, to) = (
            heard.header(&HeaderName::From),
            heard.header(&HeaderName::To),
        );
        let call_id = heard.header(&HeaderName::CallId);
        let text = request(method, CALLER, &from, &to, &call_id, cseq, branch, body);
        with_headers(&text, headers)
    }

    /// A request of the callee's within the dialog of this fork.
    pub(super) fn callee_says(
        &self,
        tag: &str,
        (method, cseq, branch): (&str, u32, &str),
        headers: &str,
        body: &str,
    ) -> String {
        let to = self.b_invite.header(&HeaderName::From);
        let from = format!("{};tag={tag}", self.b_invite.header(&HeaderName::To));
        let call_id = self.b_invite.header(&HeaderName::CallId);
        let text = request(method, TRUNK, &from, &to, &call_id, cseq, branch, body);
        with_headers(&text, headers)
    }

    /// The PRACK of a reliable response that the caller heard.
    pub(super) fn prack(&self, heard: &Sent, cseq: u32, body: &str) -> String {
        let rack = format!(
            "RAck: {} {}\r\n",
            heard.header(&HeaderName::RSeq),
            heard.header(&HeaderName::CSeq)
        );
        let branch = format!("prack{cseq}{}", heard.to_tag());
        self.caller_says(heard, ("PRACK", cseq, &branch), &rack, body)
    }
}

pub(super) struct Connected {
    pub(super) call: CallKey,
    pub(super) a_leg: LegKey,
    pub(super) b_leg: LegKey,
    pub(super) ok: Sent,
    pub(super) b_invite: Sent,
}

impl Connected {
    /// A request of the caller's within the dialog.
    pub(super) fn caller_says(&self, method: &str, cseq: u32, branch: &str, body: &str) -> String {
        let (from, to) = (
            self.ok.header(&HeaderName::From),
            self.ok.header(&HeaderName::To),
        );
        let call_id = self.ok.header(&HeaderName::CallId);
        request(method, CALLER, &from, &to, &call_id, cseq, branch, body)
    }

    /// A request of the callee's within the dialog.
    pub(super) fn callee_says(&self, method: &str, cseq: u32, branch: &str, body: &str) -> String {
        let to = self.b_invite.header(&HeaderName::From);
        let from = format!("{};tag=callee", self.b_invite.header(&HeaderName::To));
        let call_id = self.b_invite.header(&HeaderName::CallId);
        request(method, TRUNK, &from, &to, &call_id, cseq, branch, body)
    }
}

fn peer(address: &str) -> &str {
    match address {
        CALLER => "caller",
        TRUNK => "trunk",
        other => other,
    }
}

/// Further headers of a message, each with its line end.
pub(super) fn with_headers(text: &str, headers: &str) -> String {
    text.replacen("Contact:", &format!("{headers}Contact:"), 1)
}

/// A description that differs from [`SDP`] by its port.
pub(super) fn other_sdp(port: u16) -> String {
    SDP.replace("4000", &port.to_string())
}

pub(super) fn name(event: &Event) -> String {
    match event {
        Event::CallOffered { .. } => "CallOffered".into(),
        Event::Progress {
            status,
            answer,
            answered_reliably,
            ..
        } => {
            let body = if answer.is_some() { " sdp" } else { "" };
            let how = if *answered_reliably { " reliably" } else { "" };
            format!("Progress {status}{body}{how}")
        }
        Event::Answered { answered, .. } => {
            let body = match (&answered.answer, &answered.offer) {
                (Some(_), None) => " sdp",
                (None, Some(_)) => " offer",
                (None, None) => "",
                (Some(_), Some(_)) => " both",
            };
            format!("Answered{body}")
        }
        Event::AttemptFailed { failure, .. } => format!("AttemptFailed {failure:?}"),
        Event::LateAnswer { .. } => "LateAnswer".into(),
        Event::Confirmed { .. } => "Confirmed".into(),
        Event::Reoffered { offer, .. } => {
            format!("Reoffered{}", if offer.is_some() { " sdp" } else { "" })
        }
        Event::ReofferCancelled { .. } => "ReofferCancelled".into(),
        Event::ReofferCompleted { answer, .. } => {
            let brought = answer
                .as_ref()
                .map_or_else(|fault| fault.as_str(), |_| "sdp");
            format!("ReofferCompleted {brought}")
        }
        Event::ConnectedChanged { connected, .. } => {
            format!("ConnectedChanged {}", connected.len())
        }
        Event::ReofferAnswered { answer, .. } => {
            format!(
                "ReofferAnswered{}",
                if answer.is_some() { " sdp" } else { "" }
            )
        }
        Event::Refreshed { .. } => "Refreshed".into(),
        Event::ReofferRefused { status, .. } => format!("ReofferRefused {status}"),
        Event::InfoReceived {
            content_type, body, ..
        } => format!("InfoReceived {content_type} {}", body.len()),
        Event::RegisterEnded { outcome, .. } => format!("RegisterEnded {}", outcome.as_str()),
        Event::RegisterOffered { offered, .. } => format!("RegisterOffered {}", offered.aor),
        Event::Ended { by, cause, .. } => format!("Ended {by:?} {cause:?}"),
        Event::CallGone { .. } => "CallGone".into(),
        Event::PingEnded { status, .. } => format!("PingEnded {status:?}"),
        Event::Dropped { reason, .. } => format!("Dropped {}", reason.as_str()),
    }
}

pub(super) fn dial() -> Dial {
    Dial {
        flow: flow(TRUNK),
        request_uri: Uri::parse(b"sip:+4930123@10.0.0.2").unwrap(),
        from: NameAddr::parse(b"\"Guest\" <sip:guest@10.0.0.9>").unwrap(),
        to: NameAddr::parse(b"<sip:+4930123@10.0.0.2>").unwrap(),
        contact_user: "guest".into(),
        headers: vec![(HeaderName::Privacy, b"none".as_slice().into())],
        max_forwards: 69,
        offer: Some(sdp()),
        reliable: Reliable::Off,
        credentials: None,
        session_timer: None,
        timers: AttemptTimers {
            response: Duration::from_secs(4),
            progress: Duration::from_secs(10),
            ring: Duration::from_secs(120),
        },
    }
}

fn body_of(body: &str) -> String {
    if body.is_empty() {
        "Content-Length: 0\r\n\r\n".into()
    } else {
        format!(
            "Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }
}

#[expect(clippy::too_many_arguments, reason = "a request has as many parts")]
pub(super) fn request(
    method: &str,
    via: &str,
    from: &str,
    to: &str,
    call_id: &str,
    cseq: u32,
    branch: &str,
    body: &str,
) -> String {
    format!(
        "{method} sip:link@{OURS} SIP/2.0\r\nVia: SIP/2.0/UDP {via};branch=z9hG4bK{branch}\r\n\
         From: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\n\
         Max-Forwards: 70\r\nContact: <sip:peer@{via}>\r\n{}",
        body_of(body)
    )
}

/// The caller's INVITE with an offer.
pub(super) fn invite(call_id: &str) -> String {
    let to = format!("<sip:link@{OURS}>");
    let from = "\"Alice\" <sip:alice@10.0.0.1>;tag=alice";
    request("INVITE", CALLER, from, &to, call_id, 1, call_id, SDP)
}

/// The CANCEL of an INVITE.
pub(super) fn cancel(invite: &str) -> String {
    let head = invite.split("Content-").next().unwrap();
    format!(
        "{}Content-Length: 0\r\n\r\n",
        head.replace("INVITE", "CANCEL")
    )
}

/// The ACK of a 2xx to this INVITE, or with `ok` a failure, of that failure.
pub(super) fn ack(invite: &str, answer: &Sent) -> String {
    ack_with(invite, answer, "")
}

pub(super) fn ack_with(invite: &str, answer: &Sent, body: &str) -> String {
    let invite = message::parse(invite.as_bytes()).unwrap();
    let text = |name| String::from_utf8(invite.value(name).unwrap().to_vec()).unwrap();
    let branch = String::from_utf8(invite.top_via().unwrap().branch().unwrap().to_vec()).unwrap();
    let branch = branch.trim_start_matches("z9hG4bK");
    // RFC 3261 §13.2.2.4: the ACK of a 2xx has a branch of its own, that of a failure the same.
    let is_success = answer.parsed().status().unwrap().is_success();
    let branch = if is_success {
        format!("{branch}ack")
    } else {
        branch.into()
    };
    let (from, to) = (text(&HeaderName::From), answer.header(&HeaderName::To));
    let cseq = invite.cseq().unwrap().number;
    request(
        "ACK",
        CALLER,
        &from,
        &to,
        &text(&HeaderName::CallId),
        cseq,
        &branch,
        body,
    )
}

/// The peer's response to a request of ours.
pub(super) fn response(to: &Sent, status: u16, tag: &str, body: Option<&str>) -> String {
    response_with(to, status, tag, "", body)
}

pub(super) fn response_with(
    to: &Sent,
    status: u16,
    tag: &str,
    headers: &str,
    body: Option<&str>,
) -> String {
    let status = StatusCode::new(status).unwrap();
    let to_value = to.header(&HeaderName::To);
    let to_value = if tag.is_empty() || to_value.contains(";tag=") {
        to_value
    } else {
        format!("{to_value};tag={tag}")
    };
    format!(
        "SIP/2.0 {status} {}\r\nVia: {}\r\nFrom: {}\r\nTo: {to_value}\r\nCall-ID: {}\r\n\
         CSeq: {}\r\nContact: <sip:callee@{}>\r\n{headers}{}",
        status.reason(),
        to.header(&HeaderName::Via),
        to.header(&HeaderName::From),
        to.header(&HeaderName::CallId),
        to.header(&HeaderName::CSeq),
        to.to,
        body_of(body.unwrap_or_default())
    )
}
