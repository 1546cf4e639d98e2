//! Phones that register, who they prove to be, whom they call and who reaches them.

use std::net::SocketAddr;
use std::time::Duration;

use sip::auth::{Answering, challenges, write_authorization};
use sip::message::{Method, SendBuffer, parse};

use super::world::{Sent, World, remote, sdp, target, trunk};
use crate::call::command::{Command, CommandOutcome, ListPhones, PhonePage};
use crate::call::event::Input;
use crate::cdr::record::Record;
use crate::fraud_guard::Rules;
use crate::links::resolve::{ResolveRefusal, ResolvedLink};
use crate::registrar::kept::KeptPhones;
use crate::registrar::model::tests::extension;
use crate::sources::model::{LinkAccess, Source};
use crate::trunks::model::Network;

pub(super) const PHONE: &str = "172.16.0.5:5061";
pub(super) const OTHER: &str = "172.16.0.6:5062";

pub(super) fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Phones live in 172.16.0.0/12; 610 and 611 have accounts.
pub(super) fn world() -> World {
    let mut world = World::new(vec![trunk(1)]);
    configure(&mut world);
    world
}

fn configure(world: &mut World) {
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
            srtp: crate::trunks::model::SrtpPolicy::Off,
        });
    });
}

/// A request of a phone, with what it has to say for itself.
pub(super) fn request(
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

pub(super) fn authorization(
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
pub(super) fn register(world: &mut World, name: &str, at: &str, expires: &str) -> Sent {
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

/// There is no number in such a URI that a trunk of the account could dial.
#[test]
fn a_phone_that_calls_an_emergency_service_without_its_link_dials_nothing() {
    let mut world = world();
    world.change(|snapshot| {
        snapshot.extensions[0].trunks = vec!["tr_1".to_owned()];
        snapshot.guard.unnamed_allowed = true;
    });
    let (from, body) = (address(PHONE), sdp("172.16.0.5", 4000, 1, ""));
    let urn = "urn:service:sos";
    let invite = |cseq, proof: &str| {
        let text = request("INVITE", "sos", "610", PHONE, cseq, proof, &body);
        text.replace("INVITE sip:sos@example.com", &format!("INVITE {urn}"))
    };
    world.datagram(from, &invite(1, ""));
    let refusal = world.last(from, "SIP/2.0 401");
    let proof = authorization(&refusal, (&Method::Invite, urn), "610", "password of 610");
    world.datagram(from, &invite(2, &proof));
    world.resolved(Err(ResolveRefusal::Unknown));
    assert_eq!(world.closed()[0].cause, "emergency_link_unknown");
    assert_eq!(world.count(target(1), "INVITE"), 0);
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

/// Any address of ours is us: an extension is a phone by each of them, and never a number of a trunk.
#[test]
fn an_extension_is_a_phone_at_each_address_of_ours() {
    let mut world = world();
    let listener = "198.51.100.7:5060".parse().unwrap();
    world.control.config.listeners.push(listener);
    world.change(|snapshot| snapshot.extensions[0].trunks = vec!["tr_1".to_owned()]);
    register(&mut world, "611", OTHER, "600");
    let (from, body) = (address(PHONE), sdp("172.16.0.5", 4000, 1, ""));
    let mut ask = |cseq, more: &str| {
        let text = request("INVITE", "611", "610", PHONE, cseq, more, &body);
        let text = text.replace(
            "sip:611@example.com SIP/2.0",
            "sip:611@198.51.100.7 SIP/2.0",
        );
        world.datagram(from, &text);
        world.last(from, "SIP/2.0")
    };
    let refusal = ask(1, "");
    let asked = (&Method::Invite, "sip:611@198.51.100.7");
    ask(2, &authorization(&refusal, asked, "610", "password of 610"));
    world.resolved(Err(ResolveRefusal::Unknown));
    assert_eq!(world.count(target(1), "INVITE"), 0);
    assert_eq!(world.count(address(OTHER), "INVITE"), 1);
}

/// What the store says of a text that no link names, where ad hoc calls are on.
fn ad_hoc(user: &str) -> ResolvedLink {
    ResolvedLink {
        link: None,
        named_by_link: false,
        ..remote(user)
    }
}

#[test]
fn ad_hoc_calls_of_others_change_nothing_for_extensions() {
    let mut world = world();
    register(&mut world, "611", OTHER, "600");
    invite(&mut world, "610", PHONE, "611");
    world.resolved(Ok(ad_hoc("611")));
    let rings = world.last(address(OTHER), "INVITE");
    assert!(rings.header("From").contains("<sip:610@"));
    // Not even where the source itself may call ad hoc: the account says where a phone may call.
    let loopback = "127.0.0.1:5061";
    let mut world = self::world();
    world.change(|snapshot| {
        snapshot.sources[1].ad_hoc = true;
        let machine = "127.0.0.0/8".parse().unwrap();
        snapshot.sources[1].networks.push(machine);
        snapshot.guard.unnamed_allowed = true;
    });
    invite(&mut world, "610", loopback, "0301234567");
    world.resolved(Ok(ad_hoc("0301234567")));
    assert_eq!(world.count(target(1), "INVITE"), 0);
    assert_eq!(world.closed()[0].cause, "link_unknown");
}

#[test]
fn a_link_that_is_over_is_never_dialled_as_a_number() {
    for (hide_state, status) in [(false, "410 Gone"), (true, "404 Not Found")] {
        let mut world = world();
        world.change(|snapshot| {
            snapshot.settings.hide_state = hide_state;
            snapshot.extensions[0].trunks = vec!["tr_1".to_owned()];
            snapshot.guard.unnamed_allowed = true;
        });
        invite(&mut world, "610", PHONE, "0301234567");
        world.resolved(Err(ResolveRefusal::Dead));
        let refusal = world.last(address(PHONE), "SIP/2.0");
        assert_eq!(refusal.start(), format!("SIP/2.0 {status}"));
        assert_eq!(world.count(target(1), "INVITE"), 0);
        assert_eq!(world.closed()[0].cause, "link_dead", "the record knows");
    }
}

#[test]
fn an_extension_is_no_trunk_to_those_who_watch_trunks() {
    let mut world = World::new(Vec::new());
    world.change(|snapshot| snapshot.extensions = vec![extension("610")]);
    let counters = world.control.counters();
    assert!(counters.trunks.is_empty(), "no label bears its number");
    match world.order(Command::ListTrunkStates) {
        Ok(CommandOutcome::TrunkStates(states)) => assert!(states.is_empty()),
        other => panic!("{other:?}"),
    }
}

/// What was written of phones, the last word on each extension.
fn kept(world: &World) -> Vec<KeptPhones> {
    let mut last = std::collections::BTreeMap::new();
    for record in &world.records {
        if let Record::Phones(changes) = record {
            for change in changes {
                last.insert(change.extension.clone(), change.clone());
            }
        }
    }
    last.into_values().collect()
}

/// A node that is started with what another has written.
fn restarted(kept: Vec<KeptPhones>) -> World {
    let mut world = World::new(vec![trunk(1)]);
    world.feed(Input::Phones(kept));
    configure(&mut world);
    world
}

fn phones(world: &mut World, list: ListPhones) -> PhonePage {
    match world.order(Command::ListPhones(list)) {
        Ok(CommandOutcome::Phones(page)) => page,
        other => panic!("{other:?}"),
    }
}

fn all() -> ListPhones {
    ListPhones {
        limit: 100,
        ..ListPhones::default()
    }
}

#[test]
fn after_a_restart_a_phone_is_rung_where_it_was_without_having_registered_again() {
    let mut before = world();
    register(&mut before, "610", PHONE, "600");
    before.pass(Duration::from_secs(2));
    let mut after = restarted(kept(&before));
    after.call_link("c1", Ok(remote("610")));
    let rings = after.last(address(PHONE), "INVITE");
    assert_eq!(rings.start(), format!("INVITE sip:610@{PHONE} SIP/2.0"));
    after.respond(&rings, "486 Busy Here", "");
    assert_eq!(after.heard(), 486);
    after.pass(Duration::from_secs(600));
    after.call_link("c2", Ok(remote("610")));
    assert_eq!(after.heard(), 480, "its time was over");
}

#[test]
fn who_has_left_is_not_there_after_a_restart_nor_who_has_no_account_any_more() {
    let mut before = world();
    register(&mut before, "610", PHONE, "600");
    register(&mut before, "611", OTHER, "600");
    before.pass(Duration::from_secs(2));
    let first = kept(&before);
    assert_eq!(first.iter().map(|kept| kept.phones.len()).sum::<usize>(), 2);
    let more = "Expires: 0\r\n";
    let from = address(OTHER);
    before.datagram(from, &request("REGISTER", "611", "611", OTHER, 3, more, ""));
    let refusal = before.last(from, "SIP/2.0 401");
    let asked = (&Method::Register, "sip:example.com");
    let proof = authorization(&refusal, asked, "611", "password of 611");
    let more = format!("{more}{proof}");
    before.datagram(
        from,
        &request("REGISTER", "611", "611", OTHER, 4, &more, ""),
    );
    before.pass(Duration::from_secs(2));
    let mut after = restarted(kept(&before));
    let page = phones(&mut after, all());
    let names: Vec<&str> = page.phones.iter().map(|phone| &*phone.extension).collect();
    assert_eq!(names, ["610"]);
    after.change(|snapshot| snapshot.extensions.clear());
    after.pass(Duration::from_secs(2));
    assert!(kept(&after).iter().all(|kept| kept.phones.is_empty()));
}

#[test]
fn a_list_of_phones_shows_where_each_is_and_until_when_page_by_page() {
    let mut world = world();
    world.change(|snapshot| snapshot.extensions.push(extension("612")));
    for (name, at) in [("610", PHONE), ("611", OTHER), ("612", "172.16.0.7:5063")] {
        register(&mut world, name, at, "600");
    }
    world.pass(Duration::from_secs(100));
    let page = phones(&mut world, ListPhones { limit: 2, ..all() });
    assert_eq!((page.total, page.next.as_deref()), (3, Some("611")));
    let first = &page.phones[0];
    assert_eq!(first.extension, "610");
    assert_eq!(first.contact, format!("sip:610@{PHONE}"));
    assert_eq!(first.flow.remote, address(PHONE));
    let now = world.now.timestamp;
    assert_eq!(first.expires_at, now + Duration::from_secs(500));
    assert_eq!(first.refreshed_at, now - Duration::from_secs(100));
    let after = page.next.unwrap();
    let page = phones(&mut world, ListPhones { after, ..all() });
    assert_eq!((page.phones.len(), page.next), (1, None));
    let extension = Some("611".to_owned());
    let page = phones(&mut world, ListPhones { extension, ..all() });
    assert_eq!(page.phones.len(), 1);
    assert_eq!(page.phones[0].extension, "611");
}
