//! A guest of the gateway: a link, a browser in a network of its own, and what it hears behind the link.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::baresip::DESK;
use crate::browser::keypad::expect_keys_at;
use crate::browser::network::{GATEWAY, Network};
use crate::browser::page::Page;
use crate::browser::{Browser, Engine, Options};
use crate::gateway::{Gateway, at_once, link, trunk, write_config};
use crate::hold::Control;
use crate::node::demo;
use crate::srtp::{PLAIN, account};
use crate::tone;
use crate::world::{World, until};

/// The element that plays the other side.
pub(crate) const SOUND: &str = "#sound";

/// A gateway with these tables, and a guest before it. What ends first stands first.
pub(crate) struct Guest {
    pub(crate) browser: Browser,
    pub(crate) gateway: Gateway,
    pub(crate) network: Network,
    pub(crate) world: World,
}

impl Guest {
    /// `None`: something is not installed, and that has been said.
    pub(crate) fn start(options: &Options, tables: &str) -> Option<Self> {
        Self::start_after(options, tables, |_world| ())
    }

    /// The same when something has been done in its world.
    pub(crate) fn start_after(
        options: &Options,
        tables: &str,
        prepare: impl FnOnce(&World),
    ) -> Option<Self> {
        let world = World::open(&["ip"])?;
        let network = Network::new();
        let browser = Browser::start(&world, &network, options)?;
        prepare(&world);
        let tables = format!("[https]\nlisten = [\"{GATEWAY}:8443\"]\n\n{tables}");
        let media = format!("addresses = [\"{GATEWAY}\"]");
        let config = write_config(&world, &media, &tables);
        let text = fs::read_to_string(&config).expect("a file");
        // Strangers reach this listener.
        let text = text.replace("resolve_open = true", "resolve_open = false");
        fs::write(&config, text).expect("a file");
        let gateway = Gateway::start_with(&world, config);
        Some(Self {
            browser,
            gateway,
            network,
            world,
        })
    }

    /// Opens the page of a link.
    pub(crate) fn open(&self, request_path: &str) -> Page<'_> {
        let page = self.browser.open(&url(request_path));
        assert_eq!(page.status, 200, "{}", page.text());
        ready(&page);
        page
    }

    /// Opens it and calls.
    pub(crate) fn call(&self, request_path: &str) -> Page<'_> {
        let page = self.open(request_path);
        page.click("#call");
        let state = page.await_state(&["connected", "ended"]);
        assert_eq!(
            state,
            "connected",
            "{}\n{}",
            page.text(),
            self.gateway.process.said()
        );
        page
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let calls = self.gateway.calls();
            println!("{:#?}\n{}", calls.first(), self.gateway.process.said());
        }
    }
}

/// Waits until the page has its devices: what it shows of them moves its buttons.
pub(crate) fn ready(page: &Page<'_>) {
    let last = ["#devices-toggle", "#problem", "#check"].map(|id| format!("{id}:not([hidden])"));
    page.await_selector(&last.join(", "));
}

pub(crate) fn url(request_path: &str) -> String {
    format!("https://{GATEWAY}:8443/call/{request_path}")
}

#[test]
fn a_guest_that_calls_the_echo_hears_itself() {
    at_once(Engine::ALL, |engine| {
        let options = Options {
            microphone_hz: Some(GUEST_HZ),
            ..Options::new(engine)
        };
        let Some(guest) = Guest::start(&options, &link("echo", "local:echo")) else {
            return;
        };
        let page = guest.call("echo");
        page.await_tone(SOUND, GUEST_HZ);
        page.log().expect_clean();
        page.click("#hangup");
        page.await_state(&["ended", "idle"]);
        let calls = guest.gateway.closed_calls(1);
        assert_eq!(calls[0]["status"], 200, "{calls:?}");
        was_sealed(&calls[0]);
    });
}

/// A page whose browser waits for the handshake of the other side, by what it says of itself.
const WAITING: &str = r"
    const { get } = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(RTCPeerConnection.prototype), 'localDescription');
    Object.defineProperty(RTCPeerConnection.prototype, 'localDescription', {
        get() {
            const { type, sdp } = get.call(this);
            return { type, sdp: sdp.replace(/^a=setup:actpass/gm, 'a=setup:passive') };
        },
    });
    return true";

#[test]
fn a_guest_whose_browser_waits_for_our_handshake_hears_itself() {
    at_once(Engine::ALL, |engine| {
        let options = Options {
            microphone_hz: Some(GUEST_HZ),
            ..Options::new(engine)
        };
        let Some(guest) = Guest::start(&options, &link("echo", "local:echo")) else {
            return;
        };
        let page = guest.open("echo");
        page.evaluate(WAITING);
        page.click("#call");
        page.await_state(&["connected"]);
        page.await_tone(SOUND, GUEST_HZ);
        let answer = page.probe("descriptions", &json!({}))[0]["remote"].clone();
        let answer = answer.as_str().unwrap_or_default();
        assert!(answer.contains("a=setup:active\r"), "{engine:?}: {answer}");
        // Only one of the two says so.
        if engine == Engine::Chromium {
            let dtls = page.statistics()[0]["dtls"].clone();
            assert_eq!(dtls["role"], "server", "{dtls}");
        }
        page.log().expect_clean();
        page.click("#hangup");
        page.await_state(&["ended"]);
        // Whoever waits chooses among what we offer.
        let call = guest.gateway.closed_calls(1).remove(0);
        match engine {
            Engine::Chromium => assert_eq!(call["media"]["srtp"], "AES_CM_128_HMAC_SHA1_80"),
            Engine::Firefox => was_sealed(&call),
        }
    });
}

