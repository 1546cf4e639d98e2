//! SIP, SIPS, tel and other URIs (RFC 3261 §19.1, RFC 3966), kept as written.
//!
//! A URI is its text plus the places of its parts, so what came in goes out byte for byte.
//! Resolving a host is not done here.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use super::parameter::Parameters;
use super::scan;

/// Longest URI that is read. Longer ones are malformed to us (RFC 3261 §21.4.12, 414).
pub const URI_SIZE_MAX: usize = 4_096;

/// The scheme of a URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `sip:`
    Sip,
    /// `sips:`
    Sips,
    /// `tel:` (RFC 3966)
    Tel,
    /// Anything else; the text has it.
    Other,
}

/// Where the parts of a URI stand in its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Parts {
    scheme: Scheme,
    scheme_end: u16,
    user: Option<(u16, u16)>,
    password: Option<(u16, u16)>,
    host: (u16, u16),
    port: Option<u16>,
    parameters: (u16, u16),
    headers: (u16, u16),
}

/// A URI inside a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UriRef<'a> {
    text: &'a str,
    parts: Parts,
}

/// A URI that stands on its own. Equality is of the text; see [`Uri::is_equivalent`].
#[derive(Clone, PartialEq, Eq)]
pub struct Uri {
    text: Arc<str>,
    parts: Parts,
}

impl<'a> UriRef<'a> {
    /// Reads a URI. `None` where it is malformed: a space or a control character anywhere, no
    /// scheme, and for SIP and SIPS no host, a bad port, an unclosed IPv6 reference.
    #[must_use]
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        if text.len() > URI_SIZE_MAX
            || text
                .iter()
                .any(|&byte| byte <= b' ' || matches!(byte, b'<' | b'>' | b'"' | 0x7F))
        {
            return None;
        }
        let text = std::str::from_utf8(text).ok()?;
        Some(Self {
            text,
            parts: read_parts(text.as_bytes())?,
        })
    }

    /// The whole, as written.
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.text
    }

    /// The scheme.
    #[must_use]
    pub const fn scheme(self) -> Scheme {
        self.parts.scheme
    }

    /// What follows the scheme and its colon.
    #[must_use]
    pub fn opaque(self) -> &'a str {
        self.text
            .get(usize::from(self.parts.scheme_end) + 1..)
            .unwrap_or_default()
    }

    /// The user part as written, without a password. For tel: the number with its parameters.
    #[must_use]
    pub fn user_raw(self) -> Option<&'a str> {
        self.parts.user.map(|range| self.part(range))
    }

    /// The user part with `%` escapes resolved. Where that gives no UTF-8, as written.
    #[must_use]
    pub fn user(self) -> Option<Cow<'a, str>> {
        self.user_raw().map(unescaped)
    }

    /// The password (RFC 3261 §19.1.1 advises against it); as written.
    #[must_use]
    pub fn password_raw(self) -> Option<&'a str> {
        self.parts.password.map(|range| self.part(range))
    }

    /// The host, with brackets around an IPv6 address; empty for tel and other schemes.
    #[must_use]
    pub fn host(self) -> &'a str {
        self.part(self.parts.host)
    }

    /// The host as an address, where it is one.
    #[must_use]
    pub fn host_address(self) -> Option<IpAddr> {
        host_address(self.host())
    }

    /// The port, where one is written.
    #[must_use]
    pub const fn port(self) -> Option<u16> {
        self.parts.port
    }

    /// URI parameters.
    #[must_use]
    pub fn parameters(self) -> Parameters<'a> {
        Parameters::new(self.part(self.parts.parameters).as_bytes())
    }

    /// What stands after `?`, without it.
    #[must_use]
    pub fn headers(self) -> &'a str {
        self.part(self.parts.headers)
    }

    /// The text before the headers, which cannot stand in a Request-URI (RFC 3261 §19.1.1). A user may
    /// hold a question mark of its own.
    #[must_use]
    pub fn without_headers(self) -> &'a str {
        let text = self.text.strip_suffix(self.headers()).unwrap_or(self.text);
        text.strip_suffix('?').unwrap_or(text)
    }

    /// A copy that stands on its own.
    #[must_use]
    pub fn to_uri(self) -> Uri {
        Uri {
            text: self.text.into(),
            parts: self.parts,
        }
    }

    fn part(self, (start, end): (u16, u16)) -> &'a str {
        debug_assert!(
            start <= end && usize::from(end) <= self.text.len(),
            "parts lie within the text, in order"
        );
        debug_assert!(
            self.text.is_char_boundary(usize::from(start))
                && self.text.is_char_boundary(usize::from(end)),
            "a part has whole characters"
        );
        self.text
            .get(usize::from(start)..usize::from(end))
            .unwrap_or_default()
    }

    /// RFC 3261 §19.1.4. Other schemes than SIP and SIPS compare as text without case. A URI is
    /// itself, even where it breaks the grammar by a parameter that stands in it twice.
    #[must_use]
    pub fn is_equivalent(self, other: UriRef<'_>) -> bool {
        if self.text == other.text {
            return true;
        }
        if self.scheme() != other.scheme() {
            return false;
        }
        if !matches!(self.scheme(), Scheme::Sip | Scheme::Sips) {
            return self.text.eq_ignore_ascii_case(other.text);
        }
        let same_secret = match (self.password_raw(), other.password_raw()) {
            (Some(ours), Some(theirs)) => unescaped(ours) == unescaped(theirs),
            (None, None) => true,
            _ => false,
        };
        self.user() == other.user()
            && same_secret
            && same_host(self, other)
            && self.port() == other.port()
            && parameters_agree(self.parameters(), other.parameters())
            && parameters_agree(other.parameters(), self.parameters())
            && same_headers(self.headers(), other.headers())
    }
}

