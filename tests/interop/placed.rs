//! Calls that are ordered: two real parties behind two trunks are dialled, one after the other, and
//! joined. The verdict on media is by frequency.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::baresip::{CALLEE, CALLER, each_hears_the_other};
use crate::gateway::{Gateway, SIP, attempt_statuses, trunk};
use crate::party::{Machine, Party, audio, converse, header};
use crate::tone::Law;
use crate::world::{World, until};

const DESK: &str = "127.0.0.21:5080";
const OUTSIDE: &str = "127.0.0.22:5080";
const DESK_HZ: f64 = 600.0;
const OUTSIDE_HZ: f64 = 1100.0;
const RINGBACK_HZ: f64 = 425.0;
const PATIENCE: Duration = Duration::from_secs(10);
/// Two seconds of samples.
const RECORDED_MIN: u64 = 2 * 8000 * 2;

/// A desk phone behind one trunk, somebody outside behind another.
struct Scene {
    desk: Party,
    outside: Party,
    desk_machine: Machine,
    outside_machine: Machine,
    gateway: Gateway,
    /// Ends last: the folder of the gateway.
    _world: World,
}

/// A trunk that carries these numbers and no others.
fn trunk_for(label: &str, target: &str, pattern: &str) -> String {
    let table = trunk(label, target, 10);
    format!("{}\npatterns = [\"{pattern}\"]\n\n", table.trim_end())
}

/// A gateway with both trunks, whose guard lets numbers be dialled that no link names.
fn gateway(world: &World) -> Gateway {
    let tables = trunk_for("house", DESK, "610") + &trunk_for("carrier", OUTSIDE, "+33*");
    let gateway = Gateway::start(world, &tables);
    gateway.run(&["settings", "set", "guard.deny_unnamed", "false"]);
    gateway
}

/// Octets of all that a phone has recorded so far.
fn recorded(world: &World, phone: &str) -> u64 {
    let Ok(folder) = fs::read_dir(world.file(&format!("{phone}/rec"))) else {
        return 0;
    };
    let received = folder
        .flatten()
        .filter(|entry| entry.path().to_string_lossy().ends_with("-dec.wav"));
    received
        .filter_map(|entry| entry.metadata().ok())
        .map(|found| found.len())
        .sum()
}

#[test]
fn placed_call_between_two_baresips_is_heard_both_ways() {
    let Some(world) = World::open(&["ip", "baresip"]) else {
        return;
    };
    let account = |user: &str| {
        format!("<sip:{user}@127.0.0.1>;regint=0;answermode=auto;audio_codecs=PCMA/8000/1\n")
    };
    let tables =
        trunk_for("first", "127.0.0.1:5520", "610") + &trunk_for("second", "127.0.0.1:5540", "611");
    let gateway = Gateway::start(&world, &tables);
    gateway.run(&["settings", "set", "guard.deny_unnamed", "false"]);
    let mut first = CALLER.start_as(&account("610"), &world, 12, None);
    let mut second = CALLEE.start_as(&account("611"), &world, 12, None);
    let text = gateway.run(&["calls", "place", "--from", "610", "--to", "611", "--json"]);
    let call: Value = serde_json::from_str(&text).expect("a call");
    let id = call["id"].as_str().expect("an id");
    until_state(&gateway, id, "connected");
    until("two seconds of audio at both", PATIENCE, || {
        [CALLER.name, CALLEE.name].map(|name| recorded(&world, name) > RECORDED_MIN) == [true; 2]
    });
    gateway.run(&["calls", "end", id]);
    let calls = gateway.closed_calls(1);
    assert_eq!(calls[0]["cause"], "ended_by_api", "{calls:?}");
    first.wait(2 * PATIENCE);
    second.wait(2 * PATIENCE);
    each_hears_the_other(&world);
}

/// Places a call between both; its id.
fn place(gateway: &Gateway) -> String {
    let text = gateway.run(&[
        "calls",
        "place",
        "--from",
        "610",
        "--to",
        "+33123456",
        "--trunk",
        "carrier",
        "--caller-name",
        "Reception",
        "--caller-alias",
        "600",
        "--json",
    ]);
    let call: Value = serde_json::from_str(&text).expect("a call");
    assert_eq!(call["state"], "calling", "{call}");
    call["id"].as_str().expect("an id").to_owned()
}

fn show(gateway: &Gateway, id: &str) -> Value {
    let text = gateway.run(&["calls", "show", id, "--json"]);
    serde_json::from_str(&text).expect("a call")
}

fn until_state(gateway: &Gateway, id: &str, state: &str) -> Value {
    let mut call = Value::Null;
    until(&format!("a call that is {state}"), PATIENCE, || {
        call = show(gateway, id);
        call["state"] == state
    });
    call
}

impl Scene {
    fn open() -> Option<Self> {
        let world = World::open(&["ip"])?;
        Some(Self {
            desk: Party::new(DESK, SIP),
            outside: Party::new(OUTSIDE, SIP),
            desk_machine: Machine::new("127.0.0.21", DESK_HZ, Law::A, 1),
            outside_machine: Machine::new("127.0.0.22", OUTSIDE_HZ, Law::A, 2),
            gateway: gateway(&world),
            _world: world,
        })
    }

