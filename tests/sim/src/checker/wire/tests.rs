//! The wire checker must be able to fail: each rule with a message that breaks it.

use super::*;

const PEER: ([u8; 4], u16) = ([10, 1, 0, 1], 5060);

fn request(method: &str, branch: &str, number: u32, body: &str) -> Text {
    Text {
        start: format!("{method} sip:d1@10.2.0.1 SIP/2.0"),
        headers: Vec::new(),
        body: body.to_owned(),
    }
    .with(
        "Via",
        format!("SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK{branch}"),
    )
    .with("Max-Forwards", "69")
    .with("From", "<sip:g@10.0.0.1>;tag=ours")
    .with("To", "<sip:d1@10.2.0.1>")
    .with("Call-ID", "c1")
    .with("CSeq", format!("{number} {method}"))
    .with("Contact", "<sip:g@10.0.0.1>")
}

fn response(to: &Text, status: u16, tag: &str, body: &str) -> Text {
    crate::peer::response::build(to, status, tag, "<sip:p@10.1.0.1>", body.to_owned())
}

fn sends(wire: &mut Wire, at: u64, message: &Text) -> Result<(), String> {
    let now = SimTime::ZERO + Duration::from_millis(at);
    wire.sends(now, PEER.into(), &message.encode())
        .map_err(|violation| violation.text)
}

fn refused(outcome: Result<(), String>, expected: &str) {
    let text = outcome.expect_err(expected);
    assert!(text.contains(expected), "{text}");
}

fn session(version: u64, port: u16) -> String {
    Session {
        version,
        rtp: SocketAddr::from(([10, 0, 0, 1], port)),
        payloads: vec![8],
        direction: crate::peer::session::Direction::SendReceive,
        video: None,
        protection: crate::peer::keys::Protection::default(),
    }
    .write()
}

#[test]
fn a_retransmission_must_be_the_same_octets_and_end_in_time() {
    let mut wire = Wire::default();
    let invite = request("INVITE", "a", 1, "");
    sends(&mut wire, 0, &invite).unwrap();
    sends(&mut wire, 500, &invite).unwrap();
    refused(
        sends(&mut wire, 600, &request("INVITE", "a", 1, &session(1, 10))),
        "other octets",
    );
    refused(sends(&mut wire, 40_000, &invite), "after more than 64·T1");
    wire.arrived(SimTime::ZERO, PEER.into(), &response(&invite, 180, "t", ""));
    refused(sends(&mut wire, 700, &invite), "after a provisional");
}

#[test]
fn cancel_must_wait_for_a_provisional_and_not_follow_a_final_response() {
    let mut wire = Wire::default();
    let (invite, cancel) = (request("INVITE", "a", 1, ""), request("CANCEL", "a", 1, ""));
    refused(sends(&mut wire, 0, &cancel), "for no INVITE");
    sends(&mut wire, 0, &invite).unwrap();
    refused(sends(&mut wire, 0, &cancel), "before any provisional");
    wire.arrived(SimTime::ZERO, PEER.into(), &response(&invite, 180, "t", ""));
    sends(&mut wire, 1, &cancel).unwrap();
    wire.arrived(SimTime::ZERO, PEER.into(), &response(&invite, 486, "t", ""));
    let mut wire_after = Wire::default();
    sends(&mut wire_after, 0, &invite).unwrap();
    wire_after.arrived(SimTime::ZERO, PEER.into(), &response(&invite, 180, "t", ""));
    wire_after.arrived(SimTime::ZERO, PEER.into(), &response(&invite, 200, "t", ""));
    refused(
        sends(&mut wire_after, 2, &cancel),
        "after the final response",
    );
}

#[test]
fn cseq_rises_and_bye_is_sent_once() {
    let mut wire = Wire::default();
    sends(&mut wire, 0, &request("BYE", "a", 2, "")).unwrap();
    refused(
        sends(&mut wire, 0, &request("BYE", "b", 2, "")),
        "CSeq 2 after 2",
    );
    refused(
        sends(&mut wire, 0, &request("BYE", "c", 3, "")),
        "second BYE",
    );
}

#[test]
fn a_second_invite_waits_for_the_first() {
    let mut wire = Wire::default();
    sends(&mut wire, 0, &request("INVITE", "a", 1, "")).unwrap();
    refused(
        sends(&mut wire, 0, &request("INVITE", "b", 2, "")),
        "while another one is open",
    );
}

