//! Every state of the page, on several screens: pictures of them (in the target folder), no barrier that axe-core
//! knows, nothing that breaks the policy, and the button that calls where a guest sees it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::baresip::DESK;
use crate::browser::guest::{Guest, ready, url};
use crate::browser::network::GATEWAY;
use crate::browser::page::{Page, Screen, View};
use crate::browser::{Engine, Options};
use crate::gateway::{SIP, at_once, link, trunk};
use crate::party::{Machine, Party};
use crate::tone::Law;

/// Octets of the page with all of its files (bar `browser.page`).
const PAGE_OCTETS_MAX: u64 = 100_000;

/// Looks at a page: a picture, and nothing in anybody's way.
pub(crate) fn look(page: &Page<'_>, name: &str) {
    look_within(page, page, name);
}

/// The same for a page within somebody else's, who is in the picture and not judged.
pub(crate) fn look_within(around: &Page<'_>, page: &Page<'_>, name: &str) {
    around.screenshot(&folder().join(format!("{name}.png")));
    assert_eq!(page.barriers(), Vec::<Value>::new(), "{name}");
    let overflow = page.evaluate("return document.documentElement.scrollWidth > innerWidth");
    assert_eq!(overflow, false, "{name}: wider than its screen");
}

fn folder() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("a folder");
    let folder = target.join("guest-page");
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// An element ends above the lower edge of the screen.
pub(crate) fn expect_in_sight(page: &Page<'_>, selector: &str, name: &str) {
    let body = format!(
        "scrollTo(0, 0); const box = document.querySelector('{selector}').getBoundingClientRect(); \
         return box.height > 0 && box.bottom <= innerHeight"
    );
    assert_eq!(
        page.evaluate(&body),
        true,
        "{name}: {selector} is below the fold"
    );
}

fn start() -> Option<Guest> {
    // While a page is looked at nobody is in a hurry.
    let tables = trunk("desks", &DESK.address(), 10)
        .replace("progress_timeout_s = 2", "progress_timeout_s = 60")
        .replace("ring_timeout_s = 10", "ring_timeout_s = 60")
        + &link("support", "desk")
        + "[[link]]\nrequest_path = \"counted\"\ndestination = \"desk\"\nauto_call_after_s = 30\n\n";
    Guest::start(&Options::new(Engine::Chromium), &tables)
}

/// Another WebSocket finds nobody, as in a network that lets nothing through.
fn cut(page: &Page<'_>) {
    page.evaluate(
        "window.kept = WebSocket; \
         window.WebSocket = class { static OPEN = 1; close() {} }; \
         window.dispatchEvent(new Event('online'))",
    );
}

/// A browser that plays no sound until its guest has pressed something: those of the tests play for whoever has
/// lent a page its microphone.
pub(crate) const MUZZLED: &str = "const sound = document.getElementById('sound'); \
    sound.autoplay = false; \
    sound.play = async () => { throw new DOMException('', 'NotAllowedError'); }";
/// Its guest presses something.
pub(crate) const FREED: &str = "delete document.getElementById('sound').play";
pub(crate) const IS_PAUSED: &str = "return document.getElementById('sound').paused";
pub(crate) const UNBLOCKED: &str = "main:has(#blocked[hidden])";

const LIGHT: View = View {
    screen: Screen::Desktop,
    language: None,
    is_dark: None,
    granted: None,
    lacking: &[],
};
const DARK: View = View {
    screen: Screen::Phone,
    language: Some("ar"),
    is_dark: Some(true),
    ..LIGHT
};
/// What they are called in the names of pictures.
const VIEWS: [(&str, View); 2] = [("desktop", LIGHT), ("phone-arabic-dark", DARK)];

