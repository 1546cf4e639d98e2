//! Calls over connections: which one carries what, and what happens when it is gone.

use super::world::*;
use crate::event::{CallKey, Dial, Event, Ping, Refusal, Transport};
use crate::message::{HeaderName, StatusCode, Uri};

/// The caller's end of its connection, and what its Via and Contact name.
const CONNECTION: &str = "10.0.0.1:40000";

/// Both sides of a call by TCP.
struct Pair {
    world: World,
    call: CallKey,
    invite: String,
    b_invite: Sent,
    /// Ours, towards the caller.
    tag: String,
}

/// What a peer says, by TCP and with a Contact that says so.
fn over_tcp(text: &str) -> String {
    text.replace("SIP/2.0/UDP", "SIP/2.0/TCP")
        .replace(
            "<sip:peer@10.0.0.1:5060>",
            "<sip:peer@10.0.0.1:5060;transport=tcp>",
        )
        .replace(
            "<sip:callee@10.0.0.2:5060>",
            "<sip:callee@10.0.0.2:5060;transport=tcp>",
        )
}

/// `200>TCP 10.0.0.1:40000` for all that was sent since the last look.
fn log(world: &mut World) -> Vec<String> {
    let sent = world.take_sent().into_iter();
    sent.map(|sent| format!("{}>{} {}", sent.what(), sent.by.as_str(), sent.to))
        .collect()
}

impl Pair {
    fn dialled() -> Self {
        let mut world = World::new();
        let invite = over_tcp(&invite("tcp"));
        world.receive_by(by_tcp(CONNECTION), &invite);
        let call = world.take_events().iter().find_map(Event::call).unwrap();
        assert_eq!(log(&mut world), [format!("100>TCP {CONNECTION}")]);
        let dial = Dial {
            flow: by_tcp(TRUNK),
            ..dial()
        };
        world.endpoint.dial(world.now, call, dial).unwrap();
        world.drain();
        let b_invite = world.last("INVITE");
        Self {
            world,
            call,
            invite,
            b_invite,
            tag: String::new(),
        }
    }

    fn connected() -> Self {
        let mut pair = Self::dialled();
        let world = &mut pair.world;
        let ok = response(&pair.b_invite, 200, "callee", Some(SDP));
        world.receive_by(by_tcp(TRUNK), &over_tcp(&ok));
        world.endpoint.answer(world.now, pair.call, &sdp()).unwrap();
        world.drain();
        let ok = world.last("200");
        pair.tag = ok.to_tag();
        world.receive_by(by_tcp(CONNECTION), &over_tcp(&ack(&pair.invite, &ok)));
        world.sent.clear();
        world.events.clear();
        pair
    }

    fn hang_up(&mut self) {
        let world = &mut self.world;
        world
            .endpoint
            .hang_up(world.now, self.call, &Refusal::default())
            .unwrap();
        world.drain();
    }
}

/// RFC 3261 §18.1.1, §17.1.1.2: Via and Contact say TCP, and nothing is repeated on a connection that
/// repeats by itself.
#[test]
fn an_invite_by_tcp_names_tcp_and_leaves_once() {
    let Pair {
        mut world,
        b_invite,
        ..
    } = Pair::dialled();
    let via = b_invite.header(&HeaderName::Via);
    assert!(
        via.starts_with("SIP/2.0/TCP 10.0.0.9:5060;branch="),
        "{via}"
    );
    assert!(!via.contains("rport"), "{via}");
    let contact = b_invite.header(&HeaderName::Contact);
    assert_eq!(contact, "<sip:guest@10.0.0.9:5060;transport=tcp>");
    assert_eq!(log(&mut world), [format!("INVITE>TCP {TRUNK}")]);
    world.pass_ms(3_900);
    assert_eq!(log(&mut world), [""; 0]);
}

/// RFC 3261 §13.3.1.4: the 2xx is repeated over TCP too, until its ACK.
#[test]
fn a_200_by_tcp_is_repeated_until_its_ack() {
    let mut pair = Pair::dialled();
    let world = &mut pair.world;
    world.endpoint.answer(world.now, pair.call, &sdp()).unwrap();
    world.drain();
    world.sent.retain(|sent| sent.what() == "200");
    let ok = world.last("200");
    let contact = ok.header(&HeaderName::Contact);
    assert_eq!(contact, "<sip:link@10.0.0.9:5060;transport=tcp>");
    world.pass_ms(1_500);
    let repeats = log(world);
    assert_eq!(repeats, vec![format!("200>TCP {CONNECTION}"); 3]);
    world.receive_by(by_tcp(CONNECTION), &over_tcp(&ack(&pair.invite, &ok)));
    world.pass_ms(4_000);
    let repeats = log(world)
        .iter()
        .filter(|sent| sent.starts_with("200"))
        .count();
    assert_eq!(repeats, 0);
}

