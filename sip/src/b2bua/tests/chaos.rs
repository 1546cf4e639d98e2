//! Any order of anything: peers, commands and time at random, from a seed.
//!
//! Asserts what holds whatever happens: no panic and no broken table (the facade checks them after
//! each step), deadlines that move forward, repetitions octet by octet, CSeq that grows, a final
//! answer to each request of a peer's, one `Ended` and one `CallGone` a call, and nothing left once
//! everybody is silent.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

use super::registers;
use super::world::*;
use crate::event::{
    CallKey, Credentials, Dial, EndpointConfig, Event, Input, LegKey, Ping, PingKey, RefreshBy,
    Refusal, RegisterKey, RegisterRequestKey, Reliable, SessionTimer,
};
use crate::message::{self, HeaderName, Message, Method, StatusCode};
use crate::sdp::SessionDescription;

/// Longest time until everything is over: an unacknowledged 2xx (64·T1), then the BYE (64·T1),
/// then what its transactions swallow (T4).
const QUIET_S: u64 = 32 + 32 + 6;

struct Chaos {
    world: World,
    random: ChaCha8Rng,
    /// What the peers have said.
    said: Vec<(&'static str, String)>,
    /// What they have heard.
    heard: Vec<Sent>,
    calls: Vec<CallKey>,
    legs: Vec<(CallKey, LegKey)>,
    pings: Vec<PingKey>,
    /// Our registrations, and whether one waits for its answer.
    registers: BTreeMap<RegisterKey, bool>,
    /// REGISTER requests that wait for ours.
    offered_registers: Vec<RegisterRequestKey>,
    /// Call to: ended, gone.
    fates: BTreeMap<CallKey, (bool, bool)>,
    /// Branch and method of our requests to their text.
    requests: BTreeMap<(String, String), String>,
    /// Branch and CSeq of what the peers asked and nobody has answered finally.
    unanswered: BTreeMap<(String, String), String>,
    /// Call-ID and tags to the last CSeq of ours.
    sequences: BTreeMap<(String, String, String), u32>,
    next: u32,
}

impl Chaos {
    fn new(seed: u64) -> Self {
        Self {
            world: World::of(chaotic()),
            random: ChaCha8Rng::seed_from_u64(seed),
            said: Vec::new(),
            heard: Vec::new(),
            calls: Vec::new(),
            legs: Vec::new(),
            pings: Vec::new(),
            registers: BTreeMap::new(),
            offered_registers: Vec::new(),
            fates: BTreeMap::new(),
            requests: BTreeMap::new(),
            unanswered: BTreeMap::new(),
            sequences: BTreeMap::new(),
            next: 0,
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.random.next_u32()).unwrap() % bound.max(1)
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        if from.is_empty() {
            return None;
        }
        // The last few are where the races are.
        let from = if self.below(3) == 0 {
            from
        } else {
            &from[from.len().saturating_sub(6)..]
        };
        let index = self.below(from.len());
        Some(from[index].clone())
    }

    fn say(&mut self, from: &'static str, text: String) {
        let said = Sent {
            by: crate::event::Transport::Udp,
            to: OURS.into(),
            text: text.clone(),
        };
        let method = said.parsed().method();
        if method.is_some_and(|method| !matches!(method.as_str(), "ACK" | "CANCEL")) {
            let key = (said.branch(), said.header(&HeaderName::CSeq));
            self.unanswered.insert(key, text.clone());
        }
        self.world.receive(from, &text);
        self.said.push((from, text));
        self.look();
    }

    fn look(&mut self) {
        for sent in self.world.take_sent() {
            self.check_sent(&sent);
            self.heard.push(sent);
        }
        for event in self.world.take_events() {
            self.check_event(&event);
        }
    }

    fn take_answer(&mut self, message: &Message<'_>) {
        let branch = message.top_via().and_then(|via| via.branch());
        let cseq = message.value(&HeaderName::CSeq);
        if let (true, Some(branch), Some(cseq)) = (
            message.status().is_some_and(StatusCode::is_final),
            branch,
            cseq,
        ) {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            self.unanswered.remove(&(text(branch), text(cseq)));
        }
    }

