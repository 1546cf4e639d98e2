//! Calls with keys: who gets which, what a peer changes, what is refused.

use std::time::Duration;

use media::command::{LegPlan, MediaKind};
use media::srtp::{MasterKey, Suite};

use super::world::{PHONE, Sent, World, remote, sdp, target, trunk};
use crate::call::command::{Command, CommandOutcome, ListCalls};
use crate::call::telling::TELL_AFTER;
use crate::trunks::model::{NumberPattern, OfferMode, RefreshBy, SrtpPolicy, Trunk};

const SHA1_80: &str = "AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
const OTHER: &str = "AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";

/// Keys may go in the clear; the phone's source and the trunks want this.
fn world(source: SrtpPolicy, trunks: &[SrtpPolicy]) -> World {
    let trunks = trunks
        .iter()
        .zip(1..)
        .map(|(srtp, last)| trunk_of(last, *srtp));
    let mut world = World::new(trunks.collect());
    world.change(|snapshot| {
        snapshot.settings.srtp_over_clear_signalling = true;
        snapshot.sources[0].srtp = source;
    });
    world
}

fn trunk_of(last: u8, srtp: SrtpPolicy) -> Trunk {
    let mut trunk = trunk(last);
    trunk.srtp = srtp;
    trunk
}

fn secure(address: &str, port: u16, version: u32, more: &str) -> String {
    sdp(address, port, version, more).replace("RTP/AVP", "RTP/SAVP")
}

fn offer(version: u32, key: &str) -> String {
    secure("10.0.0.5", 4000, version, &format!("a=crypto:7 {key}\r\n"))
}

/// The callee takes the key of our offer that has this tag.
fn answer(tag: u32, key: &str) -> String {
    secure("192.0.2.1", 6000, 1, &format!("a=crypto:{tag} {key}\r\n"))
}

/// The key of a line `a=crypto:…`, as it is written.
fn keys_in(body: &str) -> Vec<&str> {
    let lines = body
        .lines()
        .filter_map(|line| line.strip_prefix("a=crypto:"));
    lines.collect()
}

fn written(body: &str, tag: u32) -> MasterKey {
    let tag = format!("{tag} ");
    let line = keys_in(body)
        .into_iter()
        .find(|line| line.starts_with(&tag));
    let line = line.unwrap_or_else(|| panic!("no key {tag}in {body}"));
    let line = sip::offer_answer::crypto::read_one(line).unwrap();
    MasterKey::new(Suite::AesCm128HmacSha1_80, line.key.key_and_salt()).unwrap()
}

fn key(text: &str) -> MasterKey {
    written(&format!("a=crypto:1 {text}"), 1)
}

impl World {
    fn calls_with(&mut self, call_id: &str, body: &str) {
        self.invite("sales", call_id, body);
        self.resolved(Ok(remote("610")));
    }

    /// What the leg on this port of ours was told last.
    fn plan(&self, port: u32) -> &LegPlan {
        let mut plans = self.plans.iter();
        let found = plans.find(|(pair, _)| 10_000 + 2 * pair.slot == port);
        found.map(|(_, plan)| plan).expect("a leg")
    }

    fn agreed(&self, port: u32) -> (MasterKey, MasterKey) {
        let srtp = self.plan(port).srtp.as_ref().expect("keys");
        (srtp.send.clone(), srtp.receive.clone())
    }

    /// The suite of each leg, as it is shown.
    fn suites_shown(&mut self) -> Vec<Option<&'static str>> {
        let list = ListCalls {
            limit: 1,
            ..ListCalls::default()
        };
        let CommandOutcome::Calls(page) = self.order(Command::List(list)).unwrap() else {
            panic!("another answer");
        };
        page.calls[0].legs.iter().map(|leg| leg.srtp).collect()
    }

    /// The callee says something within the dialog that `invite` made.
    fn callee_says(&mut self, invite: &Sent, (method, cseq): (&str, u32), body: &str) {
        let kind = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        let text = format!(
            "{method} sip:gateway@198.51.100.1 SIP/2.0\r\n\
             Via: SIP/2.0/UDP {to};branch=z9hG4bKcallee{cseq}{method}\r\nMax-Forwards: 70\r\n\
             From: {};tag=callee\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\n\
             Contact: <sip:callee@{to}>\r\n{kind}Content-Length: {}\r\n\r\n{body}",
            invite.header("To"),
            invite.header("From"),
            invite.header("Call-ID"),
            body.len(),
            to = invite.to,
        );
        self.datagram(invite.to, &text);
    }

    /// The last final answer to the phone.
    fn answered_with(&self) -> String {
        self.last(PHONE.parse().unwrap(), "SIP/2.0 200")
            .body()
            .to_owned()
    }
}

