//! `sluice calls …`.

use serde_json::{Map, Value};

use super::call_arguments::{CallsCommand, PlaceWords};
use super::client::{Client, escape, query};
use super::fields::rows;
use super::output::Output;
use super::run::CommandError;
use crate::call::command::PAGE_CALLS_MAX;
use crate::http::call_shape::{CallPageShape, CallShape};
use crate::http::fields_of;

pub(super) async fn run(
    command: &CallsCommand,
    client: &mut Client,
    output: &mut Output<'_>,
) -> Result<(), CommandError> {
    match command {
        CallsCommand::List {
            calls,
            trunk,
            link,
            state,
        } => {
            let words = [
                ("trunk", trunk.clone()),
                ("link", link.map(|link| link.to_string())),
                ("state", state.clone()),
            ];
            let wanted = usize::try_from(*calls).unwrap_or(usize::MAX);
            let calls = oldest(client, wanted, &words).await?;
            show(&calls, output)
        }
        CallsCommand::Show { call } => {
            let call: CallShape = client.get(&path(call)).await?;
            show_one(&call, output)
        }
        CallsCommand::End { call } => {
            client.delete(&path(call)).await?;
            Ok(output.line(&format!("ended call {call}"))?)
        }
        CallsCommand::Place(words) => {
            let key = words.idempotency_key.as_deref();
            let call: CallShape = client.order(PATH, &order(words), key).await?;
            show_one(&call, output)
        }
        CallsCommand::Ladder { call } => ladder(call, client, output).await,
    }
}

/// Page by page, until there are as many as were asked for.
async fn oldest(
    client: &mut Client,
    wanted: usize,
    words: &[(&'static str, Option<String>)],
) -> Result<Vec<CallShape>, CommandError> {
    let (mut calls, mut after) = (Vec::new(), None::<u64>);
    loop {
        let limit = wanted.saturating_sub(calls.len()).min(PAGE_CALLS_MAX);
        let mut asked = words.to_vec();
        asked.push(("limit", Some(limit.to_string())));
        asked.push(("after", after.map(|after| after.to_string())));
        let page: CallPageShape = client.get(&query(PATH, &asked)).await?;
        calls.extend(page.calls);
        after = page.next;
        if after.is_none() || calls.len() >= wanted {
            return Ok(calls);
        }
    }
}

fn path(call: &str) -> String {
    format!("{PATH}/{}", escape(call))
}

/// What was said; the node knows what goes together.
fn order(words: &PlaceWords) -> Map<String, Value> {
    let mut order = Map::new();
    order.insert("from".to_owned(), words.from.clone().into());
    let more = [
        ("link", &words.link),
        ("to", &words.to),
        ("trunk", &words.trunk),
        ("caller_name", &words.caller_name),
        ("caller_alias", &words.caller_alias),
    ];
    for (key, value) in more {
        if let Some(value) = value {
            order.insert(key.to_owned(), value.clone().into());
        }
    }
    order
}

async fn ladder(
    call: &str,
    client: &mut Client,
    output: &mut Output<'_>,
) -> Result<(), CommandError> {
    let path = format!("{}/ladder", path(call));
    if output.is_json() {
        let ladder: Value = client.get(&path).await?;
        return Ok(output.document(&ladder)?);
    }
    for line in client.text(&path).await?.lines() {
        output.line(line)?;
    }
    Ok(())
}

fn show(calls: &[CallShape], output: &mut Output<'_>) -> Result<(), CommandError> {
    if output.is_json() {
        return Ok(output.document(&calls)?);
    }
    let rows: Vec<[String; 6]> = calls
        .iter()
        .map(|call| {
            let legs = call.legs.iter().map(|leg| {
                let codec = leg.codec.as_deref().unwrap_or_default();
                let keys = leg.srtp.as_deref().map_or("", |_suite| " SRTP");
                let text = format!("{} {} {codec}{keys}", leg.party, leg.state);
                text.trim_end().to_owned()
            });
            [
                call.id.clone(),
                call.state.clone(),
                call.started_at.to_string(),
                call.source.clone(),
                call.request_path.clone(),
                legs.collect::<Vec<_>>().join(", "),
            ]
        })
        .collect();
    let heads = ["CALL", "STATE", "STARTED", "SOURCE", "PATH", "LEGS"];
    Ok(output.table(heads, &rows)?)
}

fn show_one(call: &CallShape, output: &mut Output<'_>) -> Result<(), CommandError> {
    if output.is_json() {
        return Ok(output.document(call)?);
    }
    let rows = rows(call, fields_of::<CallShape>())?;
    Ok(output.table(["FIELD", "VALUE"], &rows)?)
}

const PATH: &str = "/api/v1/calls";
