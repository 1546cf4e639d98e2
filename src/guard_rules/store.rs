//! The rules of the guard in the database, in their order.

use super::shape::{RuleDraft, StoredRule};
use crate::field_errors::FieldErrors;
use crate::fraud_guard::Rule;
use crate::fraud_guard::rule::{KEYED_RULES_MAX, LIST_OCTETS_MAX, RULES_MAX};
use crate::storage::{Connection, StorageError, Store, bump_revision, randomness, work};
use crate::trunks::store::names_of;

/// All rules in their order. One that this program does not understand is reported and left out: a
/// node must start. A rule that blocks fails open then, so that it is reported loudly.
pub(crate) async fn load(connection: &mut Connection) -> Result<Vec<Rule>, StorageError> {
    Ok(load_all(connection)
        .await?
        .into_iter()
        .map(|stored| stored.rule)
        .collect())
}

async fn load_all(connection: &mut Connection) -> Result<Vec<StoredRule>, StorageError> {
    let rows: Vec<(String, String)> =
        sqlx::query_as("SELECT id, body FROM guard_rules ORDER BY position, id")
            .fetch_all(connection)
            .await?;
    let mut rules = Vec::with_capacity(rows.len());
    for (id, body) in rows {
        match serde_json::from_str::<RuleDraft>(&body) {
            Ok(draft) => match draft.judge(&id, None) {
                Ok(stored) => rules.push(stored),
                Err(error) => tracing::error!(%error, id, "a rule of the guard is not understood"),
            },
            Err(error) => tracing::error!(%error, id, "a rule of the guard is not understood"),
        }
    }
    Ok(rules)
}

/// All rules in their order.
///
/// # Errors
/// The database cannot be read.
pub async fn list(store: &Store) -> Result<Vec<StoredRule>, StorageError> {
    let mut reader = store.readers().acquire().await?;
    load_all(&mut reader).await
}

/// A rule by its id, else by its name, with its place counted from 0.
///
/// # Errors
/// There is none, or the database cannot be read.
pub async fn get(store: &Store, id_or_name: &str) -> Result<(usize, StoredRule), StorageError> {
    let rules = list(store).await?;
    let found = find(&rules, id_or_name)?;
    rules
        .into_iter()
        .enumerate()
        .nth(found)
        .ok_or_else(|| not_found(id_or_name))
}

/// Where a rule goes, counted from 1 in the order that results; `None`: where it is, a new one last.
pub type Position = Option<usize>;

/// Stores a new rule. Returns its place, counted from 0, and the rule.
///
/// # Errors
/// Every field that breaks a rule, a name that is taken, too many rules, or a database that fails.
pub async fn add(
    store: &Store,
    draft: &RuleDraft,
    position: Position,
) -> Result<(usize, StoredRule), StorageError> {
    let octets = randomness::<8>()?;
    let id = format!("gr_{:012x}", u64::from_be_bytes(octets) >> 16);
    let stored = draft.judge(&id, Some(&names_of(&store.snapshot())))?;
    put(store, None, stored, position).await
}

/// What somebody expects of a rule and its place, counted from 0, before it is changed.
pub type Check = Box<dyn FnOnce(usize, &StoredRule) -> Result<(), StorageError> + Send>;

/// Replaces a rule, unless `check` objects to it as it is; its id stays, and its counts where they
/// still mean the same.
///
/// # Errors
/// There is none, what `check` says, or what [`add`] refuses.
pub async fn set(
    store: &Store,
    id_or_name: &str,
    draft: &RuleDraft,
    position: Position,
    check: Check,
) -> Result<(usize, StoredRule), StorageError> {
    let (_, known) = get(store, id_or_name).await?;
    let stored = draft.judge(&known.rule.id, Some(&names_of(&store.snapshot())))?;
    put(store, Some((known.rule.id, check)), stored, position).await
}

