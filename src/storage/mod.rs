//! The embedded database: one writer connection for all writes, readers that cannot write, and a
//! snapshot of what call control needs that is replaced when it changes.
//!
//! Owns files, connections, migrations and the write queue. What the rows mean is in `links`,
//! `settings`, `trunks`, `sources` and `cdr`, each in its `store`.

mod code;
mod database;
mod error;
mod figures;
mod keeping;
mod node_key;
mod randomness;
mod snapshot;
mod store;
mod writer;

pub use database::{StorageOptions, Sync};
pub use error::StorageError;
pub use figures::StorageFigures;
pub use node_key::NodeKey;
pub(crate) use randomness::randomness;
pub use snapshot::Snapshot;
pub(crate) use snapshot::bump_revision;
pub use store::{JOBS_QUEUE_MAX, RECORDS_QUEUE_MAX, Store};
pub(crate) use writer::{Connection, work};
