//! Reading CDRs back.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::record::AttemptLeg;
use crate::storage::{StorageError, Store};

/// One call with its attempts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(
    missing_docs,
    reason = "each field is documented at `cdr::record`, whose names these are"
)]
pub struct CdrCall {
    pub call: String,
    pub opened_at: Timestamp,
    pub answered_at: Option<Timestamp>,
    pub closed_at: Option<Timestamp>,
    pub source: String,
    pub source_label: Option<String>,
    pub source_address: String,
    pub call_id: String,
    pub request_path: String,
    pub caller: String,
    pub link: Option<i64>,
    pub status: Option<i64>,
    pub released_by: Option<String>,
    pub cause: Option<String>,
    pub q850: Option<i64>,
    pub media: CdrMedia,
    pub attempts: Vec<CdrAttempt>,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(
    missing_docs,
    reason = "each field is documented at `cdr::record`, whose names these are"
)]
pub struct CdrAttempt {
    pub number: i64,
    pub leg: String,
    pub call_id: String,
    pub opened_at: Timestamp,
    pub ringing_at: Option<Timestamp>,
    pub answered_at: Option<Timestamp>,
    pub closed_at: Option<Timestamp>,
    pub trunk: String,
    pub trunk_label: Option<String>,
    pub destination: String,
    pub caller_name: String,
    pub caller_alias: String,
    pub dialed: bool,
    pub status: Option<i64>,
    pub outcome: Option<String>,
    pub released_by: Option<String>,
    pub q850: Option<i64>,
    pub guard_reason: Option<String>,
    pub guard_rule: Option<String>,
    pub media: CdrMedia,
}

/// One leg's media; absent while the row is open.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(
    missing_docs,
    reason = "each field is documented at `cdr::record`, whose names these are"
)]
pub struct CdrMedia {
    pub packets_received: Option<i64>,
    pub packets_sent: Option<i64>,
    pub packets_lost: Option<i64>,
    pub jitter_ms: Option<f64>,
    pub round_trip_ms: Option<f64>,
    pub mos: Option<f64>,
    pub peer_packets_lost: Option<i64>,
    pub peer_jitter_ms: Option<f64>,
    pub peer_mos: Option<f64>,
    pub srtp: Option<String>,
}

/// The latest calls, latest first.
///
/// # Errors
/// The database cannot be read.
pub async fn list(store: &Store, calls: u32) -> Result<Vec<CdrCall>, StorageError> {
    let rows = sqlx::query("SELECT * FROM calls ORDER BY id DESC LIMIT $1")
        .bind(i64::from(calls.min(CALLS_MAX)))
        .fetch_all(store.readers())
        .await?;
    let mut calls = Vec::with_capacity(rows.len());
    for row in &rows {
        calls.push(whole_call(store, row).await?);
    }
    Ok(calls)
}

/// Calls that ended before `until` and are in no file yet, in the order of their end.
pub(super) async fn to_export(
    store: &Store,
    until: Timestamp,
    count: u32,
) -> Result<Vec<CdrCall>, StorageError> {
    let rows = sqlx::query(
        "SELECT * FROM calls WHERE exported = 0 AND closed_at_ms <= $1 \
         ORDER BY closed_at_ms LIMIT $2",
    )
    .bind(until.as_millisecond())
    .bind(i64::from(count))
    .fetch_all(store.readers())
    .await?;
    let mut calls = Vec::with_capacity(rows.len());
    for row in &rows {
        calls.push(whole_call(store, row).await?);
    }
    Ok(calls)
}

/// A call's row with its attempts.
pub(super) async fn whole_call(store: &Store, row: &SqliteRow) -> Result<CdrCall, StorageError> {
    let call: String = row.try_get("call")?;
    let attempts = sqlx::query("SELECT * FROM attempts WHERE call = $1 ORDER BY number")
        .bind(&call)
        .fetch_all(store.readers())
        .await?;
    let released_by: Option<String> = row.try_get("released_by")?;
    let cause: Option<String> = row.try_get("cause")?;
    let attempts = attempts
        .iter()
        .map(|row| attempt(store, row, released_by.as_deref(), cause.as_deref()))
        .collect::<Result<Vec<_>, _>>()?;
    let call_id: String = row.try_get("call_id")?;
    let source: String = row.try_get("source")?;
    Ok(CdrCall {
        call,
        opened_at: time(row.try_get("opened_at_ms")?)?,
        answered_at: optional_time(row, "answered_at_ms")?,
        closed_at: optional_time(row, "closed_at_ms")?,
        source_label: label(store, &source),
        source,
        source_address: row.try_get("source_address")?,
        call_id: placed_call_id(&attempts)
            .filter(|_| call_id.is_empty())
            .unwrap_or(call_id),
        request_path: row.try_get("request_path")?,
        caller: row.try_get("caller")?,
        link: row.try_get("link")?,
        status: row.try_get("status")?,
        released_by,
        cause,
        q850: row.try_get("q850")?,
        media: media(row)?,
        attempts,
    })
}