#[test]
fn each_side_of_a_call_has_keys_or_not_by_what_it_said() {
    use SrtpPolicy::{Off, Preferred, Required};
    for (source, policy) in [
        (Off, Off),
        (Required, Off),
        (Off, Required),
        (Required, Required),
    ] {
        let mut world = world(source, &[policy]);
        let body = match source {
            Required => offer(1, SHA1_80),
            Off | Preferred => sdp("10.0.0.5", 4000, 1, ""),
        };
        world.calls_with("c1", &body);
        let invite = world.last(target(1), "INVITE");
        let offered = invite.body().contains("m=audio 10002 RTP/SAVP");
        assert_eq!(offered, policy == Required, "{}", invite.body());
        let callee = match policy {
            Required => answer(3, OTHER),
            Off | Preferred => sdp("192.0.2.1", 6000, 1, ""),
        };
        world.respond(&invite, "200 OK", &callee);
        assert_eq!(world.heard(), 200);
        let ours = world.answered_with();
        if source == Required {
            let (send, receive) = world.agreed(10_000);
            assert_eq!((send, receive), (written(&ours, 7), key(SHA1_80)));
            assert_eq!(keys_in(&ours).len(), 1, "one key in an answer: {ours}");
        } else {
            assert!(world.plan(10_000).srtp.is_none() && keys_in(&ours).is_empty());
        }
        if policy == Required {
            let (send, receive) = world.agreed(10_002);
            assert_eq!((send, receive), (written(invite.body(), 3), key(OTHER)));
            assert_eq!(keys_in(invite.body()).len(), 4, "all suites");
        } else {
            assert!(world.plan(10_002).srtp.is_none() && keys_in(invite.body()).is_empty());
        }
        let shown = world.suites_shown();
        let suites: Vec<bool> = shown.iter().map(Option::is_some).collect();
        assert_eq!(suites, [source == Required, policy == Required]);
        for port in [10_000, 10_002] {
            assert!(
                world.plan(port).sends && world.plan(port).receives,
                "{port}"
            );
        }
        world.phone("ACK", "c1", 1, "");
        world.phone("BYE", "c1", 2, "");
        world.expect_quiet();
        let name = |policy, suite| if policy == Required { suite } else { "none" };
        let recorded = (
            world.closed()[0].media.srtp.clone(),
            world.attempts()[0].media.srtp.clone(),
        );
        let expected = (
            name(source, "AES_CM_128_HMAC_SHA1_80"),
            name(policy, "AES_CM_128_HMAC_SHA1_80"),
        );
        assert_eq!(
            recorded,
            (Some(expected.0.to_owned()), Some(expected.1.to_owned()))
        );
    }
}

/// A peer that leaves its keys in mid-call has it in its record; so has a leg that was never answered.
#[test]
fn a_record_names_every_suite_that_a_leg_had_and_the_time_in_the_clear() {
    let mut world = world(SrtpPolicy::Preferred, &[SrtpPolicy::Preferred]);
    world.calls_with("c1", &offer(1, SHA1_80));
    let first = world.last(target(1), "INVITE");
    world.respond(&first, "488 Not Acceptable Here", "");
    let second = world.last(target(1), "INVITE");
    world.respond(&second, "200 OK", &sdp("192.0.2.1", 6000, 1, ""));
    world.phone("ACK", "c1", 1, "");
    let short = SHA1_80.replace("SHA1_80", "SHA1_32");
    let plain = sdp("10.0.0.5", 4000, 3, "");
    for (version, body) in [(2, offer(2, &short)), (3, plain)] {
        world.phone("INVITE", "c1", version, &body);
        let asked = world.last(target(1), "INVITE");
        world.respond(&asked, "200 OK", &sdp("192.0.2.1", 6000, version, ""));
        world.phone("ACK", "c1", version, "");
    }
    world.phone("BYE", "c1", 4, "");
    world.expect_quiet();
    let caller = world.closed()[0].media.srtp.clone();
    let all = "AES_CM_128_HMAC_SHA1_80 AES_CM_128_HMAC_SHA1_32 none";
    assert_eq!(caller.as_deref(), Some(all));
    let attempts = world.attempts();
    let callee: Vec<_> = attempts
        .iter()
        .map(|row| row.media.srtp.as_deref())
        .collect();
    assert_eq!(callee, [None, Some("none")]);
}

