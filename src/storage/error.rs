//! What storage refuses or cannot do, in words an operator can act on.

use std::path::PathBuf;

use crate::field_errors::FieldErrors;
use crate::settings::model::SettingError;

/// Why a storage operation did not happen.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    // The caller's.
    /// Fields break rules.
    #[error("{0}")]
    Invalid(#[from] FieldErrors),
    /// A setting was not taken.
    #[error("{0}")]
    Setting(#[from] SettingError),
    /// Another row has this value already.
    #[error("{what} `{value}` is there already")]
    Duplicate {
        /// Which field of which object.
        what: &'static str,
        /// The value.
        value: String,
    },
    /// No such row.
    #[error("no {what} `{value}`")]
    NotFound {
        /// What was looked for.
        what: &'static str,
        /// By this word.
        value: String,
    },
    /// Others name it.
    #[error("{what} `{value}` is needed by {by}")]
    InUseBy {
        /// Which kind of object.
        what: &'static str,
        /// Which one.
        value: String,
        /// Who needs it.
        by: String,
    },
    /// It is not any more what the asker has read.
    #[error("somebody has changed it meanwhile")]
    Changed,
    // The machine's.
    /// As many slow readings are under way as there may be.
    #[error("too many lists are being read; try again")]
    Busy,
    /// Folder or file cannot be made or written.
    #[error("cannot write {}: {source}; storage needs a folder that this user may write", path.display())]
    NotWritable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file holds something else.
    #[error("{} is not a database of this program: {detail}; move it away or name another storage.path", path.display())]
    NotADatabase {
        /// Which.
        path: PathBuf,
        /// What SQLite says.
        detail: String,
    },
    /// A newer program has written it.
    #[error("{} has schema {found}, this program knows {known} and cannot read it; install the newer version again or restore the backup of before its upgrade", path.display())]
    NewerSchema {
        /// Which.
        path: PathBuf,
        /// Version in the file.
        found: i64,
        /// Our latest.
        known: i64,
    },
    /// Another node runs on this database.
    #[error("{} is in use by another running node; each node needs a data folder of its own", path.display())]
    InUse {
        /// The lock file.
        path: PathBuf,
    },
    /// The key file is missing, too short, or readable by others.
    #[error("node key {}: {detail}", path.display())]
    NodeKey {
        /// The key file.
        path: PathBuf,
        /// What is wrong.
        detail: &'static str,
    },
    /// A row does not hold what it should.
    #[error("the database holds a bad {what}: {detail}")]
    Corrupt {
        /// Which column.
        what: &'static str,
        /// What is wrong.
        detail: String,
    },
    /// The writer has ended: the program is shutting down.
    #[error("storage is closed")]
    Closed,
    /// The work was done, but not committed.
    #[error("database: {detail}")]
    Uncommitted {
        /// What SQLite says.
        detail: String,
    },
    /// Anything else that SQLite says.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
}

impl StorageError {
    /// A stable word for logs and problem documents.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid",
            Self::Setting(_) => "setting",
            Self::Duplicate { .. } => "duplicate",
            Self::NotFound { .. } => "not_found",
            Self::InUseBy { .. } => "in_use_by",
            Self::Changed => "changed",
            Self::Busy => "busy",
            Self::NotWritable { .. } => "not_writable",
            Self::NotADatabase { .. } => "not_a_database",
            Self::NewerSchema { .. } => "newer_schema",
            Self::InUse { .. } => "in_use",
            Self::NodeKey { .. } => "node_key",
            Self::Corrupt { .. } => "corrupt",
            Self::Closed => "closed",
            Self::Uncommitted { .. } => "uncommitted",
            Self::Database(_) => "database",
        }
    }

    /// True when the one who asked can put it right.
    #[must_use]
    pub const fn is_callers(&self) -> bool {
        matches!(
            self,
            Self::Invalid(_)
                | Self::Setting(_)
                | Self::Duplicate { .. }
                | Self::NotFound { .. }
                | Self::InUseBy { .. }
                | Self::Changed
        )
    }
}
