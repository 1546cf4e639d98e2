//! What a phone must prove, what that costs, and what is dialled to it.

use std::time::Duration;

use sip::event::{Flow, Transport};
use sip::message::Method;

use super::extensions::{OTHER, PHONE, address, authorization, invite, register, request, world};
use super::world::{US, World, remote, sdp};
use crate::call::event::Input;
use crate::links::resolve::ResolveRefusal;

/// What is dialled to a phone is what was judged, whatever number its Contact has: a proxy in front of
/// the phones could route by that.
#[test]
fn a_contact_that_is_another_number_is_not_dialled() {
    for (contact, dialled) in [
        ("+19005551234", "610"),
        ("19005551234;line=1", "610"),
        ("0900-5551234", "610"),
        ("610", "610"),
        ("line1", "line1"),
        ("8f3e-a1", "8f3e-a1"),
    ] {
        let mut world = world();
        let from = address(PHONE);
        let with_contact = |text: String| {
            let line = format!("Contact: <sip:{contact}@{PHONE};ob>");
            text.replace(&format!("Contact: <sip:610@{PHONE}>"), &line)
        };
        let more = "Expires: 600\r\n";
        world.datagram(
            from,
            &with_contact(request("REGISTER", "610", "610", PHONE, 1, more, "")),
        );
        let refusal = world.last(from, "SIP/2.0 401");
        let asked = (&Method::Register, "sip:example.com");
        let more = format!(
            "{more}{}",
            authorization(&refusal, asked, "610", "password of 610")
        );
        world.datagram(
            from,
            &with_contact(request("REGISTER", "610", "610", PHONE, 2, &more, "")),
        );
        world.call_link("c1", Ok(remote("610")));
        let rings = world.last(from, "INVITE");
        assert_eq!(
            rings.start(),
            format!("INVITE sip:{dialled}@{PHONE};ob SIP/2.0"),
            "{contact}"
        );
    }
}

/// A Contact is the address of a phone: what a Request-URI cannot have is left out, and what is a number
/// by itself is never dialled.
#[test]
fn a_contact_that_is_no_address_of_a_phone_is_not_dialled() {
    let with_headers = format!("sip:610@{PHONE}?Route=%3Csip:+19005551234@10.9.9.9%3E");
    for (contact, dialled) in [
        (with_headers.as_str(), Some(format!("sip:610@{PHONE}"))),
        ("tel:+19005551234", None),
        ("tel:610", None),
    ] {
        let mut world = world();
        let mut bind = |cseq, more: &str| {
            let text = request("REGISTER", "610", "610", PHONE, cseq, more, "");
            let own = format!("Contact: <sip:610@{PHONE}>");
            let text = text.replace(&own, &format!("Contact: <{contact}>"));
            world.datagram(address(PHONE), &text);
            world.last(address(PHONE), "SIP/2.0")
        };
        let refusal = bind(1, "Expires: 600\r\n");
        let asked = (&Method::Register, "sip:example.com");
        let proof = authorization(&refusal, asked, "610", "password of 610");
        let answer = bind(2, &format!("Expires: 600\r\n{proof}"));
        assert_eq!(answer.start(), "SIP/2.0 200 OK", "{contact}");
        world.call_link("c1", Ok(remote("610")));
        match dialled {
            Some(uri) => {
                let rings = world.last(address(PHONE), "INVITE");
                assert_eq!(rings.start(), format!("INVITE {uri} SIP/2.0"));
            }
            None => {
                assert_eq!(world.count(address(PHONE), "INVITE"), 0, "{contact}");
                assert_eq!(world.heard(), 503);
            }
        }
    }
}

