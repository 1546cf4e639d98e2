//! Tokens in the database.

use std::sync::Arc;

use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::draft::TokenDraft;
use super::model::{Token, TokenDigest, TokenId, TokenTable, clear_text};
use super::scope::Scopes;
use crate::field_errors::FieldErrors;
use crate::storage::{Connection, StorageError, Store, bump_revision, randomness, work};
use crate::trunks;

/// The tokens of a snapshot. A row that this program cannot read admits nobody.
pub(crate) async fn load(connection: &mut Connection) -> Result<TokenTable, StorageError> {
    let rows = sqlx::query("SELECT * FROM tokens")
        .fetch_all(connection)
        .await?;
    let mut table = Vec::with_capacity(rows.len());
    for row in &rows {
        let digest: Vec<u8> = row.try_get("digest")?;
        match (read(row), <[u8; 32]>::try_from(digest)) {
            (Ok(token), Ok(digest)) => table.push((TokenDigest(digest), Arc::new(token))),
            (Ok(token), Err(_)) => tracing::error!(token.id, "a token has no digest"),
            (Err(error), _) => tracing::error!(%error, "a token cannot be read"),
        }
    }
    Ok(TokenTable::new(table))
}

/// Makes a token: its row, and its clear text, which is nowhere else. `parent`: the token that makes it.
///
/// # Errors
/// Every field that breaks a rule, too many tokens, a parent that was revoked meanwhile, or a database
/// that fails.
pub async fn add(
    store: &Store,
    draft: &TokenDraft,
    created_by: &str,
    parent: Option<TokenId>,
) -> Result<(Token, String), StorageError> {
    let trunks = trunks::store::names_of(&store.snapshot());
    let now = to_millisecond(Timestamp::now());
    let mut token = draft.judge(now, &trunks, created_by)?;
    token.expires_at = token.expires_at.map(to_millisecond);
    token.parent = parent;
    let clear = clear_text(&randomness()?);
    let digest = TokenDigest::of(&clear);
    let row = token.clone();
    token.id = store
        .write(move |connection| {
            work(async move {
                let stored: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM tokens")
                    .fetch_one(&mut *connection)
                    .await?;
                if stored >= TOKENS_MAX {
                    return Err(too_many(stored));
                }
                if let Some(parent) = row.parent {
                    // Its own revocation would not find what it makes from then on.
                    let known = sqlx::query("SELECT 1 FROM tokens WHERE id = $1")
                        .bind(parent)
                        .fetch_optional(&mut *connection)
                        .await?;
                    known.ok_or_else(|| not_found(parent))?;
                }
                insert(connection, &row, &digest).await
            })
        })
        .await?;
    store.refresh().await?;
    Ok((token, clear))
}

/// The token of the very first start, with every scope; `None`: it was made before.
///
/// # Errors
/// The database did not take it.
pub async fn first(store: &Store) -> Result<Option<String>, StorageError> {
    let clear = clear_text(&randomness()?);
    let digest = TokenDigest::of(&clear);
    let token = Token {
        id: 0,
        label: FIRST_LABEL.to_owned(),
        scopes: Scopes::ALL,
        trunks: Vec::new(),
        calls_per_minute: None,
        concurrent_calls: None,
        expires_at: None,
        created_by: "first start".to_owned(),
        parent: None,
        created_at: to_millisecond(Timestamp::now()),
    };
    let made = store
        .write(move |connection| {
            work(async move {
                let text = "UPDATE sequences SET value = 1 WHERE name = 'first_token' \
                            AND value = 0 AND NOT EXISTS (SELECT 1 FROM tokens)";
                let first = sqlx::query(text).execute(&mut *connection).await?;
                if first.rows_affected() == 0 {
                    return Ok(false);
                }
                insert(connection, &token, &digest).await?;
                Ok(true)
            })
        })
        .await?;
    store.refresh().await?;
    Ok(made.then_some(clear))
}

/// All tokens by id, each with the time of its last use.
///
/// # Errors
/// The database cannot be read.
pub async fn list(store: &Store) -> Result<Vec<(Token, Option<Timestamp>)>, StorageError> {
    let rows = sqlx::query("SELECT * FROM tokens ORDER BY id")
        .fetch_all(store.readers())
        .await?;
    rows.iter().map(read_with_use).collect()
}

/// One token, by its id.
///
/// # Errors
/// There is none, or the database cannot be read.
pub async fn get(store: &Store, id: TokenId) -> Result<(Token, Option<Timestamp>), StorageError> {
    let row = sqlx::query("SELECT * FROM tokens WHERE id = $1")
        .bind(id)
        .fetch_optional(store.readers())
        .await?;
    read_with_use(&row.ok_or_else(|| not_found(id))?)
}

