//! Opening the file: the folder, the pragmas, the migrations, and the errors an operator meets.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, SqliteConnection};

use super::code;
use super::error::StorageError;

/// Where the database is and how it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageOptions {
    /// The file.
    pub path: PathBuf,
    /// What a commit waits for.
    pub sync: Sync,
    /// Domain of a destination that names none, unless the setting `sip.domain` does.
    pub sip_domain: String,
}

/// What a commit waits for (`storage.sync`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// Nothing committed is lost with the process, at most the last commits with the power.
    Normal,
    /// Nothing committed is lost with the power either.
    Full,
}

/// The connections to one file.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) writer: SqliteConnection,
    pub(super) readers: SqlitePool,
}

static MIGRATOR: Migrator = sqlx::migrate!("src/storage/migrations");

pub(super) async fn open(options: &StorageOptions) -> Result<Database, StorageError> {
    let path = options.path.as_path();
    make_folder(path)?;
    make_private(path);
    let connect = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(match options.sync {
            Sync::Normal => SqliteSynchronous::Normal,
            Sync::Full => SqliteSynchronous::Full,
        })
        .pragma("cache_size", format!("-{CACHE_KIB}"))
        .disable_statement_logging();
    let mut writer = connect
        .connect()
        .await
        .map_err(|error| opening(path, error))?;
    MIGRATOR
        .run_direct(None, &mut writer, false)
        .await
        .map_err(|error| migrating(path, error))?;
    let read = connect
        .create_if_missing(false)
        .pragma("query_only", "1")
        .pragma("mmap_size", MMAP_OCTETS.to_string());
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS_MAX)
        .acquire_timeout(BUSY_TIMEOUT)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(read)
        .await
        .map_err(|error| opening(path, error))?;
    Ok(Database { writer, readers })
}

fn make_folder(path: &Path) -> Result<(), StorageError> {
    let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    else {
        return Ok(());
    };
    std::fs::create_dir_all(folder).map_err(|source| StorageError::NotWritable {
        path: folder.to_owned(),
        source,
    })
}

/// A new file is its owner's alone, whatever the umask; the log beside it takes the same mode. Where it
/// cannot be made, opening it says why.
fn make_private(path: &Path) {
    let made = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    drop(made);
}

fn opening(path: &Path, error: sqlx::Error) -> StorageError {
    match code::primary(&error) {
        Some(code::NOTADB | code::CORRUPT) => not_a_database(path, &error),
        Some(code::CANTOPEN | code::READONLY | code::PERM | code::IOERR | code::FULL) => {
            let source = std::io::Error::other(error);
            StorageError::NotWritable {
                path: path.to_owned(),
                source,
            }
        }
        Some(_) | None => StorageError::Database(error),
    }
}

fn migrating(path: &Path, error: MigrateError) -> StorageError {
    if let MigrateError::VersionMissing(found) | MigrateError::VersionTooNew(found, _) = error {
        let known = MIGRATOR
            .iter()
            .map(|migration| migration.version)
            .max()
            .unwrap_or(0);
        return StorageError::NewerSchema {
            path: path.to_owned(),
            found,
            known,
        };
    }
    if let MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) = error {
        return match code::primary(&error) {
            // Tables of another program stand in our way.
            Some(code::ERROR) => not_a_database(path, &error),
            Some(_) | None => opening(path, error),
        };
    }
    not_a_database(path, &error)
}

fn not_a_database(path: &Path, error: &dyn std::error::Error) -> StorageError {
    StorageError::NotADatabase {
        path: path.to_owned(),
        detail: error.to_string(),
    }
}

/// How long a connection waits for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections that read.
const READERS_MAX: u32 = 4;
/// Pages that each connection keeps, in KiB.
const CACHE_KIB: u32 = 8_192;
/// Octets of the file that readers map instead of copying: an index of ten million links.
const MMAP_OCTETS: u64 = 8 << 30;
