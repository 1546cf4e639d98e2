//! Bodies of the fuzz targets: bytes in, a panic where a promise does not hold.
//!
//! Plain functions, so that every build of the tests compiles them and runs them on small corpora,
//! and a fuzzer needs five lines around each. Nothing of the product calls them.

pub mod browser;
mod stream;
mod values;

use std::net::SocketAddr;

use crate::message::{
    self, Elements, HeaderLine, HeaderName, Message, MessageWriter, NameAddrRef, SendBuffer,
    StartLine, Via,
};
use crate::offer_answer::crypto::{CryptoOffer, CryptoPolicy, LineKeys};
use crate::offer_answer::{Session, Unusable, read_answer, read_offer};
use crate::sdp::{Direction, MediaKind, SessionDescription};

pub use self::stream::stream_bytes;
pub use self::values::{authorization_bytes, body_bytes, number_value_bytes};

/// Every body over the same bytes.
///
/// # Panics
///
/// Where a promise does not hold.
pub fn every_body(bytes: &[u8]) {
    message_bytes(bytes);
    sdp_bytes(bytes);
    let piece = bytes.get(..4_096).unwrap_or(bytes);
    header_value_bytes(piece);
    number_value_bytes(piece);
    authorization_bytes(piece);
    body_bytes(bytes);
    stream_bytes(bytes);
}

/// Any bytes: parse, judge, read every typed value, write again, and read the same.
///
/// # Panics
///
/// Where a promise does not hold.
pub fn message_bytes(bytes: &[u8]) {
    let Ok(message) = message::parse(bytes) else {
        return;
    };
    let valid = message.validate().is_ok();
    if valid {
        assert!(message.top_via().is_some() && message.cseq().is_some());
        assert!(message.from().is_some() && message.to().is_some() && message.call_id().is_some());
    }
    read_typed_values(&message);
    let mut buffer = SendBuffer::new();
    if !write_again(&message, &mut buffer) {
        return;
    }
    let Ok(again) = message::parse(buffer.as_bytes()) else {
        assert!(!valid, "a valid message written again is a message");
        return;
    };
    if !valid {
        return;
    }
    assert!(again.validate().is_ok(), "valid stays valid");
    let copied = kept_lines(&message).map(|line| (line.name(), within_a_line(line.value())));
    let found = kept_lines(&again).map(|line| (line.name(), within_a_line(line.value())));
    assert!(copied.eq(found), "every header comes through");
    assert!(again.body() == message.body(), "the body comes through");
}

/// Any bytes: a description that is read is written so that the same is read again.
///
/// # Panics
///
/// Where a promise does not hold.
pub fn sdp_bytes(bytes: &[u8]) {
    let Ok(description) = SessionDescription::parse(bytes) else {
        return;
    };
    answer_again(&description);
    browser::answer(&description).ok();
    let mut buffer = SendBuffer::new();
    description.write(&mut buffer);
    let again = SessionDescription::parse(buffer.as_bytes());
    assert!(
        again.as_ref() == Ok(&description),
        "what is written is read again"
    );
}

/// What can be taken of an offer is answered line by line, and our answer can be taken.
fn answer_again(offer: &SessionDescription) {
    for policy in [
        CryptoPolicy::Off,
        CryptoPolicy::Preferred,
        CryptoPolicy::Required,
    ] {
        answer_by(policy, offer);
    }
}