/// G-06: TLS comes first.
#[test]
fn over_clear_signalling_keys_are_neither_offered_nor_taken_by_default() {
    for (source, trunk, body, cause) in [
        (
            SrtpPolicy::Preferred,
            SrtpPolicy::Preferred,
            offer(1, SHA1_80),
            "sdp_secure_only",
        ),
        (
            SrtpPolicy::Required,
            SrtpPolicy::Off,
            offer(1, SHA1_80),
            "srtp_needs_tls",
        ),
    ] {
        let mut world = world(source, &[trunk]);
        world.change(|snapshot| snapshot.settings.srtp_over_clear_signalling = false);
        world.invite("sales", "c1", &body);
        assert_eq!(world.heard(), 488);
        assert_eq!(world.closed()[0].cause, cause);
    }
    let mut world = world(SrtpPolicy::Preferred, &[SrtpPolicy::Preferred]);
    world.change(|snapshot| snapshot.settings.srtp_over_clear_signalling = false);
    world.calls_with(
        "c1",
        &sdp("10.0.0.5", 4000, 1, &format!("a=crypto:1 {SHA1_80}\r\n")),
    );
    let invite = world.last(target(1), "INVITE");
    assert!(keys_in(invite.body()).is_empty() && invite.body().contains("RTP/AVP"));
    world.respond(&invite, "200 OK", &sdp("192.0.2.1", 6000, 1, ""));
    assert!(keys_in(&world.answered_with()).is_empty());
}

#[test]
fn a_trunk_that_requires_keys_over_clear_signalling_is_refused_by_that_name_and_the_operator_hears_of_it()
 {
    let mut world = world(SrtpPolicy::Off, &[SrtpPolicy::Required]);
    world.change(|snapshot| snapshot.settings.srtp_over_clear_signalling = false);
    world.call("610", "c1");
    assert_eq!(world.heard(), 488);
    assert_eq!(world.closed()[0].cause, "srtp_needs_tls");
    let warning = world.last(PHONE.parse().unwrap(), "SIP/2.0 488");
    assert!(warning.header("Warning").contains("SRTP is required"));
    let line = world
        .lines
        .iter()
        .find(|(event, _)| *event == "srtp_needs_tls");
    assert!(line.is_some_and(|(_, detail)| detail.contains("srtp_over_clear_signalling")));
    // Another trunk that can carry it does.
    world.change(|snapshot| snapshot.trunks.push(trunk_of(2, SrtpPolicy::Off)));
    world.call("610", "c2");
    assert_eq!(world.count(target(2), "INVITE"), 1);
    assert_eq!(world.count(target(1), "INVITE"), 0);
}

#[test]
fn a_source_that_requires_keys_refuses_plain_rtp_and_one_without_refuses_keys() {
    let mut world = world(SrtpPolicy::Required, &[SrtpPolicy::Off]);
    world.invite("sales", "c1", &sdp("10.0.0.5", 4000, 1, ""));
    assert_eq!(world.heard(), 488);
    assert_eq!(world.closed()[0].cause, "sdp_not_secure");
    let refusal = world.last(PHONE.parse().unwrap(), "SIP/2.0 488");
    assert!(refusal.header("Warning").contains("SRTP is required"));
    world.change(|snapshot| snapshot.sources[0].srtp = SrtpPolicy::Off);
    world.invite("sales", "c2", &offer(1, SHA1_80));
    assert_eq!(world.closed()[1].cause, "sdp_secure_only");
    world.change(|snapshot| snapshot.sources[0].srtp = SrtpPolicy::Preferred);
    world.invite(
        "sales",
        "c3",
        &offer(1, "AES_256_CM_HMAC_SHA1_80 inline:AAAA"),
    );
    assert_eq!(world.closed()[2].cause, "sdp_no_usable_key");
}

/// A callee that names no key of our offer is not talked to in the clear.
#[test]
fn an_answer_without_a_key_of_ours_ends_the_call_by_its_name() {
    for (body, cause) in [
        (sdp("192.0.2.1", 6000, 1, ""), "sdp_not_secure"),
        (answer(9, SHA1_80), "sdp_wrong_crypto_tag"),
        (secure("192.0.2.1", 6000, 1, ""), "sdp_no_usable_key"),
    ] {
        let mut world = world(SrtpPolicy::Off, &[SrtpPolicy::Required]);
        world.call("610", "c1");
        let invite = world.last(target(1), "INVITE");
        assert!(!world.plan(10_002).sends && !world.plan(10_002).receives);
        world.respond(&invite, "200 OK", &body);
        assert!(world.heard() >= 400);
        assert_eq!(world.closed()[0].cause, cause);
        assert_eq!(world.count(target(1), "BYE"), 1);
        assert!(world.plans.values().all(|plan| plan.srtp.is_none()));
    }
}

/// G-08.
#[test]
fn each_attempt_has_fresh_ports_and_fresh_keys() {
    let mut world = world(
        SrtpPolicy::Required,
        &[SrtpPolicy::Required, SrtpPolicy::Required],
    );
    world.calls_with("c1", &offer(1, SHA1_80));
    let first = world.last(target(1), "INVITE");
    world.respond(&first, "183 Session Progress", &answer(3, OTHER));
    assert!(world.plan(10_002).srtp.is_some(), "early media has keys");
    world.respond(&first, "503 Service Unavailable", "");
    let second = world.last(target(2), "INVITE");
    let (first, second) = (first.body().to_owned(), second.body().to_owned());
    for (one, other) in keys_in(&first).iter().zip(keys_in(&second)) {
        assert_ne!(*one, other);
    }
    assert!(!second.contains("m=audio 10002 "), "{second}");
}

