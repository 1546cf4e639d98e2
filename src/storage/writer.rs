//! The one task that writes. Work asked for by API, CLI and start-up comes first, then CDR records
//! in batches; each piece of work and each batch is one transaction.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
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
use crate::cdr::spool::Spool;
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
    /// This process is the node: the spool at this path is ours.
    TakeSpool {
        path: PathBuf,
        done: oneshot::Sender<Result<(), StorageError>>,
    },
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
    begin(connection).await?;
    let done = task(connection).await;
    end(connection, done).await
}

/// Begins a write transaction. In SQL, not by the library's own call: the library counts its
/// transactions, and when SQLite rolls one back by itself (a full disk) the count stays wrong and
/// every later transaction is refused.
pub(super) async fn begin(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    sqlx::query("BEGIN IMMEDIATE")
        .execute(connection)
        .await
        .map(drop)
}

/// Ends it: what was done stays, or nothing of it.
pub(super) async fn end<T, E: From<sqlx::Error>>(
    connection: &mut SqliteConnection,
    done: Result<T, E>,
) -> Result<T, E> {
    let ended = match done {
        Ok(value) => match sqlx::query("COMMIT").execute(&mut *connection).await {
            Ok(_) => return Ok(value),
            Err(error) => Err(error.into()),
        },
        Err(error) => Err(error),
    };
    // It fails where SQLite has rolled back already, and then all is well.
    sqlx::query("ROLLBACK").execute(connection).await.ok();
    ended
}

/// The writer's state between turns.
pub(super) struct Writer {
    pub(super) connection: SqliteConnection,
    pub(super) sync: Sync,
    pub(super) jobs: mpsc::Receiver<Job>,
    pub(super) records: mpsc::Receiver<Record>,
    pub(super) figures: Arc<StorageFigures>,
    /// Of a node; `None`: records are kept in memory only.
    pub(super) spool: Option<Spool>,
    /// The spool has taken nothing since the alarm, and that was said.
    pub(super) spool_refused: bool,
    /// When the database is asked again to take what is in the spool.
    pub(super) retry_at: Instant,
    /// Closed calls are to be written to files.
    pub(super) export: Arc<AtomicBool>,
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
                        if self.spool_holds() {
                            self.replay().await;
                        }
                        done.send(()).ok();
                    }
                    Some(Job::TakeSpool { path, done }) => {
                        let taken = self.take_spool(&path).await;
                        done.send(taken).ok();
                    }
                    Some(Job::Close(done)) => break Some(done),
                    None => break None,
                },
                () = tokio::time::sleep_until(flush_at), if !batch.is_empty() => {
                    if !self.flush(&mut batch).await {
                        flush_at = Instant::now() + RETRY_AFTER;
                    }
                }
                () = tokio::time::sleep_until(self.retry_at), if self.spool_holds() => {
                    self.replay().await;
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
            if self.spool_holds() {
                // What came before it is not written yet.
                if !self.keep(batch).await {
                    return false;
                }
                continue;
            }
            let began = Instant::now();
            let export = self.export.load(Relaxed);
            let written = write_batch(&mut self.connection, batch, export).await;
            self.figures.write.record(began.elapsed());
            match written {
                Ok(()) => self.wrote(batch.len()),
                Err(error) if is_passing(&error) => {
                    self.begin_failing(&error);
                    if !self.keep(batch).await {
                        return false;
                    }
                }
                Err(_refused) => self.write_singly(batch).await,
            }
            batch.clear();
        }
    }

    /// One record that the database refuses must not take its neighbours along.
    pub(super) async fn write_singly(&mut self, batch: &[Record]) {
        for record in batch {
            let one = std::slice::from_ref(record);
            let export = self.export.load(Relaxed);
            match write_batch(&mut self.connection, one, export).await {
                Ok(()) => self.wrote(1),
                Err(error) => {
                    self.figures.records_refused.fetch_add(1, Relaxed);
                    tracing::error!(%error, ?record, "a CDR record was refused by the database");
                }
            }
        }
    }
}

async fn write_batch(
    connection: &mut SqliteConnection,
    batch: &[Record],
    export: bool,
) -> sqlx::Result<()> {
    begin(connection).await?;
    let written = write_records(connection, batch, export).await;
    end(connection, written).await
}

/// Another process writes, the disk is full, somebody has made it read-only: it can be otherwise in a
/// second. What says nothing about the records is no reason to give one up.
pub(super) fn is_passing(error: &sqlx::Error) -> bool {
    let passing = [
        code::BUSY,
        code::LOCKED,
        code::PERM,
        code::READONLY,
        code::IOERR,
        code::FULL,
        code::CANTOPEN,
    ];
    code::primary(error).is_none_or(|code| passing.contains(&code))
}

/// Records in one transaction.
pub(super) const BATCH_RECORDS_MAX: usize = 100;
/// How long the first record of a batch waits for company. Each transaction and each waking of the
/// threads between has its price whatever it carries: at 200 calls a second 5 ms gathers one record,
/// 50 ms forty. What a crash of the process can lose is bounded by it.
const COLLECT_TIME: Duration = Duration::from_millis(50);
/// Between two tries to write records that the database did not take.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);
