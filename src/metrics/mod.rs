//! What the node counts, as Prometheus reads it. `catalogue` names every metric once, `gather`
//! takes the figures from where they are counted, `exposition` writes the text.
//!
//! Counters live with what they count: a thread adds to plain numbers of its own and publishes them
//! a few times a second. Nothing here is on the path of a packet or a message.

pub mod catalogue;
pub mod exposition;
pub mod gather;
pub mod histogram;
mod process;
pub mod samples;