    fn check_sent(&mut self, sent: &Sent) {
        let message = sent.parsed();
        self.take_answer(&message);
        let Some(method) = message.method() else {
            return;
        };
        let key = (sent.branch(), method.to_string());
        if let Some(before) = self.requests.insert(key, sent.text.clone()) {
            assert_eq!(
                before, sent.text,
                "a repetition is the same, octet by octet"
            );
            return;
        }
        if matches!(method.as_str(), "ACK" | "CANCEL") {
            return;
        }
        let tags = (sent.header(&HeaderName::From), sent.to_tag());
        let key = (sent.header(&HeaderName::CallId), tags.0, tags.1);
        if let Some(before) = self.sequences.insert(key, sent.cseq()) {
            assert!(sent.cseq() > before, "CSeq grows: {}", sent.text);
        }
    }

    fn check_event(&mut self, event: &Event) {
        let call = match event {
            Event::CallOffered { call, a_leg, .. } => {
                assert!(
                    self.fates.insert(*call, (false, false)).is_none(),
                    "a fresh key"
                );
                self.calls.push(*call);
                self.legs.push((*call, *a_leg));
                *call
            }
            Event::Progress { call, .. }
            | Event::Answered { call, .. }
            | Event::AttemptFailed { call, .. }
            | Event::LateAnswer { call, .. }
            | Event::Confirmed { call }
            | Event::Reoffered { call, .. }
            | Event::ConnectedChanged { call, .. }
            | Event::ReofferCancelled { call, .. }
            | Event::ReofferCompleted { call, .. }
            | Event::ReofferAnswered { call, .. }
            | Event::Refreshed { call, .. }
            | Event::ReofferRefused { call, .. }
            | Event::InfoReceived { call, .. }
            | Event::Ended { call, .. }
            | Event::CallGone { call } => *call,
            Event::PingEnded { ping, .. } => {
                let index = self.pings.iter().position(|known| known == ping);
                self.pings.remove(index.expect("a ping ends once"));
                return;
            }
            Event::RegisterEnded { register, .. } => {
                let pending = self.registers.get_mut(register).expect("it is known");
                assert!(std::mem::replace(pending, false), "a REGISTER ends once");
                return;
            }
            Event::RegisterOffered { request, .. } => {
                self.offered_registers.push(*request);
                return;
            }
            Event::Dropped { .. } => return,
        };
        let (ended, gone) = self.fates.get_mut(&call).expect("a call is offered first");
        assert!(!*gone, "nothing after CallGone: {event:?}");
        let only_when_alive = !matches!(event, Event::LateAnswer { .. } | Event::CallGone { .. });
        assert!(
            !*ended || !only_when_alive,
            "nothing after Ended: {event:?}"
        );
        if matches!(event, Event::Ended { .. }) {
            *ended = true;
        } else if matches!(event, Event::CallGone { .. }) {
            assert!(*ended, "Ended comes before CallGone");
            *gone = true;
        }
    }

    fn step(&mut self) {
        match self.below(100) {
            0..6 => self.new_invite(),
            6..8 => self.peer_registers(),
            8..30 => self.peer_answers(),
            30..35 => self.caller_acknowledges_early(),
            35..42 => self.peer_acknowledges(),
            42..46 => self.peer_cancels(),
            46..56 => self.peer_asks_within_a_dialog(),
            56..62 => self.peer_repeats(),
            62..64 => self.noise(),
            64..65 => self.transport_fails(),
            65..85 => self.command(),
            85..91 => self.command_of_a_dialog(),
            _ => {
                let milliseconds = [0, 10, 500, 500, 2_000, 5_000, 60_000][self.below(7)];
                self.world.pass_ms(milliseconds);
                self.look();
            }
        }
    }

    fn new_invite(&mut self) {
        self.next += 1;
        let body = if self.below(4) == 0 { "" } else { SDP };
        let id = format!("chaos{}", self.next);
        let to = format!("<sip:link@{OURS}>");
        let from = "<sip:alice@10.0.0.1>;tag=alice";
        let headers = [
            "",
            "Supported: timer\r\nSession-Expires: 90;refresher=uac\r\nAllow: UPDATE\r\n",
            "Supported: timer, 100rel\r\nSession-Expires: 120\r\n",
            "Require: timer\r\nSession-Expires: 10\r\n",
            "Supported: 100rel\r\nAllow: UPDATE\r\n",
            "Require: 100rel\r\nAllow: UPDATE\r\n",
            "Expires: 20\r\n",
        ][self.below(7)];
        let text = request("INVITE", CALLER, from, &to, &id, 1, &id, body);
        self.say(CALLER, with_headers(&text, headers));
    }

