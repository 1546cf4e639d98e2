//! What must not cross, and to whom nothing may be told (reliability §5 groups 2, 4 and 8).

use super::world::*;
use crate::event::{Credentials, Event};
use crate::message::HeaderName;

const OTHER_REALM: &str = "Digest realm=\"other-trunk\", nonce=\"n\", qop=\"auth\"";
const OUR_REALM: &str = "Digest realm=\"trunk\", nonce=\"n\", qop=\"auth\"";

fn credentials(realm: Option<&str>) -> Credentials {
    Credentials {
        username: "account".into(),
        password: "secret".into(),
        realm: realm.map(Into::into),
    }
}

fn challenge(status: u16, value: &str) -> String {
    let name = if status == 407 { "Proxy" } else { "WWW" };
    format!("{name}-Authenticate: {value}\r\n")
}

fn has_credentials(sent: &[Sent]) -> bool {
    sent.iter()
        .any(|sent| sent.text.contains("account") || sent.text.contains("Digest"))
}

/// CVE-2021-41158: a callee's challenge for another realm gets nothing.
#[test]
fn a_challenge_for_another_realm_never_gets_credentials() {
    for status in [401, 407] {
        let mut world = World::new();
        let (call, ..) = world.offered("leak");
        world.dial_with(call, Some(credentials(Some("trunk"))));
        let invite = world.last("INVITE");
        world.sent.clear();
        let headers = challenge(status, OTHER_REALM);
        world.receive(TRUNK, &response_with(&invite, status, "x", &headers, None));
        assert_eq!(world.log(), ["ACK>trunk"]);
        assert_eq!(
            world.event_names(),
            [format!("AttemptFailed Refused({status})")]
        );
        world.hang_up(call);
        world.assert_quiescent();
    }
}

/// Without a realm in the settings the first one that is answered is the only one, in BYE too.
#[test]
fn a_second_realm_within_the_dialog_gets_nothing() {
    for status in [401, 407] {
        let mut world = World::new();
        let (call, ..) = world.offered("second");
        world.dial_with(call, Some(credentials(None)));
        let invite = world.last("INVITE");
        world.receive(
            TRUNK,
            &response_with(&invite, 407, "x", &challenge(407, OUR_REALM), None),
        );
        let again = world.last("INVITE");
        assert!(again.text.contains("realm=\"trunk\""));
        world.receive(TRUNK, &response(&again, 200, "callee", Some(SDP)));
        world.hang_up(call);
        let bye = world.last("BYE");
        world.sent.clear();
        let headers = challenge(status, OTHER_REALM);
        world.receive(
            TRUNK,
            &response_with(&bye, status, "callee", &headers, None),
        );
        assert!(!has_credentials(&world.take_sent()), "{status}");
        world.assert_quiescent();
    }
}

/// The callee's Contact leads elsewhere: whoever is there is not the trunk, and challenges in vain.
#[test]
fn a_contact_elsewhere_never_gets_credentials() {
    const ELSEWHERE: &str = "192.0.2.66:5060";
    let mut world = World::new();
    let (call, ..) = world.offered("elsewhere");
    let b_leg = world.dial_with(call, Some(credentials(Some("trunk"))));
    let invite = world.last("INVITE");
    let ok = response(&invite, 200, "callee", Some(SDP)).replace(
        &format!("sip:callee@{TRUNK}"),
        &format!("sip:callee@{ELSEWHERE}"),
    );
    world.receive(TRUNK, &ok);
    world
        .endpoint
        .reoffer(world.now, call, b_leg, &sdp())
        .unwrap();
    world.drain();
    let reinvite = world.last("INVITE");
    assert_eq!(reinvite.to, ELSEWHERE);
    let headers = challenge(401, OUR_REALM);
    world.receive(
        ELSEWHERE,
        &response_with(&reinvite, 401, "callee", &headers, None),
    );
    world.hang_up(call);
    let bye = world.last("BYE");
    assert_eq!(bye.to, ELSEWHERE);
    world.receive(
        ELSEWHERE,
        &response_with(&bye, 401, "callee", &headers, None),
    );
    assert!(!has_credentials(&world.take_sent()));
    world.assert_quiescent();
}