impl Uri {
    /// Reads a URI; see [`UriRef::parse`].
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        UriRef::parse(text).map(UriRef::to_uri)
    }

    /// `sip:user@host:port`; the user is escaped as RFC 3261 §25.1 asks. A host that cannot stand
    /// in a URI gives `None`. An IPv6 address is given with or without brackets.
    #[must_use]
    pub fn sip(user: Option<&str>, host: &str, port: Option<u16>) -> Option<Self> {
        let mut text = String::from("sip:");
        if let Some(user) = user {
            escape_user(user, &mut text);
            text.push('@');
        }
        if host.parse::<Ipv6Addr>().is_ok() {
            text.push('[');
            text.push_str(host);
            text.push(']');
        } else {
            text.push_str(host);
        }
        if let Some(port) = port {
            text.push(':');
            text.push_str(&port.to_string());
        }
        let uri = Self::parse(text.as_bytes())?;
        debug_assert_eq!(uri.scheme(), Scheme::Sip, "as it was written");
        let plain = uri.parameters().as_bytes().is_empty() && uri.headers().is_empty();
        (plain && uri.port() == port).then_some(uri)
    }

    /// The same with a parameter added at its end (before headers); `None` where name or value
    /// cannot stand there.
    #[must_use]
    pub fn with_parameter(&self, name: &str, value: Option<&str>) -> Option<Self> {
        let headers = self.headers();
        let mut text = String::from(self.text.strip_suffix(headers).unwrap_or(&self.text));
        if text.ends_with('?') {
            text.pop();
        }
        text.push(';');
        text.push_str(name);
        if let Some(value) = value {
            text.push('=');
            text.push_str(value);
        }
        if !headers.is_empty() {
            text.push('?');
            text.push_str(headers);
        }
        let uri = Self::parse(text.as_bytes())?;
        let last = uri.parameters().iter().last()?;
        let added = last.name == name.as_bytes() && last.value == value.map(str::as_bytes);
        (added && uri.headers() == headers).then_some(uri)
    }

    /// As a view, which has all the getters.
    #[must_use]
    pub fn view(&self) -> UriRef<'_> {
        UriRef {
            text: &self.text,
            parts: self.parts,
        }
    }

    /// The whole, as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The scheme.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.parts.scheme
    }

    /// See [`UriRef::user`].
    #[must_use]
    pub fn user(&self) -> Option<Cow<'_, str>> {
        self.view().user()
    }

    /// See [`UriRef::user_raw`].
    #[must_use]
    pub fn user_raw(&self) -> Option<&str> {
        self.view().user_raw()
    }

    /// See [`UriRef::host`].
    #[must_use]
    pub fn host(&self) -> &str {
        self.view().host()
    }

    /// See [`UriRef::host_address`].
    #[must_use]
    pub fn host_address(&self) -> Option<IpAddr> {
        self.view().host_address()
    }

    /// The port, where one is written.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        self.parts.port
    }

    /// URI parameters.
    #[must_use]
    pub fn parameters(&self) -> Parameters<'_> {
        self.view().parameters()
    }

    /// What stands after `?`, without it.
    #[must_use]
    pub fn headers(&self) -> &str {
        self.view().headers()
    }

    /// RFC 3261 §19.1.4.
    #[must_use]
    pub fn is_equivalent(&self, other: &Self) -> bool {
        self.view().is_equivalent(other.view())
    }
}

