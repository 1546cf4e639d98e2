//! A link as somebody submits it, and the judgement of it: PRODUCT §1, every rule, every wrong
//! field at once. Pure: what it needs to know of the world (time, randomness, settings, the trunks
//! that exist) is an argument.

use jiff::Timestamp;
use unicode_normalization::UnicodeNormalization as _;

use super::model::{
    AUTO_CALL, AUTO_CALL_S_MAX, DESTINATION, Destination, Link, LinkId, VIDEO_POLICY, VideoPolicy,
};
use super::rules;
use crate::field_errors::FieldErrors;

/// What somebody asks for. Empty texts and absent texts are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkDraft {
    /// How the request path is made.
    pub request_path: RequestPath,
    /// `user`, `user@domain`, `local:echo`, `local:tone`.
    pub destination: String,
    /// What the guest sees.
    pub display_name: Option<String>,
    /// The name shown at the called endpoint.
    pub caller_name: Option<String>,
    /// The user part shown there.
    pub caller_alias: Option<String>,
    /// Append a number to the alias.
    pub unique_alias: bool,
    /// The URL may name the caller.
    pub allow_custom_caller_name: bool,
    /// Off: refused as gone.
    pub enabled: bool,
    /// RFC 3339.
    pub valid_after: Option<String>,
    /// RFC 3339.
    pub valid_before: Option<String>,
    /// Id or label of the trunk that must carry the call.
    pub trunk: Option<String>,
    /// 0 to 60.
    pub auto_call_after_s: Option<u32>,
    /// A word of [`VideoPolicy`].
    pub video_policy: Option<String>,
    /// Who makes it.
    pub created_by: String,
}

/// How a request path is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestPath {
    /// The destination itself.
    Destination,
    /// This text.
    Custom(String),
    /// 128 bits of randomness.
    Random,
}

impl LinkDraft {
    /// A draft with every default.
    #[must_use]
    pub fn new(request_path: RequestPath, destination: impl Into<String>) -> Self {
        Self {
            request_path,
            destination: destination.into(),
            display_name: None,
            caller_name: None,
            caller_alias: None,
            unique_alias: false,
            allow_custom_caller_name: false,
            enabled: true,
            valid_after: None,
            valid_before: None,
            trunk: None,
            auto_call_after_s: None,
            video_policy: None,
            created_by: String::new(),
        }
    }
}

/// What a draft is judged against.
#[derive(Debug, Clone, Copy)]
pub struct DraftWorld<'a> {
    /// Now.
    pub now: Timestamp,
    /// Fresh randomness for a random request path.
    pub random: u128,
    /// Alias of a link that names none.
    pub default_caller_alias: &'a str,
    /// Id and label of each trunk.
    pub trunks: &'a [(String, String)],
}

impl LinkDraft {
    /// Judges every field and makes the link, its id still [`UNSTORED`].
    ///
    /// # Errors
    /// Every field that breaks a rule.
    pub fn judge(&self, world: &DraftWorld<'_>) -> Result<Link, FieldErrors> {
        let now = to_millisecond(world.now);
        let mut errors = FieldErrors::new();
        let destination = self.judge_destination(&mut errors);
        let request_path = self.judge_request_path(world.random, &mut errors);
        let display_name = text("display_name", self.display_name.as_deref(), &mut errors);
        let caller_name = text("caller_name", self.caller_name.as_deref(), &mut errors);
        let caller_alias = self.judge_alias(world, &mut errors);
        let valid_after = time("valid_after", self.valid_after.as_deref(), &mut errors);
        let valid_before = time("valid_before", self.valid_before.as_deref(), &mut errors);
        if let (Some(after), Some(before)) = (valid_after, valid_before)
            && before <= after
        {
            errors.add(
                "valid_before",
                &before.to_string(),
                "a time after `valid_after`",
            );
        }
        let trunk = self.judge_trunk(world, &mut errors);
        let auto_call_after_s = self.judge_auto_call(&mut errors);
        let video_policy = self.judge_video_policy(&mut errors);
        let created_by = self.created_by.clone();
        if created_by.chars().count() > rules::DISPLAY_CHARS_MAX {
            errors.add("created_by", &created_by, "at most 128 characters");
        }
        let Some(destination) = destination else {
            return Err(errors);
        };
        errors.or(Link {
            id: UNSTORED,
            request_path,
            destination,
            display_name,
            caller_name,
            caller_alias,
            unique_alias: self.unique_alias,
            allow_custom_caller_name: self.allow_custom_caller_name,
            enabled: self.enabled,
            valid_after,
            valid_before,
            trunk,
            auto_call_after_s,
            video_policy,
            created_by,
            created_at: now,
            updated_at: now,
        })
    }

    fn judge_destination(&self, errors: &mut FieldErrors) -> Option<Destination> {
        let destination = self.destination.parse();
        if destination.is_err() {
            errors.add("destination", &self.destination, DESTINATION);
        }
        destination.ok()
    }

    fn judge_request_path(&self, random: u128, errors: &mut FieldErrors) -> String {
        let path: String = match &self.request_path {
            RequestPath::Random => return random_path(random),
            RequestPath::Custom(path) => path.nfc().collect(),
            RequestPath::Destination => self.destination.nfc().collect(),
        };
        if let Err(accepted) = check_request_path(&path) {
            errors.add("request_path", &path, accepted);
        }
        path
    }

