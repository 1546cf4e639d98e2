//! SRTP with keys in the description, by phones that nobody here has written: plain to protected, protected
//! to plain, protected on both sides and on none, in each codec. The verdict is on audio, and on what the
//! record of the call says of each side.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::baresip::{CALLEE, CALLER, Phone, each_hears_the_other};
use crate::gateway::{Backend, Gateway, SIP, at_once, attempt_statuses, link, trunk, write_config};
use crate::tone;
use crate::world::World;

const PATIENCE: Duration = Duration::from_secs(20);

/// As an account of baresip names it, with the rate and the channels of its sound: G.711, G.722, Opus.
const CODECS: [(&str, (u32, u16)); 3] = [
    ("PCMA/8000/1", (8_000, 1)),
    ("G722/16000/1", (16_000, 1)),
    ("opus/48000/2", (48_000, 2)),
];

/// What a side wants: how its phone protects, and what we say of its source or trunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Side {
    /// `mediaenc` of its account; empty: plain RTP.
    pub(crate) phone: &'static str,
    policy: &'static str,
}

pub(crate) const PLAIN: Side = Side {
    phone: "",
    policy: "off",
};
pub(crate) const SECURE: Side = Side {
    phone: "srtp-mand",
    policy: "required",
};
/// RTP/AVP with keys, and RTP/AVP without.
const EFFORT: Side = Side {
    phone: "srtp",
    policy: "preferred",
};

pub(crate) fn config(world: &World, backend: Backend, caller: Side, callee: Side) -> PathBuf {
    let tables = trunk("desks", &CALLEE.address(), 10).replace(
        "priority",
        &format!("srtp = \"{}\"\npriority", callee.policy),
    ) + &link("support", "desk");
    let path = write_config(world, backend.line(), &tables);
    let text = std::fs::read_to_string(&path).expect("written");
    let text = text
        .replace("[http]", "srtp_over_clear_signalling = true\n[http]")
        .replace(
            "links = \"all\"",
            &format!("links = \"all\"\nsrtp = \"{}\"", caller.policy),
        );
    world.write("sluice.toml", &text)
}

/// An account of such a side that speaks this codec alone.
pub(crate) fn account(user: &str, address: &str, side: Side, codec: &str) -> String {
    let protection = match side.phone {
        "" => String::new(),
        method => format!(";mediaenc={method}"),
    };
    format!(
        "<sip:{user}@{address};transport=udp>;regint=0;answermode=auto;audio_codecs={codec}{protection}\n"
    )
}

/// One call in each codec, and one of them over epoll.
fn all_codecs(caller: Side, callee: Side) {
    let calls = CODECS.map(|codec| (Backend::Best, codec));
    let calls = calls.into_iter().chain([(Backend::Epoll, CODECS[0])]);
    at_once(calls, |(backend, codec)| {
        hears(caller, callee, backend, codec);
    });
}

/// Each side hears the other, and has keys exactly where it shall.
fn hears(caller: Side, callee: Side, backend: Backend, (codec, sound): (&str, (u32, u16))) {
    let Some(world) = World::open(&["ip", "baresip"]) else {
        return;
    };
    let gateway = Gateway::start_with(&world, config(&world, backend, caller, callee));
    gateway.expect_on(backend);
    let desk = account("desk", &CALLEE.address(), callee, codec);
    let alice = account("alice", &CALLER.address(), caller, codec);
    let says = |phone: &Phone| tone::wav_of(phone.tone_hz, 20, sound);
    let mut called = CALLEE.start_saying(&says(&CALLEE), &desk, &world, 8, None);
    let dial = format!("sip:support@{SIP}");
    let mut calling = CALLER.start_saying(&says(&CALLER), &alice, &world, 5, Some(&dial));
    calling.wait(PATIENCE);
    called.wait(PATIENCE);
    let calls = gateway.closed_calls(1);
    assert_eq!(
        calls[0]["status"],
        200,
        "{codec}: {calls:?}\n{}\n{}",
        calling.said(),
        called.said()
    );
    each_hears_the_other(&world);
    for (side, said) in [(caller, calling.said()), (callee, called.said())] {
        let has_keys = said.contains("a=crypto:");
        assert_eq!(has_keys, side != PLAIN, "{codec}: {side:?}\n{said}");
    }
    was_protected(&calls[0], caller, callee);
    let log = gateway.process.said();
    assert!(!log.contains("inline:"), "a key in the log:\n{log}");
}

/// The record names a suite, and no time in the clear, for each side that has keys. A phone's trace is not
/// enough: where keys are only preferred it shows an offer of some, whatever became of it.
pub(crate) fn was_protected(call: &Value, caller: Side, callee: Side) {
    let attempts = call["attempts"].as_array().cloned().unwrap_or_default();
    let last = attempts.last().expect("an attempt");
    for (side, leg) in [(caller, call), (callee, last)] {
        let srtp = leg["media"]["srtp"].as_str().unwrap_or_default();
        let is_one_suite = !srtp.is_empty() && !srtp.contains("none") && !srtp.contains(' ');
        assert!(
            if side == PLAIN {
                srtp == "none"
            } else {
                is_one_suite
            },
            "{side:?}: {call:#}"
        );
    }
}

#[test]
fn plain_phones_hear_each_other_in_each_codec() {
    all_codecs(PLAIN, PLAIN);
}

#[test]
fn plain_phone_and_one_with_keys_hear_each_other_in_each_codec() {
    all_codecs(PLAIN, SECURE);
}

#[test]
fn phone_with_keys_and_a_plain_one_hear_each_other_in_each_codec() {
    all_codecs(SECURE, PLAIN);
}

#[test]
fn phones_with_keys_on_both_sides_hear_each_other_in_each_codec() {
    all_codecs(SECURE, SECURE);
}

/// Keys beside RTP/AVP, as Cisco and baresip have them for "best effort": taken where they may be.
#[test]
fn keys_that_a_phone_offers_beside_plain_rtp_are_taken_where_they_are_preferred() {
    all_codecs(EFFORT, EFFORT);
}

/// A phone without keys refuses our offer of some, and is called once more without.
#[test]
fn a_phone_without_keys_is_called_once_more_where_they_are_only_preferred() {
    let Some(world) = World::open(&["ip", "baresip"]) else {
        return;
    };
    let preferring = Side {
        phone: "",
        policy: "preferred",
    };
    let gateway = Gateway::start_with(&world, config(&world, Backend::Best, PLAIN, preferring));
    let desk = account("desk", &CALLEE.address(), PLAIN, "PCMA/8000/1");
    let alice = account("alice", &CALLER.address(), PLAIN, "PCMA/8000/1");
    let mut called = CALLEE.start_as(&desk, &world, 8, None);
    let dial = format!("sip:support@{SIP}");
    let mut calling = CALLER.start_as(&alice, &world, 5, Some(&dial));
    calling.wait(PATIENCE);
    called.wait(PATIENCE);
    let calls = gateway.closed_calls(1);
    let statuses = attempt_statuses(&calls[0]);
    assert_eq!(statuses, [488, 200], "{calls:?}\n{}", called.said());
    each_hears_the_other(&world);
}
