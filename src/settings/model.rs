//! Every setting once: its key, its sentence, its default, its rule. Pure.

use std::time::Duration;

use crate::fraud_guard::Rules;
use crate::links::model::{AUTO_CALL_S_MAX, VIDEO_POLICY, VideoPolicy};
use crate::links::rules;
use crate::registrar::model::DigestOffer;

/// All settings, parsed. A snapshot of it never changes; a change makes a new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Caller name of a link that names none.
    pub default_caller_name: String,
    /// Caller alias of a link that names none.
    pub default_caller_alias: String,
    /// What the guest sees for a link that says nothing; `None`: the destination.
    pub default_display_name: Option<String>,
    /// Seconds after which the guest page calls by itself, for a link that says nothing.
    pub auto_call_after_s: Option<u8>,
    /// What the guest page does with video, for a link that says nothing.
    pub video_policy: VideoPolicy,
    /// Stands between a unique alias and its number.
    pub unique_alias_separator: char,
    /// Overrides `sip.domain` of the configuration file; `None`: that one.
    pub sip_domain: Option<String>,
    /// Origins whose pages may show the guest page within theirs.
    pub embed_origins: Vec<String>,
    /// Every refusal of a link looks like an unknown link.
    pub hide_state: bool,
    /// Days after which an expired link is deleted; 0: kept for ever.
    pub expiry_days: u32,
    /// Days after which the records of a call are deleted; 0: kept for ever.
    pub cdr_retention_days: u32,
    /// Route strings that no link names.
    pub ad_hoc: AdHocSettings,
    /// What challenges to phones offer.
    pub digest_offer: DigestOffer,
    /// The fraud guard's rules.
    pub guard: Rules,
}

/// What a route string without a link may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdHocSettings {
    /// Off by default.
    pub enabled: bool,
    /// Append a number of the one sequence to the default alias.
    pub unique_alias: bool,
    /// Seconds after which the guest page calls by itself.
    pub auto_call_after_s: Option<u8>,
    /// What the guest page does with video.
    pub video_policy: VideoPolicy,
    /// The guest may say its own name.
    pub allow_custom_caller_name: bool,
    /// Patterns of the route strings that are let through; `*` stands for any characters.
    pub allowed: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            default_caller_name: "Guest".to_owned(),
            default_caller_alias: "guest".to_owned(),
            default_display_name: None,
            auto_call_after_s: None,
            video_policy: VideoPolicy::SendRecv,
            unique_alias_separator: '.',
            sip_domain: None,
            embed_origins: Vec::new(),
            hide_state: false,
            expiry_days: 0,
            cdr_retention_days: 0,
            ad_hoc: AdHocSettings {
                enabled: false,
                unique_alias: false,
                auto_call_after_s: None,
                video_policy: VideoPolicy::SendRecv,
                allow_custom_caller_name: false,
                allowed: vec!["*".to_owned()],
            },
            digest_offer: DigestOffer::Both,
            guard: Rules::default(),
        }
    }
}

impl Settings {
    /// Takes one stored or typed value.
    ///
    /// # Errors
    /// [`SettingError`] when the key is unknown or the value is refused.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), SettingError> {
        let setting = find(key)?;
        (setting.set)(self, value).map_err(|accepted| SettingError::Refused {
            key: setting.key,
            found: value.to_owned(),
            accepted,
        })
    }

    /// The value of a key, in the form that [`Settings::set`] takes.
    ///
    /// # Errors
    /// [`SettingError::Unknown`].
    pub fn show(&self, key: &str) -> Result<String, SettingError> {
        Ok((find(key)?.show)(self))
    }
}

/// Why a setting was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// No such key.
    #[error("no setting is called `{found}`; the settings are: {}", keys().join(", "))]
    Unknown {
        /// What was asked for.
        found: String,
    },
    /// The value does not fit.
    #[error("{key}: found `{found}`, accepted: {accepted}")]
    Refused {
        /// The key.
        key: &'static str,
        /// The value.
        found: String,
        /// What would be taken.
        accepted: &'static str,
    },
}

