//! `sluice settings …`.

use axum::http::Method;

use super::arguments::SettingsCommand;
use super::client::{Client, escape};
use super::fields::plain;
use super::output::Output;
use super::run::CommandError;
use crate::settings::api::{SettingList, SettingShape, SettingValue};

pub(super) async fn run(
    command: &SettingsCommand,
    client: &mut Client,
    output: &mut Output<'_>,
) -> Result<(), CommandError> {
    match command {
        SettingsCommand::Show { key: None } => {
            let list: SettingList = client.get("/api/v1/settings").await?;
            show(&list.settings, output)
        }
        SettingsCommand::Show { key: Some(key) } => {
            let setting: SettingShape = client.get(&path(key)).await?;
            show_one(&setting, output)
        }
        SettingsCommand::Set { key, value } => {
            let value = SettingValue {
                value: value.clone().into(),
            };
            let setting: SettingShape = client.send(Method::PUT, &path(key), &value).await?;
            show(&[setting], output)
        }
        SettingsCommand::Reset { key } => {
            client.delete(&path(key)).await?;
            let setting: SettingShape = client.get(&path(key)).await?;
            show(&[setting], output)
        }
    }
}

fn path(key: &str) -> String {
    format!("/api/v1/settings/{}", escape(key))
}

fn show(settings: &[SettingShape], output: &mut Output<'_>) -> Result<(), CommandError> {
    if output.is_json() {
        let values: serde_json::Map<String, serde_json::Value> = settings
            .iter()
            .map(|setting| (setting.key.clone(), setting.value.clone()))
            .collect();
        return Ok(output.document(&values)?);
    }
    let rows: Vec<[String; 3]> = settings
        .iter()
        .map(|setting| {
            [
                setting.key.clone(),
                plain(&setting.value),
                setting.description.clone(),
            ]
        })
        .collect();
    Ok(output.table(["KEY", "VALUE", "MEANING"], &rows)?)
}

fn show_one(setting: &SettingShape, output: &mut Output<'_>) -> Result<(), CommandError> {
    if output.is_json() {
        return show(std::slice::from_ref(setting), output);
    }
    let rows = [
        ["key".to_owned(), setting.key.clone()],
        ["value".to_owned(), plain(&setting.value)],
        ["default".to_owned(), plain(&setting.default)],
        ["accepted".to_owned(), setting.accepted.clone()],
        ["meaning".to_owned(), setting.description.clone()],
    ];
    Ok(output.table(["FIELD", "VALUE"], &rows)?)
}
