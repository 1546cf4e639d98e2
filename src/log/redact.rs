//! What never reaches a log, a ladder or a capture: passwords, digest responses and nonces, keys of
//! media, digits that a caller dials in a call, tokens. Everybody who shows a message to somebody
//! passes it through here; there is no second list.

/// What stands where something was.
const MASK: &str = "***";

/// Header fields whose parameters are secrets or can be replayed (RFC 3261 §22, RFC 8760); of them
/// the scheme, the user and the realm stay.
const DIGEST_HEADERS: [&str; 5] = [
    "authorization",
    "proxy-authorization",
    "www-authenticate",
    "proxy-authenticate",
    "authentication-info",
];
/// Parameters of these that may be seen.
const DIGEST_OPEN: [&str; 7] = [
    "username",
    "realm",
    "algorithm",
    "qop",
    "uri",
    "stale",
    "nc",
];
/// Header fields that are secret whole.
const SECRET_HEADERS: [&str; 4] = ["cookie", "set-cookie", "x-sluice-signature", "identity"];
/// Attributes of SDP that hold keys (RFC 4568, RFC 8839).
const SECRET_ATTRIBUTES: [&str; 4] = ["crypto", "ice-pwd", "key-mgmt", "3ge2ae"];
/// Body types whose lines are digits of the caller.
const DIGIT_BODIES: [&str; 3] = [
    "application/dtmf-relay",
    "application/dtmf",
    "application/vnd.nortelnetworks.digits",
];
/// Words before `=` or `:` in any text whose value is secret.
const SECRET_WORDS: [&str; 9] = [
    "password",
    "passwd",
    "secret",
    "token",
    "nonce",
    "cnonce",
    "response",
    "inline",
    "signature",
];
/// What a token of ours begins with.
const TOKEN_PREFIX: &str = "sl_";
/// Characters after it.
const TOKEN_CHARACTERS: usize = 43;

/// A SIP or HTTP message as others may see it. Lines keep their order and ends; a body of digits
/// is masked, keys in SDP too. Any octets may come; what is no text stays as it is.
#[must_use]
pub fn message(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len());
    let mut place = Place::Head {
        digits: false,
        secret: false,
    };
    for line in message.split_inclusive(|octet| *octet == b'\n') {
        let (content, end) = without_end(line);
        place = match place {
            Place::Head { digits, .. } if content.is_empty() => {
                out.extend_from_slice(end);
                Place::Body { digits }
            }
            Place::Head { digits, secret } => {
                let secret = header(content, secret, &mut out);
                out.extend_from_slice(end);
                Place::Head {
                    digits: digits || is_digit_body(content),
                    secret,
                }
            }
            Place::Body { digits } => {
                body(content, digits, &mut out);
                out.extend_from_slice(end);
                // A part of a multipart body has its own type.
                Place::Body {
                    digits: digits || is_digit_body(content),
                }
            }
        };
    }
    out
}

