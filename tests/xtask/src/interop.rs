//! `cargo interop`: the tests against real peers, one at a time: they own ports and processes.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

/// Runs the interop target. True when it passed.
pub(crate) fn run(root: &Path, filter: Option<&str>, require: bool) -> Result<bool> {
    let mut cargo = Command::new("cargo");
    // The whole workspace, as `cargo ci` builds it: one set of features, nothing built twice.
    cargo.args(["test", "--locked", "--workspace", "--test", "interop", "--"]);
    cargo.args(["--test-threads", "1", "--nocapture"]);
    cargo.args(filter);
    if require {
        cargo.env("SLUICE_INTEROP", "require");
    }
    let status = cargo
        .current_dir(root)
        .status()
        .context("cargo test --test interop")?;
    Ok(status.success())
}
