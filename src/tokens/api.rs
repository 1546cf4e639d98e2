//! The JSON shapes of tokens.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::model::{Token, TokenId};

/// A token as it is shown. Its clear text is in the answer to its making only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "each field is documented at `Token`, whose names these are"
)]
pub struct TokenShape {
    pub id: TokenId,
    pub label: String,
    pub scopes: Vec<String>,
    pub trunks: Vec<String>,
    pub calls_per_minute: Option<u32>,
    pub concurrent_calls: Option<u32>,
    pub expires_at: Option<Timestamp>,
    pub created_by: String,
    pub parent: Option<TokenId>,
    pub created_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
    /// The clear text, once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

impl TokenShape {
    /// The shape of a stored token.
    #[must_use]
    pub fn new(token: &Token, last_used_at: Option<Timestamp>) -> Self {
        Self {
            id: token.id,
            label: token.label.clone(),
            scopes: token
                .scopes
                .words()
                .into_iter()
                .map(str::to_owned)
                .collect(),
            trunks: token.trunks.clone(),
            calls_per_minute: token.calls_per_minute,
            concurrent_calls: token.concurrent_calls,
            expires_at: token.expires_at,
            created_by: token.created_by.clone(),
            parent: token.parent,
            created_at: token.created_at,
            last_used_at,
            token: None,
        }
    }
}

/// All tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenList {
    /// By id.
    pub tokens: Vec<TokenShape>,
}
