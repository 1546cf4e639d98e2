//! `cargo fuzz-smoke`: builds the targets of `tests/fuzz` with coverage counted, and runs each for a while.
//!
//! The flags are those that `cargo fuzz` gives, less its sanitizers: so a stable compiler will do.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::say;

/// Where the targets are, from the root.
const TARGETS: &str = "tests/fuzz/targets";

/// Messages that targets of SIP begin from.
const SEEDS: &str = "tests/torture/rfc4475";

/// How blocks, and comparisons, come to be counted (LLVM's `SanitizerCoverage`).
const COVERAGE: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    --cfg fuzzing -Ccodegen-units=1";

/// More memory than this is a finding.
const MEMORY_MIB_MAX: u32 = 1_024;

/// Runs the targets whose name contains `filter`, each for so many seconds. True: none found anything.
pub(crate) fn run(root: &Path, filter: Option<&str>, seconds: u32) -> Result<bool> {
    let all = targets(root)?;
    let chosen = all
        .iter()
        .filter(|name| name.contains(filter.unwrap_or_default()));
    let chosen: Vec<_> = chosen.collect();
    ensure!(
        !chosen.is_empty(),
        "no such target; there are: {}",
        all.join(", ")
    );
    let folder = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root.join("target"), |folder| root.join(folder))
        .join("fuzz");
    let programs = build(root, &folder, &chosen)?;
    let findings = folder.join("findings");
    let mut lines = Vec::new();
    let mut passed = true;
    for name in chosen {
        say::line(&format!("== {name}"));
        let corpus = folder.join("corpus").join(name);
        for folder in [&corpus, &findings] {
            std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        let program = programs.join(name);
        let found_nothing = Command::new(&program)
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"))
            .args(["-timeout=10", "-print_final_stats=1", "-verbosity=0"])
            .arg(format!("-artifact_prefix={}/{name}-", findings.display()))
            .arg(&corpus)
            .args(name.starts_with("sip").then(|| root.join(SEEDS)))
            .status()
            .with_context(|| program.display().to_string())?
            .success();
        let verdict = if found_nothing { "ok" } else { "FAILED" };
        lines.push(format!("fuzz: {name:<12} {verdict}"));
        if !found_nothing {
            let (program, findings) = (program.display(), findings.display());
            lines.push(format!(
                "      play it again: {program} {findings}/{name}-…"
            ));
        }
        passed &= found_nothing;
    }
    for line in lines {
        say::line(&line);
    }
    Ok(passed)
}

/// The names of the targets.
fn targets(root: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(root.join(TARGETS)).context(TARGETS)? {
        let path = entry.context(TARGETS)?.path();
        names.extend(
            path.file_stem()
                .map(|name| name.to_string_lossy().into_owned()),
        );
    }
    names.sort_unstable();
    Ok(names)
}

/// Builds these; gives the folder of the programs.
fn build(root: &Path, folder: &Path, chosen: &[&String]) -> Result<PathBuf> {
    let has_compiler = Command::new(root.join(".ci/need"))
        .arg("fuzz")
        .status()?
        .success();
    ensure!(has_compiler, "libFuzzer needs a C++ compiler");
    let package = root.join("tests/fuzz");
    keep_versions(root, &package)?;
    // Named, so that the flags are for the targets and not for what builds them.
    let host = host()?;
    let text = std::fs::read_to_string(package.join("Cargo.toml")).context("Cargo.toml")?;
    let of_appliance = of_appliance(&text);
    let features = chosen
        .iter()
        .any(|name| of_appliance.contains(&name.as_str()))
        .then_some("--features=appliance");
    let built = Command::new("cargo")
        .args(["build", "--release", "--target", &host, "--manifest-path"])
        .arg(package.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(folder)
        .args(chosen.iter().map(|name| format!("--bin={name}")))
        .args(features)
        .env("RUSTFLAGS", COVERAGE)
        .status()
        .context("cargo build")?;
    ensure!(built.success(), "the fuzz targets do not build");
    Ok(folder.join(host).join("release"))
}

/// The targets whose bodies are the appliance's: all of it is built for them.
fn of_appliance(manifest: &str) -> Vec<&str> {
    let tables = manifest.split("[[bin]]").skip(1);
    let needing = tables.filter(|table| table.contains("\nrequired-features = [\"appliance\"]"));
    needing
        .filter_map(|table| table.split_once("\"targets/")?.1.split_once(".rs\""))
        .map(|(name, _)| name)
        .collect()
}

/// The versions of the product: its lock, to which cargo adds what the fuzzer needs.
fn keep_versions(root: &Path, package: &Path) -> Result<()> {
    let (theirs, ours) = (package.join("Cargo.lock"), root.join("Cargo.lock"));
    let changed = |path: &Path| path.metadata().and_then(|file| file.modified()).ok();
    if changed(&theirs) < changed(&ours) {
        std::fs::copy(&ours, &theirs).context("Cargo.lock")?;
    }
    Ok(())
}

fn host() -> Result<String> {
    let said = Command::new("rustc")
        .arg("-vV")
        .output()
        .context("rustc -vV")?;
    let said = String::from_utf8_lossy(&said.stdout);
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc says no host")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_of_a_target_is_one_that_the_manifest_builds() {
        let root = crate::root();
        let manifest = std::fs::read_to_string(root.join("tests/fuzz/Cargo.toml")).unwrap();
        let named = manifest
            .lines()
            .filter_map(|line| line.strip_prefix("path = \"targets/"));
        let mut named: Vec<_> = named
            .filter_map(|line| line.strip_suffix(".rs\""))
            .collect();
        named.sort_unstable();
        assert_eq!(named, targets(&root).unwrap());
        assert!(
            named.contains(&"engine") && named.contains(&"srtp"),
            "{named:?}"
        );
    }

    /// What names the appliance in its source is built with it, and nothing else is.
    #[test]
    fn each_target_of_the_appliance_is_built_with_it_and_no_other() {
        let root = crate::root();
        let manifest = std::fs::read_to_string(root.join("tests/fuzz/Cargo.toml")).unwrap();
        let mut built = of_appliance(&manifest);
        built.sort_unstable();
        let mut needing = targets(&root).unwrap();
        needing.retain(|name| {
            let path = root.join(TARGETS).join(format!("{name}.rs"));
            std::fs::read_to_string(path).unwrap().contains("sluice::")
        });
        assert_eq!(built, needing);
        assert!(built.contains(&"guests"), "{built:?}");
    }
}