#[test]
fn where_keys_are_preferred_a_refusal_is_followed_by_one_attempt_without() {
    for status in ["488 Not Acceptable Here", "415 Unsupported Media Type"] {
        let mut world = world(SrtpPolicy::Off, &[SrtpPolicy::Preferred, SrtpPolicy::Off]);
        world.call("610", "c1");
        let first = world.last(target(1), "INVITE");
        assert_eq!(keys_in(first.body()).len(), 4);
        world.respond(&first, status, "");
        let second = world.last(target(1), "INVITE");
        assert_eq!(world.count(target(1), "INVITE"), 2);
        assert!(keys_in(second.body()).is_empty() && second.body().contains("RTP/AVP"));
        assert_ne!(first.header("Call-ID"), second.header("Call-ID"));
        assert_eq!(world.tries().len(), 2, "a row of its own");
        world.respond(&second, status, "");
        assert!(world.heard() >= 400, "not a third time");
        assert_eq!(
            world.count(target(1), "INVITE") + world.count(target(2), "INVITE"),
            2
        );
        world.expect_quiet();
    }
    let mut world = world(SrtpPolicy::Off, &[SrtpPolicy::Required]);
    world.call("610", "c1");
    world.respond(
        &world.last(target(1), "INVITE"),
        "488 Not Acceptable Here",
        "",
    );
    assert_eq!(world.count(target(1), "INVITE"), 1, "required is required");
}

#[test]
fn a_busy_callee_is_not_called_again_without_keys() {
    let mut world = world(SrtpPolicy::Off, &[SrtpPolicy::Preferred]);
    world.call("610", "c1");
    world.respond(&world.last(target(1), "INVITE"), "486 Busy Here", "");
    assert_eq!((world.count(target(1), "INVITE"), world.heard()), (1, 486));
}

/// E-10, G-07, D-07.
#[test]
fn hold_and_refresh_keep_the_keys_and_a_changed_key_of_the_peer_is_the_only_one_that_changes() {
    let mut world = world(SrtpPolicy::Required, &[SrtpPolicy::Required]);
    world.calls_with("c1", &offer(1, SHA1_80));
    let invite = world.last(target(1), "INVITE");
    world.respond(&invite, "200 OK", &answer(3, OTHER));
    world.phone("ACK", "c1", 1, "");
    let (caller, callee) = (world.agreed(10_000), world.agreed(10_002));
    let first = world.answered_with();

    // A refresh: the same words.
    world.phone("INVITE", "c1", 2, &offer(1, SHA1_80));
    assert_eq!(world.answered_with(), first);
    world.phone("ACK", "c1", 2, "");
    assert_eq!(
        world.count(target(1), "INVITE"),
        1,
        "the callee hears of none"
    );

    // A hold.
    world.phone(
        "INVITE",
        "c1",
        3,
        &format!("{}a=sendonly\r\n", offer(2, SHA1_80)),
    );
    let hold = world.last(target(1), "INVITE");
    assert_eq!(written(hold.body(), 3), callee.0, "our key stays");
    world.respond(
        &hold,
        "200 OK",
        &format!(
            "{}a=recvonly\r\n",
            answer(3, OTHER).replace(" 9 1 ", " 9 2 ")
        ),
    );
    world.phone("ACK", "c1", 3, "");
    assert_eq!(
        (world.agreed(10_000), world.agreed(10_002)),
        (caller.clone(), callee.clone())
    );

    // Resumed with another key from the same place.
    world.phone("INVITE", "c1", 4, &offer(3, OTHER));
    let resume = world.last(target(1), "INVITE");
    world.respond(
        &resume,
        "200 OK",
        &answer(3, SHA1_80).replace(" 9 1 ", " 9 3 "),
    );
    world.phone("ACK", "c1", 4, "");
    assert_eq!(world.agreed(10_000), (caller.0.clone(), key(OTHER)));
    assert_eq!(world.agreed(10_002), (callee.0, key(SHA1_80)));

    // Another device: another key from another place gets a new key of ours.
    let moved = offer(4, SHA1_80).replace("m=audio 4000", "m=audio 4444");
    world.phone("INVITE", "c1", 5, &moved);
    let offered = world.last(target(1), "INVITE");
    world.respond(
        &offered,
        "200 OK",
        &answer(3, SHA1_80).replace(" 9 1 ", " 9 4 "),
    );
    world.phone("ACK", "c1", 5, "");
    let (send, receive) = world.agreed(10_000);
    assert_eq!(receive, key(SHA1_80));
    assert_ne!(send, caller.0);
    assert_eq!(send, written(&world.answered_with(), 7));
}

