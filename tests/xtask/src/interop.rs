//! `cargo interop`: the tests against real peers, one at a time: they own ports and processes. What takes a
//! minute and waits all the while (the module `long`) runs beside them, in a process of its own.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;

use anyhow::{Context as _, Result, anyhow};

/// Tests that mostly wait.
const LONG: &str = "long::";

/// Runs the interop target. True when it passed.
pub(crate) fn run(root: &Path, filter: Option<&str>, require: bool) -> Result<bool> {
    if filter.is_some() {
        return Ok(cargo(root, require).args(filter).status()?.success());
    }
    // Built once: two processes would wait for each other.
    let mut build = cargo_test(root);
    if !build.arg("--no-run").status()?.success() {
        return Ok(false);
    }
    let mut beside = cargo(root, require);
    beside
        .arg(LONG)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let beside = beside.spawn().context("cargo test --test interop")?;
    let beside = thread::spawn(move || beside.wait_with_output());
    let status = cargo(root, require).args(["--skip", LONG]).status()?;
    let beside = beside.join().map_err(|_panic| anyhow!("no output"))??;
    show(&beside)?;
    Ok(status.success() && beside.status.success())
}

/// The whole workspace, as `cargo ci` builds it: one set of features, nothing built twice.
fn cargo_test(root: &Path) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.args(["test", "--locked", "--workspace", "--test", "interop"]);
    cargo.current_dir(root);
    cargo
}

fn cargo(root: &Path, require: bool) -> Command {
    let mut cargo = cargo_test(root);
    cargo.args(["--", "--test-threads", "1", "--nocapture"]);
    if require {
        cargo.env("SLUICE_INTEROP", "require");
    }
    cargo
}

/// What it said, all at once: two voices in one text are none.
fn show(output: &Output) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(&output.stdout)?;
    if !output.status.success() {
        out.write_all(&output.stderr)?;
    }
    Ok(())
}
