//! `;name=value` parameters of headers and URIs.

use super::scan;

/// The parameters after a header value or in a URI, in their order, as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Parameters<'a> {
    text: &'a [u8],
}

/// One parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter<'a> {
    /// The name; compare without case.
    pub name: &'a [u8],
    /// The value as written, with its quotes; `None`: no `=`.
    pub value: Option<&'a [u8]>,
}

impl<'a> Parameters<'a> {
    /// Of a text that is empty or begins with `;`.
    #[must_use]
    pub const fn new(text: &'a [u8]) -> Self {
        Self { text }
    }

    /// All of them, as written, with the leading `;`.
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.text
    }

    /// One after the other.
    #[must_use]
    pub const fn iter(self) -> ParameterIter<'a> {
        ParameterIter { rest: self.text }
    }

    /// The first one of this name.
    #[must_use]
    pub fn find(self, name: &str) -> Option<Parameter<'a>> {
        self.iter()
            .find(|parameter| parameter.name.eq_ignore_ascii_case(name.as_bytes()))
    }

    /// The value of the first one of this name, without quotes around it; `None` also for a
    /// parameter without a value.
    #[must_use]
    pub fn value(self, name: &str) -> Option<&'a [u8]> {
        let value = self.find(name)?.value?;
        Some(scan::split_quoted(value).map_or(value, |(content, _)| content))
    }

    /// True where a parameter of this name stands, with or without a value.
    #[must_use]
    pub fn contains(self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// RFC 3261 §25.1 `generic-param`: names are tokens; values are tokens, hosts or quoted.
    pub(crate) fn is_well_formed(self) -> bool {
        (self.text.is_empty() || self.text.first() == Some(&b';'))
            && self.iter().all(|parameter| {
                scan::is_token(parameter.name)
                    && parameter.value.is_none_or(|value| match value {
                        [b'"', ..] => {
                            scan::split_quoted(value).is_some_and(|(_, rest)| rest.is_empty())
                        }
                        value => !value.is_empty() && value.iter().all(|&b| is_value_byte(b)),
                    })
            })
    }
}

/// Token bytes, what a host or an IPv6 reference needs, and what peers put there unquoted.
fn is_value_byte(byte: u8) -> bool {
    scan::is_token_byte(byte)
        || byte >= 0x80
        || matches!(
            byte,
            b'[' | b']'
                | b':'
                | b'/'
                | b'@'
                | b'$'
                | b'&'
                | b'='
                | b'#'
                | b'?'
                | b'^'
                | b'|'
                | b'{'
                | b'}'
                | b'('
                | b')'
        )
}

impl<'a> IntoIterator for Parameters<'a> {
    type Item = Parameter<'a>;
    type IntoIter = ParameterIter<'a>;

    fn into_iter(self) -> ParameterIter<'a> {
        self.iter()
    }
}

/// Walks [`Parameters`].
#[derive(Debug, Clone)]
pub struct ParameterIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for ParameterIter<'a> {
    type Item = Parameter<'a>;

    fn next(&mut self) -> Option<Parameter<'a>> {
        let (_, text) = self.rest.split_first()?;
        let (one, rest) = scan::split_unquoted(text, b';').unwrap_or((text, &[]));
        self.rest = rest;
        Some(match scan::split_once(one, b'=') {
            Some((name, value)) => Parameter {
                name: scan::trim(name),
                value: Some(scan::trim(value)),
            },
            None => Parameter {
                name: scan::trim(one),
                value: None,
            },
        })
    }
}
