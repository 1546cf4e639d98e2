//! A world around call control: one phone, some trunks, a media worker that does as it is told.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use media::command::{
    Command, LegCounters, LegPlan, PairKey, PeerReception, Report, Target, TransportPlan,
};
use sip::event::{EndpointConfig, Flow, Timers, Transport};
use sip::message::{Method, SendBuffer};

use crate::call::browser::event::{BrowserOutput, GuestKey};
use crate::call::command::{Command as Order, CommandOutcome, CommandRefusal};
use crate::call::control::{CallControl, Config};
use crate::call::event::{Input, Now, Output, Ticket};
use crate::call::snapshot::Snapshot;
use crate::cdr::record::{AttemptClosed, AttemptOpened, CallClosed, Record};
use crate::links::model::{Destination, VideoPolicy};
use crate::links::resolve::{ResolveRefusal, ResolvedLink};
use crate::sources::model::{LinkAccess, Source};
use crate::trunks::model::{Network, Trunk, tests::trunk as plain_trunk};

pub(super) const US: &str = "198.51.100.1:5060";
pub(super) const PHONE: &str = "10.0.0.5:5060";
pub(super) const PAIRS: u32 = 8;

/// A message that left.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(super) to: SocketAddr,
    pub(super) text: String,
}

impl Sent {
    pub(super) fn header(&self, name: &str) -> &str {
        let found = self.text.lines().find_map(|line| {
            let (head, value) = line.split_once(':')?;
            head.eq_ignore_ascii_case(name).then(|| value.trim())
        });
        found.unwrap_or_else(|| panic!("no {name} in\n{}", self.text))
    }

    pub(super) fn body(&self) -> &str {
        self.text
            .split_once("\r\n\r\n")
            .map_or("", |(_, body)| body)
    }

    pub(super) fn start(&self) -> &str {
        self.text.lines().next().unwrap_or_default()
    }
}

pub(crate) struct World {
    pub(crate) control: CallControl,
    pub(crate) now: Now,
    pub(super) sent: Vec<Sent>,
    /// Connections that were closed without a word.
    pub(super) closed: Vec<Flow>,
    pub(crate) records: Vec<Record>,
    /// Each line of the log: its event and its detail.
    pub(super) lines: Vec<(&'static str, String)>,
    pub(super) tickets: Vec<(Ticket, String)>,
    /// Legs that are connected, with where their packets go.
    pub(crate) legs: BTreeMap<PairKey, Target>,
    /// What each connected leg was told last.
    pub(super) plans: BTreeMap<PairKey, LegPlan>,
    pub(super) stopped: bool,
    /// What guests were told, oldest first.
    pub(super) told: Vec<(GuestKey, BrowserOutput)>,
    /// The last words about transports.
    pub(super) transports: BTreeMap<PairKey, (Option<PairKey>, TransportPlan)>,
    /// What came of commands.
    pub(super) outcomes: Vec<Result<CommandOutcome, CommandRefusal>>,
    /// The worker answers `Disconnect` at once.
    pub(super) worker_answers: bool,
    /// The last pair that was stocked beyond the first ones.
    pub(super) pairs: u32,
    snapshot: Snapshot,
}

pub(crate) fn trunk(last: u8) -> Trunk {
    let mut trunk = plain_trunk(&format!("tr_{last}"), &format!("192.0.2.{last}:5060"));
    trunk.priority = u16::from(last);
    trunk
}

pub(super) fn target(last: u8) -> SocketAddr {
    format!("192.0.2.{last}:5060").parse().unwrap()
}

pub(super) fn link(destination: Destination) -> ResolvedLink {
    ResolvedLink {
        link: Some(7),
        request_path: "sales".into(),
        destination,
        caller_name: "Guest".into(),
        caller_alias: "guest".into(),
        unique_alias: false,
        unique_alias_separator: '.',
        trunk: None,
        display_name: String::new(),
        auto_call_after_s: None,
        video_policy: VideoPolicy::SendRecv,
        allow_custom_caller_name: false,
        named_by_guest: false,
        named_by_link: true,
        valid_after: None,
        valid_before: None,
    }
}

pub(super) fn remote(user: &str) -> ResolvedLink {
    link(Destination::Remote {
        user: user.into(),
        domain: Some("example.com".into()),
    })
}

pub(super) fn sdp(address: &str, port: u16, version: u32, more: &str) -> String {
    format!(
        "v=0\r\no=- 9 {version} IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP 0 8\r\n{more}"
    )
}

impl World {
    pub(crate) fn new(trunks: Vec<Trunk>) -> Self {
        Self::with_calls_max(trunks, 100)
    }

