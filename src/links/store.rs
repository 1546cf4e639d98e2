//! Links in the database: one unique index answers a request path, however many there are.

use std::time::Duration;

use jiff::{Span, Timestamp};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row as _, Sqlite};
use unicode_normalization::UnicodeNormalization as _;

use super::draft::{DraftWorld, LinkDraft, RequestPath};
use super::model::{Link, LinkId, VideoPolicy};
use crate::field_errors::FieldErrors;
use crate::storage::{Connection, StorageError, Store, randomness, work};
use crate::trunks;

/// The link of a request path, by the one lookup that a call or a click waits for.
pub(crate) async fn by_request_path(
    store: &Store,
    path: &str,
) -> Result<Option<Link>, StorageError> {
    let row = sqlx::query(BY_REQUEST_PATH)
        .bind(path)
        .fetch_optional(store.readers())
        .await?;
    row.as_ref().map(read).transpose()
}

/// A link by its id or its request path: `#610` is an id, `/610` a request path, as neither can be
/// part of one, and `610` is what there is.
///
/// # Errors
/// There is none, there are two, or the database cannot be read.
pub async fn get(store: &Store, named: &str) -> Result<Link, StorageError> {
    let by_id = match (named.strip_prefix('#'), named.strip_prefix('/')) {
        (Some(id), _) => of_id(store, id).await?,
        (None, Some(_)) => None,
        (None, None) => of_id(store, named).await?,
    };
    let path: String = named.strip_prefix('/').unwrap_or(named).nfc().collect();
    let by_path = by_request_path(store, &path).await?;
    match (by_id, by_path) {
        (Some(by_id), Some(by_path)) if by_id.id != by_path.id => Err(ambiguous(named)),
        (found, other) => found.or(other).ok_or_else(|| StorageError::NotFound {
            what: "link",
            value: named.to_owned(),
        }),
    }
}

async fn of_id(store: &Store, id: &str) -> Result<Option<Link>, StorageError> {
    let Ok(id) = id.parse::<LinkId>() else {
        return Ok(None);
    };
    let row = sqlx::query("SELECT * FROM links WHERE id = $1")
        .bind(id)
        .fetch_optional(store.readers())
        .await?;
    row.as_ref().map(read).transpose()
}

/// Nobody changes or deletes the one and means the other.
fn ambiguous(named: &str) -> StorageError {
    let mut errors = FieldErrors::new();
    let accepted = format!("#{named} for the link with this id, /{named} for that with this path");
    errors.add("id", named, accepted);
    StorageError::Invalid(errors)
}

/// Judges a draft and stores it.
///
/// # Errors
/// Every field that breaks a rule, a request path that is taken, or a database that fails.
pub async fn create(store: &Store, draft: &LinkDraft) -> Result<Link, StorageError> {
    let snapshot = store.snapshot();
    let trunks = trunks::store::names_of(&snapshot);
    let mut link = draft.judge(&DraftWorld {
        now: Timestamp::now(),
        random: u128::from_be_bytes(randomness()?),
        default_caller_alias: &snapshot.settings.default_caller_alias,
        trunks: &trunks,
    })?;
    let row = link.clone();
    link.id = store
        .write(move |connection| work(async move { insert(connection, &row).await }))
        .await?;
    Ok(link)
}

/// What one import did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imported {
    /// Links stored.
    pub stored: usize,
    /// Position in the batch and the reason of each that was refused.
    pub refused: Vec<(usize, FieldErrors)>,
}

/// Judges and stores a batch of drafts in one transaction: each good one is stored, each bad one
/// named.
///
/// # Errors
/// The database fails; nothing of the batch is stored.
pub async fn import(store: &Store, drafts: Vec<LinkDraft>) -> Result<Imported, StorageError> {
    let snapshot = store.snapshot();
    let trunks = trunks::store::names_of(&snapshot);
    let now = Timestamp::now();
    let mut imported = Imported::default();
    let mut links = Vec::with_capacity(drafts.len());
    for (position, draft) in drafts.iter().enumerate() {
        let judged = draft.judge(&DraftWorld {
            now,
            random: u128::from_be_bytes(randomness()?),
            default_caller_alias: &snapshot.settings.default_caller_alias,
            trunks: &trunks,
        });
        match judged {
            Ok(link) => links.push((position, link)),
            Err(errors) => imported.refused.push((position, errors)),
        }
    }
    let duplicates = store
        .write(move |connection| work(async move { insert_all(connection, &links).await }))
        .await?;
    imported.stored = drafts.len() - imported.refused.len() - duplicates.len();
    for position in duplicates {
        let mut errors = FieldErrors::new();
        let draft = drafts.get(position);
        let path = draft
            .map(|draft| match &draft.request_path {
                RequestPath::Custom(path) => path.clone(),
                RequestPath::Destination | RequestPath::Random => draft.destination.clone(),
            })
            .unwrap_or_default();
        errors.add("request_path", &path, "one that no other link has");
        imported.refused.push((position, errors));
    }
    imported.refused.sort_by_key(|(position, _)| *position);
    Ok(imported)
}

