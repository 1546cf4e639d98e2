//! Digest authentication as a server (RFC 7616, RFC 8760, RFC 3261 §22).
//!
//! Owns nonces, their counts, and the check of an answer. It knows no users: whoever calls looks up
//! the secret half, and says what a failure costs (lock-out, a delay, a ban).
//!
//! A nonce is its age, a serial number and a keyed hash over both, the realm and the algorithm. So a
//! challenge keeps nothing: a flood of requests without credentials costs no memory. Only a nonce
//! that was answered rightly has an entry, which holds the highest count seen; a count that does not
//! rise is a replay. An algorithm that was not asked for does not fit its nonce, so nobody answers a
//! challenge of SHA-256 with MD5 (RFC 8760 §2.4).

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::challenge::Algorithm;
use crate::message::{Elements, Method, SendBuffer, scan};

/// Seconds that a nonce may be used. A phone that registers each hour gets a stale one each time,
/// and answers the next challenge without asking its user.
pub const NONCE_AGE_S_MAX: u64 = 300;

/// Nonces whose counts are kept: those of the answers of the last minutes. What is pushed out is
/// stale from then on, never replayable.
pub const NONCE_COUNTS_MAX: usize = 8_192;

/// Octets of one parameter of an answer. Real ones are below 256.
const PARAMETER_SIZE_MAX: usize = 1_024;

/// Digits of a nonce: age and serial number 16 each, hash 32.
const NONCE_DIGITS: usize = 64;

/// Why an answer was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuthFailure {
    /// It is no Digest, or a parameter is absent, repeated, too long or malformed; also an answer
    /// without `qop=auth`.
    Malformed,
    /// The nonce is not ours, or was not made for this realm and algorithm.
    ForeignNonce,
    /// It was made for another Request-URI (RFC 7616 §3.4.6): somebody asked for it to use it here.
    ForeignUri,
    /// The answer is right, and the nonce too old: challenge again with `stale=true`.
    Stale,
    /// The answer is right, and this count of the nonce was used before.
    Replayed,
    /// No such user, or another password. Both are one failure, and cost the same.
    Credentials,
}

impl AuthFailure {
    /// A stable label for counters and logs. It must not be told to the peer.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "digest_malformed",
            Self::ForeignNonce => "digest_foreign_nonce",
            Self::ForeignUri => "digest_foreign_uri",
            Self::Stale => "digest_stale",
            Self::Replayed => "digest_replayed",
            Self::Credentials => "digest_credentials",
        }
    }

    /// True where the next challenge says `stale=true`: the password was right (RFC 7616 §3.3).
    #[must_use]
    pub const fn is_stale(self) -> bool {
        match self {
            Self::Stale | Self::Replayed => true,
            Self::Malformed | Self::ForeignNonce | Self::ForeignUri | Self::Credentials => false,
        }
    }

    /// True where it counts as an attempt at a password.
    #[must_use]
    pub const fn is_guess(self) -> bool {
        matches!(self, Self::Credentials)
    }
}

/// Challenges and checks. `Debug` does not show the secret.
pub struct Nonces {
    secret: [u8; 32],
    /// Serial number of the last nonce.
    serial: u64,
    /// Serial number of each nonce that was answered rightly, to its highest count and its time.
    counts: BTreeMap<u64, (u32, u64)>,
    /// Nonces up to this serial number that have no entry are stale.
    forgotten: u64,
}

impl std::fmt::Debug for Nonces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Nonces")
            .field("serial", &self.serial)
            .field("counts", &self.counts.len())
            .finish_non_exhaustive()
    }
}

/// A nonce of ours, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Nonce {
    made_s: u64,
    serial: u64,
}

impl Nonces {
    /// `secret` is random and fresh for each start: nonces of an earlier one are foreign.
    #[must_use]
    pub const fn new(secret: [u8; 32]) -> Self {
        Self {
            secret,
            serial: 0,
            counts: BTreeMap::new(),
            forgotten: 0,
        }
    }

    /// The value of a WWW-Authenticate or Proxy-Authenticate header. `now_s` is any clock that does
    /// not go back while this value lives.
    #[must_use]
    pub fn challenge(
        &mut self,
        now_s: u64,
        realm: &str,
        algorithm: Algorithm,
        stale: bool,
    ) -> Box<[u8]> {
        debug_assert!(!algorithm.is_session(), "-sess is not offered");
        debug_assert!(!realm.is_empty(), "a realm has a name");
        self.serial += 1;
        let nonce = Nonce {
            made_s: now_s,
            serial: self.serial,
        };
        let written = self.written(nonce, realm.as_bytes(), algorithm);
        debug_assert_eq!(written.len(), NONCE_DIGITS, "a nonce has its size");
        let mut buffer = SendBuffer::new();
        buffer.push(b"Digest realm=");
        buffer.push_quoted(realm, usize::MAX);
        buffer.push(b", nonce=\"");
        buffer.push(written.as_bytes());
        buffer.push(b"\", algorithm=");
        buffer.push(algorithm.as_str().as_bytes());
        buffer.push(b", qop=\"auth\"");
        if stale {
            buffer.push(b", stale=true");
        }
        buffer.as_bytes().into()
    }