    pub(super) fn with_calls_max(trunks: Vec<Trunk>, calls_max: u32) -> Self {
        let office = Source {
            name: "office".into(),
            networks: vec![Network {
                address: "10.0.0.0".parse().unwrap(),
                prefix_length: 8,
            }],
            links: LinkAccess::All,
            ad_hoc: false,
            registers: false,
            srtp: crate::trunks::model::SrtpPolicy::Off,
        };
        let config = Config {
            endpoint: EndpointConfig {
                number: 0,
                seed: [1; 32],
                product: "Sluice".into(),
                calls_max,
                draining: false,
                timers: Timers::default(),
                allow: vec![
                    Method::Invite,
                    Method::Register,
                    Method::Ack,
                    Method::Bye,
                    Method::Cancel,
                ],
                tcp: false,
                reliable_early_media: false,
                ..EndpointConfig::default()
            },
            seed: [2; 32],
            sockets: vec![US.parse().unwrap()],
            listeners: vec![US.parse().unwrap()],
            advertised_host: None,
            own_hosts: Vec::new(),
            calls_per_second_max: 0,
            video_pairs_max: 1_000,
            browser: Some(crate::call::browser::BrowserConfig {
                fingerprint: [7; 32],
            }),
            ladder_octets: 1 << 20,
        };
        let now = Now {
            instant: Instant::now(),
            timestamp: Timestamp::UNIX_EPOCH,
        };
        let snapshot = Snapshot {
            trunks,
            sources: vec![office],
            ..Snapshot::default()
        };
        let mut world = Self {
            control: CallControl::new(config),
            now,
            sent: Vec::new(),
            closed: Vec::new(),
            records: Vec::new(),
            lines: Vec::new(),
            tickets: Vec::new(),
            legs: BTreeMap::new(),
            plans: BTreeMap::new(),
            stopped: false,
            told: Vec::new(),
            transports: BTreeMap::new(),
            outcomes: Vec::new(),
            worker_answers: true,
            pairs: 1_000,
            snapshot,
        };
        world.change(|_| {});
        for slot in 0..PAIRS {
            world.stock(slot);
        }
        world
    }

    pub(super) fn stock(&mut self, slot: u32) {
        self.stock_at(slot, "198.51.100.1");
    }

    pub(super) fn stock_at(&mut self, slot: u32, host: &str) {
        let pair = PairKey {
            worker: 0,
            slot,
            generation: 0,
        };
        let rtp = format!("{host}:{}", 10_000 + 2 * slot).parse().unwrap();
        self.feed(Input::Report {
            report: Report::Stocked { pair, rtp },
        });
    }

    pub(crate) fn change(&mut self, change: impl FnOnce(&mut Snapshot)) {
        change(&mut self.snapshot);
        let snapshot = Arc::new(self.snapshot.clone());
        self.feed(Input::Snapshot(snapshot));
    }

    pub(crate) fn feed(&mut self, input: Input<'_>) {
        let mut reports = self.step(|control, now| control.handle_input(now, input));
        while let Some(report) = reports.pop() {
            let input = Input::Report { report };
            reports.extend(self.step(|control, now| control.handle_input(now, input)));
        }
        self.control.check_invariants();
    }