/// A text of ours as a log may show it: values after words such as `password=`, bearer tokens, our
/// own tokens.
#[must_use]
pub fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, secret, after)) = next_secret(rest) {
        out.push_str(before);
        if !secret.is_empty() {
            out.push_str(MASK);
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

enum Place {
    /// `secret`: the header that this line may continue is a secret one.
    Head {
        digits: bool,
        secret: bool,
    },
    Body {
        digits: bool,
    },
}

fn without_end(line: &[u8]) -> (&[u8], &[u8]) {
    let content = line.strip_suffix(b"\n").unwrap_or(line);
    let content = content.strip_suffix(b"\r").unwrap_or(content);
    line.split_at(content.len())
}

/// One line of the head; true: what it says is secret, so a folded line after it is too.
fn header(line: &[u8], continued: bool, out: &mut Vec<u8>) -> bool {
    if line
        .first()
        .is_some_and(|octet| matches!(octet, b' ' | b'\t'))
    {
        if continued {
            out.extend_from_slice(b" ");
            out.extend_from_slice(MASK.as_bytes());
        } else {
            out.extend_from_slice(line);
        }
        return continued;
    }
    let colon = line.iter().position(|octet| *octet == b':');
    let Some((name, value)) = colon.and_then(|colon| line.split_at_checked(colon)) else {
        out.extend_from_slice(line);
        return false;
    };
    let name_text = String::from_utf8_lossy(name).trim().to_ascii_lowercase();
    if SECRET_HEADERS.contains(&name_text.as_str()) {
        out.extend_from_slice(name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(MASK.as_bytes());
        return true;
    }
    if DIGEST_HEADERS.contains(&name_text.as_str()) {
        out.extend_from_slice(name);
        out.extend_from_slice(digest(&String::from_utf8_lossy(value)).as_bytes());
        return true;
    }
    out.extend_from_slice(line);
    false
}

/// A value such as `: Digest username="a", nonce="b"`: the scheme and the parameters of the open
/// list stay.
fn digest(value: &str) -> String {
    let value = value.trim_start_matches(':').trim();
    let (scheme, parameters) = value.split_once(char::is_whitespace).unwrap_or((value, ""));
    let is_digest = scheme.eq_ignore_ascii_case("digest");
    // `Authentication-Info` has no scheme.
    if !is_digest && !value.contains("=\"") {
        let scheme = if parameters.is_empty() { "" } else { scheme };
        return format!(": {scheme} {MASK}").replace("  ", " ");
    }
    let (head, parameters) = if is_digest {
        (format!(": {scheme} "), parameters)
    } else {
        (": ".to_owned(), value)
    };
    let shown: Vec<String> = pieces(parameters).map(parameter).collect();
    head + &shown.join(", ")
}

fn parameter(piece: &str) -> String {
    let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
    let name = name.trim();
    if DIGEST_OPEN.contains(&name.to_ascii_lowercase().as_str()) {
        return format!("{name}={}", value.trim());
    }
    format!("{name}={MASK}")
}

/// Cuts at commas outside of quotes.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |character| {
        quoted ^= character == '"';
        character == ',' && !quoted
    })
    .filter(|piece| !piece.trim().is_empty())
}

fn is_digit_body(line: &[u8]) -> bool {
    let line = String::from_utf8_lossy(line).to_ascii_lowercase();
    let Some((name, value)) = line.split_once(':') else {
        return false;
    };
    matches!(name.trim(), "content-type" | "c")
        && DIGIT_BODIES
            .iter()
            .any(|kind| value.trim().starts_with(kind))
}

/// A line of a body; a peer's reader may take a lone CR for the end of a line too.
fn body(line: &[u8], digits: bool, out: &mut Vec<u8>) {
    let mut masked = Vec::with_capacity(line.len());
    for (place, piece) in line.split(|octet| *octet == b'\r').enumerate() {
        if place > 0 {
            masked.push(b'\r');
        }
        body_line(piece, digits, &mut masked);
    }
    let content = String::from_utf8_lossy(&masked);
    let shown = text(&content);
    let is_open = shown == content;
    out.extend_from_slice(if is_open { &masked } else { shown.as_bytes() });
}

fn body_line(line: &[u8], digits: bool, out: &mut Vec<u8>) {
    if digits && !line.is_empty() && !line.starts_with(b"--") && !is_digit_body(line) {
        out.extend_from_slice(MASK.as_bytes());
        return;
    }
    let content = String::from_utf8_lossy(line);
    let attribute = content.strip_prefix("a=");
    let open = attribute.and_then(|rest| rest.get(..secret_from(rest)?));
    match (open, content.starts_with("k=")) {
        (Some(open), _) => out.extend_from_slice(format!("a={open}{MASK}").as_bytes()),
        // RFC 8866 §5.12, obsolete and sent all the same.
        (None, true) => out.extend_from_slice(format!("k={MASK}").as_bytes()),
        (None, false) => out.extend_from_slice(line),
    }
}

/// Where the secret of an attribute begins, in the text after `a=`.
fn secret_from(attribute: &str) -> Option<usize> {
    let mut rest = attribute;
    loop {
        let (name, value) = rest.split_once(':')?;
        let name = name.trim().to_ascii_lowercase();
        if SECRET_ATTRIBUTES.contains(&name.as_str()) {
            return Some(attribute.len() - value.len());
        }
        // RFC 5939 §3.4.1: `a=acap:1 key-mgmt:mikey …`
        if name != "acap" {
            return None;
        }
        let (_number, potential) = value.trim_start().split_once(char::is_whitespace)?;
        rest = potential;
    }
}

