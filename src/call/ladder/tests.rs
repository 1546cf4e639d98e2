//! Claims about ladders.

use super::*;

const PEER: &str = "192.0.2.1:5060";

fn message(method: &str, call_id: &str, padding: usize) -> Vec<u8> {
    let padding = "x".repeat(padding);
    format!("{method} sip:x SIP/2.0\r\nVia: v\r\nCall-ID: {call_id}\r\nX: {padding}\r\n\r\n")
        .into_bytes()
}

fn note(ladders: &mut Ladders, way: Way, octets: &[u8], began: Option<u64>) {
    let peer = PEER.parse().unwrap();
    ladders.note(Timestamp::UNIX_EPOCH, peer, way, octets, began);
    ladders.check_invariants();
}

fn id(number: u64) -> String {
    format!("{number:032x}")
}

fn shown(ladders: &Ladders, number: u64) -> Vec<String> {
    let view = ladders.show(&id(number));
    let messages = view.map(|view| view.messages).unwrap_or_default();
    let start = |message: &LadderMessage| {
        let text = message.redacted();
        text.split(' ').next().unwrap().to_owned()
    };
    messages.iter().map(start).collect()
}

#[test]
fn messages_go_to_their_call_from_the_first_one_on() {
    let mut ladders = Ladders::new(TOTAL_OCTETS_MAX, [1; 32]);
    note(
        &mut ladders,
        Way::Received,
        &message("INVITE", "a1", 0),
        None,
    );
    note(
        &mut ladders,
        Way::Received,
        &message("OPTIONS", "p", 0),
        None,
    );
    ladders.begin(1, &id(1));
    ladders.claim(1, b"a1");
    note(
        &mut ladders,
        Way::Sent,
        &message("INVITE", "b1", 0),
        Some(1),
    );
    note(
        &mut ladders,
        Way::Received,
        b"SIP/2.0 200 OK\r\ni:  b1 \r\n\r\n",
        None,
    );
    ladders.turn();
    note(&mut ladders, Way::Received, &message("BYE", "a1", 0), None);
    note(
        &mut ladders,
        Way::Received,
        &message("BYE", "other", 0),
        None,
    );
    assert_eq!(shown(&ladders, 1), ["INVITE", "INVITE", "SIP/2.0", "BYE"]);
    assert_eq!(shown(&ladders, 2), [""; 0]);
}

#[test]
fn one_call_keeps_its_latest_messages() {
    let mut ladders = Ladders::new(TOTAL_OCTETS_MAX, [1; 32]);
    ladders.begin(1, &id(1));
    ladders.claim(1, b"a");
    for _ in 0..=MESSAGES_MAX {
        note(&mut ladders, Way::Sent, &message("INFO", "a", 0), None);
    }
    assert_eq!(shown(&ladders, 1).len(), MESSAGES_MAX);
    for _ in 0..20 {
        note(&mut ladders, Way::Sent, &message("BYE", "a", 9_000), None);
    }
    let view = ladders.show(&id(1)).unwrap();
    assert!(view.messages.iter().all(|message| message.is_cut()));
    assert_eq!(view.messages.len(), 8, "64 KiB of 8 KiB each");
    assert!(view.dropped > 100);
}

#[test]
fn whatever_comes_the_total_is_bounded_and_calls_that_are_over_go_first() {
    let now = Instant::now();
    let mut ladders = Ladders::new(TOTAL_OCTETS_MAX, [1; 32]);
    let calls = 300;
    for age in 1..=calls {
        ladders.begin(age, &id(age));
        ladders.claim(age, age.to_string().as_bytes());
        for _ in 0..8 {
            let octets = message("INFO", &age.to_string(), 8_000);
            let peer = PEER.parse().unwrap();
            ladders.note(Timestamp::UNIX_EPOCH, peer, Way::Sent, &octets, None);
        }
        if age % 2 == 0 {
            ladders.end(age, now);
        }
    }
    ladders.check_invariants();
    assert!(ladders.octets() > TOTAL_OCTETS_MAX - CALL_OCTETS_MAX);
    assert_eq!(shown(&ladders, 2), [""; 0], "over, and the first to go");
    assert!(!shown(&ladders, 1).is_empty(), "up");
}

#[test]
fn messages_are_kept_a_while_after_the_end() {
    let now = Instant::now();
    let mut ladders = Ladders::new(TOTAL_OCTETS_MAX, [1; 32]);
    ladders.begin(1, &id(1));
    ladders.claim(1, b"a");
    note(&mut ladders, Way::Received, &message("BYE", "a", 0), None);
    ladders.end(1, now);
    assert_eq!(shown(&ladders, 1), ["BYE"]);
    ladders.begin(2, &id(2));
    ladders.end(2, now + LIFE);
    assert_eq!(shown(&ladders, 1), [""; 0]);
    ladders.check_invariants();
    ladders.end(3, now + LIFE + LIFE);
    assert!(ladders.by_call_id.is_empty() && ladders.octets() == 0);
}

#[test]
fn switched_off_it_keeps_nothing() {
    let mut ladders = Ladders::new(0, [1; 32]);
    ladders.begin(1, &id(1));
    ladders.claim(1, b"a");
    note(
        &mut ladders,
        Way::Received,
        &message("INVITE", "a", 0),
        None,
    );
    assert!(ladders.show(&id(1)).is_none());
    assert_eq!(ladders.octets(), 0);
}

#[test]
fn call_id_is_found_in_both_forms_and_in_no_body() {
    for (text, found) in [
        ("INVITE x SIP/2.0\r\nCall-ID: a@b\r\n\r\n", Some("a@b")),
        ("INVITE x SIP/2.0\r\nCSeq: 1\r\ni :a\r\n\r\n", Some("a")),
        ("INVITE x SIP/2.0\r\n\r\ni: a\r\n", None),
        ("INVITE x SIP/2.0\nCALL-id:a\n\n", Some("a")),
        ("", None),
        ("i: a", None),
    ] {
        assert_eq!(call_id(text.as_bytes()), found.map(str::as_bytes), "{text}");
    }
}

#[test]
fn what_must_not_be_seen_is_masked() {
    let mut ladders = Ladders::new(TOTAL_OCTETS_MAX, [1; 32]);
    ladders.begin(1, &id(1));
    ladders.claim(1, b"a");
    let secret = "INVITE sip:x SIP/2.0\r\nCall-ID: a\r\nProxy-Authorization: Digest \
                  username=\"u\", nonce=\"n0nce\", response=\"c0ffee\"\r\nContent-Type: \
                  application/sdp\r\n\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:k3y\r\n";
    note(&mut ladders, Way::Sent, secret.as_bytes(), None);
    let info = "INFO sip:x SIP/2.0\r\nCall-ID: a\r\nContent-Type: application/dtmf-relay\r\n\r\n\
                Signal=7\r\nDuration=160\r\n";
    note(&mut ladders, Way::Received, info.as_bytes(), None);
    let view = ladders.show(&id(1)).unwrap();
    let text: String = view.messages.iter().map(LadderMessage::redacted).collect();
    for hidden in ["n0nce", "c0ffee", "k3y", "Signal=7"] {
        assert!(!text.contains(hidden), "{hidden} in {text}");
    }
    assert!(text.contains("INVITE sip:x SIP/2.0"));
}
