//! Why the guard would decide as it does: every question it asks, in order, and nothing counted.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::dial_plan::DialPlan;
use super::reason::{Reason, Way};
use super::verdict::{Attempt, Guard};

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

/// A question about a number, as somebody outside asks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The number as a link or a guest would write it, before the trunk's rewriting.
    pub number: String,
    /// Id of the trunk it would leave by.
    pub trunk: String,
    /// How it would come to be.
    pub way: Way,
    /// Where the wish would come from.
    pub client: Option<IpAddr>,
    /// The time; `None`: now.
    pub at: Option<Timestamp>,
    /// A stored link names it.
    pub named_by_link: bool,
}

impl Question {
    /// Asks, counting nothing. `user`: the number as the trunk would have it dialled.
    #[must_use]
    pub fn ask(
        &self,
        guard: &Guard,
        (user, dial_plan): (&str, &DialPlan),
        now: Instant,
        wall: Timestamp,
    ) -> Explanation {
        let at = self.at.unwrap_or(wall);
        // Windows that would be over by then are over.
        let ahead = u64::try_from(at.as_millisecond().saturating_sub(wall.as_millisecond()));
        let ahead = Duration::from_millis(ahead.unwrap_or(0).min(YEAR_MS));
        let attempt = Attempt {
            user,
            way: self.way,
            trunk: &self.trunk,
            dial_plan,
            client: self.client,
            at,
            named_by_link: self.named_by_link,
            counted: &[],
        };
        guard.explain(&attempt, now + ahead)
    }
}

/// Further ahead nothing is asked.
const YEAR_MS: u64 = 366 * 24 * 3_600_000;

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