/// The next secret: what stands before it, itself, what stands after it.
fn next_secret(text: &str) -> Option<(&str, &str, &str)> {
    [after_word(text), after_bearer(text), own_token(text)]
        .into_iter()
        .flatten()
        .min_by_key(|(start, _)| *start)
        .and_then(|(start, end)| {
            let (head, after) = text.split_at_checked(end)?;
            let (before, secret) = head.split_at_checked(start)?;
            Some((before, secret, after))
        })
}

/// `password=…`, `"nonce": "…"`: start and end of the value.
fn after_word(text: &str) -> Option<(usize, usize)> {
    let lower = text.to_ascii_lowercase();
    let mut best: Option<(usize, usize)> = None;
    for word in SECRET_WORDS {
        for (at, _) in lower.match_indices(word) {
            let before = lower
                .get(..at)
                .and_then(|before| before.chars().next_back());
            if before.is_some_and(|before| before.is_alphanumeric() || before == '-') {
                continue;
            }
            let Some(rest) = text.get(at + word.len()..) else {
                continue;
            };
            let value = rest.strip_prefix('"').unwrap_or(rest).trim_start();
            let Some(value) = value
                .strip_prefix(['=', ':'])
                .map(str::trim_start)
                .map(|value| value.strip_prefix('"').unwrap_or(value))
            else {
                continue;
            };
            let start = text.len() - value.len();
            let length = value
                .find(|end: char| end.is_whitespace() || matches!(end, '"' | ',' | ';' | '&' | '}'))
                .unwrap_or(value.len());
            // What is masked already is no secret any more.
            if length > 0 && value.get(..length) != Some(MASK) {
                let found = (start, start + length);
                if best.is_none_or(|best| found.0 < best.0) {
                    best = Some(found);
                }
                break;
            }
        }
    }
    best
}

fn after_bearer(text: &str) -> Option<(usize, usize)> {
    let lower = text.to_ascii_lowercase();
    let at = lower.find("bearer ")? + "bearer ".len();
    let value = text.get(at..)?;
    let length = value.find(char::is_whitespace).unwrap_or(value.len());
    (length > 0).then_some((at, at + length))
}