#[test]
fn every_state_of_the_page_is_for_everybody_and_breaks_no_policy() {
    at_once(VIEWS, |(name, view)| {
        let Some(guest) = start() else {
            return;
        };
        let named = |state: &str| format!("{name}-{state}");
        let page = guest.browser.open_as(&url("counted"), &view);
        page.await_state(&["countdown"]);
        page.await_text(match view.language {
            // Of eleven and more: the singular.
            Some(_) => "\u{62e}\u{644}\u{627}\u{644} 30 \u{62b}\u{627}\u{646}\u{64a}\u{629}",
            None => "in 30 seconds",
        });
        look(&page, &named("countdown"));
        page.click("#cancel");
        page.await_state(&["idle"]);

        let page = guest.browser.open_as(&url("support"), &view);
        ready(&page);
        look(&page, &named("idle"));
        page.click("#devices-toggle");
        look(&page, &named("devices"));
        let octets = page.octets();
        assert!(octets <= PAGE_OCTETS_MAX, "{octets}");
        let mut callee = Party::new(&DESK.address(), SIP);
        page.evaluate(MUZZLED);
        page.click("#call");
        let invite = callee.expect_request("INVITE");
        callee.respond(&invite, "100 Trying", "", "");
        page.await_selector("#blocked");
        look(&page, &named("blocked"));
        page.evaluate(FREED);
        page.click("#blocked button");
        page.await_selector(UNBLOCKED);
        assert_eq!(page.evaluate(IS_PAUSED), false, "{name}");
        look(&page, &named("calling"));
        callee.respond(&invite, "180 Ringing", "", "");
        page.await_state(&["ringing"]);
        look(&page, &named("ringing"));
        let machine = Machine::new("10.70.0.1", DESK.tone_hz, Law::A, 7);
        callee.respond(&invite, "200 OK", "", &machine.session(1, "sendrecv"));
        let _ack = callee.expect_request("ACK");
        page.await_state(&["connected"]);
        page.await_selector("#quality");
        look(&page, &named("connected"));
        page.click("#keypad-toggle");
        page.click("[data-key='5']");
        look(&page, &named("keypad"));
        page.click("#keypad-toggle");
        callee.ask("INVITE", &machine.session(2, "sendonly"));
        callee.expect(200);
        callee.acknowledge("");
        page.await_state(&["held"]);
        look(&page, &named("held"));
        cut(&page);
        page.await_state(&["reconnecting"]);
        look(&page, &named("reconnecting"));
        page.evaluate("window.WebSocket = window.kept");
        page.await_state(&["held"]);
        callee.ask("BYE", "");
        callee.expect(200);
        page.await_state(&["ended"]);
        look(&page, &named("ended"));
        page.log().expect_clean();
    });
}

#[test]
fn every_page_that_says_no_is_for_everybody() {
    let tables = "[browser]\nurls = [\"https://call.example:8443\"]\n\n".to_owned()
        + &trunk("dead", "10.70.0.1:5999", 10)
        + &trunk("house", &DESK.address(), 5).replace("priority", "patterns = [\"610\"]\npriority")
        + &link("support", "desk")
        + &link("help", "112")
        + &link("far", "+18095550123")
        + &link("fax", "610")
        + "[[link]]\nrequest_path = \"closed\"\ndestination = \"desk\"\nenabled = false\n\n\
           [[link]]\nrequest_path = \"early\"\ndestination = \"desk\"\nvalid_after = \"2099-01-01T00:00:00Z\"\n\n";
    at_once(VIEWS, |(name, view)| {
        let options = Options {
            names: &["call.example", "evil.example"],
            ..Options::new(Engine::Chromium)
        };
        let Some(guest) = Guest::start(&options, &tables) else {
            return;
        };
        let named = |state: &str| format!("{name}-{state}");
        let open = |path: &str| guest.browser.open_as(&url(path), &view);
        for (path, state, status) in [
            ("nowhere", "unknown", 404),
            ("closed", "gone", 410),
            ("early", "early", 403),
        ] {
            let page = open(path);
            assert_eq!(page.status, status, "{path}");
            page.await_state(&["refused"]);
            look(&page, &named(state));
        }
        // Whoever points a name at the gateway shows its pages to nobody.
        let at = |host: &str| url("support").replace(GATEWAY, host);
        let page = guest.browser.open_as(&at("evil.example"), &view);
        assert_eq!(page.status, 421);
        page.await_state(&["refused"]);
        look(&page, &named("host"));
        let page = guest.browser.open_as(&at("call.example"), &view);
        assert_eq!(page.status, 200);

        let block = [
            "guard", "rules", "add", "far", "block", "--number", "+1809*",
        ];
        guest.gateway.run(&block);
        for (path, state, reason, english) in [
            ("support", "trunk-down", "trunk", "The line is out of order"),
            (
                "help",
                "guard",
                "guard_emergency",
                "Emergency calls are not",
            ),
            (
                "far",
                "blocked",
                "guard",
                "Calls to this number are not allowed.",
            ),
            ("fax", "codec", "codec", "no sound format in common."),
        ] {
            let mut callee = (path == "fax").then(|| Party::new(&DESK.address(), SIP));
            let page = open(path);
            ready(&page);
            page.click("#call");
            if let Some(callee) = &mut callee {
                let invite = callee.expect_request("INVITE");
                assert!(!invite.contains("G729"), "all that it speaks: {invite}");
                callee.respond(&invite, "488 Not Acceptable Here", "", "");
            }
            page.await_state(&["ended"]);
            let said = page.evaluate("return document.getElementById('app').dataset.reason");
            assert_eq!(said, reason, "{}", page.text());
            let sentence = format!(
                "const says = JSON.parse(document.getElementById('app').dataset.texts).{reason}; \
                 return says.length > 0 && says === document.getElementById('status').innerText"
            );
            assert_eq!(page.evaluate(&sentence), true, "{name}: {}", page.text());
            if view.language.is_none() {
                page.await_text(english);
            }
            look(&page, &named(state));
        }
        let deaf = View {
            granted: Some(&[]),
            ..view.clone()
        };
        let page = guest.browser.open_as(&url("support"), &deaf);
        ready(&page);
        look(&page, &named("unasked"));
        page.click("#call");
        page.await_selector("#problem");
        look(&page, &named("denied"));
        let old = View {
            lacking: &["RTCPeerConnection"],
            ..view.clone()
        };
        let page = guest.browser.open_as(&url("support"), &old);
        page.await_selector("#problem");
        look(&page, &named("old"));
    });
}