    fn peer_answers(&mut self) {
        let requests: Vec<Sent> = self
            .heard
            .iter()
            .filter(|sent| {
                !matches!(sent.what().as_str(), "ACK") && sent.parsed().method().is_some()
            })
            .cloned()
            .collect();
        let Some(sent) = self.pick(&requests) else {
            return;
        };
        let statuses = [
            100, 100, 180, 183, 199, 200, 200, 200, 200, 200, 202, 302, 401, 407, 408, 481, 486,
            422, 423, 487, 491, 491, 500, 503, 603,
        ];
        let status = statuses[self.below(statuses.len())];
        let body = [None, Some(SDP), Some("v=0\r\nbad")][self.below(3)];
        let tag = ["one", "two", "three"][self.below(3)];
        let allow = ["", "Allow: INVITE, UPDATE\r\n"][self.below(2)];
        let rseq = self.below(4);
        let reliable = format!("Require: 100rel\r\nRSeq: {rseq}\r\n{allow}");
        let least = 90 + self.below(200);
        let session = format!("Session-Expires: {least};refresher=uac\r\n{allow}");
        let peers_session = session.replace("uac", "uas");
        let longer = format!("Min-SE: {least}\r\nMin-Expires: {}\r\n", least * 40);
        let headers = match status {
            200 if least.is_multiple_of(3) => &session,
            200 if least % 3 == 1 => &peers_session,
            422 | 423 => &longer,
            101..200 if rseq > 0 => &reliable,
            401 => "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n",
            407 => "Proxy-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\"\r\n",
            500 => "Retry-After: 2\r\n",
            _ => allow,
        };
        let from = if sent.to == CALLER { CALLER } else { TRUNK };
        self.say(from, response_with(&sent, status, tag, headers, body));
    }

    fn peer_acknowledges(&mut self) {
        let finals: Vec<Sent> = self
            .heard
            .iter()
            .filter(|sent| sent.parsed().status().is_some_and(StatusCode::is_final))
            .filter(|sent| sent.header(&HeaderName::CSeq).ends_with("INVITE"))
            .cloned()
            .collect();
        let Some(answer) = self.pick(&finals) else {
            return;
        };
        let is_success = answer.parsed().status().unwrap().is_success();
        let branch = answer.branch().replace("z9hG4bK", "");
        let branch = if is_success {
            format!("{branch}ack")
        } else {
            branch
        };
        let (from, to) = (
            answer.header(&HeaderName::From),
            answer.header(&HeaderName::To),
        );
        let call_id = answer.header(&HeaderName::CallId);
        let body = if self.below(3) == 0 { SDP } else { "" };
        let text = request(
            "ACK",
            CALLER,
            &from,
            &to,
            &call_id,
            answer.cseq(),
            &branch,
            body,
        );
        self.say(CALLER, text);
    }

    /// The PRACK of any reliable response that was heard.
    fn caller_acknowledges_early(&mut self) {
        let reliable: Vec<Sent> = self
            .heard
            .iter()
            .filter(|sent| !sent.header(&HeaderName::RSeq).is_empty())
            .cloned()
            .collect();
        let Some(heard) = self.pick(&reliable) else {
            return;
        };
        self.next += 1;
        let rack = format!(
            "RAck: {} {}\r\n",
            heard.header(&HeaderName::RSeq),
            heard.header(&HeaderName::CSeq)
        );
        let (from, to) = (
            heard.header(&HeaderName::From),
            heard.header(&HeaderName::To),
        );
        let call_id = heard.header(&HeaderName::CallId);
        let cseq = [2, self.next + 10][self.below(2)];
        let body = if self.below(4) == 0 { SDP } else { "" };
        let branch = format!("early{}", self.next);
        let text = request("PRACK", CALLER, &from, &to, &call_id, cseq, &branch, body);
        self.say(CALLER, with_headers(&text, &rack));
    }