/// Revokes a token and all that it has made, and those that these have made: the next request with one
/// of them is refused.
///
/// # Errors
/// There is none, or the database did not take it.
pub async fn revoke(store: &Store, id: TokenId) -> Result<(), StorageError> {
    store
        .write(move |connection| {
            work(async move {
                let gone = sqlx::query(REVOKE)
                    .bind(id)
                    .execute(&mut *connection)
                    .await?;
                if gone.rows_affected() == 0 {
                    return Err(not_found(id));
                }
                bump_revision(connection).await
            })
        })
        .await?;
    store.refresh().await
}

/// Notes when a token was used. No revision: nobody waits for it.
///
/// # Errors
/// The database did not take it.
pub async fn touch(store: &Store, id: TokenId, at: Timestamp) -> Result<(), StorageError> {
    store
        .write(move |connection| {
            work(async move {
                sqlx::query("UPDATE tokens SET last_used_at_ms = $1 WHERE id = $2")
                    .bind(at.as_millisecond())
                    .bind(id)
                    .execute(connection)
                    .await?;
                Ok(())
            })
        })
        .await
}

async fn insert(
    connection: &mut Connection,
    token: &Token,
    digest: &TokenDigest,
) -> Result<TokenId, StorageError> {
    let id = sqlx::query_scalar(INSERT)
        .bind(digest.0.to_vec())
        .bind(&token.label)
        .bind(token.scopes.to_string())
        .bind(token.trunks.join(" "))
        .bind(token.calls_per_minute.map(i64::from))
        .bind(token.concurrent_calls.map(i64::from))
        .bind(token.expires_at.map(Timestamp::as_millisecond))
        .bind(&token.created_by)
        .bind(token.created_at.as_millisecond())
        .bind(token.parent)
        .fetch_one(&mut *connection)
        .await?;
    bump_revision(connection).await?;
    Ok(id)
}

fn read(row: &SqliteRow) -> Result<Token, StorageError> {
    let scopes: &str = row.try_get("scopes")?;
    let trunks: &str = row.try_get("trunks")?;
    let cap = |column| -> Result<Option<u32>, StorageError> {
        let cap: Option<i64> = row.try_get(column)?;
        Ok(cap.map(|cap| u32::try_from(cap).unwrap_or(0)))
    };
    Ok(Token {
        id: row.try_get("id")?,
        label: row.try_get("label")?,
        scopes: scopes.parse().map_err(|_unknown| StorageError::Corrupt {
            what: "scope of a token",
            detail: scopes.to_owned(),
        })?,
        trunks: trunks.split_whitespace().map(str::to_owned).collect(),
        calls_per_minute: cap("calls_per_minute")?,
        concurrent_calls: cap("concurrent_calls")?,
        expires_at: optional_time(row, "expires_at_ms")?,
        created_by: row.try_get("created_by")?,
        parent: row.try_get("parent")?,
        created_at: time(row.try_get("created_at_ms")?)?,
    })
}

fn read_with_use(row: &SqliteRow) -> Result<(Token, Option<Timestamp>), StorageError> {
    Ok((read(row)?, optional_time(row, "last_used_at_ms")?))
}

fn optional_time(row: &SqliteRow, column: &str) -> Result<Option<Timestamp>, StorageError> {
    row.try_get::<Option<i64>, _>(column)?.map(time).transpose()
}

fn time(millisecond: i64) -> Result<Timestamp, StorageError> {
    Timestamp::from_millisecond(millisecond).map_err(|error| StorageError::Corrupt {
        what: "time of a token",
        detail: error.to_string(),
    })
}

/// The precision that is stored: a token reads back as it was made.
fn to_millisecond(time: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time)
}

fn not_found(id: TokenId) -> StorageError {
    StorageError::NotFound {
        what: "token",
        value: id.to_string(),
    }
}

fn too_many(stored: i64) -> StorageError {
    let mut errors = FieldErrors::new();
    errors.add(
        "token",
        &format!("{stored} tokens"),
        format!("at most {TOKENS_MAX} at once; revoke one first"),
    );
    StorageError::Invalid(errors)
}

const INSERT: &str = "INSERT INTO tokens (digest, label, scopes, trunks, calls_per_minute, \
    concurrent_calls, expires_at_ms, created_by, created_at_ms, parent) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id";
/// A parent is older than what it makes, and ids are used once: there is no circle.
const REVOKE: &str = "WITH RECURSIVE revoked (id) AS (SELECT id FROM tokens WHERE id = $1 \
    UNION SELECT tokens.id FROM tokens JOIN revoked ON tokens.parent = revoked.id) \
    DELETE FROM tokens WHERE id IN (SELECT id FROM revoked)";
/// The label of the token of the first start.
const FIRST_LABEL: &str = "first admin";
/// Tokens of one system.
pub const TOKENS_MAX: i64 = 1_000;
