//! Guests that try what they may not: names that would be headers, offers that would be in the clear.

use sip::message::SendBuffer;
use sip::sdp::SessionDescription;

use super::guests::{BROWSERS, OPUS, answer_with, call, invite, offer, pair, say, words, world};
use super::world::{World, remote, target, trunk};
use crate::call::browser::event::BrowserInput;
use crate::cdr::record::Record;

/// What stands behind the display name of a header, quoted or not.
fn behind_name(header: &str) -> &str {
    let Some(quoted) = header.strip_prefix('"') else {
        let (name, _) = header.split_once('<').unwrap_or_default();
        return header.strip_prefix(name).unwrap_or(header);
    };
    let mut is_escaped = false;
    let end = quoted.find(|c: char| {
        let ends = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        ends
    });
    let (_, behind) = quoted.split_at(end.expect("a quoted name ends"));
    behind.strip_prefix('"').expect("it ends so")
}

#[test]
fn no_name_of_a_guest_makes_a_header_or_another_address() {
    for name in [
        "x\r\nX-Evil: 1",
        "x\nX-Evil: 1",
        "x\" <sip:evil@evil.example>;tag=1",
        "x\\\" <sip:evil@evil.example>",
        "\\",
        "<sip:evil@evil.example>",
        "a, <sip:evil@evil.example>",
        "<script>alert(1)</script>",
        "=cmd|' /C calc'!A0",
        "\u{1b}[2J\u{202e}",
        "\0",
    ] {
        let mut world = world(vec![trunk(1)]);
        let mut link = remote("610");
        (link.caller_name, link.named_by_guest) = (name.to_owned(), true);
        call(&mut world, link, offer("aaaa", None));
        let invite = invite(&world);
        let head = invite.text.split("\r\n\r\n").next().unwrap();
        let mut lines = head.split(['\r', '\n']);
        assert!(
            lines.all(|line| !line.starts_with("X-Evil")),
            "{name}: {head}"
        );
        for header in ["From:", "P-Asserted-Identity:", "Contact:"] {
            let values = head.lines().filter_map(|line| line.strip_prefix(header));
            let values: Vec<_> = values.map(str::trim).collect();
            assert!(values.len() <= 1, "{name}: {values:?}");
            for value in values {
                let address = behind_name(value);
                let is_ours = address.trim_start().starts_with("<sip:") || !address.contains('<');
                assert!(is_ours && !address.contains("evil"), "{name}: {value}");
            }
        }
        say(&mut world, BrowserInput::HangUp);
        let told = words(&mut world).concat();
        assert!(!told.contains("evil") && !told.contains("script"), "{told}");
        let mut opened = world.records.iter().filter_map(|record| {
            let Record::CallOpened(opened) = record else {
                return None;
            };
            Some(opened.caller.clone())
        });
        assert_eq!(
            opened.next().as_deref(),
            Some(name),
            "the record knows who it was"
        );
    }
}

/// The words of a description with something changed.
fn changed(
    description: &SessionDescription,
    change: impl Fn(&str) -> String,
) -> SessionDescription {
    let mut text = SendBuffer::new();
    description.write(&mut text);
    let text = change(std::str::from_utf8(text.as_bytes()).unwrap());
    SessionDescription::parse(text.as_bytes()).unwrap()
}

#[test]
fn a_page_that_offers_less_protection_in_mid_call_keeps_what_it_had() {
    const CRYPTO: &str = "m=audio 9 RTP/AVP 111 8\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 \
                          inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\n";
    let mut world = world(vec![trunk(1)]);
    call(&mut world, remote("610"), offer("aaaa", None));
    let invite = invite(&world);
    world.respond(&invite, "200 OK", &answer_with("111", OPUS));
    words(&mut world);
    let leg = pair(BROWSERS);
    let state = |world: &World| format!("{:?} {:?}", world.transports[&leg], world.plans[&leg]);
    let before = state(&world);
    let line = "m=audio 9 UDP/TLS/RTP/SAVPF 111 9 0 8 110 126\r\n";
    let fingerprint = format!("a=fingerprint:sha-256 {}\r\n", ["AB"; 32].join(":"));
    for (cause, less) in [
        (
            "browser_not_secure",
            changed(&offer("bbbb", None), |text| {
                text.replace(line, "m=audio 9 RTP/AVP 111\r\n")
            }),
        ),
        (
            "browser_not_secure",
            changed(&offer("bbbb", None), |text| text.replace(line, CRYPTO)),
        ),
        (
            "browser_no_fingerprint",
            changed(&offer("bbbb", None), |text| text.replace(&fingerprint, "")),
        ),
        (
            "browser_weak_fingerprint",
            changed(&offer("bbbb", None), |text| {
                text.replace(
                    &fingerprint,
                    &format!("a=fingerprint:sha-1 {}\r\n", ["AB"; 20].join(":")),
                )
            }),
        ),
    ] {
        say(&mut world, BrowserInput::Offer(Box::new(less)));
        assert_eq!(words(&mut world), [format!("refused {cause}")]);
        assert_eq!(state(&world), before, "{cause}");
    }
    assert_eq!(
        world.count(target(1), "INVITE"),
        1,
        "the callee hears nothing of it"
    );
    say(
        &mut world,
        BrowserInput::Offer(Box::new(offer("aaaa", None))),
    );
    assert_eq!(words(&mut world), ["answer 111 not_offered"]);
}
