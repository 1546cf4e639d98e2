//! CDR records become rows: opened with the call, closed by what ended it. A batch becomes at most
//! four statements, whatever its size.

use jiff::Timestamp;
use sqlx::{QueryBuilder, Sqlite};

use super::record::{AttemptClosed, AttemptOpened, CallClosed, CallOpened, LATE_ANSWER, Record};
use crate::guard_rules;
use crate::registrar::keeping;
use crate::storage::{Connection, StorageError};

/// Writes a batch inside the transaction it is given. Within one call, rows open before they close
/// and close once, so that the kinds may be written one after the other. The one exception is an
/// attempt that was left and answered after all: its row is changed by a second record, which may
/// come before or after the first.
pub(crate) async fn write_records(
    connection: &mut Connection,
    records: &[Record],
    export: bool,
) -> sqlx::Result<()> {
    let mut calls_opened = Vec::new();
    let mut attempts_opened = Vec::new();
    let mut attempts_closed = Vec::new();
    let mut late_answers = Vec::new();
    let mut calls_closed = Vec::new();
    let (mut guard_counts, mut phones) = (Vec::new(), Vec::new());
    for record in records {
        match record {
            Record::CallOpened(opened) => calls_opened.push(opened),
            Record::AttemptOpened(opened) => attempts_opened.push(opened),
            Record::AttemptClosed(closed) if closed.outcome == LATE_ANSWER => {
                late_answers.push(closed);
            }
            Record::AttemptClosed(closed) => attempts_closed.push(closed),
            Record::CallClosed(closed) => calls_closed.push(closed),
            Record::GuardCounts(counts) => guard_counts.extend(counts),
            Record::Phones(changes) => phones.extend(changes),
        }
    }
    open_calls(connection, &calls_opened).await?;
    open_attempts(connection, &attempts_opened).await?;
    close_attempts(connection, &attempts_closed).await?;
    answer_late(connection, &late_answers).await?;
    close_calls(connection, &calls_closed, export).await?;
    guard_rules::counts::write(connection, &guard_counts).await?;
    keeping::write(connection, &phones).await
}

/// How far a spool of records is replayed, in the transaction that writes the records.
pub(crate) async fn write_replayed(
    connection: &mut Connection,
    spool: i64,
    offset: u64,
) -> sqlx::Result<()> {
    for (name, value) in [("spool", spool), ("spool_offset", count(offset))] {
        sqlx::query("UPDATE sequences SET value = $1 WHERE name = $2")
            .bind(value)
            .bind(name)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Which spool was replayed last, and how far.
pub(crate) async fn replayed(connection: &mut Connection) -> sqlx::Result<(i64, u64)> {
    let mut values = [0; 2];
    for (value, name) in values.iter_mut().zip(["spool", "spool_offset"]) {
        *value = sqlx::query_scalar("SELECT value FROM sequences WHERE name = $1")
            .bind(name)
            .fetch_one(&mut *connection)
            .await?;
    }
    let [spool, offset]: [i64; 2] = values;
    Ok((spool, u64::try_from(offset).unwrap_or(0)))
}

async fn open_calls(connection: &mut Connection, rows: &[&CallOpened]) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut query = QueryBuilder::<Sqlite>::new(
        "INSERT INTO calls (call, opened_at_ms, source, source_address, call_id, request_path, \
         caller) ",
    );
    query.push_values(rows, |mut row, opened| {
        row.push_bind(&opened.call)
            .push_bind(opened.at.as_millisecond())
            .push_bind(&opened.source)
            .push_bind(&opened.source_address)
            .push_bind(&opened.call_id)
            .push_bind(&opened.request_path)
            .push_bind(&opened.caller);
    });
    query.build().execute(connection).await.map(drop)
}

async fn open_attempts(connection: &mut Connection, rows: &[&AttemptOpened]) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut query = QueryBuilder::<Sqlite>::new(
        "INSERT INTO attempts (call, number, opened_at_ms, trunk, destination, caller_name, \
         caller_alias, dialed, leg, call_id, guard_reason, guard_rule) ",
    );
    query.push_values(rows, |mut row, opened| {
        row.push_bind(&opened.call)
            .push_bind(i64::from(opened.number))
            .push_bind(opened.at.as_millisecond())
            .push_bind(&opened.trunk)
            .push_bind(&opened.destination)
            .push_bind(&opened.caller_name)
            .push_bind(&opened.caller_alias)
            .push_bind(opened.dialed)
            .push_bind(opened.leg.as_str())
            .push_bind(&opened.call_id)
            .push_bind(opened.guard.as_ref().map(|guard| &guard.reason))
            .push_bind(opened.guard.as_ref().map(|guard| &guard.rule));
    });
    query.build().execute(connection).await.map(drop)
}

