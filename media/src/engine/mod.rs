//! The worker: what turns packets, commands and time into packets and reports.
//!
//! One worker is one thread's business. It owns its legs, its stock of port pairs and its
//! `PacketIo`; two legs of a call live on one worker, so nothing on the packet path is shared.

mod batching;
mod control_packet;
mod counters;
mod deadline;
mod feedback;
mod invariants;
mod leg;
mod lifecycle;
mod line;
mod look_ahead;
mod own_picture;
mod own_ports;
mod own_report;
mod packet;
mod quality_counters;
mod report_queue;
mod rtcp_counters;
mod secure;
mod socket_owners;
mod stock;
mod tick;
mod transport;
mod worker;

#[cfg(test)]
mod tests;

pub use counters::{BATCH_BOUNDS, BatchSizes, WorkerCounters};
pub use quality_counters::QualityCounters;
pub use rtcp_counters::RtcpCounters;
pub use transport::{FailureCounters, RefusalCounters, TransportCounters};
pub use worker::{BrowserConfig, Worker, WorkerConfig};