/// Imports these drafts when no link is stored. Returns how many.
///
/// # Errors
/// A draft breaks a rule, or the database did not take them.
pub async fn import_first(store: &Store, drafts: Vec<LinkDraft>) -> Result<usize, StorageError> {
    let any: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM links)")
        .fetch_one(store.readers())
        .await?;
    if any || drafts.is_empty() {
        return Ok(0);
    }
    let imported = import(store, drafts).await?;
    match imported.refused.into_iter().next() {
        Some((_, errors)) => Err(StorageError::Invalid(errors)),
        None => Ok(imported.stored),
    }
}

/// Which links a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkQuery {
    /// Part of the request path, destination, display name or caller name, in any case.
    pub search: Option<String>,
    /// Only ids above this: the last one of the page before.
    pub after: LinkId,
    /// Rows of a page, at most [`PAGE_ROWS_MAX`].
    pub rows: u32,
}

/// One page of links, by id, and whether there are more.
///
/// # Errors
/// The database cannot be read.
pub async fn list(store: &Store, query: &LinkQuery) -> Result<(Vec<Link>, bool), StorageError> {
    let _turn = store.turn_to_list().await?;
    let search = query.search.as_deref().map(like_pattern);
    let wanted = query.rows.clamp(1, PAGE_ROWS_MAX);
    let rows = sqlx::query(LIST)
        .bind(query.after)
        .bind(&search)
        .bind(i64::from(wanted) + 1)
        .fetch_all(store.readers())
        .await?;
    let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
    let page = rows.iter().take(wanted).map(read);
    Ok((page.collect::<Result<_, _>>()?, rows.len() > wanted))
}

/// How many links a search finds in all. With millions of links it takes its time.
///
/// # Errors
/// The database cannot be read.
pub async fn count(store: &Store, search: Option<&str>) -> Result<i64, StorageError> {
    let _turn = store.turn_to_list().await?;
    let text = if search.is_some() { COUNT } else { COUNT_ALL };
    let mut query = sqlx::query_scalar(text);
    if let Some(search) = search {
        query = query.bind(like_pattern(search));
    }
    Ok(query.fetch_one(store.readers()).await?)
}

/// Changes a link. `change` sees it as it is in the transaction and makes its new draft, or refuses.
///
/// # Errors
/// There is none, `change` refuses, every field that breaks a rule, or the database did not take it.
pub async fn update(
    store: &Store,
    id: LinkId,
    change: impl FnOnce(&Link) -> Result<LinkDraft, StorageError> + Send + 'static,
) -> Result<Link, StorageError> {
    let snapshot = store.snapshot();
    store
        .write(move |connection| {
            work(async move {
                let link = by_id(connection, id).await?;
                let mut trunks = trunks::store::names_of(&snapshot);
                // A pin to a trunk that is gone stays until somebody changes it.
                trunks.extend(link.trunk.iter().map(|id| (id.clone(), id.clone())));
                let judged = change(&link)?.judge(&DraftWorld {
                    now: Timestamp::now(),
                    random: 0,
                    default_caller_alias: &snapshot.settings.default_caller_alias,
                    trunks: &trunks,
                })?;
                let next = Link {
                    id,
                    request_path: link.request_path,
                    created_at: link.created_at,
                    ..judged
                };
                write(connection, &next).await?;
                Ok(next)
            })
        })
        .await
}

/// Deletes a link, if `check` does not object; the link that is gone.
///
/// # Errors
/// There is none, `check` objects, or the database did not take it.
pub async fn delete(
    store: &Store,
    id: LinkId,
    check: impl FnOnce(&Link) -> Result<(), StorageError> + Send + 'static,
) -> Result<Link, StorageError> {
    store
        .write(move |connection| {
            work(async move {
                let link = by_id(connection, id).await?;
                check(&link)?;
                sqlx::query("DELETE FROM links WHERE id = $1")
                    .bind(id)
                    .execute(connection)
                    .await?;
                Ok(link)
            })
        })
        .await
}

