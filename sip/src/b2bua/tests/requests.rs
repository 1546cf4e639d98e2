//! What the core answers by itself, and what it drops.

use std::time::Duration;

use super::world::*;
use crate::error::{DropReason, ParseError, ProtocolError};
use crate::event::{Event, Ping, Refusal};
use crate::message::{Defect, HeaderName};

fn outside(method: &str, extra: &str) -> String {
    let text = request(
        method,
        CALLER,
        "<sip:a@10.0.0.1>;tag=a",
        "<sip:link@10.0.0.9>",
        "outside",
        1,
        method,
        "",
    );
    text.replace("Content-Length", &format!("{extra}Content-Length"))
}

/// The table of the module, row by row.
#[test]
fn requests_outside_a_dialog_get_their_answer_without_state() {
    for (method, status, reason) in [
        ("OPTIONS", "200", ""),
        ("BYE", "481", "no_dialog"),
        ("NOTIFY", "481", "no_dialog"),
        ("REFER", "403", "refer"),
        ("SUBSCRIBE", "489", "event_package"),
        ("INFO", "405", "method_not_allowed"),
        ("UPDATE", "405", "method_not_allowed"),
        ("PRACK", "405", "method_not_allowed"),
        ("MESSAGE", "405", "method_not_allowed"),
        ("REGISTER", "405", "method_not_allowed"),
        ("PUBLISH", "405", "method_not_allowed"),
        ("BREW", "501", "method_unknown"),
    ] {
        let mut world = World::new();
        world.receive(CALLER, &outside(method, ""));
        let sent = world.last(status);
        assert_eq!(world.sent.len(), 1, "{method}");
        assert!(!sent.to_tag().is_empty());
        if matches!(status, "405" | "501" | "200") {
            assert_eq!(
                sent.header(&HeaderName::Allow),
                "INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE"
            );
        }
        if reason.is_empty() {
            assert_eq!(world.event_names(), [""; 0]);
            assert_eq!(sent.header(&HeaderName::Accept), "application/sdp");
        } else {
            assert_eq!(world.event_names(), [format!("Dropped {reason}")]);
            assert_eq!(world.endpoint.counters().dropped(reason), 1);
        }
        // The same request again gets the same octets, and nothing is kept.
        world.receive(CALLER, &outside(method, ""));
        assert_eq!(world.sent[0], world.sent[1]);
        world.drain();
        assert!(world.endpoint.is_idle());
    }
}

#[test]
fn requests_within_a_dialog_get_their_answer() {
    let mut world = World::new();
    let c = world.connected();
    for (number, (method, status)) in [
        ("OPTIONS", "200"),
        ("REFER", "603"),
        ("INFO", "405"),
        ("UPDATE", "200"),
        ("PRACK", "400"),
        ("MESSAGE", "405"),
        ("SUBSCRIBE", "489"),
        ("NOTIFY", "481"),
        ("BREW", "501"),
    ]
    .into_iter()
    .enumerate()
    {
        let cseq = u32::try_from(number).unwrap() + 2;
        world.receive(CALLER, &c.caller_says(method, cseq, method, ""));
        assert_eq!(world.log(), [format!("{status}>caller")], "{method}");
    }
    // RFC 3261 §12.2.2: what is older than the last one is out of order.
    world.receive(CALLER, &c.caller_says("OPTIONS", 2, "old", ""));
    assert_eq!(world.log(), ["500>caller"]);
    assert_eq!(world.endpoint.counters().dropped("low_cseq"), 1);
    // Another tag is another dialog.
    let foreign = c
        .caller_says("BYE", 20, "foreign", "")
        .replace("tag=alice", "tag=mallory");
    world.receive(CALLER, &foreign);
    assert_eq!(world.log(), ["481>caller"]);
    world.receive(CALLER, &c.caller_says("BYE", 20, "bye", ""));
    world.receive(CALLER, &c.caller_says("OPTIONS", 21, "after", ""));
    assert_eq!(world.log(), ["200>caller", "BYE>trunk", "481>caller"]);
    world.assert_quiescent();
}