/// A flood of INVITEs without credentials: each is answered, and none leaves a transaction, a call, a
/// timer or a repetition behind.
#[test]
fn an_invite_without_credentials_is_challenged_once_and_leaves_nothing() {
    let mut world = world();
    let body = sdp("172.16.0.5", 4000, 1, "");
    let text = request("INVITE", "611", "610", PHONE, 1, "", &body);
    for round in 1..=3 {
        world.datagram(address(PHONE), &text);
        assert_eq!(world.count(address(PHONE), "SIP/2.0 401"), round);
        assert!(world.control.endpoint().is_idle());
    }
    world.pass(Duration::from_secs(40));
    assert_eq!(
        world.count(address(PHONE), "SIP/2.0 401"),
        3,
        "no repetition"
    );
    // An answer that tries no password is no better.
    let more = "Authorization: Digest username=\"610\"\r\n";
    world.datagram(
        address(PHONE),
        &request("INVITE", "611", "610", PHONE, 2, more, &body),
    );
    assert_eq!(world.count(address(PHONE), "SIP/2.0 401"), 4);
    assert!(world.control.endpoint().is_idle());
    assert!(world.records.is_empty());
}

/// Whoever forges a source has it told so much a second, and the phones at others hear nothing of it.
#[test]
fn challenges_of_one_source_are_limited_and_its_calls_with_proof_are_not() {
    let mut world = world();
    let body = sdp("172.16.0.5", 4000, 1, "");
    for number in 1..=200 {
        world.datagram(
            address(PHONE),
            &request("INVITE", "611", "610", PHONE, number, "", &body),
        );
    }
    assert_eq!(world.count(address(PHONE), "SIP/2.0 401"), 50);
    assert_eq!(world.count(address(PHONE), "SIP/2.0 503"), 150);
    assert!(world.control.endpoint().is_idle());
    register(&mut world, "611", OTHER, "600");
    world.datagram(
        address(OTHER),
        &request("INVITE", "610", "611", OTHER, 7, "", &body),
    );
    assert_eq!(world.count(address(OTHER), "SIP/2.0 401"), 2);
    world.pass(Duration::from_secs(1));
    invite(&mut world, "610", PHONE, "611");
    world.resolved(Err(ResolveRefusal::Unknown));
    assert_eq!(world.count(address(OTHER), "INVITE "), 1);
}

/// The same of REGISTER, and neither takes from the other.
#[test]
fn challenges_for_registers_of_one_source_are_limited_and_others_register() {
    let mut world = world();
    for number in 1..=200 {
        let text = request("REGISTER", "610", "610", PHONE, number, "", "");
        world.datagram(address(PHONE), &text);
    }
    assert_eq!(world.count(address(PHONE), "SIP/2.0 401"), 50);
    assert_eq!(world.count(address(PHONE), "SIP/2.0 503"), 150);
    let refusals = world
        .sent
        .iter()
        .filter(|sent| sent.start().contains(" 503 "));
    let waits: std::collections::BTreeSet<u32> = refusals
        .map(|refusal| refusal.header("Retry-After").parse().unwrap())
        .collect();
    assert!(waits.iter().all(|wait| (2..32).contains(wait)), "{waits:?}");
    assert!(
        waits.len() > 20,
        "many phones behind one address: {waits:?}"
    );
    assert!(world.control.endpoint().is_idle());
    let answer = register(&mut world, "611", OTHER, "600");
    assert_eq!(answer.start(), "SIP/2.0 200 OK");
    let body = sdp("172.16.0.5", 4000, 1, "");
    let text = request("INVITE", "611", "610", PHONE, 7, "", &body);
    world.datagram(address(PHONE), &text);
    assert_eq!(world.count(address(PHONE), "SIP/2.0 401"), 51);
    world.pass(Duration::from_secs(1));
    let text = request("REGISTER", "610", "610", PHONE, 300, "", "");
    world.datagram(address(PHONE), &text);
    assert_eq!(world.count(address(PHONE), "SIP/2.0 401"), 52);
}