/// Headers of the caller reach call control where they are known, and the callee never by themselves
/// (CVE-2020-28361): blank before the colon, compact forms, folds, repetitions, headers in URIs.
#[test]
fn no_header_of_the_caller_crosses_by_itself() {
    let evil = "X-Account: 1\r\n x-account : 2\r\nX-ACCOUNT\t: 3\r\n\
                P-Asserted-Identity: <sip:boss@evil>\r\nP-Asserted-Identity : <sip:boss@evil>\r\n\
                Diversion: <sip:evil@evil>;reason=\"x\r\n y\"\r\ny: evil\r\nIdentity: evil\r\n\
                b: <sip:evil@evil?X-Account=4>\r\nRemote-Party-ID: <sip:evil@evil>\r\n";
    let text = with_headers(&invite("smuggle"), evil).replace(
        &format!("Contact: <sip:peer@{CALLER}>"),
        &format!("Contact: <sip:peer@{CALLER}?P-Asserted-Identity=evil&X-Account=5>"),
    );
    let mut world = World::new();
    world.receive(CALLER, &text);
    let Some(Event::CallOffered { call, offered, .. }) = world.take_events().pop() else {
        panic!("the call is offered")
    };
    let known = [
        HeaderName::PAssertedIdentity,
        HeaderName::RemotePartyId,
        HeaderName::Diversion,
    ];
    assert!(
        offered.headers.iter().all(|(name, _)| known.contains(name)),
        "{offered:#?}"
    );
    world.dial(call);
    let out = world.last("INVITE").text.to_ascii_lowercase();
    assert!(!out.contains("evil") && !out.contains("x-account"), "{out}");
    world.answer(call, SDP);
    world.receive(CALLER, &ack(&text, &world.last("200")));
    world.sent.clear();
    world.hang_up(call);
    // Headers of a Contact's URI are no headers of a request to it.
    for sent in world.take_sent() {
        let text = sent.text.to_ascii_lowercase();
        assert!(
            !text.contains("evil") && !text.contains("x-account"),
            "{text}"
        );
    }
    world.assert_quiescent();
}

/// Identity headers of any shape are shown or left out, and nothing else happens.
#[test]
fn malformed_identity_headers_never_stop_a_call() {
    let long = "x".repeat(20_000);
    for (number, value) in [
        "",
        "<",
        ">",
        "<>",
        "<sip:",
        "\"",
        "\"\\",
        "<sip:a@b",
        "sip:",
        ",,,,",
        "<sip:a@b>,",
        "*",
        "<tel:+1;phone-context=;>",
        "\u{0}",
        "\u{7f}",
        "é <sip:a@b>",
        ";;;",
        "<sip:a@b>;party=",
        "\"a\" \"b\" <sip:a@b>",
        "<<sip:a@b>>",
        "<sip:a@b>;=;==",
        &long,
    ]
    .iter()
    .enumerate()
    {
        for name in [
            "P-Asserted-Identity",
            "Remote-Party-ID",
            "Diversion",
            "Privacy",
            "Identity",
            "P-Preferred-Identity",
            "Reason",
            "Session-Expires",
            "Min-SE",
            "Supported",
            "Authorization",
            "Proxy-Authorization",
            "User-Agent",
            "Referred-By",
            "Replaces",
        ] {
            let mut world = World::new();
            let text = with_headers(
                &invite(&format!("id{number}")),
                &format!("{name}: {value}\r\n"),
            );
            world.receive(CALLER, &text);
            let names = world.event_names();
            assert_eq!(names, ["CallOffered"], "{name}: {value:.40}");
        }
    }
}

