//! The door to the database for everybody else: asynchronous, cheap to clone, blocking nobody.

use std::borrow::Cow;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use sqlx::{ConnectOptions as _, Sqlite, SqlitePool};
use tokio::sync::{Semaphore, SemaphorePermit, mpsc, oneshot, watch};
use unicode_normalization::UnicodeNormalization as _;

use super::database::{self, StorageOptions};
use super::error::StorageError;
use super::figures::StorageFigures;
use super::node_key::NodeKey;
use super::snapshot::{self, Snapshot};
use super::writer::{self, Connection, Job, Work, Writer, work};
use crate::cdr::record::Record;
use crate::links::known::KnownLinks;
use crate::links::resolve::{Asked, ResolveRefusal, ResolvedLink, resolve_asked};
use crate::trunks::names::Names;
use crate::{cdr, guard_rules, links};

/// The open database.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    sip_domain: String,
    readers: SqlitePool,
    jobs: mpsc::Sender<Job>,
    records: mpsc::Sender<Record>,
    key: NodeKey,
    /// What the names of trunk targets mean.
    names: Names,
    known: KnownLinks,
    figures: Arc<StorageFigures>,
    export: Arc<AtomicBool>,
    snapshot: watch::Sender<Arc<Snapshot>>,
    /// Long lists and searches under way: they must leave readers to those who look one link up.
    lists: Semaphore,
    /// Held while this process is the node of this database.
    node_lock: Mutex<Option<File>>,
}

impl Store {
    /// Opens the database: makes its folder, migrates it, loads the first snapshot. Needs a tokio
    /// runtime that lives as long as the store.
    ///
    /// # Errors
    /// The folder cannot be written, the file is no database of ours, or a newer program wrote it.
    pub async fn open(options: &StorageOptions) -> Result<Self, StorageError> {
        Self::open_with(options, Names::default()).await
    }

    async fn open_with(options: &StorageOptions, names: Names) -> Result<Self, StorageError> {
        let database = database::open(options).await?;
        let key = NodeKey::open(options.path.parent().unwrap_or_else(|| Path::new(".")))?;
        let mut reader = database.readers.acquire().await?;
        let first = snapshot::load(&mut reader, &key, &names).await?;
        drop(reader);
        let (jobs, jobs_queue) = mpsc::channel(JOBS_QUEUE_MAX);
        let (records, records_queue) = mpsc::channel(RECORDS_QUEUE_MAX);
        let figures = Arc::<StorageFigures>::default();
        let export = Arc::<AtomicBool>::default();
        let writer = Writer {
            figures: Arc::clone(&figures),
            spool: None,
            spool_refused: false,
            retry_at: tokio::time::Instant::now(),
            export: Arc::clone(&export),
            connection: database.writer,
            sync: options.sync,
            jobs: jobs_queue,
            records: records_queue,
        };
        tokio::spawn(writer.run());
        Ok(Self {
            inner: Arc::new(Inner {
                path: options.path.clone(),
                sip_domain: options.sip_domain.clone(),
                readers: database.readers,
                jobs,
                records,
                key,
                names,
                known: KnownLinks::default(),
                figures,
                export,
                snapshot: watch::Sender::new(Arc::new(first)),
                lists: Semaphore::new(LISTS_MAX),
                node_lock: Mutex::new(None),
            }),
        })
    }

    /// Makes this process the node of this database: locks it against a second node and closes the
    /// calls that the last run left open, with cause `node_restart`. Returns how many.
    ///
    /// # Errors
    /// Another node runs on it.
    pub async fn start_node(&self, now: Timestamp) -> Result<u64, StorageError> {
        let path = self.inner.path.with_extension("lock");
        let unwritable = |source| StorageError::NotWritable {
            path: path.clone(),
            source,
        };
        let file = File::create(&path).map_err(unwritable)?;
        if file.try_lock().is_err() {
            return Err(StorageError::InUse { path });
        }
        *self
            .inner
            .node_lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(file);
        // First what the last run could not write: it may close calls.
        let (done, taken) = oneshot::channel();
        let path = self.inner.path.with_extension("spool");
        let take = self.inner.jobs.send(Job::TakeSpool { path, done });
        take.await.map_err(|_closed| StorageError::Closed)?;
        taken.await.map_err(|_closed| StorageError::Closed)??;
        let export = self.inner.export.load(Ordering::Relaxed);
        self.write(move |connection| work(cdr::writer::close_open_calls(connection, now, export)))
            .await
    }

    /// Calls that close from now on are marked for the files of `cdr::export`. Before
    /// [`Store::start_node`].
    pub fn export_closed_calls(&self) {
        self.inner.export.store(true, Ordering::Relaxed);
    }

