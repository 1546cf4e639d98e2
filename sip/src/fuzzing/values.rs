//! Any octets as the values that decide over sessions, acknowledgements, passwords and bodies.

use std::time::Duration;

use crate::auth::Algorithm;
use crate::auth::server::Nonces;
use crate::event::RefreshBy;
use crate::message::{self, Message, Method, sdp_of};
use crate::session_timer::{self, SessionTimer, Verdict};

/// Headers whose value is a number with more around it.
const NUMBERS: [&str; 7] = [
    "RSeq",
    "RAck",
    "Session-Expires",
    "Min-SE",
    "Reason",
    "Retry-After",
    "Supported",
];

/// Any bytes as the value of RSeq, `RAck`, Session-Expires, Min-SE, Reason and Retry-After: what is read is
/// within its bounds, and what is agreed on leaves time for a refresh.
///
/// # Panics
///
/// Where a promise does not hold.
pub fn number_value_bytes(bytes: &[u8]) {
    let value = line(bytes);
    for name in NUMBERS {
        read(&[(name, &value)]);
    }
    // A peer that can refresh, and means something by its numbers.
    read(&[("Supported", b"timer"), ("Session-Expires", &value)]);
    read(&[("Session-Expires", &value), ("Min-SE", &value)]);
}

fn read(headers: &[(&str, &[u8])]) {
    let mut text = b"INVITE sip:a@b SIP/2.0\r\nCSeq: 1 INVITE\r\n".to_vec();
    for (name, value) in headers {
        text.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    text.extend(b"\r\n");
    let Ok(message) = message::parse(&text) else {
        return;
    };
    if let Some(rack) = message.rack() {
        let again = [
            rack.rseq.to_string().as_bytes(),
            b" ",
            rack.cseq.number.to_string().as_bytes(),
            b" ",
            rack.cseq.method.as_str().as_bytes(),
        ]
        .concat();
        let read = message::RAck::parse(&again);
        assert!(read == Some(rack), "what RAck says is read again");
    }
    let _ = (
        message.rseq(),
        message.retry_after_s(),
        message.q850_cause(),
    );
    let _ = (
        message.reason_status(),
        session_timer::is_supported(&message),
    );
    sessions(&message);
}

/// Whatever a peer says, sessions are refreshed before they end, and neither at once nor never.
fn sessions(message: &Message<'_>) {
    let settings = SessionTimer {
        expires: Duration::from_secs(1_800),
        min: Duration::from_secs(90),
        refresh_by: RefreshBy::Invite,
    };
    let judged = [None, Some(true), Some(false)].map(|we_refresh| {
        match session_timer::judge(&settings, message, we_refresh) {
            Verdict::Agreed(agreement) => Some(agreement),
            Verdict::TooSmall(least) => {
                assert!(least >= Duration::from_secs(90), "RFC 4028 §4");
                None
            }
            Verdict::Off => None,
        }
    });
    let agreed = session_timer::agreed(message);
    for agreement in judged.into_iter().chain([agreed]).flatten() {
        assert!(
            agreement.refresh_after() >= Duration::from_secs(45),
            "no storm"
        );
        assert!(
            agreement.end_after() > agreement.refresh_after(),
            "a refresh comes first"
        );
    }
}

/// Any bytes as the answer to a challenge of ours: nobody is let in by chance, and nothing is kept.
///
/// # Panics
///
/// Where a promise does not hold.
pub fn authorization_bytes(bytes: &[u8]) {
    let mut nonces = Nonces::new([7; 32]);
    let now_s = 1_000;
    for algorithm in [Algorithm::Sha256, Algorithm::Md5] {
        let challenge = nonces.challenge(now_s, "realm", algorithm, false);
        // The challenge itself with these bytes behind it comes further than the bytes alone.
        let echoed = [&challenge, &b", "[..], bytes].concat();
        for answer in [bytes, &echoed] {
            let secret = |user: &str, algorithm: Algorithm| {
                (user != "nobody").then(|| algorithm.secret_of(user, "realm", "correct horse"))
            };
            let checked = nonces.check(now_s, answer, &Method::Register, &|_| true, &secret);
            assert!(checked.is_err(), "nobody knows the password");
        }
    }
    assert!(nonces.count() == 0, "what fails leaves nothing");
}

/// Any bytes as a body and its Content-Type, with the first line end between them: what is taken for a
/// session is a piece of the body.
///
/// # Panics
///
/// Where a promise does not hold.
pub fn body_bytes(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let (kind, body) = bytes.split_at(end.unwrap_or(bytes.len()));
    let kind = line(kind);
    let multipart = [b"multipart/mixed;boundary=", &kind[..]].concat();
    let types: [Option<&[u8]>; 3] = [None, Some(&kind), Some(&multipart)];
    for found in types.iter().filter_map(|kind| sdp_of(*kind, body)) {
        let is_within = body.as_ptr_range().contains(&found.as_ptr());
        assert!(!found.is_empty() && is_within, "a piece of the body");
    }
}

/// One line of a header.
fn line(bytes: &[u8]) -> Vec<u8> {
    let within = |byte: &&u8| !matches!(byte, b'\r' | b'\n');
    bytes.iter().take(4_096).filter(within).copied().collect()
}
