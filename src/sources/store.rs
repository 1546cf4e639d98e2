//! Source policies in the database, in their order: the first that matches counts.

use super::model::Source;
use super::shape::SourceShape;
use crate::field_errors::FieldErrors;
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
    change(store, move |stored| {
        *stored = sources;
        Ok(())
    })
    .await
}

/// Changes the list of policies: `change` sees it as it is in the transaction.
///
/// # Errors
/// `change` refuses, two have the same name, there are too many, or the database did not take them.
pub async fn change<T: Send + 'static>(
    store: &Store,
    change: impl FnOnce(&mut Vec<Source>) -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    let outcome = store
        .write(move |connection| {
            work(async move {
                let mut sources = load(connection).await?;
                let outcome = change(&mut sources)?;
                check(&sources)?;
                write_all(connection, &sources).await?;
                Ok(outcome)
            })
        })
        .await?;
    store.refresh().await?;
    Ok(outcome)
}

fn check(sources: &[Source]) -> Result<(), StorageError> {
    for (index, source) in sources.iter().enumerate() {
        let mut earlier = sources.iter().take(index);
        if earlier.any(|earlier| earlier.name == source.name) {
            return Err(StorageError::Duplicate {
                what: "source",
                value: source.name.clone(),
            });
        }
    }
    if sources.len() > SOURCES_MAX {
        let mut errors = FieldErrors::new();
        let accepted = format!("at most {SOURCES_MAX} sources");
        errors.add("sources", &sources.len().to_string(), accepted);
        return Err(StorageError::Invalid(errors));
    }
    Ok(())
}

async fn write_all(connection: &mut Connection, sources: &[Source]) -> Result<(), StorageError> {
    sqlx::query("DELETE FROM sources")
        .execute(&mut *connection)
        .await?;
    for (position, source) in sources.iter().enumerate() {
        insert(connection, position, source).await?;
    }
    bump_revision(connection).await
}

/// Sources of one system.
pub const SOURCES_MAX: usize = 1_000;

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