/// Request paths of links that are pinned to a trunk, at most `rows` of them.
pub(crate) async fn pinned_to(
    connection: &mut Connection,
    trunk: &str,
    rows: u32,
) -> Result<Vec<String>, StorageError> {
    let text = "SELECT request_path FROM links WHERE trunk = $1 ORDER BY id LIMIT $2";
    Ok(sqlx::query_scalar(text)
        .bind(trunk)
        .bind(i64::from(rows))
        .fetch_all(connection)
        .await?)
}

async fn by_id(connection: &mut Connection, id: LinkId) -> Result<Link, StorageError> {
    let row = sqlx::query("SELECT * FROM links WHERE id = $1")
        .bind(id)
        .fetch_optional(connection)
        .await?;
    read(&row.ok_or_else(|| StorageError::NotFound {
        what: "link",
        value: id.to_string(),
    })?)
}

async fn write(connection: &mut Connection, link: &Link) -> Result<(), StorageError> {
    sqlx::query(UPDATE)
        .bind(link.destination.to_string())
        .bind(&link.display_name)
        .bind(&link.caller_name)
        .bind(&link.caller_alias)
        .bind(link.unique_alias)
        .bind(link.allow_custom_caller_name)
        .bind(link.enabled)
        .bind(link.valid_after.map(Timestamp::as_millisecond))
        .bind(link.valid_before.map(Timestamp::as_millisecond))
        .bind(&link.trunk)
        .bind(link.auto_call_after_s.map(i64::from))
        .bind(link.video_policy.map(VideoPolicy::as_str))
        .bind(link.updated_at.as_millisecond())
        .bind(link.id)
        .execute(connection)
        .await?;
    Ok(())
}

/// Deletes links whose window closed longer ago than the setting `links.expiry_days`.
pub(crate) async fn delete_expired(store: &Store, now: Timestamp) -> Result<u64, StorageError> {
    let days = store.snapshot().settings.expiry_days;
    let Ok(before) = now.checked_sub(Span::new().hours(i64::from(days).saturating_mul(24))) else {
        return Ok(0);
    };
    if days == 0 {
        return Ok(0);
    }
    let mut deleted = 0;
    loop {
        // In pieces, so that other writes get their turn.
        let piece = store
            .write(move |connection| {
                work(async move {
                    let done = sqlx::query(DELETE_EXPIRED)
                        .bind(before.as_millisecond())
                        .execute(connection)
                        .await?;
                    Ok(done.rows_affected())
                })
            })
            .await?;
        deleted += piece;
        if piece == 0 {
            return Ok(deleted);
        }
        tokio::time::sleep(EXPIRY_PAUSE).await;
    }
}

async fn insert(connection: &mut Connection, link: &Link) -> Result<LinkId, StorageError> {
    let inserted = insert_rows(connection, std::slice::from_ref(&(0, link.clone()))).await?;
    inserted
        .first()
        .map(|(id, _)| *id)
        .ok_or_else(|| StorageError::Duplicate {
            what: "request_path",
            value: link.request_path.clone(),
        })
}

/// Inserts in rows of [`INSERT_ROWS_MAX`]; the positions of those whose request path is taken.
async fn insert_all(
    connection: &mut Connection,
    links: &[(usize, Link)],
) -> Result<Vec<usize>, StorageError> {
    let mut duplicates = Vec::new();
    for rows in links.chunks(INSERT_ROWS_MAX) {
        let inserted = insert_rows(&mut *connection, rows).await?;
        if inserted.len() == rows.len() {
            continue;
        }
        let mut inserted: std::collections::HashSet<String> =
            inserted.into_iter().map(|(_, path)| path).collect();
        let taken = rows
            .iter()
            .filter(|(_, link)| !inserted.remove(&link.request_path));
        duplicates.extend(taken.map(|(position, _)| *position));
    }
    Ok(duplicates)
}

async fn insert_rows(
    connection: &mut Connection,
    rows: &[(usize, Link)],
) -> Result<Vec<(LinkId, String)>, StorageError> {
    let mut query = QueryBuilder::<Sqlite>::new(INSERT);
    query.push_values(rows, |mut row, (_, link)| {
        row.push_bind(&link.request_path)
            .push_bind(link.destination.to_string())
            .push_bind(&link.display_name)
            .push_bind(&link.caller_name)
            .push_bind(&link.caller_alias)
            .push_bind(link.unique_alias)
            .push_bind(link.allow_custom_caller_name)
            .push_bind(link.enabled)
            .push_bind(link.valid_after.map(Timestamp::as_millisecond))
            .push_bind(link.valid_before.map(Timestamp::as_millisecond))
            .push_bind(&link.trunk)
            .push_bind(link.auto_call_after_s.map(i64::from))
            .push_bind(link.video_policy.map(VideoPolicy::as_str))
            .push_bind(&link.created_by)
            .push_bind(link.created_at.as_millisecond())
            .push_bind(link.updated_at.as_millisecond());
    });
    query.push(" ON CONFLICT (request_path) DO NOTHING RETURNING id, request_path");
    Ok(query.build_query_as().fetch_all(connection).await?)
}