/// The a-leg of a placed call is the last INVITE to its first party: each has a Call-ID of its own.
fn placed_call_id(attempts: &[CdrAttempt]) -> Option<String> {
    let first_party = |attempt: &&CdrAttempt| attempt.leg == AttemptLeg::Caller.as_str();
    let dialled = |attempt: &CdrAttempt| attempt.dialed.then(|| attempt.call_id.clone());
    attempts.iter().filter(first_party).rev().find_map(dialled)
}

/// What people call the trunk of this id, or the extension; `None`: there is none any more.
fn label(store: &Store, id: &str) -> Option<String> {
    let snapshot = store.snapshot();
    let mut trunks = snapshot.trunks.iter();
    let trunk = trunks.find(|trunk| trunk.id == id).map(|it| &it.label);
    let mut extensions = snapshot.extensions.iter();
    let extension = || extensions.find(|one| one.id == id).map(|one| &one.name);
    trunk.or_else(extension).cloned()
}

fn attempt(
    store: &Store,
    row: &SqliteRow,
    call_released_by: Option<&str>,
    call_cause: Option<&str>,
) -> Result<CdrAttempt, StorageError> {
    let outcome: Option<String> = row.try_get("outcome")?;
    let released_by = outcome
        .as_deref()
        .and_then(|outcome| released_by(outcome, call_released_by, call_cause));
    let trunk: String = row.try_get("trunk")?;
    Ok(CdrAttempt {
        number: row.try_get("number")?,
        leg: row.try_get("leg")?,
        call_id: row.try_get("call_id")?,
        opened_at: time(row.try_get("opened_at_ms")?)?,
        ringing_at: optional_time(row, "ringing_at_ms")?,
        answered_at: optional_time(row, "answered_at_ms")?,
        closed_at: optional_time(row, "closed_at_ms")?,
        trunk_label: label(store, &trunk),
        trunk,
        destination: row.try_get("destination")?,
        caller_name: row.try_get("caller_name")?,
        caller_alias: row.try_get("caller_alias")?,
        dialed: row.try_get("dialed")?,
        status: row.try_get("status")?,
        outcome,
        released_by: released_by.map(str::to_owned),
        q850: row.try_get("q850")?,
        guard_reason: row.try_get("guard_reason")?,
        guard_rule: row.try_get("guard_rule")?,
        media: media(row)?,
    })
}

/// Who ended an attempt, which follows from how it ended: its peer by a refusal; with the call, who
/// ended the call; else we, who gave it up.
fn released_by<'a>(
    outcome: &str,
    call_released_by: Option<&'a str>,
    call_cause: Option<&str>,
) -> Option<&'a str> {
    match outcome {
        "refused" => Some("terminating"),
        "answered" => call_released_by,
        outcome if Some(outcome) == call_cause => call_released_by,
        _ => Some("gateway"),
    }
}

fn media(row: &SqliteRow) -> Result<CdrMedia, StorageError> {
    Ok(CdrMedia {
        packets_received: row.try_get("packets_received")?,
        packets_sent: row.try_get("packets_sent")?,
        packets_lost: row.try_get("packets_lost")?,
        jitter_ms: row.try_get("jitter_ms")?,
        round_trip_ms: row.try_get("round_trip_ms")?,
        mos: row.try_get("mos")?,
        peer_packets_lost: row.try_get("peer_packets_lost")?,
        peer_jitter_ms: row.try_get("peer_jitter_ms")?,
        peer_mos: row.try_get("peer_mos")?,
        srtp: row.try_get("srtp")?,
    })
}

fn optional_time(row: &SqliteRow, column: &str) -> Result<Option<Timestamp>, StorageError> {
    row.try_get::<Option<i64>, _>(column)?.map(time).transpose()
}

fn time(millisecond: i64) -> Result<Timestamp, StorageError> {
    Timestamp::from_millisecond(millisecond).map_err(|error| StorageError::Corrupt {
        what: "time",
        detail: error.to_string(),
    })
}

/// Calls of one list.
pub const CALLS_MAX: u32 = 10_000;
