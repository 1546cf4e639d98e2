//! One SIP message: bytes to view, and back.
//!
//! Owns RFC 3261 §7, §19.1, §20 and §25 as far as a gateway needs them. Knows no transaction and no
//! dialog. Reading borrows from the datagram and allocates nothing; typed values are read when
//! asked for.
//!
//! # Reading
//!
//! ```
//! use sip::message::{self, HeaderName, Method};
//!
//! let datagram = b"INVITE sip:bob@example.net SIP/2.0\r\n\
//!     v: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK7;rport\r\n\
//!     f: \"Alice\" <sip:alice@example.com>;tag=1\r\n\
//!     t: <sip:bob@example.net>\r\n\
//!     i: a@192.0.2.1\r\n\
//!     CSeq: 1 INVITE\r\n\
//!     l: 0\r\n\r\n";
//! let message = message::parse(datagram)?;       // Err: no SIP at all, drop it
//! assert_eq!(message.validate(), Ok(()));        // Err: what is wrong, and the status to answer
//! assert_eq!(message.method(), Some(Method::Invite));
//! let via = message.top_via().expect("validated");
//! assert_eq!((via.host(), via.has_rport()), ("192.0.2.1", true));
//! let from = message.from().expect("validated");
//! assert_eq!(from.display_name().as_deref(), Some("Alice"));
//! assert_eq!(from.tag(), Some(&b"1"[..]));
//! assert_eq!(message.value(&HeaderName::CallId), Some(&b"a@192.0.2.1"[..]));
//! # Ok::<(), sip::error::ParseError>(())
//! ```
//!
//! # Writing
//!
//! ```
//! use sip::message::{self, HeaderName, MessageWriter, SendBuffer, StatusCode};
//! # let datagram = b"OPTIONS sip:gw SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK7\r\nVia: SIP/2.0/UDP i\r\n\
//! #     From: <sip:a@b>;tag=1\r\nTo: <sip:gw>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\n\r\n";
//! let request = message::parse(datagram)?;
//! let mut buffer = SendBuffer::new();            // kept and reused by the caller
//! let mut response = MessageWriter::response(&mut buffer, StatusCode::OK);
//! response.copy(&HeaderName::Via, &request).copy(&HeaderName::From, &request);
//! for to in request.lines(&HeaderName::To) {
//!     response.copy_line_with(&to, &format_args!(";tag={}", "8f2"));
//! }
//! response.copy(&HeaderName::CallId, &request).copy(&HeaderName::CSeq, &request);
//! response.header_display(&HeaderName::MaxForwards, &70);
//! response.finish();                             // or finish_with_body("application/sdp", |b| …)
//! assert!(buffer.as_bytes().starts_with(b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK7\r\n"));
//! assert!(buffer.as_bytes().ends_with(b"To: <sip:gw>;tag=8f2\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\n\
//!     Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"));
//! # Ok::<(), sip::error::ParseError>(())
//! ```

mod body;
mod cseq;
mod header;
mod method;
mod name_addr;
mod parameter;
mod parse;
pub(crate) mod scan;
mod status;
mod uri;
mod validate;
mod via;
mod write;

use arrayvec::ArrayVec;

pub use self::body::{BODY_PARTS_MAX, sdp_of};
pub use self::cseq::{CSeq, RAck};
pub use self::header::HeaderName;
pub use self::method::Method;
pub use self::name_addr::{DISPLAY_NAME_SIZE_MAX, NameAddr, NameAddrRef};
pub use self::parameter::{Parameter, ParameterIter, Parameters};
pub use self::parse::{is_keep_alive, parse};
pub use self::scan::Elements;
pub use self::status::StatusCode;
pub use self::uri::{Scheme, URI_SIZE_MAX, Uri, UriRef};
pub use self::validate::{Defect, Invalid};
pub use self::via::{BRANCH_COOKIE, Via};
pub use self::write::{MessageWriter, SendBuffer};

use self::parse::Entry;

/// Headers that a message may have. Real INVITEs through several proxies have below 60.
pub const HEADERS_MAX: usize = 128;

/// Largest message: what a UDP datagram holds (RFC 3261 §18.1.1).
pub const MESSAGE_SIZE_MAX: usize = 65_535;

/// A view of one message in the bytes it came in.
#[derive(Debug, Clone)]
pub struct Message<'a> {
    bytes: &'a [u8],
    start: StartLine<'a>,
    headers: ArrayVec<Entry, HEADERS_MAX>,
    body: &'a [u8],
    defect: Option<Defect>,
}

/// The first line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartLine<'a> {
    /// RFC 3261 §7.1.
    Request {
        /// The method, as written.
        method: &'a [u8],
        /// The Request-URI, as written.
        uri: &'a [u8],
        /// `SIP/2.0`, or what else was there.
        version: &'a [u8],
    },
    /// RFC 3261 §7.2.
    Response {
        /// `SIP/2.0`, or what else was there.
        version: &'a [u8],
        /// The status.
        status: StatusCode,
        /// The reason phrase, as written.
        reason: &'a [u8],
    },
}