#[test]
fn an_invite_that_cannot_be_served_is_refused_without_state() {
    let change = |from: &str, to: &str| invite("x").replace(from, to);
    let sdp_type = "Content-Type: application/sdp";
    for (text, status, reason) in [
        (
            change("Max-Forwards: 70", "Max-Forwards: 0"),
            "483",
            "too_many_hops",
        ),
        (
            change("Max-Forwards: 70", "Require: 100rel, foo"),
            "420",
            "extension",
        ),
        (
            change("INVITE sip:link@10.0.0.9:5060", "INVITE urn:isbn:1"),
            "416",
            "uri_scheme",
        ),
        (
            change(sdp_type, "Content-Type: text/plain"),
            "415",
            "media_type",
        ),
        (change(sdp_type, "X-Nothing: 1"), "415", "media_type"),
        (
            change(sdp_type, &format!("{sdp_type}\r\nContent-Encoding: gzip")),
            "415",
            "media_type",
        ),
        (change("v=0", "v=7"), "400", "session_description"),
        (
            change("Contact: <sip:peer@10.0.0.1:5060>\r\n", ""),
            "400",
            "no_contact",
        ),
        (
            change("CSeq: 1 INVITE", "CSeq: 1 BYE"),
            "400",
            "cseq_method",
        ),
    ] {
        let mut world = World::new();
        world.receive(CALLER, &text);
        assert_eq!(world.event_names(), [format!("Dropped {reason}")], "{text}");
        let sent = world.last(status);
        assert_eq!(world.sent.len(), 1);
        match status {
            "420" => assert_eq!(sent.header(&HeaderName::Unsupported), "foo"),
            "415" => assert_eq!(sent.header(&HeaderName::Accept), "application/sdp"),
            _ => {}
        }
        // Its ACK is not answered.
        world.sent.clear();
        let ack = text
            .replacen("INVITE", "ACK", 1)
            .replace("1 INVITE", "1 ACK");
        world.receive(CALLER, &ack);
        assert_eq!(world.log(), [""; 0]);
        assert!(world.endpoint.is_idle());
    }
}

/// Who is to blame, and for what, in the reason.
#[test]
fn a_refusal_is_reported_with_its_kind() {
    let routes = "Record-Route: <sip:10.0.0.5;lr>\r\n".repeat(crate::limits::ROUTES_MAX + 1);
    for (text, reason) in [
        (
            invite("long").replace("Max-Forwards", &format!("{routes}Max-Forwards")),
            DropReason::Protocol(ProtocolError::RouteSetTooLong),
        ),
        (
            invite("bad").replace("Max-Forwards: 70", "Max-Forwards: many"),
            DropReason::Malformed(Defect::MaxForwards),
        ),
    ] {
        let mut world = World::new();
        world.receive(CALLER, &text);
        assert_eq!(world.log(), ["400>caller"]);
        let found = world.take_events().into_iter().find_map(|event| {
            if let Event::Dropped { reason, .. } = event {
                Some(reason)
            } else {
                None
            }
        });
        assert_eq!(found, Some(reason));
        assert!(world.endpoint.is_idle());
    }
}

/// RFC 3261 §8.2.2.2: the same INVITE by two paths.
#[test]
fn a_merged_request_gets_482() {
    let mut world = World::new();
    let (call, _, invite) = world.offered("merged");
    world.receive(TRUNK, &invite.replace("z9hG4bKmerged", "z9hG4bKother"));
    assert_eq!(
        world.log(),
        ["100>caller", "482>10.0.0.2:5060"].map(|s| s.replace("10.0.0.2:5060", "trunk"))
    );
    assert_eq!(world.event_names(), ["Dropped merged_request"]);
    world
        .endpoint
        .hang_up(world.now, call, &Refusal::default())
        .unwrap();
    world.drain();
    world.assert_quiescent();
}

/// Our own INVITE comes back through somebody else.
#[test]
fn a_loop_gets_482() {
    let mut world = World::new();
    let (call, _, _) = world.offered("loop");
    world.dial(call);
    let ours = world.last("INVITE");
    let via = format!("Via: SIP/2.0/UDP {TRUNK};branch=z9hG4bKproxy\r\nVia: ");
    world.sent.clear();
    world.receive(TRUNK, &ours.text.replacen("Via: ", &via, 1));
    assert_eq!(world.log(), ["482>trunk"]);
    assert_eq!(world.event_names(), ["Dropped loop"]);
    world
        .endpoint
        .hang_up(world.now, call, &Refusal::default())
        .unwrap();
    world.drain();
    world.assert_quiescent();
}

/// RFC 3261 §18.1.2, §8.1.3.3.
#[test]
fn responses_that_are_not_ours_are_dropped() {
    let mut world = World::new();
    let (call, _, _) = world.offered("strays");
    world.dial(call);
    let ours = world.last("INVITE");
    world.sent.clear();
    let ok = response(&ours, 200, "callee", Some(SDP));
    world.receive(TRUNK, &ok.replace("UDP 10.0.0.9:5060", "UDP 10.0.0.8:5060"));
    world.receive(
        TRUNK,
        &ok.replacen(
            "Via: ",
            "Via: SIP/2.0/UDP 10.0.0.9:5060;branch=z9hG4bKx, ",
            1,
        ),
    );
    world.receive(TRUNK, &ok.replace(&ours.branch(), "z9hG4bKforged"));
    assert_eq!(
        world.event_names(),
        [
            "Dropped foreign_via",
            "Dropped foreign_via",
            "Dropped stray_response"
        ]
    );
    assert_eq!(world.log(), [""; 0]);
    world
        .endpoint
        .hang_up(world.now, call, &Refusal::default())
        .unwrap();
    world.drain();
    world.assert_quiescent();
}

