//! REGISTER in both directions.

use std::time::Duration;

use super::world::*;
use crate::auth::Algorithm;
use crate::auth::server::Nonces;
use crate::error::CommandError;
use crate::event::{
    Credentials, Event, Input, Register, RegisterKey, RegisterOffered, RegisterOutcome,
    RegisterRequestKey,
};
use crate::message::{HeaderName, Method, StatusCode, Uri};

const CHALLENGE: &str =
    "WWW-Authenticate: Digest realm=\"trunk\", nonce=\"n1\", qop=\"auth\", algorithm=MD5\r\n";

pub(super) fn asked() -> Register {
    Register {
        flow: flow(TRUNK),
        registrar: Uri::parse(b"sip:trunk.example").unwrap(),
        aor: Uri::parse(b"sip:4930100@trunk.example").unwrap(),
        contact_user: "4930100".into(),
        expires: Duration::from_secs(3_600),
        credentials: Some(Credentials {
            username: "u".into(),
            password: "secret".into(),
            realm: None,
        }),
        timeout: Duration::from_secs(32),
    }
}

fn register(world: &mut World) -> (RegisterKey, Sent) {
    let key = world.endpoint.register(world.now, asked()).unwrap();
    world.drain();
    (key, world.last("REGISTER"))
}

fn outcome(world: &mut World) -> RegisterOutcome {
    let mut outcomes = world.take_events().into_iter().filter_map(|event| {
        if let Event::RegisterEnded { outcome, .. } = event {
            Some(outcome)
        } else {
            None
        }
    });
    let found = outcomes.next().expect("it ended");
    assert_eq!(outcomes.next(), None, "and once");
    found
}

fn registered(expires_s: u64) -> RegisterOutcome {
    RegisterOutcome::Registered {
        expires: Duration::from_secs(expires_s),
        service_route: Vec::new(),
    }
}

/// RFC 3261 §10.2, RFC 3608: the whole life of one registration.
#[test]
fn a_registration_is_challenged_made_refreshed_and_taken_back() {
    let mut world = World::new();
    let (key, first) = register(&mut world);
    assert!(
        first
            .text
            .starts_with("REGISTER sip:trunk.example SIP/2.0\r\n")
    );
    assert_eq!(first.header(&HeaderName::To), "<sip:4930100@trunk.example>");
    assert_eq!(
        first.header(&HeaderName::Contact),
        format!("<sip:4930100@{OURS}>;expires=3600")
    );
    world.receive(TRUNK, &response_with(&first, 401, "t", CHALLENGE, None));
    let second = world.last("REGISTER");
    let header = second.header(&HeaderName::Authorization);
    assert!(header.contains("uri=\"sip:trunk.example\"") && header.contains("nc=00000001"));
    assert!(!header.contains("secret"));
    let routes = format!(
        "Contact: <sip:4930100@{OURS}>;expires=1800\r\nExpires: 60\r\n\
         Service-Route: <sip:edge.example;lr>, <sip:core.example;lr>\r\n"
    );
    let ok = response_with(&second, 200, "t", &routes, None)
        .replace("Contact: <sip:callee@10.0.0.2:5060>\r\n", "");
    world.receive(TRUNK, &ok);
    let found = outcome(&mut world);
    let RegisterOutcome::Registered {
        expires,
        service_route,
    } = found
    else {
        panic!("{found:?}")
    };
    assert_eq!(expires, Duration::from_secs(1_800), "as our Contact says");
    assert_eq!(
        service_route,
        [
            b"<sip:edge.example;lr>".as_slice().into(),
            b"<sip:core.example;lr>".as_slice().into()
        ] as [Box<[u8]>; 2]
    );
    for (expires, step) in [(3_600_u64, 1), (0, 2)] {
        world
            .endpoint
            .refresh_register(world.now, key, Duration::from_secs(expires))
            .unwrap();
        world.drain();
        let again = world.last("REGISTER");
        assert_eq!(
            again.header(&HeaderName::CallId),
            first.header(&HeaderName::CallId)
        );
        assert_eq!(
            again.header(&HeaderName::From),
            first.header(&HeaderName::From)
        );
        assert_eq!(again.cseq(), second.cseq() + step);
        let contact = again.header(&HeaderName::Contact);
        assert!(
            contact.ends_with(&format!(";expires={expires}")),
            "{contact}"
        );
        let busy = world
            .endpoint
            .refresh_register(world.now, key, Duration::ZERO);
        assert_eq!(busy, Err(CommandError::ExchangePending));
        world.receive(TRUNK, &response(&again, 200, "t", None));
        assert_eq!(outcome(&mut world), registered(expires));
    }
    world.endpoint.forget_register(key).unwrap();
    assert_eq!(
        world.endpoint.forget_register(key),
        Err(CommandError::NoSuchRegister)
    );
    let gone = world
        .endpoint
        .refresh_register(world.now, key, Duration::ZERO);
    assert_eq!(gone, Err(CommandError::NoSuchRegister));
    world.assert_quiescent();
}

