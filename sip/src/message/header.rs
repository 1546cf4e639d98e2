//! Header names: those we know by number, all others kept as text.

use std::fmt;

use super::scan::is_token;

macro_rules! header_names {
    ($($variant:ident = $text:literal, $compact:expr;)*) => {
        /// The name of a header. Comparison ignores case, compact forms are the long ones.
        #[derive(Debug, Clone)]
        pub enum HeaderName {
            $(#[doc = concat!("`", $text, "`.")] $variant,)*
            /// Any other name, as written.
            Other(Box<str>),
        }

        /// Names and compact letters in the order of their numbers; 0: no compact form.
        const NAMES: &[(&str, u8)] = &[$(($text, $compact),)*];

        /// Numbers of the known names, in the order of the table.
        #[derive(Clone, Copy)]
        #[repr(u8)]
        enum Number { $($variant,)* Unknown }

        impl HeaderName {
            /// The number by which the index of a message holds this name.
            pub(crate) const fn number(&self) -> HeaderNumber {
                HeaderNumber(match self {
                    $(Self::$variant => Number::$variant as u8,)*
                    Self::Other(_) => Number::Unknown as u8,
                })
            }

            const fn of_number(number: HeaderNumber) -> Option<Self> {
                $(if number.0 == Number::$variant as u8 { return Some(Self::$variant); })*
                None
            }
        }
    };
}

header_names! {
    Accept = "Accept", 0;
    AcceptContact = "Accept-Contact", b'a';
    AcceptEncoding = "Accept-Encoding", 0;
    AcceptLanguage = "Accept-Language", 0;
    AlertInfo = "Alert-Info", 0;
    Allow = "Allow", 0;
    AllowEvents = "Allow-Events", b'u';
    AuthenticationInfo = "Authentication-Info", 0;
    Authorization = "Authorization", 0;
    CallId = "Call-ID", b'i';
    CallInfo = "Call-Info", 0;
    Contact = "Contact", b'm';
    ContentDisposition = "Content-Disposition", 0;
    ContentEncoding = "Content-Encoding", b'e';
    ContentLanguage = "Content-Language", 0;
    ContentLength = "Content-Length", b'l';
    ContentType = "Content-Type", b'c';
    CSeq = "CSeq", 0;
    Date = "Date", 0;
    Diversion = "Diversion", 0;
    ErrorInfo = "Error-Info", 0;
    Event = "Event", b'o';
    Expires = "Expires", 0;
    From = "From", b'f';
    HistoryInfo = "History-Info", 0;
    Identity = "Identity", b'y';
    InReplyTo = "In-Reply-To", 0;
    MaxForwards = "Max-Forwards", 0;
    MimeVersion = "MIME-Version", 0;
    MinExpires = "Min-Expires", 0;
    MinSe = "Min-SE", 0;
    Organization = "Organization", 0;
    PAccessNetworkInfo = "P-Access-Network-Info", 0;
    PAssertedIdentity = "P-Asserted-Identity", 0;
    PCalledPartyId = "P-Called-Party-ID", 0;
    PChargingVector = "P-Charging-Vector", 0;
    PPreferredIdentity = "P-Preferred-Identity", 0;
    Path = "Path", 0;
    Priority = "Priority", 0;
    Privacy = "Privacy", 0;
    ProxyAuthenticate = "Proxy-Authenticate", 0;
    ProxyAuthorization = "Proxy-Authorization", 0;
    ProxyRequire = "Proxy-Require", 0;
    RAck = "RAck", 0;
    Reason = "Reason", 0;
    RecordRoute = "Record-Route", 0;
    ReferTo = "Refer-To", b'r';
    ReferredBy = "Referred-By", b'b';
    RejectContact = "Reject-Contact", b'j';
    RemotePartyId = "Remote-Party-ID", 0;
    Replaces = "Replaces", 0;
    ReplyTo = "Reply-To", 0;
    RequestDisposition = "Request-Disposition", b'd';
    Require = "Require", 0;
    RetryAfter = "Retry-After", 0;
    Route = "Route", 0;
    RSeq = "RSeq", 0;
    Server = "Server", 0;
    ServiceRoute = "Service-Route", 0;
    SessionExpires = "Session-Expires", b'x';
    SessionId = "Session-ID", 0;
    Subject = "Subject", b's';
    SubscriptionState = "Subscription-State", 0;
    Supported = "Supported", b'k';
    Timestamp = "Timestamp", 0;
    To = "To", b't';
    Unsupported = "Unsupported", 0;
    UserAgent = "User-Agent", 0;
    Via = "Via", b'v';
    Warning = "Warning", 0;
    WwwAuthenticate = "WWW-Authenticate", 0;
}

/// A known header name as one octet; the last one is "not known".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeaderNumber(u8);

impl HeaderNumber {
    /// A name that is not in the table.
    pub(crate) const UNKNOWN: Self = Self(Number::Unknown as u8);

    /// Looks up a name as it stands on the wire: long or compact, any case.
    pub(crate) fn of(name: &[u8]) -> Self {
        let mut slot = hash(name);
        loop {
            match SLOTS.get(slot) {
                Some(&number) if number != EMPTY => {
                    let known = NAMES.get(usize::from(number));
                    if known.is_some_and(|(text, compact)| matches(name, text, *compact)) {
                        return Self(number);
                    }
                    slot = (slot + 1) % SLOT_COUNT;
                }
                _ => return Self::UNKNOWN,
            }
        }
    }
}

impl HeaderNumber {
    /// The long form; `None` for the number of unknown names.
    pub(crate) fn text(self) -> Option<&'static str> {
        NAMES.get(usize::from(self.0)).map(|(text, _)| *text)
    }
}

