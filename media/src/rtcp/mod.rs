//! RTCP (RFC 3550 §6): walking a compound packet, writing ours, and when the next is due.
//!
//! Owns the formats and the schedule. What a relay does with a report is `engine`'s business.

mod compound;
mod feedback;
mod goodbye;
mod receiver_report;
mod schedule;
mod sender_report;
mod source_description;

pub use compound::{Compound, Kind, RtcpPacket};
pub use feedback::{BIT_RATE_SIZE, Feedback, FeedbackMapping, Media, write_bit_rate};
pub use goodbye::write_goodbye;
pub use receiver_report::{ReportBlock, write_receiver_report};
pub use schedule::interval;
pub use sender_report::{SenderInformation, write_sender_report};
pub use source_description::{CNAME_SIZE, Cname};

/// Most octets that [`write_sender_report`] and [`write_receiver_report`] write; a [`write_goodbye`] is
/// eight more.
pub const WRITTEN_SIZE_MAX: usize = 84;
