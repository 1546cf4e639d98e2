//! What is printed: bars and figures on standard output, progress on standard error.

use std::fmt;
use std::io::Write as _;
use std::time::{Duration, Instant};

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

/// The progress of a run of known length: a line for each step, with what is left of it.
#[derive(Debug)]
pub(crate) struct Progress {
    name: &'static str,
    steps: usize,
    done: usize,
    began: Instant,
}

impl Progress {
    /// A run of so many steps.
    pub(crate) fn new(name: &'static str, steps: usize) -> Self {
        Self {
            name,
            steps,
            done: 0,
            began: Instant::now(),
        }
    }

    /// One step is done; more than were foreseen make the run longer.
    pub(crate) fn step(&mut self, text: &str) {
        self.done += 1;
        self.steps = self.steps.max(self.done);
        let left = left(self.began.elapsed(), self.done, self.steps);
        progress(&format!(
            "{} {}/{} ({} s left) {text}",
            self.name,
            self.done,
            self.steps,
            left.as_secs()
        ));
    }
}

/// What is left at the pace so far.
fn left(passed: Duration, done: usize, steps: usize) -> Duration {
    let share = steps.saturating_sub(done) as f64 / done.max(1) as f64;
    passed.mul_f64(share)
}

/// One line on standard error.
pub(crate) fn progress(text: &str) {
    drop(writeln!(std::io::stderr(), "{text}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_follows_the_pace_so_far() {
        let passed = Duration::from_secs(10);
        assert_eq!(left(passed, 2, 6), Duration::from_secs(20));
        assert_eq!(left(passed, 6, 6), Duration::ZERO);
    }
}
