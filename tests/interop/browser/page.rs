//! One tab of a browser: what a guest does in it, and what a test looks at.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::browser::sound::Sound;
use crate::browser::{Browser, PATIENCE};

/// A screen, and who sits before it.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    pub(crate) screen: Screen,
    /// Instead of the browser's own. Chromium only.
    pub(crate) language: Option<&'static str>,
    /// Chromium only.
    pub(crate) is_dark: Option<bool>,
    /// Instead of what the browser grants. Chromium only.
    pub(crate) granted: Option<&'static [&'static str]>,
    /// Names that this browser shall not know, as an old one: `RTCPeerConnection`, `navigator.mediaDevices`.
    pub(crate) lacking: &'static [&'static str],
}

/// Its size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Screen {
    #[default]
    Desktop,
    /// Upright, with touch.
    Phone,
    /// As a frame of somebody's site gives it.
    Sized(u32, u32),
}

/// An open tab.
#[derive(Debug)]
pub(crate) struct Page<'browser> {
    browser: &'browser Browser,
    name: String,
    /// The iframe that it is about, where it is not the whole page.
    frame: Option<&'static str>,
    /// Status of the response that opened it.
    pub(crate) status: i64,
    /// Header fields of that response, names in lower case.
    pub(crate) headers: Value,
}

/// What a page fetched and said.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) all: Value,
}

impl Log {
    /// `console`, `violations` (of the content security policy), `failed`, `foreign` (requests).
    pub(crate) fn count(&self, kind: &str) -> usize {
        self.all[kind].as_array().map_or(0, Vec::len)
    }

    /// Fails where anything went wrong, or to somebody else.
    pub(crate) fn expect_clean(&self) {
        for kind in ["console", "violations", "failed", "foreign"] {
            assert_eq!(self.count(kind), 0, "{kind}: {:#}", self.all);
        }
    }
}

impl<'browser> Page<'browser> {
    pub(super) fn open(browser: &'browser Browser, name: String, url: &str, view: &View) -> Self {
        let mut page = Self {
            browser,
            name,
            frame: None,
            status: 0,
            headers: Value::Null,
        };
        let (width, height) = match view.screen {
            Screen::Desktop => (1280, 800),
            Screen::Phone => (390, 844),
            Screen::Sized(width, height) => (width, height),
        };
        let is_phone = view.screen == Screen::Phone;
        let mut opened = page.ask(json!({
            "do": "open",
            "url": url,
            "viewport": { "width": width, "height": height, "phone": is_phone },
            "language": view.language,
            "colours": view.is_dark.map(|is_dark| if is_dark { "dark" } else { "light" }),
            "permissions": view.granted,
            "lacking": view.lacking,
        }));
        page.status = opened["status"].as_i64().unwrap_or(0);
        page.headers = opened["headers"].take();
        page
    }

    /// The document of an iframe in it.
    pub(crate) fn within(&self, frame: &'static str) -> Self {
        Self {
            browser: self.browser,
            name: self.name.clone(),
            frame: Some(frame),
            status: self.status,
            headers: Value::Null,
        }
    }

    fn ask(&self, command: Value) -> Value {
        self.ask_within(PATIENCE, command)
    }

    fn ask_within(&self, patience: Duration, mut command: Value) -> Value {
        command["page"] = json!(self.name);
        command["frame"] = json!(self.frame);
        self.browser.ask_within(patience, &command)
    }

