//! A rule: whom it concerns, and what it says.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;

use super::number::{canonical_prefix, international};
use super::numbering::Region;
use super::reason::{Reason, Way};
use crate::trunks::model::Network;

/// A named rule. Rules are asked in their order; of the rules that allow and block, the first that
/// names a number decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// `gr_` and 12 hexadecimal digits.
    pub id: String,
    /// For people.
    pub name: String,
    /// Off: not asked.
    pub enabled: bool,
    /// Whom it concerns.
    pub scope: Scope,
    /// What it says.
    pub kind: RuleKind,
}

impl Rule {
    /// Octets of its list of numbers: as many nodes of the tree of all lists.
    #[must_use]
    pub fn octets(&self) -> usize {
        let numbers = self.scope.numbers.iter();
        numbers.map(|number| number.text.len()).sum()
    }
}

/// Whom a rule concerns: everything that is named must fit, what names nothing fits all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// These ways out.
    pub ways: Vec<Way>,
    /// These trunks, by id.
    pub trunks: Vec<String>,
    /// Sources in these networks.
    pub networks: Vec<Network>,
    /// These numbers; with countries: or these.
    pub numbers: Vec<NumberMatch>,
    /// Numbers of these countries.
    pub countries: Vec<Region>,
}

/// A number or the beginning of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberMatch {
    /// As a canonical number is written: without separators, `+` for `00`.
    text: String,
    /// It begins with it.
    prefix: bool,
}

/// The sentence of [`NumberMatch::parse`].
pub const NUMBER_MATCH: &str = "a number (+442071838750, 610) or a prefix (+449*)";

impl NumberMatch {
    /// `610` is the number, `+449*` what begins so.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (body, prefix) = match text.strip_suffix('*') {
            Some(body) => (body, true),
            None => (text, false),
        };
        let body = canonical_prefix(body.trim());
        let well_formed = (1..=64).contains(&body.len())
            && !body.chars().any(|character| {
                character.is_control()
                    || character.is_whitespace()
                    || "*@:;?/\\%,<>\"".contains(character)
            });
        if !well_formed {
            return None;
        }
        let text = match international(&body) {
            Some(digits) => format!("+{digits}"),
            None => body.into_owned(),
        };
        Some(Self { text, prefix })
    }

    /// As it is written.
    #[must_use]
    pub fn written(&self) -> String {
        let star = if self.prefix { "*" } else { "" };
        format!("{}{star}", self.text)
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) const fn is_prefix(&self) -> bool {
        self.prefix
    }
}

/// What a rule says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleKind {
    /// These destinations need no link; one that is named at least as exactly as a premium or
    /// satellite range is let through there.
    Allow,
    /// These destinations are never dialled.
    Block,
    /// Emergency numbers are dialled.
    Emergency,
    /// Calls only within these hours.
    Hours(Hours),
    /// A call lasts no longer.
    Duration(Duration),
    /// Calls within 24 hours.
    CallsPerDay(u32),
    /// Calls within 24 hours of one source address.
    CallsPerDayPerIp(u32),
    /// Calls within a second.
    CallsPerSecond(u32),
    /// Calls at once.
    Concurrent(u32),
    /// Calls at once of one source address.
    ConcurrentPerIp(u32),
    /// Calls at once to one destination.
    ConcurrentPerDestination(u32),
    /// Different destinations of one source address within an hour.
    DestinationsPerHour(u32),
    /// Calls to one destination within a time.
    SameDestination {
        /// So many.
        calls: u32,
        /// Within this time.
        within: Duration,
    },
    /// Money within 24 hours.
    SpendPerDay(Spend),
}

