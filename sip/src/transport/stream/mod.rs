//! One message after the other out of a stream of octets (RFC 3261 §18.3, RFC 5626 §3.5.1).
//!
//! Owns the buffer of one connection and where messages begin and end in it. A stream that cannot be
//! framed is an error once and for ever: what would follow cannot be told from what came before, so
//! the connection must be closed. What a message means is judged elsewhere.

use crate::error::FrameError;
use crate::limits::STREAM_HEADER_SIZE_MAX;
use crate::message::{self, MESSAGE_SIZE_MAX};

/// What we send to keep a connection open, and to see whether it is (RFC 5626 §3.5.1).
pub const PING: &[u8] = b"\r\n\r\n";

/// The answer to [`PING`].
pub const PONG: &[u8] = b"\r\n";

/// What stands next in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// One message, start line to the end of its body.
    Message(&'a [u8]),
    /// Two line ends: [`PONG`] is due.
    Ping,
    /// The line end that was expected.
    Pong,
}

/// Cuts the octets of one connection into messages.
///
/// ```
/// use sip::transport::stream::{Frame, Framer};
///
/// let mut framer = Framer::default();
/// framer.push(b"\r\n\r\nOPTIONS sip:a SIP/2.0\r\nl: 2\r\n\r\nhiSIP");
/// assert_eq!(framer.next_frame(), Ok(Some(Frame::Ping)));
/// let message = Frame::Message(b"OPTIONS sip:a SIP/2.0\r\nl: 2\r\n\r\nhi");
/// assert_eq!(framer.next_frame(), Ok(Some(message)));
/// assert_eq!(framer.next_frame(), Ok(None));
/// assert!(framer.is_within_message());
/// ```
#[derive(Debug, Default)]
pub struct Framer {
    buffer: Vec<u8>,
    /// Where the next frame begins.
    start: usize,
    /// Where the header line begins that is not complete yet.
    line_start: usize,
    /// No line end between `line_start` and here.
    searched: usize,
    /// The size of the message, once its header is complete.
    size: Option<usize>,
    /// A ping of ours has no answer yet.
    expects_pong: bool,
    /// One line end came, which may be the first half of a ping.
    half_ping: bool,
    failed: Option<FrameError>,
}

