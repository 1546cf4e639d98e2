//! Resolving: what a request path means now. The one decision that HTTP and SIP share.

use jiff::Timestamp;
use unicode_normalization::UnicodeNormalization as _;

use super::model::{Destination, Link, LinkId, VideoPolicy};
use super::rules;
use crate::settings::model::Settings;

/// A resolved call target: every default filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a word of its own in the answer"
)]
pub struct ResolvedLink {
    /// `None`: ad hoc.
    pub link: Option<LinkId>,
    /// The request path asked for.
    pub request_path: String,
    /// Whom it reaches; a remote destination has its domain filled in.
    pub destination: Destination,
    /// Caller name: link, else setting, else product default.
    pub caller_name: String,
    /// Caller alias without the unique number: link, else setting, else product default.
    pub caller_alias: String,
    /// Append `separator` and the next number of the sequence.
    pub unique_alias: bool,
    /// The separator setting.
    pub unique_alias_separator: char,
    /// The pinned trunk.
    pub trunk: Option<String>,
    /// What the guest sees: link, else setting, else the destination.
    pub display_name: String,
    /// Seconds after which the guest page calls by itself: link, else setting, else never.
    pub auto_call_after_s: Option<u8>,
    /// What the guest page does with video: link, else setting, else both ways.
    pub video_policy: VideoPolicy,
    /// The guest may say its own name ([`ResolvedLink::name_guest`]).
    pub allow_custom_caller_name: bool,
    /// The guest has said it: nobody vouches for it.
    pub named_by_guest: bool,
    /// True when a stored link names this destination (the guard's last rule asks).
    pub named_by_link: bool,
    /// The link's window opens.
    pub valid_after: Option<Timestamp>,
    /// The link's window closes.
    pub valid_before: Option<Timestamp>,
}

impl ResolvedLink {
    /// The guest says its name (query `callerName`). Where that is not allowed, or is no name that
    /// people read, it changes nothing.
    pub fn name_guest(&mut self, name: &str) {
        let name: String = name.trim().nfc().collect();
        if self.allow_custom_caller_name && rules::is_display_text(&name) {
            self.caller_name = name;
            self.named_by_guest = true;
        }
    }
}

/// Why a request path reaches nobody. Statuses: HTTP and SIP, PRODUCT §1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResolveRefusal {
    /// No such link, and ad hoc is off or does not match. HTTP 404, SIP 404.
    Unknown,
    /// Disabled, or past its window. HTTP 410, SIP 410.
    Dead,
    /// Before its window. HTTP 403 with the start time, SIP 480 with Retry-After.
    NotYetValid(Timestamp),
    /// The database did not answer. HTTP 503, SIP 503.
    Unavailable,
}

impl ResolveRefusal {
    /// What is told of it where `links.hide_state` is on: a link that may not be called is one that
    /// is not there.
    #[must_use]
    pub const fn hidden(self, hide_state: bool) -> Self {
        match self {
            Self::Dead | Self::NotYetValid(_) if hide_state => Self::Unknown,
            Self::Unknown | Self::Dead | Self::NotYetValid(_) | Self::Unavailable => self,
        }
    }

    /// A stable word for problem documents, metrics and CDRs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown_link",
            Self::Dead => "dead_link",
            Self::NotYetValid(_) => "not_yet_valid",
            Self::Unavailable => "database_unavailable",
        }
    }
}

/// What was asked for, and the links that were found for it.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The request path.
    pub user: &'a str,
    /// With its host; HTTP gives none.
    pub whole: Option<&'a str>,
    /// The link of `user`.
    pub by_user: Option<&'a Link>,
    /// The link of `whole`.
    pub by_whole: Option<&'a Link>,
}

/// What a request path means now: the link of it, of it with its host, or ad hoc. With
/// `links.hide_state` every one of the three is gone through whatever was found.
///
/// # Errors
/// It may not be called now: the true reason. Who tells it hides it ([`ResolveRefusal::hidden`]).
pub fn resolve_asked(
    asked: &Asked<'_>,
    settings: &Settings,
    sip_domain: &str,
    now: Timestamp,
) -> Result<ResolvedLink, ResolveRefusal> {
    let of = |link: Option<&Link>, path: &str| {
        link.map(|link| resolve_link(link, settings, sip_domain, path, now))
    };
    let by_user = of(asked.by_user, asked.user);
    let by_whole = of(asked.by_whole, asked.whole.unwrap_or_default());
    let ad_hoc = resolve_ad_hoc(asked.user, settings, sip_domain);
    by_user.or(by_whole).unwrap_or(ad_hoc)
}