impl RuleKind {
    /// Stable word.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Block => "block",
            Self::Emergency => "emergency",
            Self::Hours(_) => "hours",
            Self::Duration(_) => "duration",
            Self::CallsPerDay(_) => "calls_per_day",
            Self::CallsPerDayPerIp(_) => "calls_per_day_per_ip",
            Self::CallsPerSecond(_) => "calls_per_second",
            Self::Concurrent(_) => "concurrent",
            Self::ConcurrentPerIp(_) => "concurrent_per_ip",
            Self::ConcurrentPerDestination(_) => "concurrent_per_destination",
            Self::DestinationsPerHour(_) => "destinations_per_hour",
            Self::SameDestination { .. } => "same_destination",
            Self::SpendPerDay(_) => "spend_per_day",
        }
    }

    /// What a refusal by it is called; `None`: it never refuses.
    #[must_use]
    pub const fn reason(&self) -> Option<Reason> {
        match self {
            Self::Allow | Self::Emergency | Self::Duration(_) => None,
            Self::Block => Some(Reason::Blocked),
            Self::Hours(_) => Some(Reason::Hours),
            Self::CallsPerDay(_) => Some(Reason::CallsPerDay),
            Self::CallsPerDayPerIp(_) => Some(Reason::CallsPerDayPerIp),
            Self::CallsPerSecond(_) => Some(Reason::CallsPerSecond),
            Self::Concurrent(_) => Some(Reason::ConcurrentCalls),
            Self::ConcurrentPerIp(_) => Some(Reason::ConcurrentPerIp),
            Self::ConcurrentPerDestination(_) => Some(Reason::ConcurrentPerDestination),
            Self::DestinationsPerHour(_) => Some(Reason::DestinationsPerHour),
            Self::SameDestination { .. } => Some(Reason::SameDestination),
            Self::SpendPerDay(_) => Some(Reason::SpendPerDay),
        }
    }

    /// True for those that count a call once, whatever becomes of it.
    #[must_use]
    pub const fn counts_calls(&self) -> bool {
        match self {
            Self::Allow
            | Self::Block
            | Self::Emergency
            | Self::Hours(_)
            | Self::Duration(_)
            | Self::Concurrent(_)
            | Self::ConcurrentPerIp(_)
            | Self::ConcurrentPerDestination(_)
            | Self::SpendPerDay(_) => false,
            Self::CallsPerDay(_)
            | Self::CallsPerDayPerIp(_)
            | Self::CallsPerSecond(_)
            | Self::DestinationsPerHour(_)
            | Self::SameDestination { .. } => true,
        }
    }

    /// True for those that keep a table with a row for each source or destination.
    #[must_use]
    pub const fn is_keyed(&self) -> bool {
        match self {
            Self::Allow
            | Self::Block
            | Self::Emergency
            | Self::Hours(_)
            | Self::Duration(_)
            | Self::CallsPerDay(_)
            | Self::CallsPerSecond(_)
            | Self::Concurrent(_)
            | Self::SpendPerDay(_) => false,
            Self::CallsPerDayPerIp(_)
            | Self::ConcurrentPerIp(_)
            | Self::ConcurrentPerDestination(_)
            | Self::DestinationsPerHour(_)
            | Self::SameDestination { .. } => true,
        }
    }
}

/// Hours of the week.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hours {
    /// Where the clock hangs.
    pub zone: TimeZone,
    /// Days; a span over midnight belongs to the day it begins on. Empty: all.
    pub days: Vec<Weekday>,
    /// Minute of the day from which calls are allowed.
    pub from: u16,
    /// Minute of the day from which they are not any more; up to 1,440. Not above `from`: over
    /// midnight.
    pub until: u16,
}

impl Hours {
    /// True when calls are allowed at this time.
    #[must_use]
    pub fn contains(&self, at: Timestamp) -> bool {
        let local = self.zone.to_datetime(at);
        let minute = u16::try_from(i32::from(local.hour()) * 60 + i32::from(local.minute()));
        let minute = minute.unwrap_or(0);
        let today = local.weekday();
        let day = |weekday: Weekday| self.days.is_empty() || self.days.contains(&weekday);
        if self.from < self.until {
            return day(today) && (self.from..self.until).contains(&minute);
        }
        (minute >= self.from && day(today)) || (minute < self.until && day(today.previous()))
    }
}