/// One header, where it stands in the message.
#[derive(Debug, Clone, Copy)]
pub struct HeaderLine<'a> {
    bytes: &'a [u8],
    entry: Entry,
}

impl<'a> HeaderLine<'a> {
    /// The name as written: long or compact, any case.
    #[must_use]
    pub fn name_bytes(&self) -> &'a [u8] {
        self.entry.name.of(self.bytes)
    }

    /// The name. Allocates only for a name we do not know.
    #[must_use]
    pub fn name(&self) -> HeaderName {
        HeaderName::from_bytes(self.name_bytes()).unwrap_or_else(|| HeaderName::Other("".into()))
    }

    /// True for this name, long or compact, in any case.
    #[must_use]
    pub fn is(&self, name: &HeaderName) -> bool {
        if let HeaderName::Other(text) = name {
            return self.entry.number == name.number()
                && self.name_bytes().eq_ignore_ascii_case(text.as_bytes());
        }
        self.entry.number == name.number()
    }

    /// The value without white space at its ends; a folded one holds its line ends.
    #[must_use]
    pub fn value(&self) -> &'a [u8] {
        self.entry.value.of(self.bytes)
    }

    /// The long form of a known name, else the name as written.
    fn long_name(&self) -> &'a [u8] {
        self.entry
            .number
            .text()
            .map_or_else(|| self.name_bytes(), str::as_bytes)
    }
}