impl Framer {
    /// Octets arrived. To be called when `next_frame` has said `None`: so the buffer holds no more
    /// than one unfinished message and what came last.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        debug_assert!(
            self.start <= self.line_start && self.line_start <= self.searched,
            "the scan goes forward"
        );
        self.buffer.drain(..self.start);
        self.line_start -= self.start;
        self.searched -= self.start;
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next frame; `None`: more octets are needed.
    ///
    /// # Errors
    /// The stream cannot be framed. The same error comes each time from then on.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, FrameError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        match self.advance() {
            Ok(Some(Step::Ping)) => Ok(Some(Frame::Ping)),
            Ok(Some(Step::Pong)) => Ok(Some(Frame::Pong)),
            Ok(Some(Step::Message { start, end })) => {
                let bytes = self.buffer.get(start..end).unwrap_or_default();
                debug_assert!(bytes.len() <= MESSAGE_SIZE_MAX, "the bound holds");
                Ok(Some(Frame::Message(bytes)))
            }
            Ok(None) => Ok(None),
            Err(error) => {
                self.failed = Some(error);
                self.buffer = Vec::new();
                Err(error)
            }
        }
    }

    /// True where a part of a message has come and the rest has not: a peer that stays so for long
    /// holds a connection for nothing.
    #[must_use]
    pub const fn is_within_message(&self) -> bool {
        self.start < self.buffer.len()
    }

    /// A ping of ours leaves: the next single line end is its answer.
    pub const fn expect_pong(&mut self) {
        self.expects_pong = true;
    }

    /// Octets that wait for the rest of their message.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.buffer.len().saturating_sub(self.start)
    }

    fn advance(&mut self) -> Result<Option<Step>, FrameError> {
        if self.size.is_none() {
            if let Some(step) = self.take_line_ends() {
                return Ok(Some(step));
            }
            match self.rest().first() {
                None | Some(b'\r') => return Ok(None),
                Some(first) if !is_start(*first) => return Err(FrameError::NotSip),
                Some(_) => self.half_ping = false,
            }
            let Some(header_end) = self.find_header_end()? else {
                return Ok(None);
            };
            let header = self.buffer.get(self.start..header_end).unwrap_or_default();
            // A peer may claim as much as a number holds.
            let size = header.len().saturating_add(content_length(header)?);
            if size > MESSAGE_SIZE_MAX {
                return Err(FrameError::BodyTooLong);
            }
            self.size = Some(size);
        }
        let size = self.size.filter(|size| *size <= self.held());
        Ok(size.map(|size| {
            let (start, end) = (self.start, self.start + size);
            self.size = None;
            self.begin_at(end);
            Step::Message { start, end }
        }))
    }

    /// RFC 3261 §7.5 lets line ends stand before a message; RFC 5626 §3.5.1 gives them a meaning.
    fn take_line_ends(&mut self) -> Option<Step> {
        loop {
            let length = match self.rest() {
                [b'\r', b'\n', ..] => 2,
                [b'\n', ..] => 1,
                _ => return None,
            };
            self.begin_at(self.start + length);
            if std::mem::take(&mut self.expects_pong) {
                return Some(Step::Pong);
            }
            if std::mem::replace(&mut self.half_ping, true) {
                self.half_ping = false;
                return Some(Step::Ping);
            }
        }
    }

    /// The first octet after the empty line, once that is there.
    fn find_header_end(&mut self) -> Result<Option<usize>, FrameError> {
        loop {
            let tail = self.buffer.get(self.searched..).unwrap_or_default();
            let Some(found) = memchr::memchr(b'\n', tail) else {
                self.searched = self.buffer.len();
                return if self.held() > STREAM_HEADER_SIZE_MAX {
                    Err(FrameError::HeaderTooLong)
                } else {
                    Ok(None)
                };
            };
            let end = self.searched + found + 1;
            if end - self.start > STREAM_HEADER_SIZE_MAX {
                return Err(FrameError::HeaderTooLong);
            }
            let line = self.buffer.get(self.line_start..end).unwrap_or_default();
            if matches!(line, b"\r\n" | b"\n") {
                return Ok(Some(end));
            }
            if self.line_start == self.start && message::parse(line).is_err() {
                return Err(FrameError::NotSip);
            }
            (self.line_start, self.searched) = (end, end);
        }
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    fn begin_at(&mut self, start: usize) {
        debug_assert!(start <= self.buffer.len(), "a frame ends within the buffer");
        self.start = start;
        self.line_start = start;
        self.searched = start;
    }
}

enum Step {
    Message { start: usize, end: usize },
    Ping,
    Pong,
}

/// What a method or `SIP/2.0` may begin with (RFC 3261 §25.1 `token`).
const fn is_start(byte: u8) -> bool {
    byte.is_ascii_graphic()
}

/// RFC 3261 §20.14: over a stream the header must stand. Two that disagree name no end of the
/// message; two that agree do, and the message is refused by who reads it.
fn content_length(header: &[u8]) -> Result<usize, FrameError> {
    let mut length = None;
    for line in Lines(header).skip(1) {
        let Some(colon) = memchr::memchr(b':', line) else {
            continue;
        };
        let (name, value) = line.split_at_checked(colon).unwrap_or_default();
        let name = name.trim_ascii();
        if !name.eq_ignore_ascii_case(b"content-length") && !name.eq_ignore_ascii_case(b"l") {
            continue;
        }
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        let value = decimal(value).ok_or(FrameError::ContentLength)?;
        if length.is_some_and(|earlier| earlier != value) {
            return Err(FrameError::ContentLength);
        }
        length = Some(value);
    }
    length.ok_or(FrameError::NoContentLength)
}

/// A number too large for the type is too large for us.
fn decimal(text: &[u8]) -> Option<usize> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?;
    Some(text.parse().unwrap_or(usize::MAX / 2))
}

/// Lines with those that continue them (RFC 3261 §7.3.1).
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let mut end = 0;
        loop {
            let tail = self.0.get(end..).filter(|tail| !tail.is_empty())?;
            end += memchr::memchr(b'\n', tail).map_or(tail.len(), |found| found + 1);
            if !matches!(self.0.get(end), Some(b' ' | b'\t')) {
                break;
            }
        }
        let (line, rest) = self.0.split_at_checked(end)?;
        self.0 = rest;
        Some(line)
    }
}

#[cfg(test)]
mod tests;