async fn close_attempts(connection: &mut Connection, rows: &[&AttemptClosed]) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut query = QueryBuilder::<Sqlite>::new(
        "WITH closed (call, number, at, ringing_at, answered_at, status, outcome, q850, received, \
         sent, lost, jitter, round_trip, mos, peer_lost, peer_jitter, peer_mos, srtp) AS (",
    );
    query.push_values(rows, |mut row, closed| {
        row.push_bind(&closed.call)
            .push_bind(i64::from(closed.number))
            .push_bind(closed.at.as_millisecond())
            .push_bind(closed.ringing_at.map(Timestamp::as_millisecond))
            .push_bind(closed.answered_at.map(Timestamp::as_millisecond))
            .push_bind(i64::from(closed.status))
            .push_bind(&closed.outcome)
            .push_bind(closed.q850.map(i64::from))
            .push_bind(count(closed.media.packets_received))
            .push_bind(count(closed.media.packets_sent))
            .push_bind(count(closed.media.packets_lost))
            .push_bind(closed.media.jitter_ms)
            .push_bind(closed.media.round_trip_ms)
            .push_bind(closed.media.mos)
            .push_bind(closed.media.peer_packets_lost.map(count))
            .push_bind(closed.media.peer_jitter_ms)
            .push_bind(closed.media.peer_mos)
            .push_bind(&closed.media.srtp);
    });
    // The media figures may come after a late answer: they fill its row, and leave its words alone.
    query.push(
        ") UPDATE attempts SET closed_at_ms = coalesce(attempts.closed_at_ms, closed.at), \
         ringing_at_ms = closed.ringing_at, \
         answered_at_ms = coalesce(attempts.answered_at_ms, closed.answered_at), \
         status = coalesce(attempts.status, closed.status), \
         outcome = coalesce(attempts.outcome, closed.outcome), \
         q850 = coalesce(attempts.q850, closed.q850), \
         packets_received = closed.received, packets_sent = closed.sent, \
         packets_lost = closed.lost, jitter_ms = closed.jitter, \
         round_trip_ms = closed.round_trip, mos = closed.mos, peer_packets_lost = closed.peer_lost, \
         peer_jitter_ms = closed.peer_jitter, peer_mos = closed.peer_mos, srtp = closed.srtp FROM closed \
         WHERE attempts.call = closed.call AND attempts.number = closed.number \
         AND attempts.packets_received IS NULL \
         AND (attempts.closed_at_ms IS NULL OR attempts.outcome = 'late_answer')",
    );
    query.build().execute(connection).await.map(drop)
}

/// An attempt that was left has answered, and was ended at once (RFC 3261 §13.2.2.4): the row says
/// so, whatever it said before.
async fn answer_late(connection: &mut Connection, rows: &[&AttemptClosed]) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut query =
        QueryBuilder::<Sqlite>::new("WITH closed (call, number, at, answered_at, status) AS (");
    query.push_values(rows, |mut row, closed| {
        row.push_bind(&closed.call)
            .push_bind(i64::from(closed.number))
            .push_bind(closed.at.as_millisecond())
            .push_bind(closed.answered_at.map(Timestamp::as_millisecond))
            .push_bind(i64::from(closed.status));
    });
    query.push(
        ") UPDATE attempts SET closed_at_ms = closed.at, answered_at_ms = closed.answered_at, \
         status = closed.status, outcome = 'late_answer' FROM closed \
         WHERE attempts.call = closed.call AND attempts.number = closed.number",
    );
    query.build().execute(connection).await.map(drop)
}

async fn close_calls(
    connection: &mut Connection,
    rows: &[&CallClosed],
    export: bool,
) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut query = QueryBuilder::<Sqlite>::new(
        "WITH closed (call, at, answered_at, status, released_by, cause, q850, link, received, \
         sent, lost, jitter, round_trip, mos, peer_lost, peer_jitter, peer_mos, srtp) AS (",
    );
    // Only where files are wanted: the index of calls to write stays empty otherwise.
    let exported = export.then_some(0_i64);
    query.push_values(rows, |mut row, closed| {
        row.push_bind(&closed.call)
            .push_bind(closed.at.as_millisecond())
            .push_bind(closed.answered_at.map(Timestamp::as_millisecond))
            .push_bind(i64::from(closed.status))
            .push_bind(&closed.released_by)
            .push_bind(&closed.cause)
            .push_bind(closed.q850.map(i64::from))
            .push_bind(closed.link)
            .push_bind(count(closed.media.packets_received))
            .push_bind(count(closed.media.packets_sent))
            .push_bind(count(closed.media.packets_lost))
            .push_bind(closed.media.jitter_ms)
            .push_bind(closed.media.round_trip_ms)
            .push_bind(closed.media.mos)
            .push_bind(closed.media.peer_packets_lost.map(count))
            .push_bind(closed.media.peer_jitter_ms)
            .push_bind(closed.media.peer_mos)
            .push_bind(&closed.media.srtp);
    });
    query.push(
        ") UPDATE calls SET closed_at_ms = closed.at, answered_at_ms = closed.answered_at, \
         status = closed.status, released_by = closed.released_by, cause = closed.cause, \
         q850 = closed.q850, \
         link = closed.link, packets_received = closed.received, packets_sent = closed.sent, \
         packets_lost = closed.lost, jitter_ms = closed.jitter, \
         round_trip_ms = closed.round_trip, mos = closed.mos, peer_packets_lost = closed.peer_lost, \
         peer_jitter_ms = closed.peer_jitter, peer_mos = closed.peer_mos, srtp = closed.srtp, exported = ",
    );
    query.push_bind(exported);
    query.push(" FROM closed WHERE calls.call = closed.call AND calls.closed_at_ms IS NULL");
    query.build().execute(connection).await.map(drop)
}

/// Closes the rows that the last run left open. Returns how many calls.
pub(crate) async fn close_open_calls(
    connection: &mut Connection,
    now: Timestamp,
    export: bool,
) -> Result<u64, StorageError> {
    sqlx::query(
        "UPDATE attempts SET closed_at_ms = $1, status = 0, outcome = 'node_restart' \
         WHERE closed_at_ms IS NULL",
    )
    .bind(now.as_millisecond())
    .execute(&mut *connection)
    .await?;
    let calls = sqlx::query(
        "UPDATE calls SET closed_at_ms = $1, status = 0, released_by = 'gateway', \
         cause = 'node_restart', exported = $2 WHERE closed_at_ms IS NULL",
    )
    .bind(now.as_millisecond())
    .bind(export.then_some(0_i64))
    .execute(connection)
    .await?;
    Ok(calls.rows_affected())
}

/// A counter as a column holds it.
fn count(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