impl<'a> Message<'a> {
    /// The first line.
    #[must_use]
    pub const fn start_line(&self) -> StartLine<'a> {
        self.start
    }

    /// The method of a request. Allocates only for a method we do not know.
    #[must_use]
    pub fn method(&self) -> Option<Method> {
        match self.start {
            StartLine::Request { method, .. } => Method::from_bytes(method),
            StartLine::Response { .. } => None,
        }
    }

    /// The Request-URI; `None` for a response, or where it cannot be read.
    #[must_use]
    pub fn request_uri(&self) -> Option<UriRef<'a>> {
        match self.start {
            StartLine::Request { uri, .. } => UriRef::parse(uri),
            StartLine::Response { .. } => None,
        }
    }

    /// The status of a response.
    #[must_use]
    pub const fn status(&self) -> Option<StatusCode> {
        match self.start {
            StartLine::Request { .. } => None,
            StartLine::Response { status, .. } => Some(status),
        }
    }

    /// All bytes from the start line on, with octets that do not belong to the body.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The body; empty where there is none.
    #[must_use]
    pub const fn body(&self) -> &'a [u8] {
        self.body
    }

    /// Every header in its order.
    pub fn headers(&self) -> impl Iterator<Item = HeaderLine<'a>> + '_ {
        self.headers.iter().map(|&entry| HeaderLine {
            bytes: self.bytes,
            entry,
        })
    }

    /// How many headers there are.
    #[must_use]
    pub fn header_count(&self) -> usize {
        self.headers.len()
    }

    /// The headers of this name in their order.
    pub fn lines<'m>(
        &'m self,
        name: &'m HeaderName,
    ) -> impl Iterator<Item = HeaderLine<'a>> + use<'m, 'a> {
        let number = name.number();
        self.headers
            .iter()
            .filter(move |entry| entry.number == number)
            .map(|&entry| HeaderLine {
                bytes: self.bytes,
                entry,
            })
            .filter(move |line| line.is(name))
    }

    /// The value of the first header of this name.
    #[must_use]
    pub fn value(&self, name: &HeaderName) -> Option<&'a [u8]> {
        self.lines(name).next().map(|line| line.value())
    }

    /// The value of the only header of this name; `None` also where there are several.
    #[must_use]
    pub fn only_value(&self, name: &HeaderName) -> Option<&'a [u8]> {
        let mut lines = self.lines(name);
        let first = lines.next()?;
        lines.next().is_none().then(|| first.value())
    }

    /// The comma-separated elements of all headers of this name (RFC 3261 §7.3.1).
    pub fn elements<'m>(
        &'m self,
        name: &'m HeaderName,
    ) -> impl Iterator<Item = &'a [u8]> + use<'m, 'a> {
        self.lines(name)
            .flat_map(|line| Elements::new(line.value()))
    }

    /// The addresses of all headers of this name; elements that cannot be read are left out
    /// ([`Message::validate`] refuses them in Contact, Route and Record-Route).
    pub fn addresses<'m>(
        &'m self,
        name: &'m HeaderName,
    ) -> impl Iterator<Item = NameAddrRef<'a>> + use<'m, 'a> {
        self.elements(name).filter_map(NameAddrRef::parse)
    }

    /// True where an element of this name is this token, in any case (`Supported: 100rel`).
    #[must_use]
    pub fn has_token(&self, name: &HeaderName, token: &str) -> bool {
        self.elements(name)
            .any(|element| element.eq_ignore_ascii_case(token.as_bytes()))
    }

    /// The topmost Via.
    #[must_use]
    pub fn top_via(&self) -> Option<Via<'a>> {
        self.elements(&HeaderName::Via).next().and_then(Via::parse)
    }

    /// From (RFC 3261 §20.20).
    #[must_use]
    pub fn from(&self) -> Option<NameAddrRef<'a>> {
        self.value(&HeaderName::From).and_then(NameAddrRef::parse)
    }

    /// To (RFC 3261 §20.39).
    #[must_use]
    pub fn to(&self) -> Option<NameAddrRef<'a>> {
        self.value(&HeaderName::To).and_then(NameAddrRef::parse)
    }

    /// Call-ID, where it stands once and is not empty (RFC 3261 §20.8). White space or a control
    /// character is in none (RFC 3261 §25.1), and would not come back as it went.
    #[must_use]
    pub fn call_id(&self) -> Option<&'a [u8]> {
        let is_foreign = |&byte: &u8| scan::is_space(byte) || byte.is_ascii_control();
        self.only_value(&HeaderName::CallId)
            .filter(|value| !value.is_empty() && !value.iter().any(is_foreign))
    }

    /// CSeq (RFC 3261 §20.16).
    #[must_use]
    pub fn cseq(&self) -> Option<CSeq> {
        self.value(&HeaderName::CSeq).and_then(CSeq::parse)
    }

    /// The first Contact that is an address.
    #[must_use]
    pub fn contact(&self) -> Option<NameAddrRef<'a>> {
        self.elements(&HeaderName::Contact)
            .next()
            .and_then(NameAddrRef::parse)
    }

    /// True for `Contact: *` (RFC 3261 §10.2.2).
    #[must_use]
    pub fn contact_is_star(&self) -> bool {
        self.only_value(&HeaderName::Contact) == Some(b"*")
    }

    /// Max-Forwards; `None` where it is absent, repeated or not 0 to 255 (RFC 3261 §20.22).
    #[must_use]
    pub fn max_forwards(&self) -> Option<u8> {
        self.only_value(&HeaderName::MaxForwards)
            .and_then(scan::decimal)
    }

    /// Type and subtype of the body, without parameters and white space around `/`.
    #[must_use]
    pub fn content_type(&self) -> Option<(&'a [u8], &'a [u8])> {
        body::media_type(self.value(&HeaderName::ContentType)?)
    }

    /// The SDP of the body: the body itself, or the part of a multipart that is `application/sdp`.
    #[must_use]
    pub fn sdp(&self) -> Option<&'a [u8]> {
        sdp_of(self.value(&HeaderName::ContentType), self.body)
    }

    /// Expires in seconds; a malformed value is as none (RFC 3261 §20.19).
    #[must_use]
    pub fn expires_s(&self) -> Option<u32> {
        self.value(&HeaderName::Expires).and_then(scan::decimal)
    }

    /// Min-Expires in seconds (RFC 3261 §20.23).
    #[must_use]
    pub fn min_expires_s(&self) -> Option<u32> {
        self.only_value(&HeaderName::MinExpires)
            .and_then(scan::decimal)
    }

    /// Retry-After in seconds, without its comment and parameters (RFC 3261 §20.33).
    #[must_use]
    pub fn retry_after_s(&self) -> Option<u32> {
        let value = self.value(&HeaderName::RetryAfter)?;
        let end = value
            .iter()
            .position(|byte| !byte.is_ascii_digit())
            .unwrap_or(value.len());
        scan::decimal(value.get(..end)?)
    }

    /// RSeq (RFC 3262 §7.1).
    #[must_use]
    pub fn rseq(&self) -> Option<u32> {
        self.only_value(&HeaderName::RSeq).and_then(scan::decimal)
    }

    /// `RAck` (RFC 3262 §7.2).
    #[must_use]
    pub fn rack(&self) -> Option<RAck> {
        self.only_value(&HeaderName::RAck).and_then(RAck::parse)
    }

    /// The Q.850 cause of a Reason header (RFC 3326 §2).
    #[must_use]
    pub fn q850_cause(&self) -> Option<u8> {
        self.reason_cause(b"Q.850").and_then(scan::decimal)
    }

    /// The status in a Reason header of protocol SIP (RFC 3326 §2); any number that fits.
    #[must_use]
    pub fn reason_status(&self) -> Option<u16> {
        self.reason_cause(b"SIP").and_then(scan::decimal)
    }

    /// The cause of the first Reason value of this protocol that has one.
    fn reason_cause(&self, wanted: &[u8]) -> Option<&'a [u8]> {
        self.elements(&HeaderName::Reason).find_map(|element| {
            let (protocol, parameters) = scan::split_unquoted(element, b';')?;
            let cause = Parameters::new(parameters).value("cause")?;
            scan::trim(protocol)
                .eq_ignore_ascii_case(wanted)
                .then_some(cause)
        })
    }
}

#[cfg(test)]
mod tests;