/// RFC 3261 §14.1.
#[test]
fn a_refused_change_of_keys_changes_nothing() {
    let mut world = world(SrtpPolicy::Required, &[SrtpPolicy::Off]);
    world.calls_with("c1", &offer(1, SHA1_80));
    let invite = world.last(target(1), "INVITE");
    world.respond(&invite, "200 OK", &sdp("192.0.2.1", 6000, 1, ""));
    world.phone("ACK", "c1", 1, "");
    let before = world.agreed(10_000);
    world.phone("INVITE", "c1", 2, &offer(2, OTHER));
    world.respond(
        &world.last(target(1), "INVITE"),
        "488 Not Acceptable Here",
        "",
    );
    assert_eq!((world.heard(), world.agreed(10_000)), (488, before.clone()));
    world.phone("ACK", "c1", 2, "");
    // Nor does one that leaves its keys out.
    world.phone("INVITE", "c1", 3, &sdp("10.0.0.5", 4000, 3, ""));
    assert_eq!((world.heard(), world.agreed(10_000)), (488, before));
}

#[test]
fn a_caller_without_an_offer_gets_keys_by_its_policy_and_its_answer_decides() {
    for (policy, transport, reply, has_keys) in [
        (SrtpPolicy::Required, "RTP/SAVP", answer(3, OTHER), true),
        (
            SrtpPolicy::Preferred,
            "RTP/AVP",
            sdp("10.0.0.5", 4000, 1, ""),
            false,
        ),
        (
            SrtpPolicy::Preferred,
            "RTP/AVP",
            sdp("10.0.0.5", 4000, 1, &format!("a=crypto:3 {OTHER}\r\n")),
            true,
        ),
    ] {
        let mut world = world(policy, &[SrtpPolicy::Off]);
        world.calls_with("c1", "");
        let invite = world.last(target(1), "INVITE");
        world.respond(&invite, "200 OK", &sdp("192.0.2.1", 6000, 1, ""));
        let ours = world.answered_with();
        assert!(
            ours.contains(&format!("m=audio 10000 {transport} ")),
            "{ours}"
        );
        assert_eq!(keys_in(&ours).len(), 4);
        world.phone("ACK", "c1", 1, &reply.replace("192.0.2.1", "10.0.0.5"));
        assert_eq!(world.plan(10_000).srtp.is_some(), has_keys);
        assert!(world.plan(10_000).sends && world.plan(10_000).receives);
        assert!(world.closed().is_empty());
    }
}

#[test]
fn a_callee_that_shall_offer_is_answered_with_one_key() {
    let mut delayed = trunk_of(1, SrtpPolicy::Required);
    delayed.offer = OfferMode::Delayed;
    let mut world = world(SrtpPolicy::Off, &[]);
    world.change(|snapshot| snapshot.trunks.push(delayed));
    world.call("610", "c1");
    let invite = world.last(target(1), "INVITE");
    assert_eq!(invite.body(), "");
    world.respond(&invite, "200 OK", &answer(5, OTHER));
    let ack = world.last(target(1), "ACK");
    assert_eq!(keys_in(ack.body()).len(), 1);
    assert_eq!(world.agreed(10_002), (written(ack.body(), 5), key(OTHER)));
}

/// Video of a call with keys has keys of its own on each side, and none in the clear.
#[test]
fn video_of_a_call_with_keys_has_keys_of_its_own() {
    let picture = |port: u16, transport: &str, key: &str| {
        format!("m=video {port} {transport} 97\r\na=rtpmap:97 H264/90000\r\n{key}")
    };
    let mut world = world(SrtpPolicy::Required, &[SrtpPolicy::Required]);
    let line = format!("a=crypto:8 {OTHER}\r\n");
    let body = offer(1, SHA1_80) + &picture(4002, "RTP/SAVP", &line);
    world.calls_with("c1", &body);
    let invite = world.last(target(1), "INVITE");
    assert_eq!(keys_in(invite.body()).len(), 8, "{}", invite.body());
    assert_eq!(invite.body().matches(" RTP/SAVP ").count(), 2);
    let line = format!("a=crypto:3 {SHA1_80}\r\n");
    let number = invite.body().split("m=video ").nth(1).unwrap();
    let number = number.split([' ', '\r']).nth(2).unwrap();
    let picture_of_callee = picture(6002, "RTP/SAVP", &line).replace("97", number);
    world.respond(&invite, "200 OK", &(answer(3, OTHER) + &picture_of_callee));
    assert_eq!(keys_in(&world.answered_with()).len(), 2);
    let plans = world.plans.values();
    let videos: Vec<&LegPlan> = plans.filter(|plan| plan.kind == MediaKind::Video).collect();
    assert_eq!(videos.len(), 2);
    for plan in &videos {
        assert!(plan.sends && plan.receives);
        let keys = plan.srtp.as_ref().expect("keys of video");
        let audio = world
            .plans
            .values()
            .filter(|plan| plan.kind == MediaKind::Audio);
        for other in audio.filter_map(|plan| plan.srtp.as_ref()) {
            assert_ne!(keys.send, other.send);
        }
    }
    world.phone("ACK", "c1", 1, "");
    world.phone("BYE", "c1", 2, "");
    world.expect_quiet();

    // Beside audio with keys a picture in the clear is refused.
    let mut world = self::world(SrtpPolicy::Preferred, &[SrtpPolicy::Off]);
    world.calls_with("c2", &(offer(1, SHA1_80) + &picture(4002, "RTP/AVP", "")));
    let invite = world.last(target(1), "INVITE");
    world.respond(&invite, "200 OK", &sdp("192.0.2.1", 6000, 1, ""));
    assert!(
        world.answered_with().contains("m=video 0 "),
        "{}",
        world.answered_with()
    );
}

