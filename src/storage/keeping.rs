//! What becomes of call records while the database takes none: they wait in the spool, on disk, and
//! are replayed when it is back; where the spool takes none either, in memory. One alarm at the
//! beginning, one word at the end.

use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;

use tokio::time::Instant;

use super::error::StorageError;
use super::writer::{BATCH_RECORDS_MAX, RETRY_AFTER, Writer, begin, end, is_passing};
use crate::cdr::record::Record;
use crate::cdr::spool::{Chunk, Spool};
use crate::cdr::writer::{replayed, write_records, write_replayed};

impl Writer {
    /// This process is the node: takes over what the last run left in the spool, and writes it.
    pub(super) async fn take_spool(&mut self, path: &Path) -> Result<(), StorageError> {
        let known = replayed(&mut self.connection).await?;
        let spool = Spool::open(path, known).map_err(|source| StorageError::NotWritable {
            path: path.to_owned(),
            source,
        })?;
        let records = spool.size().0;
        self.spool = Some(spool);
        if self.spool_holds() {
            tracing::warn!(records, "call records of the last run wait in the spool");
            self.figures.failing.store(true, Relaxed);
            self.replay().await;
        }
        Ok(())
    }

    /// Older records wait in the spool: newer ones come behind them.
    pub(super) fn spool_holds(&self) -> bool {
        self.spool.as_ref().is_some_and(Spool::holds_records)
    }

    /// The database did not take a batch.
    pub(super) fn begin_failing(&mut self, error: &sqlx::Error) {
        self.figures.failures.fetch_add(1, Relaxed);
        self.retry_at = Instant::now() + RETRY_AFTER;
        if !self.figures.failing.swap(true, Relaxed) {
            tracing::error!(
                %error,
                "the database takes no call records: calls go on, records are kept until it does"
            );
        }
    }

    fn end_failing(&self) {
        if self.figures.failing.swap(false, Relaxed) {
            tracing::warn!("the database takes call records again: none was lost meanwhile");
        }
    }

    /// The database took a batch.
    pub(super) fn wrote(&self, records: usize) {
        let records = u64::try_from(records).unwrap_or(0);
        self.figures.records_written.fetch_add(records, Relaxed);
        if !self.spool_holds() {
            self.end_failing();
        }
    }

    /// Puts a batch into the spool. False: it stays in memory.
    pub(super) async fn keep(&mut self, batch: &mut Vec<Record>) -> bool {
        let Some(mut spool) = self.spool.take() else {
            return false;
        };
        let records = std::mem::take(batch);
        let id = fresh_id();
        // The disk may take its time.
        let kept = tokio::task::spawn_blocking(move || {
            let kept = spool.append(&records, id);
            (spool, records, kept)
        });
        let Ok((spool, records, kept)) = kept.await else {
            tracing::error!("the spool was lost in a panic");
            return false;
        };
        self.spool = Some(spool);
        self.publish_spool();
        match kept {
            Ok(()) => {
                self.spool_refused = false;
                true
            }
            Err(error) => {
                *batch = records;
                if !std::mem::replace(&mut self.spool_refused, true) {
                    tracing::error!(%error, "the spool takes no call records: they wait in memory");
                }
                false
            }
        }
    }

    /// Writes what waits in the spool, as far as the database takes it.
    pub(super) async fn replay(&mut self) {
        self.retry_at = Instant::now() + RETRY_AFTER;
        loop {
            let Some(spool) = &mut self.spool else { return };
            let chunk = match spool.next(BATCH_RECORDS_MAX) {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(error) => {
                    tracing::error!(%error, "the spool cannot be read");
                    return;
                }
            };
            if let Err(error) = self.write_chunk(&chunk).await {
                self.begin_failing(&error);
                return;
            }
            if let Some(spool) = &mut self.spool
                && let Err(error) = spool.replayed(&chunk)
            {
                tracing::error!(%error, "the spool cannot be removed");
            }
            self.publish_spool();
            self.wrote(chunk.records.len());
        }
    }

    /// A chunk and how far it goes, in one transaction. Records that the database refuses for good
    /// are left out.
    async fn write_chunk(&mut self, chunk: &Chunk) -> sqlx::Result<()> {
        let whole = self.try_chunk(&chunk.records, chunk).await;
        match whole {
            Err(error) if !is_passing(&error) => {}
            ended => return ended,
        }
        self.write_singly(&chunk.records).await;
        self.try_chunk(&[], chunk).await
    }

    async fn try_chunk(&mut self, records: &[Record], chunk: &Chunk) -> sqlx::Result<()> {
        let export = self.export.load(Relaxed);
        begin(&mut self.connection).await?;
        let mut written = write_records(&mut self.connection, records, export).await;
        if written.is_ok() {
            written = write_replayed(&mut self.connection, chunk.spool, chunk.offset).await;
        }
        end(&mut self.connection, written).await
    }

    fn publish_spool(&self) {
        let (records, octets) = self.spool.as_ref().map_or((0, 0), Spool::size);
        self.figures.spool_records.store(records, Relaxed);
        self.figures.spool_octets.store(octets, Relaxed);
    }
}

/// A number that no earlier spool had: chance does not repeat in 63 bits.
fn fresh_id() -> i64 {
    let octets = super::randomness().unwrap_or_else(|_none| {
        let now = jiff::Timestamp::now().as_nanosecond();
        u64::try_from(now).unwrap_or(1).to_le_bytes()
    });
    i64::from_le_bytes(octets) & i64::MAX
}
