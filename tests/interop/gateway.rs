//! The gateway under test: configuration, start, CLI, CDRs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use serde_json::Value;

use crate::world::{Process, World, until};

/// Where the gateway of every test listens.
pub(crate) const SIP: &str = "127.0.0.1:5060";
pub(crate) const HTTP: &str = "127.0.0.1:8080";
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_sluice");

/// A gateway, its configuration file and its data folder.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) process: Process,
    config: PathBuf,
}

/// A trunk of a test: short timers, no OPTIONS.
pub(crate) fn trunk(label: &str, target: &str, priority: u16) -> String {
    format!(
        "[[trunk]]\nlabel = \"{label}\"\ntargets = [\"{target}\"]\npriority = {priority}\n\
         response_timeout_s = 0.4\nprogress_timeout_s = 2\nring_timeout_s = 10\n\
         options_interval_up_s = 0\n\n"
    )
}

/// A link without more.
pub(crate) fn link(request_path: &str, destination: &str) -> String {
    format!("[[link]]\nrequest_path = \"{request_path}\"\ndestination = \"{destination}\"\n\n")
}

/// A configuration: who may call is 127.0.0.1 alone; peers behind trunks have other addresses.
pub(crate) fn write_config(world: &World, media: &str, tables: &str) -> PathBuf {
    let data = world.file("data");
    let text = format!(
        "[node]\ndata = \"{}\"\ndrain_s = 0\n[sip]\nlisten = [\"{SIP}\"]\ndomain = \"sluice.test\"\n\
         [http]\nlisten = [\"{HTTP}\"]\nresolve_open = true\n[media]\nports = \"10000-19999\"\n\
         browser_port = 0\n{media}\n\
         [[source]]\nname = \"phones\"\nnetworks = [\"127.0.0.1/32\"]\nlinks = \"all\"\n\n{tables}",
        data.display()
    );
    world.write("sluice.toml", &text)
}

/// The way packets go between the kernel and us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    /// The best that the host allows, which is what nodes have that say nothing.
    Best,
    Epoll,
}

impl Backend {
    /// The line under `[media]`.
    pub(crate) const fn line(self) -> &'static str {
        match self {
            Self::Best => "",
            Self::Epoll => "backend = \"epoll\"",
        }
    }
}

/// The same over each backend, at once: each has a thread, and so a network, of its own.
pub(crate) fn on_each_backend(test: impl Fn(Backend) + Sync) {
    at_once([Backend::Best, Backend::Epoll], test);
}

/// One test of several cases, at once.
pub(crate) fn at_once<Case: Send>(
    cases: impl IntoIterator<Item = Case>,
    test: impl Fn(Case) + Sync,
) {
    let test = &test;
    std::thread::scope(|scope| {
        for case in cases {
            scope.spawn(move || test(case));
        }
    });
}

impl Gateway {
    /// The same on this backend, which the log has to name.
    pub(crate) fn start_on(world: &World, backend: Backend, tables: &str) -> Self {
        let gateway = Self::start_with(world, write_config(world, backend.line(), tables));
        gateway.expect_on(backend);
        gateway
    }

    /// Fails unless its media runs on what was asked for.
    pub(crate) fn expect_on(&self, backend: Backend) {
        let said = self.process.said();
        let is_epoll = said.contains("Sluice is ready (epoll");
        let is_required = std::env::var("SLUICE_INTEROP").is_ok_and(|word| word == "require");
        match backend {
            Backend::Epoll => assert!(is_epoll, "{said}"),
            Backend::Best if is_epoll && !is_required => {
                println!("io_uring: not run, this host refuses it");
            }
            Backend::Best => assert!(!is_epoll, "{said}"),
        }
    }

    /// Starts a gateway with these tables and waits until it serves.
    pub(crate) fn start(world: &World, tables: &str) -> Self {
        Self::start_with(world, write_config(world, "", tables))
    }

    /// Starts a gateway with this configuration and waits until it serves.
    pub(crate) fn start_with(world: &World, config: PathBuf) -> Self {
        Self::start_under(world, config, &[])
    }

    /// The same by a program that takes something away first, and then becomes what it is given.
    pub(crate) fn start_under(world: &World, config: PathBuf, program: &[&str]) -> Self {
        let mut process = spawn_under(world, &config, program);
        until(
            "the gateway's word that it is ready",
            Duration::from_secs(20),
            || {
                assert!(process.runs(), "the gateway ended:\n{}", process.said());
                process.said().contains("Sluice is ready")
            },
        );
        Self { process, config }
    }

    /// The latest calls with their attempts, latest first.
    pub(crate) fn calls(&self) -> Vec<Value> {
        let text = self.run(&["cdr", "list", "--json", "--calls", "1000"]);
        let value: Value = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("cdr list --json: {error}: {text}"));
        value
            .as_array()
            .cloned()
            .unwrap_or_else(|| panic!("not a list: {text}"))
    }

    /// Waits until `count` calls are closed, and gives all calls.
    pub(crate) fn closed_calls(&self, count: usize) -> Vec<Value> {
        let mut calls = Vec::new();
        until(
            &format!("{count} closed calls"),
            Duration::from_secs(10),
            || {
                calls = self.calls();
                calls
                    .iter()
                    .filter(|call| !call["closed_at"].is_null())
                    .count()
                    >= count
            },
        );
        calls
    }

    /// Runs a command of the CLI and gives what it printed.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        cli(&self.config, arguments)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.process.id(), signal).expect("the gateway runs");
    }
}

/// Runs a command of the CLI and gives what it printed.
pub(crate) fn cli(config: &Path, arguments: &[&str]) -> String {
    let output = Command::new(BINARY)
        .args(arguments)
        .arg("--config")
        .arg(config)
        .output()
        .expect("the CLI");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "sluice {arguments:?}: {error}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Starts the gateway without waiting for anything.
pub(crate) fn spawn(world: &World, config: &Path) -> Process {
    spawn_under(world, config, &[])
}

/// The same by a program that takes something away first, and then becomes what it is given.
pub(crate) fn spawn_under(world: &World, config: &Path, program: &[&str]) -> Process {
    let words = [program, &[BINARY, "serve", "--config"]].concat();
    let (first, others) = words.split_first().expect("a program");
    world.start("sluice", Command::new(first).args(others).arg(config))
}

/// Attempts of a call, as `trunk label or local -> status`.
pub(crate) fn attempt_statuses(call: &Value) -> Vec<i64> {
    let attempts = call["attempts"].as_array().cloned().unwrap_or_default();
    attempts
        .iter()
        .map(|attempt| attempt["status"].as_i64().unwrap_or(-1))
        .collect()
}
