//! `sluice trunks …`.

use std::path::Path;

use axum::http::Method;
use serde_json::{Map, Value, json};

use super::arguments::TrunksCommand;
use super::client::{Client, escape};
use super::fields::rows;
use super::output::Output;
use super::run::CommandError;
use crate::config::load_trunks;
use crate::http::call_shape::TrunkStateShape;
use crate::http::fields_of;
use crate::trunks::api::{AppliedList, TrunkList, TrunkTest, TrunkView};
use crate::trunks::shape::TrunkShape;

pub(super) async fn run(
    command: &TrunksCommand,
    client: &mut Client,
    output: &mut Output<'_>,
) -> Result<(), CommandError> {
    match command {
        TrunksCommand::Apply { file } => apply(file, client, output).await,
        TrunksCommand::List => {
            let list: TrunkList = client.get(PATH).await?;
            show_all(&list.trunks, output)
        }
        TrunksCommand::Show { trunk } => {
            let trunk: TrunkView = client.get(&path(trunk)).await?;
            show(&trunk, output)
        }
        TrunksCommand::Set {
            trunk,
            changes,
            password_file,
        } => {
            let now: Value = client.get(&path(trunk)).await?;
            let mut body = changed(&now, changes)?;
            if let Some(file) = password_file {
                body.insert("password".to_owned(), password(file)?.into());
            }
            let trunk: TrunkView = client.send(Method::PATCH, &path(trunk), &body).await?;
            show(&trunk, output)
        }
        TrunksCommand::Delete { trunk, force } => {
            let force = if *force { "?force=true" } else { "" };
            client.delete(&format!("{}{force}", path(trunk))).await?;
            Ok(output.line(&format!("deleted trunk {trunk}"))?)
        }
        TrunksCommand::State { trunk } => {
            let path = format!("{}/state", path(trunk));
            let state: TrunkStateShape = client.get(&path).await?;
            if output.is_json() {
                return Ok(output.document(&state)?);
            }
            let rows = rows(&state, fields_of::<TrunkStateShape>())?;
            Ok(output.table(["FIELD", "VALUE"], &rows)?)
        }
        TrunksCommand::Test { trunk } => test(trunk, client, output).await,
    }
}

fn path(trunk: &str) -> String {
    format!("{PATH}/{}", escape(trunk))
}

async fn apply(
    file: &Path,
    client: &mut Client,
    output: &mut Output<'_>,
) -> Result<(), CommandError> {
    let mut trunks = Vec::new();
    for table in load_trunks(file)? {
        let mut object = match serde_json::to_value(&table.shape) {
            Ok(Value::Object(object)) => object,
            Ok(_) | Err(_) => Map::new(),
        };
        if let Some(id) = table.id {
            object.insert("id".to_owned(), id.into());
        }
        if let Some(password) = &table.password {
            object.insert("password".to_owned(), password.expose().into());
        }
        trunks.push(object);
    }
    let body = json!({ "trunks": trunks });
    let list: AppliedList = client
        .send(Method::POST, "/api/v1/apply/trunks", &body)
        .await?;
    if output.is_json() {
        return Ok(output.document(&list.applied)?);
    }
    for trunk in list.applied {
        output.line(&format!("{} {} ({})", trunk.result, trunk.label, trunk.id))?;
    }
    Ok(())
}

/// `KEY=VALUE` by the type that the key has now.
fn changed(now: &Value, changes: &[String]) -> Result<Map<String, Value>, CommandError> {
    let mut body = Map::new();
    for change in changes {
        let Some((key, text)) = change.split_once('=') else {
            return Err(CommandError::Usage(format!(
                "`{change}` is no change; accepted: KEY=VALUE"
            )));
        };
        let value = match now.get(key) {
            _ if text.is_empty() => Value::Null,
            // Patterns such as 610 are texts: only lists of codes are lists of numbers.
            Some(Value::Array(_)) if key.ends_with("_codes") => {
                text.split(',').map(number_or_text).collect()
            }
            Some(Value::Array(_)) => text.split(',').collect(),
            Some(Value::Null) | None if key.ends_with("_port") => number_or_text(text),
            Some(Value::String(_) | Value::Null) | None => Value::String(text.to_owned()),
            Some(Value::Bool(_) | Value::Number(_) | Value::Object(_)) => {
                serde_json::from_str(text).unwrap_or_else(|_word| text.into())
            }
        };
        body.insert(key.to_owned(), value);
    }
    Ok(body)
}

/// Codes and ports are numbers, `+49*` and `192.0.2.1:5060` are none.
fn number_or_text(text: &str) -> Value {
    let number = text.bytes().all(|octet| octet.is_ascii_digit());
    let whole = text.parse::<u16>().ok().filter(|_| number);
    whole.map_or_else(|| text.into(), Value::from)
}

fn password(file: &Path) -> Result<String, CommandError> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| CommandError::Refused(format!("{}: {error}", file.display())))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn show(trunk: &TrunkView, output: &mut Output<'_>) -> Result<(), CommandError> {
    if output.is_json() {
        return Ok(output.document(trunk)?);
    }
    let mut order = vec!["id"];
    order.extend(fields_of::<TrunkShape>());
    let rows = rows(trunk, &order)?;
    Ok(output.table(["KEY", "VALUE"], &rows)?)
}

fn show_all(trunks: &[TrunkView], output: &mut Output<'_>) -> Result<(), CommandError> {
    if output.is_json() {
        return Ok(output.document(&trunks)?);
    }
    let rows: Vec<[String; 7]> = trunks
        .iter()
        .map(|trunk| {
            let shape = &trunk.shape;
            let targets: Vec<&str> = shape
                .targets
                .iter()
                .map(|target| target.address.as_str())
                .collect();
            [
                trunk.id.clone(),
                shape.label.clone(),
                shape.preset.clone(),
                if shape.enabled { "yes" } else { "no" }.to_owned(),
                shape.priority.to_string(),
                shape.weight.to_string(),
                targets.join(" "),
            ]
        })
        .collect();
    let heads = [
        "ID", "LABEL", "PRESET", "ENABLED", "PRIORITY", "WEIGHT", "TARGETS",
    ];
    Ok(output.table(heads, &rows)?)
}

async fn test(
    name: &str,
    client: &mut Client,
    output: &mut Output<'_>,
) -> Result<(), CommandError> {
    let tested: TrunkTest = client.post(&format!("{}/test", path(name))).await?;
    if output.is_json() {
        output.document(&tested)?;
    } else {
        for target in &tested.targets {
            output.line(
                &match (target.status, target.round_trip_ms, &target.error) {
                    (_, _, Some(error)) => format!("{} {error}", target.target),
                    (Some(status), Some(time), None) => {
                        format!("{} {status} {time:.1} ms", target.target)
                    }
                    _ => format!("{} no answer", target.target),
                },
            )?;
        }
    }
    if let Some(advice) = &tested.advice {
        return Err(CommandError::Refused(format!("{name}: {advice}")));
    }
    let down = tested.targets.iter().filter(|target| !target.up).count();
    if tested.targets.is_empty() {
        return Err(CommandError::Refused(format!(
            "{name}: no target has an address now"
        )));
    }
    if down > 0 {
        return Err(CommandError::Refused(format!(
            "{name}: {down} of its targets are down"
        )));
    }
    Ok(())
}

const PATH: &str = "/api/v1/trunks";
