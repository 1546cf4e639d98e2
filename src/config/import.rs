//! First start: the tables of the file become rows while the database has none of their kind. From
//! then on the database counts.

use super::schema::Config;
use crate::storage::{StorageError, Store};
use crate::{links, sources, trunks};

/// How many rows the first start made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FirstImport {
    /// From `[[trunk]]`.
    pub trunks: usize,
    /// From `[[source]]`.
    pub sources: usize,
    /// From `[[link]]`.
    pub links: usize,
}

impl Config {
    /// Imports what the database has none of.
    ///
    /// # Errors
    /// The database did not take it.
    pub async fn import_first(&self, store: &Store) -> Result<FirstImport, StorageError> {
        Ok(FirstImport {
            trunks: trunks::store::import_first(store, self.trunks.clone()).await?,
            sources: sources::store::import_first(store, self.sources.clone()).await?,
            links: links::store::import_first(store, self.links.clone()).await?,
        })
    }
}
