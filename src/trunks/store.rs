//! Trunks in the database.

use sqlx::Row as _;

use super::apply::TrunkTable;
use super::model::Secret;
use super::shape::{StoredTrunk, TrunkShape};
use crate::links;
use crate::storage::{
    Connection, NodeKey, Snapshot, StorageError, Store, bump_revision, randomness, work,
};

/// What applying a table did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// There was no such trunk.
    Created,
    /// It differs from what was stored.
    Changed,
    /// It was stored like this.
    Unchanged,
}

impl Applied {
    /// The word that `trunks apply` prints.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
        }
    }
}

/// One line of what `apply` did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedTrunk {
    /// Id, given or found or made.
    pub id: String,
    /// Label.
    pub label: String,
    /// What happened.
    pub applied: Applied,
}

/// All trunks with their passwords.
pub(crate) async fn load(
    connection: &mut Connection,
    key: &NodeKey,
) -> Result<Vec<StoredTrunk>, StorageError> {
    let rows = sqlx::query("SELECT id, body, password FROM trunks ORDER BY label")
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            let id: String = row.try_get("id")?;
            let shape = parse_body(row.try_get("body")?)?;
            let sealed: Option<Vec<u8>> = row.try_get("password")?;
            let password = sealed.and_then(|sealed| unseal(key, &id, &sealed));
            Ok(StoredTrunk {
                id,
                shape,
                password,
            })
        })
        .collect()
}

/// All trunks, in the order of their labels.
///
/// # Errors
/// The database cannot be read.
pub async fn list(store: &Store) -> Result<Vec<StoredTrunk>, StorageError> {
    let mut reader = store.readers().acquire().await?;
    load(&mut reader, store.key()).await
}

/// Creates or changes the trunks of these tables, found by id, else by label; the others stay.
/// All or none.
///
/// # Errors
/// The database did not take them, or a label is another trunk's.
pub async fn apply(
    store: &Store,
    tables: Vec<TrunkTable>,
) -> Result<Vec<AppliedTrunk>, StorageError> {
    let key = store.key().clone();
    let applied = store
        .write(move |connection| {
            work(async move {
                let applied = apply_all(connection, &key, &tables).await?;
                if applied
                    .iter()
                    .any(|trunk| trunk.applied != Applied::Unchanged)
                {
                    bump_revision(connection).await?;
                }
                Ok(applied)
            })
        })
        .await?;
    store.refresh().await?;
    Ok(applied)
}

/// One trunk, by its id or label.
///
/// # Errors
/// There is none, or the database cannot be read.
pub async fn get(store: &Store, id_or_label: &str) -> Result<StoredTrunk, StorageError> {
    let trunks = list(store).await?;
    find(trunks, id_or_label)
}

/// Makes a trunk.
///
/// # Errors
/// Its id or label is another trunk's, there are too many, or the database did not take it.
pub async fn create(store: &Store, table: TrunkTable) -> Result<StoredTrunk, StorageError> {
    let key = store.key().clone();
    let made = store
        .write(move |connection| {
            work(async move {
                let stored = load(connection, &key).await?;
                let label = &table.shape.label;
                let taken = |trunk: &StoredTrunk| {
                    trunk.shape.label == *label || Some(&trunk.id) == table.id.as_ref()
                };
                if stored.iter().any(taken) {
                    return Err(StorageError::Duplicate {
                        what: "trunk label",
                        value: label.clone(),
                    });
                }
                let applied = apply_all(connection, &key, std::slice::from_ref(&table)).await?;
                bump_revision(connection).await?;
                Ok(StoredTrunk {
                    id: applied
                        .into_iter()
                        .map(|made| made.id)
                        .next()
                        .unwrap_or_default(),
                    shape: table.shape,
                    password: table.password,
                })
            })
        })
        .await?;
    store.refresh().await?;
    Ok(made)
}

