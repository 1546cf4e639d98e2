//! Session timers (RFC 4028): the settings, the headers, and what both sides agree on.
//!
//! Owns the arithmetic, without a clock. When a refresh is sent and what ends a session is in
//! `b2bua::session_timer`.

use std::time::Duration;

use crate::event::RefreshBy;
use crate::message::{HeaderName, Message, Parameters, scan};

/// The option tag of RFC 4028.
pub(crate) const OPTION_TAG: &str = "timer";

/// The smallest interval that anybody may ask for (RFC 4028 §4 and §5).
pub const INTERVAL_LEAST: Duration = Duration::from_secs(90);

/// The longest interval that we follow, a day: where a peer asks for more, it gets this.
pub const INTERVAL_MAX: Duration = Duration::from_secs(86_400);

/// What we want of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionTimer {
    /// The interval that we ask for; zero: no session timer.
    pub expires: Duration,
    /// The smallest interval that we take; never below 90 s.
    pub min: Duration,
    /// The method of our refreshes; UPDATE only where the peer's Allow names it.
    pub refresh_by: RefreshBy,
}

impl SessionTimer {
    /// `None` where it is off.
    #[must_use]
    pub fn if_on(self) -> Option<Self> {
        (!self.expires.is_zero()).then_some(self)
    }

    /// The smallest interval that we take.
    fn least(&self) -> Duration {
        self.min.clamp(INTERVAL_LEAST, INTERVAL_MAX)
    }

    /// What we ask for, where the peer wants `least` at least.
    fn wanted(&self, least: Duration) -> Duration {
        let wanted = self.expires.max(self.least()).max(least).min(INTERVAL_MAX);
        debug_assert!(wanted >= INTERVAL_LEAST, "RFC 4028 §4");
        wanted
    }
}

/// Who refreshes, as it stands in the header: seen from the request that carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refresher {
    Uac,
    Uas,
}

impl Refresher {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Uac => "uac",
            Self::Uas => "uas",
        }
    }
}

/// A Session-Expires header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionExpires {
    pub(crate) interval: Duration,
    pub(crate) refresher: Option<Refresher>,
}

/// What a request of ours says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Session-Expires.
    pub(crate) expires: SessionExpires,
    /// Min-SE, where it is more than the 90 s that need no word.
    pub(crate) min: Option<Duration>,
}

/// What both sides agreed on by a 2xx.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Agreement {
    pub(crate) interval: Duration,
    pub(crate) we_refresh: bool,
    /// The peer may refresh, so that `Require: timer` says it must.
    pub(crate) is_supported: bool,
}

impl Agreement {
    /// Both refresh at half of it (RFC 4028 §10).
    pub(crate) fn refresh_after(&self) -> Duration {
        debug_assert!(self.interval >= INTERVAL_LEAST, "RFC 4028 §4");
        self.interval / 2
    }

    /// Without a refresh, BYE leaves slightly before the session expires: 32 s or a third of the
    /// interval, whichever is less (RFC 4028 §10).
    pub(crate) fn end_after(&self) -> Duration {
        let lead = Duration::from_secs(32).min(self.interval / 3);
        let end = self.interval.saturating_sub(lead);
        debug_assert!(end > self.refresh_after(), "there is time for a refresh");
        end
    }
}

/// What we make of a request of the peer's (RFC 4028 §9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// No session timer.
    Off,
    /// 422 with this Min-SE.
    TooSmall(Duration),
    /// What our 2xx says.
    Agreed(Agreement),
}

/// Session-Expires; a malformed or repeated one is as none.
pub(crate) fn session_expires(message: &Message<'_>) -> Option<SessionExpires> {
    let value = message.only_value(&HeaderName::SessionExpires)?;
    let (number, parameters) = scan::split_unquoted(value, b';').unwrap_or((value, &[]));
    let refresher = Parameters::new(parameters).value("refresher");
    let is = |word: &str| refresher.is_some_and(|it| it.eq_ignore_ascii_case(word.as_bytes()));
    Some(SessionExpires {
        interval: seconds(number)?,
        refresher: if is("uac") {
            Some(Refresher::Uac)
        } else if is("uas") {
            Some(Refresher::Uas)
        } else {
            None
        },
    })
}

/// Min-SE (RFC 4028 §5).
pub(crate) fn min_se(message: &Message<'_>) -> Option<Duration> {
    let value = message.only_value(&HeaderName::MinSe)?;
    let (number, _) = scan::split_unquoted(value, b';').unwrap_or((value, &[]));
    seconds(number)
}

fn seconds(text: &[u8]) -> Option<Duration> {
    let seconds: u32 = scan::decimal(scan::trim(text))?;
    Some(Duration::from_secs(seconds.into()))
}

/// True where the peer can refresh.
pub(crate) fn is_supported(message: &Message<'_>) -> bool {
    message.has_token(&HeaderName::Supported, OPTION_TAG)
        || message.has_token(&HeaderName::Require, OPTION_TAG)
}

/// What we ask for; `agreed` where a session runs, which keeps its interval and its refresher (RFC 4028
/// §7.4): one that the peer made shorter is not made longer by a refresh.
pub(crate) fn ask(settings: &SessionTimer, least: Duration, agreed: Option<Agreement>) -> Asked {
    let refresher = agreed.map(|agreed| match agreed.we_refresh {
        true => Refresher::Uac,
        false => Refresher::Uas,
    });
    let min = least.max(settings.least());
    Asked {
        expires: SessionExpires {
            interval: agreed
                .map_or_else(|| settings.wanted(least), |agreed| agreed.interval.max(min)),
            refresher,
        },
        min: (min > INTERVAL_LEAST).then_some(min),
    }
}

/// What we answer to a request of the peer's. `we_refresh` where a session runs.
pub(crate) fn judge(
    settings: &SessionTimer,
    message: &Message<'_>,
    we_refresh: Option<bool>,
) -> Verdict {
    let is_supported = is_supported(message);
    let least = min_se(message).unwrap_or_default().max(settings.least());
    let (interval, wish) = match session_expires(message) {
        None if is_supported => (settings.wanted(least), None),
        None => return Verdict::Off,
        // Only somebody who can ask for a longer one is told to (RFC 4028 §9).
        Some(asked) if asked.interval < settings.least() && is_supported => {
            return Verdict::TooSmall(settings.least());
        }
        // It may be made smaller, not below what the peer takes.
        Some(asked) => {
            let ours = settings.wanted(least);
            let interval = asked.interval.min(ours).clamp(INTERVAL_LEAST, INTERVAL_MAX);
            (interval, asked.refresher)
        }
    };
    let we_refresh = match wish {
        _ if !is_supported => true,
        Some(Refresher::Uac) => false,
        Some(Refresher::Uas) => true,
        // Nobody minds: whoever did it before, else we, who know that we do.
        None => we_refresh.unwrap_or(true),
    };
    Verdict::Agreed(Agreement {
        interval,
        we_refresh,
        is_supported,
    })
}

/// What a 2xx to a request of ours agrees to; `None`: no session timer (RFC 4028 §7.2).
pub(crate) fn agreed(response: &Message<'_>) -> Option<Agreement> {
    let said = session_expires(response)?;
    Some(Agreement {
        // A peer that names less than anybody may does not make us send a storm.
        interval: said.interval.clamp(INTERVAL_LEAST, INTERVAL_MAX),
        we_refresh: said.refresher != Some(Refresher::Uas),
        is_supported: true,
    })
}

#[cfg(test)]
mod tests;