fn answer_by(policy: CryptoPolicy, offer: &SessionDescription) {
    let Ok(audio) = read_offer(offer, policy, |_| None) else {
        return;
    };
    let codecs = audio.codecs.clone();
    let mut session = Session::new(SocketAddr::from(([192, 0, 2, 1], 4000)), 1);
    if policy != CryptoPolicy::Off {
        let keys = LineKeys::new(&[0x5a; LineKeys::SIZE]);
        session.set_crypto(policy, CryptoOffer::Secure, keys);
    }
    session.accept(audio);
    let answer = match session.answer(&codecs, Direction::SendRecv, None) {
        Ok(answer) => answer,
        // The offer names a key of ours and no other.
        Err(Unusable::NoUsableKey) => return,
        Err(_) => panic!("what was offered is common ground"),
    };
    assert!(answer.media.len() == offer.media.len(), "a line for a line");
    let is_keyed = session.current().agreed.is_some();
    assert!(
        policy != CryptoPolicy::Required || is_keyed,
        "nothing without a key where one is required"
    );
    let keys = answer.media.iter().map(|line| line.crypto.len());
    assert!(
        keys.sum::<usize>() == usize::from(is_keyed),
        "one key, or none"
    );
    let taken = read_answer(offer, &answer, policy, |_| None);
    let speech = taken.map(|taken| {
        let speech = taken.codecs.iter().filter(|codec| codec.is_speech());
        speech.count()
    });
    let used = answer.media.iter().position(|line| line.port != 0);
    let first = offer
        .media
        .iter()
        .position(|line| line.kind == MediaKind::Audio && line.port != 0);
    assert!(used != first || speech == Ok(1), "one voice is answered");
}

/// Any bytes as the value of each header that has a grammar.
///
/// # Panics
///
/// Where a promise does not hold.
pub fn header_value_bytes(bytes: &[u8]) {
    if let Some(found) = NameAddrRef::parse(bytes) {
        let owned = found
            .to_name_addr()
            .with_tag("t")
            .with_parameter("p", Some("\"\r\n\\"));
        let mut buffer = SendBuffer::new();
        owned.write(&mut buffer);
        let again = NameAddrRef::parse(buffer.as_bytes());
        assert!(again.is_some_and(|again| again.uri().as_str() == found.uri().as_str()));
        assert!(
            !buffer
                .as_bytes()
                .iter()
                .any(|byte| matches!(byte, b'\r' | b'\n'))
        );
        assert!(found.uri().is_equivalent(found.uri()), "a URI is itself");
    }
    if let Some(via) = Via::parse(bytes) {
        let _ = (
            via.received(),
            via.rport(),
            via.branch(),
            via.host_address(),
            via.maddr(),
        );
    }
    assert!(Elements::new(bytes).count() <= bytes.len() + 1);
}

fn read_typed_values(message: &Message<'_>) {
    for line in message.headers() {
        header_value_bytes(line.value());
    }
    let _ = (
        message.contact(),
        message.request_uri(),
        message.max_forwards(),
        message.rseq(),
        message.rack().map(|rack| rack.rseq),
    );
    let _ = (
        message.expires_s(),
        message.retry_after_s(),
        message.q850_cause(),
    );
    drop(crate::auth::challenges(message));
    if let Some(sdp) = message.sdp() {
        sdp_bytes(sdp);
    }
}

/// False where the start line has bytes that we never write.
fn write_again(message: &Message<'_>, buffer: &mut SendBuffer) -> bool {
    let mut writer = match message.start_line() {
        StartLine::Request { uri, .. } => {
            let (Some(method), Ok(uri)) = (message.method(), std::str::from_utf8(uri)) else {
                return false;
            };
            MessageWriter::request(buffer, &method, uri)
        }
        StartLine::Response { status, reason, .. } => {
            let reason = String::from_utf8_lossy(reason);
            MessageWriter::response_with_reason(buffer, status, &reason)
        }
    };
    for line in kept_lines(message) {
        writer.copy_line(&line);
    }
    if message.body().is_empty() {
        writer.finish();
    } else {
        writer.finish_with_body("application/octet-stream", |buffer| {
            buffer.push(message.body())
        });
    }
    true
}

/// Folds that are not CRLF, and NUL, are written as spaces.
fn within_a_line(value: &[u8]) -> Vec<u8> {
    let space = |byte: &u8| {
        if matches!(byte, b'\r' | b'\n' | 0) {
            b' '
        } else {
            *byte
        }
    };
    let plain: Vec<u8> = value.iter().map(space).collect();
    plain.trim_ascii().to_vec()
}

