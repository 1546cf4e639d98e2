//! The fraud guard's rules and counts as they are kept: `shape` is their JSON, `store` the rows of
//! the rules, `counts` the rows of what they have counted, `explain` a question without a call. What
//! a rule means is in `fraud_guard`.

pub mod counts;
pub mod explain;
pub mod shape;
pub mod store;

#[cfg(test)]
mod tests;