/// An Authorization that proves nothing is no better than none, and who guesses is soon heard no more:
/// neither fills the table that calls need.
#[test]
fn registers_that_prove_nothing_leave_nothing_whatever_they_bring() {
    let mut world = world();
    let kept = |world: &World| {
        let counters = world.control.counters();
        let mut tables = counters.tables.iter();
        tables
            .find(|table| table.name == "transactions")
            .unwrap()
            .used
    };
    let junk = "Authorization: Digest username=\"610\", realm=\"example.com\", nonce=\"x\", \
                uri=\"sip:example.com\", response=\"0\", algorithm=MD5, qop=auth, nc=00000001, cnonce=\"c\"\r\n";
    for number in 1..=200 {
        let text = request("REGISTER", "610", "610", PHONE, number, junk, "");
        world.datagram(address(PHONE), &text);
    }
    assert_eq!(world.count(address(PHONE), "SIP/2.0 401"), 50);
    assert_eq!(kept(&world), 0);
    let text = request("REGISTER", "610", "610", OTHER, 1, "", "");
    world.datagram(address(OTHER), &text);
    let refusal = world.last(address(OTHER), "SIP/2.0 401");
    let asked = (&Method::Register, "sip:example.com");
    for number in 2..=200 {
        let guess = authorization(&refusal, asked, "610", "guess");
        let text = request("REGISTER", "610", "610", OTHER, number, &guess, "");
        world.datagram(address(OTHER), &text);
    }
    assert!(world.count(address(OTHER), "SIP/2.0 403") > 180);
    assert!(
        (1..=10).contains(&kept(&world)),
        "a guess is not judged twice"
    );
}

/// RFC 7616 §3.4.6: a proof for one number dials no other.
#[test]
fn a_proof_for_another_number_is_challenged_again() {
    let mut world = world();
    let body = sdp("172.16.0.5", 4000, 1, "");
    world.datagram(
        address(PHONE),
        &request("INVITE", "0900", "610", PHONE, 1, "", &body),
    );
    let refusal = world.last(address(PHONE), "SIP/2.0 401");
    let asked = (&Method::Invite, "sip:611@example.com");
    let proof = authorization(&refusal, asked, "610", "password of 610");
    world.datagram(
        address(PHONE),
        &request("INVITE", "0900", "610", PHONE, 2, &proof, &body),
    );
    assert_eq!(world.count(address(PHONE), "SIP/2.0 401"), 2);
    assert_eq!(world.tickets.len(), 0, "nobody is asked what 0900 is");
}

/// A phone behind a connection that is gone is not rung at the port that it had.
#[test]
fn a_phone_whose_connection_is_gone_is_not_there() {
    let mut world = world();
    let flow = |transport| Flow {
        transport,
        local: US.parse().unwrap(),
        remote: address(PHONE),
    };
    for (transport, status) in [(Transport::Udp, None), (Transport::Tcp, Some(480))] {
        let text = request("REGISTER", "610", "610", PHONE, 1, "Expires: 600\r\n", "");
        hear(&mut world, flow(transport), &text);
        let refusal = world.last(address(PHONE), "SIP/2.0 401");
        let asked = (&Method::Register, "sip:example.com");
        let proof = authorization(&refusal, asked, "610", "password of 610");
        let more = format!("Expires: 600\r\n{proof}");
        let cseq = if status.is_some() { 4 } else { 2 };
        let text = request("REGISTER", "610", "610", PHONE, cseq, &more, "");
        hear(&mut world, flow(transport), &text);
        let answer = world.last(address(PHONE), "SIP/2.0");
        assert_eq!(answer.start(), "SIP/2.0 200 OK");
        let flow = flow(transport);
        world.feed(Input::TransportFailed { flow });
        world.call_link(transport.as_str(), Ok(remote("610")));
        match status {
            Some(status) => assert_eq!(world.heard(), status),
            None => assert_eq!(world.count(address(PHONE), "INVITE "), 1),
        }
    }
}

fn hear(world: &mut World, flow: Flow, text: &str) {
    let bytes = text.as_bytes();
    world.feed(Input::Datagram { flow, bytes });
}
