//! `cargo xtask requirements`: what Cisco's call managers expect of a trunk, row by row, each with the
//! tests that show it and how they ended just now.
//!
//! Owns the reading of `tests/requirements.tsv`, the run of the tests it names, and the verdict.
//! What a test proves is the test's business.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::say;

#[cfg(test)]
mod tests;

/// Where the table is.
pub(crate) const TABLE: &str = "tests/requirements.tsv";

/// The chapters of the table and how many rows each has.
const CHAPTERS: [(char, u8); 10] = [
    ('A', 12),
    ('B', 8),
    ('C', 14),
    ('D', 10),
    ('E', 11),
    ('F', 13),
    ('G', 8),
    ('H', 7),
    ('I', 4),
    ('J', 7),
];

/// What may still be open: the words one of which an open row's reason begins with.
const OPEN_FOR: [&str; 5] = ["TLS", "SRTP", "DTMF", "video", "transfer"];

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row<'t> {
    /// `C-02`.
    pub(crate) id: &'t str,
    /// What is asked, in a few words.
    pub(crate) title: &'t str,
    /// What stands in the table about it.
    pub(crate) state: State<'t>,
}

/// What the table says of a requirement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State<'t> {
    /// Shown by these tests, all of them.
    Tested(Vec<Proof<'t>>),
    /// Not ours, for a reason.
    Waived(&'t str),
    /// Not built yet; the reason says what it waits for.
    Open(&'t str),
}

/// A test by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Proof<'t> {
    /// A test function that needs no network.
    Function(&'t str),
    /// A test function of the interop target: real peers.
    Interop(&'t str),
    /// A call flow in `tests/flows`.
    Flow(&'t str),
}

/// The test that runs every flow.
pub(crate) const FLOWS_TEST: &str = "every_flow_goes_as_written";

impl Proof<'_> {
    fn function(&self) -> &str {
        match self {
            Self::Function(name) | Self::Interop(name) => name,
            Self::Flow(_) => FLOWS_TEST,
        }
    }
}

/// Reads the table.
///
/// # Errors
/// A line that is no row, a row that is missing, doubled or out of order, an open row without one of
/// the reasons that count.
pub(crate) fn parse(text: &str) -> Result<Vec<Row<'_>>> {
    let mut rows = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        rows.push(row(line).with_context(|| format!("{TABLE}:{}", index + 1))?);
    }
    let expected: Vec<String> = CHAPTERS
        .iter()
        .flat_map(|(chapter, count)| (1..=*count).map(move |n| format!("{chapter}-{n:02}")))
        .collect();
    let found: Vec<&str> = rows.iter().map(|row| row.id).collect();
    if let Some((expected, found)) = expected.iter().zip(&found).find(|(e, f)| e != *f) {
        bail!("{TABLE}: {found} stands where {expected} should");
    }
    if expected.len() != found.len() {
        bail!("{TABLE}: {} rows of {}", found.len(), expected.len());
    }
    Ok(rows)
}

fn row(line: &str) -> Result<Row<'_>> {
    let mut columns = line.split('\t');
    let (Some(id), Some(title), Some(state), Some(rest), None) = (
        columns.next(),
        columns.next(),
        columns.next(),
        columns.next(),
        columns.next(),
    ) else {
        bail!("not four columns");
    };
    let state = match state {
        "tested" => State::Tested(rest.split(' ').map(proof).collect()),
        "waived" => State::Waived(rest),
        "open" if OPEN_FOR.iter().any(|word| rest.starts_with(word)) => State::Open(rest),
        "open" => bail!("{id} is open for none of: {}", OPEN_FOR.join(", ")),
        other => bail!("{other:?} is none of: tested, waived, open"),
    };
    if title.is_empty() || rest.trim().is_empty() {
        bail!("an empty column");
    }
    Ok(Row { id, title, state })
}

fn proof(word: &str) -> Proof<'_> {
    match word.split_once(':') {
        Some(("interop", name)) => Proof::Interop(name),
        Some(("flow", name)) => Proof::Flow(name),
        _ => Proof::Function(word),
    }
}