fn read(row: &SqliteRow) -> Result<Link, StorageError> {
    let destination: &str = row.try_get("destination")?;
    Ok(Link {
        id: row.try_get("id")?,
        request_path: row.try_get("request_path")?,
        destination: destination.parse().map_err(|error| StorageError::Corrupt {
            what: "destination of a link",
            detail: format!("`{destination}`, {error}"),
        })?,
        display_name: row.try_get("display_name")?,
        caller_name: row.try_get("caller_name")?,
        caller_alias: row.try_get("caller_alias")?,
        unique_alias: row.try_get("unique_alias")?,
        allow_custom_caller_name: row.try_get("allow_custom_caller_name")?,
        enabled: row.try_get("enabled")?,
        valid_after: row
            .try_get::<Option<i64>, _>("valid_after_ms")?
            .map(time)
            .transpose()?,
        valid_before: row
            .try_get::<Option<i64>, _>("valid_before_ms")?
            .map(time)
            .transpose()?,
        trunk: row.try_get("trunk")?,
        auto_call_after_s: row
            .try_get::<Option<i64>, _>("auto_call_after_s")?
            .and_then(|seconds| u8::try_from(seconds).ok()),
        video_policy: row
            .try_get::<Option<&str>, _>("video_policy")?
            .and_then(|word| word.parse().ok()),
        created_by: row.try_get("created_by")?,
        created_at: time(row.try_get("created_at_ms")?)?,
        updated_at: time(row.try_get("updated_at_ms")?)?,
    })
}

fn time(millisecond: i64) -> Result<Timestamp, StorageError> {
    Timestamp::from_millisecond(millisecond).map_err(|error| StorageError::Corrupt {
        what: "time",
        detail: error.to_string(),
    })
}

/// `LIKE` pattern for "contains", with the three special characters escaped.
fn like_pattern(search: &str) -> String {
    let escaped = search
        .replace('\\', "\\\\")
        .replace('%', "\\%")
        .replace('_', "\\_");
    format!("%{escaped}%")
}

const BY_REQUEST_PATH: &str = "SELECT * FROM links WHERE request_path = $1";
const INSERT: &str = "INSERT INTO links (request_path, destination, display_name, caller_name, \
    caller_alias, unique_alias, allow_custom_caller_name, enabled, valid_after_ms, \
    valid_before_ms, trunk, auto_call_after_s, video_policy, created_by, created_at_ms, updated_at_ms) ";
const UPDATE: &str = "UPDATE links SET destination = $1, display_name = $2, caller_name = $3, \
    caller_alias = $4, unique_alias = $5, allow_custom_caller_name = $6, enabled = $7, \
    valid_after_ms = $8, valid_before_ms = $9, trunk = $10, \
    auto_call_after_s = $11, video_policy = $12, updated_at_ms = $13 WHERE id = $14";
const COUNT_ALL: &str = "SELECT COUNT(*) FROM links";
const LIST: &str = "SELECT * FROM links WHERE id > $1 AND ($2 IS NULL \
    OR request_path LIKE $2 ESCAPE '\\' OR destination LIKE $2 ESCAPE '\\' \
    OR display_name LIKE $2 ESCAPE '\\' OR caller_name LIKE $2 ESCAPE '\\') ORDER BY id LIMIT $3";
const COUNT: &str = "SELECT COUNT(*) FROM links WHERE request_path LIKE $1 ESCAPE '\\' OR destination LIKE $1 ESCAPE '\\' \
    OR display_name LIKE $1 ESCAPE '\\' OR caller_name LIKE $1 ESCAPE '\\'";
const DELETE_EXPIRED: &str = "DELETE FROM links WHERE id IN \
    (SELECT id FROM links WHERE valid_before_ms IS NOT NULL AND valid_before_ms < $1 LIMIT 250)";

/// Between two pieces of expired links: records of calls and other writes go on meanwhile.
const EXPIRY_PAUSE: Duration = Duration::from_millis(2);
/// Links of one page.
pub const PAGE_ROWS_MAX: u32 = 1_000;
/// Rows of one INSERT: 16 values each, far under SQLite's 32,766 parameters.
const INSERT_ROWS_MAX: usize = 100;
