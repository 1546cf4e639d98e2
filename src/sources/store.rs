//! Source policies in the database, in their order: the first that matches counts.

use super::model::Source;
use super::shape::SourceShape;
use crate::storage::{Connection, StorageError, Store, bump_revision, work};

/// All stored policies.
pub(crate) async fn load(connection: &mut Connection) -> Result<Vec<Source>, StorageError> {
    let rows: Vec<(String,)> = sqlx::query_as("SELECT body FROM sources ORDER BY position")
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|(body,)| {
            let corrupt = |detail| StorageError::Corrupt {
                what: "source",
                detail,
            };
            let shape: SourceShape =
                serde_json::from_str(body).map_err(|error| corrupt(error.to_string()))?;
            shape
                .source()
                .ok_or_else(|| corrupt("a network is not one".to_owned()))
        })
        .collect()
}

/// Imports these policies when none is stored. Returns how many.
///
/// # Errors
/// The database did not take them.
pub async fn import_first(store: &Store, sources: Vec<Source>) -> Result<usize, StorageError> {
    if sources.is_empty() {
        return Ok(0);
    }
    let imported = store
        .write(move |connection| {
            work(async move {
                if !load(connection).await?.is_empty() {
                    return Ok(0);
                }
                for (position, source) in sources.iter().enumerate() {
                    insert(connection, position, source).await?;
                }
                bump_revision(connection).await?;
                Ok(sources.len())
            })
        })
        .await?;
    store.refresh().await?;
    Ok(imported)
}

/// All stored policies, in their order.
///
/// # Errors
/// The database cannot be read.
pub async fn list(store: &Store) -> Result<Vec<Source>, StorageError> {
    let mut reader = store.readers().acquire().await?;
    load(&mut reader).await
}

/// Puts these policies in the place of all stored ones: their order counts, so that they are
/// changed as a whole.
///
/// # Errors
/// Two have the same name, or the database did not take them.
pub async fn replace(store: &Store, sources: Vec<Source>) -> Result<(), StorageError> {
    for (index, source) in sources.iter().enumerate() {
        if sources
            .iter()
            .take(index)
            .any(|earlier| earlier.name == source.name)
        {
            return Err(StorageError::Duplicate {
                what: "source",
                value: source.name.clone(),
            });
        }
    }
    store
        .write(move |connection| {
            work(async move {
                sqlx::query("DELETE FROM sources")
                    .execute(&mut *connection)
                    .await?;
                for (position, source) in sources.iter().enumerate() {
                    insert(connection, position, source).await?;
                }
                bump_revision(connection).await
            })
        })
        .await?;
    store.refresh().await
}

async fn insert(
    connection: &mut Connection,
    position: usize,
    source: &Source,
) -> Result<(), StorageError> {
    let body = serde_json::to_string(&SourceShape::from(source)).map_err(|error| {
        StorageError::Corrupt {
            what: "source",
            detail: error.to_string(),
        }
    })?;
    sqlx::query("INSERT INTO sources (name, position, body) VALUES ($1, $2, $3)")
        .bind(&source.name)
        .bind(i64::try_from(position).unwrap_or(i64::MAX))
        .bind(body)
        .execute(connection)
        .await?;
    Ok(())
}
