//! A panic in the middle of a turn, at each of its steps: the call concerned ends, both sides are told,
//! nothing is left, and the other call does not notice.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::world::*;
use crate::event::{CallKey, LegKey, Ping, Refusal};
use crate::message::StatusCode;

/// What a script knows of its call.
#[derive(Default)]
struct Played {
    call: Option<CallKey>,
    legs: Vec<LegKey>,
    invite: String,
    b_invite: Option<Sent>,
    heard: Option<Sent>,
}

impl Played {
    fn call(&self) -> CallKey {
        self.call.unwrap()
    }

    fn b_invite(&self) -> Sent {
        self.b_invite.clone().unwrap()
    }

    fn caller_says(&self, what: (&str, u32, &str), body: &str) -> String {
        let open = Opened {
            call: self.call(),
            a_leg: self.legs[0],
            b_leg: self.legs[0],
            invite: self.invite.clone(),
            b_invite: self.b_invite(),
        };
        match what.0 {
            "PRACK" => open.prack(self.heard.as_ref().unwrap(), what.1, body),
            _ => open.caller_says(self.heard.as_ref().unwrap(), what, "", body),
        }
    }
}

type Step = fn(&mut World, &mut Played);

/// Ringing by PRACK on both sides, an UPDATE before the answer, a hold, an end.
const TALK: &[Step] = &[
    |world, played| {
        let headers = "Require: 100rel\r\nAllow: INVITE, ACK, BYE, PRACK, UPDATE\r\n";
        played.invite = with_headers(&invite("struck"), headers);
        world.receive(CALLER, &played.invite);
        played.call = world
            .take_events()
            .iter()
            .find_map(crate::event::Event::call);
    },
    |world, played| {
        let leg = world
            .endpoint
            .dial(world.now, played.call(), dial())
            .unwrap();
        played.legs.push(leg);
        world.drain();
        played.b_invite = Some(world.last("INVITE"));
    },
    |world, played| {
        let headers = "Require: 100rel\r\nRSeq: 1\r\nAllow: UPDATE\r\n";
        let progress = response_with(&played.b_invite(), 183, "callee", headers, Some(SDP));
        world.receive(TRUNK, &progress);
    },
    |world, _| {
        let prack = world.last("PRACK");
        world.receive(TRUNK, &response(&prack, 200, "", None));
    },
    |world, played| {
        world.ring(played.call(), 183, Some(SDP));
        played.heard = Some(world.last("183"));
    },
    |world, played| {
        let prack = played.caller_says(("PRACK", 2, ""), "");
        world.receive(CALLER, &prack);
    },
    |world, played| {
        let update = played.caller_says(("UPDATE", 3, "early"), &other_sdp(4_002));
        world.receive(CALLER, &update);
        let a_leg = world.events.iter().find_map(|event| {
            if let crate::event::Event::Reoffered { leg, .. } = event {
                Some(*leg)
            } else {
                None
            }
        });
        played.legs.push(a_leg.unwrap());
    },
    |world, played| {
        let answered =
            world
                .endpoint
                .answer_reoffer(world.now, played.call(), played.legs[1], &sdp());
        answered.unwrap();
        world.drain();
    },
    |world, played| {
        let ok = response(&played.b_invite(), 200, "callee", None);
        world.receive(TRUNK, &ok);
    },
    |world, played| {
        world.answer(played.call(), SDP);
        played.heard = Some(world.last("200"));
    },
    |world, played| {
        let ack = ack(&played.invite, played.heard.as_ref().unwrap());
        world.receive(CALLER, &ack);
    },
    |world, played| {
        let reinvite = played.caller_says(("INVITE", 4, "hold"), &other_sdp(4_004));
        world.receive(CALLER, &reinvite);
    },
    |world, played| {
        let answered =
            world
                .endpoint
                .answer_reoffer(world.now, played.call(), played.legs[1], &sdp());
        answered.unwrap();
        world.drain();
    },
    |world, _| world.pass_ms(700),
    |world, played| {
        let ack = played.caller_says(("ACK", 4, "holdack"), "");
        world.receive(CALLER, &ack);
    },
    |world, played| {
        world
            .endpoint
            .reoffer(world.now, played.call(), played.legs[0], &sdp())
            .unwrap();
        world.drain();
    },
    |world, _| {
        let reinvite = world.last("INVITE");
        let ok = response(&reinvite, 200, "callee", Some(SDP));
        world.receive(TRUNK, &ok);
    },
    |world, played| {
        let bye = played.caller_says(("BYE", 5, "bye"), "");
        world.receive(CALLER, &bye);
    },
    |world, _| {
        let bye = world.last("BYE");
        world.receive(TRUNK, &response(&bye, 200, "", None));
    },
    |world, _| world.pass_ms(40_000),
];

/// An attempt that fails, one that is answered after it was left, and a caller that cancels.
const FAILURES: &[Step] = &[
    TALK[0],
    TALK[1],
    |world, played| {
        let busy = response(&played.b_invite(), 503, "callee", None);
        world.receive(TRUNK, &busy);
    },
    TALK[1],
    |world, played| {
        let ringing = response(&played.b_invite(), 180, "callee", None);
        world.receive(TRUNK, &ringing);
    },
    |world, played| {
        let leg = *played.legs.last().unwrap();
        world
            .endpoint
            .abandon(world.now, played.call(), leg)
            .unwrap();
        world.drain();
    },
    |world, played| {
        let ok = response(&played.b_invite(), 200, "callee", Some(SDP));
        world.receive(TRUNK, &ok);
    },
    TALK[1],
    |world, _| world.pass_ms(5_000),
    |world, played| {
        let cancel = played.invite.replace("INVITE", "CANCEL");
        world.receive(CALLER, &cancel);
    },
    |world, _| world.pass_ms(40_000),
];