fn own_token(text: &str) -> Option<(usize, usize)> {
    text.match_indices(TOKEN_PREFIX).find_map(|(at, _)| {
        let value = text.get(at + TOKEN_PREFIX.len()..)?;
        let length = value
            .find(|end: char| !(end.is_ascii_alphanumeric() || matches!(end, '-' | '_')))
            .unwrap_or(value.len());
        (length >= TOKEN_CHARACTERS).then_some((at, at + TOKEN_PREFIX.len() + length))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(lines: &str) -> String {
        String::from_utf8(message(lines.replace('\n', "\r\n").as_bytes()))
            .unwrap()
            .replace("\r\n", "\n")
    }

    #[test]
    fn digest_keeps_who_and_where_and_nothing_that_can_be_replayed() {
        let shown = shown(
            "REGISTER sip:a.example SIP/2.0\nAuthorization: Digest username=\"610\", \
             realm=\"a.example\", nonce=\"abc,def\", uri=\"sip:a.example\", \
             response=\"0123456789\", cnonce=\"xyz\", nc=00000001, qop=auth\nCSeq: 2 REGISTER\n\n",
        );
        assert!(shown.contains("username=\"610\", realm=\"a.example\", nonce=***, uri="));
        assert!(shown.contains("response=***, cnonce=***, nc=00000001, qop=auth\nCSeq: 2"));
        for secret in ["abc", "def", "0123456789", "xyz"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }

    #[test]
    fn challenges_folded_lines_and_bearers_are_masked() {
        let shown = shown(
            "SIP/2.0 401 Unauthorized\nWWW-Authenticate: Digest realm=\"x\",\n \
             nonce=\"folded\"\nProxy-Authorization: Bearer tok3n\nAuthentication-Info: \
             nextnonce=\"fresh\", qop=auth\nSubject: a\n b\n\n",
        );
        for secret in ["folded", "tok3n", "fresh"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(shown.contains("Subject: a\n b\n"), "{shown}");
    }

    #[test]
    fn keys_of_media_are_masked_and_the_rest_of_the_sdp_stays() {
        let sdp = "INVITE sip:a@b SIP/2.0\nContent-Type: application/sdp\n\nv=0\nk=clear:abc\n\
                   m=audio 4 RTP/SAVP 0\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVC\n\
                   a=ice-pwd:asd88fgpdd777uzjYhagZg\na=sendrecv\n";
        let shown = shown(sdp);
        for secret in ["clear:abc", "d0Rmdmcm", "asd88fg"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(shown.contains("a=crypto:***\na=ice-pwd:***\na=sendrecv\n"));
        assert!(shown.contains("m=audio 4 RTP/SAVP 0\n"));
    }

    /// However a peer writes a key that our reader takes.
    #[test]
    fn no_way_to_write_a_key_shows_it() {
        let key = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
        let suite = "AES_CM_128_HMAC_SHA1_80";
        let head = b"INVITE sip:a@b SIP/2.0\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n";
        for line in [
            format!("a=crypto:1 {suite} inline:{key}|2^31"),
            format!("a=crypto:1 {suite} INLINE:{key}"),
            format!("a= crypto :1 {suite} Inline:{key}"),
            format!("a=sendrecv\ra=crypto:1 {suite} INLINE:{key}\rb=x"),
            format!("a=x:1 {suite} inline:{key}"),
            format!("a=sendrecv\ra=key-mgmt:mikey {key}"),
            format!("a=sendrecv\rk=base64:{key}"),
            format!("a=acap:1 key-mgmt:mikey {key}"),
            format!("a=acap:2 crypto:1 {suite} sealed:{key}"),
            format!("a=acap:3  acap:1 ice-pwd:{key}"),
        ] {
            for tail in [&b""[..], b" -x=\xff", b"\xff", b" WSH=64"] {
                let mut octets = head.to_vec();
                octets.extend_from_slice(line.as_bytes());
                octets.extend_from_slice(tail);
                let shown = message(&octets);
                let shown = String::from_utf8_lossy(&shown);
                assert!(!shown.contains("WVNfX19z"), "{line}: {shown}");
            }
        }
    }

    #[test]
    fn digits_of_a_caller_are_masked_in_each_body_that_carries_them() {
        for kind in ["application/dtmf-relay", "application/dtmf"] {
            let shown = shown(&format!(
                "INFO sip:a@b SIP/2.0\nc: {kind}\n\nSignal=7\nDuration=160\n"
            ));
            assert!(!shown.contains('7') && !shown.contains("160"), "{shown}");
            assert!(shown.contains("\n\n***\n***\n"), "{shown}");
        }
        let part = shown(
            "INFO sip:a@b SIP/2.0\nContent-Type: multipart/mixed;boundary=x\n\n--x\n\
             Content-Type: application/dtmf-relay\n\nSignal=5\n--x--\n",
        );
        assert!(!part.contains("Signal"), "{part}");
    }

    #[test]
    fn words_and_tokens_in_a_text_are_masked() {
        let token = format!("sl_{}", "a".repeat(43));
        for (given, expected) in [
            ("password=hunter2 and more", "password=*** and more"),
            ("{\"password\": \"hunter2\"}", "{\"password\": \"***\"}"),
            ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
            (token.as_str(), "***"),
            ("response_timeout_s=4", "response_timeout_s=4"),
            ("tr_0123456789ab answered", "tr_0123456789ab answered"),
            ("token=a;token=b", "token=***;token=***"),
        ] {
            assert_eq!(text(given), expected, "{given}");
        }
    }

    #[test]
    fn what_holds_no_secret_stays_the_same_octets() {
        let plain = b"OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h\r\n\r\n\xff\x00raw\r\n";
        assert_eq!(message(plain), plain);
    }

    proptest! {
        #[test]
        fn no_octets_stop_it_and_masking_twice_is_masking_once(
            octets in proptest::collection::vec(any::<u8>(), 0..400),
            any_text in "[ -~\\n]{0,200}",
        ) {
            let once = message(&octets);
            prop_assert_eq!(message(&once), once);
            let once = text(&any_text);
            prop_assert_eq!(text(&once), once);
        }
    }
}