/// Changes a trunk. `change` sees it as it is in the transaction and makes its new table, or refuses.
///
/// # Errors
/// There is none, `change` refuses, the label is another trunk's, or the database did not take it.
pub async fn update(
    store: &Store,
    id_or_label: &str,
    change: impl FnOnce(&StoredTrunk) -> Result<TrunkTable, StorageError> + Send + 'static,
) -> Result<StoredTrunk, StorageError> {
    let (key, name) = (store.key().clone(), id_or_label.to_owned());
    let next = store
        .write(move |connection| {
            work(async move {
                let stored = find(load(connection, &key).await?, &name)?;
                let table = change(&stored)?;
                debug_assert_eq!(table.id.as_ref(), Some(&stored.id));
                apply_all(connection, &key, std::slice::from_ref(&table)).await?;
                bump_revision(connection).await?;
                Ok(StoredTrunk {
                    id: stored.id,
                    shape: table.shape,
                    password: table.password,
                })
            })
        })
        .await?;
    store.refresh().await?;
    Ok(next)
}

/// Deletes a trunk, if `check` does not object. One that links are pinned to goes only by `force`:
/// their calls are refused from then on, because a pin never falls back.
///
/// # Errors
/// There is none, links name it, `check` objects, or the database did not take it.
pub async fn delete(
    store: &Store,
    id_or_label: &str,
    force: bool,
    check: impl FnOnce(&StoredTrunk) -> Result<(), StorageError> + Send + 'static,
) -> Result<(), StorageError> {
    let trunk = get(store, id_or_label).await?;
    if !force {
        // Not in the transaction: with millions of links it takes its time.
        let _turn = store.turn_to_list().await?;
        let mut reader = store.readers().acquire().await?;
        let paths = links::store::pinned_to(&mut reader, &trunk.id, LINKS_NAMED_MAX + 1).await?;
        if !paths.is_empty() {
            return Err(StorageError::InUseBy {
                what: "trunk",
                value: trunk.shape.label,
                by: name_some(&paths),
            });
        }
    }
    let (key, id) = (store.key().clone(), trunk.id);
    store
        .write(move |connection| {
            work(async move {
                check(&find(load(connection, &key).await?, &id)?)?;
                sqlx::query("DELETE FROM trunks WHERE id = $1")
                    .bind(&id)
                    .execute(&mut *connection)
                    .await?;
                bump_revision(connection).await
            })
        })
        .await?;
    store.refresh().await
}

/// "the links a, b, c" or "the links a, b, c and others".
fn name_some(paths: &[String]) -> String {
    let shown = usize::try_from(LINKS_NAMED_MAX).unwrap_or(usize::MAX);
    let named: Vec<&str> = paths.iter().take(shown).map(String::as_str).collect();
    let others = if paths.len() > shown {
        " and others"
    } else {
        ""
    };
    format!("the links {}{others}", named.join(", "))
}

fn find(trunks: Vec<StoredTrunk>, id_or_label: &str) -> Result<StoredTrunk, StorageError> {
    trunks
        .into_iter()
        .find(|trunk| trunk.id == id_or_label || trunk.shape.label == id_or_label)
        .ok_or_else(|| StorageError::NotFound {
            what: "trunk",
            value: id_or_label.to_owned(),
        })
}

/// Imports the tables when no trunk is stored. Returns how many.
///
/// # Errors
/// The database did not take them.
pub async fn import_first(store: &Store, tables: Vec<TrunkTable>) -> Result<usize, StorageError> {
    if tables.is_empty() || !list(store).await?.is_empty() {
        return Ok(0);
    }
    Ok(apply(store, tables).await?.len())
}

