//! How a call begins: by itself or by its guest's hand, with devices that were tried before, and what is heard
//! until somebody answers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::baresip::DESK;
use crate::browser::guest::{Guest, SOUND, ready, url};
use crate::browser::page::{Page, View};
use crate::browser::states::{FREED, IS_PAUSED, MUZZLED, UNBLOCKED};
use crate::browser::{Engine, Options};
use crate::gateway::{SIP, at_once, link, trunk};
use crate::party::{Machine, Party, audio, converse};
use crate::tone::Law;
use crate::world::until;

/// A link to the echo that calls by itself after so many seconds.
fn counted(seconds: u32) -> String {
    format!(
        "[[link]]\nrequest_path = \"counted\"\ndestination = \"local:echo\"\nauto_call_after_s = {seconds}\n\n"
    )
}

fn label(page: &Page<'_>) -> Value {
    page.evaluate("return document.getElementById('call').innerText")
}

#[test]
fn a_link_that_calls_by_itself_counts_while_it_may_hear_its_guest_and_is_seen() {
    at_once(Engine::ALL, |engine| {
        let Some(guest) = Guest::start(&Options::new(engine), &counted(1)) else {
            return;
        };
        let page = guest.browser.open(&url("counted"));
        page.await_state(&["connected"]);
        page.await_tone(SOUND, 440.0);
        let states = page.states();
        let is_counted = states.iter().any(|(state, _)| state == "countdown");
        assert!(is_counted, "{engine:?}: {states:?}");
    });
    let Some(guest) = Guest::start(&Options::new(Engine::Chromium), &counted(60)) else {
        return;
    };
    let refused = View {
        granted: Some(&[]),
        ..View::default()
    };
    let page = guest.browser.open_as(&url("counted"), &refused);
    page.await_text("The microphone is blocked");
    let states = page.states();
    assert!(
        states.iter().all(|(state, _)| state == "idle"),
        "{states:?}"
    );

    let page = guest.browser.open(&url("counted"));
    page.await_state(&["countdown"]);
    let hidden = "Object.defineProperty(document, 'hidden', { value: true, configurable: true }); \
                  const label = () => document.getElementById('call').innerText; \
                  const before = label(); \
                  await new Promise((resolve) => setTimeout(resolve, 2500)); \
                  return label() === before";
    assert_eq!(page.evaluate(hidden), true, "nobody sees it");
    let before = label(&page);
    page.evaluate("delete document.hidden");
    until("another second", Duration::from_secs(5), || {
        label(&page) != before
    });
    page.click("#cancel");
    page.await_state(&["idle"]);
    assert_eq!(label(&page), "Call");
    assert!(guest.gateway.calls().is_empty(), "nobody was called");
}

/// What its node says first to a page that has been open for long.
fn told(cause: &str) -> String {
    format!(
        "const kept = WebSocket; \
         window.WebSocket = class {{ \
           static OPEN = 1; \
           constructor() {{ \
             window.WebSocket = kept; \
             setTimeout(() => {{ \
               this.onmessage({{ data: '{{\"type\":\"error\",\"code\":\"{cause}\"}}' }}); \
               this.onclose({{ code: 1008 }}); \
             }}); \
           }} \
           close() {{}} \
         }}"
    )
}

/// Its node has other keys than when the page was loaded.
pub(crate) const OTHER_KEYS: &str = "document.getElementById('app').dataset.token += 'A'";

#[test]
fn a_page_that_is_open_for_longer_than_its_token_and_cookie_live_calls_at_one_click() {
    let tables =
        link("echo", "local:echo").replace("\n\n", "\nallow_custom_caller_name = true\n\n");
    let Some(guest) = Guest::start(&Options::new(Engine::Chromium), &tables) else {
        return;
    };
    let page = guest.open("echo");
    page.evaluate("document.getElementById('name').value = 'Ann Lee'; window.isThatPage = true");
    let keeps = "return [document.getElementById('name').value, window.isThatPage]";
    let outlived = [
        told("token_expired"),
        told("no_cookie"),
        OTHER_KEYS.to_owned(),
    ];
    for (count, outlived) in (1..).zip(outlived) {
        page.evaluate(&outlived);
        page.click("#call");
        page.await_state(&["connected"]);
        page.await_tone(SOUND, 440.0);
        assert_eq!(page.evaluate(keeps), json!(["Ann Lee", true]));
        page.click("#hangup");
        page.await_state(&["ended"]);
        let calls = guest.gateway.closed_calls(count);
        assert_eq!(calls[0]["caller"], "Ann Lee", "{calls:#?}");
    }
    page.log().expect_clean();

    // Once a call: who keeps no cookie is told.
    page.evaluate(OTHER_KEYS);
    page.evaluate(
        "const load = window.fetch; \
         window.fetch = async () => { window.fetch = load; return new Response('<main data-token=\"x\">'); }",
    );
    page.click("#call");
    page.await_text("Your browser keeps no cookies here");
    // The link is over as well.
    let over = [
        "links",
        "set",
        "echo",
        "--valid-before",
        "2020-01-01T00:00:00Z",
    ];
    guest.gateway.run(&over);
    page.evaluate(OTHER_KEYS);
    page.click("#call");
    page.await_text("This link is no longer valid.");
    assert_eq!(guest.gateway.calls().len(), 3);
}

