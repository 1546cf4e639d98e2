//! A token as somebody asks for it, and the judgement of it: every wrong field at once.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::model::Token;
use super::scope::{Scopes, accepted};
use crate::field_errors::FieldErrors;
use crate::links::rules;

/// What somebody asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenDraft {
    /// Whose it is.
    pub label: String,
    /// Words of scopes.
    pub scopes: Vec<String>,
    /// Ids or labels of trunks; empty: all.
    #[serde(default)]
    pub trunks: Vec<String>,
    /// Calls that it may place a minute.
    #[serde(default)]
    pub calls_per_minute: Option<u32>,
    /// Calls of it at once.
    #[serde(default)]
    pub concurrent_calls: Option<u32>,
    /// RFC 3339.
    #[serde(default)]
    pub expires_at: Option<String>,
}

impl TokenDraft {
    /// Judges every field. `trunks` are id and label of each stored one.
    ///
    /// # Errors
    /// Every field that breaks a rule.
    pub fn judge(
        &self,
        now: Timestamp,
        trunks: &[(String, String)],
        created_by: &str,
    ) -> Result<Token, FieldErrors> {
        let mut errors = FieldErrors::new();
        if !rules::is_display_text(&self.label) {
            errors.add("label", &self.label, rules::DISPLAY_TEXT);
        }
        let mut scopes = Scopes::default();
        for word in &self.scopes {
            match scopes.with(word) {
                Ok(with) => scopes = with,
                Err(_not_a_scope) => errors.add("scopes", word, accepted()),
            }
        }
        if self.scopes.is_empty() {
            errors.add("scopes", "none", accepted());
        }
        let mut ids: Vec<String> = Vec::new();
        for wanted in &self.trunks {
            let named = |(id, label): &&(String, String)| id == wanted || label == wanted;
            match trunks.iter().find(named) {
                Some((id, _)) if ids.contains(id) => {}
                Some((id, _)) => ids.push(id.clone()),
                None => errors.add("trunks", wanted, "ids or labels of stored trunks"),
            }
        }
        for (field, cap) in [
            ("calls_per_minute", self.calls_per_minute),
            ("concurrent_calls", self.concurrent_calls),
        ] {
            if let Some(cap) = cap.filter(|cap| !(1..=CAP_MAX).contains(cap)) {
                errors.add(field, &cap.to_string(), "1 to 1000000, or none for no cap");
            }
        }
        let expires_at = self.judge_expiry(now, &mut errors);
        errors.or(Token {
            id: 0,
            label: self.label.clone(),
            scopes,
            trunks: ids,
            calls_per_minute: self.calls_per_minute,
            concurrent_calls: self.concurrent_calls,
            expires_at,
            created_by: created_by.to_owned(),
            parent: None,
            created_at: now,
        })
    }

    fn judge_expiry(&self, now: Timestamp, errors: &mut FieldErrors) -> Option<Timestamp> {
        let text = self.expires_at.as_deref()?;
        let time = text.parse::<Timestamp>().ok().filter(|time| *time > now);
        if time.is_none() {
            errors.add(
                "expires_at",
                text,
                "a time to come by RFC 3339, such as 2036-12-31T23:00:00Z",
            );
        }
        time
    }
}

/// Highest cap.
const CAP_MAX: u32 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> TokenDraft {
        TokenDraft {
            label: "portal".to_owned(),
            scopes: vec!["links:*".to_owned()],
            ..TokenDraft::default()
        }
    }

    #[test]
    fn every_wrong_field_of_a_draft_is_named() {
        let bad = TokenDraft {
            label: String::new(),
            scopes: vec!["links:erase".to_owned()],
            trunks: vec!["none".to_owned()],
            calls_per_minute: Some(0),
            concurrent_calls: Some(2_000_000),
            expires_at: Some("2001-01-01T00:00:00Z".to_owned()),
        };
        let now = Timestamp::from_second(2_000_000_000).unwrap();
        let errors = bad.judge(now, &[], "test").unwrap_err();
        assert_eq!(
            errors.fields(),
            [
                "label",
                "scopes",
                "trunks",
                "calls_per_minute",
                "concurrent_calls",
                "expires_at"
            ]
        );
    }

    #[test]
    fn trunks_are_kept_by_their_id_once() {
        let trunks = [("tr_1".to_owned(), "carrier".to_owned())];
        let draft = TokenDraft {
            trunks: vec!["carrier".to_owned(), "tr_1".to_owned()],
            ..draft()
        };
        let token = draft.judge(Timestamp::UNIX_EPOCH, &trunks, "test").unwrap();
        assert_eq!(token.trunks, ["tr_1"]);
        assert!(token.may_use_trunk("tr_1") && !token.may_use_trunk("tr_2"));
    }
}
