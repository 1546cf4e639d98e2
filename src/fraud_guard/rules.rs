//! The rules the guard applies. Data; a snapshot replaces them whole.

use std::time::Duration;

use super::number::{canonical_prefix, international};
use super::rule::Rule;

/// What is allowed, how much, how long.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a setting of its own"
)]
pub struct Rules {
    /// Destinations that need no link. A number or the beginning of one.
    pub allow_prefixes: Vec<String>,
    /// Destinations that are never dialled, links included.
    pub block_prefixes: Vec<String>,
    /// New calls a second, all trunks; 0: no cap.
    pub calls_per_second: u32,
    /// Calls at once, all trunks; 0: no cap.
    pub concurrent_calls: u32,
    /// Longest call.
    pub duration_max: Duration,
    /// True: a destination that no stored link names may be dialled although no prefix allows it.
    pub unnamed_allowed: bool,
    /// Premium-rate ranges are refused.
    pub block_premium: bool,
    /// Satellite ranges and global networks are refused.
    pub block_satellite: bool,
    /// Decide, log and count, but let pass.
    pub dry_run: bool,
    /// The named rules, in their order.
    pub named: Vec<Rule>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            allow_prefixes: Vec::new(),
            block_prefixes: Vec::new(),
            calls_per_second: 100,
            concurrent_calls: 0,
            duration_max: Duration::from_secs(4 * 3600),
            unnamed_allowed: false,
            block_premium: true,
            block_satellite: true,
            dry_run: false,
            named: Vec::new(),
        }
    }
}

/// What the prefix lists say about a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrefixVerdict {
    /// No list knows it.
    Unlisted,
    /// The allow list has the longer prefix.
    Allowed,
    /// The block list has the longer prefix, or an equal one.
    Blocked,
}

impl Rules {
    /// The longest prefix decides; between equals the block list.
    #[must_use]
    pub fn prefix_verdict(&self, number: &str) -> PrefixVerdict {
        let allowed = self.allowed_octets(number);
        let blocked = longest(&self.block_prefixes, number);
        match (allowed, blocked) {
            (None, None) => PrefixVerdict::Unlisted,
            (Some(allowed), blocked) if Some(allowed) > blocked => PrefixVerdict::Allowed,
            (_, _) => PrefixVerdict::Blocked,
        }
    }
}

impl Rules {
    /// Octets of the longest allowed prefix that `number` begins with.
    #[must_use]
    pub fn allowed_octets(&self, number: &str) -> Option<usize> {
        longest(&self.allow_prefixes, number)
    }
}

/// Length of the longest entry that `number` begins with.
fn longest(prefixes: &[String], number: &str) -> Option<usize> {
    prefixes
        .iter()
        .filter_map(|prefix| matched(prefix, number))
        .max()
}

/// `+44` and `0044` are one prefix: both are compared by what follows. `+1-900` is `+1900`, as the
/// number it is held against is: a rule does not miss by the way it is spelled.
fn matched(prefix: &str, number: &str) -> Option<usize> {
    let prefix = canonical_prefix(prefix);
    let as_written = number.starts_with(&*prefix).then_some(prefix.len());
    let international = match (international(&prefix), international(number)) {
        (Some(prefix), Some(number)) => number.starts_with(prefix).then_some(prefix.len() + 1),
        _ => None,
    };
    as_written.max(international)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(allow: &[&str], block: &[&str]) -> Rules {
        Rules {
            allow_prefixes: allow.iter().map(|text| (*text).to_owned()).collect(),
            block_prefixes: block.iter().map(|text| (*text).to_owned()).collect(),
            ..Rules::default()
        }
    }

    #[test]
    fn longest_prefix_decides_and_block_wins_a_tie() {
        let rules = rules(&["+44", "+4420"], &["+447", "+44", "1900"]);
        assert_eq!(
            rules.prefix_verdict("+442071234567"),
            PrefixVerdict::Allowed
        );
        assert_eq!(
            rules.prefix_verdict("+447700900000"),
            PrefixVerdict::Blocked
        );
        assert_eq!(rules.prefix_verdict("+44161"), PrefixVerdict::Blocked);
        assert_eq!(rules.prefix_verdict("19001"), PrefixVerdict::Blocked);
        assert_eq!(rules.prefix_verdict("+33"), PrefixVerdict::Unlisted);
    }

    #[test]
    fn prefix_with_separators_is_the_number_without_them() {
        let rules = rules(&["+1-900-555"], &["+1-900", "00 882", "room-"]);
        assert_eq!(rules.prefix_verdict("+19001234"), PrefixVerdict::Blocked);
        assert_eq!(rules.prefix_verdict("001900123"), PrefixVerdict::Blocked);
        assert_eq!(rules.prefix_verdict("+882123"), PrefixVerdict::Blocked);
        assert_eq!(rules.prefix_verdict("+190055512"), PrefixVerdict::Allowed);
        assert_eq!(rules.prefix_verdict("room-1"), PrefixVerdict::Blocked);
        assert_eq!(rules.prefix_verdict("room"), PrefixVerdict::Unlisted);
    }

    #[test]
    fn two_zeros_are_a_plus() {
        let rules = rules(&[], &["+882"]);
        assert_eq!(rules.prefix_verdict("00882123"), PrefixVerdict::Blocked);
        assert_eq!(rules.prefix_verdict("0882123"), PrefixVerdict::Unlisted);
    }
}
