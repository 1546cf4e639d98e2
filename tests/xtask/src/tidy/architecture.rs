//! ARCHITECTURE.md is true: each path in it exists, each invariant names a test that exists.

use std::collections::BTreeSet;

use super::Finding;
use super::tree::Tree;

const DOCUMENT: &str = "ARCHITECTURE.md";
const LINES_MAX: usize = 300;

/// Checks what stands in backticks, and the table of invariants.
pub(super) fn names(tree: &Tree) -> Vec<Finding> {
    let Some(document) = tree.file(DOCUMENT) else {
        return Vec::new();
    };
    let functions = functions(tree);
    let mut findings = Vec::new();
    for (index, line) in document.text.lines().enumerate() {
        for (position, quoted) in line.split('`').enumerate().filter(|(p, _)| p % 2 == 1) {
            if is_path(quoted) && !tree.holds(quoted) {
                let message = format!("`{quoted}` does not exist");
                findings.push(Finding::new(DOCUMENT, index + 1, message));
            }
            // Third column of `| invariant | test |` rows: the test's name.
            let is_test = line.starts_with("| ") && position > 0 && quoted.contains('_');
            if is_test && !is_path(quoted) && is_identifier(quoted) && !functions.contains(quoted) {
                let message = format!("no test or function `{quoted}`");
                findings.push(Finding::new(DOCUMENT, index + 1, message));
            }
        }
    }
    let length = document.text.lines().count();
    if length > LINES_MAX {
        let message = format!("{length} lines; {LINES_MAX} are a page that is still read");
        findings.push(Finding::new(DOCUMENT, length, message));
    }
    findings
}

fn is_identifier(text: &str) -> bool {
    text.chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn is_path(text: &str) -> bool {
    let plain = text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
    let root_file = [".md", ".toml"].iter().any(|ending| text.ends_with(ending));
    plain && !text.starts_with('/') && (text.contains('/') || root_file)
}

/// The name of every function of the tree.
pub(super) fn functions(tree: &Tree) -> BTreeSet<&str> {
    tree.rust()
        .flat_map(super::tree::File::lines)
        .filter_map(|(_, line)| line.split("fn ").nth(1))
        .filter_map(|rest| {
            rest.split(|c: char| !(c.is_alphanumeric() || c == '_'))
                .next()
        })
        .collect()
}
