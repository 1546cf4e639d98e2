//! Serialising into the caller's buffer.
//!
//! A buffer is reused, so that a message costs no allocation once the buffer has grown. Whatever a
//! caller passes as a value, no CR, LF or NUL of it reaches the wire: only [`MessageWriter`] ends
//! lines. A header copied from a parsed message keeps its bytes, folds included.

use std::fmt::{self, Display, Write as _};

use super::header::HeaderName;
use super::method::Method;
use super::name_addr::NameAddr;
use super::status::StatusCode;
use super::{HeaderLine, Message};

/// Bytes to send; grows once, is reused.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct SendBuffer {
    bytes: Vec<u8>,
}

impl SendBuffer {
    /// Empty, without memory.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: Vec::new() }
    }

    /// Empty, with room for `size` octets.
    #[must_use]
    pub fn with_capacity(size: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(size),
        }
    }

    /// What was written.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// True where nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Octets written.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets the content, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Appends bytes as they are.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends bytes that shall stay within one line: CR, LF and NUL become spaces.
    pub fn push_line_text(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((clean, tail)) =
            memchr::memchr3(b'\r', b'\n', 0, rest).and_then(|index| rest.split_at_checked(index))
        {
            self.bytes.extend_from_slice(clean);
            self.bytes.push(b' ');
            rest = tail.get(1..).unwrap_or_default();
        }
        self.bytes.extend_from_slice(rest);
    }

    /// Appends what `value` displays, within one line.
    pub fn push_display(&mut self, value: &impl Display) {
        struct LineText<'a>(&'a mut SendBuffer);
        impl fmt::Write for LineText<'_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                self.0.push_line_text(text.as_bytes());
                Ok(())
            }
        }
        let written = write!(LineText(self), "{value}");
        debug_assert!(written.is_ok(), "memory takes what a Display gives");
    }

    /// Appends a quoted string (RFC 3261 §25.1): `"` and `\` escaped, control characters left out,
    /// no more than `size_max` octets of the text, whole characters only.
    pub fn push_quoted(&mut self, text: &str, size_max: usize) {
        self.bytes.push(b'"');
        let mut left = size_max;
        for character in text.chars().filter(|character| !character.is_control()) {
            let Some(remaining) = left.checked_sub(character.len_utf8()) else {
                break;
            };
            left = remaining;
            if matches!(character, '"' | '\\') {
                self.bytes.push(b'\\');
            }
            let mut utf8 = [0; 4];
            self.bytes
                .extend_from_slice(character.encode_utf8(&mut utf8).as_bytes());
        }
        self.bytes.push(b'"');
    }

    /// Puts `bytes` in before `position`.
    fn insert(&mut self, position: usize, bytes: &[u8]) {
        let end = self.bytes.len();
        debug_assert!(position <= end, "a place within the text");
        let position = position.min(end);
        self.bytes.extend_from_slice(bytes);
        self.bytes
            .copy_within(position..end, position + bytes.len());
        if let Some(gap) = self.bytes.get_mut(position..position + bytes.len()) {
            gap.copy_from_slice(bytes);
        }
    }
}

impl AsRef<[u8]> for SendBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Writes one message: a start line, headers in the order of the calls, then [`finish`] or
/// [`finish_with_body`], which write Content-Length last.
///
/// [`finish`]: MessageWriter::finish
/// [`finish_with_body`]: MessageWriter::finish_with_body
#[derive(Debug)]
#[must_use = "a message without its last line is none"]
pub struct MessageWriter<'a> {
    buffer: &'a mut SendBuffer,
}

impl<'a> MessageWriter<'a> {
    /// Begins a request. The buffer is cleared first.
    pub fn request(buffer: &'a mut SendBuffer, method: &Method, uri: &str) -> Self {
        buffer.clear();
        buffer.push_line_text(method.as_str().as_bytes());
        buffer.push(b" ");
        buffer.push_line_text(uri.as_bytes());
        buffer.push(b" SIP/2.0\r\n");
        Self { buffer }
    }

    /// Begins a response with the reason phrase of its status. The buffer is cleared first.
    pub fn response(buffer: &'a mut SendBuffer, status: StatusCode) -> Self {
        Self::response_with_reason(buffer, status, status.reason())
    }