#[test]
fn a_second_challenge_is_answered_only_where_the_first_was_stale() {
    for (stale, answered) in [("", false), (", stale=true", true)] {
        let mut world = World::new();
        let (_, first) = register(&mut world);
        world.receive(TRUNK, &response_with(&first, 401, "t", CHALLENGE, None));
        let second = world.last("REGISTER");
        let again = CHALLENGE.replace("\"n1\"", &format!("\"n2\"{stale}"));
        world.receive(TRUNK, &response_with(&second, 401, "t", &again, None));
        if answered {
            let third = world.last("REGISTER");
            assert!(
                third
                    .header(&HeaderName::Authorization)
                    .contains("nonce=\"n2\"")
            );
            world.receive(TRUNK, &response_with(&third, 401, "t", &again, None));
        }
        let refused = RegisterOutcome::Refused(StatusCode::UNAUTHORIZED, None);
        assert_eq!(outcome(&mut world), refused, "and never a third time");
        world.assert_quiescent();
    }
}

/// RFC 3261 §10.2.8.
#[test]
fn an_interval_too_brief_is_made_longer_once() {
    let mut world = World::new();
    let (_, first) = register(&mut world);
    let longer = "Min-Expires: 7200\r\n";
    world.receive(TRUNK, &response_with(&first, 423, "t", longer, None));
    let second = world.last("REGISTER");
    assert!(
        second
            .header(&HeaderName::Contact)
            .ends_with(";expires=7200")
    );
    assert_eq!(second.header(&HeaderName::Expires), "7200");
    world.receive(
        TRUNK,
        &response_with(&second, 423, "t", "Min-Expires: 9000\r\n", None),
    );
    let refused = RegisterOutcome::Refused(StatusCode::INTERVAL_TOO_BRIEF, None);
    assert_eq!(outcome(&mut world), refused);
    // What does not help is not followed: no value, a lower one, one beyond reason.
    for header in [
        "",
        "Min-Expires: 60\r\n",
        "Min-Expires: 4294967295\r\n",
        "Min-Expires: x\r\n",
    ] {
        let (_, first) = register(&mut world);
        world.receive(TRUNK, &response_with(&first, 423, "t", header, None));
        assert_eq!(outcome(&mut world), refused, "{header}");
    }
    world.assert_quiescent();
}

/// Also a 401 without a challenge (Janus 2419), and a challenge that cannot be answered.
#[test]
fn a_refusal_is_reported_with_its_retry_after() {
    for (status, headers, wait) in [
        (403, "", None),
        (503, "Retry-After: 120 (later);duration=60\r\n", Some(120)),
        (401, "", None),
        (401, "WWW-Authenticate: NTLM\r\n", None),
        (407, CHALLENGE, None),
        (302, "Contact: <sip:evil@192.0.2.66>\r\n", None),
    ] {
        let mut world = World::new();
        let (_, first) = register(&mut world);
        world.receive(TRUNK, &response_with(&first, status, "t", headers, None));
        let status = StatusCode::new(status).unwrap();
        let refused = RegisterOutcome::Refused(status, wait.map(Duration::from_secs));
        assert_eq!(outcome(&mut world), refused);
        assert_eq!(world.log(), ["REGISTER>trunk"], "nothing is sent elsewhere");
        world.assert_quiescent();
    }
}

#[test]
fn silence_and_a_dead_transport_end_a_registration() {
    let mut world = World::new();
    register(&mut world);
    world.pass_ms(32_000);
    assert_eq!(outcome(&mut world), RegisterOutcome::NoResponse);
    let (_, late) = register(&mut world);
    let flow = flow(TRUNK);
    world
        .endpoint
        .handle_input(world.now, Input::TransportFailed { flow });
    world.drain();
    assert_eq!(outcome(&mut world), RegisterOutcome::TransportFailed);
    world.receive(TRUNK, &response(&late, 200, "t", None));
    assert_eq!(world.event_names(), ["Dropped stray_response"]);
    // A time shorter than the transaction's.
    let brief = Register {
        timeout: Duration::from_secs(4),
        ..asked()
    };
    world.endpoint.register(world.now, brief).unwrap();
    world.drain();
    world.pass_ms(4_000);
    assert_eq!(outcome(&mut world), RegisterOutcome::NoResponse);
    world.assert_quiescent();
}

