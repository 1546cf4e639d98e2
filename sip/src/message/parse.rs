//! Bytes to [`Message`]: start line, header index, body.
//!
//! Total: any bytes give a message or a [`ParseError`]. Lossless: a value is a slice of the input,
//! folds and all. Nothing is allocated, and nothing is judged here beyond what the framing needs;
//! [`Message::validate`] names what a request is refused for.

use arrayvec::ArrayVec;

use super::header::{HeaderName, HeaderNumber};
use super::scan;
use super::{Defect, HEADERS_MAX, MESSAGE_SIZE_MAX, Message, StartLine, StatusCode};
use crate::error::ParseError;

/// Where one header stands in the message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) number: HeaderNumber,
    pub(super) name: Span,
    pub(super) value: Span,
}

/// A part of the message; [`MESSAGE_SIZE_MAX`] keeps both ends within 16 bits.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Span {
    start: u16,
    end: u16,
}

impl Span {
    pub(super) fn of(self, bytes: &[u8]) -> &[u8] {
        bytes
            .get(usize::from(self.start)..usize::from(self.end))
            .unwrap_or_default()
    }
}

/// Reads one datagram (RFC 3261 §7, §18.3).
///
/// # Errors
///
/// Where the bytes are no SIP message at all: nothing can be answered, the datagram is dropped.
pub fn parse(datagram: &[u8]) -> Result<Message<'_>, ParseError> {
    if datagram.len() > MESSAGE_SIZE_MAX {
        return Err(ParseError::TooLarge);
    }
    let bytes = without_leading_line_ends(datagram);
    if bytes.is_empty() {
        return Err(ParseError::KeepAlive);
    }
    let mut scanner = Scanner {
        bytes,
        position: 0,
        defect: None,
    };
    let first = scanner.next_line().ok_or(ParseError::NotSip)?;
    let start = read_start_line(first.of(bytes), &mut scanner.defect)?;
    let mut message = Message {
        bytes,
        start,
        headers: ArrayVec::new(),
        body: &[],
        defect: None,
    };
    let mut content_length = ContentLength::Absent;
    let mut terminated = false;
    while let Some(line) = scanner.next_line() {
        if line.start == line.end {
            terminated = true;
            break;
        }
        let line = scanner.unfold(line);
        let Some(entry) = read_header(bytes, line) else {
            scanner.note(Defect::HeaderLine);
            continue;
        };
        if entry.number == HeaderName::ContentLength.number() {
            content_length = content_length.with(entry.value.of(bytes));
        }
        if message.headers.try_push(entry).is_err() {
            scanner.note(Defect::TooManyHeaders);
        }
    }
    if !terminated {
        scanner.note(Defect::NoEmptyLine);
    }
    let rest = bytes.get(scanner.position..).unwrap_or_default();
    debug_assert!(
        scanner.position <= bytes.len(),
        "the scanner stays within the datagram"
    );
    message.body = content_length.cut(rest, &mut scanner);
    debug_assert!(
        message.body.len() <= rest.len(),
        "a body is part of what came"
    );
    message.defect = scanner.defect;
    Ok(message)
}

/// True for what RFC 5626 §3.5.1 and practice send to keep a path open: line ends, or nothing.
#[must_use]
pub fn is_keep_alive(datagram: &[u8]) -> bool {
    datagram
        .iter()
        .all(|byte| matches!(byte, b'\r' | b'\n' | 0))
}

fn without_leading_line_ends(mut bytes: &[u8]) -> &[u8] {
    if is_keep_alive(bytes.get(..8).unwrap_or(bytes)) && is_keep_alive(bytes) {
        return &[];
    }
    while let [b'\r' | b'\n', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

struct Scanner<'a> {
    bytes: &'a [u8],
    position: usize,
    defect: Option<Defect>,
}

impl Scanner<'_> {
    /// The next line without its end. A line ends with CRLF or, as some peers have it, LF; the
    /// last line of an unterminated message ends with the bytes. `None` after the last byte.
    fn next_line(&mut self) -> Option<Span> {
        let start = self.position;
        let rest = self.bytes.get(start..).filter(|rest| !rest.is_empty())?;
        let mut from = 0;
        loop {
            let tail = rest.get(from..).unwrap_or_default();
            let Some(found) = memchr::memchr2(b'\r', b'\n', tail) else {
                self.position = self.bytes.len();
                return span(start, self.bytes.len());
            };
            let end = from + found;
            match (rest.get(end), rest.get(end + 1)) {
                (Some(b'\r'), Some(b'\n')) => {
                    self.position = start + end + 2;
                    return span(start, start + end);
                }
                (Some(b'\n'), _) => {
                    self.position = start + end + 1;
                    return span(start, start + end);
                }
                _ => {
                    self.note(Defect::BareCarriageReturn);
                    from = end + 1;
                }
            }
        }
    }

    /// Extends a header line over the lines that continue it (RFC 3261 §7.3.1).
    fn unfold(&mut self, line: Span) -> Span {
        let mut whole = line;
        while let Some(b' ' | b'\t') = self.bytes.get(self.position) {
            match self.next_line() {
                Some(next) => whole.end = next.end,
                None => break,
            }
        }
        whole
    }

    /// The first defect is the one that is named.
    fn note(&mut self, defect: Defect) {
        self.defect.get_or_insert(defect);
    }
}

