//! CDRs as files: one a day in `cdr.folder`, a line a call, written some seconds after the call has
//! ended. A call is marked in the database when its line is on disk: a crash between the two writes
//! its line twice, never not at all; the call's id tells.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use sqlx::QueryBuilder;

use super::store::{self, CdrCall};
use crate::storage::{StorageError, Store, work};

/// How a line is written (`cdr.format`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// An object a line.
    Jsonl,
    /// RFC 4180, safe to open in a spreadsheet.
    Csv,
}

/// What was written.
#[derive(Debug, Default)]
pub struct ExportFigures {
    /// Calls.
    pub calls: AtomicU64,
    /// Calls that could not be written, each time it was tried.
    pub failures: AtomicU64,
}

/// How often it looks for calls that have ended.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The last figures of a call's media may come so long after its end.
const SETTLED_AFTER: Duration = Duration::from_secs(5);
/// Calls written at once.
const CALLS_A_TURN: u32 = 200;
/// Columns of a CSV file, in order. A call's attempt is its last one.
const COLUMNS: [&str; 37] = [
    "call",
    "opened_at",
    "answered_at",
    "closed_at",
    "talk_s",
    "source",
    "source_address",
    "request_path",
    "caller",
    "link",
    "status",
    "released_by",
    "cause",
    "attempts",
    "trunk",
    "destination",
    "caller_name",
    "caller_alias",
    "outcome",
    "packets_received",
    "packets_sent",
    "packets_lost",
    "call_id",
    "q850",
    "leg",
    "guard_reason",
    "guard_rule",
    "trunk_label",
    "source_label",
    "jitter_ms",
    "round_trip_ms",
    "mos",
    "peer_packets_lost",
    "peer_jitter_ms",
    "peer_mos",
    "srtp",
    "attempt_srtp",
];

/// Writes files as long as the node runs.
pub async fn run(store: Store, folder: PathBuf, format: ExportFormat, figures: Arc<ExportFigures>) {
    let mut tick = tokio::time::interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while store.is_open() {
        tick.tick().await;
        let until = Timestamp::now() - SETTLED_AFTER;
        loop {
            match export(&store, &folder, format, until).await {
                Ok(0) => break,
                Ok(calls) => {
                    figures.calls.fetch_add(calls, Ordering::Relaxed);
                }
                Err((calls, error)) => {
                    figures.failures.fetch_add(calls, Ordering::Relaxed);
                    tracing::error!(error, folder = %folder.display(), "CDR files are not written; calls wait in the database");
                    break;
                }
            }
        }
    }
}

/// Writes the next calls that ended before `until`; how many.
///
/// # Errors
/// How many were not written, and why.
async fn export(
    store: &Store,
    folder: &Path,
    format: ExportFormat,
    until: Timestamp,
) -> Result<u64, (u64, String)> {
    let unread = |error: StorageError| (0, error.to_string());
    let calls = store::to_export(store, until, CALLS_A_TURN)
        .await
        .map_err(unread)?;
    let count = u64::try_from(calls.len()).unwrap_or(0);
    if calls.is_empty() {
        return Ok(0);
    }
    let ids: Vec<String> = calls.iter().map(|call| call.call.clone()).collect();
    let folder = folder.to_owned();
    let written = tokio::task::spawn_blocking(move || append(&folder, format, &calls)).await;
    match written {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err((count, error.to_string())),
        Err(error) => return Err((count, error.to_string())),
    }
    mark(store, ids)
        .await
        .map_err(|error| (count, error.to_string()))?;
    Ok(count)
}

async fn mark(store: &Store, calls: Vec<String>) -> Result<(), StorageError> {
    store
        .write(move |connection| {
            work(async move {
                let mut query = QueryBuilder::<sqlx::Sqlite>::new(
                    "UPDATE calls SET exported = 1 WHERE call IN (",
                );
                let mut list = query.separated(", ");
                for call in &calls {
                    list.push_bind(call);
                }
                query.push(")");
                query.build().execute(connection).await?;
                Ok(())
            })
        })
        .await
}

