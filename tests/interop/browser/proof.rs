//! The browsers and what we measure in them, against pages of our own: what is there is found, and what is not
//! there is not.

use std::time::Duration;

use nix::sys::signal::killpg;
use serde_json::{Value, json};

use crate::browser::network::{GATEWAY, Network, Way};
use crate::browser::page::{Page, Screen, View};
use crate::browser::site::Site;
use crate::browser::{Browser, Engine, Options};
use crate::gateway::at_once;
use crate::world::{World, until};

const PAGES: &[(&str, &str, &str)] = &[
    ("/loop.html", HTML, include_str!("pages/loop.html")),
    ("/loop.css", "text/css", include_str!("pages/loop.css")),
    ("/loop.js", SCRIPT, include_str!("pages/loop.js")),
    ("/wrong.html", HTML, include_str!("pages/wrong.html")),
    ("/wrong.js", SCRIPT, include_str!("pages/wrong.js")),
    ("/frame.html", HTML, include_str!("pages/frame.html")),
];
const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The element that plays what the far end hears.
const FAR: &str = "#far";

/// A guest's machine: with a site of its own, because a page of a strange host by HTTP gets no microphone.
struct Machine {
    browser: Browser,
    site: Site,
    /// Last: the browser has ended when its folder goes.
    world: World,
}

fn start(options: &Options) -> Option<Machine> {
    let world = World::open(&["ip"])?;
    let network = Network::new();
    let site = network.inside(|| Site::new("127.0.0.1", PAGES));
    let browser = Browser::start(&world, &network, options)?;
    Some(Machine {
        world,
        site,
        browser,
    })
}

/// Calls itself and waits until it is connected.
fn connect(page: &Page<'_>) {
    page.click("#call");
    let state = page.await_state(&["connected", "failed"]);
    assert_eq!(
        state,
        "connected",
        "{}\n{:#}",
        page.text(),
        page.statistics()
    );
}

#[test]
fn a_tone_at_the_microphone_is_found_at_the_far_side_and_silence_is_not() {
    at_once(Engine::ALL, |engine| {
        let options = Options {
            microphone_hz: Some(660.0),
            ..Options::new(engine)
        };
        let Some(machine) = start(&options) else {
            return;
        };
        let Machine { site, browser, .. } = &machine;
        let page = browser.open(&site.url("/loop.html"));
        let before = page.sound(FAR);
        assert!(!before.is_tone(660.0) && !before.is_silent(), "{before:?}");
        connect(&page);
        let sound = page.await_tone(FAR, 660.0);
        assert!(
            !sound.is_tone(440.0) && !sound.is_silent(),
            "{engine:?}: {sound:?}"
        );
        page.evaluate("captured.getAudioTracks()[0].enabled = false");
        let silence = page.await_silence(FAR);
        assert!(!silence.is_tone(660.0), "{engine:?}: {silence:?}");
        page.evaluate("captured.getAudioTracks()[0].enabled = true");
        page.await_tone(FAR, 660.0);
        let states = page.states();
        let names: Vec<&str> = states.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names.first(), Some(&"idle"), "{states:?}");
        assert_eq!(names.last(), Some(&"connected"), "{states:?}");
        page.log().expect_clean();
    });
}

#[test]
fn a_picture_at_the_camera_moves_at_the_far_side_and_is_black_without_it() {
    at_once(
        [(Engine::Chromium, "H264"), (Engine::Firefox, "VP8")],
        |(engine, codec)| {
            let Some(machine) = start(&Options::new(engine)) else {
                return;
            };
            let Machine { site, browser, .. } = &machine;
            let page = browser.open(&site.url(&format!("/loop.html?video={codec}")));
            // By keyboard.
            page.await_selector("#call:not(:focus)");
            page.press("Tab");
            page.await_selector("#call:focus");
            page.press("Enter");
            assert_eq!(page.await_state(&["connected", "failed"]), "connected");
            let mut picture = Value::Null;
            let motion = |picture: &Value| picture["motion"].as_f64().unwrap_or(0.0);
            until("a picture that moves", Duration::from_secs(15), || {
                picture = page.picture("#seen");
                motion(&picture) > 0.5
            });
            let statistics = page.statistics();
            let ends = statistics.as_array().expect("two connections");
            let video = |row: &&Value| row["kind"] == "video";
            let rows = |kind: &str| {
                ends.iter()
                    .find_map(|end| end[kind].as_array()?.iter().find(video).cloned())
            };
            let received = rows("received").expect("a stream of video");
            assert_eq!(received["codec"], format!("video/{codec}"), "{received}");
            assert!(received["frames_decoded"].as_u64() > Some(0), "{received}");
            let [near, _far] = ends.as_slice() else {
                panic!("{statistics:#}");
            };
            assert_eq!(near["dtls"]["state"], "connected", "{near:#}");
            assert!(near["dtls"]["srtp"].is_string(), "{near:#}");
            assert_eq!(near["pair"]["local"]["protocol"], "udp", "{near:#}");

            page.evaluate("captured.getVideoTracks()[0].enabled = false");
            until("a black picture", Duration::from_secs(10), || {
                picture = page.picture("#seen");
                picture["brightness"].as_f64() < Some(8.0) && motion(&picture) < 0.5
            });
        },
    );
}