    /// What a request path means now, as it may be told to whoever asks: with `links.hide_state` a
    /// link that may not be called is unknown. HTTP gives no host.
    ///
    /// # Errors
    /// The link is unknown, dead, not yet valid, or the database did not answer.
    pub async fn resolve(
        &self,
        user: &str,
        host: Option<&str>,
        now: Timestamp,
    ) -> Result<ResolvedLink, ResolveRefusal> {
        let resolved = self.resolve_for_call(user, host, now).await;
        let hide_state = self.snapshot().settings.hide_state;
        resolved.map_err(|refusal| refusal.hidden(hide_state))
    }

    /// The same with the true reason, which call control hides when it answers: a link that is over is
    /// no number that an extension may dial. Order: `user`, then `user@host`, then ad hoc. Never waits
    /// for the writer.
    ///
    /// # Errors
    /// The link is unknown, dead, not yet valid, or the database did not answer.
    pub async fn resolve_for_call(
        &self,
        user: &str,
        host: Option<&str>,
        now: Timestamp,
    ) -> Result<ResolvedLink, ResolveRefusal> {
        let snapshot = self.snapshot();
        let settings = &snapshot.settings;
        let domain = self.inner.sip_domain.as_str();
        // Request paths are stored in NFC; a phone may write its letters in pieces.
        let user = &*nfc(user);
        let read = self.inner.known.generation();
        let whole = host.map(|host| format!("{user}@{host}"));
        let by_user = self.link_for_call(user).await?;
        // Hidden, a link that may not be called costs the same questions as one that is not there.
        let by_whole = match &whole {
            Some(whole) if by_user.is_none() || settings.hide_state => {
                self.link_for_call(whole).await?
            }
            Some(_) | None => None,
        };
        let asked = Asked {
            user,
            whole: whole.as_deref(),
            by_user: by_user.as_ref(),
            by_whole: by_whole.as_ref(),
        };
        if let (Some(_), Some(link)) = (host, &by_user) {
            self.inner.known.keep(read, user, link);
        }
        resolve_asked(&asked, settings, domain, now)
    }

    /// What a request path that a call asks for means now, where that is known without asking the
    /// database: the same as [`Store::resolve`] would say. `None`: it has to be asked. A refusal
    /// always is, so that its time tells nobody what there is; and with `links.hide_state` everything,
    /// because who may not reach a link, or whom the guard refuses, is told like somebody who asked for
    /// nothing.
    #[must_use]
    pub fn resolve_known(&self, user: &str, now: Timestamp) -> Option<ResolvedLink> {
        let snapshot = self.snapshot();
        let settings = &snapshot.settings;
        if settings.hide_state {
            return None;
        }
        let user = &*nfc(user);
        let link = self.inner.known.get(user)?;
        let asked = Asked {
            user,
            whole: None,
            by_user: Some(&link),
            by_whole: None,
        };
        resolve_asked(&asked, settings, &self.inner.sip_domain, now).ok()
    }

    async fn link_for_call(
        &self,
        path: &str,
    ) -> Result<Option<links::model::Link>, ResolveRefusal> {
        if path.is_empty() || path.len() > links::draft::REQUEST_PATH_OCTETS_MAX {
            return Ok(None);
        }
        links::store::by_request_path(self, path)
            .await
            .map_err(|error| {
                tracing::error!(%error, "a link could not be read");
                ResolveRefusal::Unavailable
            })
    }

    /// Takes the next `count` numbers of the alias sequence; the first of them. They are on disk
    /// as taken before this returns, also against power loss: gaps are possible, repeats are not.
    ///
    /// # Errors
    /// The database did not take the write.
    pub async fn reserve_alias_block(&self, count: u32) -> Result<u64, StorageError> {
        let first: i64 = self
            .write_power_safe(move |connection| {
                work(async move {
                    let text = "UPDATE sequences SET value = value + $1 WHERE name = 'alias' \
                                RETURNING value - $1";
                    Ok(sqlx::query_scalar(text)
                        .bind(i64::from(count))
                        .fetch_one(connection)
                        .await?)
                })
            })
            .await?;
        u64::try_from(first).map_err(|_negative| StorageError::Corrupt {
            what: "alias number",
            detail: first.to_string(),
        })
    }

