//! Phones that register, who they prove to be, whom they call and who reaches them.

use std::net::SocketAddr;

use sip::auth::{Answering, challenges, write_authorization};
use sip::event::{Flow, Transport};
use sip::message::{Method, SendBuffer, parse};

use super::world::{Sent, US, World, remote, sdp, target, trunk};
use crate::call::event::Input;
use crate::fraud_guard::Rules;
use crate::links::resolve::ResolveRefusal;
use crate::registrar::model::tests::extension;
use crate::sources::model::{LinkAccess, Source};
use crate::trunks::model::Network;

pub(super) const PHONE: &str = "172.16.0.5:5061";
const OTHER: &str = "172.16.0.6:5062";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Phones live in 172.16.0.0/12; 610 and 611 have accounts.
pub(super) fn world() -> World {
    let mut world = World::new(vec![trunk(1)]);
    world.change(|snapshot| {
        snapshot.extensions = vec![extension("610"), extension("611")];
        snapshot.settings.sip_domain = Some("example.com".to_owned());
        snapshot.sources.push(Source {
            name: "phones".to_owned(),
            networks: vec![Network {
                address: "172.16.0.0".parse().unwrap(),
                prefix_length: 12,
            }],
            links: LinkAccess::None,
            ad_hoc: false,
            registers: true,
        });
    });
    world
}

/// A request of a phone, with what it has to say for itself.
fn request(
    method: &str,
    user: &str,
    from: &str,
    at: &str,
    cseq: u32,
    more: &str,
    body: &str,
) -> String {
    let uri = if method == "REGISTER" {
        "sip:example.com".to_owned()
    } else {
        format!("sip:{user}@example.com")
    };
    let length = body.len();
    let kind = if body.is_empty() {
        ""
    } else {
        "Content-Type: application/sdp\r\n"
    };
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bK{method}{at}{cseq}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:{from}@example.com>;tag={at}\r\nTo: <sip:{user}@example.com>\r\n\
         Call-ID: {method}{user}{at}\r\nCSeq: {cseq} {method}\r\nContact: <sip:{from}@{at}>\r\n\
         {more}{kind}Content-Length: {length}\r\n\r\n{body}"
    )
}

fn authorization(
    refusal: &Sent,
    (method, uri): (&Method, &str),
    username: &str,
    password: &str,
) -> String {
    let message = parse(refusal.text.as_bytes()).unwrap();
    let challenge = challenges(&message).first().cloned().unwrap();
    let answering = Answering {
        username,
        password,
        method,
        uri,
        cnonce: "c",
        nonce_count: 1,
    };
    let mut buffer = SendBuffer::new();
    write_authorization(&challenge, &answering, &mut buffer);
    let value = String::from_utf8(buffer.as_bytes().to_vec()).unwrap();
    format!("Authorization: {value}\r\n")
}

/// Registers, challenge and all; the last answer.
fn register(world: &mut World, name: &str, at: &str, expires: &str) -> Sent {
    let more = format!("Expires: {expires}\r\n");
    let from = address(at);
    world.datagram(from, &request("REGISTER", name, name, at, 1, &more, ""));
    let refusal = world.last(from, "SIP/2.0 401");
    let password = format!("password of {name}");
    let asked = (&Method::Register, "sip:example.com");
    let proof = authorization(&refusal, asked, name, &password);
    world.datagram(
        from,
        &request("REGISTER", name, name, at, 2, &format!("{more}{proof}"), ""),
    );
    world.last(from, "SIP/2.0")
}

/// An INVITE of a phone that proves to be `name`.
pub(super) fn invite(world: &mut World, name: &str, at: &str, user: &str) {
    let (from, body) = (address(at), sdp("172.16.0.5", 4000, 1, ""));
    world.datagram(from, &request("INVITE", user, name, at, 1, "", &body));
    let refusal = world.last(from, "SIP/2.0 401");
    let password = format!("password of {name}");
    let uri = format!("sip:{user}@example.com");
    let proof = authorization(&refusal, (&Method::Invite, &uri), name, &password);
    world.datagram(from, &request("INVITE", user, name, at, 2, &proof, &body));
}

#[test]
fn a_phone_registers_and_a_link_rings_it_where_it_registered() {
    let mut world = world();
    let answer = register(&mut world, "610", PHONE, "600");
    assert_eq!(answer.start(), "SIP/2.0 200 OK");
    assert!(answer.header("Contact").ends_with(";expires=600"));
    world.call_link("c1", Ok(remote("610")));
    let rings = world.last(address(PHONE), "INVITE");
    assert_eq!(rings.start(), format!("INVITE sip:610@{PHONE} SIP/2.0"));
    world.respond(&rings, "200 OK", &sdp("172.16.0.5", 4000, 1, ""));
    assert_eq!(world.heard(), 200);
    assert_eq!(world.count(target(1), "INVITE"), 0, "no trunk is asked");
}

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