#[test]
fn a_page_knows_that_there_is_no_microphone_or_that_it_may_not_hear_it() {
    at_once(Engine::ALL, |engine| {
        let none = Options {
            microphone_hz: None,
            cameras: 0,
            ..Options::new(engine)
        };
        let refused = Options {
            granted: &[],
            ..Options::new(engine)
        };
        for (options, error) in [(none, "NotFoundError"), (refused, "NotAllowedError")] {
            let Some(machine) = start(&options) else {
                return;
            };
            let Machine { site, browser, .. } = &machine;
            let page = browser.open(&site.url("/loop.html"));
            page.click("#call");
            assert_eq!(page.await_state(&["failed", "connected"]), "failed");
            page.await_text(error);
        }
    });
}

#[test]
fn a_device_that_is_pulled_out_is_gone_until_it_comes_back() {
    let options = Options {
        cameras: 2,
        ..Options::new(Engine::Chromium)
    };
    let Some(machine) = start(&options) else {
        return;
    };
    let Machine { site, browser, .. } = &machine;
    let page = browser.open(&site.url("/loop.html?video=VP8"));
    connect(&page);
    let count = |kind: &str| {
        let count = "return (await navigator.mediaDevices.enumerateDevices()).filter";
        page.evaluate(&format!(
            "{count}(({{ kind }}) => kind === '{kind}').length"
        ))
    };
    assert_eq!(count("videoinput"), 2);
    let sent = page.probe("senders", &json!({}));
    let is_live = |sent: &Value| [0, 1].map(|at| sent[at]["is_live"] == true);
    assert_eq!(is_live(&sent), [true, true], "{sent}");
    assert!(sent[0]["device"].is_string(), "{sent}");
    page.probe("unplug", &json!({ "kind": "video" }));
    let sent = page.probe("senders", &json!({}));
    assert_eq!(is_live(&sent), [true, false], "{sent}");
    assert_eq!(count("videoinput"), 1);
    page.probe("unplug", &json!({ "kind": "audio", "all": true }));
    assert_eq!(count("audioinput"), 0);
    let speakers = count("audiooutput").as_i64().expect("a number");
    let last = "return (await navigator.mediaDevices.enumerateDevices()).findLast(({ kind }) => kind === 'audiooutput').deviceId";
    page.probe("unplug", &json!({ "device": page.evaluate(last) }));
    assert_eq!(count("audiooutput"), speakers - 1);
    let again = "return navigator.mediaDevices.getUserMedia({ audio: true }).then(() => 'given', ({ name }) => name)";
    assert_eq!(page.evaluate(again), "NotFoundError");
    page.probe("plug_in", &json!({}));
    assert_eq!(page.evaluate(again), "given");
}

#[test]
fn what_is_wrong_with_a_page_is_found_and_nothing_in_one_that_is_well() {
    at_once(Engine::ALL, |engine| {
        let Some(Machine {
            world,
            site,
            browser,
        }) = start(&Options::new(engine))
        else {
            return;
        };
        let page = browser.open(&site.url("/wrong.html"));
        page.await_state(&["wrong"]);
        let mut log = page.log();
        until("the end of its requests", Duration::from_secs(5), || {
            log = page.log();
            log.count("failed") == 2
        });
        assert!(
            log.all["console"].to_string().contains("something broke"),
            "{:#}",
            log.all
        );
        assert_eq!(log.count("violations"), 1, "{:#}", log.all);
        assert_eq!(log.count("foreign"), 1, "{:#}", log.all);
        assert_eq!(page.evaluate("return window.inline ?? null"), Value::Null);
        let barriers = page.barriers();
        let names: Vec<&str> = barriers
            .iter()
            .filter_map(|found| found["id"].as_str())
            .collect();
        for name in ["button-name", "image-alt", "html-has-lang"] {
            assert!(names.contains(&name), "{engine:?}: {names:?}");
        }

        let well = browser.open(&site.url("/loop.html"));
        assert_eq!(well.barriers(), Vec::<Value>::new());
        well.log().expect_clean();
        let picture = world.file("well.png");
        well.screenshot(&picture);
        let octets = std::fs::read(&picture).expect("a picture");
        assert!(octets.starts_with(b"\x89PNG") && octets.len() > 1000);
        if engine == Engine::Chromium {
            // Header fields count, too.
            let text: usize = PAGES.iter().take(3).map(|(_, _, text)| text.len()).sum();
            let octets = usize::try_from(well.octets()).expect("few");
            assert!((text..text + 2000).contains(&octets), "{octets} of {text}");
        }
    });
}