/// Zero timers: after a call by TCP nothing is left but what swallows late answers to our INVITEs.
#[test]
fn a_call_by_tcp_leaves_nothing_behind() {
    let mut pair = Pair::connected();
    pair.hang_up();
    let byes = pair.world.take_sent();
    let by = |bye: &Sent| (bye.what(), bye.by, bye.to.clone());
    assert_eq!(
        byes.iter().map(by).collect::<Vec<_>>(),
        [
            ("BYE".into(), Transport::Tcp, CONNECTION.into()),
            ("BYE".into(), Transport::Tcp, TRUNK.into()),
        ]
    );
    for (bye, from) in byes.iter().zip([CONNECTION, TRUNK]) {
        pair.world
            .receive_by(by_tcp(from), &response(bye, 200, "", None));
    }
    pair.world.pass_ms(0);
    pair.world.assert_quiescent();
}

/// RFC 3261 §18.2.2: a new connection to the address, at the port of sent-by.
#[test]
fn responses_go_to_sent_by_when_the_connection_is_gone() {
    let mut pair = Pair::dialled();
    let world = &mut pair.world;
    world.sent.clear();
    world.fail(by_tcp(CONNECTION));
    assert_eq!(log(world), [""; 0], "nothing waited for the caller");
    world
        .endpoint
        .ring(world.now, pair.call, StatusCode::RINGING, None)
        .unwrap();
    world.drain();
    assert_eq!(log(world), [format!("180>TCP {CALLER}")]);
    world.endpoint.answer(world.now, pair.call, &sdp()).unwrap();
    world.drain();
    world.sent.retain(|sent| sent.what() == "200");
    world.pass_ms(500);
    assert_eq!(log(world), vec![format!("200>TCP {CALLER}"); 2]);
}

/// Also to a peer whose own port is that of sent-by.
#[test]
fn a_refusal_is_sent_again_to_a_peer_that_uses_one_port() {
    let mut world = World::new();
    world.receive_by(by_tcp(CALLER), &over_tcp(&invite("tcp")));
    let call = world.take_events().iter().find_map(Event::call).unwrap();
    let refusal = Refusal::default();
    world
        .endpoint
        .refuse(world.now, call, StatusCode::BUSY_HERE, &refusal)
        .unwrap();
    world.drain();
    world.sent.clear();
    for pause in [0, 500] {
        world.fail(by_tcp(CALLER));
        world.pass_ms(pause);
        assert_eq!(log(&mut world), [format!("486>TCP {CALLER}")]);
    }
}

/// one connection both ways, and the peer's Contact when it is gone.
#[test]
fn a_request_within_the_dialog_follows_the_contact_when_the_connection_is_gone() {
    let mut pair = Pair::connected();
    pair.world.fail(by_tcp(CONNECTION));
    pair.hang_up();
    let mut byes = log(&mut pair.world);
    byes.sort();
    assert_eq!(
        byes,
        [format!("BYE>TCP {CALLER}"), format!("BYE>TCP {TRUNK}")]
    );
}

/// The connection broke with our BYE in it; each side's leaves again by itself.
#[test]
fn a_bye_that_broke_with_its_connection_leaves_again_at_once_and_then_after_t1() {
    let mut pair = Pair::connected();
    pair.hang_up();
    pair.world.sent.clear();
    pair.world.fail(by_tcp(CONNECTION));
    assert_eq!(log(&mut pair.world), [format!("BYE>TCP {CALLER}")]);
    pair.world.fail(by_tcp(TRUNK));
    assert_eq!(log(&mut pair.world), [format!("BYE>TCP {TRUNK}")]);
    pair.world.fail(by_tcp(TRUNK));
    pair.world.pass_ms(499);
    assert_eq!(log(&mut pair.world), [""; 0]);
    pair.world.pass_ms(1);
    assert_eq!(log(&mut pair.world), [format!("BYE>TCP {TRUNK}")]);
    pair.world.assert_quiescent();
    assert_eq!(
        log(&mut pair.world),
        [""; 0],
        "no connection broke any more"
    );
}