/// Appends each call to the file of the day (UTC) on which it ended; on disk when this returns.
fn append(folder: &Path, format: ExportFormat, calls: &[CdrCall]) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o750)
        .create(folder)?;
    let mut rest = calls;
    while let Some(first) = rest.first() {
        let day = day(first);
        let same = rest
            .iter()
            .take_while(|call| self::day(call) == day)
            .count();
        let (today, later) = rest.split_at_checked(same).unwrap_or((rest, &[]));
        append_day(folder, format, &day, today)?;
        rest = later;
    }
    Ok(())
}

fn append_day(folder: &Path, format: ExportFormat, day: &str, calls: &[CdrCall]) -> io::Result<()> {
    let ending = match format {
        ExportFormat::Jsonl => "jsonl",
        ExportFormat::Csv => "csv",
    };
    let path = folder.join(format!("cdr-{day}.{ending}"));
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(path)?;
    let before = file.metadata()?.len();
    let mut text = Vec::new();
    if format == ExportFormat::Csv && before == 0 {
        text.extend_from_slice(COLUMNS.join(",").as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    for call in calls {
        match format {
            ExportFormat::Jsonl => {
                serde_json::to_writer(&mut text, call)?;
                text.push(b'\n');
            }
            ExportFormat::Csv => csv(call, &mut text),
        }
    }
    if let Err(error) = file.write_all(&text).and_then(|()| file.sync_data()) {
        // No half line stays.
        file.set_len(before)?;
        return Err(error);
    }
    Ok(())
}

fn day(call: &CdrCall) -> String {
    let at = call.closed_at.unwrap_or(call.opened_at);
    at.strftime("%Y-%m-%d").to_string()
}

/// The first line of a file.
pub(crate) fn csv_head() -> String {
    format!("{}\r\n", COLUMNS.join(","))
}

/// The line of one call.
pub(crate) fn csv(call: &CdrCall, to: &mut Vec<u8>) {
    let time = |at: Option<Timestamp>| at.map_or(String::new(), |at| at.to_string());
    let number = |value: Option<i64>| value.map_or(String::new(), |value| value.to_string());
    let decimal = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.2}"));
    let talk = call
        .answered_at
        .zip(call.closed_at)
        .map(|(from, to)| to.duration_since(from).as_secs_f64().max(0.0));
    let last = call.attempts.last();
    let of_last = |text: fn(&store::CdrAttempt) -> &str| last.map_or("", text).to_owned();
    let cells: [String; COLUMNS.len()] = [
        call.call.clone(),
        time(Some(call.opened_at)),
        time(call.answered_at),
        time(call.closed_at),
        talk.map_or(String::new(), |talk| format!("{talk:.3}")),
        call.source.clone(),
        call.source_address.clone(),
        call.request_path.clone(),
        call.caller.clone(),
        number(call.link),
        number(call.status),
        call.released_by.clone().unwrap_or_default(),
        call.cause.clone().unwrap_or_default(),
        call.attempts.len().to_string(),
        of_last(|attempt| &attempt.trunk),
        of_last(|attempt| &attempt.destination),
        of_last(|attempt| &attempt.caller_name),
        of_last(|attempt| &attempt.caller_alias),
        last.and_then(|attempt| attempt.outcome.clone())
            .unwrap_or_default(),
        number(call.media.packets_received),
        number(call.media.packets_sent),
        number(call.media.packets_lost),
        call.call_id.clone(),
        number(call.q850),
        of_last(|attempt| &attempt.leg),
        of_last(|attempt| attempt.guard_reason.as_deref().unwrap_or_default()),
        of_last(|attempt| attempt.guard_rule.as_deref().unwrap_or_default()),
        of_last(|attempt| attempt.trunk_label.as_deref().unwrap_or_default()),
        call.source_label.clone().unwrap_or_default(),
        decimal(call.media.jitter_ms),
        decimal(call.media.round_trip_ms),
        decimal(call.media.mos),
        number(call.media.peer_packets_lost),
        decimal(call.media.peer_jitter_ms),
        decimal(call.media.peer_mos),
        call.media.srtp.clone().unwrap_or_default(),
        of_last(|attempt| attempt.media.srtp.as_deref().unwrap_or_default()),
    ];
    let line = cells.map(|cell| safe(&cell)).join(",");
    to.extend_from_slice(line.as_bytes());
    to.extend_from_slice(b"\r\n");
}

/// A cell that no spreadsheet takes for a formula, quoted where it must be (RFC 4180 §2). What a
/// caller calls itself begins with `=` when he wishes.
fn safe(cell: &str) -> String {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    let cell = if formula {
        format!("'{cell}")
    } else {
        cell.to_owned()
    };
    if cell.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cdr::store::{CdrAttempt, CdrMedia};

    fn call(name: &str, closed_at: &str) -> CdrCall {
        let media = CdrMedia {
            packets_received: Some(5),
            packets_sent: None,
            packets_lost: None,
            jitter_ms: None,
            round_trip_ms: Some(12.5),
            mos: Some(4.37),
            peer_packets_lost: Some(2),
            peer_jitter_ms: None,
            peer_mos: None,
            srtp: Some("AEAD_AES_256_GCM none".to_owned()),
        };
        CdrCall {
            call: name.to_owned(),
            opened_at: "2026-11-20T23:59:00Z".parse().unwrap(),
            answered_at: Some("2026-11-20T23:59:01Z".parse().unwrap()),
            closed_at: Some(closed_at.parse().unwrap()),
            source: "office".to_owned(),
            source_label: None,
            source_address: "192.0.2.1:5060".to_owned(),
            call_id: "x".to_owned(),
            request_path: "support".to_owned(),
            caller: "=HYPERLINK(\"http://a\",\"b\")".to_owned(),
            link: Some(1),
            status: Some(200),
            released_by: Some("originating".to_owned()),
            cause: Some("normal".to_owned()),
            q850: Some(16),
            media: media.clone(),
            attempts: vec![CdrAttempt {
                number: 1,
                leg: "callee".to_owned(),
                call_id: "y".to_owned(),
                opened_at: "2026-11-20T23:59:00Z".parse().unwrap(),
                ringing_at: None,
                answered_at: None,
                closed_at: None,
                trunk: "tr_1".to_owned(),
                trunk_label: Some("=carrier".to_owned()),
                destination: "+4930123@a,b".to_owned(),
                caller_name: "line\r\nbreak".to_owned(),
                caller_alias: "web".to_owned(),
                dialed: true,
                status: None,
                outcome: Some("answered".to_owned()),
                released_by: None,
                q850: None,
                guard_reason: Some("guard_blocked".to_owned()),
                guard_rule: Some("gr_1".to_owned()),
                media: CdrMedia {
                    srtp: Some("none".to_owned()),
                    ..media
                },
            }],
        }
    }

    #[test]
    fn a_file_a_day_with_a_line_a_call() {
        let folder = tempfile::tempdir().unwrap();
        let calls = [
            call("one", "2026-11-20T23:59:59Z"),
            call("two", "2026-11-21T00:00:01Z"),
        ];
        let to = folder.path().join("made");
        append(&to, ExportFormat::Jsonl, &calls).unwrap();
        append(&to, ExportFormat::Jsonl, &calls[1..]).unwrap();
        let read =
            |day: &str| std::fs::read_to_string(to.join(format!("cdr-{day}.jsonl"))).unwrap();
        assert_eq!(read("2026-11-20").lines().count(), 1);
        let second = read("2026-11-21");
        assert_eq!(second.lines().count(), 2);
        for line in second.lines() {
            let object: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(object["call"], "two");
        }
    }

    #[test]
    fn no_cell_is_a_formula_and_no_name_breaks_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let calls = [call("one", "2026-11-20T23:59:59Z")];
        append(folder.path(), ExportFormat::Csv, &calls).unwrap();
        append(folder.path(), ExportFormat::Csv, &calls).unwrap();
        let text = std::fs::read_to_string(folder.path().join("cdr-2026-11-20.csv")).unwrap();
        assert_eq!(text.matches("call,opened_at").count(), 1, "one head");
        assert!(text.contains(",\"'=HYPERLINK(\"\"http://a\"\",\"\"b\"\")\","));
        assert!(
            text.contains(",\"'+4930123@a,b\",\"line\r\nbreak\","),
            "{text}"
        );
        assert!(text.contains(",58.000,office,"), "{text}");
        let line = ",x,16,callee,guard_blocked,gr_1,'=carrier,,,12.50,4.37,2,,,AEAD_AES_256_GCM none,none\r\n";
        assert_eq!(text.matches(line).count(), 2, "{text}");
        for (cell, expected) in [("-1", "'-1"), ("@x", "'@x"), ("\tx", "'\tx"), ("a", "a")] {
            assert_eq!(safe(cell), expected);
        }
    }
}