    /// Waits until the page's root says one of these states by `data-state`, and gives which.
    pub(crate) fn await_state(&self, states: &[&str]) -> String {
        let state = self.ask(json!({ "do": "wait", "states": states }));
        state.as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn await_text(&self, text: &str) {
        self.ask(json!({ "do": "wait", "text": text }));
    }

    /// Waits until it is there and seen.
    pub(crate) fn await_selector(&self, selector: &str) {
        self.ask(json!({ "do": "wait", "selector": selector }));
    }

    /// Each state it had, and how many milliseconds after its beginning.
    pub(crate) fn states(&self) -> Vec<(String, f64)> {
        let history = self.probe("history", &json!({}));
        let rows = history.as_array().cloned().unwrap_or_default();
        rows.iter()
            .map(|row| {
                let state = row["state"].as_str().unwrap_or_default();
                (state.to_owned(), row["at_ms"].as_f64().unwrap_or(f64::NAN))
            })
            .collect()
    }

    pub(crate) fn click(&self, selector: &str) {
        self.ask(json!({ "do": "click", "selector": selector }));
    }

    /// A key by its name: `Tab`, `Enter`, `5`.
    pub(crate) fn press(&self, key: &str) {
        self.ask(json!({ "do": "press", "key": key }));
    }

    /// The body of an async function, with its result.
    pub(crate) fn evaluate(&self, body: &str) -> Value {
        self.ask(json!({ "do": "evaluate", "body": body }))
    }

    /// Everything that is to be read on it.
    pub(crate) fn text(&self) -> String {
        let text = self.evaluate("return document.body.innerText");
        text.as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn screenshot(&self, path: &Path) {
        self.ask(json!({ "do": "screenshot", "path": path }));
    }

    /// One of the probes of `inside.js`.
    pub(crate) fn probe(&self, name: &str, options: &Value) -> Value {
        self.ask(json!({ "do": "probe", "name": name, "options": options }))
    }

    /// What the element plays at the moment.
    pub(crate) fn sound(&self, selector: &str) -> Sound {
        Sound::read(&self.probe("sound", &json!({ "selector": selector })))
    }

    /// Waits until this element plays that tone and hardly anything else.
    pub(crate) fn await_tone(&self, selector: &str, hz: f64) -> Sound {
        self.await_sound(selector, &format!("{hz} Hz"), |sound| sound.is_tone(hz))
    }

    /// Waits until it plays nothing.
    pub(crate) fn await_silence(&self, selector: &str) -> Sound {
        self.await_sound(selector, "silence", Sound::is_silent)
    }

    fn await_sound(&self, selector: &str, what: &str, is_it: impl Fn(&Sound) -> bool) -> Sound {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let sound = self.sound(selector);
            if is_it(&sound) {
                return sound;
            }
            if Instant::now() < deadline {
                continue;
            }
            let microphone = Sound::read(&self.probe("sound", &json!({ "from": "microphone" })));
            panic!(
                "{selector}: {what} did not come: {sound:?}\nat the microphone: {microphone:?}\n{:#}",
                self.statistics()
            );
        }
    }

    /// What an element of video shows: `width`, `height`, `brightness`, `spread`, `motion`; null without one.
    pub(crate) fn picture(&self, selector: &str) -> Value {
        self.probe("picture", &json!({ "selector": selector }))
    }

    /// Of each of its peer connections: codecs, packets, frames, candidates, keys.
    pub(crate) fn statistics(&self) -> Value {
        self.probe("statistics", &json!({}))
    }

    pub(crate) fn log(&self) -> Log {
        Log {
            all: self.ask(json!({ "do": "log" })),
        }
    }

    /// Octets that it took from the network. Chromium only.
    pub(crate) fn octets(&self) -> u64 {
        let octets = &self.log().all["transferred"];
        octets.as_u64().unwrap_or_else(|| panic!("{octets}"))
    }

    /// Violations of accessibility rules by axe-core.
    pub(crate) fn barriers(&self) -> Vec<Value> {
        let found = self.ask(json!({ "do": "axe" }));
        found.as_array().cloned().expect("a list")
    }

    /// Takes the network away from this page, or gives it back. Chromium only; a change of networks is
    /// [`super::network::Network`]'s.
    pub(crate) fn be_offline(&self, is_offline: bool) {
        self.ask(json!({ "do": "offline", "on": is_offline }));
    }

    /// The tab is closed by its user.
    pub(crate) fn close(self) {
        self.ask(json!({ "do": "close", "goodbye": true }));
    }

    /// The tab is gone without a word to the page.
    pub(crate) fn vanish(self) {
        self.ask(json!({ "do": "close" }));
    }
}