/// Whoever comes back by a new connection is reached by it.
#[test]
fn a_peer_that_reconnects_is_reached_by_its_new_connection() {
    const AGAIN: &str = "10.0.0.1:40001";
    let mut pair = Pair::connected();
    pair.world.fail(by_tcp(CONNECTION));
    let invite = over_tcp(&invite("tcp"));
    let to_tag = &pair.tag;
    let options = invite
        .replace("INVITE", "OPTIONS")
        .replace("CSeq: 1", "CSeq: 2")
        .replace("branch=z9hG4bKtcp", "branch=z9hG4bKoptions")
        .replace(
            "To: <sip:link@10.0.0.9:5060>",
            &format!("To: <sip:link@10.0.0.9:5060>;tag={to_tag}"),
        );
    pair.world.receive_by(by_tcp(AGAIN), &options);
    assert_eq!(log(&mut pair.world), [format!("200>TCP {AGAIN}")]);
    pair.hang_up();
    let byes = log(&mut pair.world);
    assert!(byes.contains(&format!("BYE>TCP {AGAIN}")), "{byes:?}");
}

/// B-01, B-05: a connection that cannot be made is a target that is down, at once.
#[test]
fn a_ping_whose_connection_fails_ends_at_once() {
    let mut world = World::new();
    let uri = Uri::parse(b"sip:10.0.0.2:5060").unwrap();
    let ping = Ping {
        flow: by_tcp(TRUNK),
        request_uri: uri.clone(),
        from: uri,
        timeout: std::time::Duration::from_secs(4),
    };
    world.endpoint.ping(world.now, ping).unwrap();
    world.drain();
    assert_eq!(log(&mut world), [format!("OPTIONS>TCP {TRUNK}")]);
    world.fail(by_tcp(TRUNK));
    assert_eq!(world.event_names(), ["PingEnded None"]);
    world.assert_quiescent();
}

/// The next target is for the INVITE of a connection that fails, not the same one again.
#[test]
fn an_attempt_whose_connection_fails_ends_at_once() {
    let mut pair = Pair::dialled();
    pair.world.fail(by_tcp(TRUNK));
    let names = pair.world.event_names();
    assert_eq!(names, ["AttemptFailed TransportFailed"]);
}

/// RFC 3261 §18.2.2: the peer had got it, and answers by a connection of its own.
#[test]
fn an_answer_after_its_connection_broke_is_acknowledged_and_ended() {
    let mut pair = Pair::dialled();
    let world = &mut pair.world;
    world.fail(by_tcp(TRUNK));
    world.sent.clear();
    world.events.clear();
    let again = by_tcp("10.0.0.2:40001");
    let ok = response(&pair.b_invite, 200, "callee", Some(SDP));
    world.receive_by(again, &over_tcp(&ok));
    assert_eq!(world.event_names(), ["LateAnswer"]);
    assert_eq!(
        log(world),
        [
            "ACK>TCP 10.0.0.2:40001".to_owned(),
            "BYE>TCP 10.0.0.2:40001".to_owned()
        ]
    );
}

/// The same, and it only rings yet.
#[test]
fn an_invite_whose_connection_broke_is_cancelled_when_it_rings() {
    let mut pair = Pair::dialled();
    let world = &mut pair.world;
    world.fail(by_tcp(TRUNK));
    world.sent.clear();
    let ringing = response(&pair.b_invite, 180, "callee", None);
    world.receive_by(by_tcp("10.0.0.2:40001"), &over_tcp(&ringing));
    assert_eq!(log(world), [format!("CANCEL>TCP {TRUNK}")]);
}

fn long_offer() -> crate::sdp::SessionDescription {
    let lines = "a=fmtp:8 x=0123456789012345678901234567890123456789\r\n".repeat(24);
    crate::sdp::SessionDescription::parse(format!("{SDP}{lines}").as_bytes()).unwrap()
}

fn long_invite() -> (World, CallKey, Sent) {
    let mut world = World::new();
    let (call, ..) = world.offered("long");
    let dial = Dial {
        offer: Some(long_offer()),
        ..dial()
    };
    world.sent.clear();
    world.endpoint.dial(world.now, call, dial).unwrap();
    world.drain();
    let invite = world.last("INVITE");
    assert!(invite.text.len() > 1_300, "{}", invite.text.len());
    (world, call, invite)
}

/// RFC 3261 §18.1.1, A-11.
#[test]
fn a_request_above_1300_octets_goes_by_tcp_and_its_ack_and_cancel_too() {
    let (mut world, call, invite) = long_invite();
    assert!(invite.header(&HeaderName::Via).starts_with("SIP/2.0/TCP "));
    assert_eq!(log(&mut world), [format!("INVITE>TCP {TRUNK}")]);
    world.receive_by(by_tcp(TRUNK), &response(&invite, 180, "callee", None));
    world
        .endpoint
        .refuse(world.now, call, StatusCode::BUSY_HERE, &Refusal::default())
        .unwrap();
    world.drain();
    let cancel = world.last("CANCEL");
    assert_eq!((cancel.by, cancel.to.as_str()), (Transport::Tcp, TRUNK));
    assert_eq!(cancel.branch(), invite.branch());
    world.receive_by(by_tcp(TRUNK), &response(&invite, 487, "callee", None));
    let ack = world.last("ACK");
    assert_eq!((ack.by, ack.to.as_str()), (Transport::Tcp, TRUNK));
    assert_eq!(world.endpoint.counters().sent_by_tcp_for_size, 1);
}