/// Deletes a rule with its counts, unless `check` objects to it as it is; the rule that is gone.
///
/// # Errors
/// There is none, what `check` says, or the database did not take it.
pub async fn delete(
    store: &Store,
    id_or_name: &str,
    check: Check,
) -> Result<StoredRule, StorageError> {
    let wanted = id_or_name.to_owned();
    let gone = store
        .write(move |connection| {
            work(async move {
                let mut rules = load_all(connection).await?;
                let index = find(&rules, &wanted)?;
                let gone = rules.remove(index);
                check(index, &gone)?;
                sqlx::query("DELETE FROM guard_rules WHERE id = $1")
                    .bind(&gone.rule.id)
                    .execute(&mut *connection)
                    .await?;
                sqlx::query("DELETE FROM guard_counts WHERE rule = $1")
                    .bind(&gone.rule.id)
                    .execute(&mut *connection)
                    .await?;
                bump_revision(connection).await?;
                Ok(gone)
            })
        })
        .await?;
    store.refresh().await?;
    Ok(gone)
}

async fn put(
    store: &Store,
    replaces: Option<(String, Check)>,
    stored: StoredRule,
    position: Position,
) -> Result<(usize, StoredRule), StorageError> {
    let placed = store
        .write(move |connection| {
            work(async move {
                let mut rules = load_all(connection).await?;
                let mut old = None;
                if let Some((id, objects)) = replaces {
                    let index = find(&rules, &id)?;
                    objects(index, &rules.remove(index))?;
                    old = Some(index);
                }
                check(&rules, &stored)?;
                let last = rules.len();
                let index = position
                    .map(|position| position.saturating_sub(1))
                    .or(old)
                    .unwrap_or(last)
                    .min(last);
                rules.insert(index, stored.clone());
                write_all(connection, &rules).await?;
                bump_revision(connection).await?;
                Ok((index, stored))
            })
        })
        .await?;
    store.refresh().await?;
    Ok(placed)
}

fn check(others: &[StoredRule], stored: &StoredRule) -> Result<(), StorageError> {
    if others
        .iter()
        .any(|other| other.rule.name == stored.rule.name)
    {
        return Err(StorageError::Duplicate {
            what: "guard rule",
            value: stored.rule.name.clone(),
        });
    }
    let mut errors = FieldErrors::new();
    if others.len() >= RULES_MAX {
        errors.add(
            "rules",
            &others.len().to_string(),
            format!("at most {RULES_MAX} rules"),
        );
    }
    let keyed = others
        .iter()
        .filter(|other| other.rule.kind.is_keyed())
        .count();
    if stored.rule.kind.is_keyed() && keyed >= KEYED_RULES_MAX {
        let accepted =
            format!("at most {KEYED_RULES_MAX} rules that count by source or destination");
        errors.add("kind", stored.rule.kind.as_str(), accepted);
    }
    let rules = others.iter().chain([stored]);
    let octets: usize = rules.map(|known| known.rule.octets()).sum();
    if octets > LIST_OCTETS_MAX {
        let accepted = format!("at most {LIST_OCTETS_MAX} characters of numbers in all rules");
        errors.add("numbers", &octets.to_string(), accepted);
    }
    Ok(errors.or(())?)
}

async fn write_all(connection: &mut Connection, rules: &[StoredRule]) -> Result<(), StorageError> {
    for (position, stored) in rules.iter().enumerate() {
        let body = serde_json::to_string(&stored.draft).map_err(|error| StorageError::Corrupt {
            what: "guard rule",
            detail: error.to_string(),
        })?;
        let text = "INSERT INTO guard_rules (id, name, position, body) VALUES ($1, $2, $3, $4) \
                    ON CONFLICT (id) DO UPDATE SET name = excluded.name, \
                    position = excluded.position, body = excluded.body";
        sqlx::query(text)
            .bind(&stored.rule.id)
            .bind(&stored.rule.name)
            .bind(i64::try_from(position).unwrap_or(i64::MAX))
            .bind(body)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

fn find(rules: &[StoredRule], id_or_name: &str) -> Result<usize, StorageError> {
    let by = |wanted: &dyn Fn(&Rule) -> bool| rules.iter().position(|known| wanted(&known.rule));
    by(&|rule| rule.id == id_or_name)
        .or_else(|| by(&|rule| rule.name == id_or_name))
        .ok_or_else(|| not_found(id_or_name))
}

fn not_found(id_or_name: &str) -> StorageError {
    StorageError::NotFound {
        what: "guard rule",
        value: id_or_name.to_owned(),
    }
}
