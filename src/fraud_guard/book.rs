//! What a rule has counted. Windows run on the monotonic clock, in milliseconds since the guard's
//! first input: a wall clock that jumps moves none of them. A day is 24 hours from the first call it
//! counts. Every table has a bound; who does not fit in is refused.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use foldhash::fast::FixedState;
use serde::{Deserialize, Serialize};

use super::rule::{Rule, RuleKind};
use super::window::Window;

/// Milliseconds since the guard's first input; negative for what was counted before a restart.
pub(super) type Ticks = i64;

/// A day.
pub(super) const DAY: Ticks = 24 * 3_600_000;
/// An hour.
const HOUR: Ticks = 3_600_000;

/// Rows of one table. An attacker that fills it makes the guard refuse sources it has not counted
/// yet, not forget those it has.
pub const KEYS_MAX: usize = 131_072;
/// Rows that are dropped at most at one verdict. Each verdict adds one a table, so that rows that are
/// over never gather.
const PURGED_MAX: usize = 1_024;

/// A source, a destination, or a pair of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key(pub u128);

impl Key {
    /// The whole: one row for all.
    pub(super) const ALL: Self = Self(0);

    /// A source: IPv4 as it is, IPv6 by its /64.
    #[must_use]
    pub fn of_source(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(ipv4) => Self(u128::from(ipv4.to_bits())),
            IpAddr::V6(ipv6) => Self(ipv6.to_bits() >> 64),
        }
    }

    /// A destination: the digits of a number are their own key, everything else is hashed.
    #[must_use]
    pub fn of_destination(number: &str) -> Self {
        let digits = number.strip_prefix('+').unwrap_or(number);
        if digits.len() <= 17
            && digits.bytes().all(|octet| octet.is_ascii_digit())
            && let Ok(value) = digits.parse::<u64>()
        {
            // How many digits there are tells `0610` from `610`, and `+610` from both.
            let length = u64::try_from(number.len()).unwrap_or(0);
            return Self(u128::from(value * 32 + length));
        }
        Self(u128::from(hash(number) | 1 << 63))
    }

    fn pair(source: Self, destination: Self) -> Self {
        Self(source.0 << 64 | destination.0)
    }

    const fn source(self) -> Self {
        Self(self.0 >> 64)
    }
}

/// FNV-1a: the same in every build, because it is stored.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// One window: since when, how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: Ticks,
    pub(super) value: u64,
}

/// Windows of one length, one for each key.
#[derive(Debug, Clone)]
pub(super) struct Keyed {
    period: Ticks,
    map: HashMap<Key, Span, FixedState>,
    /// In the order in which they end.
    order: VecDeque<(Ticks, Key)>,
}

impl Keyed {
    fn new(period: Ticks, seed: u64) -> Self {
        Self {
            period,
            map: HashMap::with_hasher(FixedState::with_seed(seed)),
            order: VecDeque::new(),
        }
    }

    pub(super) fn value(&self, key: Key, now: Ticks) -> u64 {
        self.span(key, now).map_or(0, |span| span.value)
    }

    fn span(&self, key: Key, now: Ticks) -> Option<Span> {
        self.map
            .get(&key)
            .copied()
            .filter(|span| now < span.start.saturating_add(self.period))
    }

    /// True when `key` can be counted.
    fn has_room(&self, key: Key, now: Ticks) -> bool {
        self.map.len() < KEYS_MAX || self.map.contains_key(&key) || self.oldest_is_over(now)
    }

    fn oldest_is_over(&self, now: Ticks) -> bool {
        self.order
            .front()
            .is_some_and(|(start, _)| start.saturating_add(self.period) <= now)
    }

    /// Drops rows that are over.
    fn purge(&mut self, now: Ticks, mut dropped: impl FnMut(Key)) {
        for _ in 0..PURGED_MAX {
            if !self.oldest_is_over(now) {
                break;
            }
            let Some((start, old)) = self.order.pop_front() else {
                break;
            };
            if self.map.get(&old).is_some_and(|span| span.start == start) {
                self.map.remove(&old);
                dropped(old);
            }
        }
    }

    fn count(&mut self, key: Key, now: Ticks) {
        match self.span(key, now) {
            Some(span) => self.put(
                key,
                Span {
                    value: span.value + 1,
                    ..span
                },
            ),
            None if self.map.len() < KEYS_MAX || self.map.contains_key(&key) => {
                self.put(
                    key,
                    Span {
                        start: now,
                        value: 1,
                    },
                );
                self.order.push_back((now, key));
            }
            None => {}
        }
    }

    fn put(&mut self, key: Key, span: Span) {
        self.map.insert(key, span);
    }

    fn restore(&mut self, mut spans: Vec<(Key, Span)>) {
        spans.sort_by_key(|(_, span)| span.start);
        for (key, span) in spans.into_iter().take(KEYS_MAX) {
            self.order.push_back((span.start, key));
            self.put(key, span);
        }
    }
}

