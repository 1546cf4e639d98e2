//! The JSON shapes of links: what an import reads, what lists and `resolve` answer.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

use super::draft::{LinkDraft, RequestPath};
use super::model::{Destination, Link};
use super::resolve::ResolvedLink;

/// A draft as JSON. `request_path` absent: random; `"destination"` is a path like any other, and
/// the destination itself is asked for by `"request_path_from": "destination"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "each field is documented at `LinkDraft`, whose names these are"
)]
pub struct LinkDraftShape {
    pub destination: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_path: Option<String>,
    #[serde(default, skip_serializing_if = "RequestPathFrom::is_random")]
    pub request_path_from: RequestPathFrom,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller_alias: Option<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub unique_alias: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub allow_custom_caller_name: bool,
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub enabled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_after: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_before: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trunk: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_call_after_s: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video_policy: Option<String>,
}

/// Where the request path comes from when none is given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestPathFrom {
    /// 128 bits of randomness.
    #[default]
    Random,
    /// The destination.
    Destination,
}

impl RequestPathFrom {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
    const fn is_random(&self) -> bool {
        matches!(self, Self::Random)
    }
}

const fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
const fn is_true(value: &bool) -> bool {
    *value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

impl LinkDraftShape {
    /// The draft that this asks for.
    #[must_use]
    pub fn draft(self, created_by: &str) -> LinkDraft {
        let request_path = match (self.request_path, self.request_path_from) {
            (Some(path), _) => RequestPath::Custom(path),
            (None, RequestPathFrom::Random) => RequestPath::Random,
            (None, RequestPathFrom::Destination) => RequestPath::Destination,
        };
        LinkDraft {
            request_path,
            destination: self.destination,
            display_name: self.display_name,
            caller_name: self.caller_name,
            caller_alias: self.caller_alias,
            unique_alias: self.unique_alias,
            allow_custom_caller_name: self.allow_custom_caller_name,
            enabled: self.enabled,
            valid_after: self.valid_after,
            valid_before: self.valid_before,
            trunk: self.trunk,
            auto_call_after_s: self.auto_call_after_s,
            video_policy: self.video_policy,
            created_by: created_by.to_owned(),
        }
    }
}

impl From<Link> for LinkDraftShape {
    /// What would make this link again.
    fn from(link: Link) -> Self {
        Self {
            destination: link.destination.to_string(),
            request_path: Some(link.request_path),
            request_path_from: RequestPathFrom::Random,
            display_name: link.display_name,
            caller_name: link.caller_name,
            caller_alias: link.caller_alias,
            unique_alias: link.unique_alias,
            allow_custom_caller_name: link.allow_custom_caller_name,
            enabled: link.enabled,
            valid_after: link.valid_after.map(|time| time.to_string()),
            valid_before: link.valid_before.map(|time| time.to_string()),
            trunk: link.trunk,
            auto_call_after_s: link.auto_call_after_s.map(u32::from),
            video_policy: link.video_policy.map(|policy| policy.as_str().to_owned()),
        }
    }
}

/// A change of a link: what is absent stays, `null` takes the default again. The request path is not
/// among the fields: it never changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "each field is documented at `LinkDraft`, whose names these are"
)]
pub struct LinkPatch {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub display_name: Option<Option<String>>,
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub caller_name: Option<Option<String>>,
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub caller_alias: Option<Option<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unique_alias: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_custom_caller_name: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub valid_after: Option<Option<String>>,
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub valid_before: Option<Option<String>>,
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub trunk: Option<Option<String>>,
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub auto_call_after_s: Option<Option<u32>>,
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub video_policy: Option<Option<String>>,
}

/// Tells `null` from absent.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(from).map(Some)
}

impl LinkPatch {
    /// The draft of a link with this change.
    #[must_use]
    pub fn apply(self, link: &Link) -> LinkDraft {
        let now = LinkDraftShape::from(link.clone()).draft(&link.created_by);
        LinkDraft {
            destination: self.destination.unwrap_or(now.destination),
            display_name: self.display_name.unwrap_or(now.display_name),
            caller_name: self.caller_name.unwrap_or(now.caller_name),
            caller_alias: self.caller_alias.unwrap_or(now.caller_alias),
            unique_alias: self.unique_alias.unwrap_or(now.unique_alias),
            allow_custom_caller_name: self
                .allow_custom_caller_name
                .unwrap_or(now.allow_custom_caller_name),
            enabled: self.enabled.unwrap_or(now.enabled),
            valid_after: self.valid_after.unwrap_or(now.valid_after),
            valid_before: self.valid_before.unwrap_or(now.valid_before),
            trunk: self.trunk.unwrap_or(now.trunk),
            auto_call_after_s: self.auto_call_after_s.unwrap_or(now.auto_call_after_s),
            video_policy: self.video_policy.unwrap_or(now.video_policy),
            ..now
        }
    }
}

/// A page of links.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkList {
    /// By id.
    pub links: Vec<LinkShape>,
    /// Cursor of the next page; `None`: this is the last one.
    pub next: Option<String>,
    /// How many there are in all, where that was asked for.
    pub total: Option<i64>,
}

