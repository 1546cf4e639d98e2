//! `sluice settings …`.

use super::arguments::SettingsCommand;
use super::output::Output;
use super::run::CommandError;
use crate::settings::model::{SETTINGS, Setting};
use crate::settings::store;
use crate::storage::{StorageError, Store};

pub(super) async fn run(
    command: &SettingsCommand,
    store: &Store,
    output: &mut Output<'_>,
) -> Result<(), CommandError> {
    match command {
        SettingsCommand::Show { key } => show(key.as_deref(), store, output),
        SettingsCommand::Set { key, value } => {
            store::set(store, key, value).await?;
            show(Some(key), store, output)
        }
    }
}

fn show(key: Option<&str>, store: &Store, output: &mut Output<'_>) -> Result<(), CommandError> {
    let snapshot = store.snapshot();
    let wanted: Vec<&Setting> = SETTINGS
        .iter()
        .filter(|setting| key.is_none_or(|key| key == setting.key))
        .collect();
    let mut rows = Vec::with_capacity(wanted.len());
    for setting in wanted {
        let value = snapshot
            .settings
            .show(setting.key)
            .map_err(StorageError::from)?;
        rows.push([
            setting.key.to_owned(),
            value,
            setting.description.to_owned(),
        ]);
    }
    if let (Some(key), true) = (key, rows.is_empty()) {
        snapshot.settings.show(key).map_err(StorageError::from)?;
    }
    if output.is_json() {
        let values: serde_json::Map<String, serde_json::Value> = rows
            .into_iter()
            .map(|[key, value, _]| (key, value.into()))
            .collect();
        return Ok(output.document(&values)?);
    }
    Ok(output.table(["KEY", "VALUE", "MEANING"], &rows)?)
}