    /// Checks the value of an Authorization or Proxy-Authorization header, and takes its count.
    /// `is_asked` says whether the `uri` of the answer is what the request asks for; `secret_of` looks
    /// up H(A1) of a user, as `Algorithm::secret_of` makes it.
    ///
    /// # Errors
    /// Whatever is wrong. Look-up and comparison are made for an unknown user too.
    pub fn check(
        &mut self,
        now_s: u64,
        authorization: &[u8],
        method: &Method,
        is_asked: &dyn Fn(&[u8]) -> bool,
        secret_of: &dyn Fn(&str, Algorithm) -> Option<Box<str>>,
    ) -> Result<Box<str>, AuthFailure> {
        let answer = Answer::parse(authorization).ok_or(AuthFailure::Malformed)?;
        let nonce = self.read(&answer).ok_or(AuthFailure::ForeignNonce)?;
        // Before the hash: whether the password was right is not told by another answer.
        if !is_asked(scan::unquoted_text(answer.uri).as_bytes()) {
            return Err(AuthFailure::ForeignUri);
        }
        let username = scan::unquoted_text(answer.username);
        let secret = secret_of(&username, answer.algorithm);
        // An unknown user is checked against a secret that nobody has.
        let nobody = "?".repeat(answer.algorithm.digits());
        let wanted = answer.response_with(secret.as_deref().unwrap_or(&nobody), method);
        let is_right = is_same(wanted.as_bytes(), &answer.response.to_ascii_lowercase());
        if !is_right || secret.is_none() {
            return Err(AuthFailure::Credentials);
        }
        self.take_count(now_s, nonce, answer.count)?;
        Ok(username.into())
    }

    /// Age and count, which are looked at only where the password was right: `stale` tells that.
    fn take_count(&mut self, now_s: u64, nonce: Nonce, count: u32) -> Result<(), AuthFailure> {
        debug_assert!(nonce.serial <= self.serial, "a nonce of ours was made");
        let oldest_s = now_s.saturating_sub(NONCE_AGE_S_MAX);
        if nonce.made_s < oldest_s {
            return Err(AuthFailure::Stale);
        }
        if let Some((last, _)) = self.counts.get_mut(&nonce.serial) {
            if count <= *last {
                return Err(AuthFailure::Replayed);
            }
            *last = count;
            return Ok(());
        }
        if nonce.serial <= self.forgotten {
            return Err(AuthFailure::Stale);
        }
        // Serial numbers and times rise together: the oldest are in front. What has expired goes, and
        // the first of them where there is no room.
        while let Some(entry) = self.counts.first_entry() {
            let (_, made_s) = *entry.get();
            if made_s >= oldest_s && self.counts.len() < NONCE_COUNTS_MAX {
                break;
            }
            if let Some((serial, _)) = self.counts.pop_first() {
                self.forgotten = self.forgotten.max(serial);
            }
        }
        if nonce.serial <= self.forgotten {
            return Err(AuthFailure::Stale);
        }
        self.counts.insert(nonce.serial, (count, nonce.made_s));
        debug_assert!(self.counts.len() <= NONCE_COUNTS_MAX, "the bound holds");
        debug_assert!(
            self.counts
                .keys()
                .next()
                .is_none_or(|&first| first > self.forgotten),
            "what is forgotten has no entry"
        );
        Ok(())
    }

    /// Nonces whose counts are kept now.
    #[must_use]
    pub fn count(&self) -> usize {
        self.counts.len()
    }

    fn written(&self, nonce: Nonce, realm: &[u8], algorithm: Algorithm) -> String {
        let mut hasher = Sha256::new();
        // The secret before and after: no length extension helps.
        hasher.update(self.secret);
        hasher.update(nonce.made_s.to_be_bytes());
        hasher.update(nonce.serial.to_be_bytes());
        hasher.update(algorithm.as_str().as_bytes());
        hasher.update([0]);
        hasher.update(realm);
        hasher.update(self.secret);
        let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
        let hash = hasher.finalize();
        let seal: String = hash
            .iter()
            .take(16)
            .flat_map(|byte| [digit(byte >> 4), digit(byte & 0xF)])
            .collect();
        format!("{:016x}{:016x}{seal}", nonce.made_s, nonce.serial)
    }

