//! Real browsers, headless: what a guest does in a page, hears and sees. A browser is a process of its own
//! beside each test, started by the program in `driver`, which takes lines of JSON: `Browser` asks, and `Page`
//! (one tab) has a method for each thing that a test does or wants to know.
//!
//! `guest` is one before the gateway. `proof` shows that this finds what it looks for, and says so when it is not there; it needs no gateway.
//! What a browser lacks is an error of the driver, never a silence.

mod bad_line;
mod begins;
mod devices;
mod ends;
mod guest;
mod held;
mod keypad;
mod network;
mod page;
mod proof;
mod site;
mod sound;
mod states;
mod test_picture;
mod turn;
mod video;
mod widget;

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::browser::network::{GATEWAY, Network};
use crate::browser::page::{Page, View};
use crate::tone;
use crate::world::{World, find, not_run};

/// How long a step of a guest may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// A cold start reads hundreds of megabytes.
const START_PATIENCE: Duration = Duration::from_secs(40);

/// Whose code it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Chromium,
    Firefox,
}

impl Engine {
    pub(crate) const ALL: [Self; 2] = [Self::Chromium, Self::Firefox];

    const fn name(self) -> &'static str {
        match self {
            Self::Chromium => "chromium",
            Self::Firefox => "firefox",
        }
    }

    const fn program(self) -> &'static str {
        match self {
            Self::Chromium => "chromium",
            Self::Firefox => "firefox-esr",
        }
    }
}

/// The machine and the user that a browser has. The default: a microphone that is silent about nothing (a tone
/// of 440 Hz), a camera, both granted, English, light.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) engine: Engine,
    /// What its microphone hears, in Hz. `None`: there is no microphone.
    pub(crate) microphone_hz: Option<f64>,
    pub(crate) cameras: u8,
    /// Hosts that this machine finds at the gateway.
    pub(crate) names: &'static [&'static str],
    /// Of `microphone` and `camera`; the others are refused.
    pub(crate) granted: &'static [&'static str],
    pub(crate) language: &'static str,
    pub(crate) is_dark: bool,
}

impl Options {
    pub(crate) const fn new(engine: Engine) -> Self {
        Self {
            engine,
            microphone_hz: Some(440.0),
            cameras: 1,
            names: &[],
            granted: &["microphone", "camera"],
            language: "en",
            is_dark: false,
        }
    }
}

/// A browser that runs. It ends with this.
#[derive(Debug)]
pub(crate) struct Browser {
    engine: Engine,
    driver: Child,
    log: PathBuf,
    /// The process group of the browser.
    group: Pid,
    line: RefCell<Line>,
    /// What the first page is called, the second, …
    pages: RefCell<u32>,
}

/// The way to the driver and back.
#[derive(Debug)]
struct Line {
    /// `None`: hung up, and the driver ends.
    to: Option<ChildStdin>,
    from: Receiver<String>,
    last_id: u64,
}