/// A call that we place, and its end by us.
const PLACED: &[Step] = &[
    |world, played| {
        let (call, leg) = world.endpoint.place(world.now, dial()).unwrap();
        (played.call, played.legs) = (Some(call), vec![leg]);
        world.drain();
        played.b_invite = Some(world.last("INVITE"));
    },
    |world, played| {
        let ok = response(&played.b_invite(), 200, "callee", Some(SDP));
        world.receive(TRUNK, &ok);
    },
    |world, played| world.hang_up(played.call()),
    |world, _| world.pass_ms(40_000),
];

/// What has nothing to do with a call.
const ERRANDS: &[Step] = &[
    |world, _| {
        let ping = Ping {
            flow: flow(TRUNK),
            request_uri: dial().request_uri,
            from: dial().request_uri,
            timeout: std::time::Duration::from_secs(4),
        };
        world.endpoint.ping(world.now, ping).unwrap();
        world.drain();
    },
    |world, _| world.pass_ms(5_000),
    |world, _| world.fail(by_tcp(CALLER)),
];

/// A call, and after which of its steps its caller has no claim to hear of the end: it has ended it.
struct Script {
    steps: &'static [Step],
    ended_by_caller_at: usize,
}

/// Plays it as far as the panic lets it: the step that was struck.
fn play(world: &mut World, script: &Script, played: &mut Played) -> Option<usize> {
    for (number, step) in script.steps.iter().enumerate() {
        let stepped = catch_unwind(AssertUnwindSafe(|| step(world, played)));
        let Err(panic) = stepped else { continue };
        if world.endpoint.has_fault() {
            std::panic::resume_unwind(panic);
        }
        return Some(number);
    }
    None
}

/// As call control does it, which knows whose turn it was where the endpoint does not.
fn recover(world: &mut World, played: &Played) {
    let lost = world.endpoint.recover(world.now);
    world.drain();
    if let Some(call) = lost.or(played.call) {
        let (status, refusal) = (StatusCode::SERVER_INTERNAL_ERROR, Refusal::default());
        let endpoint = &mut world.endpoint;
        let refused = endpoint.refuse(world.now, call, status, &refusal);
        let _ended = refused.or_else(|_| endpoint.hang_up(world.now, call, &refusal));
        world.drain();
    }
}

/// Peers that answer what they get; what was sent meanwhile.
fn answer_all(world: &mut World, log: &mut Vec<String>) {
    for _ in 0..4 {
        for sent in world.take_sent() {
            log.push(format!("{}>{}", sent.what(), sent.to));
            if matches!(sent.what().as_str(), "BYE" | "CANCEL" | "PRACK") {
                world.receive(&sent.to, &response(&sent, 200, "callee", None));
            }
        }
    }
}

/// Each step of it is the last one once.
fn strike_each(script: &Script) -> usize {
    for steps in 0.. {
        let mut world = World::new();
        let other = world.connected();
        // Nothing of it has a turn any more.
        world.pass_ms(40_000);
        world.endpoint.set_fault(Some(steps));
        let mut played = Played::default();
        let struck = play(&mut world, script, &mut played);
        world.endpoint.set_fault(None);
        let Some(number) = struck else {
            return usize::try_from(steps).unwrap();
        };
        recover(&mut world, &played);
        assert_eq!(world.endpoint.counters().turns_cut_short, 1);
        let mut log = Vec::new();
        for _ in 0..3 {
            answer_all(&mut world, &mut log);
            world.pass_ms(40_000);
        }
        let place = format!("step {steps}, in {number} of the script: {log:?}");
        assert!(world.endpoint.call_id(other.a_leg).is_some(), "{place}");
        assert_eq!(world.endpoint.active_calls(), 1, "{place}");
        let has = |what: &str| log.contains(&format!("{what}>{CALLER}"));
        let is_told = has("BYE") || has("500") || has("487");
        let was_heard = has("100") || has("183") || has("200");
        assert!(
            is_told || !was_heard || number >= script.ended_by_caller_at,
            "{place}"
        );
        world.hang_up(other.call);
        answer_all(&mut world, &mut log);
        world.pass_ms(300_000);
        assert!(
            world.endpoint.is_idle(),
            "{place} {:?}",
            world.endpoint.tables()
        );
    }
    0
}

#[test]
fn call_that_is_struck_at_any_step_ends_and_leaves_nothing() {
    let talk = Script {
        steps: TALK,
        ended_by_caller_at: 17,
    };
    assert!(strike_each(&talk) > 60);
}

#[test]
fn failing_attempts_that_are_struck_at_any_step_leave_nothing() {
    let failures = Script {
        steps: FAILURES,
        ended_by_caller_at: 9,
    };
    assert!(strike_each(&failures) > 25);
}

#[test]
fn placed_call_that_is_struck_at_any_step_leaves_nothing() {
    let placed = Script {
        steps: PLACED,
        ended_by_caller_at: 0,
    };
    assert!(strike_each(&placed) > 8);
}

#[test]
fn requests_without_a_dialog_that_are_struck_leave_nothing() {
    let errands = Script {
        steps: ERRANDS,
        ended_by_caller_at: 0,
    };
    assert!(strike_each(&errands) > 2);
}