#[test]
fn what_is_granted_is_read_from_our_contact_then_from_expires() {
    let ours = format!("<sip:4930100@{OURS}>");
    for (headers, granted) in [
        (format!("Contact: {ours};expires=100\r\n"), 100),
        (
            format!("Contact: <sip:x@192.0.2.7>;expires=5, {ours};expires=100\r\n"),
            100,
        ),
        (
            "Contact: <sip:4930100@198.51.100.7:31000>;expires=60\r\n".into(),
            60,
        ),
        (
            "Contact: <sip:x@192.0.2.7>;expires=5, <sip:y@192.0.2.8>;expires=6\r\nExpires: 70\r\n"
                .into(),
            70,
        ),
        (format!("Contact: {ours};expires=-1\r\nExpires: 80\r\n"), 80),
        (String::new(), 3_600),
    ] {
        let mut world = World::new();
        let (_, sent) = register(&mut world);
        let ok = response_with(&sent, 200, "t", &headers, None)
            .replace("Contact: <sip:callee@10.0.0.2:5060>\r\n", "");
        world.receive(TRUNK, &ok);
        assert_eq!(outcome(&mut world), registered(granted), "{headers}");
    }
}

fn taking() -> World {
    World::allowing(Method::Register)
}

fn registering(contact: &str, extra: &str) -> String {
    let aor = "<sip:100@sluice.example>";
    let text = request(
        "REGISTER",
        CALLER,
        &format!("{aor};tag=r"),
        aor,
        "reg1",
        7,
        "reg1",
        "",
    );
    text.replace(
        &format!("Contact: <sip:peer@{CALLER}>\r\n"),
        &format!("{contact}{extra}"),
    )
}

fn offered(world: &mut World) -> (RegisterRequestKey, Box<RegisterOffered>) {
    let found = world.take_events().into_iter().find_map(|event| {
        if let Event::RegisterOffered { request, offered } = event {
            Some((request, offered))
        } else {
            None
        }
    });
    found.expect("it is offered")
}

#[test]
fn a_register_is_handed_out_and_answered_with_the_registrar_s_headers() {
    let mut world = taking();
    let contact = "Contact: \"A\" <sip:100@10.0.0.1:5062;transport=udp>;expires=600;q=0.7, \
                   <sip:100@10.0.0.7>\r\n";
    let extra = "Expires: 300\r\nUser-Agent: Phone\r\nPath: <sip:proxy.example;lr>\r\n";
    let text = registering(contact, extra);
    world.receive(CALLER, &text);
    world.receive(CALLER, &text);
    let (request, offered) = offered(&mut world);
    assert_eq!(world.log(), [""; 0], "the repetition waits too");
    assert_eq!(offered.aor.as_str(), "sip:100@sluice.example");
    assert_eq!((offered.cseq, &*offered.call_id), (7, &b"reg1"[..]));
    assert_eq!((offered.star, offered.expires), (false, Some(300)));
    let [one, two] = &offered.contacts[..] else {
        panic!("two contacts")
    };
    assert_eq!((one.expires, one.preference), (Some(600), 700));
    assert_eq!((two.expires, two.preference), (None, 1_000));
    assert_eq!(one.uri.as_str(), "sip:100@10.0.0.1:5062;transport=udp");
    assert_eq!(offered.headers.len(), 1);
    let headers = [(
        HeaderName::Contact,
        b"<sip:100@10.0.0.1:5062>;expires=600".as_slice().into(),
    )];
    world
        .endpoint
        .answer_register(world.now, request, StatusCode::OK, &headers)
        .unwrap();
    world.drain();
    let ok = world.last("200");
    assert_eq!(ok.to, CALLER);
    assert!(!ok.to_tag().is_empty());
    assert_eq!(
        ok.header(&HeaderName::Contact),
        "<sip:100@10.0.0.1:5062>;expires=600"
    );
    assert_eq!(
        ok.parsed().value(&HeaderName::Path),
        None,
        "RFC 3327 is not supported"
    );
    world.receive(CALLER, &text);
    assert_eq!(world.log(), ["200>caller", "200>caller"]);
    let again = world
        .endpoint
        .answer_register(world.now, request, StatusCode::OK, &[]);
    assert_eq!(again, Err(CommandError::NothingToAnswer));
    world.assert_quiescent();
}