/// RFC 3261 §18.1.1: back to UDP where TCP fails, with the Via changed, and repeated from then on.
#[test]
fn a_long_request_goes_by_udp_after_all_where_tcp_fails() {
    let (mut world, call, by_connection) = long_invite();
    world.sent.clear();
    world.fail(by_tcp(TRUNK));
    let invite = world.last("INVITE");
    assert_eq!((invite.by, invite.to.as_str()), (Transport::Udp, TRUNK));
    assert!(invite.header(&HeaderName::Via).starts_with("SIP/2.0/UDP "));
    assert_eq!(invite.branch(), by_connection.branch());
    assert_eq!(world.event_names(), [""; 0]);
    world.pass_ms(1_500);
    assert_eq!(log(&mut world), vec![format!("INVITE>UDP {TRUNK}"); 3]);
    world.receive(TRUNK, &response(&invite, 180, "callee", None));
    assert_eq!(world.event_names(), ["Progress 180"]);
    world
        .endpoint
        .hang_up(world.now, call, &Refusal::default())
        .unwrap();
    world.drain();
    assert_eq!(world.last("CANCEL").by, Transport::Udp);
    assert_eq!(world.endpoint.counters().fell_back_to_udp, 1);
}

/// A carrier that drops our SYN costs one caller the wait for it, and the next one nothing.
#[test]
fn a_peer_that_took_no_connection_is_not_asked_for_one_for_minutes() {
    let (mut world, call, _) = long_invite();
    world.fail(by_tcp(TRUNK));
    let long = || Dial {
        offer: Some(long_offer()),
        ..dial()
    };
    world.sent.clear();
    world.endpoint.dial(world.now, call, long()).unwrap();
    world.drain();
    let invite = world.last("INVITE");
    assert_eq!((invite.by, invite.to.as_str()), (Transport::Udp, TRUNK));
    assert!(invite.header(&HeaderName::Via).starts_with("SIP/2.0/UDP "));
    let elsewhere = Dial {
        flow: flow("10.0.0.3:5060"),
        ..long()
    };
    world.endpoint.dial(world.now, call, elsewhere).unwrap();
    world.drain();
    assert_eq!(world.last("INVITE").by, Transport::Tcp, "another peer");
    assert_eq!(world.endpoint.counters().fell_back_to_udp, 1);
    let refusal = Refusal::default();
    world.endpoint.hang_up(world.now, call, &refusal).unwrap();
    world.drain();
    world.pass(crate::limits::NO_TCP_FOR);
    let (call, ..) = world.offered("later");
    world.endpoint.dial(world.now, call, long()).unwrap();
    world.drain();
    assert_eq!(world.last("INVITE").by, Transport::Tcp);
}

#[test]
fn a_long_request_that_fails_by_both_is_an_attempt_that_failed() {
    let (mut world, ..) = long_invite();
    world.fail(by_tcp(TRUNK));
    world.fail(flow(TRUNK));
    assert_eq!(world.event_names(), ["AttemptFailed TransportFailed"]);
}

/// RFC 3261 §12.2.1.1, §19.1.1: `transport` of the peer's Contact counts.
#[test]
fn a_contact_with_transport_tcp_is_reached_by_tcp() {
    let mut world = World::new();
    let (call, ..) = world.offered("contact");
    world.dial(call);
    let invite = world.last("INVITE");
    world.receive(
        TRUNK,
        &over_tcp(&response(&invite, 200, "callee", Some(SDP))),
    );
    let ack = world.last("ACK");
    assert_eq!((ack.by, ack.to.as_str()), (Transport::Tcp, TRUNK));
    assert!(ack.header(&HeaderName::Via).starts_with("SIP/2.0/TCP "));
}

/// RFC 3261 §16.12.1.1: so does that of the first Route.
#[test]
fn a_route_with_transport_tcp_is_reached_by_tcp() {
    let mut world = World::new();
    let (call, ..) = world.offered("route");
    world.dial(call);
    let invite = world.last("INVITE");
    let route = "Record-Route: <sip:10.0.0.7:5070;transport=tcp;lr>\r\n";
    world.receive(
        TRUNK,
        &response_with(&invite, 200, "callee", route, Some(SDP)),
    );
    let ack = world.last("ACK");
    assert_eq!((ack.by, ack.to.as_str()), (Transport::Tcp, "10.0.0.7:5070"));
}
