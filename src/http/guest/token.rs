//! What lets a page call: the call token of its load, which is good for one request path, one page load
//! and the browser that has the cookie; and the cookie itself. Pure: time and randomness are arguments.
//!
//! A token is its own proof: 32 octets of HMAC-SHA256 under a key that is made of the node key, then
//! what it says. It is not bound to an address, which changes when a phone leaves the house.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// One load of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Load(pub(super) [u8; LOAD_OCTETS]);

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CallToken {
    /// Whose page.
    pub(super) load: Load,
    /// What it may call, decoded.
    pub(super) request_path: String,
}

/// Why a token lets nobody call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenRefusal {
    /// None of ours, changed, or of another browser.
    Foreign,
    /// Its time is over: the page must be loaded again.
    Expired,
}

/// Makes and reads tokens.
#[derive(Clone)]
pub(super) struct CallTokens(Hmac<Sha256>);

impl std::fmt::Debug for CallTokens {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("CallTokens(…)")
    }
}

impl CallTokens {
    /// Under this key. `None`: the library takes none of its length, which it does.
    pub(super) fn new(key: &[u8; 32]) -> Option<Self> {
        let mac = <Hmac<Sha256> as hmac::Mac>::new_from_slice(key);
        mac.ok().map(Self)
    }

    /// The token of a page. `now`: Unix seconds.
    pub(super) fn mint(&self, token: &CallToken, cookie: &Cookie, now: u64) -> String {
        let mut said = Vec::with_capacity(1 + 8 + LOAD_OCTETS + token.request_path.len());
        said.push(VERSION);
        said.extend(now.saturating_add(TOKEN_S_MAX).to_be_bytes());
        said.extend(token.load.0);
        said.extend(token.request_path.as_bytes());
        let mut whole = self.proof(&said, cookie).finalize().into_bytes().to_vec();
        whole.extend(said);
        URL_SAFE_NO_PAD.encode(whole)
    }

    /// Reads the token of a page, which the browser with this cookie shows.
    pub(super) fn read(
        &self,
        text: &str,
        cookie: &Cookie,
        now: u64,
    ) -> Result<CallToken, TokenRefusal> {
        if text.len() > TOKEN_OCTETS_MAX {
            return Err(TokenRefusal::Foreign);
        }
        let whole = URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
        let (proof, said) = whole
            .split_first_chunk::<PROOF_OCTETS>()
            .ok_or(TokenRefusal::Foreign)?;
        // In constant time.
        self.proof(said, cookie)
            .verify_slice(proof)
            .map_err(|_differs| TokenRefusal::Foreign)?;
        let token = said_of(said).ok_or(TokenRefusal::Foreign)?;
        if token.0 <= now {
            return Err(TokenRefusal::Expired);
        }
        Ok(token.1)
    }

    fn proof(&self, said: &[u8], cookie: &Cookie) -> Hmac<Sha256> {
        let mut proof = self.0.clone();
        // Of fixed length: nothing of what follows can pass for a part of it.
        proof.update(&cookie.0);
        proof.update(said);
        proof
    }
}

/// What we have written once.
fn said_of(said: &[u8]) -> Option<(u64, CallToken)> {
    let (version, rest) = said.split_first()?;
    let (expiry, rest) = rest.split_first_chunk::<8>()?;
    let (load, path) = rest.split_first_chunk::<LOAD_OCTETS>()?;
    let request_path = std::str::from_utf8(path).ok()?.to_owned();
    let token = CallToken {
        load: Load(*load),
        request_path,
    };
    (*version == VERSION).then_some((u64::from_be_bytes(*expiry), token))
}

/// What a browser has from us: randomness, and nothing about the guest.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Cookie([u8; COOKIE_OCTETS]);

impl std::fmt::Debug for Cookie {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Cookie(…)")
    }
}

/// Which of our cookies. Each way of being loaded has one of its own, for a browser keeps and sends them
/// by different rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Jar {
    /// A page of its own, by HTTPS.
    Secure,
    /// A page within another site's, by HTTPS: kept apart for each such site.
    Embedded,
    /// By HTTP, on this machine.
    Plain,
}

impl Jar {
    const fn name(self) -> &'static str {
        match self {
            // Of this host only, whatever its neighbours set (RFC 6265bis §4.1.3.2).
            Self::Secure => "__Host-sluice_guest",
            Self::Embedded => "__Host-sluice_widget",
            Self::Plain => "sluice_guest",
        }
    }

    /// `Lax`, not `Strict`: links are clicked in mails, and a page that a mail opens would not be sent a
    /// strict cookie, make a new one and so cut off the pages that are open already. What a WebSocket of another
    /// site would be sent is the same with both: nothing.
    const fn rules(self) -> &'static str {
        match self {
            Self::Secure => "; Path=/; HttpOnly; Secure; SameSite=Lax",
            Self::Embedded => "; Path=/; HttpOnly; Secure; SameSite=None; Partitioned",
            Self::Plain => "; Path=/; HttpOnly; SameSite=Lax",
        }
    }
}