#[test]
fn echo_has_keys_too() {
    let mut world = world(SrtpPolicy::Required, &[]);
    world.invite("sales", "c1", &offer(1, SHA1_80));
    world.resolved(Ok(super::world::link(
        crate::links::model::Destination::Echo,
    )));
    assert_eq!(
        world.agreed(10_000),
        (written(&world.answered_with(), 7), key(SHA1_80))
    );
}

/// No line of the log, no record and nothing that is shown of a leg has a key in it.
#[test]
fn no_key_is_logged_recorded_or_shown() {
    let mut world = world(SrtpPolicy::Required, &[SrtpPolicy::Required]);
    world.calls_with("c1", &offer(1, SHA1_80));
    let invite = world.last(target(1), "INVITE");
    world.respond(&invite, "200 OK", &answer(3, OTHER));
    world.phone("ACK", "c1", 1, "");
    world.phone("BYE", "c1", 2, "");
    world.pass(Duration::from_secs(1));
    let shown = format!("{:?} {:?} {:?}", world.lines, world.records, world.plans);
    let answered = world.answered_with();
    let said = keys_in(invite.body()).into_iter().chain(keys_in(&answered));
    for text in said.chain([SHA1_80, OTHER]) {
        let key = text.split("inline:").nth(1).unwrap();
        assert!(!shown.contains(key), "{key} in {shown}");
    }
}

/// A placed call: its first party is offered keys by its trunk, and asked again without them.
#[test]
fn the_first_party_of_a_placed_call_has_keys_of_its_own() {
    let mut world = world(SrtpPolicy::Off, &[SrtpPolicy::Preferred]);
    world.change(|snapshot| snapshot.guard.unnamed_allowed = true);
    let order = Box::new(super::placed::order("610", "611"));
    world.order(Command::Place(order)).unwrap();
    let first = world.last(target(1), "INVITE");
    assert_eq!(keys_in(first.body()).len(), 4, "{}", first.body());
    world.respond(&first, "488 Not Acceptable Here", "");
    let second = world.last(target(1), "INVITE");
    assert_eq!(world.count(target(1), "INVITE"), 2);
    assert!(keys_in(second.body()).is_empty(), "{}", second.body());
}

/// RFC 4568 §5.1.2, RFC 3264 §6.1: an answer has one key and what is offered only, whoever offered first.
#[test]
fn a_refresh_by_a_peer_that_had_answered_is_answered_with_the_one_key_and_codec_in_use() {
    let mut world = world(SrtpPolicy::Required, &[SrtpPolicy::Required]);
    world.calls_with("c1", &offer(1, SHA1_80));
    let invite = world.last(target(1), "INVITE");
    world.respond(&invite, "200 OK", &answer(3, OTHER));
    world.phone("ACK", "c1", 1, "");
    let before = (world.agreed(10_000), world.agreed(10_002));
    for cseq in [1, 2] {
        world.callee_says(&invite, ("INVITE", cseq), &answer(3, OTHER));
        let ours = world.last(target(1), "SIP/2.0 200");
        assert_eq!(keys_in(ours.body()).len(), 1, "{}", ours.text);
        assert_eq!(written(ours.body(), 3), before.1.0, "the same key of ours");
        let line = ours.body().lines().find(|line| line.starts_with("m="));
        assert!(line.unwrap().starts_with("m=audio 10002 RTP/SAVP "));
        assert_eq!(line.unwrap().split(' ').count(), 4, "{}", ours.body());
        world.callee_says(&invite, ("ACK", cseq), "");
        assert_eq!((world.agreed(10_000), world.agreed(10_002)), before);
    }
    let phone = PHONE.parse().unwrap();
    assert_eq!(world.count(phone, "INVITE"), 0, "the caller hears of none");
    world.phone("BYE", "c1", 2, "");
    world.expect_quiet();
}