#[test]
fn noise_is_dropped_and_counted() {
    let mut world = World::new();
    for noise in [
        "\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "SIP/2.0 99 x\r\n\r\n",
        "",
    ] {
        world.receive(CALLER, noise);
    }
    let flow = flow(CALLER);
    let unreadable = DropReason::Unreadable(ParseError::NotSip);
    assert!(world.events.iter().any(|event| {
        matches!(event, Event::Dropped { flow: from, reason }
            if *from == flow && *reason == unreadable)
    }));
    world.receive(CALLER, &outside("ACK", ""));
    assert_eq!(world.log(), [""; 0]);
    let counters = world.endpoint.counters();
    assert_eq!(counters.dropped("keep_alive"), 2);
    assert_eq!(counters.dropped("not_sip"), 1);
    assert_eq!(counters.dropped("status_code"), 1);
    assert_eq!(counters.dropped("stray_ack"), 1);
    assert_eq!(counters.dropped_by_reason().count(), 4);
}

/// PRODUCT §10: a node that drains takes no call and says so to who asks.
#[test]
fn draining_refuses_new_calls_and_lets_the_old_ones_end() {
    let mut world = World::new();
    let c = world.connected();
    world.endpoint.set_draining(true);
    world.receive(CALLER, &invite("new"));
    world.receive(CALLER, &outside("OPTIONS", ""));
    world.receive(CALLER, &c.caller_says("OPTIONS", 2, "o", ""));
    assert_eq!(world.log(), ["503>caller", "503>caller", "200>caller"]);
    assert_eq!(
        world.event_names(),
        ["Dropped draining", "Dropped draining"]
    );
    world.receive(CALLER, &c.caller_says("BYE", 3, "bye", ""));
    world.assert_quiescent();
}

/// A full endpoint refuses with one datagram and keeps nothing.
#[test]
fn a_full_endpoint_refuses_without_state() {
    let mut world = World::with_calls_max(2);
    let (one, ..) = world.offered("one");
    world.offered("two");
    world.sent.clear();
    let deadline = world.endpoint.poll_deadline();
    world.receive(CALLER, &invite("three"));
    // Not all come back at once, and the same request gets the same octets.
    let wait = world.last("503").header(&HeaderName::RetryAfter);
    assert!((2..=5).contains(&wait.parse::<u32>().unwrap()), "{wait}");
    let refused = world.take_sent();
    world.receive(CALLER, &invite("three"));
    assert_eq!(world.take_sent(), refused);
    world.events.pop();
    assert_eq!(world.event_names(), ["Dropped calls_full"]);
    assert_eq!(world.endpoint.poll_deadline(), deadline, "no timer");
    world
        .endpoint
        .hang_up(world.now, one, &Refusal::default())
        .unwrap();
    world.drain();
    // What has ended makes room at once.
    let (three, ..) = world.offered("three");
    world
        .endpoint
        .hang_up(world.now, three, &Refusal::default())
        .unwrap();
    world.drain();
}

#[test]
fn a_flood_meets_the_bound_of_each_table() {
    let mut world = World::with_calls_max(1);
    for number in 0..3_000 {
        world.receive(CALLER, &invite(&format!("f{number}")));
        for event in world.take_events() {
            if let Event::CallOffered { call, .. } = event {
                world
                    .endpoint
                    .hang_up(world.now, call, &Refusal::default())
                    .unwrap();
                world.drain();
            }
        }
        world.sent.clear();
        world.events.clear();
    }
    let counters = world.endpoint.counters();
    assert_eq!(counters.requests_received, 3_000);
    assert!(counters.dropped("calls_full") + counters.dropped("transactions_full") > 0);
    world.assert_quiescent();
}

/// RFC 3261 §11: OPTIONS of ours.
#[test]
fn a_ping_ends_with_an_answer_or_with_its_time() {
    let mut world = World::new();
    let ping = || Ping {
        flow: flow(TRUNK),
        request_uri: dial().request_uri,
        from: dial().request_uri,
        timeout: Duration::from_secs(4),
    };
    world.endpoint.ping(world.now, ping()).unwrap();
    world.drain();
    let options = world.last("OPTIONS");
    assert_eq!(options.to, TRUNK);
    world.receive(TRUNK, &response(&options, 100, "", None));
    world.receive(TRUNK, &response(&options, 483, "x", None));
    world.receive(TRUNK, &response(&options, 483, "x", None));
    assert_eq!(world.event_names(), ["PingEnded Some(483)"]);
    world.endpoint.ping(world.now, ping()).unwrap();
    world.drain();
    world.pass_ms(4_000);
    assert_eq!(world.event_names(), ["PingEnded None"]);
    world.assert_quiescent();
}

