//! Every way in which a stream can be cut, and every way in which it cannot be framed.

use proptest::prelude::*;

use super::*;

const INVITE: &[u8] = b"INVITE sip:a@192.0.2.1 SIP/2.0\r\n\
    Via: SIP/2.0/TCP 192.0.2.9;branch=z9hG4bK1\r\n\
    Content-Length: 10\r\nX: y\r\n\r\n0123456789";
const OK: &[u8] = b"SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP a\r\nl:0\r\n\r\n";
const BYE: &[u8] = b"BYE sip:a SIP/2.0\nCONTENT-LENGTH :\r\n 3\n\nabc";

/// What a frame was, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Message(Vec<u8>),
    Ping,
    Pong,
}

fn drain(framer: &mut Framer, seen: &mut Vec<Seen>) -> Result<(), FrameError> {
    while let Some(frame) = framer.next_frame()? {
        seen.push(match frame {
            Frame::Message(bytes) => Seen::Message(bytes.to_vec()),
            Frame::Ping => Seen::Ping,
            Frame::Pong => Seen::Pong,
        });
    }
    Ok(())
}

fn frames(pieces: &[&[u8]]) -> Result<Vec<Seen>, FrameError> {
    let (mut framer, mut seen) = (Framer::default(), Vec::new());
    for piece in pieces {
        framer.push(piece);
        drain(&mut framer, &mut seen)?;
    }
    Ok(seen)
}

fn message(bytes: &[u8]) -> Seen {
    Seen::Message(bytes.to_vec())
}

#[test]
fn messages_that_are_glued_together_come_one_by_one() {
    let glued = [INVITE, OK, BYE, OK].concat();
    let expected = [INVITE, OK, BYE, OK].map(message);
    assert_eq!(frames(&[&glued]).unwrap(), expected);
}

/// RFC 3261 §18.3: at every octet, in two pieces, and octet by octet.
#[test]
fn a_cut_at_any_octet_changes_nothing() {
    let whole = [INVITE, b"\r\n\r\n", BYE, OK].concat();
    let expected = [message(INVITE), Seen::Ping, message(BYE), message(OK)];
    for cut in 0..=whole.len() {
        let (first, second) = whole.split_at(cut);
        assert_eq!(frames(&[first, second]).unwrap(), expected, "cut at {cut}");
    }
    let octets: Vec<&[u8]> = whole.chunks(1).collect();
    assert_eq!(frames(&octets).unwrap(), expected);
}

#[test]
fn half_a_message_is_told_from_none() {
    let mut framer = Framer::default();
    assert!(!framer.is_within_message());
    framer.push(&INVITE[..INVITE.len() - 1]);
    assert_eq!(framer.next_frame(), Ok(None));
    assert!(framer.is_within_message());
    framer.push(b"9");
    assert_eq!(framer.next_frame(), Ok(Some(Frame::Message(INVITE))));
    assert!(!framer.is_within_message());
    framer.push(b"\r\n");
    assert_eq!(framer.next_frame(), Ok(None));
    assert!(!framer.is_within_message(), "a line end is no message");
}

/// RFC 5626 §3.5.1.
#[test]
fn two_line_ends_are_a_ping_and_one_is_the_pong_that_was_expected() {
    assert_eq!(frames(&[b"\r\n\r\n"]).unwrap(), [Seen::Ping]);
    assert_eq!(frames(&[b"\r\n", b"\r", b"\n"]).unwrap(), [Seen::Ping]);
    assert_eq!(frames(&[b"\r\n"]).unwrap(), []);
    let mut framer = Framer::default();
    framer.expect_pong();
    framer.push(b"\r\n");
    assert_eq!(framer.next_frame(), Ok(Some(Frame::Pong)));
    framer.push(b"\r\n\r\n");
    assert_eq!(framer.next_frame(), Ok(Some(Frame::Ping)));
    assert_eq!(framer.next_frame(), Ok(None));
}

/// RFC 3261 §7.5: line ends before a message are nothing, and half a ping is forgotten.
#[test]
fn a_line_end_before_a_message_is_no_half_of_a_ping() {
    let seen = frames(&[b"\r\n", OK, b"\r\n", OK]).unwrap();
    assert_eq!(seen, [message(OK), message(OK)]);
}

#[test]
fn a_flood_of_line_ends_holds_no_memory() {
    let mut framer = Framer::default();
    for _ in 0..1_000 {
        framer.push(&b"\r\n".repeat(1_000));
        while framer.next_frame().unwrap().is_some() {}
        assert_eq!(framer.held(), 0);
    }
}

