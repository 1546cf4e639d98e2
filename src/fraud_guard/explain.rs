//! Why the guard would decide as it does: every question it asks, in order, and nothing counted.

use std::time::Duration;

use super::reason::Reason;

/// The whole reasoning about one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What would be dialled; `None`: the number has no canonical form.
    pub dialled: Option<String>,
    /// What the number is to the trunk: `extension`, `e164`, `emergency`, `unknown`.
    pub class: &'static str,
    /// The numbers in E.164 that it can be read as; the first is what it means.
    pub readings: Vec<String>,
    /// Country of that number, in two letters.
    pub country: Option<String>,
    /// Each question in order, with its answer.
    pub steps: Vec<Step>,
    /// Dial it, or why not.
    pub outcome: Result<(), Reason>,
    /// Position in `steps` of the one that decides.
    pub decided_by: Option<usize>,
    /// How long the call might last.
    pub duration_max: Duration,
    /// The guard only watches: it is dialled whatever the outcome.
    pub dry_run: bool,
}

/// How the answer of a rule begins that lets a number out.
pub(super) const ALLOWED: &str = "allowed";

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Id of the rule: `gr_…` of a stored one, or the name of a built-in or a setting.
    pub rule: String,
    /// Its name.
    pub name: String,
    /// What it says to this attempt, in words.
    pub answer: String,
}