/// What a stored link means now. `sip_domain` is the configured one; the setting overrides it.
///
/// # Errors
/// The link may not be called now.
fn resolve_link(
    link: &Link,
    settings: &Settings,
    sip_domain: &str,
    asked: &str,
    now: Timestamp,
) -> Result<ResolvedLink, ResolveRefusal> {
    if let Some(refusal) = refusal(link, now) {
        return Err(refusal);
    }
    let destination = with_domain(&link.destination, settings, sip_domain);
    let caller_alias = link
        .caller_alias
        .as_deref()
        .unwrap_or(&settings.default_caller_alias);
    Ok(ResolvedLink {
        link: Some(link.id),
        request_path: asked.to_owned(),
        display_name: link
            .display_name
            .clone()
            .or_else(|| settings.default_display_name.clone())
            .unwrap_or_else(|| link.destination.to_string()),
        destination,
        caller_name: link
            .caller_name
            .as_ref()
            .unwrap_or(&settings.default_caller_name)
            .clone(),
        caller_alias: caller_alias.to_owned(),
        unique_alias: link.unique_alias && !rules::looks_like_telephone_number(caller_alias),
        unique_alias_separator: settings.unique_alias_separator,
        trunk: link.trunk.clone(),
        auto_call_after_s: link.auto_call_after_s.or(settings.auto_call_after_s),
        video_policy: link.video_policy.unwrap_or(settings.video_policy),
        allow_custom_caller_name: link.allow_custom_caller_name,
        named_by_guest: false,
        named_by_link: true,
        valid_after: link.valid_after,
        valid_before: link.valid_before,
    })
}

/// What a route string that no link names means: a destination, where ad hoc calls are on and a
/// pattern lets it through.
///
/// # Errors
/// [`ResolveRefusal::Unknown`], whatever the reason: the caller learns nothing of the rules.
fn resolve_ad_hoc(
    route: &str,
    settings: &Settings,
    sip_domain: &str,
) -> Result<ResolvedLink, ResolveRefusal> {
    let own_domain = settings.sip_domain.as_deref().unwrap_or(sip_domain);
    let (user, domain) = match route.split_once('@') {
        Some((user, domain)) => (user, Some(domain)),
        None => (route, None),
    };
    let own = domain.is_none_or(|domain| domain.eq_ignore_ascii_case(own_domain));
    let well_formed = user.len() <= rules::USER_OCTETS_MAX
        && !user.is_empty()
        && user.chars().all(rules::is_route_character);
    let allowed = settings.ad_hoc.enabled
        && settings
            .ad_hoc
            .allowed
            .iter()
            .any(|pattern| rules::matches_pattern(pattern, route));
    if !(allowed && own && well_formed) {
        return Err(ResolveRefusal::Unknown);
    }
    let alias = &settings.default_caller_alias;
    Ok(ResolvedLink {
        link: None,
        request_path: route.to_owned(),
        destination: Destination::Remote {
            user: user.to_owned(),
            domain: Some(own_domain.to_owned()),
        },
        caller_name: settings.default_caller_name.clone(),
        caller_alias: alias.clone(),
        unique_alias: settings.ad_hoc.unique_alias && !rules::looks_like_telephone_number(alias),
        unique_alias_separator: settings.unique_alias_separator,
        trunk: None,
        display_name: settings
            .default_display_name
            .clone()
            .unwrap_or_else(|| route.to_owned()),
        auto_call_after_s: settings.ad_hoc.auto_call_after_s,
        video_policy: settings.ad_hoc.video_policy,
        allow_custom_caller_name: settings.ad_hoc.allow_custom_caller_name,
        named_by_guest: false,
        named_by_link: false,
        valid_after: None,
        valid_before: None,
    })
}

fn refusal(link: &Link, now: Timestamp) -> Option<ResolveRefusal> {
    if !link.enabled || link.valid_before.is_some_and(|before| before <= now) {
        return Some(ResolveRefusal::Dead);
    }
    link.valid_after
        .filter(|after| now < *after)
        .map(ResolveRefusal::NotYetValid)
}

fn with_domain(destination: &Destination, settings: &Settings, sip_domain: &str) -> Destination {
    match destination {
        Destination::Remote { user, domain } => {
            let own = settings.sip_domain.as_deref().unwrap_or(sip_domain);
            let domain = domain.as_deref().unwrap_or(own);
            Destination::Remote {
                user: user.clone(),
                domain: Some(domain.to_owned()),
            }
        }
        Destination::Echo => Destination::Echo,
        Destination::Tone => Destination::Tone,
    }
}

#[cfg(test)]
mod tests;