    /// An injected panic is caught as the shell does it.
    fn step(&mut self, step: impl FnOnce(&mut CallControl, Now)) -> Vec<Report> {
        let armed = self.has_fault();
        let stepped = catch_unwind(AssertUnwindSafe(|| {
            step(&mut self.control, self.now);
            self.drain()
        }));
        match stepped {
            Ok(reports) => reports,
            Err(_) if armed && !self.has_fault() => {
                self.control.handle_panic(self.now);
                self.drain()
            }
            Err(panic) => resume_unwind(panic),
        }
    }

    /// A panic is to come, in a step of call control or of the endpoint.
    fn has_fault(&self) -> bool {
        self.control.fault.is_some() || self.control.endpoint.has_fault()
    }

    fn drain(&mut self) -> Vec<Report> {
        let mut buffer = SendBuffer::new();
        let mut reports = Vec::new();
        while let Some(output) = self.control.poll_output(&mut buffer) {
            match output {
                Output::Send { flow } => {
                    let text = String::from_utf8_lossy(buffer.as_bytes()).into_owned();
                    self.sent.push(Sent {
                        to: flow.remote,
                        text,
                    });
                }
                Output::Close { flow } => self.closed.push(flow),
                Output::Media { worker: 0, command } => reports.extend(self.obey(&command)),
                Output::Media { worker, .. } => panic!("no worker {worker}"),
                Output::Resolve { ticket, user, .. } => self.tickets.push((ticket, user)),
                Output::Record(record) => self.records.push(record),
                Output::CommandDone { outcome, .. } => self.outcomes.push(outcome),
                Output::Browser { guest, output } => self.told.push((guest, output)),
                Output::Log(line) => self.lines.push((line.event, line.detail)),
                Output::ReserveAliases { .. } => {}
                Output::Stopped => {
                    assert!(!self.stopped, "said once");
                    self.stopped = true;
                }
            }
        }
        reports
    }

    fn obey(&mut self, command: &Command) -> Option<Report> {
        match *command {
            Command::Connect {
                pair,
                target,
                ref plan,
            } => {
                self.plans.insert(pair, plan.clone());
                assert_eq!(self.legs.insert(pair, target), None, "connected twice");
                None
            }
            Command::Update {
                pair,
                target,
                ref plan,
            } => {
                self.plans.insert(pair, plan.clone());
                *self
                    .legs
                    .get_mut(&pair)
                    .expect("a leg is connected before it is updated") = target;
                None
            }
            Command::Disconnect { pair } => {
                self.plans.remove(&pair);
                self.transports.remove(&pair);
                self.legs.remove(&pair).expect("a leg is disconnected once");
                let counters = LegCounters {
                    packets_received: 50,
                    round_trip_us: Some(20_500),
                    score_hundredths: Some(437),
                    peer: Some(PeerReception {
                        packets_lost: 2,
                        jitter_us: 1_500,
                        score_hundredths: Some(421),
                    }),
                    ..LegCounters::default()
                };
                self.worker_answers
                    .then_some(Report::Disconnected { pair, counters })
            }
            Command::Transport {
                pair,
                video,
                ref plan,
            } => {
                assert!(self.legs.contains_key(&pair), "a transport has its audio");
                assert!(video.is_none_or(|video| self.legs.contains_key(&video)));
                self.transports.insert(pair, (video, (**plan).clone()));
                None
            }
            Command::Acknowledge { .. } => None,
        }
    }

    /// Somebody asks or orders.
    pub(crate) fn order(&mut self, command: Order) -> Result<CommandOutcome, CommandRefusal> {
        let ticket = Ticket(u64::MAX);
        self.feed(Input::Command { ticket, command });
        self.outcomes.pop().expect("a command is answered at once")
    }

    pub(super) fn datagram(&mut self, from: SocketAddr, text: &str) {
        let flow = Flow {
            transport: Transport::Udp,
            local: US.parse().unwrap(),
            remote: from,
        };
        self.feed(Input::Datagram {
            flow,
            bytes: text.as_bytes(),
        });
    }

    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now.instant + time;
        let began = self.now;
        let mut steps = 0;
        while let Some(at) = self.control.poll_deadline().filter(|at| *at <= end) {
            steps += 1;
            assert!(steps < 1_000, "a busy loop");
            self.now.instant = at.max(self.now.instant);
            self.feed(Input::Expired);
        }
        self.now.instant = end;
        self.now.timestamp = began.timestamp + jiff::SignedDuration::try_from(time).unwrap();
        self.feed(Input::Expired);
    }

