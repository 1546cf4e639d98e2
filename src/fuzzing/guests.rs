//! Calls of guests, with frames of pages, answers of callees, reports of workers and time in any order:
//! tables agree between any two of them, and at the end nothing is left and each page has heard the end of
//! its call once.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use media::command::{Command, LegCounters, PairKey, Report, TransportFailure};
use media::fuzzing::Script;
use media::srtp::Suite;
use sip::event::{EndpointConfig, Flow, Transport};
use sip::message::SendBuffer;
use sip::sdp::SessionDescription;

use super::texts;
use crate::call::browser::BrowserConfig;
use crate::call::browser::event::{BrowserCall, BrowserInput, BrowserOutput, GuestKey};
use crate::call::control::{CallControl, Config};
use crate::call::event::{Input, Now, Output};
use crate::call::snapshot::Snapshot;
use crate::http::guest::frames::{ClientFrame, Said};
use crate::links::model::{Destination, VideoPolicy};
use crate::links::resolve::ResolvedLink;
use crate::trunks::model::TrunkTarget;
use crate::trunks::shape::{StoredTrunk, TrunkShape};

const US: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)), 5060);
const CALLEE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 5060);
const GUEST: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));
/// Slots of pairs, and behind them those of browsers' legs.
const PAIRS: u32 = 6;
const BROWSER_LEGS: u32 = 5;
const STEPS_MAX: usize = 120;
const DEADLINES_MAX: u32 = 4_000;

/// What came about in a play.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GuestsPlayed {
    /// Calls that pages began.
    pub calls: u64,
    /// Answers that they got.
    pub answers: u64,
    /// Times that one was told that it talks with its callee.
    pub connected: u64,
    /// Offers that were asked for.
    pub renegotiations: u64,
}

/// Plays `octets` on call control that begins at `now`.
///
/// # Panics
/// When an invariant does not hold, or something is left.
pub fn guests(now: Instant, octets: &[u8]) -> GuestsPlayed {
    let mut play = Play::new(now);
    let mut script = Script::new(octets);
    for _ in 0..STEPS_MAX {
        if script.is_over() {
            break;
        }
        play.step(&mut script);
    }
    play.end();
    play.played
}

struct Play {
    control: CallControl,
    now: Now,
    legs: BTreeSet<PairKey>,
    /// Slots that are not in stock.
    taken: BTreeSet<u32>,
    /// Requests that left and have no final answer of ours: the text.
    asked: Vec<String>,
    /// The dialog that each INVITE would make.
    dialogs: Vec<String>,
    /// Whether each page has heard the end of its call.
    pages: BTreeMap<u64, bool>,
    requests: u32,
    played: GuestsPlayed,
}

impl Play {
    fn new(now: Instant) -> Self {
        let config = Config {
            endpoint: EndpointConfig {
                calls_max: 4,
                ..EndpointConfig::default()
            },
            seed: [2; 32],
            sockets: vec![US],
            listeners: vec![US],
            advertised_host: None,
            own_hosts: Vec::new(),
            calls_per_second_max: 0,
            video_pairs_max: 8,
            browser: Some(BrowserConfig {
                fingerprint: [7; 32],
            }),
            ladder_octets: 1 << 16,
        };
        let mut play = Self {
            control: CallControl::new(config),
            now: Now {
                instant: now,
                timestamp: Timestamp::UNIX_EPOCH,
            },
            legs: BTreeSet::new(),
            taken: BTreeSet::new(),
            asked: Vec::new(),
            dialogs: Vec::new(),
            pages: BTreeMap::new(),
            requests: 0,
            played: GuestsPlayed::default(),
        };
        play.feed(Input::Snapshot(Arc::new(snapshot())));
        for slot in 0..PAIRS + BROWSER_LEGS {
            play.stock(PairKey {
                worker: 0,
                slot,
                generation: 0,
            });
        }
        play
    }

    fn stock(&mut self, pair: PairKey) {
        let at = |port| SocketAddr::new(US.ip(), port);
        let report = if pair.slot < PAIRS {
            let rtp = at(10_000 + 2 * u16::try_from(pair.slot).unwrap_or_default());
            Report::Stocked { pair, rtp }
        } else {
            let at = at(9_000);
            Report::BrowserStocked { pair, at }
        };
        self.feed(Input::Report { report });
    }