#[test]
fn a_guest_without_a_mouse_calls_and_hangs_up() {
    let Some(guest) = Guest::start(&Options::new(Engine::Chromium), &link("echo", "local:echo"))
    else {
        return;
    };
    let page = guest.open("echo");
    let focus = || page.evaluate("return document.activeElement.id");
    let walk = |to: &str| {
        let reached = (0..20).any(|_| {
            page.press("Tab");
            focus() == to
        });
        assert!(reached, "{to} is not reached by Tab");
    };
    walk("devices-toggle");
    page.press("Enter");
    page.await_selector("#microphone");
    walk("call");
    page.evaluate(MUZZLED);
    page.press("Enter");
    page.await_state(&["connected"]);
    assert_eq!(focus(), "hangup");
    // Any key will do.
    page.await_selector("#blocked");
    assert_eq!(page.evaluate(IS_PAUSED), true);
    page.evaluate(FREED);
    walk("mute");
    page.await_selector(UNBLOCKED);
    assert_eq!(page.evaluate(IS_PAUSED), false);
    page.press("Space");
    page.await_selector("#mute[aria-pressed='true']");
    page.await_silence(SOUND);
    walk("keypad-toggle");
    page.press("Enter");
    page.await_selector("#keypad");
    page.press("5");
    let keys = "return document.getElementById('keys').textContent";
    assert_eq!(page.evaluate(keys), "5");
    page.press("Escape");
    assert_eq!(focus(), "keypad-toggle");
    walk("hangup");
    page.press("Enter");
    page.await_state(&["ended"]);
    assert_eq!(focus(), "call", "to call again");
}

#[test]
fn a_guest_sees_before_the_call_that_it_would_be_heard_and_seen() {
    let Some(guest) = Guest::start(&Options::new(Engine::Chromium), &link("echo", "local:echo"))
    else {
        return;
    };
    let page = guest.open("echo");
    let level = "return document.getElementById('level').getBoundingClientRect().width";
    until("a level", Duration::from_secs(10), || {
        page.evaluate(level).as_f64() > Some(20.0)
    });
    until("its own picture", Duration::from_secs(10), || {
        page.picture("#camera-preview")["motion"].as_f64() > Some(0.0)
    });
    page.click("#camera-toggle");
    page.await_text("Your camera is off");
    page.click("#camera-toggle");
    page.await_selector("#camera-preview");
    assert!(guest.gateway.calls().is_empty());
}

/// What Safari, on one machine or another, does not have: no choice of a speaker, no state of permissions, no
/// element over the whole screen, no lock of the screen, no word about the network.
const UNKNOWN_TO_SAFARI: [&str; 9] = [
    "HTMLMediaElement.prototype.setSinkId",
    "AudioContext.prototype.setSinkId",
    "navigator.permissions",
    "document.permissionsPolicy",
    "document.featurePolicy",
    "Element.prototype.requestFullscreen",
    "document.fullscreenEnabled",
    "navigator.wakeLock",
    "navigator.connection",
];

#[test]
fn a_browser_that_lacks_what_safari_lacks_calls_and_is_offered_none_of_it() {
    let Some(guest) = Guest::start(&Options::new(Engine::Chromium), &link("echo", "local:echo"))
    else {
        return;
    };
    let lacking = View {
        lacking: &UNKNOWN_TO_SAFARI,
        ..View::default()
    };
    let page = guest.browser.open_as(&url("echo"), &lacking);
    for path in UNKNOWN_TO_SAFARI {
        let (owner, name) = path.rsplit_once('.').expect("a name of something");
        assert_eq!(page.evaluate(&format!("return '{name}' in {owner}")), false);
    }
    // Nobody says whether it may listen: it listens when its guest asks for that.
    page.await_selector("#check:not([hidden])");
    page.click("#call");
    page.await_state(&["connected"]);
    page.await_tone(SOUND, 440.0);
    page.await_selector("#remote:not([hidden])");
    page.click("#settings");
    page.await_selector("#microphone");
    for absent in ["full", "speaker-field"] {
        let is_hidden = format!("return document.getElementById('{absent}').hidden");
        assert_eq!(page.evaluate(&is_hidden), true, "{absent}");
    }
    page.click("#hangup");
    page.await_state(&["ended"]);
    page.log().expect_clean();
}

#[test]
fn a_page_rings_itself_until_the_callee_is_heard() {
    let tables = trunk("desks", &DESK.address(), 10)
        .replace("progress_timeout_s = 2", "progress_timeout_s = 60")
        .replace("ring_timeout_s = 10", "ring_timeout_s = 60")
        + &link("support", "desk");
    let Some(guest) = Guest::start(&Options::new(Engine::Chromium), &tables) else {
        return;
    };
    let page = guest.open("support");
    ready(&page);
    let mut callee = Party::new(&DESK.address(), SIP);
    page.click("#call");
    let invite = callee.expect_request("INVITE");
    callee.respond(&invite, "180 Ringing", "", "");
    page.await_state(&["ringing"]);
    until("a ringback tone", Duration::from_secs(10), || {
        let made = page.probe("tones_made", &json!({}));
        made.as_array()
            .is_some_and(|made| made.contains(&json!(425)))
    });
    // An announcement before the answer is heard, and nothing else.
    let mut machine = Machine::new("10.70.0.1", DESK.tone_hz, Law::A, 7);
    let session = machine.session(1, "sendrecv");
    callee.respond(&invite, "183 Session Progress", "", &session);
    let target = audio(&invite);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                converse(&mut [(&mut machine, target)]);
            }
        });
        let heard = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            page.await_tone(SOUND, DESK.tone_hz)
        }));
        is_over.store(true, Ordering::SeqCst);
        heard.expect("the announcement");
    });
    assert_eq!(page.await_state(&["ringing", "connected"]), "ringing");
    page.click("#hangup");
    let cancel = callee.expect_request("CANCEL");
    callee.respond(&cancel, "200 OK", "", "");
    callee.respond(&invite, "487 Request Terminated", "", "");
    page.await_text("You have hung up.");
}
