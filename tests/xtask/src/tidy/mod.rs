//! `cargo tidy`: the rules of the house that the compiler does not know.
//!
//! Owns the list of rules and the form of a finding. Every rule is a pure function over the text
//! of the tree, and has its own test in `tests.rs`.

use std::path::Path;

use anyhow::Result;

use crate::say;

mod architecture;
mod manifest;
mod report;
mod requirements;
mod rules;
mod tree;

#[cfg(test)]
mod tests;

use tree::Tree;

/// Something the house refuses: where, what, and what to do instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    path: String,
    line: usize,
    message: String,
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            message: message.into(),
        }
    }
}

/// Prints every finding and the report. True when nothing was refused.
pub(crate) fn run(root: &Path) -> Result<bool> {
    let tree = Tree::read(root)?;
    let mut findings = check(&tree);
    findings.extend(manifest::resolved(root)?);
    findings.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    for finding in &findings {
        say::line(&format!(
            "{}:{}: {}",
            finding.path, finding.line, finding.message
        ));
    }
    for line in report::lines(&tree) {
        say::line(&line);
    }
    say::line(&format!("tidy: {} findings", findings.len()));
    Ok(findings.is_empty())
}

/// Every rule that needs only the text of the tree.
fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        findings.extend(rules::forbidden_names(file));
        findings.extend(rules::purity(file));
        findings.extend(rules::layers(file));
        findings.extend(rules::sleeps(file));
        findings.extend(rules::ignored_tests(file));
        findings.extend(rules::serde_outside_the_edge(file));
        findings.extend(rules::dialling_without_a_verdict(file));
    }
    for file in tree.all() {
        findings.extend(rules::machine_paths(file));
    }
    findings.extend(rules::safety_texts(tree));
    findings.extend(rules::orphans(tree));
    findings.extend(rules::drop_reasons(tree));
    findings.extend(rules::metrics(tree));
    findings.extend(manifest::reasons(tree));
    findings.extend(architecture::names(tree));
    findings.extend(requirements::names(tree));
    findings
}
