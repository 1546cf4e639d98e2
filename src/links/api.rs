//! The JSON shapes of links: what an import reads, what lists and `resolve` answer.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::draft::{LinkDraft, RequestPath};
use super::model::{Destination, Link, VideoPolicy};
use super::resolve::ResolvedLink;

/// A draft as JSON. `request_path` absent: random; `"destination"` is a path like any other, and
/// the destination itself is asked for by `"request_path_from": "destination"`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkDraftShape {
    destination: String,
    #[serde(default)]
    request_path: Option<String>,
    #[serde(default)]
    request_path_from: RequestPathFrom,
    #[serde(default)]
    display_name: Option<String>,
    #[serde(default)]
    caller_name: Option<String>,
    #[serde(default)]
    caller_alias: Option<String>,
    #[serde(default)]
    unique_alias: bool,
    #[serde(default)]
    allow_custom_caller_name: bool,
    #[serde(default = "yes")]
    enabled: bool,
    #[serde(default)]
    valid_after: Option<String>,
    #[serde(default)]
    valid_before: Option<String>,
    #[serde(default)]
    trunk: Option<String>,
    #[serde(default)]
    auto_call_after_s: Option<u32>,
    #[serde(default)]
    video_policy: Option<String>,
    #[serde(default)]
    created_by: String,
}

/// Where the request path comes from when none is given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RequestPathFrom {
    #[default]
    Random,
    Destination,
}

const fn yes() -> bool {
    true
}

impl From<LinkDraftShape> for LinkDraft {
    fn from(shape: LinkDraftShape) -> Self {
        let request_path = match (shape.request_path, shape.request_path_from) {
            (Some(path), _) => RequestPath::Custom(path),
            (None, RequestPathFrom::Random) => RequestPath::Random,
            (None, RequestPathFrom::Destination) => RequestPath::Destination,
        };
        Self {
            request_path,
            destination: shape.destination,
            display_name: shape.display_name,
            caller_name: shape.caller_name,
            caller_alias: shape.caller_alias,
            unique_alias: shape.unique_alias,
            allow_custom_caller_name: shape.allow_custom_caller_name,
            enabled: shape.enabled,
            valid_after: shape.valid_after,
            valid_before: shape.valid_before,
            trunk: shape.trunk,
            auto_call_after_s: shape.auto_call_after_s,
            video_policy: shape.video_policy,
            created_by: shape.created_by,
        }
    }
}

/// A stored link as JSON.
#[derive(Debug, Clone, Serialize)]
pub struct LinkShape {
    id: i64,
    request_path: String,
    destination: String,
    display_name: Option<String>,
    caller_name: Option<String>,
    caller_alias: Option<String>,
    unique_alias: bool,
    allow_custom_caller_name: bool,
    enabled: bool,
    valid_after: Option<Timestamp>,
    valid_before: Option<Timestamp>,
    trunk: Option<String>,
    auto_call_after_s: Option<u8>,
    video_policy: Option<&'static str>,
    created_by: String,
    created_at: Timestamp,
    updated_at: Timestamp,
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
            video_policy: link.video_policy.map(VideoPolicy::as_str),
            created_by: link.created_by,
            created_at: link.created_at,
            updated_at: link.updated_at,
        }
    }
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
    fn the_user_of_a_uri_is_escaped() {
        assert_eq!(escape_user("+49-30.1"), "+49-30.1");
        assert_eq!(escape_user("*98#"), "*98%23");
        assert_eq!(escape_user("j\u{f6}rg"), "j%C3%B6rg");
    }
}