/// What one rule has counted.
#[derive(Debug, Clone)]
pub(super) enum Book {
    /// It counts nothing.
    None,
    /// Calls since the window began.
    Total(Span),
    /// Calls within the last second.
    Second(Window),
    /// Calls of each key.
    Keyed(Keyed),
    /// Calls that are up.
    Up(u32),
    /// Calls that are up, of each key. Bounded by the calls that the node carries.
    UpKeyed(HashMap<Key, u32, FixedState>),
    /// Pairs of source and destination, and how many each source has.
    Distinct {
        pairs: Keyed,
        of_source: HashMap<Key, u32, FixedState>,
    },
    /// Money since the window began.
    Spend {
        /// Settled.
        spent: Span,
        /// Promised to calls that are up.
        reserved: u64,
    },
}

const EMPTY: Span = Span {
    start: Ticks::MIN / 2,
    value: 0,
};

impl Book {
    pub(super) fn of(kind: &RuleKind, seed: u64) -> Self {
        let map = || HashMap::with_hasher(FixedState::with_seed(seed));
        match kind {
            RuleKind::Allow
            | RuleKind::Block
            | RuleKind::Emergency
            | RuleKind::Hours(_)
            | RuleKind::Duration(_) => Self::None,
            RuleKind::CallsPerDay(_) => Self::Total(EMPTY),
            RuleKind::CallsPerDayPerIp(_) => Self::Keyed(Keyed::new(DAY, seed)),
            RuleKind::CallsPerSecond(_) => Self::Second(Window::default()),
            RuleKind::Concurrent(_) => Self::Up(0),
            RuleKind::ConcurrentPerIp(_) | RuleKind::ConcurrentPerDestination(_) => {
                Self::UpKeyed(map())
            }
            RuleKind::DestinationsPerHour(_) => Self::Distinct {
                pairs: Keyed::new(HOUR, seed),
                of_source: map(),
            },
            RuleKind::SameDestination { within, .. } => {
                let period = Ticks::try_from(within.as_millis()).unwrap_or(DAY);
                Self::Keyed(Keyed::new(period, seed))
            }
            RuleKind::SpendPerDay(_) => Self::Spend {
                spent: EMPTY,
                reserved: 0,
            },
        }
    }

    /// True when the counts of `old` mean the same under `new`.
    pub(super) fn carries_over(old: &Rule, new: &Rule) -> bool {
        let period = |kind: &RuleKind| {
            if let RuleKind::SameDestination { within, .. } = kind {
                Some(*within)
            } else {
                None
            }
        };
        old.kind.as_str() == new.kind.as_str() && period(&old.kind) == period(&new.kind)
    }

    /// Drops what is over.
    pub(super) fn purge(&mut self, now: Ticks) {
        match self {
            Self::None
            | Self::Total(_)
            | Self::Second(_)
            | Self::Up(_)
            | Self::UpKeyed(_)
            | Self::Spend { .. } => {}
            Self::Keyed(keyed) => keyed.purge(now, |_dropped| {}),
            Self::Distinct { pairs, of_source } => {
                pairs.purge(now, |dropped| take_one(of_source, dropped.source()));
            }
        }
    }

    /// How much it has counted for `key`, and whether one more can be counted at all.
    pub(super) fn standing(&self, keys: Keys, now: Ticks) -> Standing {
        let plain = |value| Standing {
            value,
            known: false,
            has_room: true,
        };
        match self {
            Self::None | Self::Second(_) => plain(0),
            Self::Total(span) => plain(current(*span, now)),
            Self::Keyed(keyed) => Standing {
                has_room: keyed.has_room(keys.one, now),
                ..plain(keyed.value(keys.one, now))
            },
            Self::Up(calls) => plain(u64::from(*calls)),
            Self::UpKeyed(calls) => plain(u64::from(calls.get(&keys.one).copied().unwrap_or(0))),
            Self::Distinct { pairs, of_source } => {
                let pair = Key::pair(keys.one, keys.destination);
                Standing {
                    value: u64::from(of_source.get(&keys.one).copied().unwrap_or(0)),
                    known: pairs.value(pair, now) > 0,
                    has_room: pairs.has_room(pair, now),
                }
            }
            Self::Spend { spent, reserved } => plain(current(*spent, now) + reserved),
        }
    }

    /// Counts a call that begins. Concurrent ones and money are [`Book::begin`].
    pub(super) fn count(&mut self, keys: Keys, now: Ticks) {
        match self {
            Self::None | Self::Second(_) | Self::Up(_) | Self::UpKeyed(_) | Self::Spend { .. } => {}
            Self::Total(span) => {
                renew(span, now);
                span.value += 1;
            }
            Self::Keyed(keyed) => keyed.count(keys.one, now),
            Self::Distinct { pairs, of_source } => {
                let pair = Key::pair(keys.one, keys.destination);
                let new = !pairs.map.contains_key(&pair);
                pairs.count(pair, now);
                if new && pairs.map.contains_key(&pair) {
                    *of_source.entry(keys.one).or_default() += 1;
                }
            }
        }
    }

