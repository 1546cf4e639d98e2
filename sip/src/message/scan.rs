//! Byte scanning that every header parser shares: tokens, white space, quotes, lists.
//!
//! Owns no grammar of any one header. All functions are total over arbitrary bytes.

/// RFC 3261 §25.1 `token`.
#[inline]
pub(crate) fn is_token_byte(byte: u8) -> bool {
    TOKEN.get(usize::from(byte)).copied().unwrap_or_default()
}

/// [`is_token_byte`] of every byte; a look-up costs less than the comparisons.
#[expect(clippy::indexing_slicing, reason = "at compile time")]
static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte: u8 = 0;
    while byte < 0x80 {
        table[byte as usize] = allows_token(byte);
        byte += 1;
    }
    table
};

const fn allows_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~'
        )
}

/// True for one or more token bytes and nothing else.
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| is_token_byte(byte))
}

/// Linear white space as it stands inside a folded value: SP, HT, CR, LF.
pub(crate) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Without white space at the start.
pub(crate) fn trim_start(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text {
        if !is_space(*first) {
            break;
        }
        text = rest;
    }
    text
}

/// Without white space at the end.
pub(crate) fn trim_end(mut text: &[u8]) -> &[u8] {
    while let [rest @ .., last] = text {
        if !is_space(*last) {
            break;
        }
        text = rest;
    }
    text
}

/// Without white space at either end.
pub(crate) fn trim(text: &[u8]) -> &[u8] {
    trim_end(trim_start(text))
}

/// What stands before and after the first `byte`, quotes not looked at.
pub(crate) fn split_once(text: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let (before, rest) = text.split_at_checked(memchr::memchr(byte, text)?)?;
    Some((before, rest.get(1..)?))
}

/// What stands before the first `byte` outside quotes, and the rest from that byte on.
pub(crate) fn split_unquoted(text: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let mut quoted = false;
    let mut escaped = false;
    for (index, &found) in text.iter().enumerate() {
        if escaped {
            escaped = false;
        } else if quoted {
            match found {
                b'\\' => escaped = true,
                b'"' => quoted = false,
                _ => {}
            }
        } else if found == byte {
            return text.split_at_checked(index);
        } else if found == b'"' {
            quoted = true;
        }
    }
    None
}

/// A quoted string at the start: what is between the quotes, still escaped, and what follows.
/// `None` where the text does not begin with a quote or the quote never ends.
pub(crate) fn split_quoted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let inner = text.strip_prefix(b"\"")?;
    let mut escaped = false;
    for (index, &found) in inner.iter().enumerate() {
        if escaped {
            escaped = false;
        } else if found == b'\\' {
            escaped = true;
        } else if found == b'"' {
            let (content, rest) = inner.split_at_checked(index)?;
            return Some((content, rest.get(1..)?));
        }
    }
    None
}

/// Removes the escapes of a quoted string (RFC 3261 §25.1 `quoted-pair`) and turns folds into one
/// space. Bytes that are not UTF-8 are read as Latin-1, so nothing is lost.
pub(crate) fn unquoted_text(content: &[u8]) -> String {
    let mut plain = Vec::with_capacity(content.len());
    let mut escaped = false;
    for &byte in content {
        match byte {
            _ if escaped => {
                escaped = false;
                plain.push(byte);
            }
            b'\\' => escaped = true,
            b'\r' | b'\n' => {}
            _ => plain.push(byte),
        }
    }
    text_of(plain)
}

/// UTF-8, or else Latin-1 byte by byte.
pub(crate) fn text_of(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| {
        error
            .into_bytes()
            .iter()
            .map(|&byte| char::from(byte))
            .collect()
    })
}

/// Decimal digits only, no sign, no white space, bounded by the type.
pub(crate) fn decimal<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The elements of a comma-separated header value (RFC 3261 §7.3.1). Commas inside quotes and
/// inside angle brackets do not separate.
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Elements<'a> {
    /// Of this header value.
    #[must_use]
    pub const fn new(value: &'a [u8]) -> Self {
        Self { rest: Some(value) }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let (mut quoted, mut escaped, mut bracketed) = (false, false, false);
        for (index, &byte) in rest.iter().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                _ if quoted => {}
                b'<' => bracketed = true,
                b'>' => bracketed = false,
                b',' if !bracketed => {
                    let (element, tail) = rest.split_at_checked(index)?;
                    self.rest = tail.get(1..);
                    return Some(trim(element));
                }
                _ => {}
            }
        }
        self.rest = None;
        Some(trim(rest))
    }
}
