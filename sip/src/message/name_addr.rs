//! `name-addr` and `addr-spec` with their parameters: From, To, Contact, Route and their kin.

use super::parameter::Parameters;
use super::scan;
use super::uri::{Uri, UriRef};
use super::write::SendBuffer;

/// Longest display name that is written, in octets; a longer one is cut at a character.
pub const DISPLAY_NAME_SIZE_MAX: usize = 128;

/// An address inside a message (RFC 3261 §20.10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameAddrRef<'a> {
    display: &'a [u8],
    uri: UriRef<'a>,
    parameters: Parameters<'a>,
}

impl<'a> NameAddrRef<'a> {
    /// Reads one element of an address header. `None` where it is malformed.
    #[must_use]
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let text = scan::trim(text);
        let (display, rest) = if text.first() == Some(&b'"') {
            let (content, rest) = scan::split_quoted(text)?;
            (content, scan::trim_start(rest))
        } else if let Some(bracket) = memchr::memchr(b'<', text) {
            let (display, rest) = text.split_at_checked(bracket)?;
            let display = scan::trim(display);
            let stray = |byte: &u8| matches!(byte, b',' | b';' | b'"' | b'>' | b':' | b'\\');
            if display.iter().any(stray) {
                return None;
            }
            (display, rest)
        } else {
            return Self::parse_addr_spec(text);
        };
        let (uri, after) = scan::split_once(rest.strip_prefix(b"<")?, b'>')?;
        let parameters = Parameters::new(scan::trim(after));
        let uri = UriRef::parse(uri)?;
        parameters.is_well_formed().then_some(Self {
            display,
            uri,
            parameters,
        })
    }

    /// Without angle brackets every parameter belongs to the header, and the URI may hold no
    /// comma, question mark or semicolon (RFC 3261 §20.10).
    fn parse_addr_spec(text: &'a [u8]) -> Option<Self> {
        let (uri, parameters) = match memchr::memchr(b';', text) {
            Some(semicolon) => text.split_at_checked(semicolon)?,
            None => (text, &[][..]),
        };
        let uri = scan::trim_end(uri);
        if uri.iter().any(|byte| matches!(byte, b',' | b'?')) {
            return None;
        }
        let parameters = Parameters::new(parameters);
        let uri = UriRef::parse(uri)?;
        parameters.is_well_formed().then_some(Self {
            display: &[],
            uri,
            parameters,
        })
    }

    /// The display name without quotes and escapes; bytes that are not UTF-8 read as Latin-1.
    /// `None` where there is none or it is empty.
    #[must_use]
    pub fn display_name(&self) -> Option<String> {
        (!self.display.is_empty()).then(|| scan::unquoted_text(self.display))
    }

    /// The URI.
    #[must_use]
    pub const fn uri(&self) -> UriRef<'a> {
        self.uri
    }

    /// The parameters of the header, not those of the URI.
    #[must_use]
    pub const fn parameters(&self) -> Parameters<'a> {
        self.parameters
    }

    /// The `tag` parameter (RFC 3261 §19.3).
    #[must_use]
    pub fn tag(&self) -> Option<&'a [u8]> {
        self.parameters.value("tag").filter(|tag| !tag.is_empty())
    }

    /// The `expires` of a Contact in seconds; a malformed one is as none (RFC 3261 §10.3 step 7).
    #[must_use]
    pub fn expires_s(&self) -> Option<u32> {
        self.parameters.value("expires").and_then(scan::decimal)
    }

    /// The `q` of a Contact in thousandths, 1,000 where none is readable (RFC 3261 §25.1 `qvalue`).
    #[must_use]
    pub fn preference(&self) -> u16 {
        const WHOLE: u16 = 1_000;
        let Some(text) = self.parameters.value("q") else {
            return WHOLE;
        };
        let (whole, digits) = scan::split_once(text, b'.').unwrap_or((text, b""));
        if digits.len() > 3 || !digits.iter().all(u8::is_ascii_digit) {
            return WHOLE;
        }
        let thousandths = digits
            .iter()
            .chain(b"000")
            .take(3)
            .fold(0, |sum: u16, digit| sum * 10 + u16::from(digit - b'0'));
        if whole == b"0" { thousandths } else { WHOLE }
    }

    /// A copy that stands on its own.
    #[must_use]
    pub fn to_name_addr(&self) -> NameAddr {
        NameAddr {
            display_name: self.display_name().map(String::into_boxed_str),
            uri: self.uri.to_uri(),
            parameters: scan::text_of(self.parameters.as_bytes().to_vec()).into_boxed_str(),
        }
    }
}