    /// Settings, trunks and sources as they are now.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.inner.snapshot.borrow())
    }

    /// Hears of each new snapshot; the first is seen already. [`Store::follow`] makes them.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.inner.snapshot.subscribe()
    }

    /// Where call control puts its records, in order. `try_send` works from any thread. A full queue
    /// means that the database is slower than the calls: keep the record and try again.
    #[must_use]
    pub fn records(&self) -> mpsc::Sender<Record> {
        self.inner.records.clone()
    }

    /// Not closed yet.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.inner.jobs.is_closed()
    }

    /// What the writer counts.
    #[must_use]
    pub fn figures(&self) -> &StorageFigures {
        &self.inner.figures
    }

    /// Pieces of work and call records that wait for the writer.
    #[must_use]
    pub fn waiting(&self) -> (usize, usize) {
        (
            JOBS_QUEUE_MAX.saturating_sub(self.inner.jobs.capacity()),
            RECORDS_QUEUE_MAX.saturating_sub(self.inner.records.capacity()),
        )
    }

    /// A reader answers.
    ///
    /// # Errors
    /// It does not.
    pub async fn answers(&self) -> Result<(), StorageError> {
        let mut reader = self.inner.readers.acquire().await?;
        snapshot::revision(&mut reader).await.map(drop)
    }

    /// Waits until every record that was queued before is on disk (or was refused by it).
    ///
    /// # Errors
    /// The writer has ended.
    pub async fn flush(&self) -> Result<(), StorageError> {
        let (done, flushed) = oneshot::channel();
        self.inner
            .jobs
            .send(Job::Flush(done))
            .await
            .map_err(|_closed| StorageError::Closed)?;
        flushed.await.map_err(|_closed| StorageError::Closed)
    }

    /// Writes what is queued and closes the connections; whoever comes later hears
    /// [`StorageError::Closed`].
    pub async fn close(&self) {
        self.inner.readers.close().await;
        if self.wait_for(Job::Close).await.is_err() {
            tracing::debug!("storage was closed before");
        }
    }

    async fn wait_for(
        &self,
        job: impl FnOnce(oneshot::Sender<()>) -> Job,
    ) -> Result<(), StorageError> {
        let (done, finished) = oneshot::channel();
        self.inner
            .jobs
            .send(job(done))
            .await
            .map_err(|_closed| StorageError::Closed)?;
        finished.await.map_err(|_closed| StorageError::Closed)
    }

    /// Follows the database: publishes a new snapshot when this or another process has changed
    /// settings, trunks or sources, and deletes links whose time of expiry has passed. Runs until
    /// the store is closed; the node runs one.
    ///
    /// # Errors
    /// The connection cannot be opened.
    pub async fn follow(&self) -> Result<(), StorageError> {
        // `data_version` tells a connection what *others* committed: this one never writes.
        let mut connection = self.inner.readers.connect_options().connect().await?;
        let (mut seen_version, mut seen_links) = (0, 0);
        let mut tick = tokio::time::interval(POLL_INTERVAL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut until_names = NAMES_EVERY_POLLS;
        let mut until_expiry = EXPIRY_EVERY_POLLS;
        let mut cleaning = tokio::spawn(clean_up(self.clone()));
        while !self.inner.jobs.is_closed() {
            tick.tick().await;
            until_names = until_names.checked_sub(1).unwrap_or(NAMES_EVERY_POLLS);
            until_expiry = until_expiry.checked_sub(1).unwrap_or(EXPIRY_EVERY_POLLS);
            let polled = self
                .poll(
                    &mut connection,
                    (&mut seen_version, &mut seen_links),
                    until_names == 0,
                )
                .await;
            if let Err(error) = polled {
                tracing::warn!(%error, "settings, trunks and sources could not be read again");
            }
            // Beside the polling: a first clean-up of very many rows takes its time.
            if until_expiry == 0 && cleaning.is_finished() {
                cleaning = tokio::spawn(clean_up(self.clone()));
            }
            if until_expiry == 0
                && let Err(error) = guard_rules::counts::delete_over(self, Timestamp::now()).await
            {
                tracing::warn!(%error, "old counts of the guard were not deleted");
            }
        }
        Ok(())
    }

    async fn poll(
        &self,
        connection: &mut Connection,
        (seen_version, seen_links): (&mut i64, &mut i64),
        names_due: bool,
    ) -> Result<(), StorageError> {
        let version: i64 = sqlx::query_scalar("PRAGMA data_version")
            .fetch_one(&mut *connection)
            .await?;
        let current = self.snapshot();
        let names_due = names_due && current.names_resolved;
        if version == *seen_version && !names_due {
            return Ok(());
        }
        let is_new = names_due || snapshot::revision(connection).await? != current.revision;
        let next = if is_new {
            Some(snapshot::load(connection, &self.inner.key, &self.inner.names).await?)
        } else {
            None
        };
        // Read last and heard of first: whoever sees a snapshot has seen what was done to links before it.
        let links = snapshot::links_changed(connection).await?;
        if std::mem::replace(seen_links, links) != links {
            self.inner.known.forget();
        }
        if let Some(next) = next {
            self.publish(next);
        }
        *seen_version = version;
        Ok(())
    }

    /// Publishes what this process has just changed, without waiting for the next poll.
    pub(crate) async fn refresh(&self) -> Result<(), StorageError> {
        let mut reader = self.inner.readers.acquire().await?;
        let next = snapshot::load(&mut reader, &self.inner.key, &self.inner.names).await?;
        self.publish(next);
        Ok(())
    }

    fn publish(&self, next: Snapshot) {
        self.inner.snapshot.send_if_modified(|current| {
            let newer = next.revision >= current.revision && **current != next;
            if newer {
                *current = Arc::new(next);
            }
            newer
        });
    }

    /// Lets the log grow while very many rows are written: each moving of the log into the file
    /// waits for the disk. Ends with this store.
    pub(crate) async fn expect_many_rows(&self) -> Result<(), StorageError> {
        self.write(|connection| {
            work(async move {
                sqlx::query("PRAGMA wal_autocheckpoint = 65536")
                    .execute(&mut *connection)
                    .await?;
                sqlx::query("PRAGMA cache_size = -262144")
                    .execute(connection)
                    .await?;
                Ok(())
            })
        })
        .await
    }

    /// A turn to read a list: at most [`LISTS_MAX`] at once, so that readers are left for calls.
    pub(crate) async fn turn_to_list(&self) -> Result<SemaphorePermit<'_>, StorageError> {
        match tokio::time::timeout(LIST_WAIT_MAX, self.inner.lists.acquire()).await {
            Ok(turn) => turn.map_err(|_closed| StorageError::Closed),
            Err(_elapsed) => Err(StorageError::Busy),
        }
    }

    /// Connections that read.
    pub(crate) fn readers(&self) -> &sqlx::Pool<Sqlite> {
        &self.inner.readers
    }

    /// The key by which passwords are sealed.
    pub(crate) fn key(&self) -> &NodeKey {
        &self.inner.key
    }

    /// Does a piece of work in one write transaction: committed when it returns `Ok`.
    pub(crate) async fn write<T, F>(&self, task: F) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Connection) -> Work<'c, T> + Send + 'static,
    {
        self.submit(writer::job(false, task)).await
    }

    /// The same for work that changes or deletes links: no call is told of them as they were once
    /// this returns. Of those that another process changes, [`Store::follow`] hears.
    pub(crate) async fn change_links<T, F>(&self, task: F) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Connection) -> Work<'c, T> + Send + 'static,
    {
        let changed = self.write(move |connection| {
            work(async move {
                let done = task(&mut *connection).await?;
                sqlx::query("UPDATE sequences SET value = value + 1 WHERE name = 'links'")
                    .execute(connection)
                    .await?;
                Ok(done)
            })
        });
        let changed = changed.await;
        self.inner.known.forget();
        changed
    }

    async fn write_power_safe<T, F>(&self, task: F) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Connection) -> Work<'c, T> + Send + 'static,
    {
        self.submit(writer::job(true, task)).await
    }

    async fn submit<T>(
        &self,
        (job, outcome): (Job, oneshot::Receiver<Result<T, StorageError>>),
    ) -> Result<T, StorageError> {
        self.inner
            .jobs
            .send(job)
            .await
            .map_err(|_closed| StorageError::Closed)?;
        outcome.await.map_err(|_closed| StorageError::Closed)?
    }
}

