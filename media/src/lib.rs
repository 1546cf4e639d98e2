//! The RTP core. Knows no SIP, no SDP text, no clock of its own; driven through `PacketIo`.
//!
//! Contract: *after every `handle_command` or `turn`, drain [`engine::Worker::poll_report`] to
//! `None` before the next.*
//!
//! ```
//! use std::time::Instant;
//!
//! use media::command::Report;
//! use media::{Worker, WorkerConfig};
//! use packet_io::{PacketIo, Simulated, SimulatedConfig};
//!
//! fn drive<Io: PacketIo>(worker: &mut Worker<Io>, now: Instant) -> Vec<Report> {
//!     let wait = worker.turn(now);
//!     let reports = std::iter::from_fn(|| worker.poll_report()).collect();
//!     worker.wait(now, wait);
//!     reports
//! }
//!
//! let config = WorkerConfig::new(0, [192, 0, 2, 1].into(), 10_000..=10_999, [1; 32]);
//! let mut worker = Worker::new(Simulated::new(SimulatedConfig::default()), config);
//! let reports = drive(&mut worker, Instant::now());
//! assert!(matches!(reports[0], Report::Stocked { .. }));
//! ```

#![forbid(unsafe_code)]

pub mod command;
pub mod drop_reason;
pub mod dtls;
pub mod engine;
pub mod fuzzing;
#[cfg(test)]
mod hexadecimal;
pub mod ice;
pub mod ingress;
pub mod limits;
pub mod quality;
pub mod relay;
pub mod rtcp;
pub mod rtp;
pub mod srtp;
mod test_picture;
pub mod tone;

pub use engine::{
    BrowserConfig, FailureCounters, QualityCounters, RefusalCounters, RtcpCounters,
    TransportCounters, Worker, WorkerConfig, WorkerCounters,
};