    /// An attempt is up, with this much money promised to it.
    pub(super) fn begin(&mut self, keys: Keys, micros: u64, now: Ticks) {
        match self {
            Self::None
            | Self::Second(_)
            | Self::Total(_)
            | Self::Keyed(_)
            | Self::Distinct { .. } => {}
            Self::Up(calls) => *calls += 1,
            Self::UpKeyed(calls) => *calls.entry(keys.one).or_default() += 1,
            Self::Spend { spent, reserved } => {
                renew(spent, now);
                *reserved = reserved.saturating_add(micros);
            }
        }
    }

    /// It is over: of what was promised, this much was spent.
    pub(super) fn end(&mut self, key: Key, promised: u64, micros: u64, now: Ticks) {
        match self {
            Self::None
            | Self::Second(_)
            | Self::Total(_)
            | Self::Keyed(_)
            | Self::Distinct { .. } => {}
            Self::Up(calls) => *calls = calls.saturating_sub(1),
            Self::UpKeyed(calls) => take_one(calls, key),
            Self::Spend { spent, reserved } => {
                renew(spent, now);
                *reserved = reserved.saturating_sub(promised);
                spent.value = spent.value.saturating_add(micros);
            }
        }
    }

    /// True when an attempt holds something in it until it is over.
    pub(super) const fn is_held(&self) -> bool {
        match self {
            Self::None
            | Self::Second(_)
            | Self::Total(_)
            | Self::Keyed(_)
            | Self::Distinct { .. } => false,
            Self::Up(_) | Self::UpKeyed(_) | Self::Spend { .. } => true,
        }
    }

    /// The row of `keys` as it is stored; `None`: nothing of it survives a restart.
    pub(super) fn stored(&self, key: Key) -> Option<Span> {
        match self {
            Self::None | Self::Second(_) | Self::Up(_) | Self::UpKeyed(_) => None,
            Self::Total(span) => Some(*span),
            Self::Keyed(keyed) | Self::Distinct { pairs: keyed, .. } => {
                keyed.map.get(&key).copied()
            }
            // What is promised counts as spent until it is known better: a crash costs money at
            // most on paper.
            Self::Spend { spent, reserved } => Some(Span {
                value: spent.value.saturating_add(*reserved),
                ..*spent
            }),
        }
    }

    /// The key under which [`Book::count`] and [`Book::begin`] leave what is stored.
    pub(super) fn row(&self, keys: Keys) -> Option<Key> {
        match self {
            Self::None | Self::Second(_) | Self::Up(_) | Self::UpKeyed(_) => None,
            Self::Total(_) | Self::Spend { .. } => Some(Key::ALL),
            Self::Keyed(_) => Some(keys.one),
            Self::Distinct { .. } => Some(Key::pair(keys.one, keys.destination)),
        }
    }

    /// All rows that are stored, after the wall clock has moved.
    pub(super) fn rows(&self) -> Vec<Key> {
        match self {
            Self::None | Self::Second(_) | Self::Up(_) | Self::UpKeyed(_) => Vec::new(),
            Self::Total(_) | Self::Spend { .. } => vec![Key::ALL],
            Self::Keyed(keyed) | Self::Distinct { pairs: keyed, .. } => {
                keyed.order.iter().map(|(_, key)| *key).collect()
            }
        }
    }

    /// Takes back what was counted before a restart.
    pub(super) fn restore(&mut self, rows: Vec<(Key, Span)>) {
        match self {
            Self::None | Self::Second(_) | Self::Up(_) | Self::UpKeyed(_) => {}
            Self::Total(span) | Self::Spend { spent: span, .. } => {
                if let Some((_, restored)) = rows.first() {
                    *span = *restored;
                }
            }
            Self::Keyed(keyed) => keyed.restore(rows),
            Self::Distinct { pairs, of_source } => {
                pairs.restore(rows);
                for pair in pairs.map.keys() {
                    *of_source.entry(pair.source()).or_default() += 1;
                }
            }
        }
    }
}

/// The rows of one attempt in one book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Keys {
    /// The row: the source, the destination, or all.
    pub(super) one: Key,
    /// The destination.
    pub(super) destination: Key,
}

/// Where a row stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// What is counted.
    pub(super) value: u64,
    /// This very destination is counted already: one more call to it adds nothing.
    pub(super) known: bool,
    /// One more row fits in.
    pub(super) has_room: bool,
}

fn current(span: Span, now: Ticks) -> u64 {
    if now < span.start.saturating_add(DAY) {
        span.value
    } else {
        0
    }
}

fn renew(span: &mut Span, now: Ticks) {
    if now >= span.start.saturating_add(DAY) {
        *span = Span {
            start: now,
            value: 0,
        };
    }
}

fn take_one(counts: &mut HashMap<Key, u32, FixedState>, key: Key) {
    if let Some(count) = counts.get_mut(&key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(&key);
        }
    }
}
