//! `WWW-Authenticate` and `Proxy-Authenticate` (RFC 7616 §3.3, RFC 3261 §20.44).

use arrayvec::ArrayVec;

use crate::message::scan;
use crate::message::{Elements, HeaderName, Message, StatusCode};

/// Challenges of one response that are looked at.
pub const CHALLENGES_MAX: usize = 8;

/// The hash of a challenge, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// RFC 2617; also where none is named.
    Md5,
    /// RFC 2617.
    Md5Sess,
    /// RFC 7616, RFC 8760.
    Sha256,
    /// RFC 7616.
    Sha256Sess,
}

impl Algorithm {
    /// As it stands on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Md5Sess => "MD5-sess",
            Self::Sha256 => "SHA-256",
            Self::Sha256Sess => "SHA-256-sess",
        }
    }

    /// Reads the name; any case.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        [Self::Md5, Self::Md5Sess, Self::Sha256, Self::Sha256Sess]
            .into_iter()
            .find(|algorithm| text.eq_ignore_ascii_case(algorithm.as_str().as_bytes()))
    }
}

/// `qop`: what the digest covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protection {
    /// No `qop` in the challenge (RFC 2069).
    Legacy,
    /// `auth`: method and URI.
    Auth,
}

/// A Digest challenge that we can answer. Texts are as between their quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// The header the answer goes into: true for Proxy-Authorization.
    pub is_proxy: bool,
    /// The realm.
    pub realm: Box<[u8]>,
    /// The nonce.
    pub nonce: Box<[u8]>,
    /// Given back as it came.
    pub opaque: Option<Box<[u8]>>,
    /// The hash.
    pub algorithm: Algorithm,
    /// True where the challenge named the hash, so that the answer names it too.
    pub names_algorithm: bool,
    /// What the digest covers.
    pub protection: Protection,
    /// The password was right, the nonce old.
    pub stale: bool,
}

impl Challenge {
    /// The strongest of them that the credentials are for: of `realm` where one is given, else of
    /// the first realm named.
    #[must_use]
    pub fn strongest(challenges: &[Self], realm: Option<&str>) -> Option<Self> {
        let first = challenges.first()?;
        let wanted = realm.map_or(&*first.realm, str::as_bytes);
        let mut best: Option<&Self> = None;
        for challenge in challenges
            .iter()
            .filter(|challenge| *challenge.realm == *wanted)
        {
            if best.is_none_or(|best| challenge.algorithm > best.algorithm) {
                best = Some(challenge);
            }
        }
        best.cloned()
    }
}

/// The challenges of a 401 or 407 that we can answer, in their order. Other schemes, unknown
/// hashes, `auth-int` alone and malformed ones are read over.
#[must_use]
pub fn challenges(response: &Message<'_>) -> ArrayVec<Challenge, CHALLENGES_MAX> {
    let is_proxy = response.status() == Some(StatusCode::PROXY_AUTHENTICATION_REQUIRED);
    let name = if is_proxy {
        HeaderName::ProxyAuthenticate
    } else {
        HeaderName::WwwAuthenticate
    };
    let mut found = ArrayVec::new();
    for line in response.lines(&name) {
        let mut draft: Option<Draft<'_>> = None;
        for element in Elements::new(line.value()) {
            match scheme_of(element) {
                Some((scheme, first)) => {
                    finish(draft.take(), is_proxy, &mut found);
                    let usable = scheme.eq_ignore_ascii_case(b"Digest");
                    let mut next = Draft {
                        usable,
                        ..Draft::default()
                    };
                    next.take(first);
                    draft = Some(next);
                }
                None => {
                    if let Some(draft) = &mut draft {
                        draft.take(element);
                    }
                }
            }
        }
        finish(draft, is_proxy, &mut found);
    }
    found
}

fn finish(
    draft: Option<Draft<'_>>,
    is_proxy: bool,
    found: &mut ArrayVec<Challenge, CHALLENGES_MAX>,
) {
    if let Some(challenge) = draft.and_then(|draft| draft.challenge(is_proxy))
        && !found.is_full()
    {
        found.push(challenge);
    }
}

/// `Digest realm="…"` begins a challenge; `nonce="…"` continues one.
fn scheme_of(element: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = element.iter().position(|&byte| scan::is_space(byte))?;
    let (scheme, rest) = element.split_at_checked(space)?;
    let rest = scan::trim(rest);
    (scan::is_token(scheme) && !rest.starts_with(b"=")).then_some((scheme, rest))
}

/// The parameters of a challenge as they come in.
#[derive(Default)]
struct Draft<'a> {
    usable: bool,
    realm: Option<&'a [u8]>,
    nonce: Option<&'a [u8]>,
    opaque: Option<&'a [u8]>,
    algorithm: Option<&'a [u8]>,
    qop: Option<&'a [u8]>,
    stale: bool,
}

impl<'a> Draft<'a> {
    fn take(&mut self, parameter: &'a [u8]) {
        let Some((name, value)) = scan::split_once(parameter, b'=') else {
            return;
        };
        let value = scan::trim(value);
        let value = match value.first() {
            Some(b'"') => match scan::split_quoted(value) {
                Some((content, [])) => content,
                _ => {
                    self.usable = false;
                    return;
                }
            },
            _ => value,
        };
        let place = match scan::trim(name).to_ascii_lowercase().as_slice() {
            b"realm" => &mut self.realm,
            b"nonce" => &mut self.nonce,
            b"opaque" => &mut self.opaque,
            b"algorithm" => &mut self.algorithm,
            b"qop" => &mut self.qop,
            b"stale" => {
                self.stale = value.eq_ignore_ascii_case(b"true");
                return;
            }
            _ => return,
        };
        // A parameter must not stand twice (RFC 7616 §3.3): which one would be meant?
        if place.replace(value).is_some() {
            self.usable = false;
        }
    }

    fn challenge(self, is_proxy: bool) -> Option<Challenge> {
        if !self.usable {
            return None;
        }
        let protection = match self.qop {
            None => Protection::Legacy,
            Some(options) => Elements::new(options)
                .any(|option| option.eq_ignore_ascii_case(b"auth"))
                .then_some(Protection::Auth)?,
        };
        Some(Challenge {
            is_proxy,
            realm: self.realm?.into(),
            nonce: self.nonce.filter(|nonce| !nonce.is_empty())?.into(),
            opaque: self.opaque.map(Into::into),
            algorithm: self
                .algorithm
                .map_or(Some(Algorithm::Md5), Algorithm::parse)?,
            names_algorithm: self.algorithm.is_some(),
            protection,
            stale: self.stale,
        })
    }
}