/// A bound on money. All amounts are micro units of one currency: 1,000,000 is one euro, or dollar.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spend {
    /// Within 24 hours.
    pub micros_max: u64,
    /// Price of a minute by prefix in E.164 (`+44`); the longest counts.
    pub rates: Vec<(String, u64)>,
    /// Price of a minute to everywhere else in the telephone network. Extensions cost nothing.
    pub other_rate: u64,
}

impl Spend {
    /// Micro units for a minute to `number` in E.164.
    #[must_use]
    pub fn rate(&self, number: &str) -> u64 {
        self.rates
            .iter()
            .filter(|(prefix, _)| number.starts_with(prefix.as_str()))
            .max_by_key(|(prefix, _)| prefix.len())
            .map_or(self.other_rate, |(_, rate)| *rate)
    }
}

/// Rules of one system.
pub const RULES_MAX: usize = 1_000;
/// Rules with a table of their own (see [`RuleKind::is_keyed`]).
pub const KEYED_RULES_MAX: usize = 16;
/// Entries of one list of a rule.
pub const ENTRIES_MAX: usize = 1_000;
/// Octets of the lists of all rules: some 20,000 numbers. Each is a node of at most 120 octets in a tree
/// that signalling builds between two calls: 32 MiB, and milliseconds.
pub const LIST_OCTETS_MAX: usize = 262_144;
/// A cap on calls.
pub const CAP_MAX: u32 = 1_000_000;
/// Different destinations of one source that are told apart.
pub const DESTINATIONS_MAX: u32 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_matched_as_a_canonical_number_is_written() {
        for (written, canonical) in [
            ("+1-900-555", "+1900555"),
            ("0044 20*", "+4420*"),
            ("610", "610"),
            ("room-*", "room-*"),
        ] {
            let parsed = NumberMatch::parse(written).unwrap();
            assert_eq!(parsed.written(), canonical);
        }
        for bad in ["", "*", "4*4", "a b", "a@b", "%2B"] {
            assert_eq!(NumberMatch::parse(bad), None, "{bad}");
        }
    }

    fn hours(days: &[Weekday], from: u16, until: u16) -> Hours {
        Hours {
            zone: TimeZone::fixed(jiff::tz::offset(1)),
            days: days.to_vec(),
            from,
            until,
        }
    }

    #[test]
    fn hours_are_local_and_may_pass_midnight() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let office = hours(&[Weekday::Friday], 8 * 60, 18 * 60);
        assert!(office.contains(at("2026-11-20T07:00:00Z")));
        assert!(!office.contains(at("2026-11-20T06:59:59Z")));
        assert!(!office.contains(at("2026-11-20T17:00:00Z")));
        assert!(!office.contains(at("2026-11-21T07:00:00Z")));
        let night = hours(&[Weekday::Friday], 22 * 60, 6 * 60);
        assert!(night.contains(at("2026-11-20T21:00:00Z")));
        assert!(
            night.contains(at("2026-11-21T04:59:00Z")),
            "of Friday's night"
        );
        assert!(!night.contains(at("2026-11-20T04:59:00Z")), "of Thursday's");
        assert!(hours(&[], 0, 1_440).contains(at("2026-11-20T22:59:59Z")));
    }

    #[test]
    fn the_longest_prefix_has_the_rate() {
        let spend = Spend {
            micros_max: 1,
            rates: vec![("+44".into(), 10), ("+447".into(), 200)],
            other_rate: 1_000,
        };
        assert_eq!(spend.rate("+442071838750"), 10);
        assert_eq!(spend.rate("+447700900000"), 200);
        assert_eq!(spend.rate("+33142685300"), 1_000);
    }
}
