//! CDRs by filter and page, one by its call, and the clean-up of old ones.

use jiff::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::{QueryBuilder, Row as _, Sqlite};

use super::store::{CdrCall, whole_call};
use crate::storage::{StorageError, Store, work};

/// Which calls a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CdrQuery {
    /// Begun at or after.
    pub from: Option<Timestamp>,
    /// Begun before.
    pub to: Option<Timestamp>,
    /// With an attempt on this trunk, by id.
    pub trunk: Option<String>,
    /// That reached this link, by id.
    pub link: Option<i64>,
    /// That ended for this cause.
    pub cause: Option<String>,
    /// Only rows below this: the last one of the page before.
    pub before: Option<i64>,
    /// Calls of a page.
    pub rows: u32,
}

/// A page of calls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CdrList {
    /// Newest first.
    pub calls: Vec<CdrCall>,
    /// Cursor of the next page; `None`: this is the last one.
    pub next: Option<String>,
}

/// One page of calls, newest first, each with its attempts.
///
/// # Errors
/// The database cannot be read.
pub async fn page(store: &Store, asked: &CdrQuery) -> Result<CdrList, StorageError> {
    let _turn = store.turn_to_list().await?;
    let wanted = asked.rows.clamp(1, PAGE_ROWS_MAX);
    let rows = select(asked, wanted)
        .build()
        .fetch_all(store.readers())
        .await?;
    let shown = usize::try_from(wanted).unwrap_or(usize::MAX);
    let (more, mut last) = (rows.len() > shown, None);
    let mut calls = Vec::with_capacity(rows.len().min(shown));
    for row in rows.iter().take(shown) {
        last = Some(row.try_get::<i64, _>("id")?);
        calls.push(whole_call(store, row).await?);
    }
    Ok(CdrList {
        calls,
        next: last.filter(|_| more).map(|id| id.to_string()),
    })
}

/// One call.
///
/// # Errors
/// There is none, or the database cannot be read.
pub async fn show(store: &Store, call: &str) -> Result<CdrCall, StorageError> {
    let row = sqlx::query("SELECT * FROM calls WHERE call = $1")
        .bind(call)
        .fetch_optional(store.readers())
        .await?;
    let row = row.ok_or_else(|| StorageError::NotFound {
        what: "call",
        value: call.to_owned(),
    })?;
    whole_call(store, &row).await
}

/// Deletes calls that began longer ago than the setting `cdr.retention_days`, some at a time, so
/// that other writes get their turn. Returns how many.
///
/// # Errors
/// The database did not take it.
pub async fn delete_old(store: &Store, now: Timestamp) -> Result<u64, StorageError> {
    let days = store.snapshot().settings.cdr_retention_days;
    let hours = i64::from(days).saturating_mul(24);
    let (Ok(before), true) = (now.checked_sub(Span::new().hours(hours)), days > 0) else {
        return Ok(0);
    };
    let mut deleted = 0;
    loop {
        let piece = store
            .write(move |connection| {
                work(async move {
                    let old: Vec<String> = sqlx::query_scalar(OLD)
                        .bind(before.as_millisecond())
                        .bind(DELETED_AT_ONCE)
                        .fetch_all(&mut *connection)
                        .await?;
                    for table in ["attempts", "calls"] {
                        if old.is_empty() {
                            break;
                        }
                        let mut delete = QueryBuilder::<Sqlite>::new("DELETE FROM ");
                        delete.push(table).push(" WHERE call IN (");
                        let mut list = delete.separated(", ");
                        for call in &old {
                            list.push_bind(call);
                        }
                        delete.push(")");
                        delete.build().execute(&mut *connection).await?;
                    }
                    Ok(old.len())
                })
            })
            .await?;
        deleted += u64::try_from(piece).unwrap_or(u64::MAX);
        if piece == 0 {
            return Ok(deleted);
        }
    }
}

fn select(asked: &CdrQuery, wanted: u32) -> QueryBuilder<Sqlite> {
    let mut select = QueryBuilder::new("SELECT * FROM calls WHERE TRUE");
    if let Some(before) = asked.before {
        select.push(" AND id < ").push_bind(before);
    }
    if let Some(from) = asked.from {
        let from = from.as_millisecond();
        select.push(" AND opened_at_ms >= ").push_bind(from);
    }
    if let Some(to) = asked.to {
        select
            .push(" AND opened_at_ms < ")
            .push_bind(to.as_millisecond());
    }
    if let Some(link) = asked.link {
        select.push(" AND link = ").push_bind(link);
    }
    if let Some(cause) = &asked.cause {
        select.push(" AND cause = ").push_bind(cause.clone());
    }
    if let Some(trunk) = &asked.trunk {
        select
            .push(
                " AND EXISTS (SELECT 1 FROM attempts WHERE attempts.call = calls.call AND trunk = ",
            )
            .push_bind(trunk.clone())
            .push(")");
    }
    select
        .push(" ORDER BY id DESC LIMIT ")
        .push_bind(i64::from(wanted) + 1);
    select
}

/// Calls that are over and old, by the index of their beginning.
const OLD: &str = "SELECT call FROM calls WHERE opened_at_ms < $1 AND closed_at_ms IS NOT NULL \
    ORDER BY opened_at_ms LIMIT $2";
/// Calls of one page.
pub const PAGE_ROWS_MAX: u32 = 1_000;
/// Calls deleted in one transaction.
const DELETED_AT_ONCE: i64 = 200;
