//! How calls of guests end, from either side: what the page says, what the callee hears, what the record keeps.

use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use serde_json::Value;

use crate::baresip::DESK;
use crate::browser::guest::{Guest, ready, url};
use crate::browser::page::{Page, View};
use crate::browser::states::look;
use crate::browser::{Engine, Options};
use crate::gateway::{SIP, link, trunk};
use crate::party::{Machine, Party};
use crate::tone::Law;
use crate::world::until;

/// A guest before a link to a callee that does what a test says.
fn start() -> Option<Guest> {
    let tables = trunk("desks", &DESK.address(), 10) + &link("support", "desk");
    Guest::start(&Options::new(Engine::Chromium), &tables)
}

/// Calls, and the callee has the INVITE.
fn ring(page: &Page<'_>) -> (Party, String) {
    let mut callee = Party::new(&DESK.address(), SIP);
    page.click("#call");
    let invite = callee.expect_request("INVITE");
    callee.respond(&invite, "180 Ringing", "", "");
    page.await_state(&["ringing"]);
    (callee, invite)
}

/// The same, and it answers.
pub(crate) fn talk(page: &Page<'_>) -> Party {
    let (mut callee, invite) = ring(page);
    let machine = Machine::new("10.70.0.1", DESK.tone_hz, Law::A, 7);
    callee.respond(&invite, "200 OK", "", &machine.session(1, "sendrecv"));
    let _ack = callee.expect_request("ACK");
    page.await_state(&["connected"]);
    callee
}

fn last_call(guest: &Guest, count: usize) -> Value {
    guest.gateway.closed_calls(count).remove(0)
}

#[test]
fn whoever_ends_a_call_the_other_side_is_told_and_the_record_says_who() {
    let Some(guest) = start() else {
        return;
    };
    // The callee.
    let page = guest.open("support");
    let mut callee = talk(&page);
    callee.ask("BYE", "");
    callee.expect(200);
    page.await_state(&["ended"]);
    page.await_text("The call has ended.");
    let call = last_call(&guest, 1);
    assert_eq!(call["released_by"], "terminating", "{call:#}");
    assert_eq!(
        (&call["cause"], &call["status"]),
        (&"normal".into(), &200.into())
    );
    let is_open = page.evaluate("return document.getElementById('sound').srcObject !== null");
    assert_eq!(is_open, false);

    // The guest, by the button, from the same page.
    drop(callee);
    let mut callee = talk(&page);
    page.click("#hangup");
    let bye = callee.expect_request("BYE");
    callee.respond(&bye, "200 OK", "", "");
    page.await_text("You have hung up.");
    let call = last_call(&guest, 2);
    assert_eq!(call["released_by"], "originating", "{call:#}");

    // The guest, while it rings.
    drop(callee);
    let (mut callee, invite) = ring(&page);
    page.click("#hangup");
    let cancel = callee.expect_request("CANCEL");
    callee.respond(&cancel, "200 OK", "", "");
    callee.respond(&invite, "487 Request Terminated", "", "");
    page.await_text("You have hung up.");
    let call = last_call(&guest, 3);
    assert_eq!(
        (&call["cause"], &call["status"]),
        (&"cancelled".into(), &487.into())
    );

    // The callee is busy, declines, is not there.
    drop(callee);
    for (count, (status, said)) in (4..).zip([
        ("486 Busy Here", "The line is busy."),
        ("603 Decline", "The call was declined."),
        ("480 Temporarily Unavailable", "Nobody has answered."),
    ]) {
        let (callee, invite) = ring(&page);
        callee.respond(&invite, status, "", "");
        page.await_state(&["ended"]);
        page.await_text(said);
        let call = last_call(&guest, count);
        let code = call["status"].to_string();
        assert!(status.starts_with(&code), "{call:#}");
    }
    page.log().expect_clean();

    // The guest closes the tab in a call.
    let mut callee = talk(&page);
    page.close();
    let bye = callee.expect_request("BYE");
    callee.respond(&bye, "200 OK", "", "");
    let call = last_call(&guest, 7);
    // By its word: where a guest falls silent, the cause is another.
    assert_eq!(
        (&call["cause"], &call["released_by"]),
        (&"normal".into(), &"originating".into())
    );
}

#[test]
fn a_call_whose_browser_lost_its_power_ends_when_nothing_was_heard_for_long() {
    let Some(guest) = start() else {
        return;
    };
    let page = guest.open("support");
    let mut callee = talk(&page);
    killpg(guest.browser.group(), Signal::SIGKILL).expect("it runs");
    let bye = callee.expect_request_within(Duration::from_secs(60), "BYE");
    callee.respond(&bye, "200 OK", "", "");
    let call = last_call(&guest, 1);
    assert_eq!(call["cause"], "guest_vanished", "{call:#}");
}

#[test]
fn a_page_says_why_there_is_no_call() {
    let tables = trunk("dead", "10.70.0.1:5999", 10)
        + &link("support", "desk")
        + "[[link]]\nrequest_path = \"closed\"\ndestination = \"desk\"\nenabled = false\n\n\
           [[link]]\nrequest_path = \"early\"\ndestination = \"desk\"\nvalid_after = \"2099-01-01T00:00:00Z\"\n\n";
    let Some(guest) = Guest::start(&Options::new(Engine::Chromium), &tables) else {
        return;
    };
    // `states` looks at the same in English and in Arabic.
    let german = View {
        language: Some("de"),
        ..View::default()
    };
    for (path, status, said) in [
        ("nowhere", 404, "Hier gibt es nichts anzurufen"),
        ("closed", 410, "Dieser Link gilt nicht mehr"),
        ("early", 403, "Sie sind fr\u{fc}h dran"),
    ] {
        let page = guest.browser.open_as(&url(path), &german);
        assert_eq!(page.status, status, "{path}: {}", page.text());
        page.await_text(said);
        page.await_state(&["refused"]);
        look(&page, &format!("german-{path}"));
    }
    let page = guest.browser.open_as(&url("support"), &german);
    ready(&page);
    look(&page, "german-idle");
    page.click("#call");
    page.await_state(&["ended"]);
    page.await_text("Die Leitung ist zurzeit gest\u{f6}rt.");
    look(&page, "german-trunk-down");
    let call = last_call(&guest, 1);
    assert!(call["status"].as_i64() >= Some(500), "{call:#}");

    let refused = View {
        granted: Some(&[]),
        ..german.clone()
    };
    let page = guest.browser.open_as(&url("support"), &refused);
    ready(&page);
    page.click("#call");
    page.await_text("Das Mikrofon ist gesperrt");
    look(&page, "german-denied");
    let old = View {
        lacking: &["RTCPeerConnection"],
        ..german
    };
    let page = guest.browser.open_as(&url("support"), &old);
    page.await_text("Dieser Browser ist zu alt f\u{fc}r Anrufe");
    look(&page, "german-old");
    until("no way to call", Duration::from_secs(5), || {
        page.evaluate("return document.getElementById('call').hidden") == true
    });
    assert_eq!(guest.gateway.calls().len(), 1, "no other call was tried");
}

#[test]
fn a_page_without_a_microphone_says_so() {
    let options = Options {
        microphone_hz: None,
        cameras: 0,
        ..Options::new(Engine::Chromium)
    };
    let Some(guest) = Guest::start(&options, &link("echo", "local:echo")) else {
        return;
    };
    let page = guest.open("echo");
    page.click("#call");
    page.await_text("No microphone was found");
    look(&page, "desktop-no-microphone");
    assert!(guest.gateway.calls().is_empty());
}
