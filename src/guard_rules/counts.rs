//! What the guard has counted, over a restart: written with the CDR records, read at start.

use jiff::Timestamp;
use sqlx::{QueryBuilder, Row as _, Sqlite};

use crate::fraud_guard::StoredCount;
use crate::fraud_guard::book::Key;
use crate::storage::{Connection, StorageError, Store, work};

/// Writes counts inside the transaction it is given. A row says how much, not how much more: a batch
/// that is written twice changes nothing.
pub(crate) async fn write(
    connection: &mut Connection,
    counts: &[&StoredCount],
) -> sqlx::Result<()> {
    for rows in counts.chunks(ROWS_MAX) {
        let mut query = QueryBuilder::<Sqlite>::new(
            "INSERT INTO guard_counts (rule, subject, started_at_ms, value) ",
        );
        query.push_values(rows, |mut row, count| {
            row.push_bind(&count.rule)
                .push_bind(subject(count.key))
                .push_bind(count.started_at_ms)
                .push_bind(i64::try_from(count.value).unwrap_or(i64::MAX));
        });
        query.push(
            " ON CONFLICT (rule, subject) DO UPDATE SET started_at_ms = excluded.started_at_ms, \
             value = excluded.value",
        );
        query.build().execute(&mut *connection).await?;
    }
    Ok(())
}

/// Every count whose window is not over.
///
/// # Errors
/// The database cannot be read.
pub async fn load(store: &Store, now: Timestamp) -> Result<Vec<StoredCount>, StorageError> {
    let rows = sqlx::query(
        "SELECT rule, subject, started_at_ms, value FROM guard_counts \
         WHERE started_at_ms >= $1 ORDER BY started_at_ms DESC LIMIT $2",
    )
    .bind(over(now))
    .bind(LOADED_MAX)
    .fetch_all(store.readers())
    .await?;
    rows.iter()
        .map(|row| {
            let written: String = row.try_get("subject")?;
            let key =
                u128::from_str_radix(&written, 16).map_err(|error| StorageError::Corrupt {
                    what: "count of the guard",
                    detail: error.to_string(),
                })?;
            let value: i64 = row.try_get("value")?;
            Ok(StoredCount {
                rule: row.try_get("rule")?,
                key: Key(key),
                started_at_ms: row.try_get("started_at_ms")?,
                value: u64::try_from(value).unwrap_or(0),
            })
        })
        .collect()
}

/// Deletes counts whose window is over, in pieces, so that other writes get their turn.
pub(crate) async fn delete_over(store: &Store, now: Timestamp) -> Result<u64, StorageError> {
    let before = over(now);
    let mut deleted = 0;
    loop {
        let piece = store
            .write(move |connection| {
                work(async move {
                    let done = sqlx::query(
                        "DELETE FROM guard_counts WHERE rowid IN (SELECT rowid FROM guard_counts \
                         WHERE started_at_ms < $1 LIMIT 1000)",
                    )
                    .bind(before)
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
    }
}

/// No window is longer than a day; one more for a clock that was wrong.
fn over(now: Timestamp) -> i64 {
    now.as_millisecond().saturating_sub(2 * DAY_MS)
}

fn subject(key: Key) -> String {
    format!("{:x}", key.0)
}

const DAY_MS: i64 = 24 * 3_600_000;
/// Rows of one INSERT.
const ROWS_MAX: usize = 500;
/// Rows that a start takes back: all that the guard's tables hold.
const LOADED_MAX: i64 = 2_097_152;
