//! The RTP core. Knows no SIP, no SDP text, no clock of its own; driven through `PacketIo`.
//!
//! Contract: *after every `handle_command` or `turn`, drain [`engine::Worker::poll_report`] to
//! `None` before the next.*

#![forbid(unsafe_code)]

pub mod command;
pub mod drop_reason;
pub mod engine;
pub mod fuzzing;
pub mod ingress;
pub mod limits;
pub mod relay;
pub mod rtcp;
pub mod rtp;
pub mod tone;

pub use engine::{RtcpCounters, Worker, WorkerConfig, WorkerCounters};