#[test]
fn a_page_that_is_opened_too_often_says_so_to_everybody() {
    let tables = "[browser]\nloads_per_minute_max = 1\n\n".to_owned() + &link("support", "desk");
    at_once(VIEWS, |(name, view)| {
        let Some(guest) = Guest::start(&Options::new(Engine::Chromium), &tables) else {
            return;
        };
        let open = || guest.browser.open_as(&url("support"), &view);
        assert_eq!(open().status, 200);
        let page = open();
        assert_eq!(page.status, 429);
        page.await_state(&["refused"]);
        look(&page, &format!("{name}-rate"));
    });
}

#[test]
fn what_is_pressed_is_in_sight_on_every_screen() {
    let tables = "[[link]]\nrequest_path = \"named\"\ndestination = \"local:echo\"\n\
                  display_name = \"Support of Contoso GmbH & Co. KG\"\n\
                  allow_custom_caller_name = true\n\n";
    let Some(guest) = Guest::start(&Options::new(Engine::Chromium), tables) else {
        return;
    };
    for (name, screen) in [
        ("desktop", Screen::Desktop),
        ("phone", Screen::Phone),
        ("small", Screen::Sized(800, 600)),
        ("narrow", Screen::Sized(360, 640)),
        ("frame", Screen::Sized(448, 322)),
    ] {
        let view = View {
            screen,
            language: Some("de"),
            is_dark: Some(true),
            ..View::default()
        };
        let page = guest.browser.open_as(&url("named"), &view);
        ready(&page);
        look(&page, &format!("call-{name}"));
        expect_in_sight(&page, "#call", name);
        page.evaluate(MUZZLED);
        page.click("#call");
        page.await_state(&["connected"]);
        page.await_selector("#remote:not([hidden])");
        look(&page, &format!("call-{name}-blocked"));
        for selector in ["#blocked button", "#hangup"] {
            expect_in_sight(&page, selector, name);
        }
        page.evaluate(FREED);
        page.click("#blocked button");
        page.await_selector(UNBLOCKED);
        for (open, shown) in [
            ("#keypad-toggle", "[data-key=\"#\"]"),
            ("#settings", "#camera"),
        ] {
            page.click(open);
            page.await_selector(shown);
            for selector in [shown, "#mute", "#hangup"] {
                expect_in_sight(&page, selector, name);
            }
            let apart = "const box = (id) => document.getElementById(id).getBoundingClientRect(); \
                         return box('stage').height > 0 && box('stage').bottom <= box('controls').top";
            assert_eq!(page.evaluate(apart), true, "{name}: {open}");
            look(
                &page,
                &format!("call-{name}-{}", open.trim_start_matches('#')),
            );
        }
        page.vanish();
    }
}
