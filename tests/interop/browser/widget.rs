//! The page within somebody else's: what that one lends it, what it is told, and the way out where it lends
//! nothing.

use serde_json::{Value, json};

use crate::browser::begins::OTHER_KEYS;
use crate::browser::guest::{Guest, SOUND, ready, url};
use crate::browser::page::Page;
use crate::browser::site::Site;
use crate::browser::states::{expect_in_sight, look_within};
use crate::browser::{Engine, Options};
use crate::gateway::link;
use crate::world::until;

use std::time::Duration;

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const PAGES: &[(&str, &str, &str)] = &[
    ("/widget.html", HTML, include_str!("pages/widget.html")),
    ("/widget.js", SCRIPT, include_str!("pages/widget.js")),
];

/// A guest, and a site that its gateway lets show its pages.
fn start() -> Option<(Site, Guest)> {
    let guest = Guest::start(&Options::new(Engine::Chromium), &link("echo", "local:echo"))?;
    // A page of the guest's own machine: browsers take it for safe, as one by TLS.
    let site = guest.network.inside(|| Site::new("127.0.0.1", PAGES));
    let origin = site.url("");
    guest
        .gateway
        .run(&["settings", "set", "links.embed_origins", &origin]);
    Some((site, guest))
}

/// The page of the site, whose frame is lent these.
fn shown<'guest>(site: &Site, guest: &'guest Guest, allow: &str) -> Page<'guest> {
    let path = format!(
        "/widget.html?allow={allow}&src={}%3Fwidget=true",
        url("echo")
    );
    guest.browser.open(&site.url(&path))
}

/// What the page around it was told.
fn told(page: &Page<'_>) -> Vec<Value> {
    let messages = page.probe("heard_messages", &json!({}));
    messages.as_array().cloned().unwrap_or_default()
}

#[test]
fn a_frame_of_an_allowed_site_calls_and_tells_its_states_to_that_site() {
    let Some((site, guest)) = start() else {
        return;
    };
    let page = shown(&site, &guest, "microphone;camera;autoplay");
    let frame = page.within("iframe");
    ready(&frame);
    look_within(&page, &frame, "widget-idle");
    expect_in_sight(&frame, "#call", "widget");
    let alone = frame.evaluate("return document.getElementById('alone').hidden");
    assert_eq!(alone, true, "nothing is missing");
    // It loads itself anew with the cookie that a browser keeps for this site alone.
    frame.evaluate(OTHER_KEYS);
    frame.click("#call");
    frame.await_state(&["connected"]);
    frame.await_tone(SOUND, 440.0);
    look_within(&page, &frame, "widget-connected");
    for id in ["#mute", "#settings", "#hangup"] {
        expect_in_sight(&frame, id, "widget");
    }
    frame.click("#hangup");
    frame.await_state(&["ended"]);
    until("the last word", Duration::from_secs(5), || {
        told(&page).iter().any(|it| it["data"]["state"] == "ended")
    });
    let told = told(&page);
    for word in &told {
        assert_eq!(word["origin"], "https://10.70.0.1:8443", "{word}");
        assert_eq!(word["data"]["source"], "sluice", "{word}");
        assert_eq!(word["data"]["event"], "state", "{word}");
    }
    let states: Vec<_> = told.iter().map(|it| &it["data"]["state"]).collect();
    for state in ["idle", "calling", "connected", "ended"] {
        assert!(states.iter().any(|it| *it == state), "{states:?}");
    }
    let last = told.last().expect("a word");
    assert_eq!(last["data"]["cause"], "left", "{last}");
}

#[test]
fn a_frame_that_is_lent_no_microphone_offers_a_window_of_its_own() {
    let Some((site, guest)) = start() else {
        return;
    };
    let alone = |frame: &Page<'_>| {
        let body = "const link = document.getElementById('alone'); \
                    return link.checkVisibility() ? [link.href, link.target, link.rel] : null";
        frame.evaluate(body)
    };
    let page = shown(&site, &guest, "autoplay");
    let frame = page.within("iframe");
    frame.await_text("The page around this one gives it no microphone");
    look_within(&page, &frame, "widget-framed");
    assert_eq!(alone(&frame), json!([url("echo"), "_blank", "noopener"]));
    expect_in_sight(&frame, "#alone", "widget");
    let no_call = frame.evaluate("return document.getElementById('call').hidden");
    assert_eq!(no_call, true);

    // A camera alone may be missing: there is sound, and the way to more.
    let page = shown(&site, &guest, "microphone;autoplay");
    let frame = page.within("iframe");
    ready(&frame);
    assert!(alone(&frame).is_array());
    look_within(&page, &frame, "widget-no-camera");
    expect_in_sight(&frame, "#alone", "widget");
    let no_camera = frame.evaluate("return document.getElementById('camera-toggle').hidden");
    assert_eq!(no_camera, true);
    frame.click("#call");
    frame.await_state(&["connected"]);
    frame.await_tone(SOUND, 440.0);
}