/// D-07: our refresh changes nothing, and what its answer changes takes effect.
#[test]
fn the_answer_to_our_refresh_is_heard_with_its_key_and_its_place() {
    let timer = "200 OK\r\nSession-Expires: 1800;refresher=uac";
    let mut refreshed = trunk_of(1, SrtpPolicy::Required);
    refreshed.refresh_by = RefreshBy::Invite;
    refreshed.session_expires = Duration::from_secs(1800);
    let mut world = world(SrtpPolicy::Off, &[]);
    world.change(|snapshot| snapshot.trunks.push(refreshed));
    world.call("610", "c1");
    let invite = world.last(target(1), "INVITE");
    world.respond(&invite, timer, &answer(3, OTHER));
    world.phone("ACK", "c1", 1, "");
    let first = world.agreed(10_002);
    let (same, moved) = (answer(3, OTHER), answer(3, SHA1_80).replace("6000", "6100"));
    let plain = sdp("192.0.2.1", 6000, 3, "");
    let phone = PHONE.parse().unwrap();
    for (body, receive, port, told) in [
        (&same, OTHER, 6000, 0),
        (&moved, SHA1_80, 6100, 0),
        (&plain, SHA1_80, 6100, 1),
        (&same, OTHER, 6000, 2),
    ] {
        world.pass(Duration::from_secs(901));
        let refresh = world.last(target(1), "INVITE");
        assert!(refresh.header("To").contains("tag="), "{}", refresh.text);
        let asked = world.count(target(1), "INVITE");
        world.respond(&refresh, timer, body);
        assert_eq!(world.count(phone, "INVITE"), told, "what the caller hears");
        let is_held = told == 1;
        if told > 0 {
            let direction = if is_held { "a=inactive\r\n" } else { "" };
            let heard = sdp(
                "10.0.0.5",
                4000,
                1 + u32::try_from(told).unwrap(),
                direction,
            );
            world.respond(&world.last(phone, "INVITE"), "200 OK", &heard);
            world.pass(TELL_AFTER);
        }
        // Who has moved with another key is offered another one of ours.
        if world.count(target(1), "INVITE") > asked {
            world.respond(&world.last(target(1), "INVITE"), timer, body);
        }
        assert_eq!(world.agreed(10_002).1, key(receive));
        let plan = world.plan(10_002);
        assert_eq!(plan.remote_rtp.unwrap().port(), port);
        assert_eq!((plan.sends, plan.receives), (!is_held, !is_held));
    }
    assert_eq!(world.agreed(10_002).1, first.1);
    assert_ne!(world.agreed(10_002).0, first.0);
}

/// RFC 4568 §7.1.4: a device that answers from elsewhere with a key of its own gets one of ours that
/// it can follow from the beginning.
#[test]
fn another_device_that_answers_our_offer_is_offered_another_key_and_one_that_stays_is_not() {
    let mut world = world(SrtpPolicy::Required, &[SrtpPolicy::Off]);
    world.calls_with("c1", &offer(1, SHA1_80));
    let invite = world.last(target(1), "INVITE");
    world.respond(&invite, "200 OK", &sdp("192.0.2.1", 6000, 1, ""));
    world.phone("ACK", "c1", 1, "");
    let phone = PHONE.parse().unwrap();
    let before = world.agreed(10_000).0;
    let stays = offer(2, OTHER).replace("crypto:7", "crypto:3");
    world.phone("INVITE", "c1", 2, "");
    world.phone("ACK", "c1", 2, &stays);
    assert_eq!(world.count(phone, "INVITE"), 0);
    assert_eq!(world.agreed(10_000), (before.clone(), key(OTHER)));

    let moved = offer(3, SHA1_80)
        .replace("crypto:7", "crypto:3")
        .replace("4000", "4444");
    world.phone("INVITE", "c1", 3, "");
    world.phone("ACK", "c1", 3, &moved);
    let told = world.last(phone, "INVITE");
    world.respond(&told, "200 OK", &moved);
    let (send, receive) = world.agreed(10_000);
    assert_eq!((&send, receive), (&written(told.body(), 3), key(SHA1_80)));
    assert_ne!(send, before);
    assert_eq!(world.count(phone, "INVITE"), 1, "once");
    assert_eq!(world.count(target(1), "INVITE"), 1, "the callee hears none");
    world.pass(Duration::from_secs(2));
    assert_eq!(world.count(phone, "INVITE"), 1);
    world.phone("BYE", "c1", 4, "");
    world.expect_quiet();
}