    /// The phone calls `user`.
    pub(super) fn invite(&mut self, user: &str, call_id: &str, body: &str) {
        let phone = PHONE.parse().unwrap();
        let length = body.len();
        let kind = if length == 0 {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        self.datagram(
            phone,
            &format!(
                "INVITE sip:{user}@198.51.100.1 SIP/2.0\r\n\
                 Via: SIP/2.0/UDP {PHONE};branch=z9hG4bK{call_id}\r\nMax-Forwards: 70\r\n\
                 From: <sip:phone@10.0.0.5>;tag=f{call_id}\r\nTo: <sip:{user}@198.51.100.1>\r\n\
                 Call-ID: {call_id}\r\nCSeq: 1 INVITE\r\nContact: <sip:phone@{PHONE}>\r\n{kind}\
                 Content-Length: {length}\r\n\r\n{body}"
            ),
        );
    }

    /// The phone calls a link that leads to `user`.
    pub(super) fn call(&mut self, user: &str, call_id: &str) {
        self.call_link(call_id, Ok(remote(user)));
    }

    pub(super) fn call_link(
        &mut self,
        call_id: &str,
        outcome: Result<ResolvedLink, ResolveRefusal>,
    ) {
        self.invite("sales", call_id, &sdp("10.0.0.5", 4000, 1, ""));
        assert_eq!(self.tickets.last().map(|(_, user)| &**user), Some("sales"));
        self.resolved(outcome);
    }

    /// The link store answers its last question.
    pub(super) fn resolved(&mut self, outcome: Result<ResolvedLink, ResolveRefusal>) {
        let (ticket, _) = self.tickets.pop().expect("the link store is asked");
        self.feed(Input::Resolved { ticket, outcome });
    }

    /// The last message that left towards `to` and begins so.
    pub(super) fn last(&self, to: SocketAddr, start: &str) -> Sent {
        let found = self
            .sent
            .iter()
            .rev()
            .find(|sent| sent.to == to && sent.text.starts_with(start));
        found
            .cloned()
            .unwrap_or_else(|| panic!("no {start} to {to} in {:#?}", self.starts()))
    }

    pub(crate) fn count(&self, to: SocketAddr, start: &str) -> usize {
        self.sent
            .iter()
            .filter(|sent| sent.to == to && sent.text.starts_with(start))
            .count()
    }

    pub(super) fn starts(&self) -> Vec<String> {
        self.sent
            .iter()
            .map(|sent| format!("{} {}", sent.to, sent.start()))
            .collect()
    }

    /// What the phone heard last for its INVITE.
    pub(super) fn heard(&self) -> u16 {
        let status = self.last(PHONE.parse().unwrap(), "SIP/2.0 ");
        status.start().split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// A trunk or the phone answers a request of ours.
    pub(super) fn respond(&mut self, request: &Sent, status: &str, body: &str) {
        let via: Vec<&str> = request
            .text
            .lines()
            .filter(|line| line.starts_with("Via:"))
            .collect();
        let to = request.header("To");
        let to = if to.contains("tag=") {
            to.to_owned()
        } else {
            format!("{to};tag=callee")
        };
        let kind = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        let text = format!(
            "SIP/2.0 {status}\r\n{}\r\nFrom: {}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {}\r\n\
             Contact: <sip:callee@{}>\r\n{kind}Content-Length: {}\r\n\r\n{body}",
            via.join("\r\n"),
            request.header("From"),
            request.header("Call-ID"),
            request.header("CSeq"),
            request.to,
            body.len(),
        );
        self.datagram(request.to, &text);
    }

    /// The phone acknowledges or ends the call it placed.
    pub(crate) fn phone(&mut self, method: &str, call_id: &str, cseq: u32, body: &str) {
        let response = self.last(PHONE.parse().unwrap(), "SIP/2.0 ");
        let to = if method == "CANCEL" {
            "<sip:sales@198.51.100.1>".to_owned()
        } else {
            response.header("To").to_owned()
        };
        let branch = if method == "CANCEL" {
            call_id.to_owned()
        } else {
            format!("{call_id}{cseq}{method}")
        };
        let kind = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        let text = format!(
            "{method} sip:sales@198.51.100.1 SIP/2.0\r\n\
             Via: SIP/2.0/UDP {PHONE};branch=z9hG4bK{branch}\r\nMax-Forwards: 70\r\n\
             From: <sip:phone@10.0.0.5>;tag=f{call_id}\r\nTo: {to}\r\n\
             Call-ID: {call_id}\r\nCSeq: {cseq} {method}\r\nContact: <sip:phone@{PHONE}>\r\n{kind}\
             Content-Length: {}\r\n\r\n{body}",
            body.len(),
        );
        self.datagram(PHONE.parse().unwrap(), &text);
    }

    /// The phone takes back a re-INVITE of `phone`.
    pub(super) fn cancel_reinvite(&mut self, call_id: &str, cseq: u32) {
        let ok = self.last(PHONE.parse().unwrap(), "SIP/2.0 200");
        let text = format!(
            "CANCEL sip:sales@198.51.100.1 SIP/2.0\r\n\
             Via: SIP/2.0/UDP {PHONE};branch=z9hG4bK{call_id}{cseq}INVITE\r\nMax-Forwards: 70\r\n\
             From: <sip:phone@10.0.0.5>;tag=f{call_id}\r\nTo: {}\r\n\
             Call-ID: {call_id}\r\nCSeq: {cseq} CANCEL\r\nContent-Length: 0\r\n\r\n",
            ok.header("To"),
        );
        self.datagram(PHONE.parse().unwrap(), &text);
    }

    /// A whole call over trunk 1, up.
    pub(crate) fn answered(&mut self, call_id: &str) -> Sent {
        self.call("610", call_id);
        let invite = self.last(target(1), "INVITE");
        self.respond(&invite, "200 OK", &sdp("192.0.2.1", 6000, 1, ""));
        assert_eq!(self.heard(), 200, "{:#?}", self.starts());
        self.phone("ACK", call_id, 1, "");
        invite
    }

    /// Each attempt as it began.
    pub(super) fn tries(&self) -> Vec<&AttemptOpened> {
        let mut found = Vec::new();
        for record in &self.records {
            if let Record::AttemptOpened(opened) = record {
                found.push(opened);
            }
        }
        found
    }

    pub(super) fn attempts(&self) -> Vec<&AttemptClosed> {
        let mut found = Vec::new();
        for record in &self.records {
            if let Record::AttemptClosed(closed) = record {
                found.push(closed);
            }
        }
        found
    }

    pub(crate) fn closed(&self) -> Vec<&CallClosed> {
        let mut found = Vec::new();
        for record in &self.records {
            if let Record::CallClosed(closed) = record {
                found.push(closed);
            }
        }
        found
    }

    /// Nothing is held any more, a while after the last call.
    pub(super) fn expect_quiet(&mut self) {
        self.pass(Duration::from_secs(40));
        assert!(self.legs.is_empty(), "media legs: {:?}", self.legs);
        let counters = self.control.counters();
        assert_eq!((counters.calls_active, counters.stock_taken), (0, 0));
        assert_eq!(self.control.guard().active(), 0);
        let opened = self
            .records
            .iter()
            .filter(|record| matches!(record, Record::CallOpened(_)))
            .count();
        assert_eq!(
            opened,
            self.closed().len(),
            "one row closed for each opened"
        );
    }
}

impl World {
    /// Of the calls, `live` go on; the rest has left nothing.
    pub(super) fn expect_quiet_but(&self, live: u64) {
        let counters = self.control.counters();
        assert_eq!(counters.calls_active, live);
        assert_eq!(counters.stock_taken, 2 * live);
    }
}