/// One row of the catalogue.
#[derive(Debug)]
pub struct Setting {
    /// Its name: group, dot, word.
    pub key: &'static str,
    /// One sentence for the operator.
    pub description: &'static str,
    set: fn(&mut Settings, &str) -> Result<(), &'static str>,
    show: fn(&Settings) -> String,
}

/// What kind of value a setting has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingKind {
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Whole,
    /// A text; lists have commas between their entries.
    Text,
}

impl Setting {
    /// The value that it has where nobody has set it.
    #[must_use]
    pub fn default(&self) -> String {
        (self.show)(&Settings::default())
    }

    /// What it takes, as the end of the sentence "accepted: …".
    #[must_use]
    pub fn accepted(&self) -> &'static str {
        // No setting takes a NUL; its refusal is the sentence.
        (self.set)(&mut Settings::default(), "\0")
            .err()
            .unwrap_or("any text")
    }

    /// What kind of value it has: that of its default.
    #[must_use]
    pub fn kind(&self) -> SettingKind {
        let default = self.default();
        if matches!(default.as_str(), "true" | "false") {
            SettingKind::Boolean
        } else if !default.is_empty() && default.bytes().all(|octet| octet.is_ascii_digit()) {
            SettingKind::Whole
        } else {
            SettingKind::Text
        }
    }
}

/// The setting of a key.
///
/// # Errors
/// [`SettingError::Unknown`].
pub fn setting(key: &str) -> Result<&'static Setting, SettingError> {
    find(key)
}

/// The names of all settings.
#[must_use]
pub fn keys() -> Vec<&'static str> {
    SETTINGS.iter().map(|setting| setting.key).collect()
}

fn find(key: &str) -> Result<&'static Setting, SettingError> {
    SETTINGS
        .iter()
        .find(|setting| setting.key == key)
        .ok_or_else(|| SettingError::Unknown {
            found: key.to_owned(),
        })
}