impl Browser {
    /// Starts one in a guest's network. `None`: something is not installed, and that has been said.
    pub(crate) fn start(world: &World, network: &Network, options: &Options) -> Option<Self> {
        let program = options.engine.program();
        let Some(executable) = find(program) else {
            return not_run(&format!("{program} missing"));
        };
        let node = find("node").or_else(|| not_run("node missing"))?;
        let modules = modules()?;
        let name = unused_name(world, options.engine.name());
        let log = world.file(&format!("{name}.log"));
        let mut command = Command::new(node);
        command
            .arg(source_folder().join("main.mjs"))
            .arg(modules)
            .current_dir(world.file(""))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).expect("a log"));
        let driver = network.inside(|| command.spawn());
        let mut driver = driver.unwrap_or_else(|error| panic!("start node: {error}"));
        let line = RefCell::new(Line::to(&mut driver));
        let mut browser = Self {
            engine: options.engine,
            driver,
            log,
            group: Pid::from_raw(0),
            line,
            pages: RefCell::new(0),
        };
        let started = browser.ask_within(
            START_PATIENCE,
            &start_command(world, &name, options, &executable),
        );
        let id = started["pid"]
            .as_i64()
            .and_then(|id| i32::try_from(id).ok());
        browser.group = Pid::from_raw(id.expect("a process id"));
        Some(browser)
    }

    /// Opens a page as most guests see it, and waits until it has loaded.
    pub(crate) fn open(&self, url: &str) -> Page<'_> {
        self.open_as(url, &View::default())
    }

    /// The same with another screen, language or taste.
    pub(crate) fn open_as(&self, url: &str, view: &View) -> Page<'_> {
        let name = self.pages.replace_with(|count| *count + 1).to_string();
        Page::open(self, name, url, view)
    }

    /// The whole browser is gone at once: the power of the guest's machine failed.
    pub(crate) fn kill(self) {
        drop(self);
    }

    /// Its process group.
    pub(crate) const fn group(&self) -> Pid {
        self.group
    }

    /// Asks the driver; fails the test with what it says.
    pub(crate) fn ask_within(&self, patience: Duration, command: &Value) -> Value {
        match self.try_ask(patience, command) {
            Ok(value) => value,
            Err(error) => panic!("{:?}: {command}\n{error}\n{}", self.engine, self.said()),
        }
    }

    /// The answer, or why there is none.
    pub(crate) fn try_ask(&self, patience: Duration, command: &Value) -> Result<Value, String> {
        let mut line = self.line.borrow_mut();
        let id = line.say(patience, command)?;
        // The driver has a deadline of its own, and says what a page showed meanwhile.
        let deadline = Instant::now() + patience + Duration::from_secs(10);
        loop {
            let mut answer = line.hear(deadline)?;
            if answer["id"].as_u64() != Some(id) {
                continue;
            }
            if let Some(error) = answer["error"].as_str() {
                return Err(error.to_owned());
            }
            return Ok(answer["value"].take());
        }
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Line {
    fn to(driver: &mut Child) -> Self {
        let (sender, from) = channel();
        let output = driver.stdout.take().expect("a pipe");
        std::thread::spawn(move || {
            for text in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(text).is_err() {
                    return;
                }
            }
        });
        Self {
            to: driver.stdin.take(),
            from,
            last_id: 0,
        }
    }

    /// The number of this question.
    fn say(&mut self, patience: Duration, command: &Value) -> Result<u64, String> {
        self.last_id += 1;
        let mut command = command.clone();
        command["id"] = json!(self.last_id);
        if command["timeout_ms"].is_null() {
            command["timeout_ms"] = json!(u64::try_from(patience.as_millis()).unwrap_or(u64::MAX));
        }
        let pipe = self.to.as_mut().ok_or("the browser was ended")?;
        writeln!(pipe, "{command}").map_err(|error| format!("the driver ended: {error}"))?;
        Ok(self.last_id)
    }

    fn hear(&self, deadline: Instant) -> Result<Value, String> {
        let left = deadline.saturating_duration_since(Instant::now());
        let text = self.from.recv_timeout(left).map_err(|error| match error {
            RecvTimeoutError::Timeout => "the driver says nothing".to_owned(),
            RecvTimeoutError::Disconnected => "the driver ended".to_owned(),
        })?;
        serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver kills the browser when its input ends. Where it hangs, both are killed from here.
        self.line.borrow_mut().to = None;
        let deadline = Instant::now() + Duration::from_secs(5);
        let wait = |is_over: &mut dyn FnMut() -> bool| {
            while !is_over() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(10));
            }
        };
        wait(&mut || matches!(self.driver.try_wait(), Ok(Some(_))));
        self.driver.kill().ok();
        self.driver.wait().ok();
        if self.group.as_raw() > 1 {
            killpg(self.group, Signal::SIGKILL).ok();
            // What still dies writes into the folder of the test.
            wait(&mut || killpg(self.group, None).is_err());
        }
    }
}

fn start_command(world: &World, name: &str, options: &Options, executable: &Path) -> Value {
    let microphone = options.microphone_hz.map(|hz| {
        let wav = world.file(&format!("{name}.wav"));
        // Whole periods: it is played in a loop.
        fs::write(&wav, tone::wav_of(hz, 2, (48_000, 1))).expect("a file");
        json!({ "wav": wav, "hz": hz })
    });
    json!({
        "do": "start",
        "browser": options.engine.name(),
        "executable": executable,
        "folder": world.file(name),
        "microphone": microphone,
        "cameras": options.cameras,
        "names": options.names.iter().map(|name| format!("MAP {name} {GATEWAY}")).collect::<Vec<_>>(),
        "permissions": options.granted,
        "language": options.language,
        "colours": if options.is_dark { "dark" } else { "light" },
    })
}

/// A test may start the same one twice.
fn unused_name(world: &World, name: &str) -> String {
    (1..)
        .map(|number| format!("{name}-{number}"))
        .find(|name| !world.file(&format!("{name}.log")).exists())
        .expect("a number")
}

fn source_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/browser/driver")
}

/// The packages of the driver, where they are those of its lock file.
fn modules() -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent()?;
    let folder = target.join("browser-driver");
    let locked = fs::read(source_folder().join("package-lock.json")).expect("a file of the tree");
    let is_current = fs::read(folder.join("installed.json")).is_ok_and(|found| found == locked);
    if !is_current {
        return not_run("the packages that drive browsers are missing: .ci/need browsers");
    }
    Some(folder.join("node_modules"))
}