    fn judge_alias(&self, world: &DraftWorld<'_>, errors: &mut FieldErrors) -> Option<String> {
        let alias = self
            .caller_alias
            .as_deref()
            .filter(|alias| !alias.is_empty());
        if let Some(alias) = alias
            && !rules::is_alias(alias)
        {
            errors.add("caller_alias", alias, rules::ALIAS);
        }
        let shown = alias.unwrap_or(world.default_caller_alias);
        if self.unique_alias && rules::looks_like_telephone_number(shown) {
            errors.add(
                "unique_alias",
                "true",
                format!("false, because the alias `{shown}` looks like a telephone number"),
            );
        }
        alias.map(str::to_owned)
    }

    fn judge_auto_call(&self, errors: &mut FieldErrors) -> Option<u8> {
        let wanted = self.auto_call_after_s?;
        let seconds = u8::try_from(wanted)
            .ok()
            .filter(|seconds| *seconds <= AUTO_CALL_S_MAX);
        if seconds.is_none() {
            errors.add("auto_call_after_s", &wanted.to_string(), AUTO_CALL);
        }
        seconds
    }

    fn judge_video_policy(&self, errors: &mut FieldErrors) -> Option<VideoPolicy> {
        let wanted = self
            .video_policy
            .as_deref()
            .filter(|word| !word.is_empty())?;
        let policy = wanted.parse().ok();
        if policy.is_none() {
            errors.add("video_policy", wanted, VIDEO_POLICY);
        }
        policy
    }

    fn judge_trunk(&self, world: &DraftWorld<'_>, errors: &mut FieldErrors) -> Option<String> {
        let wanted = self.trunk.as_deref().filter(|trunk| !trunk.is_empty())?;
        let found = world
            .trunks
            .iter()
            .find(|(id, label)| id == wanted || label == wanted);
        if found.is_none() {
            let labels: Vec<&str> = world
                .trunks
                .iter()
                .map(|(_, label)| label.as_str())
                .take(TRUNKS_NAMED_MAX)
                .collect();
            let accepted = if labels.is_empty() {
                "nothing, because no trunk is stored yet".to_owned()
            } else {
                format!("id or label of a trunk, such as {}", labels.join(", "))
            };
            errors.add("trunk", wanted, accepted);
        }
        found.map(|(id, _)| id.clone())
    }
}

/// The rules of a request path, which is in NFC already.
///
/// # Errors
/// The sentence of the rule that is broken.
pub fn check_request_path(path: &str) -> Result<(), &'static str> {
    if !(1..=REQUEST_PATH_OCTETS_MAX).contains(&path.len()) {
        return Err("1 to 255 octets of UTF-8");
    }
    if path
        .chars()
        .any(|c| c.is_control() || matches!(c, '/' | '?' | '#' | '\\'))
    {
        return Err("no / ? # \\ and no control characters");
    }
    if path.starts_with(ROOM_PREFIX) {
        return Err("not beginning with `room-`, which names rooms");
    }
    if path.starts_with(LOCAL_PREFIX) {
        return Err("not beginning with `local:`; give a local party a request path of its own");
    }
    Ok(())
}

/// A request path nobody can guess: 128 bits in the URL-safe alphabet of RFC 4648 §5.
#[must_use]
pub fn random_path(random: u128) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    (0..RANDOM_PATH_CHARS)
        .filter_map(|position| {
            let six_bits = usize::try_from((random >> (6 * position)) & 63).ok()?;
            ALPHABET.get(six_bits).map(|octet| char::from(*octet))
        })
        .collect()
}

fn text(field: &'static str, value: Option<&str>, errors: &mut FieldErrors) -> Option<String> {
    let value = value.filter(|value| !value.is_empty())?;
    if !rules::is_display_text(value) {
        errors.add(field, value, rules::DISPLAY_TEXT);
    }
    Some(value.nfc().collect())
}

fn time(field: &'static str, value: Option<&str>, errors: &mut FieldErrors) -> Option<Timestamp> {
    let value = value.filter(|value| !value.is_empty())?;
    let time = value.parse().ok();
    if time.is_none() {
        errors.add(
            field,
            value,
            "a time by RFC 3339, such as 2026-12-31T23:00:00Z",
        );
    }
    time.map(to_millisecond)
}

/// The precision that is stored: a link reads back as it was made.
fn to_millisecond(time: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time)
}

/// The id of a link that no database has seen.
pub const UNSTORED: LinkId = 0;
/// Octets of a request path.
pub const REQUEST_PATH_OCTETS_MAX: usize = 255;
/// Request paths that begin with this name rooms.
pub const ROOM_PREFIX: &str = "room-";
/// Destinations that begin with this are local parties.
pub const LOCAL_PREFIX: &str = "local:";
/// 128 bits, six a character.
const RANDOM_PATH_CHARS: u32 = 22;
/// Labels that an error about a trunk repeats.
const TRUNKS_NAMED_MAX: usize = 8;

#[cfg(test)]
mod tests;
