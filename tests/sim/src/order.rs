//! Orders: calls that the gateway is told to place, and what it said to them.

use sluice::call::command::PlaceCall;

/// A call that somebody orders.
#[derive(Debug)]
pub(crate) struct Order {
    /// What is ordered; taken when it is told.
    pub(crate) place: Option<Box<PlaceCall>>,
    /// What the gateway said.
    pub(crate) outcome: Outcome,
}

impl Order {
    /// True where the call has this id.
    pub(crate) fn has(&self, id: &str) -> bool {
        matches!(&self.outcome, Outcome::Placed(placed) if placed == id)
    }
}

/// What the gateway says to an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing yet.
    Waiting,
    /// The call has this id.
    Placed(String),
    /// Refused, with this word.
    Refused(&'static str),
}
