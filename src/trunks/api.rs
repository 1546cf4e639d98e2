//! The JSON shapes of trunks: the keys of a `[[trunk]]` table, with the id.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::apply::TrunkTable;
use super::model::Secret;
use super::shape::{StoredTrunk, TrunkShape};
use super::store::AppliedTrunk;
use crate::config::trunk_of_object;
use crate::field_errors::FieldErrors;
use crate::links::rules;

/// A trunk as it is shown. Its password is not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrunkView {
    /// `tr_` and 12 hexadecimal digits.
    pub id: String,
    /// A password is stored.
    pub has_password: bool,
    /// The rest.
    #[serde(flatten)]
    pub shape: TrunkShape,
}

/// All trunks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrunkList {
    /// By label.
    pub trunks: Vec<TrunkView>,
}

/// What an `apply` did, trunk by trunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppliedList {
    /// In the order in which they were sent.
    pub applied: Vec<AppliedShape>,
}

/// What an `apply` did to one trunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppliedShape {
    /// Its id.
    pub id: String,
    /// Its label.
    pub label: String,
    /// `created`, `changed` or `unchanged`.
    pub result: String,
}

/// What OPTIONS to the targets of a trunk brought.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrunkTest {
    /// Every target answers, and there is one.
    pub up: bool,
    /// One by one.
    pub targets: Vec<TargetTest>,
    /// What keeps it from carrying calls whatever its targets say, and what to do.
    pub advice: Option<String>,
}

/// What OPTIONS to one target brought.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetTest {
    /// Address and port.
    pub target: String,
    /// It may carry calls.
    pub up: bool,
    /// Status of the answer; `None`: there was none.
    pub status: Option<u16>,
    /// From request to answer.
    pub round_trip_ms: Option<f64>,
    /// Why nothing could be sent.
    pub error: Option<String>,
}

impl From<&StoredTrunk> for TrunkView {
    fn from(trunk: &StoredTrunk) -> Self {
        Self {
            id: trunk.id.clone(),
            has_password: trunk.password.is_some(),
            shape: trunk.shape.clone(),
        }
    }
}

impl From<AppliedTrunk> for AppliedShape {
    fn from(applied: AppliedTrunk) -> Self {
        Self {
            id: applied.id,
            label: applied.label,
            result: applied.applied.as_str().to_owned(),
        }
    }
}

/// A new trunk of the object that somebody sent.
///
/// # Errors
/// Every wrong field.
pub fn draft(mut object: Map<String, Value>) -> Result<TrunkTable, FieldErrors> {
    let mut errors = FieldErrors::new();
    let password = password(&mut object, &mut errors).flatten();
    let table = finish(object, &mut errors);
    merge(errors, table, password)
}

/// A stored trunk with the change that somebody sent: what is absent stays, null takes the default.
///
/// # Errors
/// Every wrong field.
pub fn changed(
    stored: &StoredTrunk,
    mut change: Map<String, Value>,
) -> Result<TrunkTable, FieldErrors> {
    let mut errors = FieldErrors::new();
    for key in ["id", "has_password"] {
        if let Some(found) = change.remove(key) {
            errors.add(key, &found.to_string(), "nothing: this field cannot be set");
        }
    }
    let password = password(&mut change, &mut errors).unwrap_or_else(|| stored.password.clone());
    let mut object = match serde_json::to_value(&stored.shape) {
        Ok(Value::Object(object)) => object,
        Ok(_) | Err(_) => Map::new(),
    };
    // Another preset gives its defaults to what is not set in the same breath.
    if change.contains_key("preset") {
        object.retain(|key, _| matches!(key.as_str(), "label" | "targets" | "username"));
    }
    object.extend(change);
    let table = finish(object, &mut errors).map(|table| TrunkTable {
        id: Some(stored.id.clone()),
        ..table
    });
    merge(errors, table, password)
}

fn finish(object: Map<String, Value>, errors: &mut FieldErrors) -> Option<TrunkTable> {
    match trunk_of_object(object) {
        Ok(table) => Some(table),
        Err(wrong) => {
            for error in wrong.iter() {
                errors.add(error.field.clone(), &error.found, error.accepted.clone());
            }
            None
        }
    }
}

fn merge(
    mut errors: FieldErrors,
    table: Option<TrunkTable>,
    password: Option<Secret>,
) -> Result<TrunkTable, FieldErrors> {
    let Some(table) = table else {
        return Err(errors);
    };
    if password.is_some() && table.shape.username.is_none() {
        errors.add(
            "password",
            "a password without a user name",
            "one with `username`",
        );
    }
    errors.or(TrunkTable { password, ..table })
}

/// Takes the password out. `None`: none is named; `Some(None)`: null, it is to go.
fn password(object: &mut Map<String, Value>, errors: &mut FieldErrors) -> Option<Option<Secret>> {
    match object.remove("password")? {
        Value::Null => Some(None),
        Value::String(text) if rules::is_display_text(&text) => Some(Some(Secret::new(text))),
        Value::String(_)
        | Value::Bool(_)
        | Value::Number(_)
        | Value::Array(_)
        | Value::Object(_) => {
            errors.add("password", "…", rules::DISPLAY_TEXT);
            None
        }
    }
}