    /// The nonce of an answer, where it is ours and made for its realm and algorithm.
    fn read(&self, answer: &Answer<'_>) -> Option<Nonce> {
        let number = |from: usize| {
            let digits = answer.nonce.get(from..from + 16)?;
            let text = std::str::from_utf8(digits).ok()?;
            // `from_str_radix` takes a sign, which is no digit.
            text.bytes()
                .all(|byte| byte.is_ascii_hexdigit())
                .then_some(())?;
            u64::from_str_radix(text, 16).ok()
        };
        let nonce = Nonce {
            made_s: number(0)?,
            serial: number(16)?,
        };
        // The realm stands between quotes as we wrote it; escapes are taken out before the hash.
        let realm = scan::unquoted_text(answer.realm);
        let wanted = self.written(nonce, realm.as_bytes(), answer.algorithm);
        is_same(wanted.as_bytes(), answer.nonce).then_some(nonce)
    }
}

/// Compares in a time that tells nothing of where two texts differ.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let difference = one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b));
    one.len() == other.len() && difference == 0
}

/// The parameters of an answer, between their quotes.
#[derive(Debug, Clone, Copy)]
struct Answer<'a> {
    username: &'a [u8],
    realm: &'a [u8],
    nonce: &'a [u8],
    uri: &'a [u8],
    response: &'a [u8],
    algorithm: Algorithm,
    cnonce: &'a [u8],
    /// As written: it goes into the hash.
    count_text: &'a [u8],
    count: u32,
}

/// The parameters that have a meaning for us, in the order of `Answer::parse`.
const KNOWN: [&str; 9] = [
    "username",
    "realm",
    "nonce",
    "uri",
    "response",
    "algorithm",
    "cnonce",
    "nc",
    "qop",
];

impl<'a> Answer<'a> {
    /// `None` where a parameter is absent, stands twice, or is not what RFC 7616 §3.4 lets it be.
    fn parse(value: &'a [u8]) -> Option<Self> {
        let value = scan::trim(value);
        let space = value.iter().position(|&byte| scan::is_space(byte))?;
        let (scheme, rest) = value.split_at_checked(space)?;
        if !scheme.eq_ignore_ascii_case(b"Digest") {
            return None;
        }
        let mut found: [Option<&'a [u8]>; KNOWN.len()] = [None; KNOWN.len()];
        for element in Elements::new(rest) {
            let (name, value) = scan::split_once(element, b'=')?;
            let (name, value) = (scan::trim(name), unquoted(scan::trim(value))?);
            if value.len() > PARAMETER_SIZE_MAX || !scan::is_token(name) {
                return None;
            }
            // A hashed or encoded user name (RFC 7616 §3.4.4) was not offered.
            let is_hashed =
                name.eq_ignore_ascii_case(b"userhash") && !value.eq_ignore_ascii_case(b"false");
            if name.eq_ignore_ascii_case(b"username*") || is_hashed {
                return None;
            }
            let place = KNOWN
                .iter()
                .position(|known| name.eq_ignore_ascii_case(known.as_bytes()))
                .and_then(|index| found.get_mut(index));
            // Which of two would be meant?
            if place.is_some_and(|place| place.replace(value).is_some()) {
                return None;
            }
        }
        let [
            username,
            realm,
            nonce,
            uri,
            response,
            algorithm,
            cnonce,
            count,
            protection,
        ] = found;
        let algorithm = algorithm.map_or(Some(Algorithm::Md5), Algorithm::parse)?;
        let (response, count) = (response?, count?);
        let is_hexadecimal = |text: &[u8]| text.iter().all(u8::is_ascii_hexdigit);
        let is_well_formed = protection?.eq_ignore_ascii_case(b"auth")
            && !algorithm.is_session()
            && response.len() == algorithm.digits()
            && is_hexadecimal(response)
            && count.len() == 8
            && is_hexadecimal(count)
            && nonce?.len() == NONCE_DIGITS;
        let number = u32::from_str_radix(std::str::from_utf8(count).ok()?, 16).ok()?;
        (is_well_formed && number > 0).then_some(())?;
        Some(Self {
            username: username.filter(|name| !name.is_empty())?,
            realm: realm?,
            nonce: nonce?,
            uri: uri?,
            response,
            algorithm,
            cnonce: cnonce.filter(|cnonce| !cnonce.is_empty())?,
            count_text: count,
            count: number,
        })
    }

    /// RFC 7616 §3.4.1, from the secret half.
    fn response_with(&self, secret: &str, method: &Method) -> String {
        debug_assert_eq!(
            secret.len(),
            self.algorithm.digits(),
            "the hash of its algorithm"
        );
        let request = self.algorithm.hash(&[method.as_str().as_bytes(), self.uri]);
        self.algorithm.hash(&[
            secret.as_bytes(),
            self.nonce,
            self.count_text,
            self.cnonce,
            b"auth",
            request.as_bytes(),
        ])
    }
}

/// What stands between quotes, or the text where there are none; `None` where a quote never ends or
/// something follows it.
fn unquoted(value: &[u8]) -> Option<&[u8]> {
    match value.first() {
        Some(b'"') => match scan::split_quoted(value) {
            Some((content, [])) => Some(content),
            _ => None,
        },
        _ => Some(value),
    }
}

#[cfg(test)]
mod tests;