    fn step(&mut self, script: &mut Script<'_>) {
        match script.octet() % 16 {
            0 | 1 => self.begin(script),
            2..=6 => self.page(script),
            7 => self.line(script, BrowserInput::Lost),
            8 => self.line(script, BrowserInput::Resumed),
            9..=11 => self.callee_answers(script),
            12 => self.callee_asks(script),
            13 => self.worker(script),
            14 => {
                let time = Duration::from_millis(u64::from(script.octet()) * 64);
                self.pass(time);
            }
            _ => {
                let text = texts::frame(script);
                self.datagram(&text);
            }
        }
    }

    fn begin(&mut self, script: &mut Script<'_>) {
        let Some(ClientFrame::Call { sdp, .. }) = ClientFrame::parse(&texts::beginning(script))
        else {
            return;
        };
        let Ok(offer) = SessionDescription::parse(sdp.as_bytes()) else {
            return;
        };
        let key = u64::try_from(self.pages.len()).unwrap_or_default();
        self.pages.insert(key, false);
        self.played.calls += 1;
        let call = Box::new(BrowserCall {
            link: link(script),
            offer,
            client: GUEST,
        });
        self.say(key, BrowserInput::Call(call));
    }

    /// One of the pages: those whose call is over speak too.
    fn one(&self, script: &mut Script<'_>) -> Option<u64> {
        let newest = self.pages.keys().rev().take(4).copied();
        script.one_of(&newest.collect::<Vec<_>>())
    }

    fn page(&mut self, script: &mut Script<'_>) {
        let Some(key) = self.one(script) else { return };
        let frame = ClientFrame::parse(&texts::frame(script));
        if let Some(Said::Word(input)) = frame.map(ClientFrame::said) {
            self.say(key, input);
        }
    }

    fn line(&mut self, script: &mut Script<'_>, input: BrowserInput) {
        if let Some(key) = self.one(script) {
            self.say(key, input);
        }
    }

    fn say(&mut self, key: u64, input: BrowserInput) {
        let guest = GuestKey(key);
        self.feed(Input::Browser { guest, input });
    }

    fn callee_answers(&mut self, script: &mut Script<'_>) {
        let at = script.below(self.asked.len());
        let Some(request) = self.asked.get(at).cloned() else {
            return;
        };
        let statuses = [180, 183, 200, 200, 200, 100, 404, 486, 488, 491, 503];
        let status = script.one_of(&statuses).unwrap_or(200);
        let is_invite = request.starts_with("INVITE");
        let has_body = is_invite && (status == 183 || status == 200);
        let body = if has_body {
            texts::session(script)
        } else {
            String::new()
        };
        if status >= 200 {
            self.asked.remove(at);
        }
        let response = response(&request, status, &body);
        self.datagram(&response);
    }

    /// A request within a dialog that the callee may have.
    fn callee_asks(&mut self, script: &mut Script<'_>) {
        let Some(invite) = script.one_of(&self.dialogs) else {
            return;
        };
        self.requests += 1;
        let method = script.one_of(&["INVITE", "BYE", "UPDATE", "ACK", "INFO"]);
        let method = method.unwrap_or("BYE");
        let body = match method {
            "INVITE" | "UPDATE" => texts::session(script),
            _ => String::new(),
        };
        let request = request(&invite, method, self.requests, &body);
        self.datagram(&request);
    }

    fn worker(&mut self, script: &mut Script<'_>) {
        let browsers = self.legs.iter().filter(|pair| pair.slot >= PAIRS);
        let browsers: Vec<PairKey> = browsers.copied().collect();
        let Some(pair) = script.one_of(&browsers) else {
            return;
        };
        let report = match script.below(5) {
            0 => Report::TransportUp {
                pair,
                suite: Suite::AeadAes128Gcm,
            },
            1 => Report::TransportSilent { pair },
            2 => Report::TransportBack { pair },
            3 => Report::TransportFailed {
                pair,
                failure: TransportFailure::Closed,
            },
            _ => Report::TransportFailed {
                pair,
                failure: TransportFailure::NoSource,
            },
        };
        self.feed(Input::Report { report });
    }

    fn datagram(&mut self, text: &str) {
        let flow = Flow {
            transport: Transport::Udp,
            local: US,
            remote: CALLEE,
        };
        self.feed(Input::Datagram {
            flow,
            bytes: text.as_bytes(),
        });
    }

