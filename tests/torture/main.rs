//! Messages that parsers broke on, each with what we make of it. Data driven: a case is a message
//! file and an `.expect` file beside it (see `README.md`).

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test target: its helpers fail the test, and it says what it did not run"
)]

mod corpus;
mod oracle;
mod outcome;

use std::fs;
use std::path::{Path, PathBuf};

use outcome::outcome;

#[test]
fn rfc_4475_messages_have_their_verdict() {
    check("rfc4475", 50);
}

#[test]
fn rfc_5118_messages_have_their_verdict() {
    check("rfc5118", 12);
}

#[test]
fn messages_seen_elsewhere_have_their_verdict() {
    check("seen", 17);
}

/// Compares every message of a folder with its expectation; `UPDATE=1` rewrites them.
fn check(folder: &str, count_min: usize) {
    let update = std::env::var_os("UPDATE").is_some();
    let files = messages_in(&root().join(folder));
    assert!(
        files.len() >= count_min,
        "{folder} has {} messages",
        files.len()
    );
    let mut wrong = Vec::new();
    for file in files {
        let bytes = fs::read(&file).expect("a readable file");
        let expectation = file.with_extension("expect");
        let wanted = fs::read_to_string(&expectation).unwrap_or_default();
        let comment: String = wanted
            .lines()
            .filter(|line| line.starts_with('#'))
            .map(|l| format!("{l}\n"))
            .collect();
        let found = format!("{comment}{}", outcome(&bytes));
        if update {
            fs::write(&expectation, found).expect("a writable folder");
        } else if found != wanted {
            wrong.push(format!(
                "{}\nexpected\n{wanted}found\n{found}",
                file.display()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Where the messages stand.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/torture")
}

/// The message files of a folder in their order.
fn messages_in(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|end| end == "dat" || end == "sip")
        })
        .collect();
    files.sort();
    files
}
