//! Settings in the database: only those that differ from the default are stored.

use super::model::{SettingError, Settings};
use crate::storage::{Connection, StorageError, Store, bump_revision, work};

/// The settings in force. A stored value that this program does not take is reported and its
/// default is used: a node must start.
pub(crate) async fn load(connection: &mut Connection) -> Result<Settings, StorageError> {
    let rows: Vec<(String, String)> = sqlx::query_as("SELECT key, value FROM settings")
        .fetch_all(connection)
        .await?;
    let mut settings = Settings::default();
    for (key, value) in rows {
        if let Err(error) = settings.set(&key, &value) {
            tracing::warn!(%error, "a stored setting is not taken");
        }
    }
    Ok(settings)
}

/// Stores one setting.
///
/// # Errors
/// The key is unknown, the value is refused, or the database did not take it.
pub async fn set(store: &Store, key: &str, value: &str) -> Result<(), StorageError> {
    let mut settings = store.snapshot().settings.clone();
    settings.set(key, value)?;
    check_together(&settings, key, value)?;
    let (key, value) = (key.to_owned(), settings.show(key)?);
    store
        .write(move |connection| {
            work(async move {
                let text = "INSERT INTO settings (key, value) VALUES ($1, $2) \
                            ON CONFLICT (key) DO UPDATE SET value = excluded.value";
                sqlx::query(text)
                    .bind(key)
                    .bind(value)
                    .execute(&mut *connection)
                    .await?;
                bump_revision(connection).await
            })
        })
        .await?;
    store.refresh().await
}

/// Rules that two settings break together.
fn check_together(settings: &Settings, key: &str, value: &str) -> Result<(), SettingError> {
    let number = crate::links::rules::looks_like_telephone_number(&settings.default_caller_alias);
    if settings.ad_hoc.unique_alias && number {
        let key = if key == "ad_hoc.unique_alias" {
            "ad_hoc.unique_alias"
        } else {
            "links.default_caller_alias"
        };
        return Err(SettingError::Refused {
            key,
            found: value.to_owned(),
            accepted: "no unique alias on a default alias that looks like a telephone number",
        });
    }
    Ok(())
}