#[test]
fn a_final_response_is_final_and_comes_to_what_was_asked() {
    let mut wire = Wire::default();
    let invite = request("INVITE", "a", 1, "");
    let ok = response(&invite, 200, "t", &session(1, 10));
    refused(sends(&mut wire, 0, &ok), "to nothing that peer asked");
    wire.arrived(SimTime::ZERO, PEER.into(), &invite);
    refused(
        sends(&mut wire, 0, &response(&invite, 200, "t", "")),
        "without an answer or offer",
    );
    let mut wire = Wire::default();
    wire.arrived(SimTime::ZERO, PEER.into(), &invite);
    sends(&mut wire, 0, &response(&invite, 180, "t", "")).unwrap();
    refused(
        sends(&mut wire, 0, &response(&invite, 183, "u", "")),
        "two To tags",
    );
    sends(&mut wire, 0, &ok).unwrap();
    sends(&mut wire, 500, &ok).unwrap();
    refused(
        sends(
            &mut wire,
            600,
            &response(&invite, 200, "t", &session(1, 12)),
        ),
        "other octets",
    );
    refused(
        sends(&mut wire, 600, &response(&invite, 486, "t", "")),
        "after the final 200",
    );
    refused(sends(&mut wire, 40_000, &ok), "more than 64·T1");
}

/// RFC 3261 §13.2.1.
#[test]
fn another_answer_to_a_new_invite_has_a_tag_of_its_own_and_no_other_has() {
    let mut wire = Wire::default();
    let invite = request("INVITE", "a", 1, "");
    wire.arrived(SimTime::ZERO, PEER.into(), &invite);
    let early = response(&invite, 183, "t", &session(1, 10));
    sends(&mut wire, 0, &early).unwrap();
    refused(
        sends(&mut wire, 0, &response(&invite, 180, "t", &session(2, 12))),
        "two answers in one dialog",
    );
    refused(
        sends(&mut wire, 0, &response(&invite, 181, "u", &session(2, 10))),
        "two To tags",
    );
    sends(&mut wire, 0, &response(&invite, 200, "u", &session(2, 12))).unwrap();
}

#[test]
fn a_changed_session_has_the_next_version() {
    let mut dialog = Dialog::default();
    check_session(&mut dialog, &session(1, 10)).unwrap();
    check_session(&mut dialog, &session(1, 10)).unwrap();
    refused(check_session(&mut dialog, &session(1, 12)), "same version");
    check_session(&mut dialog, &session(2, 12)).unwrap();
    refused(
        check_session(&mut dialog, &session(4, 14)),
        "version 4 after 2",
    );
}

#[test]
fn what_was_asked_must_be_answered_in_the_end() {
    let mut wire = Wire::default();
    let bye = request("BYE", "a", 2, "");
    wire.arrived(SimTime::ZERO, PEER.into(), &bye);
    assert!(
        wire.finish(SimTime::ZERO + Duration::from_secs(5), |_| false)
            .is_err()
    );
    sends(&mut wire, 1, &response(&bye, 200, "t", "")).unwrap();
    wire.finish(SimTime::ZERO + Duration::from_secs(5), |_| false)
        .unwrap();
}

#[test]
fn an_answer_takes_from_the_offer() {
    let offered = Session::read(&session(1, 10)).unwrap();
    check_answer(&offered, &offered).unwrap();
    let other = Session {
        payloads: vec![8, 0],
        ..offered.clone()
    };
    refused(check_answer(&offered, &other), "payload type 0");
    let held = Session {
        direction: crate::peer::session::Direction::SendOnly,
        ..offered.clone()
    };
    refused(
        check_answer(&held, &offered),
        "SendReceive to an offer SendOnly",
    );
}

#[test]
fn an_invite_without_a_to_tag_is_dialled_and_is_of_no_dialog() {
    let mut wire = Wire::default();
    let invite = request("INVITE", "a", 1, "");
    sends(&mut wire, 0, &invite).unwrap();
    wire.arrived(SimTime::ZERO, PEER.into(), &response(&invite, 401, "t", ""));
    let again = request("INVITE", "b", 2, "");
    sends(&mut wire, 1, &again).unwrap();
    wire.arrived(SimTime::ZERO, PEER.into(), &response(&again, 200, "t", ""));
    let refresh = request("INVITE", "c", 3, "");
    refused(sends(&mut wire, 2, &refresh), "that nobody dialled");
    let mut wire = Wire::default();
    wire.arrived(SimTime::ZERO, PEER.into(), &invite);
    sends(&mut wire, 0, &response(&invite, 486, "ours", "")).unwrap();
    refused(sends(&mut wire, 1, &refresh), "that nobody dialled");
}