/// RFC 3261 §10.3 step 6.
#[test]
fn a_star_needs_an_expires_of_zero_and_stands_alone() {
    for (contact, extra, taken) in [
        ("Contact: *\r\n", "Expires: 0\r\n", true),
        ("Contact: *\r\n", "Expires: 60\r\n", false),
        ("Contact: *\r\n", "", false),
        ("Contact: *, <sip:a@b>\r\n", "Expires: 0\r\n", false),
        ("", "", true),
    ] {
        let mut world = taking();
        world.receive(CALLER, &registering(contact, extra));
        if taken {
            let (request, offered) = offered(&mut world);
            assert_eq!(offered.star, contact.contains('*'));
            let status = StatusCode::OK;
            world
                .endpoint
                .answer_register(world.now, request, status, &[])
                .unwrap();
            world.drain();
        } else {
            assert_eq!(world.event_names(), ["Dropped register_contacts"]);
            assert_eq!(world.log(), ["400>caller"]);
        }
        world.assert_quiescent();
    }
    let many = vec!["<sip:a@b>"; crate::limits::REGISTERED_CONTACTS_MAX + 1].join(", ");
    let mut world = taking();
    world.receive(CALLER, &registering(&format!("Contact: {many}\r\n"), ""));
    assert_eq!(world.event_names(), ["Dropped register_contacts"]);
}

/// With a digest, from challenge to 200, as the registrar outside does it.
#[test]
fn an_extension_registers_by_digest_and_a_challenge_keeps_no_state() {
    let mut world = taking();
    let mut nonces = Nonces::new([3; 32]);
    let contact = "Contact: <sip:100@10.0.0.1>\r\n";
    world.receive(CALLER, &registering(contact, ""));
    let (request, first) = offered(&mut world);
    assert!(first.authorization.is_empty());
    let challenge = nonces.challenge(0, "sluice", Algorithm::Sha256, false);
    let headers = [(HeaderName::WwwAuthenticate, challenge)];
    world
        .endpoint
        .answer_register(world.now, request, StatusCode::UNAUTHORIZED, &headers)
        .unwrap();
    world.drain();
    let refusal = world.last("401");
    assert!(world.endpoint.is_idle(), "a challenge costs no memory");
    let message = refusal.parsed();
    let challenges = crate::auth::challenges(&message);
    let answering = crate::auth::Answering {
        username: "100",
        password: "pass",
        method: &Method::Register,
        uri: "sip:link@10.0.0.9:5060",
        cnonce: "c",
        nonce_count: 1,
    };
    let mut buffer = crate::message::SendBuffer::new();
    crate::auth::write_authorization(&challenges[0], &answering, &mut buffer);
    let value = String::from_utf8(buffer.as_bytes().to_vec()).unwrap();
    let text = registering(contact, &format!("Authorization: {value}\r\n"))
        .replace("CSeq: 7", "CSeq: 8")
        .replace("z9hG4bKreg1", "z9hG4bKreg2");
    world.receive(CALLER, &text);
    let (request, second) = offered(&mut world);
    let secret =
        |user: &str, algorithm: Algorithm| Some(algorithm.secret_of(user, "sluice", "pass"));
    let is_asked = |uri: &[u8]| !uri.is_empty();
    let answer = &second.authorization[0];
    let user = nonces.check(1, answer, &Method::Register, &is_asked, &secret);
    assert_eq!(user.as_deref(), Ok("100"));
    world
        .endpoint
        .answer_register(world.now, request, StatusCode::OK, &[])
        .unwrap();
    world.drain();
    world.assert_quiescent();
}

#[test]
fn a_register_that_nobody_answers_is_forgotten_and_a_flood_meets_the_bound() {
    let mut world = taking();
    for number in 0..crate::limits::REGISTER_REQUESTS_MAX + 5 {
        let text = registering("", "").replace("reg1", &format!("reg{number}x"));
        world.receive(CALLER, &text);
    }
    let counters = world.endpoint.counters();
    assert!(counters.dropped("registers_full") + counters.dropped("transactions_full") >= 5);
    let refused = world.last("503").header(&HeaderName::RetryAfter);
    assert!(
        (2..=5).contains(&refused.parse::<u32>().unwrap()),
        "{refused}"
    );
    world.pass_ms(32_000);
    assert!(world.endpoint.counters().dropped("register_unanswered") > 0);
    world.assert_quiescent();
}
