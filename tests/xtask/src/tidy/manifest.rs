//! Rules over manifests: a reason for each dependency, and what may never be linked.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::Finding;
use super::tree::Tree;

/// Crates that may not be in what we ship, and why.
const BANNED: &[(&str, &str)] = &[
    ("ring", "one crypto library, and that is aws-lc-rs"),
    ("openssl", "one crypto library, and that is aws-lc-rs"),
    ("openssl-sys", "one crypto library, and that is aws-lc-rs"),
    ("native-tls", "TLS is rustls"),
    ("rusqlite", "cannot be linked beside sqlx"),
    ("g729-sys", "derived from GPL code"),
    ("bcg729-sys", "derived from GPL code"),
];

/// Licences that what we ship may carry; one of an `OR` is enough, all of an `AND` are needed.
const LICENCES: &[&str] = &[
    "MIT",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "0BSD",
    "Unlicense",
    "Unicode-3.0",
    "CC0-1.0",
    "BSL-1.0",
    "Apache-2.0 WITH LLVM-exception",
    "MIT-0",
    "OpenSSL",
];

/// Every line of `[workspace.dependencies]` carries its reason.
pub(super) fn reasons(tree: &Tree) -> Vec<Finding> {
    let Some(manifest) = tree.file("Cargo.toml") else {
        return Vec::new();
    };
    let mut inside = false;
    let mut findings = Vec::new();
    for (index, line) in manifest.text.lines().enumerate() {
        if line.starts_with('[') {
            inside = line.trim() == "[workspace.dependencies]";
        } else if inside && line.contains('=') && !line.starts_with('#') && !line.contains(" # ") {
            findings.push(Finding::new(
                "Cargo.toml",
                index + 1,
                "a dependency without a reason",
            ));
        }
    }
    findings
}

/// What cargo resolved for the appliance: no banned crate, no licence off the list.
pub(super) fn resolved(root: &Path) -> Result<Vec<Finding>> {
    let listed = Command::new("cargo")
        .args([
            "tree",
            "--locked",
            "--package",
            "sluice",
            "--edges",
            "normal",
            "--prefix",
            "none",
        ])
        .args(["--format", "{p}\t{l}"])
        .current_dir(root)
        .output()
        .context("cargo tree")?;
    anyhow::ensure!(
        listed.status.success(),
        "cargo tree: {}",
        String::from_utf8_lossy(&listed.stderr)
    );
    let mut findings = judge(&String::from_utf8_lossy(&listed.stdout));
    findings.dedup();
    let metadata = Command::new("cargo")
        .args(["metadata", "--locked", "--no-deps", "--format-version", "1"])
        .current_dir(root)
        .output()
        .context("cargo metadata")?;
    let metadata: Value = serde_json::from_slice(&metadata.stdout).context("cargo metadata")?;
    findings.extend(directions(&metadata));
    Ok(findings)
}

/// Judges lines of `name version (…)<tab>licence`.
pub(super) fn judge(listed: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut lines: Vec<&str> = listed.lines().collect();
    lines.sort_unstable();
    lines.dedup();
    for line in lines {
        let (package, licence) = line.split_once('\t').unwrap_or((line, ""));
        let name = package.split(' ').next().unwrap_or(package);
        if let Some((_, why)) = BANNED.iter().find(|(banned, _)| *banned == name) {
            findings.push(Finding::new(
                "Cargo.lock",
                1,
                format!("`{name}` is banned: {why}"),
            ));
        }
        let licence = licence.trim_end_matches(" (*)");
        let allowed = licence.replace('/', " OR ").split(" OR ").any(|choice| {
            choice
                .trim_matches(|c| c == '(' || c == ')' || c == ' ')
                .split(" AND ")
                .all(|one| {
                    LICENCES.contains(&one.trim_matches(|c| c == '(' || c == ')' || c == ' '))
                })
        });
        if !package.is_empty() && !allowed {
            let message = format!("`{name}`: licence `{licence}` is not on the list");
            findings.push(Finding::new("Cargo.lock", 1, message));
        }
    }
    findings
}

/// Who may depend on whom among our own packages (LAYOUT §2).
fn directions(metadata: &Value) -> Vec<Finding> {
    const ALLOWED: &[(&str, &[&str])] = &[
        ("sip", &[]),
        ("packet_io", &[]),
        ("media", &["packet_io"]),
        ("sluice", &["sip", "media", "packet_io"]),
    ];
    const OURS: &[&str] = &[
        "sip",
        "media",
        "packet_io",
        "sluice",
        "sim",
        "load",
        "micro",
        "xtask",
    ];
    let mut findings = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let Some((_, allowed)) = ALLOWED.iter().find(|(ours, _)| *ours == name) else {
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let on = dependency["name"].as_str().unwrap_or_default();
            if OURS.contains(&on) && !allowed.contains(&on) {
                let message = format!("`{name}` may not depend on `{on}`");
                findings.push(Finding::new("Cargo.toml", 1, message));
            }
        }
    }
    findings
}
