//! The fraud guard: a verdict for every outbound attempt before it leaves.
//!
//! [`Guard::verdict`] judges the final user part of the Request-URI, after the trunk's rewriting, and
//! is the only maker of [`Cleared`]. Dialling needs a `Cleared` and dials what it names: an INVITE
//! that the guard has not seen cannot be written. Pure: its state is explicit, time is an argument.
//!
//! `number` makes one form of every spelling, `dial_plan` and `numbering` say what it means,
//! `rule` and `rules` are what is asked, `judge` asks, `book` counts, `changes` says what to store.

pub mod book;
pub mod changes;
mod compiled;
pub mod dial_plan;
pub mod explain;
pub mod fuzzing;
mod judge;
pub mod number;
pub mod numbering;
pub mod reason;
pub mod rule;
pub mod rules;
mod trie;
pub mod verdict;
pub mod window;

pub use changes::StoredCount;
pub use dial_plan::DialPlan;
pub use explain::{Explanation, Question};
pub use reason::{Reason, Way};
pub use rule::Rule;
pub use rules::Rules;
pub use verdict::{Attempt, Cleared, Counter, Counters, Guard, Refused, Verdict};

#[cfg(test)]
mod tests;
