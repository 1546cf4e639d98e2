//! From the stream of one peer to the stream another one hears: new SSRC, sequence numbers and
//! timestamps that go on over every change of source, payload types and clocks of events as the other side knows
//! them.

mod continuity;
mod event_clock;
mod rewrite;

pub use continuity::{Arrived, Continuity, Placed};
pub use event_clock::{EventClock, EventCounter};
pub use rewrite::rewrite;