impl std::hash::Hash for Uri {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl fmt::Debug for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for UriRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

fn read_parts(text: &[u8]) -> Option<Parts> {
    let (scheme_text, opaque) = scan::split_once(text, b':')?;
    let (first, others) = scheme_text.split_first()?;
    let scheme_bytes =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    if !first.is_ascii_alphabetic() || !others.iter().all(scheme_bytes) {
        return None;
    }
    let scheme = if scheme_text.eq_ignore_ascii_case(b"sip") {
        Scheme::Sip
    } else if scheme_text.eq_ignore_ascii_case(b"sips") {
        Scheme::Sips
    } else if scheme_text.eq_ignore_ascii_case(b"tel") {
        Scheme::Tel
    } else {
        Scheme::Other
    };
    let mut parts = Parts {
        scheme,
        scheme_end: u16::try_from(scheme_text.len()).ok()?,
        user: None,
        password: None,
        host: (0, 0),
        port: None,
        parameters: (0, 0),
        headers: (0, 0),
    };
    let at = |rest: &[u8]| u16::try_from(text.len() - rest.len()).ok();
    let end = at(&[])?;
    match scheme {
        Scheme::Sip | Scheme::Sips => read_sip(opaque, end, at, &mut parts)?,
        Scheme::Tel => {
            let number = scan::split_once(opaque, b';').map_or(opaque, |(number, _)| number);
            if number.is_empty() {
                return None;
            }
            let number_end = at(opaque)? + u16::try_from(number.len()).ok()?;
            parts.user = Some((at(opaque)?, number_end));
            parts.parameters = (number_end, end);
        }
        Scheme::Other => {}
    }
    Some(parts)
}

/// `userinfo@hostport;parameters?headers`. `at` gives the place of a tail of the text.
fn read_sip(
    opaque: &[u8],
    end: u16,
    at: impl Fn(&[u8]) -> Option<u16>,
    parts: &mut Parts,
) -> Option<()> {
    // `@` cannot stand unescaped in a user; it may stand in headers, and peers put it into
    // parameters. The user part may hold `;` and `?` (RFC 4475 §3.1.1.9), so the first `@` decides.
    let mut rest = opaque;
    if let Some((userinfo, after)) = scan::split_once(opaque, b'@') {
        if userinfo.is_empty() {
            return None;
        }
        let start = at(opaque)?;
        let whole_end = start + u16::try_from(userinfo.len()).ok()?;
        match scan::split_once(userinfo, b':') {
            Some((user, _)) => {
                let user_end = start + u16::try_from(user.len()).ok()?;
                parts.user = Some((start, user_end));
                parts.password = Some((user_end + 1, whole_end));
            }
            None => parts.user = Some((start, whole_end)),
        }
        rest = after;
    }
    let host_start = at(rest)?;
    let host_length = match rest.first()? {
        b'[' => {
            let close = memchr::memchr(b']', rest)?;
            ipv6(std::str::from_utf8(rest.get(1..close)?).ok()?)?;
            close + 1
        }
        _ => {
            let length = rest
                .iter()
                .position(|&b| !is_host_byte(b))
                .unwrap_or(rest.len());
            (length > 0).then_some(length)?
        }
    };
    parts.host = (host_start, host_start + u16::try_from(host_length).ok()?);
    rest = rest.get(host_length..)?;
    if let [b':', digits @ ..] = rest {
        let length = digits
            .iter()
            .position(|b| !b.is_ascii_digit())
            .unwrap_or(digits.len());
        let (port, after) = digits.split_at_checked(length)?;
        parts.port = Some(scan::decimal(port)?);
        rest = after;
    }
    let parameters_start = at(rest)?;
    let (parameters, headers) = match rest.first() {
        None => (rest, None),
        Some(b';') => match scan::split_once(rest, b'?') {
            Some((parameters, headers)) => (parameters, Some(headers)),
            None => (rest, None),
        },
        Some(b'?') => (&[][..], rest.get(1..)),
        Some(_) => return None,
    };
    parts.parameters = (
        parameters_start,
        parameters_start + u16::try_from(parameters.len()).ok()?,
    );
    if let Some(headers) = headers {
        parts.headers = (at(headers)?, end);
    }
    Some(())
}

/// Letters, digits, `-`, `.`; and `_`, which real hosts have. Others are not a host.
pub(super) const fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
}