/// CVE-2017-9372 (CSeq method), CVE-2018-7284 (50 long Accept), CVE-2018-8828 (From tag over 200),
/// CVE-2018-14767 (two To, one with an empty tag), CVE-2018-16657 (broken Via), no line ends.
#[test]
fn messages_that_felled_others_are_answered_or_dropped() {
    let long = "A".repeat(4_000);
    let accepts = format!("Accept: {long}\r\n").repeat(12);
    let change = |from: &str, to: &str| invite("cve").replace(from, to);
    for (text, outcome) in [
        (
            change("CSeq: 1 INVITE", &format!("CSeq: 1 {long}")),
            "Dropped cseq_method",
        ),
        (with_headers(&invite("cve"), &accepts), "CallOffered"),
        (
            change("tag=alice", &format!("tag={}", "t".repeat(300))),
            "CallOffered",
        ),
        (
            change("SIP/2.0/UDP 10.0.0.1:5060", "SIP/2.0/UDP"),
            "Dropped via",
        ),
        (change("branch=z9hG4bKcve", "branch="), "Dropped via"),
        (invite("cve").replace("\r\n", " "), "Dropped not_sip"),
    ] {
        let mut world = World::new();
        world.receive_unread(CALLER, &text);
        assert_eq!(
            world.event_names(),
            [outcome],
            "{}",
            text.get(..400).unwrap_or(&text)
        );
    }
    // The refusal repeats both.
    let mut world = World::new();
    let text = with_headers(&invite("cve"), "To: <sip:x@y>;tag=\r\n");
    world.receive_unread(CALLER, &text);
    assert_eq!(world.event_names(), ["Dropped to"]);
    // CVE-2026-57191, GHSA-8fj4-fv9f-hjpc: a NOTIFY of any shape is for no subscription of ours.
    for headers in [
        format!(
            "Event: message-summary\r\nMessage-Account: sip:{}@b\r\n",
            "a".repeat(600)
        ),
        "Event: refer\r\nSubscription-State: terminated;reason=noresource\r\n".into(),
        "Event:\r\nSubscription-State:\r\n".into(),
    ] {
        let mut world = World::new();
        let c = world.connected();
        let notify = c.caller_says("NOTIFY", 2, "n", "");
        world.receive(CALLER, &with_headers(&notify, &headers));
        assert_eq!(world.log(), ["481>caller"]);
        world.hang_up(c.call);
        world.assert_quiescent();
    }
}

/// RFC 3261 §8.1.3.4: an address of the peer's choice is never called (group 9: 302 to a premium
/// number, and REFER to one).
#[test]
fn a_redirection_or_a_refer_calls_nobody() {
    for status in [300, 301, 302, 305, 380] {
        let mut world = World::new();
        let (call, ..) = world.offered("redirected");
        world.dial(call);
        let sent = world.last("INVITE");
        world.sent.clear();
        let headers = "Contact: <sip:+900123@192.0.2.66>\r\n";
        world.receive(TRUNK, &response_with(&sent, status, "x", headers, None));
        assert_eq!(world.log(), ["ACK>trunk"]);
        assert_eq!(
            world.event_names(),
            [format!("AttemptFailed Refused({status})")]
        );
        world.hang_up(call);
        world.assert_quiescent();
    }
    let mut world = World::new();
    let c = world.connected();
    let refer = with_headers(
        &c.caller_says("REFER", 2, "r", ""),
        "Refer-To: <sip:+900123@evil>\r\n",
    );
    world.receive(CALLER, &refer);
    assert_eq!(world.log(), ["603>caller"]);
    assert_eq!(world.event_names(), ["Dropped refer"]);
    world.hang_up(c.call);
    world.assert_quiescent();
}

