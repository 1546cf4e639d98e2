//! What the writer counts.

use std::sync::atomic::{AtomicBool, AtomicU64};

use crate::metrics::histogram::Histogram;

/// Totals since the database was opened.
#[derive(Debug, Default)]
pub struct StorageFigures {
    /// Each write transaction, its wait for the disk included.
    pub write: Histogram,
    /// Call records that the database has.
    pub records_written: AtomicU64,
    /// Call records that it refused for good.
    pub records_refused: AtomicU64,
    /// Writes of call records that it did not take: they are tried again.
    pub failures: AtomicU64,
    /// It takes no call records now.
    pub failing: AtomicBool,
    /// Call records in the spool.
    pub spool_records: AtomicU64,
    /// Octets of the spool.
    pub spool_octets: AtomicU64,
}
