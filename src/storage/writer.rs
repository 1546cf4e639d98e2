//! The one task that writes. Work asked for by API, CLI and start-up comes first, then CDR records
//! in batches; each piece of work and each batch is one transaction.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use sqlx::{Connection as _, SqliteConnection};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::code;
use super::database::Sync;
use super::error::StorageError;
use super::figures::StorageFigures;
use crate::cdr::record::Record;
use crate::cdr::writer::write_records;

/// The connection that a piece of work is given, inside its transaction.
pub(crate) type Connection = SqliteConnection;

/// A piece of work under way.
pub(crate) type Work<'c, T> = Pin<Box<dyn Future<Output = Result<T, StorageError>> + Send + 'c>>;

/// Boxes a piece of work.
pub(crate) fn work<'c, T>(
    future: impl Future<Output = Result<T, StorageError>> + Send + 'c,
) -> Work<'c, T> {
    Box::pin(future)
}

type Run = Box<
    dyn for<'c> FnOnce(&'c mut SqliteConnection) -> Pin<Box<dyn Future<Output = ()> + Send + 'c>>
        + Send,
>;

/// What waits in the queue before the records.
pub(super) enum Job {
    Run {
        /// The commit waits for the disk, whatever `storage.sync` says.
        power_safe: bool,
        run: Run,
    },
    /// Write every record that is queued now, then say so.
    Flush(oneshot::Sender<()>),
    /// Write every record that is queued now, close the file, then say so.
    Close(oneshot::Sender<()>),
}

/// Makes a job of work, and the receiver of its outcome.
pub(super) fn job<T, F>(
    power_safe: bool,
    task: F,
) -> (Job, oneshot::Receiver<Result<T, StorageError>>)
where
    T: Send + 'static,
    F: for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, T> + Send + 'static,
{
    let (reply, outcome) = oneshot::channel();
    let run: Run = Box::new(move |connection| {
        Box::pin(async move {
            let result = in_transaction(connection, task).await;
            reply.send(result).ok(); // Nobody listens any more: the work is done all the same.
        })
    });
    (Job::Run { power_safe, run }, outcome)
}

async fn in_transaction<T, F>(connection: &mut SqliteConnection, task: F) -> Result<T, StorageError>
where
    F: for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, T>,
{
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    match task(&mut transaction).await {
        Ok(value) => {
            transaction.commit().await?;
            Ok(value)
        }
        Err(error) => {
            transaction.rollback().await?;
            Err(error)
        }
    }
}

/// The writer's state between turns.
pub(super) struct Writer {
    pub(super) connection: SqliteConnection,
    pub(super) sync: Sync,
    pub(super) jobs: mpsc::Receiver<Job>,
    pub(super) records: mpsc::Receiver<Record>,
    pub(super) figures: Arc<StorageFigures>,
}

impl Writer {
    /// Writes until nobody can ask any more, then writes what is queued and closes the file.
    pub(super) async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH_RECORDS_MAX);
        let mut flush_at = Instant::now();
        let mut recording = true;
        let closed = loop {
            let may_collect = recording && batch.is_empty();
            tokio::select! {
                biased;
                job = self.jobs.recv() => match job {
                    Some(Job::Run { power_safe, run }) => self.run_job(power_safe, run).await,
                    Some(Job::Flush(done)) => {
                        self.flush(&mut batch).await;
                        done.send(()).ok();
                    }
                    Some(Job::Close(done)) => break Some(done),
                    None => break None,
                },
                () = tokio::time::sleep_until(flush_at), if !batch.is_empty() => {
                    if !self.flush(&mut batch).await {
                        flush_at = Instant::now() + RETRY_AFTER;
                    }
                }
                received = self.records.recv_many(&mut batch, BATCH_RECORDS_MAX), if may_collect => {
                    recording = received > 0;
                    flush_at = Instant::now() + COLLECT_TIME;
                }
            }
        };
        self.flush(&mut batch).await;
        if let Err(error) = self.connection.close().await {
            tracing::warn!(%error, "the database was not closed cleanly");
        }
        if let Some(closed) = closed {
            closed.send(()).ok();
        }
    }

    async fn run_job(&mut self, power_safe: bool, run: Run) {
        let raise = power_safe && self.sync == Sync::Normal;
        if raise {
            self.pragma("PRAGMA synchronous = FULL").await;
        }
        let began = Instant::now();
        run(&mut self.connection).await;
        self.figures.write.record(began.elapsed());
        if raise {
            self.pragma("PRAGMA synchronous = NORMAL").await;
        }
    }

    async fn pragma(&mut self, text: &'static str) {
        if let Err(error) = sqlx::query(text).execute(&mut self.connection).await {
            tracing::warn!(%error, text, "a pragma was refused");
        }
    }

    /// Writes the batch and whatever else is queued. False: the database did not take it, and the
    /// batch is kept for another try.
    async fn flush(&mut self, batch: &mut Vec<Record>) -> bool {
        loop {
            while batch.len() < BATCH_RECORDS_MAX
                && let Ok(record) = self.records.try_recv()
            {
                batch.push(record);
            }
            if batch.is_empty() {
                return true;
            }
            let began = Instant::now();
            let written = write_batch(&mut self.connection, batch).await;
            self.figures.write.record(began.elapsed());
            match written {
                Ok(()) => self.count_written(batch.len()),
                Err(error) if is_passing(&error) => {
                    self.figures.failures.fetch_add(1, Relaxed);
                    self.figures.failing.store(true, Relaxed);
                    tracing::warn!(%error, records = batch.len(), "CDR records wait: not written");
                    return false;
                }
                Err(_refused) => self.write_singly(batch).await,
            }
            self.figures.failing.store(false, Relaxed);
            batch.clear();
        }
    }

    /// One record that the database refuses must not take its neighbours along.
    async fn write_singly(&mut self, batch: &[Record]) {
        for record in batch {
            let one = std::slice::from_ref(record);
            match write_batch(&mut self.connection, one).await {
                Ok(()) => self.count_written(1),
                Err(error) => {
                    self.figures.records_refused.fetch_add(1, Relaxed);
                    tracing::error!(%error, ?record, "a CDR record was refused by the database");
                }
            }
        }
    }

    fn count_written(&self, records: usize) {
        let records = u64::try_from(records).unwrap_or(0);
        self.figures.records_written.fetch_add(records, Relaxed);
    }
}

async fn write_batch(connection: &mut SqliteConnection, batch: &[Record]) -> sqlx::Result<()> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    write_records(&mut transaction, batch).await?;
    transaction.commit().await
}

/// Another process writes, or the disk is full: it can be otherwise in a second.
fn is_passing(error: &sqlx::Error) -> bool {
    let passing = [code::BUSY, code::LOCKED, code::IOERR, code::FULL];
    matches!(error, sqlx::Error::Io(_))
        || code::primary(error).is_some_and(|code| passing.contains(&code))
}

/// Records in one transaction.
pub(super) const BATCH_RECORDS_MAX: usize = 100;
/// How long the first record of a batch waits for company. Each transaction and each waking of the
/// threads between has its price whatever it carries: at 200 calls a second 5 ms gathers one record,
/// 50 ms forty. What a crash of the process can lose is bounded by it.
const COLLECT_TIME: Duration = Duration::from_millis(50);
/// Between two tries to write records that the database did not take.
const RETRY_AFTER: Duration = Duration::from_secs(1);
