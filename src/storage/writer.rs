//! The one task that writes. Work asked for by API, CLI and start-up comes first, then CDR records
//! in batches; what waits together is one transaction.

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

/// One piece of work that waits.
pub(super) struct Errand(Box<dyn Step>);

/// A piece of work whose type is known to itself only.
trait Step: Send {
    /// In a transaction of its own.
    fn alone<'c>(self: Box<Self>, connection: &'c mut Connection) -> Done<'c, ()>;

    /// In a transaction with others: whether it is to be committed, and who is waiting for it.
    fn among<'c>(self: Box<Self>, connection: &'c mut Connection) -> Done<'c, (bool, Reply)>;
}

type Done<'c, T> = Pin<Box<dyn Future<Output = T> + Send + 'c>>;

/// Says how it ended; `Some`: the transaction was not committed, for this reason.
type Reply = Box<dyn FnOnce(Option<&sqlx::Error>) + Send>;

struct Task<T, F> {
    task: F,
    reply: oneshot::Sender<Result<T, StorageError>>,
}

impl<T, F> Step for Task<T, F>
where
    T: Send + 'static,
    F: for<'c> FnOnce(&'c mut Connection) -> Work<'c, T> + Send + 'static,
{
    fn alone<'c>(self: Box<Self>, connection: &'c mut Connection) -> Done<'c, ()> {
        Box::pin(async move {
            let result = in_transaction(connection, self.task).await;
            self.reply.send(result).ok(); // Nobody listens any more: it is done all the same.
        })
    }

    fn among<'c>(self: Box<Self>, connection: &'c mut Connection) -> Done<'c, (bool, Reply)> {
        Box::pin(async move {
            let result = (self.task)(connection).await;
            let (keep, reply) = (result.is_ok(), self.reply);
            let reply: Reply = Box::new(move |failed| {
                let result = match failed {
                    Some(error) if result.is_ok() => Err(StorageError::Uncommitted {
                        detail: error.to_string(),
                    }),
                    Some(_) | None => result,
                };
                reply.send(result).ok();
            });
            (keep, reply)
        })
    }
}

/// What waits in the queue before the records.
pub(super) enum Job {
    Run {
        /// The commit waits for the disk, whatever `storage.sync` says.
        power_safe: bool,
        errand: Errand,
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
    let errand = Errand(Box::new(Task { task, reply }));
    (Job::Run { power_safe, errand }, outcome)
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
        let mut waiting = None;
        let closed = loop {
            let may_collect = recording && batch.is_empty();
            tokio::select! {
                biased;
                job = next_job(&mut waiting, &mut self.jobs) => match job {
                    Some(Job::Run { power_safe: true, errand }) => self.run_safe(errand).await,
                    Some(Job::Run { power_safe: false, errand }) => {
                        waiting = self.run_with_others(errand).await;
                    }
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

    /// The commit waits for the disk, whatever `storage.sync` says.
    async fn run_safe(&mut self, errand: Errand) {
        let raise = self.sync == Sync::Normal;
        if raise {
            self.pragma("PRAGMA synchronous = FULL").await;
        }
        let began = Instant::now();
        errand.0.alone(&mut self.connection).await;
        self.figures.write.record(began.elapsed());
        if raise {
            self.pragma("PRAGMA synchronous = NORMAL").await;
        }
    }

    /// Does a piece of work, and with it what else is queued by now: one commit for all. Each has a
    /// savepoint, so that one that fails leaves nothing behind. Returns a job of another kind that
    /// was found on the way.
    async fn run_with_others(&mut self, first: Errand) -> Option<Job> {
        let (mut errands, mut other) = (vec![first], None);
        while errands.len() < ERRANDS_AT_ONCE_MAX
            && let Ok(job) = self.jobs.try_recv()
        {
            match job {
                Job::Run {
                    power_safe: false,
                    errand,
                } => errands.push(errand),
                job @ (Job::Run { .. } | Job::Flush(_) | Job::Close(_) | Job::TakeSpool { .. }) => {
                    other = Some(job);
                    break;
                }
            }
        }
        let began = Instant::now();
        if errands.len() == 1 {
            for errand in errands {
                errand.0.alone(&mut self.connection).await;
            }
        } else {
            run_together(&mut self.connection, errands).await;
        }
        self.figures.write.record(began.elapsed());
        other
    }

    async fn pragma(&mut self, text: &'static str) {
        if let Err(error) = sqlx::query(text).execute(&mut self.connection).await {
            tracing::warn!(%error, text, "a pragma was refused");
        }
    }

    /// Writes the batch and whatever else is queued now. What comes meanwhile gathers for the next one:
    /// under load there is always something, and a transaction for each handful costs as much as one for
    /// all. False: the database did not take it, and the batch is kept for another try.
    async fn flush(&mut self, batch: &mut Vec<Record>) -> bool {
        let mut queued = self.records.len();
        loop {
            while queued > 0
                && batch.len() < BATCH_RECORDS_MAX
                && let Ok(record) = self.records.try_recv()
            {
                queued -= 1;
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

/// The job that was found on the way, or else the next one of the queue.
async fn next_job(waiting: &mut Option<Job>, jobs: &mut mpsc::Receiver<Job>) -> Option<Job> {
    match waiting.take() {
        Some(job) => Some(job),
        None => jobs.recv().await,
    }
}

/// Several pieces of work in one transaction.
async fn run_together(connection: &mut Connection, errands: Vec<Errand>) {
    if let Err(error) = statement(connection, "BEGIN IMMEDIATE").await {
        tracing::debug!(%error, "no transaction for several: each by itself");
        for errand in errands {
            errand.0.alone(connection).await;
        }
        return;
    }
    let (mut replies, mut failed) = (Vec::with_capacity(errands.len()), None);
    for errand in errands {
        failed = failed.or(statement(connection, "SAVEPOINT errand").await.err());
        let (keep, reply) = errand.0.among(connection).await;
        replies.push(reply);
        if !keep {
            failed = failed.or(statement(connection, "ROLLBACK TO errand").await.err());
        }
        failed = failed.or(statement(connection, "RELEASE errand").await.err());
    }
    if failed.is_none() {
        failed = statement(connection, "COMMIT").await.err();
    }
    if failed.is_some()
        && let Err(error) = statement(connection, "ROLLBACK").await
    {
        // Some failures, a full disk among them, have rolled back already.
        tracing::debug!(%error, "there was nothing to roll back");
    }
    for reply in replies {
        reply(failed.as_ref());
    }
}

async fn statement(connection: &mut Connection, text: &'static str) -> sqlx::Result<()> {
    sqlx::query(text).execute(connection).await.map(drop)
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

/// Pieces of work in one transaction.
const ERRANDS_AT_ONCE_MAX: usize = 64;
/// Records in one transaction.
pub(super) const BATCH_RECORDS_MAX: usize = 400;
/// How long the first record of a batch waits for company. Each transaction and each waking of the
/// threads between has its price whatever it carries: at 300 calls a second a record cost 45 us where 50 ms
/// gathered sixty, 20 us where 200 ms gather 240. What a crash of the process can lose is bounded by it.
const COLLECT_TIME: Duration = Duration::from_millis(200);
/// Between two tries to write records that the database did not take.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);