/// All of its sound under keys of DTLS, and of what browsers name the suite that is preferred.
fn was_sealed(call: &Value) {
    let suite = call["media"]["srtp"].as_str().unwrap_or_default();
    let is_one = ["AEAD_AES_256_GCM", "AEAD_AES_128_GCM"].contains(&suite);
    assert!(is_one, "{call:#}");
}

/// `make run`, and the browser of the same machine.
#[test]
fn the_demonstration_says_a_link_and_who_opens_it_hears_itself() {
    let Some(world) = World::open(&["ip"]) else {
        return;
    };
    // The machine has other networks: browsers send no sound by loopback alone.
    let _elsewhere = Network::new();
    let options = Options {
        microphone_hz: Some(GUEST_HZ),
        ..Options::new(Engine::Chromium)
    };
    let Some(browser) = Browser::start(&world, &Network::of_the_gateway(), &options) else {
        return;
    };
    let gateway = Gateway::start_with(&world, demo(&world));
    let mut link = None;
    until("a link", Duration::from_secs(10), || {
        let said = gateway.process.said();
        let mut lines = said.lines().map(str::trim);
        let found = lines.find_map(|line| line.strip_prefix("in a browser:"));
        link = found.map(|url| url.trim().to_owned());
        link.is_some()
    });
    let link = link.expect("a link");
    assert_eq!(link, "https://127.0.0.1:8443/call/echo");
    let page = browser.open(&link);
    assert_eq!(page.status, 200, "{}", page.text());
    ready(&page);
    page.click("#call");
    page.await_state(&["connected"]);
    page.await_tone(SOUND, GUEST_HZ);
    page.log().expect_clean();
}

/// What a phone alone speaks, as its account names it, with the rate and the channels of its sound; and what a
/// browser calls it.
const CODECS: [(&str, (u32, u16), &str); 4] = [
    ("opus/48000/2", (48_000, 2), "audio/opus"),
    ("G722/16000/1", (16_000, 1), "audio/G722"),
    ("PCMA/8000/1", (8_000, 1), "audio/PCMA"),
    ("PCMU/8000/1", (8_000, 1), "audio/PCMU"),
];

#[test]
fn a_guest_and_a_phone_behind_a_trunk_hear_each_other_and_keys_in_each_codec() {
    at_once(Engine::ALL, |engine| {
        let options = Options {
            microphone_hz: Some(GUEST_HZ),
            ..Options::new(engine)
        };
        let tables = trunk("desks", &DESK.address(), 10) + &link("support", "desk");
        let Some(guest) = Guest::start(&options, &tables) else {
            return;
        };
        for (count, (codec, sound, name)) in (1..).zip(CODECS) {
            let account = account("desk", &DESK.address(), PLAIN, codec);
            let says = tone::wav_of(DESK.tone_hz, 20, sound);
            let callee = DESK.start_saying(&says, &account, &guest.world, 60, None);
            let mut phone = Control::open(&DESK);
            let page = guest.call("support");
            page.await_tone(SOUND, DESK.tone_hz);
            // The phone hears as long as this looks.
            page.probe("sound", &json!({ "selector": SOUND, "window_ms": 3000 }));
            let heard = page.statistics();
            // The phone knows no other, so nobody between has made one of another.
            for way in ["received", "sent"] {
                let rows = heard[0][way].as_array().cloned().unwrap_or_default();
                let audio = rows.iter().find(|row| row["kind"] == "audio");
                let spoken = audio.map(|row| &row["codec"]);
                assert_eq!(spoken, Some(&json!(name)), "{engine:?}: {way}: {heard:#}");
            }
            // Events are counted by 8,000 a second at the phone, and by 48,000 at a page that speaks Opus.
            expect_keys_at(&page, &mut phone, &format!("{engine:?}: {codec}"));
            page.log().expect_clean();
            phone.order("hangup");
            page.await_state(&["ended"]);
            let samples = DESK.heard(&guest.world);
            let (clear, of) = tone::clear_tenths(&samples, GUEST_HZ);
            assert!(
                clear >= 15 && clear * 3 >= of * 2,
                "{engine:?}: {codec}: the phone hears its guest in {clear} of {of} tenths of a second\n{heard:#}"
            );
            let calls = guest.gateway.closed_calls(count);
            assert_eq!(calls[0]["status"], 200, "{calls:?}");
            was_sealed(&calls[0]);
            page.close();
            // The next phone has the place of this one, and records where this one has.
            drop(callee);
            fs::remove_dir_all(guest.world.file("desk/rec")).expect("a folder");
        }
    });
}

/// What a guest says.
const GUEST_HZ: f64 = 660.0;
