//! Extensions in the database.

use sqlx::Row as _;

use super::model::{EXTENSIONS_MAX, Extension};
use super::shape::{ExtensionChange, ExtensionDraft, ExtensionShape};
use crate::field_errors::FieldErrors;
use crate::storage::{Connection, NodeKey, StorageError, Store, bump_revision, randomness, work};
use crate::trunks;

/// All extensions with their passwords, by name. One whose password does not open is left out: it
/// could neither register nor be told from another.
pub(crate) async fn load(
    connection: &mut Connection,
    key: &NodeKey,
) -> Result<Vec<Extension>, StorageError> {
    let rows = sqlx::query("SELECT id, body, password FROM extensions ORDER BY name")
        .fetch_all(connection)
        .await?;
    let mut extensions = Vec::with_capacity(rows.len());
    for row in &rows {
        let id: String = row.try_get("id")?;
        let body: String = row.try_get("body")?;
        let sealed: Vec<u8> = row.try_get("password")?;
        let shape: ExtensionShape = serde_json::from_str(&body).map_err(|error| corrupt(&error))?;
        match key.unseal(&id, &sealed) {
            Ok(password) => extensions.push(shape.extension(password)),
            Err(error) => {
                tracing::error!(%error, "an extension is left out; set its password anew")
            }
        }
    }
    Ok(extensions)
}

/// All extensions, by name.
///
/// # Errors
/// The database cannot be read.
pub async fn list(store: &Store) -> Result<Vec<Extension>, StorageError> {
    let mut reader = store.readers().acquire().await?;
    load(&mut reader, store.key()).await
}

/// The extension with this id or name.
///
/// # Errors
/// There is none, or the database cannot be read.
pub async fn get(store: &Store, named: &str) -> Result<Extension, StorageError> {
    find(list(store).await?, named)
}

/// Makes an extension.
///
/// # Errors
/// Every field that breaks a rule, a name that is taken, or a database that fails.
pub async fn add(store: &Store, draft: ExtensionDraft) -> Result<Extension, StorageError> {
    let known = trunks::store::names_of(&store.snapshot());
    let octets = randomness::<8>()?;
    let id = format!("ex_{:012x}", u64::from_be_bytes(octets) >> 16);
    let extension = draft.judge(id, &known)?;
    let (key, row) = (store.key().clone(), extension.clone());
    store
        .write(move |connection| {
            work(async move {
                let stored = load(connection, &key).await?;
                if stored.iter().any(|other| other.name == row.name) {
                    return Err(StorageError::Duplicate {
                        what: "extension",
                        value: row.name,
                    });
                }
                if stored.len() >= EXTENSIONS_MAX {
                    return Err(too_many(stored.len()));
                }
                write(connection, &key, &row).await?;
                bump_revision(connection).await
            })
        })
        .await?;
    store.refresh().await?;
    Ok(extension)
}

/// Changes the extension with this id or name, unless `check` objects to it as it is.
///
/// # Errors
/// There is none, what `check` says, a field breaks a rule, or a database that fails.
pub async fn change(
    store: &Store,
    named: &str,
    change: ExtensionChange,
    check: impl FnOnce(&Extension) -> Result<(), StorageError> + Send + 'static,
) -> Result<Extension, StorageError> {
    let known = trunks::store::names_of(&store.snapshot());
    let (key, named) = (store.key().clone(), named.to_owned());
    let changed = store
        .write(move |connection| {
            work(async move {
                let before = find(load(connection, &key).await?, &named)?;
                check(&before)?;
                let after = change.apply(before, &known)?;
                write(connection, &key, &after).await?;
                bump_revision(connection).await?;
                Ok(after)
            })
        })
        .await?;
    store.refresh().await?;
    Ok(changed)
}

/// Deletes the extension with this id or name, unless `check` objects to it as it is. One whose
/// password does not open is shown to nobody, and so nobody can object.
///
/// # Errors
/// There is none, what `check` says, or a database that fails.
pub async fn delete(
    store: &Store,
    named: &str,
    check: impl FnOnce(&Extension) -> Result<(), StorageError> + Send + 'static,
) -> Result<(), StorageError> {
    let (key, named) = (store.key().clone(), named.to_owned());
    store
        .write(move |connection| {
            work(async move {
                if let Ok(shown) = find(load(connection, &key).await?, &named) {
                    check(&shown)?;
                }
                let deleted = sqlx::query("DELETE FROM extensions WHERE id = $1 OR name = $1")
                    .bind(&named)
                    .execute(&mut *connection)
                    .await?;
                if deleted.rows_affected() == 0 {
                    return Err(not_found(named));
                }
                bump_revision(connection).await
            })
        })
        .await?;
    store.refresh().await
}

fn find(extensions: Vec<Extension>, named: &str) -> Result<Extension, StorageError> {
    extensions
        .into_iter()
        .find(|extension| extension.id == named || extension.name == named)
        .ok_or_else(|| not_found(named.to_owned()))
}

async fn write(
    connection: &mut Connection,
    key: &NodeKey,
    extension: &Extension,
) -> Result<(), StorageError> {
    let body =
        serde_json::to_string(&ExtensionShape::from(extension)).map_err(|error| corrupt(&error))?;
    let text = "INSERT INTO extensions (id, name, body, password) VALUES ($1, $2, $3, $4) \
                ON CONFLICT (id) DO UPDATE SET body = excluded.body, password = excluded.password";
    sqlx::query(text)
        .bind(&extension.id)
        .bind(&extension.name)
        .bind(body)
        .bind(key.seal(&extension.id, &extension.password)?)
        .execute(connection)
        .await?;
    Ok(())
}

fn not_found(value: String) -> StorageError {
    StorageError::NotFound {
        what: "extension",
        value,
    }
}

fn too_many(found: usize) -> StorageError {
    let mut errors = FieldErrors::new();
    let accepted = format!("at most {EXTENSIONS_MAX} extensions");
    errors.add("extension", &found.to_string(), accepted);
    StorageError::Invalid(errors)
}

fn corrupt(error: &serde_json::Error) -> StorageError {
    StorageError::Corrupt {
        what: "extension",
        detail: error.to_string(),
    }
}