/// Without what the writer adds itself.
fn kept_lines<'m, 'a>(
    message: &'m Message<'a>,
) -> impl Iterator<Item = HeaderLine<'a>> + use<'m, 'a> {
    message
        .headers()
        .filter(|line| !line.is(&HeaderName::ContentLength) && !line.is(&HeaderName::ContentType))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CORPUS: &[&str] = &[
        "",
        "\r\n\r\n",
        "INVITE sip:a@b SIP/2.0\r\nv: SIP/2.0/UDP h;branch=z9hG4bK1\r\nf: <sip:a@b>;tag=1\r\n\
         t: <sip:c@d>\r\ni: x\r\nCSeq: 1 INVITE\r\nc: application/sdp\r\n\r\nv=0\r\n\
         o=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nm=audio 4 RTP/AVP 0\r\n",
        "SIP/2.0 401 Unauthorized\r\nVia: SIP / 2.0 / UDP [::1]:5 ; branch=z9hG4bK1,\r\n SIP/2.0/TCP h\r\n\
         From: \"a\\\" b\" <sip:a@b>\r\nTo: sip:c@d;tag=2\r\nCall-ID: x\r\nCSeq: 1\r\n INVITE\r\n\
         WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\"\r\n\
         Contact: *\r\nRoute: <sip:a,b@c;lr>, <sip:d>\r\n\r\n",
        "BYE tel:+1;x SIP/2.0\nVia:SIP/2.0/UDP h\nFrom:<sip:a>\nTo:<sip:b>\nCall-ID:x\nCSeq:1 BYE\n\n",
        "BYE sip:a SIP/2.0\r\nVia:SIP/2.0/UDP h\r\nFrom:<sip:a>\r\nTo:<sip:b>\r\nCall-ID:x\0y\r\nCSeq:1 BYE\r\n\r\n",
    ];

    /// What the fuzzer found in values of headers.
    #[test]
    fn a_uri_with_a_parameter_twice_is_itself() {
        header_value_bytes(b"<sip:a@b;x=1;x=2>");
        header_value_bytes(b"<sip:a@b;x;x=2>");
    }

    #[test]
    fn the_small_corpus_holds_every_promise() {
        for text in CORPUS {
            every_body(text.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_hold_every_promise(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            every_body(&bytes);
        }

        /// Bytes that are almost SIP go deeper than random ones.
        #[test]
        fn damaged_messages_hold_every_promise(
            which in 2..CORPUS.len(),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..8),
        ) {
            let mut bytes = CORPUS[which].as_bytes().to_vec();
            for (place, byte, kind) in damage {
                let place = place.index(bytes.len());
                match kind {
                    0 => bytes[place] = byte,
                    1 => bytes.insert(place, byte),
                    _ => drop(bytes.remove(place)),
                }
                if bytes.is_empty() {
                    break;
                }
            }
            every_body(&bytes);
            // Behind a whole one, as on a connection.
            stream_bytes(&[CORPUS[which].as_bytes(), &bytes].concat());
        }

        #[test]
        fn header_like_text_holds_every_promise(text in "[-a-zA-Z0-9<>\"\\\\;,:@=%. \\[\\]/*?]{0,60}") {
            header_value_bytes(text.as_bytes());
            let address = format!("\"{text}\" <sip:{text}>;{text}");
            header_value_bytes(address.as_bytes());
        }

        /// Bytes that are almost a number, an answer to a challenge, or a multipart body.
        #[test]
        fn value_like_text_holds_every_promise(
            number in "(4294967296|[0-9]{0,12})[ ;,=a-z]{0,3}((refresher=|cause=|text=)[a-z0-9\"]{0,6}){0,2}",
            protocol in "(Q\\.850|SIP|q.850)? ?;? ?(cause=)?[0-9]{0,6}",
            rack in "[0-9]{1,11} [0-9]{1,11} (INVITE|PRACK|[a-z]{1,4})",
            answer in "Digest ((username|realm|nonce|uri|response|nc|cnonce|qop|algorithm)=\"?[-a-f0-9A-Z:]{0,34}\"?, ?){0,9}",
            body in "(multipart/(mixed|alternative)|application/sdp|x)(;boundary=\"?[ab]\"?)?\n(--[ab](--)?\r?\n|Content-Type: ?[a-z/]{0,15}\r\n|\r\n|v=0\r\n|[a-z ]){0,20}",
        ) {
            for text in [&number, &protocol, &rack] {
                number_value_bytes(text.as_bytes());
            }
            authorization_bytes(answer.as_bytes());
            body_bytes(body.as_bytes());
        }
    }
}
