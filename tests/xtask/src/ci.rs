//! `cargo ci`: the stages, in order, with the seconds each took.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::{say, tidy};

struct Stage {
    name: &'static str,
    program: &'static str,
    arguments: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
}

const fn cargo(name: &'static str, arguments: &'static [&'static str]) -> Stage {
    Stage {
        name,
        program: "cargo",
        arguments,
        environment: &[],
    }
}

/// Runs every stage. True when all passed.
pub(crate) fn run(root: &Path, fail_fast: bool) -> Result<bool> {
    let mut lines = Vec::new();
    let mut passed = true;
    let started = Instant::now();
    let tidy_passed = tidy::run(root)?;
    lines.push(report("tidy", tidy_passed, started));
    passed &= tidy_passed;
    for stage in stages() {
        if fail_fast && !passed {
            break;
        }
        say::line(&format!("== {}", stage.name));
        let started = Instant::now();
        let status = Command::new(stage.program)
            .args(stage.arguments)
            .envs(stage.environment.iter().copied())
            .current_dir(root)
            .status()
            .with_context(|| format!("{} {}", stage.program, stage.arguments.join(" ")))?;
        lines.push(report(stage.name, status.success(), started));
        passed &= status.success();
    }
    for line in lines {
        say::line(&line);
    }
    say::line(if passed { "ci: passed" } else { "ci: FAILED" });
    Ok(passed)
}

fn report(name: &str, passed: bool, started: Instant) -> String {
    let verdict = if passed { "ok" } else { "FAILED" };
    format!(
        "ci: {name:<12} {verdict:<6} {:>6.1} s",
        started.elapsed().as_secs_f64()
    )
}

fn stages() -> Vec<Stage> {
    let mut stages = vec![
        cargo("fmt", &["fmt", "--all", "--check"]),
        cargo(
            "clippy",
            &[
                "clippy",
                "--locked",
                "--workspace",
                "--all-targets",
                "--",
                "-Dwarnings",
            ],
        ),
    ];
    // Interop has its own command: real peers do not belong into a check that needs no network.
    if Command::new("cargo")
        .args(["nextest", "--version"])
        .output()
        .is_ok_and(|o| o.status.success())
    {
        stages.push(cargo(
            "test",
            &[
                "nextest",
                "run",
                "--locked",
                "--workspace",
                "--no-fail-fast",
                "-E",
                "not binary(interop)",
                "--status-level",
                "slow",
                "--final-status-level",
                "fail",
            ],
        ));
        stages.push(cargo(
            "doctest",
            &["test", "--locked", "--workspace", "--doc", "--quiet"],
        ));
    } else {
        stages.push(cargo(
            "test",
            &[
                "test",
                "--locked",
                "--workspace",
                "--quiet",
                "--",
                "--skip",
                "interop::",
            ],
        ));
    }
    stages.push(Stage {
        name: "doc",
        program: "cargo",
        arguments: &["doc", "--locked", "--workspace", "--no-deps", "--quiet"],
        environment: &[("RUSTDOCFLAGS", "-Dwarnings")],
    });
    stages.push(cargo(
        "benches",
        &["check", "--locked", "--workspace", "--benches", "--quiet"],
    ));
    stages
}
