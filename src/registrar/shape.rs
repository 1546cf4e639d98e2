//! An extension in the API and in its row: everything but its password comes back.

use serde::{Deserialize, Serialize};

use super::model::{
    CONTACTS_MAX, Extension, NAME, PASSWORD_OCTETS_MAX, PASSWORD_OCTETS_MIN, is_name,
};
use crate::field_errors::FieldErrors;
use crate::links::rules;
use crate::trunks::model::Secret;

/// An extension that somebody wants to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtensionDraft {
    /// The user part it registers.
    pub name: String,
    /// Digest password.
    pub password: String,
    /// Shown where it calls.
    #[serde(default)]
    pub display_name: String,
    /// Off: registers nothing and is not reached.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Labels or ids of trunks that its own calls may leave by.
    #[serde(default)]
    pub trunks: Vec<String>,
    /// Phones at once.
    #[serde(default = "three")]
    pub contacts_max: u8,
}

/// What shall be other than it is; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(
    missing_docs,
    reason = "each field is documented at `ExtensionDraft`, whose names these are"
)]
pub struct ExtensionChange {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trunks: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contacts_max: Option<u8>,
}

/// An extension as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "each field is documented at `Extension`, whose names these are"
)]
pub struct ExtensionShape {
    pub id: String,
    pub name: String,
    pub display_name: String,
    pub enabled: bool,
    pub trunks: Vec<String>,
    pub contacts_max: u8,
}

/// A page of them; there are at most `EXTENSIONS_MAX`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtensionList {
    /// By name.
    pub extensions: Vec<ExtensionShape>,
}

const fn yes() -> bool {
    true
}

const fn three() -> u8 {
    3
}

impl From<&Extension> for ExtensionShape {
    fn from(extension: &Extension) -> Self {
        Self {
            id: extension.id.clone(),
            name: extension.name.clone(),
            display_name: extension.display_name.clone(),
            enabled: extension.enabled,
            trunks: extension.trunks.clone(),
            contacts_max: extension.contacts_max,
        }
    }
}

impl ExtensionShape {
    /// With the password that belongs to it.
    #[must_use]
    pub fn extension(self, password: Secret) -> Extension {
        Extension {
            id: self.id,
            name: self.name,
            display_name: self.display_name,
            password,
            enabled: self.enabled,
            trunks: self.trunks,
            contacts_max: self.contacts_max,
        }
    }
}

impl ExtensionDraft {
    /// The extension with this id. `known` are the ids and labels of all trunks.
    ///
    /// # Errors
    /// Every field that breaks a rule.
    pub fn judge(self, id: String, known: &[(String, String)]) -> Result<Extension, FieldErrors> {
        let extension = Extension {
            id,
            name: self.name,
            display_name: self.display_name,
            password: Secret::new(self.password),
            enabled: self.enabled,
            trunks: self.trunks,
            contacts_max: self.contacts_max,
        };
        judge(&extension, known)?;
        Ok(extension)
    }
}

impl ExtensionChange {
    /// The extension as it shall be.
    ///
    /// # Errors
    /// Every field that breaks a rule.
    pub fn apply(
        self,
        to: Extension,
        known: &[(String, String)],
    ) -> Result<Extension, FieldErrors> {
        let extension = Extension {
            password: self.password.map_or(to.password, Secret::new),
            display_name: self.display_name.unwrap_or(to.display_name),
            enabled: self.enabled.unwrap_or(to.enabled),
            trunks: self.trunks.unwrap_or(to.trunks),
            contacts_max: self.contacts_max.unwrap_or(to.contacts_max),
            ..to
        };
        judge(&extension, known)?;
        Ok(extension)
    }
}

fn judge(extension: &Extension, known: &[(String, String)]) -> Result<(), FieldErrors> {
    let mut errors = FieldErrors::new();
    if !is_name(&extension.name) {
        errors.add("name", &extension.name, NAME);
    }
    let password = extension.password.expose();
    let good = (PASSWORD_OCTETS_MIN..=PASSWORD_OCTETS_MAX).contains(&password.len())
        && !password.chars().any(char::is_control)
        && password != extension.name;
    if !good {
        // What was found is a secret, even where it is a bad one.
        let accepted =
            format!("{PASSWORD_OCTETS_MIN} to {PASSWORD_OCTETS_MAX} octets that are not the name");
        errors.add("password", "(not shown)", accepted);
    }
    if !extension.display_name.is_empty() && !rules::is_display_text(&extension.display_name) {
        errors.add("display_name", &extension.display_name, rules::DISPLAY_TEXT);
    }
    for named in &extension.trunks {
        if !known
            .iter()
            .any(|(id, label)| id == named || label == named)
        {
            errors.add("trunks", named, "ids or labels of trunks");
        }
    }
    if !(1..=CONTACTS_MAX).contains(&extension.contacts_max) {
        let accepted = format!("1 to {CONTACTS_MAX}");
        errors.add(
            "contacts_max",
            &extension.contacts_max.to_string(),
            accepted,
        );
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(errors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> ExtensionDraft {
        serde_json::from_str(r#"{"name": "610", "password": "correct horse"}"#).unwrap()
    }

    #[test]
    fn a_name_and_a_password_are_enough() {
        let extension = draft().judge("ex_1".to_owned(), &[]).unwrap();
        assert!(extension.enabled && extension.trunks.is_empty());
        assert_eq!(extension.contacts_max, 3);
    }

    #[test]
    fn every_wrong_field_is_named_and_no_password_is_repeated() {
        let bad = ExtensionDraft {
            name: "6 10".to_owned(),
            password: "hunter2".to_owned(),
            display_name: "a\u{7}".to_owned(),
            trunks: vec!["nowhere".to_owned()],
            contacts_max: 0,
            ..draft()
        };
        let errors = bad.judge("ex_1".to_owned(), &[]).unwrap_err();
        assert_eq!(
            errors.fields(),
            ["name", "password", "display_name", "trunks", "contacts_max"]
        );
        assert!(!errors.to_string().contains("hunter2"));
    }

    #[test]
    fn what_a_change_does_not_name_stays() {
        let trunks = [("tr_1".to_owned(), "carrier".to_owned())];
        let before = draft().judge("ex_1".to_owned(), &trunks).unwrap();
        let change: ExtensionChange = serde_json::from_str(r#"{"trunks": ["carrier"]}"#).unwrap();
        let after = change.apply(before.clone(), &trunks).unwrap();
        assert_eq!((after.password, after.name), (before.password, before.name));
        assert_eq!(after.trunks, ["carrier"]);
        serde_json::from_str::<ExtensionChange>(r#"{"name": "611"}"#).unwrap_err();
    }
}