/// Deletes links and calls that are kept no longer, some at a time.
async fn clean_up(store: Store) {
    let now = Timestamp::now();
    if let Err(error) = links::store::delete_expired(&store, now).await {
        tracing::warn!(%error, "expired links were not deleted");
    }
    match cdr::query::delete_old(&store, now).await {
        Ok(0) => {}
        Ok(calls) => tracing::info!(calls, "old call records were deleted"),
        Err(error) => tracing::warn!(%error, "old call records were not deleted"),
    }
}

fn nfc(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.nfc().collect())
    }
}

/// Records that may wait for the writer: four a call, two seconds at 1,000 calls a second.
pub const RECORDS_QUEUE_MAX: usize = 8_192;
/// Pieces of work that may wait for the writer.
pub const JOBS_QUEUE_MAX: usize = 256;
/// Lists that are read at once, of four readers.
const LISTS_MAX: usize = 2;
/// How long a list waits for its turn.
const LIST_WAIT_MAX: Duration = Duration::from_secs(5);
/// How soon a change by another process is seen.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Names of trunk targets are looked up again this often.
const NAMES_EVERY_POLLS: u32 = 60;
/// Expired links are looked for this often.
const EXPIRY_EVERY_POLLS: u32 = 3_600;

#[cfg(test)]
mod tests;