/// Runs the tests the table names and prints a line for each row. True when none failed.
pub(crate) fn run(root: &Path, only: Option<&str>) -> Result<bool> {
    let text = std::fs::read_to_string(root.join(TABLE)).context(TABLE)?;
    let mut rows = parse(&text)?;
    rows.retain(|row| only.is_none_or(|only| row.id.starts_with(only)));
    let proofs: BTreeSet<Proof<'_>> = rows.iter().flat_map(Row::proofs).collect();
    let (real, pure): (Vec<_>, Vec<_>) = proofs
        .iter()
        .partition(|proof| matches!(proof, Proof::Interop(_)));
    let mut outcomes = BTreeMap::new();
    outcomes.extend(outcomes_of(root, &[], &pure)?);
    let alone = ["--test", "interop"];
    outcomes.extend(outcomes_of(root, &alone, &real)?);
    let mut passed = true;
    for row in &rows {
        let (verdict, shown) = judge(row, &outcomes);
        passed &= verdict != "fail";
        say::line(&format!("{} {verdict:<6} {shown}  ({})", row.id, row.title));
    }
    say::line(&summary(&rows, &outcomes));
    Ok(passed)
}

impl<'t> Row<'t> {
    /// The tests it names.
    pub(crate) fn proofs(&self) -> Vec<Proof<'t>> {
        match &self.state {
            State::Tested(proofs) => proofs.clone(),
            State::Waived(_) | State::Open(_) => Vec::new(),
        }
    }
}

/// The verdict on a row, and what is shown for it.
fn judge(row: &Row<'_>, outcomes: &BTreeMap<String, bool>) -> (&'static str, String) {
    match &row.state {
        State::Waived(reason) => ("waived", (*reason).to_owned()),
        State::Open(reason) => ("open", (*reason).to_owned()),
        State::Tested(proofs) => {
            let bad: Vec<&str> = proofs
                .iter()
                .filter(|proof| outcomes.get(proof.function()) != Some(&true))
                .map(Proof::function)
                .collect();
            if !bad.is_empty() {
                return ("fail", bad.join(" "));
            }
            let names: Vec<&str> = proofs
                .iter()
                .map(|proof| match proof {
                    Proof::Function(name) | Proof::Interop(name) | Proof::Flow(name) => *name,
                })
                .collect();
            ("pass", names.join(" "))
        }
    }
}

fn summary(rows: &[Row<'_>], outcomes: &BTreeMap<String, bool>) -> String {
    let mut counts = BTreeMap::new();
    for row in rows {
        *counts.entry(judge(row, outcomes).0).or_insert(0_usize) += 1;
    }
    let counts: Vec<String> = ["pass", "fail", "waived", "open"]
        .iter()
        .map(|word| format!("{} {word}", counts.get(word).unwrap_or(&0)))
        .collect();
    format!("requirements: {} rows, {}", rows.len(), counts.join(", "))
}

/// Runs these tests and reads how each ended.
fn outcomes_of(
    root: &Path,
    target: &[&str],
    proofs: &[&Proof<'_>],
) -> Result<BTreeMap<String, bool>> {
    if proofs.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut cargo = Command::new("cargo");
    cargo.args(["test", "--locked", "--workspace", "--no-fail-fast"]);
    if target.is_empty() {
        cargo.arg("--tests");
    }
    cargo.args(target).arg("--");
    if !target.is_empty() {
        cargo.args(["--test-threads", "1"]);
        cargo.env("SLUICE_INTEROP", "require");
    }
    cargo.args(proofs.iter().map(|proof| proof.function()));
    let output = cargo
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()
        .context("cargo test")?;
    Ok(outcomes(&String::from_utf8_lossy(&output.stdout)))
}

/// The lines `test path::name ... ok` of a test run, by the last word of the path. A name that more
/// than one target has passes only where all of them pass.
fn outcomes(printed: &str) -> BTreeMap<String, bool> {
    let mut outcomes = BTreeMap::new();
    for line in printed.lines() {
        let Some((path, outcome)) = line
            .strip_prefix("test ")
            .and_then(|rest| rest.split_once(" ... "))
        else {
            continue;
        };
        let name = path.rsplit("::").next().unwrap_or(path);
        *outcomes.entry(name.to_owned()).or_insert(true) &= outcome.trim() == "ok";
    }
    outcomes
}
