//! Other parsers as oracles: on messages that all can read, all read the same.

use proptest::prelude::*;
use rsip::prelude::{HeadersExt, UntypedHeader};
use sip::message::{
    self, HeaderName, MessageWriter, Method, NameAddr, SendBuffer, StatusCode, Uri,
};
use sipx_sip::parser::{Limits, parse_datagram};

/// What is compared.
#[derive(Debug, PartialEq, Eq)]
struct Facts {
    headers: usize,
    call_id: String,
    cseq: (u32, String),
    body: Vec<u8>,
}

fn ours(bytes: &[u8]) -> Option<Facts> {
    let message = message::parse(bytes).ok()?;
    message.validate().ok()?;
    let cseq = message.cseq()?;
    Some(Facts {
        headers: message.header_count(),
        call_id: String::from_utf8_lossy(message.call_id()?).into_owned(),
        cseq: (cseq.number, cseq.method.as_str().to_owned()),
        body: message.body().to_vec(),
    })
}

fn sipx(bytes: &[u8]) -> Option<Facts> {
    let message = parse_datagram(bytes.to_vec().into(), &Limits::datagram()).ok()?;
    let headers = message.headers();
    let call_id = headers.value(&sipx_sip::name::HeaderName::CallId)?;
    let cseq = headers.value(&sipx_sip::name::HeaderName::CSeq)?;
    let cseq = String::from_utf8_lossy(&cseq).into_owned();
    let mut words = cseq.split_ascii_whitespace();
    Some(Facts {
        headers: headers.len(),
        call_id: String::from_utf8_lossy(&call_id).into_owned(),
        cseq: (words.next()?.parse().ok()?, words.next()?.to_owned()),
        body: message.body().to_vec(),
    })
}

fn rsip(bytes: &[u8]) -> Option<Facts> {
    let message = rsip::SipMessage::try_from(bytes).ok()?;
    let headers = match &message {
        rsip::SipMessage::Request(request) => &request.headers,
        rsip::SipMessage::Response(response) => &response.headers,
    };
    let count = headers.iter().count();
    let body = message.body().clone();
    let (call_id, cseq) = match &message {
        rsip::SipMessage::Request(request) => (request.call_id_header(), request.cseq_header()),
        rsip::SipMessage::Response(response) => (response.call_id_header(), response.cseq_header()),
    };
    let mut words = cseq.ok()?.value().split_ascii_whitespace();
    Some(Facts {
        headers: count,
        call_id: call_id.ok()?.value().to_owned(),
        cseq: (words.next()?.parse().ok()?, words.next()?.to_owned()),
        body,
    })
}

/// `sipx-sip` reads what we accept of the torture messages, and finds the same in it.
#[test]
fn accepted_torture_messages_mean_the_same_to_another_parser() {
    let mut compared = 0;
    for folder in ["rfc4475", "rfc5118"] {
        for file in crate::messages_in(&crate::root().join(folder)) {
            let bytes = std::fs::read(&file).expect("readable");
            if let (Some(ours), Some(theirs)) = (ours(&bytes), sipx(&bytes)) {
                assert_eq!(ours, theirs, "{}", file.display());
                compared += 1;
            }
        }
    }
    assert!(compared >= 30, "{compared} messages were compared");
}

fn address() -> impl Strategy<Value = NameAddr> {
    (
        "[a-z0-9]{1,10}",
        "[a-z]{1,8}\\.example",
        "[A-Za-z ]{0,12}",
        "[a-z0-9]{1,8}",
    )
        .prop_map(|(user, host, name, tag)| {
            let uri = Uri::sip(Some(&user), &host, None).expect("a host");
            NameAddr::new(uri).with_display_name(&name).with_tag(&tag)
        })
}

proptest! {
    /// Messages that our writer makes are read alike by all three.
    #[test]
    fn written_messages_mean_the_same_to_all_parsers(
        is_request in any::<bool>(),
        from in address(),
        to in address(),
        number in 0..1_u32 << 31,
        call_id in "[a-z0-9]{1,20}@[a-z]{1,8}",
        others in prop::collection::vec(("X-[a-z]{1,8}", "[!-~]([ -~]{0,30}[!-~])?"), 0..12),
        body in prop::option::of("v=0\r\n[ -~]{0,100}"),
    ) {
        let mut buffer = SendBuffer::new();
        let mut writer = if is_request {
            MessageWriter::request(&mut buffer, &Method::Invite, "sip:bob@h.example")
        } else {
            MessageWriter::response(&mut buffer, StatusCode::RINGING)
        };
        writer
            .header(&HeaderName::Via, b"SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1")
            .header(&HeaderName::MaxForwards, b"70")
            .name_addr(&HeaderName::From, &from)
            .name_addr(&HeaderName::To, &to)
            .header(&HeaderName::CallId, call_id.as_bytes())
            .header_display(&HeaderName::CSeq, &format_args!("{number} INVITE"));
        for (name, value) in &others {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a token");
            writer.header(&name, value.as_bytes());
        }
        match &body {
            Some(body) => {
                writer.finish_with_body("application/sdp", |buffer| buffer.push(body.as_bytes()));
            }
            None => writer.finish(),
        }
        let bytes = buffer.as_bytes();
        let found = ours(bytes).expect("our own message");
        prop_assert_eq!(&found.call_id, &call_id);
        prop_assert_eq!(sipx(bytes), Some(ours(bytes).expect("our own message")));
        prop_assert_eq!(rsip(bytes), Some(found));
    }
}
