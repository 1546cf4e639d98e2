//! Guests that begin calls and abandon them in every state, by the ten thousands: every slot, port and entry
//! comes back (after GHSA-557q-795j-wfx2).

use std::time::Duration;

use sip::event::Transport;
use sip::sdp::{Direction, SessionDescription};
use sluice::call::browser::event::{
    BrowserCall, BrowserInput, BrowserOutput, GuestKey, GuestState,
};
use sluice::links::model::Destination;

use crate::gateway::{Effect, GATEWAY, Gateway, Habits, HostFaults};
use crate::guest::description::{self, End};
use crate::network::{Kind, Packet};
use crate::peer::response;
use crate::peer::session::{self, PCMA, Session};
use crate::peer::text::Text;
use crate::random::Generator;
use crate::store::link;
use crate::swarm;
use crate::time::SimTime;
use crate::world::Ping;

/// Calls that are abandoned.
const CALLS: u64 = 20_000;
/// Ways to abandon one.
const WAYS: u64 = 18;
const TRUNK: ([u8; 4], u16) = ([10, 2, 0, 1], 5060);

/// A gateway, and what it said.
struct Stage {
    gateway: Gateway,
    now: SimTime,
    /// Requests that left for the callee.
    asked: Vec<Text>,
    /// What the guest in hand was told.
    told: Vec<BrowserOutput>,
    guest: u64,
    calls: u64,
    ended: u64,
    rows: [u64; 2],
}

impl Stage {
    fn new() -> Self {
        let random = Generator::new(1, "abandoned");
        let trunks = [("trunk1".to_owned(), TRUNK.into(), Ping::Silent)];
        let snapshot = swarm::snapshot(&trunks, false, &mut random.split("snapshot"));
        let none = HostFaults::default();
        let gateway = Gateway::new(&random, snapshot, none, Habits::default());
        let mut stage = Self {
            gateway,
            now: SimTime::ZERO,
            asked: Vec::new(),
            told: Vec::new(),
            guest: 0,
            calls: 0,
            ended: 0,
            rows: [0; 2],
        };
        let effects = stage.gateway.begin(stage.now);
        stage.take(effects);
        stage
    }

    fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(packet) if packet.kind == Kind::Signalling => {
                    self.asked.extend(Text::parse(&packet.bytes));
                }
                Effect::Told(guest, output) => {
                    self.ended += u64::from(matches!(output, BrowserOutput::Ended { .. }));
                    if guest.0 == self.guest {
                        self.told.push(output);
                    }
                }
                Effect::Record(sluice::cdr::record::Record::CallOpened(_)) => self.rows[0] += 1,
                Effect::Record(sluice::cdr::record::Record::CallClosed(_)) => self.rows[1] += 1,
                Effect::Struck(lost) => panic!("a turn panicked: {lost:?}"),
                Effect::Send(_)
                | Effect::Record(_)
                | Effect::Ask(_)
                | Effect::Done(..)
                | Effect::Note(_) => {}
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.gateway.deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            let effects = self.gateway.expire(self.now);
            self.take(effects);
        }
        self.now = end;
    }

    fn say(&mut self, input: BrowserInput) {
        let effects = self.gateway.guest(self.now, GuestKey(self.guest), input);
        self.take(effects);
    }

    fn call(&mut self, destination: Destination, offer: SessionDescription) {
        self.guest += 1;
        self.calls += 1;
        self.told.clear();
        self.asked.clear();
        let path = format!("c{}", self.guest);
        let client = [10, 4, 0, 1].into();
        let link = link(&path, destination);
        let call = BrowserCall {
            link,
            offer,
            client,
        };
        self.say(BrowserInput::Call(Box::new(call)));
    }

    fn callee(&mut self, offer: SessionDescription) {
        let destination = Destination::Remote {
            user: "610".to_owned(),
            domain: Some("example.net".to_owned()),
        };
        self.call(destination, offer);
    }

    /// The callee answers the last request of this method, where there is one.
    fn answer(&mut self, method: &str, status: u16, body: String) {
        let mut asked = self.asked.iter().rev();
        let request = asked
            .find(|it| it.request_method() == Some(method))
            .cloned();
        let Some(request) = request else { return };
        let reply = response::build(&request, status, "callee", "<sip:callee@10.2.0.1>", body);
        let packet = Packet {
            kind: Kind::Signalling,
            source: TRUNK.into(),
            target: GATEWAY,
            bytes: reply.encode(),
            damaged: false,
        };
        let effects = self.gateway.datagram(self.now, &packet, Transport::Udp);
        self.take(effects);
    }

    /// The callee takes the call.
    fn connect(&mut self, payload: u8, video: Option<u16>) {
        self.answer("INVITE", 180, String::new());
        self.answer("INVITE", 200, session(payload, video));
        let is_up = |told: &BrowserOutput| *told == BrowserOutput::State(GuestState::Connected);
        assert!(self.told.iter().any(is_up), "{:?}", self.told);
    }
}

fn session(payload: u8, video: Option<u16>) -> String {
    Session {
        version: 1,
        rtp: ([10, 2, 0, 1], 20_000).into(),
        payloads: vec![payload],
        direction: session::Direction::SendReceive,
        video,
        protection: crate::peer::keys::Protection::default(),
    }
    .write()
}

fn offer(ufrag: &str, direction: Direction, has_camera: bool) -> SessionDescription {
    let end = End {
        ufrag: ufrag.to_owned(),
        password: "p".repeat(24),
    };
    description::offer(1, &end, [3; 32], direction, has_camera)
}

