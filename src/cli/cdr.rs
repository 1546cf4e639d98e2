//! `sluice cdr …`.

use std::fs::File;
use std::io::{BufWriter, Write as _};

use axum::body::Body;
use axum::http::Method;

use super::arguments::{CdrCommand, CdrFilter};
use super::client::{Client, escape, query};
use super::fields::rows;
use super::output::Output;
use super::run::CommandError;
use crate::cdr::query::{CdrList, PAGE_ROWS_MAX};
use crate::cdr::store::CdrCall;
use crate::http::fields_of;

pub(super) async fn run(
    command: &CdrCommand,
    client: &mut Client,
    output: &mut Output<'_>,
) -> Result<(), CommandError> {
    match command {
        CdrCommand::List { calls, filter } => {
            let calls = latest(client, *calls, filter).await?;
            if output.is_json() {
                return Ok(output.document(&calls)?);
            }
            show(&calls, output)
        }
        CdrCommand::Show { call } => {
            let path = format!("/api/v1/cdrs/{}", escape(call));
            let call: CdrCall = client.get(&path).await?;
            if output.is_json() {
                return Ok(output.document(&call)?);
            }
            show_one(&call, output)
        }
        CdrCommand::Export { file, filter } => {
            let path = query("/api/v1/export/cdrs", &words(filter));
            let mut stream = client
                .stream(Method::GET, &path, None, Body::empty())
                .await?;
            let Some(file) = file else {
                while let Some(piece) = stream.piece().await? {
                    output.raw(&piece)?;
                }
                return Ok(());
            };
            let named = |error| CommandError::Refused(format!("{}: {error}", file.display()));
            let mut to = BufWriter::new(File::create(file).map_err(named)?);
            while let Some(piece) = stream.piece().await? {
                to.write_all(&piece).map_err(named)?;
            }
            to.flush().map_err(named)
        }
    }
}

/// Page by page, until there are as many as were asked for.
async fn latest(
    client: &mut Client,
    wanted: u32,
    filter: &CdrFilter,
) -> Result<Vec<CdrCall>, CommandError> {
    let (mut calls, mut cursor) = (Vec::new(), None);
    loop {
        let had = u32::try_from(calls.len()).unwrap_or(u32::MAX);
        let limit = wanted.saturating_sub(had).min(PAGE_ROWS_MAX);
        let mut asked = words(filter);
        asked.push(("limit", Some(limit.to_string())));
        asked.push(("cursor", cursor));
        let page: CdrList = client.get(&query("/api/v1/cdrs", &asked)).await?;
        calls.extend(page.calls);
        cursor = page.next;
        let had = u32::try_from(calls.len()).unwrap_or(u32::MAX);
        if cursor.is_none() || had >= wanted {
            return Ok(calls);
        }
    }
}

fn words(filter: &CdrFilter) -> Vec<(&'static str, Option<String>)> {
    vec![
        ("from", filter.from.clone()),
        ("to", filter.to.clone()),
        ("trunk", filter.trunk.clone()),
        ("link", filter.link.map(|link| link.to_string())),
        ("cause", filter.cause.clone()),
    ]
}

fn show(calls: &[CdrCall], output: &mut Output<'_>) -> Result<(), CommandError> {
    let mut rows = Vec::new();
    for call in calls {
        rows.push(call_row(call));
        rows.extend(call.attempts.iter().map(|attempt| {
            [
                format!("  attempt {}, {}", attempt.number, attempt.leg),
                attempt.opened_at.to_string(),
                named(attempt.trunk_label.as_deref(), &attempt.trunk),
                attempt.destination.clone(),
                if attempt.dialed {
                    "dialled"
                } else {
                    "not dialled"
                }
                .to_owned(),
                attempt.media.srtp.clone().unwrap_or_default(),
                attempt
                    .status
                    .map(|status| status.to_string())
                    .unwrap_or_default(),
                ended(
                    attempt.outcome.as_deref(),
                    attempt.q850,
                    attempt
                        .guard_rule
                        .as_deref()
                        .map(|rule| format!("rule {rule}")),
                ),
            ]
        }));
    }
    Ok(output.table(
        [
            "CALL", "OPENED", "SOURCE", "PATH", "TALKED", "SRTP", "STATUS", "CAUSE",
        ],
        &rows,
    )?)
}

/// A trunk as people know it, with its id.
fn named(label: Option<&str>, id: &str) -> String {
    label.map_or_else(|| id.to_owned(), |label| format!("{label} ({id})"))
}

fn call_row(call: &CdrCall) -> [String; 8] {
    let talked = match (call.answered_at, call.closed_at) {
        (Some(answered), Some(closed)) => {
            format!(
                "{} s",
                closed.as_second().saturating_sub(answered.as_second())
            )
        }
        _ => String::new(),
    };
    [
        call.call.clone(),
        call.opened_at.to_string(),
        format!(
            "{} {}",
            named(call.source_label.as_deref(), &call.source),
            call.source_address
        ),
        call.request_path.clone(),
        talked,
        call.media.srtp.clone().unwrap_or_default(),
        call.status
            .map(|status| status.to_string())
            .unwrap_or_default(),
        ended(
            call.cause.as_deref(),
            call.q850,
            call.released_by.as_deref().map(|by| format!("by {by}")),
        ),
    ]
}

/// How it ended, in one cell: the word, the Q.850 cause, and who or what decided.
fn ended(word: Option<&str>, q850: Option<i64>, by: Option<String>) -> String {
    let Some(word) = word else {
        return "open".to_owned();
    };
    let q850 = q850.map(|cause| format!("Q.850 {cause}"));
    let said = [Some(word.to_owned()), q850, by];
    said.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Every field, the call's first, then those of each attempt.
fn show_one(call: &CdrCall, output: &mut Output<'_>) -> Result<(), CommandError> {
    let rows = rows(call, fields_of::<CdrCall>())?;
    Ok(output.table(["FIELD", "VALUE"], &rows)?)
}