/// RFC 3261 §13.2.2.4: the device that was heard early has the key of ours, and another one answers; of a
/// caller with an offer, of one without, and of a party that was called first.
#[test]
fn after_a_fork_the_one_that_answered_is_offered_another_key() {
    for way in ["offer", "no offer", "placed"] {
        let mut world = world(SrtpPolicy::Off, &[SrtpPolicy::Required, SrtpPolicy::Off]);
        let plain = sdp("10.0.0.5", 4000, 1, "");
        if way == "placed" {
            world.change(|snapshot| {
                snapshot.guard.unnamed_allowed = true;
                for (trunk, first) in snapshot.trunks.iter_mut().zip(["7", "6"]) {
                    trunk.patterns = vec![NumberPattern::Prefix(first.into())];
                }
            });
            let order = Box::new(super::placed::order("610", "711"));
            world.order(Command::Place(order)).unwrap();
            let first = world.last(target(2), "INVITE");
            world.respond(&first, "200 OK", &sdp("192.0.2.2", 6000, 1, ""));
        } else {
            let offered = if way == "offer" { plain.as_str() } else { "" };
            world.calls_with("c1", offered);
        }
        let invite = world.last(target(1), "INVITE");
        world.respond(&invite, "183 Session Progress", &answer(3, OTHER));
        let before = world.agreed(10_002).0;
        let mut fork = invite.clone();
        let to = invite.header("To");
        fork.text = fork.text.replace(to, &format!("{to};tag=another"));
        let another = answer(3, SHA1_80).replace("192.0.2.1", "192.0.2.7");
        world.respond(&fork, "200 OK", &another);
        match way {
            "offer" => world.phone("ACK", "c1", 1, ""),
            "no offer" => world.phone("ACK", "c1", 1, &plain),
            _ => {}
        }
        assert_eq!(world.count(target(1), "INVITE"), 2, "{way}");
        let told = world.last(target(1), "INVITE");
        world.respond(&told, "200 OK", &another);
        let (send, receive) = world.agreed(10_002);
        assert_eq!((&send, receive), (&written(told.body(), 3), key(SHA1_80)));
        assert_ne!(send, before);
        world.pass(Duration::from_secs(2));
        assert_eq!(world.count(target(1), "INVITE"), 2, "once, {way}");
    }
}

/// RFC 3711 §9.1: nobody knows how far a key was used that was left.
#[test]
fn a_key_that_was_left_for_one_of_another_suite_never_comes_back() {
    let mut world = world(SrtpPolicy::Required, &[SrtpPolicy::Off]);
    world.calls_with("c1", &offer(1, SHA1_80));
    let invite = world.last(target(1), "INVITE");
    world.respond(&invite, "200 OK", &sdp("192.0.2.1", 6000, 1, ""));
    world.phone("ACK", "c1", 1, "");
    let short = SHA1_80.replace("SHA1_80", "SHA1_32");
    let mut said = vec![keys_in(&world.answered_with())[0].to_owned()];
    for (version, key) in [(2, short.as_str()), (3, SHA1_80), (4, &short), (5, SHA1_80)] {
        world.phone("INVITE", "c1", version, &offer(version, key));
        let asked = world.last(target(1), "INVITE");
        world.respond(&asked, "200 OK", &sdp("192.0.2.1", 6000, version, ""));
        world.phone("ACK", "c1", version, "");
        let ours = keys_in(&world.answered_with())[0].to_owned();
        assert!(!said.contains(&ours), "{ours}");
        said.push(ours);
    }
    assert_eq!(said.len(), 5);
}

/// What is refused renews nothing, nor does a hold of the old form.
#[test]
fn only_an_exchange_that_was_accepted_renews_our_key_and_no_place_is_no_move() {
    let mut world = world(SrtpPolicy::Required, &[SrtpPolicy::Off]);
    world.calls_with("c1", &offer(1, SHA1_80));
    let invite = world.last(target(1), "INVITE");
    world.respond(&invite, "200 OK", &sdp("192.0.2.1", 6000, 1, ""));
    world.phone("ACK", "c1", 1, "");
    let before = world.agreed(10_000).0;
    let moved = offer(2, OTHER).replace("4000", "4444");
    world.phone("INVITE", "c1", 2, &moved);
    let asked = world.last(target(1), "INVITE");
    world.respond(&asked, "488 Not Acceptable Here", "");
    world.phone("ACK", "c1", 2, "");
    let held = offer(3, OTHER).replace("c=IN IP4 10.0.0.5", "c=IN IP4 0.0.0.0");
    for (version, body) in [(3, held), (4, offer(4, SHA1_80))] {
        world.phone("INVITE", "c1", version, &body);
        let asked = world.last(target(1), "INVITE");
        let answer = sdp("192.0.2.1", 6000, version, "");
        world.respond(&asked, "200 OK", &answer);
        world.phone("ACK", "c1", version, "");
        assert_eq!(world.agreed(10_000).0, before, "{version}");
    }
}