/// A stored link as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "each field is documented at `Link`, whose names these are"
)]
pub struct LinkShape {
    pub id: i64,
    pub request_path: String,
    pub destination: String,
    pub display_name: Option<String>,
    pub caller_name: Option<String>,
    pub caller_alias: Option<String>,
    pub unique_alias: bool,
    pub allow_custom_caller_name: bool,
    pub enabled: bool,
    pub valid_after: Option<Timestamp>,
    pub valid_before: Option<Timestamp>,
    pub trunk: Option<String>,
    pub auto_call_after_s: Option<u8>,
    pub video_policy: Option<String>,
    pub created_by: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl From<Link> for LinkShape {
    fn from(link: Link) -> Self {
        Self {
            id: link.id,
            request_path: link.request_path,
            destination: link.destination.to_string(),
            display_name: link.display_name,
            caller_name: link.caller_name,
            caller_alias: link.caller_alias,
            unique_alias: link.unique_alias,
            allow_custom_caller_name: link.allow_custom_caller_name,
            enabled: link.enabled,
            valid_after: link.valid_after,
            valid_before: link.valid_before,
            trunk: link.trunk,
            auto_call_after_s: link.auto_call_after_s,
            video_policy: link.video_policy.map(|policy| policy.as_str().to_owned()),
            created_by: link.created_by,
            created_at: link.created_at,
            updated_at: link.updated_at,
        }
    }
}

/// One line of the answer to an import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportReport {
    /// What it is about.
    pub state: ImportState,
    /// The line that it is about, or the last one read.
    pub line: u64,
    /// Links stored so far.
    pub stored: u64,
    /// Lines refused so far.
    pub refused: u64,
    /// What is wrong with the line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<WrongField>,
    /// Why the import failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What a report is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportState {
    /// How far it is.
    Progress,
    /// A line that was not taken.
    Refused,
    /// The last report.
    Done,
    /// The last report; not all lines were read.
    Failed,
}

/// A wrong field, as a problem document names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrongField {
    /// Its name.
    pub field: String,
    /// What was sent.
    pub found: String,
    /// What would be taken.
    pub accepted: String,
}

/// What `resolve` answers: the operational parameters of a call that the asker places itself.
#[derive(Debug, Clone, Serialize)]
pub struct ResolvedShape<'a> {
    request_path: &'a str,
    link: Option<i64>,
    /// The called ID: `user@domain`, `local:echo` or `local:tone`.
    destination: String,
    /// Request-URI of the call; absent for a local party.
    destination_uri: Option<String>,
    /// What the guest sees.
    display_name: &'a str,
    caller_name: &'a str,
    allow_custom_caller_name: bool,
    /// The guest has said it, and nobody vouches for it.
    named_by_guest: bool,
    /// The caller ID, without its number.
    caller_alias: &'a str,
    unique_alias: bool,
    unique_alias_separator: char,
    trunk: Option<&'a str>,
    auto_call_after_s: Option<u8>,
    video_policy: &'static str,
    valid_after: Option<Timestamp>,
    valid_before: Option<Timestamp>,
}

impl<'a> From<&'a ResolvedLink> for ResolvedShape<'a> {
    fn from(resolved: &'a ResolvedLink) -> Self {
        let destination = resolved.destination.to_string();
        let destination_uri = match &resolved.destination {
            Destination::Remote { user, domain } => {
                let domain = domain.as_deref().unwrap_or_default();
                Some(format!("sip:{}@{domain}", escape_user(user)))
            }
            Destination::Echo | Destination::Tone => None,
        };
        Self {
            request_path: &resolved.request_path,
            link: resolved.link,
            destination_uri,
            destination,
            display_name: &resolved.display_name,
            caller_name: &resolved.caller_name,
            allow_custom_caller_name: resolved.allow_custom_caller_name,
            named_by_guest: resolved.named_by_guest,
            caller_alias: &resolved.caller_alias,
            unique_alias: resolved.unique_alias,
            unique_alias_separator: resolved.unique_alias_separator,
            trunk: resolved.trunk.as_deref(),
            auto_call_after_s: resolved.auto_call_after_s,
            video_policy: resolved.video_policy.as_str(),
            valid_after: resolved.valid_after,
            valid_before: resolved.valid_before,
        }
    }
}

/// The user part of a SIP URI: what RFC 3261 §25.1 lets stand, the rest as %-escapes.
fn escape_user(user: &str) -> String {
    let mut escaped = String::with_capacity(user.len());
    for octet in user.bytes() {
        if octet.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/".contains(&octet) {
            escaped.push(char::from(octet));
        } else {
            escaped.push_str(&format!("%{octet:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_takes_the_default_again_and_absent_leaves_as_it_is() {
        let patch: LinkPatch =
            serde_json::from_str(r#"{"caller_name": null, "trunk": "t"}"#).unwrap();
        assert_eq!(patch.caller_name, Some(None));
        assert_eq!(patch.trunk, Some(Some("t".to_owned())));
        assert_eq!(patch.display_name, None);
        let text = serde_json::to_string(&patch).unwrap();
        assert_eq!(text, r#"{"caller_name":null,"trunk":"t"}"#);
        serde_json::from_str::<LinkPatch>(r#"{"request_path": "x"}"#).unwrap_err();
    }

    #[test]
    fn the_user_of_a_uri_is_escaped() {
        assert_eq!(escape_user("+49-30.1"), "+49-30.1");
        assert_eq!(escape_user("*98#"), "*98%23");
        assert_eq!(escape_user("j\u{f6}rg"), "j%C3%B6rg");
    }
}