/// Every setting.
pub const SETTINGS: &[Setting] = &[
    Setting {
        key: "links.default_caller_name",
        description: "Name shown at the called endpoint when a link names none.",
        set: |settings, value| {
            if !rules::is_display_text(value) {
                return Err(rules::DISPLAY_TEXT);
            }
            value.clone_into(&mut settings.default_caller_name);
            Ok(())
        },
        show: |settings| settings.default_caller_name.clone(),
    },
    Setting {
        key: "links.default_caller_alias",
        description: "SIP user part shown at the called endpoint when a link names none.",
        set: |settings, value| {
            if !rules::is_alias(value) {
                return Err(rules::ALIAS);
            }
            value.clone_into(&mut settings.default_caller_alias);
            Ok(())
        },
        show: |settings| settings.default_caller_alias.clone(),
    },
    Setting {
        key: "links.default_display_name",
        description: "What the guest sees of a link that has no display name; empty shows the destination.",
        set: |settings, value| {
            if !value.is_empty() && !rules::is_display_text(value) {
                return Err(rules::DISPLAY_TEXT);
            }
            settings.default_display_name = (!value.is_empty()).then(|| value.to_owned());
            Ok(())
        },
        show: |settings| settings.default_display_name.clone().unwrap_or_default(),
    },
    Setting {
        key: "links.auto_call_after_s",
        description: "Seconds after which the guest page calls by itself where a link says nothing; empty never does.",
        set: |settings, value| {
            settings.auto_call_after_s = auto_call(value)?;
            Ok(())
        },
        show: |settings| shown(settings.auto_call_after_s),
    },
    Setting {
        key: "links.video_policy",
        description: "What the guest page does with video where a link says nothing.",
        set: |settings, value| {
            settings.video_policy = value.parse().map_err(|_other| VIDEO_POLICY)?;
            Ok(())
        },
        show: |settings| settings.video_policy.as_str().to_owned(),
    },
    Setting {
        key: "links.unique_alias_separator",
        description: "Stands between the alias and its number where a link asks for a unique alias.",
        set: |settings, value| {
            let mut characters = value.chars();
            match (characters.next(), characters.next()) {
                (Some(separator @ ('.' | '-' | '_' | '+')), None) => {
                    settings.unique_alias_separator = separator;
                    Ok(())
                }
                _ => Err("one of . - _ +"),
            }
        },
        show: |settings| settings.unique_alias_separator.to_string(),
    },
    Setting {
        key: "links.hide_state",
        description: "Answer 404 for every link that may not be called, so that nobody learns which exist.",
        set: |settings, value| {
            settings.hide_state = boolean(value)?;
            Ok(())
        },
        show: |settings| settings.hide_state.to_string(),
    },
    Setting {
        key: "links.embed_origins",
        description: "Sites whose pages may show the guest page within theirs (widget=true), separated by commas: https://www.example.com.",
        set: |settings, value| {
            settings.embed_origins = words(value, rules::is_origin)
                .ok_or("origins such as https://www.example.com, separated by commas")?;
            Ok(())
        },
        show: |settings| settings.embed_origins.join(","),
    },
    Setting {
        key: "links.expiry_days",
        description: "Delete a link this many days after its window closed; 0 keeps it for ever.",
        set: |settings, value| {
            settings.expiry_days =
                number(value, EXPIRY_DAYS_MAX).ok_or("a whole number of days from 0 to 36500")?;
            Ok(())
        },
        show: |settings| settings.expiry_days.to_string(),
    },
    Setting {
        key: "cdr.retention_days",
        description: "Delete the records of a call this many days after it began; 0 keeps them for ever.",
        set: |settings, value| {
            settings.cdr_retention_days =
                number(value, EXPIRY_DAYS_MAX).ok_or("a whole number of days from 0 to 36500")?;
            Ok(())
        },
        show: |settings| settings.cdr_retention_days.to_string(),
    },
    Setting {
        key: "sip.domain",
        description: "Domain of a destination that names none; empty takes sip.domain of the configuration file.",
        set: |settings, value| {
            if !value.is_empty() && !rules::is_domain(value) {
                return Err(rules::DOMAIN);
            }
            settings.sip_domain = (!value.is_empty()).then(|| value.to_owned());
            Ok(())
        },
        show: |settings| settings.sip_domain.clone().unwrap_or_default(),
    },
    Setting {
        key: "ad_hoc.enabled",
        description: "Let a route string that no link names be called as a destination.",
        set: |settings, value| {
            settings.ad_hoc.enabled = boolean(value)?;
            Ok(())
        },
        show: |settings| settings.ad_hoc.enabled.to_string(),
    },
    Setting {
        key: "ad_hoc.unique_alias",
        description: "Append a unique number to the default alias of ad hoc calls.",
        set: |settings, value| {
            settings.ad_hoc.unique_alias = boolean(value)?;
            Ok(())
        },
        show: |settings| settings.ad_hoc.unique_alias.to_string(),
    },
    Setting {
        key: "ad_hoc.auto_call_after_s",
        description: "Seconds after which the guest page calls by itself in ad hoc calls; empty never does.",
        set: |settings, value| {
            settings.ad_hoc.auto_call_after_s = auto_call(value)?;
            Ok(())
        },
        show: |settings| shown(settings.ad_hoc.auto_call_after_s),
    },
    Setting {
        key: "ad_hoc.video_policy",
        description: "What the guest page does with video in ad hoc calls.",
        set: |settings, value| {
            settings.ad_hoc.video_policy = value.parse().map_err(|_other| VIDEO_POLICY)?;
            Ok(())
        },
        show: |settings| settings.ad_hoc.video_policy.as_str().to_owned(),
    },
    Setting {
        key: "ad_hoc.allow_custom_caller_name",
        description: "Let the URL of an ad hoc call name the caller.",
        set: |settings, value| {
            settings.ad_hoc.allow_custom_caller_name = boolean(value)?;
            Ok(())
        },
        show: |settings| settings.ad_hoc.allow_custom_caller_name.to_string(),
    },
    Setting {
        key: "ad_hoc.allowed",
        description: "Route strings that ad hoc calls may name, separated by commas; * stands for any characters.",
        set: |settings, value| {
            settings.ad_hoc.allowed = words(value, |word| {
                word.chars()
                    .all(|c| c == '*' || c == '@' || rules::is_route_character(c))
            })
            .ok_or("patterns of letters, digits, + _ . - @ and *, separated by commas")?;
            Ok(())
        },
        show: |settings| settings.ad_hoc.allowed.join(","),
    },
    Setting {
        key: "registrar.digest",
        description: "Algorithms that phones are challenged with: both, sha-256 or md5. Some older phones only know md5 and give up where sha-256 stands beside it.",
        set: |settings, value| {
            settings.digest_offer = DigestOffer::from_word(value).ok_or("both, sha-256 or md5")?;
            Ok(())
        },
        show: |settings| settings.digest_offer.as_str().to_owned(),
    },
    Setting {
        key: "guard.allow_prefixes",
        description: "Destinations that begin with one of these, separated by commas, need no link.",
        set: |settings, value| {
            settings.guard.allow_prefixes =
                words(value, rules::is_number_prefix).ok_or(PREFIXES)?;
            Ok(())
        },
        show: |settings| settings.guard.allow_prefixes.join(","),
    },
    Setting {
        key: "guard.block_prefixes",
        description: "Destinations that begin with one of these, separated by commas, are refused; the longer prefix of both lists decides.",
        set: |settings, value| {
            settings.guard.block_prefixes =
                words(value, rules::is_number_prefix).ok_or(PREFIXES)?;
            Ok(())
        },
        show: |settings| settings.guard.block_prefixes.join(","),
    },
    Setting {
        key: "guard.calls_per_second",
        description: "New attempts a second over all trunks; 0 sets no bound.",
        set: |settings, value| {
            settings.guard.calls_per_second = number(value, 100_000).ok_or("0 to 100000")?;
            Ok(())
        },
        show: |settings| settings.guard.calls_per_second.to_string(),
    },
    Setting {
        key: "guard.concurrent_calls",
        description: "Calls at once over all trunks; 0 sets no bound.",
        set: |settings, value| {
            settings.guard.concurrent_calls = number(value, 1_000_000).ok_or("0 to 1000000")?;
            Ok(())
        },
        show: |settings| settings.guard.concurrent_calls.to_string(),
    },
    Setting {
        key: "guard.max_duration_s",
        description: "Seconds after which a call is ended.",
        set: |settings, value| {
            let seconds = number(value, DURATION_S_MAX)
                .filter(|seconds| *seconds > 0)
                .ok_or("seconds from 1 to 86400")?;
            settings.guard.duration_max = Duration::from_secs(seconds.into());
            Ok(())
        },
        show: |settings| settings.guard.duration_max.as_secs().to_string(),
    },
    Setting {
        key: "guard.deny_unnamed",
        description: "Refuse a destination that no stored link names and no prefix allows.",
        set: |settings, value| {
            settings.guard.unnamed_allowed = !boolean(value)?;
            Ok(())
        },
        show: |settings| (!settings.guard.unnamed_allowed).to_string(),
    },
    Setting {
        key: "guard.block_premium",
        description: "Refuse premium-rate ranges, unless a rule or allowed prefix names them at least as exactly.",
        set: |settings, value| {
            settings.guard.block_premium = boolean(value)?;
            Ok(())
        },
        show: |settings| settings.guard.block_premium.to_string(),
    },
    Setting {
        key: "guard.block_satellite",
        description: "Refuse satellite ranges and global networks, unless a rule or allowed prefix names them.",
        set: |settings, value| {
            settings.guard.block_satellite = boolean(value)?;
            Ok(())
        },
        show: |settings| settings.guard.block_satellite.to_string(),
    },
    Setting {
        key: "guard.dry_run",
        description: "Judge, log and count every attempt, but refuse none: to try rules out.",
        set: |settings, value| {
            settings.guard.dry_run = boolean(value)?;
            Ok(())
        },
        show: |settings| settings.guard.dry_run.to_string(),
    },
];

