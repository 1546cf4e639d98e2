//! The JSON shapes of settings.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::model::{SETTINGS, Setting, SettingKind, Settings};

/// A setting as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingShape {
    /// Its name.
    pub key: String,
    /// Its value: a text, a number, or true or false.
    pub value: Value,
    /// What it is where nobody sets it.
    pub default: Value,
    /// Nobody has set it to something else.
    pub is_default: bool,
    /// One sentence.
    pub description: String,
    /// What it takes.
    pub accepted: String,
}

/// All settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingList {
    /// In the order of the catalogue.
    pub settings: Vec<SettingShape>,
}

/// A new value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingValue {
    /// A text, a number, or true or false.
    pub value: Value,
}

impl SettingShape {
    /// A setting as these settings have it.
    #[must_use]
    pub fn new(setting: &Setting, settings: &Settings) -> Self {
        let value = settings.show(setting.key).unwrap_or_default();
        let default = setting.default();
        Self {
            key: setting.key.to_owned(),
            is_default: value == default,
            value: typed(setting.kind(), value),
            default: typed(setting.kind(), default),
            description: setting.description.to_owned(),
            accepted: setting.accepted().to_owned(),
        }
    }
}

impl SettingList {
    /// All of them.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let shapes = SETTINGS
            .iter()
            .map(|setting| SettingShape::new(setting, settings));
        Self {
            settings: shapes.collect(),
        }
    }
}

impl SettingValue {
    /// The value as [`Settings::set`] takes it; `None`: a list or an object.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        match &self.value {
            Value::String(text) => Some(text.clone()),
            Value::Bool(_) | Value::Number(_) => Some(self.value.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }
}

fn typed(kind: SettingKind, text: String) -> Value {
    match kind {
        SettingKind::Boolean => Value::Bool(text == "true"),
        SettingKind::Whole => text.parse::<u64>().map_or(Value::String(text), Value::from),
        SettingKind::Text => Value::String(text),
    }
}
