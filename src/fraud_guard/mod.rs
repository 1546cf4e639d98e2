//! The fraud guard: a verdict for every outbound attempt before it leaves.
//!
//! [`Guard::verdict`] judges the final user part of the Request-URI, after the trunk's rewriting, and
//! is the only maker of [`Cleared`]. Dialling needs a `Cleared` and dials what it names: an INVITE
//! that the guard has not seen cannot be written. Pure: its state is explicit, time is an argument.

pub mod dial_plan;
pub mod explain;
pub mod number;
pub mod reason;
pub mod rules;
pub mod verdict;
pub mod window;

pub use dial_plan::DialPlan;
pub use explain::Explanation;
pub use reason::{Reason, Way};
pub use rules::Rules;
pub use verdict::{Attempt, Cleared, Counters, Guard, Verdict};
