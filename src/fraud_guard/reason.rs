//! The words of the guard: the ways by which an INVITE leaves, and why one does not.

use std::time::Duration;

/// Every way to an outbound INVITE. A new way is a new variant here, and its match arms do not
/// compile until it is decided about everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// A call to the request path of a stored link.
    Link,
    /// A call to a route string that no link names.
    AdHoc,
    /// A leg that a program placed (`POST /api/v1/calls`).
    Api,
    /// A registered extension calls a number, or a call reaches a registered extension.
    Extension,
    /// A call from one trunk leaves by another.
    Transit,
}

impl Way {
    /// All of them, for tests and lists.
    pub const ALL: [Self; 5] = [
        Self::Link,
        Self::AdHoc,
        Self::Api,
        Self::Extension,
        Self::Transit,
    ];

    /// Stable word for rules, logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::AdHoc => "ad_hoc",
            Self::Api => "api",
            Self::Extension => "extension",
            Self::Transit => "transit",
        }
    }

    /// The way of this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|way| way.as_str() == word)
    }
}

/// Why an attempt is refused. One for each kind of rule: the code stands in the refusal, the CDR
/// and the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    // The number.
    /// The number hides what it dials, or is no number.
    NumberMalformed,
    /// Neither extension nor E.164 nor emergency, on a trunk that reaches the PSTN.
    NumberUnknown,
    /// An emergency number, and no rule routes it.
    Emergency,
    // The lists.
    /// A block rule names it.
    Blocked,
    /// On the block list of the settings.
    PrefixBlocked,
    /// A premium-rate range.
    Premium,
    /// A satellite or global-network range.
    Satellite,
    /// No stored link names it and no rule allows it.
    NotNamed,
    /// Outside the hours of a rule.
    Hours,
    // The caps.
    /// As many calls as allowed began today.
    CallsPerDay,
    /// As many calls as allowed began today, from this source address.
    CallsPerDayPerIp,
    /// As many calls as allowed began within this second.
    CallsPerSecond,
    /// As many calls as allowed are up.
    ConcurrentCalls,
    /// As many calls as allowed are up, from this source address.
    ConcurrentPerIp,
    /// As many calls as allowed are up, to this destination.
    ConcurrentPerDestination,
    /// This source address has called as many different destinations as allowed within an hour.
    DestinationsPerHour,
    /// This destination was called a short while ago.
    SameDestination,
    /// The money of today is spent.
    SpendPerDay,
    /// A table of counts is full: who is not in it yet cannot be counted, and is refused.
    TableFull,
}

impl Reason {
    /// All of them, for tests and lists.
    pub const ALL: [Self; 19] = [
        Self::NumberMalformed,
        Self::NumberUnknown,
        Self::Emergency,
        Self::Blocked,
        Self::PrefixBlocked,
        Self::Premium,
        Self::Satellite,
        Self::NotNamed,
        Self::Hours,
        Self::CallsPerDay,
        Self::CallsPerDayPerIp,
        Self::CallsPerSecond,
        Self::ConcurrentCalls,
        Self::ConcurrentPerIp,
        Self::ConcurrentPerDestination,
        Self::DestinationsPerHour,
        Self::SameDestination,
        Self::SpendPerDay,
        Self::TableFull,
    ];