impl HeaderName {
    /// Reads a name, long or compact; `None` where the bytes are not a token.
    #[must_use]
    pub fn from_bytes(name: &[u8]) -> Option<Self> {
        match Self::of_number(HeaderNumber::of(name)) {
            Some(known) => Some(known),
            None if is_token(name) => Some(Self::Other(std::str::from_utf8(name).ok()?.into())),
            None => None,
        }
    }

    /// As it stands on the wire, in its long form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        if let Self::Other(text) = self {
            return text;
        }
        self.number().text().unwrap_or_default()
    }
}

impl PartialEq for HeaderName {
    fn eq(&self, other: &Self) -> bool {
        self.as_str().eq_ignore_ascii_case(other.as_str())
    }
}

impl Eq for HeaderName {}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn matches(name: &[u8], text: &str, compact: u8) -> bool {
    match name {
        [letter] => compact != 0 && letter.to_ascii_lowercase() == compact,
        _ => name.eq_ignore_ascii_case(text.as_bytes()),
    }
}

const SLOT_COUNT: usize = 512;
const EMPTY: u8 = u8::MAX;

/// From the length and both ends, case folded.
const fn hash(name: &[u8]) -> usize {
    match name {
        [] => 0,
        [only] => (*only | 0x20) as usize * 2 + 256,
        [first, .., last] => {
            ((*first | 0x20) as usize * 7 + (*last | 0x20) as usize * 31 + name.len() * 57)
                % SLOT_COUNT
        }
    }
}

/// Open addressing over [`NAMES`], filled at compile time.
static SLOTS: [u8; SLOT_COUNT] = slots();

#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "at compile time"
)]
const fn slots() -> [u8; SLOT_COUNT] {
    let mut slots = [EMPTY; SLOT_COUNT];
    let mut number = 0;
    while number < NAMES.len() {
        let (text, compact) = NAMES[number];
        let letter = [compact];
        let mut turn = 0;
        while turn < 2 {
            let mut slot = if turn == 0 {
                hash(text.as_bytes())
            } else {
                hash(&letter)
            };
            while slots[slot] != EMPTY {
                slot = (slot + 1) % SLOT_COUNT;
            }
            if turn == 0 || compact != 0 {
                slots[slot] = number as u8;
            }
            turn += 1;
        }
        number += 1;
    }
    slots
}

const _: () = {
    assert!(NAMES.len() < EMPTY as usize, "a number is one octet");
    assert!(SLOT_COUNT > 4 * NAMES.len(), "look-ups stay short");
};

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3261 §7.3.3 and the registry of compact forms.
    #[test]
    fn every_known_name_is_found_in_any_case_and_in_its_compact_form() {
        for (index, (text, compact)) in NAMES.iter().enumerate() {
            let number = HeaderNumber(u8::try_from(index).expect("small"));
            assert_eq!(HeaderNumber::of(text.as_bytes()), number, "{text}");
            assert_eq!(
                HeaderNumber::of(text.to_ascii_lowercase().as_bytes()),
                number,
                "{text}"
            );
            assert_eq!(
                HeaderNumber::of(text.to_ascii_uppercase().as_bytes()),
                number,
                "{text}"
            );
            if *compact != 0 {
                assert_eq!(HeaderNumber::of(&[*compact]), number, "{text}");
                assert_eq!(
                    HeaderNumber::of(&[compact.to_ascii_uppercase()]),
                    number,
                    "{text}"
                );
            }
            assert_eq!(
                HeaderName::of_number(number).expect("known").as_str(),
                *text
            );
        }
    }

    #[test]
    fn an_unknown_name_is_kept_as_written_and_compares_without_case() {
        let name = HeaderName::from_bytes(b"X-Genesys-CallUUID").expect("a token");
        assert_eq!(name.as_str(), "X-Genesys-CallUUID");
        assert_eq!(name, HeaderName::Other("x-genesys-calluuid".into()));
        assert_eq!(HeaderName::from_bytes(b"two words"), None);
        assert_eq!(HeaderName::from_bytes(b""), None);
        assert_eq!(HeaderNumber::of(b"q"), HeaderNumber::UNKNOWN);
    }
}