    fn peer_cancels(&mut self) {
        let invites: Vec<(&'static str, String)> = self
            .said
            .iter()
            .filter(|(_, text)| text.starts_with("INVITE"))
            .cloned()
            .collect();
        if let Some((from, text)) = self.pick(&invites) {
            self.say(from, cancel(&text));
        }
    }

    /// Within any dialog that the peers can know of: our tag stands in To of our responses, and in
    /// From of our requests.
    fn peer_asks_within_a_dialog(&mut self) {
        let Some(sent) = self.pick(&self.heard.clone()) else {
            return;
        };
        let (mut from, mut to) = (sent.header(&HeaderName::From), sent.header(&HeaderName::To));
        let peer = if sent.parsed().status().is_some() {
            CALLER
        } else {
            std::mem::swap(&mut from, &mut to);
            if !from.contains(";tag=") {
                from = format!("{from};tag={}", ["one", "two"][self.below(2)]);
            }
            if sent.to == CALLER { CALLER } else { TRUNK }
        };
        self.next += 1;
        let method = [
            "BYE", "INVITE", "INVITE", "UPDATE", "UPDATE", "OPTIONS", "INFO", "REFER", "PRACK",
        ][self.below(9)];
        let session = "Supported: timer\r\nSession-Expires: 90;refresher=uac\r\n";
        let headers = ["", session, "Session-Expires: 9\r\n"][self.below(3)];
        let body = if matches!(method, "INVITE" | "UPDATE") && self.below(3) > 0 {
            SDP
        } else {
            ""
        };
        let cseq = [1, 2, self.next + 10][self.below(3)];
        let branch = format!("in{}", self.next);
        let call_id = sent.header(&HeaderName::CallId);
        let text = request(method, peer, &from, &to, &call_id, cseq, &branch, body);
        self.say(peer, with_headers(&text, headers));
    }

    fn peer_registers(&mut self) {
        self.next += 1;
        let aor = "<sip:100@10.0.0.9>";
        let id = format!("register{}", self.next);
        let text = request(
            "REGISTER",
            CALLER,
            &format!("{aor};tag=r"),
            aor,
            &id,
            1,
            &id,
            "",
        );
        let headers = ["", "Authorization: Digest x=y\r\n", "Contact: *\r\n"][self.below(3)];
        self.say(CALLER, with_headers(&text, headers));
    }

    fn peer_repeats(&mut self) {
        let said = std::mem::take(&mut self.said);
        let again = self.pick(&said);
        self.said = said;
        if let Some((from, text)) = again {
            self.world.receive(from, &text);
            self.look();
        }
    }

    fn noise(&mut self) {
        let said = std::mem::take(&mut self.said);
        let broken = self.pick(&said);
        self.said = said;
        let Some((from, text)) = broken else { return };
        let mut bytes = text.into_bytes();
        let index = self.below(bytes.len());
        bytes[index] = [b' ', b';', b'0', b'\n', 0x7f][self.below(5)];
        let input = Input::Datagram {
            flow: flow(from),
            bytes: &bytes,
        };
        self.world.endpoint.handle_input(self.world.now, input);
        // A refusal repeats what is broken: the checks of our own text are not for it.
        for unread in self.world.drain_unread() {
            if let Ok(message) = message::parse(&unread) {
                self.take_answer(&message);
            }
        }
        self.look();
    }

    fn transport_fails(&mut self) {
        let peer = [CALLER, TRUNK][self.below(2)];
        let input = Input::TransportFailed { flow: flow(peer) };
        self.world.endpoint.handle_input(self.world.now, input);
        self.world.drain();
        self.look();
    }

    fn command(&mut self) {
        let Some((call, leg)) = self.pick(&self.legs.clone()) else {
            return;
        };
        let now = self.world.now;
        let refusal = Refusal {
            q850_cause: Some(31),
            ..Default::default()
        };
        let failure = StatusCode::new([302, 480, 486, 503, 603][self.below(5)]).unwrap();
        let other = other_sdp(6_000);
        let other = SessionDescription::parse(other.as_bytes()).unwrap();
        let early = [None, Some(sdp()), Some(other)][self.below(3)].clone();
        let by = [RefreshBy::Invite, RefreshBy::Update][self.below(2)];
        let offer = Some(sdp()).filter(|_| self.below(3) > 0);
        let endpoint = &mut self.world.endpoint;
        // A command that does not fit the state is declined: that is no concern here.
        let declined = match self.random.next_u32() % 16 {
            0..3 => {
                let credentials = Credentials {
                    username: "u".into(),
                    password: "p".into(),
                    realm: None,
                };
                let dial = Dial {
                    session_timer: chaotic().session_timer,
                    credentials: Some(credentials),
                    offer,
                    reliable: Reliable::Supported,
                    ..dial()
                };
                let dialled = endpoint.dial(now, call, dial);
                dialled.map(|leg| self.legs.push((call, leg))).err()
            }
            3 => endpoint
                .ring(now, call, StatusCode::RINGING, early.as_ref())
                .err(),
            4 | 5 => endpoint.answer(now, call, &sdp()).err(),
            6 => endpoint.refuse(now, call, failure, &refusal).err(),
            7 => endpoint.abandon(now, call, leg).err(),
            8 | 9 => endpoint.reoffer_by(now, call, leg, &sdp(), by).err(),
            13 => endpoint.acknowledge(now, call, leg, &sdp()).err(),
            14 => endpoint
                .ring(now, call, StatusCode::SESSION_PROGRESS, early.as_ref())
                .err(),
            10 => endpoint.answer_reoffer(now, call, leg, &sdp()).err(),
            11 => endpoint.refuse_reoffer(now, call, leg, failure).err(),
            12 => endpoint.hang_up(now, call, &refusal).err(),
            _ => {
                let ping = Ping {
                    flow: flow(TRUNK),
                    request_uri: dial().request_uri,
                    from: dial().request_uri,
                    timeout: Duration::from_secs(4),
                };
                endpoint
                    .ping(now, ping)
                    .map(|key| self.pings.push(key))
                    .err()
            }
        };
        if declined.is_none() || self.below(2) == 0 {
            self.world.drain();
            self.look();
        }
    }

    fn command_of_a_dialog(&mut self) {
        let now = self.world.now;
        let (known, offered) = (
            self.registers.keys().copied().collect::<Vec<_>>(),
            self.offered_registers.clone(),
        );
        let (register, request) = (self.pick(&known), self.pick(&offered));
        let leg = self.pick(&self.legs.clone());
        let status = [StatusCode::OK, StatusCode::UNAUTHORIZED][self.below(2)];
        let expires = Duration::from_secs([0, 60, 3_600][self.below(3)]);
        let timer = chaotic().session_timer;
        let endpoint = &mut self.world.endpoint;
        match (self.random.next_u32() % 7, leg, register, request) {
            (0, ..) => {
                let dial = Dial {
                    session_timer: timer,
                    ..dial()
                };
                if let Ok((call, leg)) = endpoint.place(now, dial) {
                    self.fates.insert(call, (false, false));
                    self.calls.push(call);
                    self.legs.push((call, leg));
                }
            }
            (1, ..) => {
                if let Ok(key) = endpoint.register(now, registers::asked()) {
                    self.registers.insert(key, true);
                }
            }
            (2, _, Some(key), _) => {
                if endpoint.refresh_register(now, key, expires).is_ok() {
                    self.registers.insert(key, true);
                }
            }
            (3, _, Some(key), _) => {
                endpoint.forget_register(key).unwrap();
                self.registers.remove(&key);
            }
            (4 | 5, _, _, Some(key)) => {
                // It may have waited too long.
                let _declined = endpoint.answer_register(now, key, status, &[]).err();
                self.offered_registers.retain(|kept| *kept != key);
            }
            (_, Some((call, leg)), ..) => {
                let _declined = endpoint.inform(now, call, leg, "a/b", b"x").err();
                if let Some(timer) = timer {
                    let _declined = endpoint.set_session_timer(call, leg, timer).err();
                }
            }
            (_, None, ..) => {}
        }
        self.world.drain();
        self.look();
    }

    /// Call control hangs up, and the peers say nothing more.
    fn fall_silent(&mut self) {
        for call in self.calls.clone() {
            if !self.fates[&call].0 {
                let refusal = Refusal::default();
                self.world
                    .endpoint
                    .hang_up(self.world.now, call, &refusal)
                    .unwrap();
                self.world.drain();
            }
        }
        self.look();
        assert_eq!(self.world.endpoint.active_calls(), 0);
        self.world.pass(Duration::from_secs(QUIET_S));
        self.look();
        assert!(self.world.endpoint.is_idle(), "{:#?}", self.world.endpoint);
        assert!(self.fates.values().all(|(ended, gone)| *ended && *gone));
        assert!(
            self.unanswered.is_empty(),
            "each request gets its answer: {:#?}",
            self.unanswered
        );
        assert!(self.pings.is_empty());
        assert!(self.registers.values().all(|pending| !pending));
    }
}

/// Everything is on, and intervals are the shortest that there are.
fn chaotic() -> EndpointConfig {
    let mut config = EndpointConfig {
        reliable_early_media: true,
        session_timer: Some(SessionTimer {
            expires: Duration::from_secs(90),
            min: Duration::from_secs(90),
            refresh_by: RefreshBy::Update,
        }),
        info_types: vec!["application/sdp".into()],
        ..config(40)
    };
    config.allow.extend([Method::Info, Method::Register]);
    config
}

proptest! {
    #[test]
    fn nothing_breaks_and_nothing_is_left_whatever_happens(seed in any::<u64>(), steps in 1_usize..250) {
        let mut chaos = Chaos::new(seed);
        for _ in 0..steps {
            chaos.step();
        }
        chaos.fall_silent();
    }
}