/// Entries of one list setting.
pub const LIST_ENTRIES_MAX: usize = 1_000;
/// A hundred years.
const EXPIRY_DAYS_MAX: u32 = 36_500;
/// A day.
const DURATION_S_MAX: u32 = 86_400;
const PREFIXES: &str = "prefixes of digits, letters, + * # . _ -, separated by commas";

/// Empty: never.
fn auto_call(value: &str) -> Result<Option<u8>, &'static str> {
    if value.is_empty() {
        return Ok(None);
    }
    let seconds = number(value, AUTO_CALL_S_MAX.into());
    seconds
        .and_then(|seconds| u8::try_from(seconds).ok())
        .map(Some)
        .ok_or("0 to 60, or nothing")
}

fn shown(seconds: Option<u8>) -> String {
    seconds
        .map(|seconds| seconds.to_string())
        .unwrap_or_default()
}

fn boolean(value: &str) -> Result<bool, &'static str> {
    match value {
        "true" | "on" | "yes" => Ok(true),
        "false" | "off" | "no" => Ok(false),
        _ => Err("true or false"),
    }
}

fn number(value: &str, max: u32) -> Option<u32> {
    value.parse().ok().filter(|number| *number <= max)
}

fn words(value: &str, accepted: impl Fn(&str) -> bool) -> Option<Vec<String>> {
    let words: Vec<String> = value
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect();
    (words.len() <= LIST_ENTRIES_MAX && words.iter().all(|word| accepted(word))).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_shown_in_a_form_that_set_takes_back() {
        let defaults = Settings::default();
        for setting in SETTINGS {
            let mut copy = defaults.clone();
            copy.set(setting.key, &(setting.show)(&defaults)).unwrap();
            assert_eq!(copy, defaults, "{}", setting.key);
            assert!(setting.description.ends_with('.'), "{}", setting.key);
            assert_ne!(
                setting.accepted(),
                "any text",
                "{} takes a NUL",
                setting.key
            );
        }
    }

    #[test]
    fn values_that_break_a_rule_are_refused_and_change_nothing() {
        for (key, value) in [
            ("links.default_caller_name", "a\nb"),
            ("links.default_caller_alias", "not an alias"),
            ("links.unique_alias_separator", ".."),
            ("links.unique_alias_separator", "@"),
            ("links.hide_state", "perhaps"),
            ("links.expiry_days", "-1"),
            ("links.embed_origins", "https://a.example/path"),
            ("links.embed_origins", "https://*"),
            ("links.embed_origins", "'none'"),
            ("sip.domain", "two words"),
            ("ad_hoc.enabled", "1"),
            ("links.auto_call_after_s", "61"),
            ("ad_hoc.video_policy", "both"),
            ("ad_hoc.allowed", "2*;3"),
            ("guard.allow_prefixes", "+49,x y"),
            ("guard.calls_per_second", "many"),
            ("guard.max_duration_s", "0"),
            ("guard.max_duration_s", "86401"),
        ] {
            let mut settings = Settings::default();
            let error = settings.set(key, value).unwrap_err();
            assert!(
                matches!(error, SettingError::Refused { .. }),
                "{key}={value}: {error}"
            );
            assert_eq!(settings, Settings::default());
        }
    }

    #[test]
    fn an_unknown_key_is_answered_with_all_known_ones() {
        let error = Settings::default()
            .set("links.hide", "true")
            .unwrap_err()
            .to_string();
        for key in keys() {
            assert!(error.contains(key), "{key} is not in: {error}");
        }
    }

    #[test]
    fn lists_are_split_at_commas_and_trimmed() {
        let mut settings = Settings::default();
        settings.set("guard.block_prefixes", " +882, ,00 ").unwrap();
        assert_eq!(settings.guard.block_prefixes, ["+882", "00"]);
        settings.set("guard.block_prefixes", "").unwrap();
        assert!(settings.guard.block_prefixes.is_empty());
    }
}