/// What a guest's machine is, a page sees: in Chromium per page, in Firefox per browser.
#[test]
fn a_page_has_the_screen_language_colours_and_age_that_a_test_gives_it() {
    const SEEN: &str = "return [navigator.language, matchMedia('(prefers-color-scheme: dark)').matches, \
                        innerWidth, typeof RTCPeerConnection]";
    at_once(Engine::ALL, |engine| {
        let options = Options {
            language: "ar",
            is_dark: true,
            ..Options::new(engine)
        };
        let Some(machine) = start(&options) else {
            return;
        };
        let Machine { site, browser, .. } = &machine;
        let url = site.url("/loop.html");
        let page = browser.open(&url);
        assert_eq!(page.evaluate(SEEN), json!(["ar", true, 1280, "function"]));
        let old = View {
            screen: Screen::Sized(448, 322),
            lacking: &["RTCPeerConnection"],
            ..View::default()
        };
        let page = browser.open_as(&url, &old);
        assert_eq!(page.evaluate(SEEN), json!(["ar", true, 448, "undefined"]));
        if engine == Engine::Chromium {
            let other = View {
                screen: Screen::Phone,
                language: Some("de"),
                is_dark: Some(false),
                granted: Some(&["camera"]),
                ..View::default()
            };
            let page = browser.open_as(&url, &other);
            assert_eq!(page.evaluate(SEEN), json!(["de", false, 390, "function"]));
            page.click("#call");
            assert_eq!(page.await_state(&["failed", "connected"]), "failed");
        }
    });
}

#[test]
fn a_frame_in_a_page_is_a_page_of_its_own_and_its_messages_are_heard() {
    let Some(machine) = start(&Options::new(Engine::Chromium)) else {
        return;
    };
    let Machine { site, browser, .. } = &machine;
    let page = browser.open(&site.url("/frame.html"));
    let frame = page.within("iframe");
    connect(&frame);
    frame.await_tone(FAR, 440.0);
    let messages = page.probe("heard_messages", &json!({}));
    let last = messages.as_array().and_then(|all| all.last());
    let event = last.map(|message| &message["data"]["event"]);
    assert_eq!(event, Some(&json!("connected")), "{messages}");
}

#[test]
fn a_browser_walks_from_one_network_into_another() {
    let Some(world) = World::open(&["ip"]) else {
        return;
    };
    let network = Network::new();
    let site = Site::new(GATEWAY, PAGES);
    let options = Options::new(Engine::Chromium);
    let Some(browser) = Browser::start(&world, &network, &options) else {
        return;
    };
    let page = browser.open(&site.url("/loop.html"));
    let comes_from = |way: Way| {
        let address = page.evaluate("return (await fetch('/whoami')).text()");
        assert_eq!(address, way.address());
    };
    comes_from(Way::Wifi);
    network.leave(Way::Wifi);
    comes_from(Way::Mobile);
    network.come(Way::Wifi);
    comes_from(Way::Wifi);
    let is_online = || page.evaluate("return navigator.onLine");
    page.be_offline(true);
    assert_eq!(is_online(), false);
    page.be_offline(false);
    assert_eq!(is_online(), true);
}

/// What is not possible is an error, and a wait in vain says what was seen instead.
#[test]
fn a_browser_says_what_it_cannot_do_and_is_gone_with_all_of_its_processes() {
    at_once(Engine::ALL, |engine| {
        let Some(machine) = start(&Options::new(engine)) else {
            return;
        };
        let Machine { site, browser, .. } = &machine;
        let page = browser.open(&site.url("/loop.html"));
        assert_eq!(page.status, 200);
        assert_eq!(page.headers["content-type"], HTML);
        let refusal = |mut command: Value| {
            command["page"] = json!("0");
            let answer = browser.try_ask(Duration::from_secs(1), &command);
            answer.expect_err("not possible")
        };
        let error = refusal(json!({ "do": "wait", "text": "nowhere" }));
        assert!(error.contains("One browser calls itself"), "{error}");
        let error = refusal(json!({ "do": "dance" }));
        assert!(error.contains("unknown: dance"), "{error}");
        if engine == Engine::Firefox {
            let error = refusal(json!({ "do": "offline", "on": true }));
            assert!(error.contains("lacks"), "{error}");
        }
        page.close();
        browser.open(&site.url("/loop.html")).vanish();
        let group = browser.group();
        assert!(killpg(group, None).is_ok(), "{engine:?} runs");
        machine.browser.kill();
        until("the end of its processes", Duration::from_secs(10), || {
            killpg(group, None).is_err()
        });
    });
}