    fn feed(&mut self, input: Input<'_>) {
        self.control.handle_input(self.now, input);
        let mut answers = self.drain();
        while let Some(report) = answers.pop() {
            self.control
                .handle_input(self.now, Input::Report { report });
            answers.extend(self.drain());
        }
        self.control.check_invariants();
    }

    fn drain(&mut self) -> Vec<Report> {
        let mut buffer = SendBuffer::new();
        let mut answers = Vec::new();
        while let Some(output) = self.control.poll_output(&mut buffer) {
            match output {
                Output::Send { .. } => self.sent(buffer.as_bytes()),
                Output::Media { command, .. } => answers.extend(self.obey(&command)),
                Output::Browser { guest, output } => self.told(guest, &output),
                Output::Close { .. }
                | Output::Resolve { .. }
                | Output::ReserveAliases { .. }
                | Output::Record(_)
                | Output::CommandDone { .. }
                | Output::Log(_)
                | Output::Stopped => {}
            }
        }
        answers
    }

    fn sent(&mut self, octets: &[u8]) {
        let text = String::from_utf8_lossy(octets).into_owned();
        if text.starts_with("SIP/2.0") || text.starts_with("ACK") || self.asked.contains(&text) {
            return;
        }
        if text.starts_with("INVITE") && !header(&text, "To").contains("tag=") {
            self.dialogs.push(text.clone());
        }
        self.asked.push(text);
    }

    /// A worker that does as it is told, and has the same slots again when a leg is acknowledged.
    fn obey(&mut self, command: &Command) -> Option<Report> {
        match *command {
            Command::Connect { pair, .. } => {
                assert!(self.legs.insert(pair), "{pair:?} is connected twice");
                self.taken.insert(pair.slot);
                None
            }
            Command::Update { pair, .. } => {
                assert!(self.legs.contains(&pair), "{pair:?} is no leg");
                None
            }
            Command::Transport { pair, video, .. } => {
                let mut both = [Some(pair), video].into_iter().flatten();
                assert!(both.all(|pair| self.legs.contains(&pair)), "{pair:?}");
                None
            }
            Command::Disconnect { pair } => {
                assert!(self.legs.remove(&pair), "{pair:?} is disconnected twice");
                let counters = LegCounters::default();
                Some(Report::Disconnected { pair, counters })
            }
            Command::Acknowledge { pair } => {
                self.taken.remove(&pair.slot);
                let again = PairKey {
                    generation: pair.generation.wrapping_add(1),
                    ..pair
                };
                let port = 10_000 + 2 * u16::try_from(pair.slot).unwrap_or_default();
                let browsers = SocketAddr::new(US.ip(), 9_000);
                Some(if pair.slot < PAIRS {
                    Report::Stocked {
                        pair: again,
                        rtp: SocketAddr::new(US.ip(), port),
                    }
                } else {
                    Report::BrowserStocked {
                        pair: again,
                        at: browsers,
                    }
                })
            }
        }
    }