impl Cookie {
    /// Fresh randomness as a cookie.
    pub(super) const fn new(octets: [u8; COOKIE_OCTETS]) -> Self {
        Self(octets)
    }

    /// The cookie of this jar in a `Cookie` header.
    pub(super) fn find(header: &str, jar: Jar) -> Option<Self> {
        let values = header.split(';').filter_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            (name == jar.name()).then_some(value)
        });
        let mut cookies = values.filter_map(|value| {
            let octets = URL_SAFE_NO_PAD.decode(value).ok()?;
            octets.try_into().ok().map(Self)
        });
        cookies.next()
    }

    /// As `Set-Cookie` says it.
    pub(super) fn set(&self, jar: Jar) -> String {
        let value = URL_SAFE_NO_PAD.encode(self.0);
        format!(
            "{}={value}; Max-Age={COOKIE_S_MAX}{}",
            jar.name(),
            jar.rules()
        )
    }
}

/// Random octets as text for a page.
pub(super) fn text_of(octets: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

/// A page may call for so long without being loaded again.
const TOKEN_S_MAX: u64 = 3_600;
/// Longer than any page lives, so that a token never outlives its cookie.
const COOKIE_S_MAX: u64 = 24 * 3_600;
const VERSION: u8 = 1;
const PROOF_OCTETS: usize = 32;
/// Octets of randomness of a page load.
pub(super) const LOAD_OCTETS: usize = 16;
/// Octets of randomness of a cookie.
pub(super) const COOKIE_OCTETS: usize = 16;
/// The longest token: a request path has 255 octets at most.
const TOKEN_OCTETS_MAX: usize = (PROOF_OCTETS + 1 + 8 + LOAD_OCTETS + 255) * 4 / 3 + 1;

const _: () = assert!(COOKIE_S_MAX > TOKEN_S_MAX, "see COOKIE_S_MAX");

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(key: u8) -> CallTokens {
        CallTokens::new(&[key; 32]).unwrap()
    }

    fn token(path: &str) -> CallToken {
        CallToken {
            load: Load([7; LOAD_OCTETS]),
            request_path: path.to_owned(),
        }
    }

    #[test]
    fn a_token_is_good_for_its_path_its_browser_and_its_time() {
        let (tokens, cookie) = (tokens(1), Cookie::new([1; COOKIE_OCTETS]));
        let longest = "\u{f6}".repeat(127);
        for path in ["echo", &longest, ""] {
            let text = tokens.mint(&token(path), &cookie, 1_000);
            assert_eq!(tokens.read(&text, &cookie, 1_000), Ok(token(path)));
            let last = 1_000 + TOKEN_S_MAX;
            assert_eq!(tokens.read(&text, &cookie, last - 1), Ok(token(path)));
            assert_eq!(
                tokens.read(&text, &cookie, last),
                Err(TokenRefusal::Expired)
            );
            let other = Cookie::new([2; COOKIE_OCTETS]);
            let refused = Err(TokenRefusal::Foreign);
            assert_eq!(tokens.read(&text, &other, 1_000), refused);
            assert_eq!(tests::tokens(2).read(&text, &cookie, 1_000), refused);
        }
    }

    #[test]
    fn a_token_that_was_changed_anywhere_is_none() {
        let (tokens, cookie) = (tokens(1), Cookie::new([1; COOKIE_OCTETS]));
        let text = tokens.mint(&token("echo"), &cookie, 1_000);
        let octets = URL_SAFE_NO_PAD.decode(&text).unwrap();
        for place in 0..octets.len() {
            let mut changed = octets.clone();
            changed[place] ^= 1;
            let changed = URL_SAFE_NO_PAD.encode(changed);
            let read = tokens.read(&changed, &cookie, 1_000);
            assert_eq!(read, Err(TokenRefusal::Foreign), "octet {place}");
        }
        for text in [
            "",
            "x",
            "\u{e9}",
            text.trim_end_matches(char::is_alphanumeric),
            &"A".repeat(2_000),
        ] {
            let read = tokens.read(text, &cookie, 1_000);
            assert_eq!(read, Err(TokenRefusal::Foreign), "{text}");
        }
    }

    #[test]
    fn cookies_are_found_among_others_and_only_in_their_jar() {
        let cookie = Cookie::new([3; COOKIE_OCTETS]);
        for jar in [Jar::Secure, Jar::Embedded, Jar::Plain] {
            let set = cookie.set(jar);
            let pair = set.split(';').next().unwrap();
            let header = format!("a=b; {}=short; {pair}; c", jar.name());
            assert_eq!(Cookie::find(&header, jar), Some(cookie.clone()));
            assert!(set.contains("HttpOnly"));
            assert_eq!(set.contains("; Secure"), jar != Jar::Plain);
        }
        let set = cookie.set(Jar::Plain);
        assert_eq!(Cookie::find(&set, Jar::Secure), None);
        assert_eq!(Cookie::find("", Jar::Plain), None);
    }
}