#[test]
fn a_stream_that_is_no_sip_is_an_error_at_its_first_octet_or_line() {
    for garbage in [
        &b"\x16\x03\x01\x02\x00"[..],
        b" INVITE sip:a SIP/2.0\r\n",
        b"GET / HTTP/1.1\r\n",
        b"\0",
        b"hello\r\n",
    ] {
        assert_eq!(frames(&[garbage]), Err(FrameError::NotSip), "{garbage:?}");
    }
}

/// RFC 3261 §20.14.
#[test]
fn without_content_length_there_is_no_end() {
    let text = b"OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/TCP a\r\n\r\n";
    assert_eq!(frames(&[text]), Err(FrameError::NoContentLength));
}

#[test]
fn a_content_length_that_is_no_number_or_two_numbers_is_an_error() {
    for length in ["l: x", "l: -1", "l: 1 2", "l:", "l: 1\r\nContent-Length: 2"] {
        let text = format!("OPTIONS sip:a SIP/2.0\r\n{length}\r\n\r\n");
        assert_eq!(
            frames(&[text.as_bytes()]),
            Err(FrameError::ContentLength),
            "{length}"
        );
    }
    let twice = b"OPTIONS sip:a SIP/2.0\r\nl: 0\r\nl: 0\r\n\r\n";
    assert_eq!(frames(&[twice]).unwrap(), [message(twice)]);
}

#[test]
fn a_body_beyond_the_bound_is_refused_before_it_comes() {
    for length in [
        "65535",
        "4294967296",
        "18446744073709551615",
        "99999999999999999999999999",
    ] {
        let text = format!("OPTIONS sip:a SIP/2.0\r\nl: {length}\r\n\r\n");
        assert_eq!(frames(&[text.as_bytes()]), Err(FrameError::BodyTooLong));
    }
}

#[test]
fn an_endless_header_ends_at_its_bound() {
    let start = b"OPTIONS sip:a SIP/2.0\r\n".to_vec();
    for filler in [&b"X: y\r\n"[..], b"x", b" folded\r\n"] {
        let (mut framer, mut pushed) = (Framer::default(), 0);
        framer.push(&start);
        let error = loop {
            match framer.next_frame() {
                Ok(frame) => assert_eq!(frame, None),
                Err(error) => break error,
            }
            framer.push(filler);
            pushed += filler.len();
            assert!(pushed <= STREAM_HEADER_SIZE_MAX + filler.len());
        };
        assert_eq!(error, FrameError::HeaderTooLong);
        assert_eq!(framer.held(), 0, "nothing of it is kept");
        framer.push(INVITE);
        assert_eq!(framer.next_frame(), Err(error), "and it stays so");
    }
}

fn one_message() -> impl Strategy<Value = Vec<u8>> {
    let body = prop::collection::vec(any::<u8>(), 0..40);
    let name = prop::sample::select(vec!["Content-Length", "l", "L", "CONTENT-length"]);
    (body, name, any::<bool>()).prop_map(|(body, name, request)| {
        let start = if request {
            "OPTIONS sip:a SIP/2.0"
        } else {
            "SIP/2.0 200 OK"
        };
        let mut text = format!("{start}\r\nVia: x\r\n{name}: {}\r\n\r\n", body.len()).into_bytes();
        text.extend_from_slice(&body);
        text
    })
}

proptest! {
    /// However a stream is cut, the same messages come out.
    #[test]
    fn any_cuts_give_the_same_messages(
        messages in prop::collection::vec(one_message(), 1..6),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let whole = messages.concat();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(whole.len() + 1)).collect();
        cuts.sort_unstable();
        let (mut pieces, mut from) = (Vec::new(), 0);
        for cut in cuts {
            pieces.push(&whole[from..cut]);
            from = cut;
        }
        pieces.push(&whole[from..]);
        let expected: Vec<Seen> = messages.iter().map(|bytes| message(bytes)).collect();
        prop_assert_eq!(frames(&pieces).unwrap(), expected);
    }

    /// Any octets in any pieces: frames or one error, and a bounded buffer.
    #[test]
    fn any_octets_are_framed_or_refused(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20),
    ) {
        let mut framer = Framer::default();
        for piece in &pieces {
            framer.push(piece);
            loop {
                match framer.next_frame() {
                    Ok(Some(Frame::Message(bytes))) => prop_assert!(message::parse(bytes).is_ok()),
                    Ok(Some(Frame::Ping | Frame::Pong)) => {}
                    Ok(None) => break,
                    Err(error) => {
                        prop_assert_eq!(framer.next_frame(), Err(error));
                        return Ok(());
                    }
                }
            }
            prop_assert!(framer.held() <= MESSAGE_SIZE_MAX);
        }
    }
}