/// An address that stands on its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameAddr {
    display_name: Option<Box<str>>,
    uri: Uri,
    parameters: Box<str>,
}

impl NameAddr {
    /// Only a URI.
    #[must_use]
    pub fn new(uri: Uri) -> Self {
        Self {
            display_name: None,
            uri,
            parameters: Box::default(),
        }
    }

    /// Reads one; see [`NameAddrRef::parse`].
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        NameAddrRef::parse(text).map(|found| found.to_name_addr())
    }

    /// With this display name, as plain text; it is quoted, cleaned and bounded when written.
    /// An empty one is none.
    #[must_use]
    pub fn with_display_name(mut self, name: &str) -> Self {
        self.display_name = (!name.is_empty()).then(|| name.into());
        self
    }

    /// With a parameter more. The value is written as a token where it is one, else quoted.
    /// A name that is no token adds nothing.
    #[must_use]
    pub fn with_parameter(mut self, name: &str, value: Option<&str>) -> Self {
        if scan::is_token(name.as_bytes()) {
            let mut text = SendBuffer::new();
            text.push(self.parameters.as_bytes());
            text.push(b";");
            text.push(name.as_bytes());
            if let Some(value) = value {
                text.push(b"=");
                if scan::is_token(value.as_bytes()) {
                    text.push(value.as_bytes());
                } else {
                    text.push_quoted(value, usize::MAX);
                }
            }
            self.parameters = String::from_utf8_lossy(text.as_bytes()).into();
        }
        self
    }

    /// With this tag in the place of any other; an empty tag takes it away.
    #[must_use]
    pub fn with_tag(self, tag: &str) -> Self {
        let rest = self.without_parameter("tag");
        if tag.is_empty() {
            rest
        } else {
            rest.with_parameter("tag", Some(tag))
        }
    }

    /// Without the parameters of this name.
    #[must_use]
    pub fn without_parameter(mut self, name: &str) -> Self {
        if self.parameters().contains(name) {
            let mut text = SendBuffer::new();
            for parameter in self.parameters() {
                if !parameter.name.eq_ignore_ascii_case(name.as_bytes()) {
                    text.push(b";");
                    text.push(parameter.name);
                    if let Some(value) = parameter.value {
                        text.push(b"=");
                        text.push(value);
                    }
                }
            }
            self.parameters = String::from_utf8_lossy(text.as_bytes()).into();
        }
        self
    }

    /// The display name, plain.
    #[must_use]
    pub fn display_name(&self) -> Option<&str> {
        self.display_name.as_deref()
    }

    /// The URI.
    #[must_use]
    pub const fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The parameters of the header.
    #[must_use]
    pub fn parameters(&self) -> Parameters<'_> {
        Parameters::new(self.parameters.as_bytes())
    }

    /// The `tag` parameter.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.parameters()
            .value("tag")
            .and_then(|tag| std::str::from_utf8(tag).ok())
    }

    /// Writes `"name" <uri>;parameters`.
    pub fn write(&self, buffer: &mut SendBuffer) {
        if let Some(name) = &self.display_name {
            buffer.push_quoted(name, DISPLAY_NAME_SIZE_MAX);
            buffer.push(b" ");
        }
        buffer.push(b"<");
        buffer.push(self.uri.as_str().as_bytes());
        buffer.push(b">");
        buffer.push_line_text(self.parameters.as_bytes());
    }
}