/// RFC 3326: why one side ended is told to the other.
#[test]
fn a_reason_goes_from_one_side_to_the_other() {
    for (header, cause) in [
        ("Reason: Q.850;cause=17;text=\"busy\"\r\n", Some(17)),
        ("Reason: SIP;cause=486\r\n", Some(17)),
        (
            "Reason: SIP;cause=200;text=\"Call completed elsewhere\"\r\n",
            Some(26),
        ),
        ("Reason: SIP;cause=404, Q.850;cause=34\r\n", Some(34)),
        ("Reason: q.850 ; cause = 3\r\n", Some(3)),
        ("Reason: Q.850;cause=0\r\n", None),
        ("Reason: Q.850;cause=300\r\n", None),
        ("Reason: Q.850;cause=\"16\r\n", None),
        ("Reason: preemption;cause=1\r\n", None),
        ("Reason: \r\n", None),
        ("", None),
    ] {
        let mut world = World::new();
        let c = world.connected();
        world.receive(
            CALLER,
            &with_headers(&c.caller_says("BYE", 2, "b", ""), header),
        );
        let bye = world.last("BYE").header(&HeaderName::Reason);
        let wanted = cause.map(|cause| format!("Q.850;cause={cause}"));
        assert_eq!(bye, wanted.unwrap_or_default(), "{header}");
        let reason = world.take_events().into_iter().find_map(|event| {
            if let Event::Ended { reason, .. } = event {
                Some(reason.map(|reason| reason.0))
            } else {
                None
            }
        });
        assert_eq!(reason, Some(cause), "{header}");
        world.assert_quiescent();
    }
    // CANCEL to CANCEL.
    let mut world = World::new();
    let (call, _, invite) = world.offered("cancelled");
    world.dial(call);
    let sent = world.last("INVITE");
    world.receive(TRUNK, &response(&sent, 180, "x", None));
    let reason = "Reason: SIP;cause=200;text=\"Call completed elsewhere\"\r\n";
    world.receive(CALLER, &with_headers(&cancel(&invite), reason));
    assert_eq!(
        world.last("CANCEL").header(&HeaderName::Reason),
        "Q.850;cause=26"
    );
    world.assert_quiescent();
    // A failure names its cause to call control.
    let mut world = World::new();
    let (call, ..) = world.offered("failed");
    world.dial(call);
    let sent = world.last("INVITE");
    world.receive(
        TRUNK,
        &response_with(&sent, 503, "x", "Reason: Q.850;cause=34\r\n", None),
    );
    let reason = world.take_events().into_iter().find_map(|event| {
        if let Event::AttemptFailed { reason, .. } = event {
            reason
        } else {
            None
        }
    });
    assert_eq!(reason.map(|reason| reason.0), Some(34));
    world.hang_up(call);
    world.assert_quiescent();
}

/// Our refusal can carry a challenge; a BYE never does.
#[test]
fn a_refusal_carries_the_headers_it_was_given() {
    let mut world = World::new();
    let (call, ..) = world.offered("challenged");
    let refusal = crate::event::Refusal {
        headers: vec![(HeaderName::WwwAuthenticate, OUR_REALM.as_bytes().into())],
        ..Default::default()
    };
    let status = crate::message::StatusCode::UNAUTHORIZED;
    world
        .endpoint
        .refuse(world.now, call, status, &refusal)
        .unwrap();
    world.drain();
    assert_eq!(
        world.last("401").header(&HeaderName::WwwAuthenticate),
        OUR_REALM
    );
    let c = world.connected();
    world.endpoint.hang_up(world.now, c.call, &refusal).unwrap();
    world.drain();
    assert_eq!(world.last("BYE").header(&HeaderName::WwwAuthenticate), "");
    world.assert_quiescent();
}

#[test]
fn the_credentials_of_a_request_are_shown_to_call_control() {
    let mut world = World::new();
    let extra = format!(
        "Authorization: {OUR_REALM}\r\nProxy-Authorization: Digest x=y\r\n{}Authorization: {}\r\n",
        "Authorization: Digest z=z\r\n".repeat(9),
        "x".repeat(2_000)
    );
    world.receive(CALLER, &with_headers(&invite("auth"), &extra));
    let Some(Event::CallOffered { offered, .. }) = world.take_events().pop() else {
        panic!("the call is offered")
    };
    assert_eq!(
        offered.authorization.len(),
        crate::limits::AUTHORIZATIONS_MAX
    );
    assert_eq!(*offered.authorization[0], *OUR_REALM.as_bytes());
}
