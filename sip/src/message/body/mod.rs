//! What a body is: media types, and the SDP inside a multipart (RFC 2046 §5.1, RFC 5621).

use super::parameter::Parameters;
use super::scan;

/// Parts of a multipart body that are looked at.
pub const BODY_PARTS_MAX: usize = 16;

/// Depth of multiparts within multiparts that is looked into.
const DEPTH_MAX: usize = 3;

/// Octets of a boundary (RFC 2046 §5.1.1).
const BOUNDARY_SIZE_MAX: usize = 70;

/// Type and subtype of a Content-Type value.
pub(super) fn media_type(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let (essence, _) = split_parameters(value);
    let (kind, subtype) = scan::split_once(essence, b'/')?;
    let (kind, subtype) = (scan::trim(kind), scan::trim(subtype));
    (scan::is_token(kind) && scan::is_token(subtype)).then_some((kind, subtype))
}

/// The SDP of a body with this Content-Type. A body without a type is taken for SDP where it
/// begins like one.
#[must_use]
pub fn sdp_of<'a>(content_type: Option<&[u8]>, body: &'a [u8]) -> Option<&'a [u8]> {
    sdp_within(content_type, body, DEPTH_MAX)
}

fn sdp_within<'a>(content_type: Option<&[u8]>, body: &'a [u8], depth: usize) -> Option<&'a [u8]> {
    let Some(value) = content_type else {
        return body.starts_with(b"v=0").then_some(body);
    };
    let (kind, subtype) = media_type(value)?;
    if kind.eq_ignore_ascii_case(b"application") && subtype.eq_ignore_ascii_case(b"sdp") {
        return (!body.is_empty()).then_some(body);
    }
    if !kind.eq_ignore_ascii_case(b"multipart") || depth == 0 {
        return None;
    }
    let (_, parameters) = split_parameters(value);
    let boundary = parameters
        .value("boundary")
        .filter(|boundary| !boundary.is_empty() && boundary.len() <= BOUNDARY_SIZE_MAX)?;
    let mut found = Parts {
        rest: body,
        boundary,
        count: 0,
    }
    .filter_map(|part| {
        let (headers, content) = split_headers(part);
        let inner = Some(part_type(headers));
        is_plain_session(headers)
            .then(|| sdp_within(inner, content, depth.saturating_sub(1)))
            .flatten()
    });
    // Of alternatives the last one that is understood is the best (RFC 2046 §5.1.4).
    let sdp = if subtype.eq_ignore_ascii_case(b"alternative") {
        found.last()
    } else {
        found.next()
    };
    debug_assert!(
        sdp.is_none_or(|sdp| sdp.len() <= body.len()),
        "a part lies within its body"
    );
    sdp
}

/// True for a part that describes the session and is written as it is. Another disposition is
/// another session (`early-session`, RFC 3959); an encoded part is for mail (RFC 3261 §7.4.1).
fn is_plain_session(headers: &[u8]) -> bool {
    let disposition = part_header(headers, &[b"Content-Disposition"]);
    let disposition = disposition.map(|value| scan::trim(split_parameters(value).0));
    let encoding = part_header(headers, &[b"Content-Transfer-Encoding"]);
    let is_one_of =
        |value: &[u8], words: &[&[u8]]| words.iter().any(|word| value.eq_ignore_ascii_case(word));
    disposition.is_none_or(|value| is_one_of(value, &[b"session", b"render"]))
        && encoding.is_none_or(|value| is_one_of(value, &[b"binary", b"8bit", b"7bit"]))
}

fn split_parameters(value: &[u8]) -> (&[u8], Parameters<'_>) {
    let (essence, parameters) = scan::split_unquoted(value, b';').unwrap_or((value, &[]));
    (essence, Parameters::new(parameters))
}

/// The Content-Type of a part; plain text where none is given.
fn part_type(headers: &[u8]) -> &[u8] {
    part_header(headers, &[b"Content-Type", b"c"]).unwrap_or(b"text/plain")
}

/// The first header of a part with one of these names.
fn part_header<'a>(headers: &'a [u8], names: &[&[u8]]) -> Option<&'a [u8]> {
    headers
        .split(|&byte| byte == b'\n')
        .filter_map(|line| scan::split_once(line, b':'))
        .find(|(name, _)| {
            let name = scan::trim(name);
            names.iter().any(|known| name.eq_ignore_ascii_case(known))
        })
        .map(|(_, value)| scan::trim(value))
}

/// Headers and content of a part, divided by its first empty line.
fn split_headers(part: &[u8]) -> (&[u8], &[u8]) {
    if let Some(content) = part
        .strip_prefix(b"\r\n")
        .or_else(|| part.strip_prefix(b"\n"))
    {
        return (&[], content);
    }
    // Whichever comes first: a peer may mix both line ends.
    let ends = [(&b"\r\n\r\n"[..], 4), (&b"\n\n"[..], 2)];
    let first = ends
        .iter()
        .filter_map(|(end, size)| Some((memchr::memmem::find(part, end)?, *size)))
        .min();
    if let Some((index, size)) = first {
        let content = part.get(index..).and_then(|rest| rest.get(size..));
        return (
            part.get(..index).unwrap_or_default(),
            content.unwrap_or_default(),
        );
    }
    (part, &[])
}

/// What follows a delimiter whose boundary was just read: nothing after the closing `--`, else the
/// next line. `None` where the line goes on, so that it was no delimiter.
fn after_delimiter(text: &[u8]) -> Option<&[u8]> {
    if text.starts_with(b"--") {
        return Some(&[]);
    }
    let (padding, rest) = scan::split_once(text, b'\n').unwrap_or((text, &[]));
    padding
        .iter()
        .all(|&byte| scan::is_space(byte))
        .then_some(rest)
}

/// The parts between the lines that begin with `--boundary`.
struct Parts<'a, 'b> {
    rest: &'a [u8],
    boundary: &'b [u8],
    count: usize,
}

impl<'a> Parts<'a, '_> {
    /// Takes everything up to the next delimiter line and that line; `None` without one.
    fn take_to_delimiter(&mut self) -> Option<&'a [u8]> {
        let mut from = 0;
        loop {
            let tail = self.rest.get(from..)?;
            let dashes = from + memchr::memmem::find(tail, b"--")?;
            let before = self.rest.get(..dashes)?;
            let after = self.rest.get(dashes..)?.get(2..)?;
            let at_line_start = before.is_empty() || before.ends_with(b"\n");
            let rest = after.strip_prefix(self.boundary).filter(|_| at_line_start);
            if let Some(rest) = rest.and_then(after_delimiter) {
                self.rest = rest;
                let content = before.strip_suffix(b"\n").unwrap_or(before);
                return Some(content.strip_suffix(b"\r").unwrap_or(content));
            }
            from = dashes + 2;
        }
    }
}

impl<'a> Iterator for Parts<'a, '_> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.count == 0 {
            self.take_to_delimiter()?;
        }
        self.count += 1;
        if self.count > BODY_PARTS_MAX {
            return None;
        }
        self.take_to_delimiter()
    }
}

#[cfg(test)]
mod tests;