fn plain() -> SessionDescription {
    SessionDescription::parse(session(PCMA, None).as_bytes()).unwrap()
}

/// Begins a call and abandons it.
#[expect(clippy::too_many_lines, reason = "one arm for each way")]
fn abandon(stage: &mut Stage, way: u64) {
    let audio = || offer("aaaa", Direction::SendRecv, false);
    let both = || offer("aaaa", Direction::SendRecv, true);
    let again = |direction| BrowserInput::Offer(Box::new(offer("aaaa", direction, false)));
    match way {
        0 => stage.callee(plain()),
        // Nobody ever says anything.
        1 => {
            stage.callee(audio());
            stage.say(BrowserInput::HangUp);
        }
        2 => {
            stage.callee(audio());
            stage.answer("INVITE", 180, String::new());
            stage.say(BrowserInput::HangUp);
            stage.answer("CANCEL", 200, String::new());
            stage.answer("INVITE", 487, String::new());
        }
        3 => {
            stage.callee(both());
            stage.answer("INVITE", 183, session(PCMA, None));
            stage.say(BrowserInput::HangUp);
        }
        4 => {
            stage.callee(audio());
            stage.connect(PCMA, None);
            stage.say(BrowserInput::HangUp);
            stage.answer("BYE", 200, String::new());
        }
        5 => {
            stage.callee(audio());
            stage.connect(PCMA, None);
            stage.say(BrowserInput::HangUp);
        }
        6 => {
            stage.callee(both());
            stage.answer("INVITE", 486, String::new());
        }
        // A codec that the page has not.
        7 => {
            stage.callee(audio());
            stage.answer("INVITE", 200, session(18, None));
        }
        8 => {
            stage.callee(audio());
            stage.connect(PCMA, None);
            stage.say(BrowserInput::Lost);
            stage.pass(Duration::from_secs(11));
        }
        // Its offer is asked for, and refused, and never comes.
        9 => {
            stage.callee(audio());
            stage.connect(PCMA, None);
            stage.say(BrowserInput::Offer(Box::new(plain())));
            stage.say(BrowserInput::HangUp);
        }
        // Its offer waits for the callee.
        10 => {
            stage.callee(audio());
            stage.connect(PCMA, None);
            stage.say(again(Direction::SendRecv));
            stage.say(again(Direction::Inactive));
            stage.say(again(Direction::SendOnly));
            stage.say(BrowserInput::HangUp);
        }
        // Neither a check nor a word of the page ever comes.
        11 => {
            stage.callee(audio());
            stage.connect(PCMA, None);
            stage.pass(Duration::from_secs(31));
        }
        12 => {
            stage.call(Destination::Echo, both());
            stage.say(BrowserInput::HangUp);
        }
        13 => {
            stage.callee(both());
            stage.connect(PCMA, Some(20_002));
            stage.say(BrowserInput::Camera(true));
            stage.say(BrowserInput::HangUp);
        }
        14 => {
            stage.callee(both());
            stage.connect(PCMA, Some(0));
            stage.say(BrowserInput::Offer(Box::new(both())));
            stage.say(BrowserInput::HangUp);
        }
        // The answer crosses the end.
        15 => {
            stage.callee(audio());
            stage.answer("INVITE", 180, String::new());
            stage.say(BrowserInput::HangUp);
            stage.answer("INVITE", 200, session(PCMA, None));
            stage.answer("CANCEL", 481, String::new());
        }
        // ICE begins anew, and the page is lost before its end.
        16 => {
            stage.callee(audio());
            stage.connect(PCMA, None);
            let restart = offer("bbbb", Direction::SendRecv, false);
            stage.say(BrowserInput::Offer(Box::new(restart)));
            stage.say(BrowserInput::Lost);
            stage.say(BrowserInput::Resumed);
            stage.say(BrowserInput::HangUp);
            stage.say(BrowserInput::HangUp);
            stage.say(again(Direction::SendRecv));
        }
        _ => {
            stage.call(Destination::Tone, audio());
            stage.say(BrowserInput::Lost);
            stage.pass(Duration::from_secs(11));
        }
    }
}

#[test]
fn twenty_thousand_calls_of_guests_abandoned_in_every_state_leave_nothing() {
    let mut stage = Stage::new();
    for number in 0..CALLS {
        abandon(&mut stage, number % WAYS);
        stage.pass(Duration::from_millis(200));
        stage.gateway.check().unwrap();
        if number % 1_000 == 999 {
            stage.pass(Duration::from_secs(150));
            assert_eq!(stage.gateway.calls(), 0, "after {number} calls");
            stage.gateway.at_rest().unwrap();
        }
    }
    // Somebody honest, at once.
    stage.callee(offer("cccc", Direction::SendRecv, false));
    stage.connect(PCMA, None);
    stage.say(BrowserInput::HangUp);
    stage.answer("BYE", 200, String::new());
    stage.pass(Duration::from_secs(150));
    stage.gateway.at_rest().unwrap();
    assert_eq!(stage.calls, CALLS + 1);
    assert_eq!(stage.ended, stage.calls, "each page heard the end, once");
    // Those of the first way were no calls.
    let rows = stage.calls - CALLS.div_ceil(WAYS);
    assert_eq!(stage.rows, [rows, rows], "each call has its record");
    let effects = stage.gateway.stop(stage.now);
    stage.take(effects);
    assert!(stage.gateway.is_stopped());
}