/// RFC 3581 §4: the answer goes to where the request came from.
#[test]
fn rport_and_received_lead_the_answer_back() {
    let mut world = World::new();
    let text = outside("OPTIONS", "").replace(";branch", ";rport;branch");
    world.receive("192.0.2.77:40123", &text);
    let sent = world.last("200");
    assert_eq!(sent.to, "192.0.2.77:40123");
    let via = sent.header(&HeaderName::Via);
    assert!(
        via.contains(";rport=40123") && via.contains(";received=192.0.2.77"),
        "{via}"
    );
}

/// BYE is never refused for want of room: it frees some.
#[test]
fn a_call_can_end_while_the_transaction_table_is_full() {
    let mut world = World::with_calls_max(2);
    let c = world.connected();
    let fill = |world: &mut World, number: u32| {
        let invite = invite(&format!("fill{number}"));
        world.receive(CALLER, &invite);
        world.receive(CALLER, &cancel(&invite));
        world.sent.clear();
    };
    let mut number = 0;
    while world.endpoint.counters().dropped("transactions_full") == 0 {
        fill(&mut world, number);
        number += 1;
        assert!(number < 10_000, "the table has a bound");
    }
    world.events.clear();
    world.receive(CALLER, &c.caller_says("BYE", 2, "bye", ""));
    assert_eq!(world.log(), ["200>caller", "BYE>trunk"]);
    assert_eq!(world.event_names(), ["Ended Originating Bye"]);
    assert_eq!(world.endpoint.counters().sent_without_transaction, 1);
    world.assert_quiescent();
}

/// RFC 3261 §12.1.1: the route set of a dialog that the peer made, in the order of Record-Route.
#[test]
fn requests_to_the_caller_follow_its_record_route() {
    let mut world = World::new();
    let routes = "Record-Route: <sip:10.0.0.5;lr>\r\nRecord-Route: <sip:10.0.0.6;lr>\r\nContact";
    let invite = invite("routed").replace("Contact", routes);
    world.receive("10.0.0.5:5060", &invite);
    let call = world.take_events().into_iter().find_map(|event| {
        if let Event::CallOffered { call, .. } = event {
            Some(call)
        } else {
            None
        }
    });
    let call = call.unwrap();
    world.endpoint.answer(world.now, call, &sdp()).unwrap();
    world.drain();
    let ok = world.last("200");
    assert_eq!(ok.parsed().elements(&HeaderName::RecordRoute).count(), 2);
    world.receive("10.0.0.5:5060", &ack(&invite, &ok));
    world
        .endpoint
        .hang_up(world.now, call, &Refusal::default())
        .unwrap();
    world.drain();
    let bye = world.last("BYE");
    assert_eq!(bye.to, "10.0.0.5:5060");
    assert!(
        bye.text
            .starts_with("BYE sip:peer@10.0.0.1:5060 SIP/2.0\r\n")
    );
    assert!(
        bye.text
            .contains("Route: <sip:10.0.0.5;lr>\r\nRoute: <sip:10.0.0.6;lr>\r\n")
    );
    world.assert_quiescent();
}

#[test]
fn an_endpoint_moves_between_threads() {
    const fn is_send<T: Send>() {}
    is_send::<crate::endpoint::Endpoint>();
}

/// Addresses of IPv6 stand in brackets, ours too, and are recognised in the answer.
#[test]
fn a_ping_over_ipv6_is_answered() {
    let mut world = World::new();
    let flow = crate::event::Flow {
        transport: crate::event::Transport::Udp,
        local: "[2001:db8::9]:5060".parse().unwrap(),
        remote: "[2001:db8::2]:5060".parse().unwrap(),
    };
    let uri = crate::message::Uri::parse(b"sip:[2001:db8::2]").unwrap();
    let timeout = Duration::from_secs(4);
    let ping = Ping {
        flow,
        request_uri: uri.clone(),
        from: uri,
        timeout,
    };
    world.endpoint.ping(world.now, ping).unwrap();
    let mut buffer = crate::message::SendBuffer::new();
    assert!(world.endpoint.poll_output(&mut buffer).is_some());
    let text = String::from_utf8(buffer.as_bytes().to_vec()).unwrap();
    let sent = Sent {
        by: crate::event::Transport::Udp,
        to: flow.remote.to_string(),
        text,
    };
    let answer = response(&sent, 200, "x", None);
    let bytes = answer.as_bytes();
    world
        .endpoint
        .handle_input(world.now, crate::event::Input::Datagram { flow, bytes });
    world.drain();
    assert_eq!(world.event_names(), ["PingEnded Some(200)"]);
    world.assert_quiescent();
}