    /// The desk rings and answers; its INVITE.
    fn desk_answers(&mut self) -> String {
        let invite = self.desk.expect_request("INVITE");
        self.desk.respond(&invite, "180 Ringing", "", "");
        let session = self.desk_machine.session(1, "sendrecv");
        self.desk.respond(&invite, "200 OK", "", &session);
        let _ack = self.desk.expect_request("ACK");
        invite
    }

    /// The outside rings; its INVITE.
    fn outside_rings(&mut self) -> String {
        let invite = self.outside.expect_request("INVITE");
        self.outside.respond(&invite, "180 Ringing", "", "");
        invite
    }
}

/// Says good-bye to a BYE.
fn hang_up(party: &mut Party) {
    let bye = party.expect_request("BYE");
    party.respond(&bye, "200 OK", "", "");
}

/// Stops ringing.
fn stop_ringing(party: &mut Party, invite: &str) {
    let cancel = party.expect_request("CANCEL");
    party.respond(&cancel, "200 OK", "", "");
    party.respond(invite, "487 Request Terminated", "", "");
    let _ack = party.expect_request("ACK");
}

#[test]
fn placed_call_rings_both_joins_them_and_ends_by_order() {
    let Some(mut scene) = Scene::open() else {
        return;
    };
    let id = place(&scene.gateway);
    let to_desk = scene.desk_answers();
    let to_outside = scene.outside_rings();
    let shown = header(&to_outside, "From").expect("a From");
    assert!(shown.starts_with("\"Reception\" <sip:600@"), "{shown}");
    until_state(&scene.gateway, &id, "connecting");

    // A second of it, then four of silence.
    until("ringback while the other rings", PATIENCE, || {
        converse(&mut [(&mut scene.desk_machine, audio(&to_desk))]);
        scene.desk_machine.hears(RINGBACK_HZ) > 0.8
    });

    let session = scene.outside_machine.session(1, "sendrecv");
    scene.outside.respond(&to_outside, "200 OK", "", &session);
    let _ack = scene.outside.expect_request("ACK");
    let call = until_state(&scene.gateway, &id, "connected");
    assert_eq!(call["legs"][0]["codec"], "PCMA", "{call}");
    assert_eq!(call["legs"][1]["codec"], "PCMA", "{call}");
    converse(&mut [
        (&mut scene.desk_machine, audio(&to_desk)),
        (&mut scene.outside_machine, audio(&to_outside)),
    ]);
    for (machine, other, own) in [
        (&scene.desk_machine, OUTSIDE_HZ, DESK_HZ),
        (&scene.outside_machine, DESK_HZ, OUTSIDE_HZ),
    ] {
        let (heard, echo) = (machine.hears(other), machine.hears(own));
        assert!(heard > 0.8 && echo < 0.1, "{other}: {heard:.2} {echo:.2}");
        assert!(machine.packets_heard() >= 20);
    }
    assert!(scene.desk_machine.hears(RINGBACK_HZ) < 0.1);

    let ended = scene.gateway.run(&["calls", "end", &id]);
    assert_eq!(ended, format!("ended call {id}\n"));
    hang_up(&mut scene.desk);
    hang_up(&mut scene.outside);
    let calls = scene.gateway.closed_calls(1);
    assert_eq!(calls[0]["cause"], "ended_by_api", "{calls:?}");
    assert_eq!(attempt_statuses(&calls[0]), [200, 200], "{calls:?}");
    let ladder = scene.gateway.run(&["calls", "ladder", &id]);
    for line in [
        format!("-> {DESK} INVITE"),
        format!("-> {OUTSIDE} INVITE"),
        format!("<- {DESK} 180"),
        format!("-> {OUTSIDE} BYE"),
    ] {
        assert!(ladder.contains(&line), "{line} in\n{ladder}");
    }
}

#[test]
fn placed_call_that_rings_ends_by_order_at_either_party() {
    let Some(mut scene) = Scene::open() else {
        return;
    };
    let id = place(&scene.gateway);
    let invite = scene.desk.expect_request("INVITE");
    scene.desk.respond(&invite, "180 Ringing", "", "");
    until_state(&scene.gateway, &id, "ringing");
    scene.gateway.run(&["calls", "end", &id]);
    stop_ringing(&mut scene.desk, &invite);
    let calls = scene.gateway.closed_calls(1);
    assert_eq!(calls[0]["cause"], "ended_by_api", "{calls:?}");
    assert!(calls[0]["answered_at"].is_null(), "{calls:?}");
    assert_eq!(attempt_statuses(&calls[0]).len(), 1, "{calls:?}");

    let id = place(&scene.gateway);
    let _invite = scene.desk_answers();
    let invite = scene.outside_rings();
    until_state(&scene.gateway, &id, "connecting");
    scene.gateway.run(&["calls", "end", &id]);
    hang_up(&mut scene.desk);
    stop_ringing(&mut scene.outside, &invite);
    let calls = scene.gateway.closed_calls(2);
    assert_eq!(calls[0]["cause"], "ended_by_api", "{calls:?}");
    assert!(calls[0]["answered_at"].is_null(), "{calls:?}");
    until_state(&scene.gateway, &id, "ended");
    let list = scene.gateway.run(&["calls", "list", "--json"]);
    assert_eq!(list, "[]\n", "nothing is left");
}
