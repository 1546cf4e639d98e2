//! Model phone against model callee, without a gateway: the peers must hold what they judge by.

use std::time::Duration;

use super::leg::{Leg, Outbox, Place, State};
use super::plan::{Action, OnCancel, Plan, Reply, Trigger};
use super::session::PCMA;
use super::text::Text;
use crate::network::{Faults, Kind, Network};
use crate::random::Generator;
use crate::time::SimTime;

/// A caller and a callee with a network between them.
struct Pair {
    caller: Leg,
    callee: Option<Leg>,
    callee_plan: Plan,
    network: Network,
    agenda: Vec<(SimTime, usize, crate::network::Packet)>,
    wakes: Vec<SimTime>,
    voices: [u32; 2],
}

fn place(node: &str, local: &str, remote: &str) -> Place {
    Place {
        by_stream: false,
        node: node.to_owned(),
        local: local.parse().unwrap(),
        remote: remote.parse().unwrap(),
    }
}

const A: &str = "10.1.0.1:5060";
const B: &str = "10.2.0.1:5060";

impl Pair {
    fn run(caller: Plan, callee: Plan, faults: Faults, seed: u64) -> Self {
        let random = Generator::new(seed, "pair");
        let mut pair = Self {
            caller: Leg::caller(
                1,
                1,
                place("alice", A, B),
                "sip:d1@10.2.0.1",
                caller,
                random.split("a"),
            ),
            callee: None,
            callee_plan: callee,
            network: Network::new(faults, random.split("network")),
            agenda: Vec::new(),
            wakes: Vec::new(),
            voices: [0; 2],
        };
        let mut out = Outbox::default();
        pair.caller.trigger(SimTime::ZERO, Trigger::Start, &mut out);
        pair.take(SimTime::ZERO, out);
        let mut order = 0;
        loop {
            pair.agenda.sort_by_key(|(at, order, _)| (*at, *order));
            let packet_at = pair.agenda.first().map(|(at, ..)| *at);
            let wake_at = pair.wakes.iter().min().copied();
            let Some(now) = packet_at.into_iter().chain(wake_at).min() else {
                break;
            };
            order += 1;
            assert!(order < 20_000, "the peers never come to rest");
            pair.wakes.retain(|at| *at > now);
            pair.step(now, packet_at == Some(now));
        }
        pair
    }

    fn step(&mut self, now: SimTime, has_packet: bool) {
        let mut out = Outbox::default();
        if has_packet {
            let (_, _, packet) = self.agenda.remove(0);
            if packet.kind == Kind::Media {
                self.voices[usize::from(packet.target.ip().to_string().starts_with("10.2"))] += 1;
            } else if let Some(message) = Text::parse(&packet.bytes).filter(|_| !packet.damaged) {
                self.deliver(now, packet.target.to_string() == A, message, &mut out);
            }
        }
        self.caller.handle_deadline(now, &mut out);
        if let Some(callee) = &mut self.callee {
            callee.handle_deadline(now, &mut out);
        }
        self.take(now, out);
    }

    fn deliver(&mut self, now: SimTime, to_caller: bool, message: Text, out: &mut Outbox) {
        if to_caller {
            self.caller.handle_message(now, message, out);
            return;
        }
        if self.callee.is_none() && message.request_method() == Some("INVITE") {
            let random = Generator::new(2, "b");
            let plan = self.callee_plan.clone();
            self.callee = Some(Leg::callee(
                2,
                1,
                place("bob", B, A),
                &message,
                plan,
                random,
            ));
        }
        if let Some(callee) = &mut self.callee {
            callee.handle_message(now, message, out);
        }
    }

    fn take(&mut self, now: SimTime, out: Outbox) {
        self.wakes.extend(out.wakes);
        for packet in out.packets {
            for (at, packet) in self.network.carry(now, packet).1 {
                self.agenda.push((at, self.agenda.len(), packet));
            }
        }
    }

    fn callee(&self) -> &Leg {
        self.callee.as_ref().unwrap()
    }
}

fn calls() -> Plan {
    Plan::idle(vec![PCMA]).then(Trigger::Start, Duration::ZERO, Action::Invite)
}

fn answers(after: u64) -> Plan {
    Plan::idle(vec![PCMA])
        .then(
            Trigger::InviteArrived,
            Duration::from_millis(5),
            Action::Respond(Reply::plain(180)),
        )
        .then(
            Trigger::InviteArrived,
            Duration::from_millis(after),
            Action::Respond(Reply::with_session(200)),
        )
}

fn calm() -> Faults {
    Faults::none(Duration::from_millis(10))
}

#[test]
fn an_answered_call_ends_on_both_sides_and_each_hears_the_other() {
    let mut caller = calls().then(Trigger::Confirmed, Duration::from_secs(1), Action::HangUp);
    caller.voice_packets = 20;
    let mut callee = answers(500);
    callee.voice_packets = 20;
    let pair = Pair::run(caller, callee, calm(), 1);
    assert_eq!(
        (pair.caller.state, pair.callee().state),
        (State::Ended, State::Ended)
    );
    assert_eq!(pair.caller.history.final_status, Some(200));
    assert!(pair.callee().history.confirmed_at.is_some());
    assert_eq!(pair.voices, [20, 20]);
    assert!(pair.caller.is_quiet() && pair.callee().is_quiet());
}

#[test]
fn a_cancelled_call_ends_with_487() {
    let caller = calls().then(Trigger::Start, Duration::from_millis(2), Action::Cancel);
    let pair = Pair::run(caller, answers(5_000), calm(), 1);
    assert_eq!(pair.caller.history.final_status, Some(487));
    assert!(pair.caller.is_quiet() && pair.callee().is_quiet());
}

#[test]
fn an_answer_that_crosses_the_cancel_is_acknowledged_and_ended() {
    let caller = calls().then(Trigger::Start, Duration::from_millis(100), Action::Cancel);
    let mut callee = answers(5_000);
    callee.on_cancel = OnCancel::Answer;
    let pair = Pair::run(caller, callee, calm(), 1);
    assert_eq!(pair.caller.history.final_status, Some(200));
    assert!(pair.callee().history.confirmed_at.is_some());
    assert!(pair.caller.is_quiet() && pair.callee().is_quiet());
}

#[test]
fn an_answer_that_nobody_acknowledges_is_given_up_after_64_t1() {
    let mut caller = calls();
    caller.acknowledges = false;
    let pair = Pair::run(caller, answers(500), calm(), 1);
    let history = &pair.callee().history;
    let lasted = history
        .ended_at
        .unwrap()
        .since(history.answered_at.unwrap());
    assert!(
        lasted >= Duration::from_secs(32) && lasted < Duration::from_secs(37),
        "{lasted:?}"
    );
}

#[test]
fn calls_end_over_every_drawn_network() {
    for seed in 0..200 {
        let mut random = Generator::new(seed, "faults");
        let faults = Faults::draw(&mut random);
        let caller = calls().then(Trigger::Confirmed, Duration::from_secs(1), Action::HangUp);
        let pair = Pair::run(caller, answers(random.below(3_000)), faults, seed);
        assert!(
            pair.caller.is_quiet(),
            "seed {seed}: {:?}",
            pair.caller.history
        );
    }
}
