//! Settings in the database: only those that differ from the default are stored.

use super::model::{self, SettingError, Settings};
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
    set_if(store, key, value, |_current| Ok(())).await
}

/// Stores one setting, if `check` does not object to the settings as they are.
///
/// # Errors
/// As [`set`], or `check` objects.
pub async fn set_if(
    store: &Store,
    key: &str,
    value: &str,
    check: impl FnOnce(&Settings) -> Result<(), StorageError> + Send + 'static,
) -> Result<(), StorageError> {
    let (key, value) = (model::setting(key)?.key, value.to_owned());
    store
        .write(move |connection| {
            work(async move {
                let mut settings = load(connection).await?;
                check(&settings)?;
                settings.set(key, &value)?;
                check_together(&settings, key, &value)?;
                let text = "INSERT INTO settings (key, value) VALUES ($1, $2) \
                            ON CONFLICT (key) DO UPDATE SET value = excluded.value";
                sqlx::query(text)
                    .bind(key)
                    .bind(settings.show(key)?)
                    .execute(&mut *connection)
                    .await?;
                bump_revision(connection).await
            })
        })
        .await?;
    store.refresh().await
}

/// Gives one setting its default again, if `check` does not object to the settings as they are.
///
/// # Errors
/// The key is unknown, `check` objects, the default does not fit the rest, or the database did not
/// take it.
pub async fn reset_if(
    store: &Store,
    key: &str,
    check: impl FnOnce(&Settings) -> Result<(), StorageError> + Send + 'static,
) -> Result<(), StorageError> {
    let setting = model::setting(key)?;
    let (key, default) = (setting.key, setting.default());
    store
        .write(move |connection| {
            work(async move {
                let mut settings = load(connection).await?;
                check(&settings)?;
                settings.set(key, &default)?;
                check_together(&settings, key, &default)?;
                sqlx::query("DELETE FROM settings WHERE key = $1")
                    .bind(key)
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
