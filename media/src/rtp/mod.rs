//! RTP on the wire (RFC 3550): reading and rewriting a header where it lies, and the arithmetic of
//! sequence numbers, timestamps, loss and jitter.
//!
//! Owns no packet and no stream table; knows nothing of legs.

mod header;
mod reception;
mod sequence;
mod timestamp;
mod view;

pub use header::{PayloadType, Ssrc};
pub use reception::{Arrival, DROPOUT_MAX, Reception};
pub use sequence::{ExtendedSequence, SequenceNumber};
pub use timestamp::{ClockRate, RtpTimestamp};
pub use view::{RtpView, RtpViewMut, header_size};