fn span(start: usize, end: usize) -> Option<Span> {
    debug_assert!(start <= end, "a span has its ends in order");
    debug_assert!(end <= MESSAGE_SIZE_MAX, "no larger message is read");
    Some(Span {
        start: u16::try_from(start).ok()?,
        end: u16::try_from(end).ok()?,
    })
}

fn read_header(bytes: &[u8], line: Span) -> Option<Entry> {
    let text = line.of(bytes);
    let end = text
        .iter()
        .position(|&byte| !scan::is_token_byte(byte))
        .filter(|&end| end > 0)?;
    let (name, rest) = text.split_at_checked(end)?;
    let value = scan::trim_start(scan::trim_start(rest).strip_prefix(b":")?);
    let value_start = usize::from(line.start) + text.len() - value.len();
    let value_end = value_start + scan::trim_end(value).len();
    debug_assert!(
        value_start > usize::from(line.start) && value_end <= usize::from(line.end),
        "a value lies within its line, behind a name"
    );
    Some(Entry {
        number: HeaderNumber::of(name),
        name: span(usize::from(line.start), usize::from(line.start) + end)?,
        value: span(value_start, value_end)?,
    })
}

fn read_start_line<'a>(
    line: &'a [u8],
    defect: &mut Option<Defect>,
) -> Result<StartLine<'a>, ParseError> {
    let (first, rest) = scan::split_once(line, b' ').ok_or(ParseError::NotSip)?;
    if first
        .get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/"))
    {
        let (code, reason) = scan::split_once(rest, b' ').unwrap_or((rest, b""));
        let status = match code.len() {
            3 => scan::decimal(code).and_then(StatusCode::new),
            _ => None,
        };
        let status = status.ok_or(ParseError::StatusCode)?;
        return Ok(StartLine::Response {
            version: first,
            status,
            reason,
        });
    }
    let trimmed = scan::trim_end(rest);
    let space = memchr::memrchr(b' ', trimmed).ok_or(ParseError::NotSip)?;
    let (uri, version) = trimmed.split_at_checked(space).ok_or(ParseError::NotSip)?;
    let version = version.get(1..).unwrap_or_default();
    if !version
        .get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/"))
        || !scan::is_token(first)
    {
        return Err(ParseError::NotSip);
    }
    // RFC 4475 §3.1.2.9 and §3.1.2.10: one SP between the elements, none after the last.
    if trimmed.len() != rest.len() || uri != scan::trim(uri) {
        defect.get_or_insert(Defect::StartLineSpaces);
    }
    Ok(StartLine::Request {
        method: first,
        uri: scan::trim(uri),
        version,
    })
}

/// What the Content-Length headers said.
#[derive(Clone, Copy)]
enum ContentLength {
    Absent,
    Length(usize),
    Bad(Defect),
}

impl ContentLength {
    fn with(self, value: &[u8]) -> Self {
        match (self, scan::decimal(value)) {
            (Self::Absent, Some(length)) => Self::Length(length),
            (Self::Absent, None) => Self::Bad(Defect::ContentLength),
            (Self::Length(_), _) => Self::Bad(Defect::ContentLengthRepeated),
            (Self::Bad(defect), _) => Self::Bad(defect),
        }
    }

    /// RFC 3261 §18.3: octets beyond the length are discarded, too few are an error, and without
    /// the header the body is the rest of the datagram.
    fn cut<'a>(self, rest: &'a [u8], scanner: &mut Scanner<'_>) -> &'a [u8] {
        match self {
            Self::Absent => rest,
            Self::Length(length) => rest.get(..length).unwrap_or_else(|| {
                scanner.note(Defect::ContentLengthTooLarge);
                rest
            }),
            Self::Bad(defect) => {
                scanner.note(defect);
                rest
            }
        }
    }
}

const _: () = {
    assert!(
        MESSAGE_SIZE_MAX <= u16::MAX as usize,
        "a span has 16-bit ends"
    );
    assert!(HEADERS_MAX <= 256, "the index stays small enough to move");
};
