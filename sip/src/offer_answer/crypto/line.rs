//! One `a=crypto` attribute (RFC 4568 §4, §9.2): `<tag> <suite> inline:<key||salt>[|lifetime][|MKI:length]
//! [session parameters]`.

use std::fmt::Write as _;

use zeroize::Zeroize;

use super::{CryptoKey, CryptoSuite, base64};
use crate::sdp::{CryptoText, MediaDescription};

/// A key under its tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CryptoLine {
    /// What an answer names it by.
    pub tag: u32,
    /// The key.
    pub key: CryptoKey,
}

impl CryptoLine {
    /// What it is for.
    #[must_use]
    pub const fn suite(&self) -> CryptoSuite {
        self.key.suite()
    }

    /// The same tag and suite: one of the two offered it, the other took it (RFC 4568 §5.1.2).
    #[must_use]
    pub fn answers(&self, other: &Self) -> bool {
        self.tag == other.tag && self.suite() == other.suite()
    }

    /// As the text after `a=crypto:`. No lifetime: that of the suite, 2^48 packets (RFC 4568 §6.1).
    pub(in super::super) fn write(&self) -> CryptoText {
        let mut text = String::with_capacity(100);
        let written = write!(text, "{} {} inline:", self.tag, self.suite().as_str());
        debug_assert!(written.is_ok(), "a text takes everything");
        base64::write(self.key.key_and_salt(), &mut text);
        text.as_str().into()
    }
}

/// The keys of a line that we can use, in the peer's order. What we cannot use is passed over: other
/// suites, parameters that change the packets, several keys in one attribute. Of two with one tag
/// the first counts.
#[must_use]
pub fn read(media: &MediaDescription) -> Vec<CryptoLine> {
    let mut lines: Vec<CryptoLine> = Vec::new();
    for line in media.crypto.iter().filter_map(|text| read_one(text)) {
        if !lines.iter().any(|taken| taken.tag == line.tag) {
            lines.push(line);
        }
    }
    lines
}

/// Of the text after `a=crypto:`; `None`: we cannot use it.
#[must_use]
pub fn read_one(text: &str) -> Option<CryptoLine> {
    let mut words = text.split_ascii_whitespace();
    let tag = words.next().filter(|tag| tag.len() <= TAG_DIGITS_MAX)?;
    let tag = number(tag).and_then(|tag| u32::try_from(tag).ok())?;
    let suite = CryptoSuite::from_name(words.next()?)?;
    let key = key_of(suite, words.next()?)?;
    words
        .all(changes_nothing)
        .then_some(CryptoLine { tag, key })
}

/// `inline:` and one key. Its lifetime is the peer's own affair: it counts its packets, and offers a new
/// key in time. A master key index would stand in each packet, where we look for none.
fn key_of(suite: CryptoSuite, parameters: &str) -> Option<CryptoKey> {
    let (method, keys) = parameters.split_once(':')?;
    if !method.eq_ignore_ascii_case("inline") {
        return None;
    }
    let mut parts = keys.split('|');
    let mut key_and_salt = base64::read(parts.next()?)?;
    let lifetime = parts.next();
    let is_one = lifetime.is_none_or(is_lifetime) && parts.next().is_none();
    let key = is_one.then(|| CryptoKey::new(suite, &key_and_salt));
    key_and_salt.as_mut_slice().zeroize();
    key.flatten()
}

/// `2^31`, or a number of packets, not 0.
fn is_lifetime(text: &str) -> bool {
    match text.strip_prefix("2^") {
        Some(power) => number(power).is_some_and(|power| power <= LIFETIME_POWER_MAX),
        None => number(text).is_some_and(|packets| packets > 0),
    }
}

/// Session parameters (RFC 4568 §6.3) that leave the packets as they are: a hint for the replay window,
/// and what says of itself that it may be left out. Any other one is not understood or not wanted.
fn changes_nothing(parameter: &str) -> bool {
    let hint = parameter
        .get(..4)
        .is_some_and(|name| name.eq_ignore_ascii_case("WSH="));
    hint || parameter.starts_with('-')
}

/// Digits only: no sign.
fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|digit| digit.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// RFC 4568 §9.2.
const TAG_DIGITS_MAX: usize = 9;

/// RFC 3711 §9.2: packets of one key.
const LIFETIME_POWER_MAX: u64 = 48;