/// A host text as an address; IPv6 with or without brackets.
pub(super) fn host_address(host: &str) -> Option<IpAddr> {
    let inner = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    match inner {
        Some(inner) => ipv6(inner).map(IpAddr::V6),
        None => host.parse().ok(),
    }
}

/// An IPv6 address. Deviation: `:::` before an embedded IPv4 address is read as `::`, because the
/// grammar of RFC 3261 before RFC 5954 made peers write it (RFC 5118 §4.10).
fn ipv6(text: &str) -> Option<Ipv6Addr> {
    text.parse()
        .or_else(|_| text.replacen(":::", "::", 1).parse())
        .ok()
}

/// Escapes what may not stand in a user part (RFC 3261 §25.1 `user`).
fn escape_user(user: &str, text: &mut String) {
    for byte in user.bytes() {
        let plain = byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'-' | b'_'
                    | b'.'
                    | b'!'
                    | b'~'
                    | b'*'
                    | b'\''
                    | b'('
                    | b')'
                    | b'&'
                    | b'='
                    | b'+'
                    | b'$'
                    | b','
                    | b';'
                    | b'?'
                    | b'/'
            );
        if plain {
            text.push(char::from(byte));
        } else {
            text.push('%');
            for digit in [byte >> 4, byte & 0xF] {
                let digit = char::from_digit(u32::from(digit), 16).unwrap_or('0');
                text.push(digit.to_ascii_uppercase());
            }
        }
    }
}

/// Resolves `%` escapes; a `%` that is no escape stays (RFC 4475 §3.1.1.5).
fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        match (first, after) {
            (b'%', [high, low, tail @ ..]) => {
                match (
                    char::from(*high).to_digit(16),
                    char::from(*low).to_digit(16),
                ) {
                    (Some(high), Some(low)) => {
                        plain.push(u8::try_from(high * 16 + low).unwrap_or(b'%'));
                        rest = tail;
                    }
                    _ => {
                        plain.push(b'%');
                        rest = after;
                    }
                }
            }
            _ => {
                plain.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(plain).map_or(Cow::Borrowed(text), Cow::Owned)
}

fn same_host(one: UriRef<'_>, other: UriRef<'_>) -> bool {
    match (one.host_address(), other.host_address()) {
        (Some(one), Some(other)) => one == other,
        _ => one.host().eq_ignore_ascii_case(other.host()),
    }
}

/// Each parameter of the one that the other has too must match; `user`, `ttl`, `method`, `maddr`
/// and `transport` must stand in both or in none.
fn parameters_agree(one: Parameters<'_>, other: Parameters<'_>) -> bool {
    one.iter().all(|parameter| {
        let name = std::str::from_utf8(parameter.name).unwrap_or_default();
        match (other.find(name), parameter.value) {
            (Some(found), value) => match (found.value, value) {
                (Some(theirs), Some(ours)) => unescaped_bytes_equal(theirs, ours),
                (None, None) => true,
                _ => false,
            },
            (None, _) => !["user", "ttl", "method", "maddr", "transport"]
                .iter()
                .any(|both| name.eq_ignore_ascii_case(both)),
        }
    })
}

fn unescaped_bytes_equal(one: &[u8], other: &[u8]) -> bool {
    match (std::str::from_utf8(one), std::str::from_utf8(other)) {
        (Ok(one), Ok(other)) => unescaped(one).eq_ignore_ascii_case(&unescaped(other)),
        _ => one == other,
    }
}

/// Headers match as a set, whatever their order.
fn same_headers(one: &str, other: &str) -> bool {
    let within = |one: &str, other: &str| {
        one.split('&').all(|field| {
            other
                .split('&')
                .any(|found| unescaped(found).eq_ignore_ascii_case(&unescaped(field)))
        })
    };
    one.is_empty() == other.is_empty() && within(one, other) && within(other, one)
}