    /// Stable word for the CDR, the refusal and the metric.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NumberMalformed => "guard_number_malformed",
            Self::NumberUnknown => "guard_number_unknown",
            Self::Emergency => "guard_emergency",
            Self::Blocked => "guard_blocked",
            Self::PrefixBlocked => "guard_prefix_blocked",
            Self::Premium => "guard_premium",
            Self::Satellite => "guard_satellite",
            Self::NotNamed => "guard_not_named",
            Self::Hours => "guard_hours",
            Self::CallsPerDay => "guard_calls_per_day",
            Self::CallsPerDayPerIp => "guard_calls_per_day_per_ip",
            Self::CallsPerSecond => "guard_calls_per_second",
            Self::ConcurrentCalls => "guard_concurrent_calls",
            Self::ConcurrentPerIp => "guard_concurrent_per_ip",
            Self::ConcurrentPerDestination => "guard_concurrent_per_destination",
            Self::DestinationsPerHour => "guard_destinations_per_hour",
            Self::SameDestination => "guard_same_destination",
            Self::SpendPerDay => "guard_spend_per_day",
            Self::TableFull => "guard_table_full",
        }
    }

    /// True for caps: the same call may be allowed later.
    #[must_use]
    pub const fn is_rate(self) -> bool {
        self.retry_after().is_some()
    }

    /// SIP status towards the caller (PRODUCT §1: guard 403, rate 480 with Retry-After).
    #[must_use]
    pub const fn status(self) -> u16 {
        if self.is_rate() { 480 } else { 403 }
    }

    /// HTTP status towards a program (PRODUCT §1: guard 403, rate 429).
    #[must_use]
    pub const fn http_status(self) -> u16 {
        if self.is_rate() { 429 } else { 403 }
    }

    /// Seconds after which trying again makes sense; `None`: never.
    #[must_use]
    pub const fn retry_after(self) -> Option<Duration> {
        match self {
            Self::NumberMalformed
            | Self::NumberUnknown
            | Self::Emergency
            | Self::Blocked
            | Self::PrefixBlocked
            | Self::Premium
            | Self::Satellite
            | Self::NotNamed
            | Self::Hours => None,
            Self::CallsPerSecond => Some(Duration::from_secs(1)),
            Self::ConcurrentCalls | Self::ConcurrentPerIp | Self::ConcurrentPerDestination => {
                Some(Duration::from_secs(10))
            }
            Self::SameDestination | Self::TableFull => Some(Duration::from_secs(60)),
            Self::DestinationsPerHour => Some(Duration::from_secs(600)),
            Self::CallsPerDay | Self::CallsPerDayPerIp | Self::SpendPerDay => {
                Some(Duration::from_secs(3_600))
            }
        }
    }

    /// A sentence for the one who is refused.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::NumberMalformed => "the number cannot be dialled as it is written",
            Self::NumberUnknown => "the number is no extension and no complete telephone number",
            Self::Emergency => {
                "emergency calls cannot be made from here; use a telephone or a mobile"
            }
            Self::Blocked | Self::PrefixBlocked => "calls to this number are not allowed",
            Self::Premium => "calls to premium-rate numbers are not allowed",
            Self::Satellite => "calls to satellite numbers are not allowed",
            Self::NotNamed => "calls to this number are not allowed without a link",
            Self::Hours => "calls are not allowed at this hour",
            Self::CallsPerDay | Self::CallsPerDayPerIp => "too many calls today",
            Self::CallsPerSecond => "too many calls at this moment",
            Self::ConcurrentCalls | Self::ConcurrentPerIp | Self::ConcurrentPerDestination => {
                "too many calls are up"
            }
            Self::DestinationsPerHour => "too many different numbers were called",
            Self::SameDestination => "this number was called a short while ago",
            Self::SpendPerDay => "the money for today's calls is spent",
            Self::TableFull => "too many callers to count one more",
        }
    }

    /// Position in [`Reason::ALL`], for tables of counters.
    #[must_use]
    pub fn index(self) -> usize {
        Self::ALL
            .iter()
            .position(|reason| *reason == self)
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reason_has_its_own_word_and_status() {
        let words: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(words.len(), Reason::ALL.len());
        for (index, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), index);
            assert!(reason.as_str().starts_with("guard_"));
            assert_eq!(reason.retry_after().is_some(), reason.status() == 480);
            assert_eq!(reason.status() == 480, reason.http_status() == 429);
        }
    }

    #[test]
    fn every_way_is_found_by_its_word() {
        for way in Way::ALL {
            assert_eq!(Way::from_word(way.as_str()), Some(way));
        }
        assert_eq!(Way::from_word("door"), None);
    }
}