    fn told(&mut self, guest: GuestKey, output: &BrowserOutput) {
        let ended = self.pages.get_mut(&guest.0);
        assert!(ended.is_some(), "nobody is {guest:?}");
        let Some(ended) = ended else { return };
        assert!(!*ended, "{guest:?} is told {output:?} after its end");
        match output {
            BrowserOutput::Answer { .. } => self.played.answers += 1,
            BrowserOutput::Renegotiate => self.played.renegotiations += 1,
            BrowserOutput::State(crate::call::browser::event::GuestState::Connected) => {
                self.played.connected += 1;
            }
            BrowserOutput::Ended { .. } => *ended = true,
            BrowserOutput::State(_)
            | BrowserOutput::Keypad(_)
            | BrowserOutput::OfferRefused { .. } => {}
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now.instant + time;
        let mut count = 0;
        while let Some(at) = self.control.poll_deadline().filter(|at| *at <= end) {
            count += 1;
            assert!(count < DEADLINES_MAX, "a deadline that does not move");
            self.now.instant = at.max(self.now.instant);
            self.feed(Input::Expired);
        }
        self.now.instant = end;
    }

    /// Everything ends; whoever was asked something says nothing any more.
    fn end(&mut self) {
        self.feed(Input::Stop);
        self.pass(Duration::from_secs(200));
        for (key, ended) in &self.pages {
            assert!(ended, "page {key} never heard the end of its call");
        }
        assert!(self.legs.is_empty(), "legs are left: {:?}", self.legs);
        let counters = self.control.counters();
        assert_eq!((counters.calls_active, counters.stock_taken), (0, 0));
        assert!(self.taken.is_empty(), "slots are out: {:?}", self.taken);
        assert_eq!(counters.stock_available, u64::from(PAIRS), "pairs in stock");
        assert_eq!(self.control.guard().active(), 0, "attempts");
        assert_eq!(self.control.endpoint().active_calls(), 0, "calls");
    }
}

fn snapshot() -> Snapshot {
    let shape = TrunkShape {
        label: "trunk".to_owned(),
        ring_timeout_s: Duration::from_secs(10),
        ..TrunkShape::default()
    };
    let stored = StoredTrunk {
        id: "tr_000000000001".to_owned(),
        shape,
        password: None,
    };
    let target = TrunkTarget {
        address: CALLEE,
        priority: 1,
        weight: 1,
    };
    let mut snapshot = Snapshot {
        trunks: vec![stored.trunk(vec![target])],
        ..Snapshot::default()
    };
    snapshot.guard.calls_per_second = 0;
    snapshot
}

fn link(script: &mut Script<'_>) -> ResolvedLink {
    let remote = Destination::Remote {
        user: "610".to_owned(),
        domain: Some("example.com".to_owned()),
    };
    let destinations = [
        remote.clone(),
        remote.clone(),
        remote,
        Destination::Echo,
        Destination::Tone,
    ];
    let policies = [
        VideoPolicy::SendRecv,
        VideoPolicy::Inactive,
        VideoPolicy::RecvOnly,
        VideoPolicy::RecvOnlyInitially,
    ];
    ResolvedLink {
        link: Some(7),
        request_path: "sales".to_owned(),
        destination: script.one_of(&destinations).unwrap_or(Destination::Echo),
        caller_name: "Guest".to_owned(),
        caller_alias: "guest".to_owned(),
        unique_alias: false,
        unique_alias_separator: '.',
        trunk: None,
        display_name: String::new(),
        auto_call_after_s: None,
        video_policy: script.one_of(&policies).unwrap_or(VideoPolicy::SendRecv),
        allow_custom_caller_name: false,
        named_by_guest: false,
        named_by_link: true,
        valid_after: None,
        valid_before: None,
    }
}

fn header<'a>(text: &'a str, name: &str) -> &'a str {
    let found = text.lines().find_map(|line| {
        let (head, value) = line.split_once(':')?;
        head.eq_ignore_ascii_case(name).then(|| value.trim())
    });
    found.unwrap_or_default()
}

fn with_tag(to: &str) -> String {
    if to.contains("tag=") {
        to.to_owned()
    } else {
        format!("{to};tag=callee")
    }
}

fn written(head: &str, body: &str) -> String {
    let kind = if body.is_empty() {
        ""
    } else {
        "Content-Type: application/sdp\r\n"
    };
    let size = body.len();
    format!("{head}Contact: <sip:callee@{CALLEE}>\r\n{kind}Content-Length: {size}\r\n\r\n{body}")
}

fn response(request: &str, status: u16, body: &str) -> String {
    let vias = request.lines().filter(|line| line.starts_with("Via:"));
    let vias: String = vias.map(|via| format!("{via}\r\n")).collect();
    let value = |name| header(request, name);
    let to = with_tag(value("To"));
    let (from, call_id, cseq) = (value("From"), value("Call-ID"), value("CSeq"));
    let head = format!(
        "SIP/2.0 {status} Word\r\n{vias}From: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\n\
         CSeq: {cseq}\r\n"
    );
    written(&head, body)
}

fn request(invite: &str, method: &str, number: u32, body: &str) -> String {
    let value = |name| header(invite, name);
    let (from, to) = (with_tag(value("To")), value("From"));
    let call_id = value("Call-ID");
    let head = format!(
        "{method} sip:guest@{US} SIP/2.0\r\nVia: SIP/2.0/UDP {CALLEE};branch=z9hG4bKq{number}\r\n\
         Max-Forwards: 70\r\nFrom: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\n\
         CSeq: {number} {method}\r\n"
    );
    written(&head, body)
}