async fn apply_all(
    connection: &mut Connection,
    key: &NodeKey,
    tables: &[TrunkTable],
) -> Result<Vec<AppliedTrunk>, StorageError> {
    let mut stored = load(connection, key).await?;
    let mut outcome = Vec::with_capacity(tables.len());
    for table in tables {
        let index = stored.iter().position(|trunk| match &table.id {
            Some(id) => &trunk.id == id,
            None => trunk.shape.label == table.shape.label,
        });
        let known = index.and_then(|index| stored.get(index)).cloned();
        let id = match (&table.id, &known) {
            (Some(id), _) => id.clone(),
            (None, Some(known)) => known.id.clone(),
            (None, None) => new_id()?,
        };
        let label = table.shape.label.clone();
        if stored
            .iter()
            .any(|other| other.id != id && other.shape.label == label)
        {
            return Err(StorageError::Duplicate {
                what: "trunk label",
                value: label,
            });
        }
        let next = StoredTrunk {
            id,
            shape: table.shape.clone(),
            password: table.password.clone(),
        };
        let applied = match &known {
            None => Applied::Created,
            Some(known) if *known == next => Applied::Unchanged,
            Some(_) => Applied::Changed,
        };
        if applied != Applied::Unchanged {
            write(connection, key, &next).await?;
        }
        outcome.push(AppliedTrunk {
            id: next.id.clone(),
            label,
            applied,
        });
        match index.and_then(|index| stored.get_mut(index)) {
            Some(place) => *place = next,
            None => stored.push(next),
        }
    }
    if stored.len() > TRUNKS_MAX {
        return Err(StorageError::Invalid({
            let mut errors = crate::field_errors::FieldErrors::new();
            errors.add(
                "trunk",
                &stored.len().to_string(),
                format!("at most {TRUNKS_MAX} trunks"),
            );
            errors
        }));
    }
    Ok(outcome)
}

async fn write(
    connection: &mut Connection,
    key: &NodeKey,
    trunk: &StoredTrunk,
) -> Result<(), StorageError> {
    let sealed = trunk
        .password
        .as_ref()
        .map(|clear| key.seal(&trunk.id, clear))
        .transpose()?;
    let body = serde_json::to_string(&trunk.shape).map_err(|error| StorageError::Corrupt {
        what: "trunk",
        detail: error.to_string(),
    })?;
    let text = "INSERT INTO trunks (id, label, body, password) VALUES ($1, $2, $3, $4) \
                ON CONFLICT (id) DO UPDATE SET label = excluded.label, body = excluded.body, \
                password = excluded.password";
    sqlx::query(text)
        .bind(&trunk.id)
        .bind(&trunk.shape.label)
        .bind(body)
        .bind(sealed)
        .execute(connection)
        .await?;
    Ok(())
}

/// A password that does not open must not keep the node from starting: the trunk goes without, and
/// applying it again stores it anew.
fn unseal(key: &NodeKey, id: &str, sealed: &[u8]) -> Option<Secret> {
    match key.unseal(id, sealed) {
        Ok(secret) => Some(secret),
        Err(error) => {
            tracing::error!(%error, "a trunk goes without its password");
            None
        }
    }
}

fn parse_body(body: &str) -> Result<TrunkShape, StorageError> {
    serde_json::from_str(body).map_err(|error| StorageError::Corrupt {
        what: "trunk",
        detail: error.to_string(),
    })
}

/// `tr_` and 12 hexadecimal digits.
fn new_id() -> Result<String, StorageError> {
    let octets = randomness::<8>()?;
    Ok(format!("tr_{:012x}", u64::from_be_bytes(octets) >> 16))
}

/// Id and label of the trunks of a snapshot, as drafts of links want them.
#[must_use]
pub fn names_of(snapshot: &Snapshot) -> Vec<(String, String)> {
    snapshot
        .trunks
        .iter()
        .map(|trunk| (trunk.id.clone(), trunk.label.clone()))
        .collect()
}

/// Links that a refusal names.
const LINKS_NAMED_MAX: u32 = 10;
/// Trunks of one system.
pub const TRUNKS_MAX: usize = 1_000;
