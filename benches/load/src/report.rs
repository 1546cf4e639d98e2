//! What is printed: bars and figures on standard output, progress on standard error.

use std::fmt;
use std::io::Write as _;

/// The three words a bar can end with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Within the limit.
    Met,
    /// Over it.
    Short,
    /// Could not be measured here.
    NotRun,
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Met => "ok",
            Self::Short => "short",
            Self::NotRun => "notrun",
        })
    }
}

/// Prints `bar GROUP.NAME VALUE LIMIT ok|short`.
pub(crate) fn bar(name: &str, value: f64, limit: f64) -> Outcome {
    let outcome = if value <= limit {
        Outcome::Met
    } else {
        Outcome::Short
    };
    line(&format!("bar {name} {value:.3} {limit:.3} {outcome}"));
    outcome
}

/// Prints `bar GROUP.NAME VALUE LIMIT ok|short`, where more is better.
pub(crate) fn bar_at_least(name: &str, value: f64, limit: f64) -> Outcome {
    let outcome = if value >= limit {
        Outcome::Met
    } else {
        Outcome::Short
    };
    line(&format!("bar {name} {value:.3} {limit:.3} {outcome}"));
    outcome
}

/// Prints `bar GROUP.NAME - LIMIT notrun`, and the reason on a line of its own.
pub(crate) fn bar_not_run(name: &str, limit: f64, reason: &str) {
    line(&format!("bar {name} - {limit:.3} {}", Outcome::NotRun));
    line(&format!("note {name} {reason}"));
}

/// Prints an absolute figure beside the bars.
pub(crate) fn figure(name: &str, value: f64) {
    line(&format!("figure {name} {value:.3}"));
}

/// Prints a line of text that belongs to a group.
pub(crate) fn note(name: &str, text: &str) {
    line(&format!("note {name} {text}"));
}

/// One line on standard output. A closed pipe ends the output, not the program.
pub(crate) fn line(text: &str) {
    drop(writeln!(std::io::stdout(), "{text}"));
}

/// One line on standard error.
pub(crate) fn progress(text: &str) {
    drop(writeln!(std::io::stderr(), "{text}"));
}