#[test]
fn an_extension_that_is_not_there_is_480_and_leaves_by_no_trunk() {
    let mut world = world();
    world.call_link("c1", Ok(remote("610")));
    assert_eq!(world.heard(), 480);
    assert_eq!(world.count(target(1), "INVITE"), 0);
    assert_eq!(world.closed()[0].cause, "extension_not_registered");
}

#[test]
fn one_extension_calls_another_under_its_own_name() {
    let mut world = world();
    register(&mut world, "611", OTHER, "600");
    invite(&mut world, "610", PHONE, "611");
    world.resolved(Err(ResolveRefusal::Unknown));
    let rings = world.last(address(OTHER), "INVITE");
    assert!(rings.header("From").contains("<sip:610@"));
    assert_eq!(world.closed().len(), 0, "a challenge is no call");
}

#[test]
fn an_extension_leaves_by_a_trunk_only_where_its_account_and_the_guard_say_so() {
    for (trunks, unnamed_allowed, cause) in [
        (vec![], true, Some("link_unknown")),
        (vec!["tr_1".to_owned()], false, Some("guard_not_named")),
        (vec!["tr_2".to_owned()], true, Some("extension_no_trunk")),
        (vec!["tr_1".to_owned()], true, None),
    ] {
        let mut world = world();
        world.change(|snapshot| {
            snapshot.extensions[0].trunks.clone_from(&trunks);
            snapshot.guard = Rules {
                unnamed_allowed,
                ..Rules::default()
            };
        });
        invite(&mut world, "610", PHONE, "0301234567");
        world.resolved(Err(ResolveRefusal::Unknown));
        match cause {
            Some(cause) => assert_eq!(world.closed()[0].cause, cause),
            None => assert_eq!(world.count(target(1), "INVITE sip:0301234567@"), 1),
        }
    }
}

#[test]
fn nothing_of_a_phone_is_heard_without_proof_and_no_answer_tells_who_exists() {
    let mut world = world();
    let mut refusals = Vec::new();
    for name in ["610", "nobody"] {
        for method in ["REGISTER", "INVITE"] {
            let body = if method == "INVITE" {
                sdp("172.16.0.5", 4000, 1, "")
            } else {
                String::new()
            };
            world.datagram(
                address(PHONE),
                &request(method, name, name, PHONE, 1, "", &body),
            );
            let refusal = world.last(address(PHONE), "SIP/2.0");
            refusals.push((method, refusal.start().to_owned()));
        }
    }
    for (method, start) in &refusals {
        assert_eq!(start, "SIP/2.0 401 Unauthorized", "{method}");
    }
    assert_eq!(world.closed().len(), 0);
    assert!(world.records.is_empty(), "no record of what nobody proved");
}

#[test]
fn register_is_for_own_names_and_from_where_phones_may_register() {
    let mut world = world();
    let office = address("10.0.0.9:5060");
    world.datagram(
        office,
        &request("REGISTER", "610", "610", "10.0.0.9:5060", 1, "", ""),
    );
    assert_eq!(
        world.last(office, "SIP/2.0").start(),
        "SIP/2.0 403 Forbidden"
    );
    let elsewhere = request("REGISTER", "610", "610", PHONE, 1, "", "")
        .replace("REGISTER sip:example.com", "REGISTER sip:example.org");
    world.datagram(address(PHONE), &elsewhere);
    let refusal = world.last(address(PHONE), "SIP/2.0");
    assert_eq!(refusal.start(), "SIP/2.0 404 Not Found");
}

#[test]
fn too_brief_a_registration_is_423_with_the_shortest() {
    let mut world = world();
    let answer = register(&mut world, "610", PHONE, "5");
    assert_eq!(answer.start(), "SIP/2.0 423 Interval Too Brief");
    assert_eq!(answer.header("Min-Expires"), "60");
}

#[test]
fn an_account_that_is_deleted_is_not_reached_any_more() {
    let mut world = world();
    register(&mut world, "610", PHONE, "600");
    world.change(|snapshot| snapshot.extensions.clear());
    world.change(|snapshot| snapshot.extensions = vec![extension("610")]);
    world.call_link("c1", Ok(remote("610")));
    assert_eq!(world.heard(), 480);
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
    world.pass(std::time::Duration::from_secs(40));
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
    world.pass(std::time::Duration::from_secs(1));
    invite(&mut world, "610", PHONE, "611");
    world.resolved(Err(ResolveRefusal::Unknown));
    assert_eq!(world.count(address(OTHER), "INVITE "), 1);
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
