//! SIP as the model peers read and write it: a start line, headers as text, a body.
//!
//! Deliberately small and deliberately not the product's parser: what the two understand
//! differently is a finding. It reads what a gateway writes, not everything RFC 3261 permits.

use std::fmt::Write as _;

use super::session::has_video;

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Text {
    /// Request line or status line.
    pub(crate) start: String,
    /// Names and values, in order.
    pub(crate) headers: Vec<(String, String)>,
    /// The body.
    pub(crate) body: String,
}

impl Text {
    /// Reads a datagram; `None` for what is no SIP message.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let start = lines.next()?.to_owned();
        if !start.starts_with("SIP/2.0 ") && !start.ends_with(" SIP/2.0") {
            return None;
        }
        let mut headers: Vec<(String, String)> = Vec::new();
        for line in lines {
            if line.starts_with([' ', '\t']) {
                let (_, value) = headers.last_mut()?;
                value.push(' ');
                value.push_str(line.trim());
                continue;
            }
            let (name, value) = line.split_once(':')?;
            headers.push((long_name(name.trim()).to_owned(), value.trim().to_owned()));
        }
        let message = Self {
            start,
            headers,
            body: body.to_owned(),
        };
        let length: usize = message
            .header("Content-Length")
            .map_or(Some(0), |v| v.parse().ok())?;
        (length == body.len()).then_some(message)
    }

    /// Writes it, with the Content-Length it needs.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut text = format!("{}\r\n", self.start);
        for (name, value) in &self.headers {
            let _ = write!(text, "{name}: {value}\r\n");
        }
        if !self.body.is_empty() && self.header("Content-Type").is_none() {
            text.push_str("Content-Type: application/sdp\r\n");
        }
        let _ = write!(
            text,
            "Content-Length: {}\r\n\r\n{}",
            self.body.len(),
            self.body
        );
        text.into_bytes()
    }

    /// Adds a header at the end.
    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// First value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(given, _)| given.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Every value of a header, in order.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(given, _)| given.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The method of a request; `None` for a response.
    pub(crate) fn request_method(&self) -> Option<&str> {
        if self.start.starts_with("SIP/2.0 ") {
            None
        } else {
            self.start.split(' ').next()
        }
    }

    /// The Request-URI of a request.
    pub(crate) fn request_uri(&self) -> Option<&str> {
        self.request_method()
            .and_then(|_| self.start.split(' ').nth(1))
    }

    /// The status of a response; `None` for a request.
    pub(crate) fn status(&self) -> Option<u16> {
        self.start
            .strip_prefix("SIP/2.0 ")?
            .split(' ')
            .next()?
            .parse()
            .ok()
    }

    /// Number and method of CSeq.
    pub(crate) fn cseq(&self) -> Option<(u32, &str)> {
        let (number, method) = self.header("CSeq")?.split_once(' ')?;
        Some((number.parse().ok()?, method.trim()))
    }

    /// The method this message is about: of the request, or of the request it answers.
    pub(crate) fn about(&self) -> &str {
        self.request_method()
            .or_else(|| self.cseq().map(|(_, method)| method))
            .unwrap_or("")
    }

    /// The Call-ID; empty where it is missing.
    pub(crate) fn call_id(&self) -> &str {
        self.header("Call-ID").unwrap_or("")
    }

    /// The branch of the topmost Via.
    pub(crate) fn branch(&self) -> &str {
        self.header("Via")
            .and_then(|via| parameter(via, "branch"))
            .unwrap_or("")
    }

    /// The tag in From or To.
    pub(crate) fn tag(&self, header: &str) -> Option<&str> {
        let value = self.header(header)?;
        // A parameter of the URI inside the angle brackets is no tag.
        let outside = value.rsplit_once('>').map_or(value, |(_, outside)| outside);
        parameter(outside, "tag")
    }

    /// The URI in the first Contact.
    pub(crate) fn contact_uri(&self) -> Option<&str> {
        uri_of(self.header("Contact")?)
    }

    /// True where it has this line, or one of that name whose value contains the rest.
    pub(crate) fn has_line(&self, line: &str) -> bool {
        let (name, wanted) = line.split_once(':').unwrap_or((line, ""));
        self.all(name.trim())
            .any(|value| value.contains(wanted.trim()))
    }

    /// In a line: the start and what it is about.
    pub(crate) fn summary(&self) -> String {
        let sdp = match has_video(&self.body) {
            _ if self.body.is_empty() => "",
            Some(true) => " (sdp, video)",
            Some(false) | None => " (sdp)",
        };
        match self.status() {
            Some(status) => format!("{status} {}{sdp}", self.about()),
            None => format!("{}{sdp}", self.about()),
        }
    }
}

/// The URI of a name-addr or addr-spec.
pub(crate) fn uri_of(value: &str) -> Option<&str> {
    match value.split_once('<') {
        Some((_, rest)) => rest.split_once('>').map(|(uri, _)| uri),
        None => value.split(';').next(),
    }
}

/// The user part of a URI, before its parameters.
pub(crate) fn user_of(uri: &str) -> &str {
    let rest = uri.strip_prefix("sip:").unwrap_or(uri);
    rest.split_once('@').map_or("", |(user, _)| user)
}

/// A parameter after the value of a header.
fn parameter<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    value.split(';').skip(1).find_map(|parameter| {
        let (given, value) = parameter.split_once('=')?;
        given
            .trim()
            .eq_ignore_ascii_case(name)
            .then(|| value.trim())
    })
}

fn long_name(name: &str) -> &str {
    match name {
        "v" => "Via",
        "f" => "From",
        "t" => "To",
        "i" => "Call-ID",
        "m" => "Contact",
        "l" => "Content-Length",
        "c" => "Content-Type",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_survives_writing_and_reading() {
        let message = Text {
            start: "INVITE sip:x@10.0.0.1 SIP/2.0".to_owned(),
            headers: Vec::new(),
            body: "v=0\r\n".to_owned(),
        }
        .with("Via", "SIP/2.0/UDP 10.1.0.1:5060;branch=z9hG4bKabc;rport")
        .with("From", "\"A\" <sip:a@10.1.0.1;tag=no>;tag=yes")
        .with("CSeq", "7 INVITE");
        let read = Text::parse(&message.encode()).unwrap();
        assert_eq!(read.branch(), "z9hG4bKabc");
        assert_eq!(read.tag("From"), Some("yes"));
        assert_eq!(read.cseq(), Some((7, "INVITE")));
        assert_eq!(read.body, "v=0\r\n");
        assert_eq!(read.summary(), "INVITE (sdp)");
    }

    #[test]
    fn noise_is_no_message() {
        assert_eq!(Text::parse(b"hello"), None);
        assert_eq!(
            Text::parse(b"INVITE x SIP/2.0\r\nContent-Length: 9\r\n\r\nv=0"),
            None
        );
    }

    #[test]
    fn the_user_of_a_uri_ends_at_the_at_sign() {
        assert_eq!(user_of("sip:610@example.net;user=phone"), "610");
        assert_eq!(uri_of("\"N\" <sip:a@b;x=y>;tag=1"), Some("sip:a@b;x=y"));
    }
}