    /// Begins a response with a reason phrase of its own.
    pub fn response_with_reason(
        buffer: &'a mut SendBuffer,
        status: StatusCode,
        reason: &str,
    ) -> Self {
        buffer.clear();
        buffer.push(b"SIP/2.0 ");
        buffer.push_display(&status);
        buffer.push(b" ");
        buffer.push_line_text(reason.as_bytes());
        buffer.push(b"\r\n");
        Self { buffer }
    }

    /// A header with this value; CR, LF and NUL in it become spaces.
    pub fn header(&mut self, name: &HeaderName, value: &[u8]) -> &mut Self {
        self.begin(name);
        self.buffer.push_line_text(value);
        self.end()
    }

    /// A header with what `value` displays: a number, a URI, `format_args!`.
    pub fn header_display(&mut self, name: &HeaderName, value: &impl Display) -> &mut Self {
        self.begin(name);
        self.buffer.push_display(value);
        self.end()
    }

    /// An address header.
    pub fn name_addr(&mut self, name: &HeaderName, value: &NameAddr) -> &mut Self {
        self.begin(name);
        value.write(self.buffer);
        self.end()
    }

    /// Every header of this name in `message`, byte by byte in its order.
    pub fn copy(&mut self, name: &HeaderName, message: &Message<'_>) -> &mut Self {
        for line in message.lines(name) {
            self.copy_line(&line);
        }
        self
    }

    /// One header of a parsed message, byte by byte. The name is written in its long form. Line
    /// ends that are no fold (they stand only in messages that `validate` refuses) become spaces.
    pub fn copy_line(&mut self, line: &HeaderLine<'_>) -> &mut Self {
        self.copy_line_with(line, &"")
    }

    /// One header of a parsed message, byte by byte, with parameters added at its end: the To of a
    /// response that gets our tag (RFC 3261 §8.2.6.2), the Via that gets `received`.
    pub fn copy_line_with(&mut self, line: &HeaderLine<'_>, added: &impl Display) -> &mut Self {
        self.buffer.push(line.long_name());
        self.buffer.push(b": ");
        if is_folded_well(line.value()) {
            self.buffer.push(line.value());
        } else {
            self.buffer.push_line_text(line.value());
        }
        self.buffer.push_display(added);
        self.end()
    }

    /// Ends a message without a body.
    pub fn finish(self) {
        debug_assert!(
            self.buffer.as_bytes().ends_with(b"\r\n"),
            "the last header is whole"
        );
        self.buffer.push(b"Content-Length: 0\r\n\r\n");
    }

    /// Ends a message with a body, which `write` appends.
    pub fn finish_with_body(mut self, content_type: &str, write: impl FnOnce(&mut SendBuffer)) {
        self.header(&HeaderName::ContentType, content_type.as_bytes());
        self.buffer.push(b"Content-Length: ");
        let place = self.buffer.len();
        self.buffer.push(b"\r\n\r\n");
        let start = self.buffer.len();
        write(self.buffer);
        let size = self.buffer.len().saturating_sub(start);
        let mut reversed = arrayvec::ArrayVec::<u8, 20>::new();
        let mut left = size;
        while left > 0 || reversed.is_empty() {
            reversed.push(b"0123456789".get(left % 10).copied().unwrap_or_default());
            left /= 10;
        }
        reversed.reverse();
        debug_assert!(
            (1..=20).contains(&reversed.len()),
            "a length has digits, and no more than 64 bits do"
        );
        self.buffer.insert(place, &reversed);
    }

    fn begin(&mut self, name: &HeaderName) {
        debug_assert!(
            self.buffer.as_bytes().ends_with(b"\r\n"),
            "a header begins a line"
        );
        self.buffer.push_line_text(name.as_str().as_bytes());
        self.buffer.push(b": ");
    }

    fn end(&mut self) -> &mut Self {
        self.buffer.push(b"\r\n");
        self
    }
}

/// True where every line end in the value is CRLF with white space after it.
fn is_folded_well(value: &[u8]) -> bool {
    let mut rest = value;
    while let Some((_, tail)) =
        memchr::memchr3(b'\r', b'\n', 0, rest).and_then(|index| rest.split_at_checked(index))
    {
        match tail {
            [b'\r', b'\n', b' ' | b'\t', after @ ..] => rest = after,
            _ => return false,
        }
    }
    true
}
