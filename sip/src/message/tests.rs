//! Reading and writing messages: what RFC 3261 §7, §19.1, §20 and §25 promise, and hostile input.

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::error::ParseError;

/// An INVITE with every kind of thing in it.
const INVITE: &str = "INVITE sip:echo@192.0.2.10;transport=udp SIP/2.0\r\n\
    Via: SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bKtop;rport, SIP/2.0/UDP [2001:db8::1];received=192.0.2.7;rport=99\r\n\
    v: SIP/2.0/TCP host.example;branch=z9hG4bK3\r\n\
    Max-Forwards: 70\r\n\
    f: \"A \\\"quoted\\\", name\" <sip:alice@example.com;x=1>;tag=f1\r\n\
    To: <sip:echo@192.0.2.10>\r\n\
    i: call-1@192.0.2.1\r\n\
    CSeq: 4711 INVITE\r\n\
    m: <sip:alice@192.0.2.1:5062>;expires=60\r\n\
    Record-Route: <sip:p1.example;lr>, \"P, 2\" <sip:p2.example;lr>\r\n\
    Record-Route: <sip:p3.example;lr>\r\n\
    Supported: 100rel,\r\n timer , replaces\r\n\
    Subject: folded\r\n\tvalue\r\n\
    Reason: SIP;cause=200, Q.850;cause=16;text=\"a, b\"\r\n\
    X-Unknown: kept\r\n\
    c: application/sdp; charset=utf-8\r\n\
    l: 5\r\n\r\nv=0\r\nrubbish beyond the length";

fn read(text: &str) -> Message<'_> {
    parse(text.as_bytes()).expect("a message")
}

fn defect_of(text: &str) -> Option<(Defect, Option<u16>)> {
    let invalid = read(text).validate().err()?;
    Some((invalid.defect, invalid.answer.map(StatusCode::code)))
}

/// [`INVITE`] with one thing changed.
fn changed(from: &str, to: &str) -> String {
    assert!(INVITE.contains(from), "{from}");
    INVITE.replacen(from, to, 1)
}

#[test]
fn an_invite_is_read_whole() {
    let message = read(INVITE);
    assert_eq!(message.validate(), Ok(()));
    assert_eq!(message.method(), Some(Method::Invite));
    assert_eq!(message.status(), None);
    let uri = message.request_uri().expect("readable");
    assert_eq!(
        (uri.user().as_deref(), uri.host()),
        (Some("echo"), "192.0.2.10")
    );
    assert_eq!(uri.parameters().value("TRANSPORT"), Some(&b"udp"[..]));
    assert_eq!(message.header_count(), 16);
    let from = message.from().expect("readable");
    assert_eq!(from.display_name().as_deref(), Some("A \"quoted\", name"));
    assert_eq!(
        (from.uri().as_str(), from.tag()),
        ("sip:alice@example.com;x=1", Some(&b"f1"[..]))
    );
    assert_eq!(message.to().and_then(|to| to.tag()), None);
    assert_eq!(message.call_id(), Some(&b"call-1@192.0.2.1"[..]));
    assert_eq!(
        message.cseq(),
        Some(CSeq {
            number: 4711,
            method: Method::Invite
        })
    );
    assert_eq!(message.max_forwards(), Some(70));
    let contact = message.contact().expect("one");
    assert_eq!(contact.parameters().value("expires"), Some(&b"60"[..]));
    assert_eq!(message.body(), b"v=0\r\n");
    assert_eq!(message.sdp(), Some(&b"v=0\r\n"[..]));
    assert_eq!(
        message.content_type(),
        Some((&b"application"[..], &b"sdp"[..]))
    );
    assert_eq!(message.q850_cause(), Some(16));
    assert_eq!(
        message.value(&HeaderName::Other("x-unknown".into())),
        Some(&b"kept"[..])
    );
}

/// RFC 3261 §7.3.1: commas and repetition are the same.
#[test]
fn lists_run_through_commas_and_repeated_headers() {
    let message = read(INVITE);
    let vias: Vec<Via<'_>> = message
        .elements(&HeaderName::Via)
        .map(|via| Via::parse(via).expect("readable"))
        .collect();
    assert_eq!(vias.len(), 3);
    assert_eq!(
        (vias[0].host(), vias[0].port(), vias[0].branch()),
        ("192.0.2.1", Some(5062), Some(&b"z9hG4bKtop"[..]))
    );
    assert_eq!((vias[0].has_rport(), vias[0].rport()), (true, None));
    assert_eq!(vias[1].host_address(), "2001:db8::1".parse().ok());
    assert_eq!(
        (vias[1].received(), vias[1].rport()),
        ("192.0.2.7".parse().ok(), Some(99))
    );
    assert_eq!(vias[2].transport(), b"TCP");
    let hops: Vec<&str> = message
        .addresses(&HeaderName::RecordRoute)
        .map(|hop| hop.uri().host())
        .collect();
    assert_eq!(hops, ["p1.example", "p2.example", "p3.example"]);
    assert!(message.has_token(&HeaderName::Supported, "TIMER"));
    assert!(!message.has_token(&HeaderName::Supported, "tim"));
}

#[test]
fn a_response_is_read() {
    let message = read(
        "SIP/2.0 183 Session  Progress \r\nVia: SIP/2.0/UDP h\r\nRSeq: 9\r\nRetry-After: 18 (soon);duration=3\r\nExpires: never\r\n\r\n",
    );
    let StartLine::Response { status, reason, .. } = message.start_line() else {
        panic!("a response")
    };
    assert_eq!(
        (status, reason),
        (StatusCode::SESSION_PROGRESS, &b"Session  Progress "[..])
    );
    assert_eq!(
        (message.rseq(), message.retry_after_s(), message.expires_s()),
        (Some(9), Some(18), None)
    );
    assert_eq!(message.method(), None);
    assert_eq!(read("SIP/2.0 200 \r\n\r\n").status(), Some(StatusCode::OK));
    assert_eq!(read("SIP/2.0 200\r\n\r\n").status(), Some(StatusCode::OK));
}

#[test]
fn bytes_that_are_no_message_have_their_reason() {
    let cases: [(&[u8], ParseError); 10] = [
        (b"", ParseError::KeepAlive),
        (b"\r\n\r\n", ParseError::KeepAlive),
        (b"\0\0\0\0", ParseError::KeepAlive),
        (b"hello", ParseError::NotSip),
        (b"GET / HTTP/1.1\r\n\r\n", ParseError::NotSip),
        (b"INVITE sip:a@b\r\n\r\n", ParseError::NotSip),
        (b"IN(VITE sip:a@b SIP/2.0\r\n\r\n", ParseError::NotSip),
        (b"SIP/2.0 99 Low\r\n\r\n", ParseError::StatusCode),
        (b"SIP/2.0 700 High\r\n\r\n", ParseError::StatusCode),
        (b"SIP/2.0 +20 Sign\r\n\r\n", ParseError::StatusCode),
    ];
    for (bytes, reason) in cases {
        assert_eq!(parse(bytes).err(), Some(reason), "{}", bytes.escape_ascii());
    }
    assert_eq!(
        parse(&vec![b'a'; MESSAGE_SIZE_MAX + 1]).err(),
        Some(ParseError::TooLarge)
    );
    assert!(is_keep_alive(b"\r\n\r\n") && !is_keep_alive(b"\r\nX"));
}

/// RFC 3261 §21.4.1: each defect is named, answered where it can be.
#[test]
fn each_defect_is_named_and_answered_with_its_status() {
    let bad = Some(400);
    for (from, to, defect, answer) in [
        ("SIP/2.0\r\n", "SIP/7.0\r\n", Defect::Version, Some(505)),
        ("INVITE sip", "INVITE  sip", Defect::StartLineSpaces, bad),
        (
            "sip:echo@192.0.2.10;transport=udp",
            "<sip:echo@192.0.2.10>",
            Defect::RequestUri,
            bad,
        ),
        (
            "sip:echo@192.0.2.10;transport=udp",
            "sip:echo@h?Route=x",
            Defect::RequestUri,
            bad,
        ),
        ("X-Unknown: kept", "X-Unknown kept", Defect::HeaderLine, bad),
        (
            "X-Unknown: kept",
            "X Unknown: kept",
            Defect::HeaderLine,
            bad,
        ),
        (
            "X-Unknown: kept",
            "X-Unknown: k\rept",
            Defect::BareCarriageReturn,
            bad,
        ),
        ("l: 5", "l: 5000", Defect::ContentLengthTooLarge, bad),
        ("l: 5", "l: -5", Defect::ContentLength, bad),
        (
            "l: 5",
            "l: 99999999999999999999999",
            Defect::ContentLength,
            bad,
        ),
        (
            "l: 5",
            "l: 5\r\nContent-Length: 5",
            Defect::ContentLengthRepeated,
            bad,
        ),
        ("tag=f1", "tag=f1\r\nFrom: <sip:b@c>", Defect::From, bad),
        ("\"A \\\"", "\"A \\\" \"", Defect::From, bad),
        (
            "<sip:echo@192.0.2.10>",
            "< sip:echo@192.0.2.10>",
            Defect::To,
            bad,
        ),
        (
            "<sip:echo@192.0.2.10>",
            "sip:echo@192.0.2.10?a=b",
            Defect::To,
            bad,
        ),
        ("4711 INVITE", "4711 BYE", Defect::CSeqMethod, bad),
        ("4711 INVITE", "2147483648 INVITE", Defect::CSeq, bad),
        (
            "Max-Forwards: 70",
            "Max-Forwards: 256",
            Defect::MaxForwards,
            bad,
        ),
        (
            "<sip:alice@192.0.2.1:5062>",
            "sip:alice@192.0.2.1:99999",
            Defect::Contact,
            bad,
        ),
        (
            "<sip:p3.example;lr>",
            "<sip:p3.example;lr",
            Defect::Route,
            bad,
        ),
        ("branch=z9hG4bKtop", "branch=z9hG4bK", Defect::Branch, bad),
        ("v: SIP/2.0/TCP", "v: SIP/3.0/TCP", Defect::Via, bad),
        (
            "Via: SIP/2.0/UDP 192",
            "Via: SIP/2.0/UDP ;192",
            Defect::Via,
            None,
        ),
        ("i: call-1@192.0.2.1\r\n", "", Defect::CallId, None),
        ("CSeq: 4711 INVITE\r\n", "", Defect::CSeq, None),
    ] {
        assert_eq!(
            defect_of(&changed(from, to)),
            Some((defect, answer)),
            "{from} -> {to}"
        );
    }
}

#[test]
fn every_defect_has_its_own_label_and_a_phrase() {
    let all = [
        Defect::StartLineSpaces,
        Defect::BareCarriageReturn,
        Defect::HeaderLine,
        Defect::TooManyHeaders,
        Defect::NoEmptyLine,
        Defect::ContentLength,
        Defect::ContentLengthRepeated,
        Defect::ContentLengthTooLarge,
        Defect::Version,
        Defect::RequestUri,
        Defect::Via,
        Defect::Branch,
        Defect::From,
        Defect::To,
        Defect::CallId,
        Defect::CSeq,
        Defect::CSeqMethod,
        Defect::MaxForwards,
        Defect::Contact,
        Defect::Route,
    ];
    let mut labels: Vec<&str> = all.iter().map(|defect| defect.as_str()).collect();
    labels.sort_unstable();
    labels.dedup();
    assert_eq!(labels.len(), all.len());
    assert!(
        all.iter()
            .all(|defect| !defect.reason().is_empty() && defect.status().is_failure())
    );
}

/// RFC 3261 §17: an ACK has no response, nor has a response.
#[test]
fn a_bad_ack_or_response_is_never_answered() {
    let ack = changed("INVITE sip", "ACK sip");
    assert_eq!(defect_of(&ack), Some((Defect::CSeqMethod, None)));
    let response = changed(
        "INVITE sip:echo@192.0.2.10;transport=udp SIP/2.0",
        "SIP/2.0 200 OK",
    );
    assert_eq!(read(&response).validate(), Ok(()));
    let response = response.replacen("4711", "x", 1);
    assert_eq!(defect_of(&response), Some((Defect::CSeq, None)));
}

#[test]
fn headers_are_bounded_and_the_flood_is_refused() {
    let many = "X: 1\r\n".repeat(HEADERS_MAX);
    let text = changed("X-Unknown: kept\r\n", &many);
    let message = read(&text);
    assert_eq!(message.header_count(), HEADERS_MAX);
    assert_eq!(
        message.validate().err().map(|found| found.defect),
        Some(Defect::TooManyHeaders)
    );
    assert_eq!(
        message.body(),
        b"rubbish beyond the length"
            .get(..0)
            .map_or(&b""[..], |_| message.body())
    );
}

#[test]
fn every_cut_of_a_message_is_read_without_acceptance() {
    let end = INVITE.find("rubbish").expect("there");
    for length in 0..end {
        let cut = INVITE.as_bytes().get(..length).expect("within");
        let accepted = parse(cut).is_ok_and(|message| message.validate().is_ok());
        assert!(!accepted, "cut after {length}");
    }
    assert_eq!(read(INVITE.get(..end).expect("within")).validate(), Ok(()));
}

/// RFC 4475 §3.1.1.9, RFC 3966, RFC 5118.
#[test]
fn uris_are_taken_apart_and_stay_as_written() {
    let uri = Uri::parse(b"sips:user;par=u%40h:pa?ss@[2001:db8::1]:5061;lr;a=b?x=y&z=")
        .expect("readable");
    assert_eq!(uri.scheme(), Scheme::Sips);
    assert_eq!(uri.user().as_deref(), Some("user;par=u@h"));
    assert_eq!(uri.view().password_raw(), Some("pa?ss"));
    assert_eq!((uri.host(), uri.port()), ("[2001:db8::1]", Some(5061)));
    assert_eq!(
        uri.host_address(),
        Some(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]))
    );
    assert_eq!(
        (uri.parameters().as_bytes(), uri.headers()),
        (&b";lr;a=b"[..], "x=y&z=")
    );
    let tel = Uri::parse(b"tel:+1-201-555-0123;phone-context=example.com").expect("readable");
    assert_eq!(
        (tel.scheme(), tel.user_raw()),
        (Scheme::Tel, Some("+1-201-555-0123"))
    );
    assert!(tel.parameters().contains("phone-context"));
    let other = Uri::parse(b"urn:service:sos").expect("readable");
    assert_eq!(
        (other.scheme(), other.view().opaque(), other.host()),
        (Scheme::Other, "service:sos", "")
    );
    for bad in [
        &b""[..],
        b"sip",
        b"sip:",
        b"sip:@h",
        b":x",
        b"1sip:a",
        b"sip:a@",
        b"sip:a b@h",
        b"sip:a@h:",
        b"sip:a@h:70000",
        b"sip:a@h:5060x",
        b"sip:a@[::1",
        b"sip:a@[x]",
        b"sip:a@h/",
        b"tel:",
        b"sip:a@h\r\n",
        b"sip:<a@h>",
        b"sip:a@\xff",
        b"sip:2001:db8::10",
    ] {
        assert_eq!(Uri::parse(bad), None, "{}", bad.escape_ascii());
    }
}

#[test]
fn a_built_uri_escapes_its_user_and_refuses_a_bad_host() {
    let uri = Uri::sip(Some("Zoë @ home;x"), "gw.example", Some(5070)).expect("a host");
    assert_eq!(uri.as_str(), "sip:Zo%C3%AB%20%40%20home;x@gw.example:5070");
    assert_eq!(uri.user().as_deref(), Some("Zoë @ home;x"));
    assert_eq!(
        Uri::sip(None, "2001:db8::1", None).expect("IPv6").as_str(),
        "sip:[2001:db8::1]"
    );
    for bad in ["", "a b", "h;x=1", "h?x", "h:1", "a@b", "h\r\n", "h>"] {
        assert_eq!(Uri::sip(Some("u"), bad, None), None, "{bad}");
    }
    let routed = uri
        .with_parameter("lr", None)
        .and_then(|uri| uri.with_parameter("transport", Some("udp")));
    assert!(routed.is_some_and(|uri| uri.as_str().ends_with(":5070;lr;transport=udp")));
    assert_eq!(uri.with_parameter("a;b", None), None);
    assert_eq!(uri.with_parameter("a", Some("b?c")), None);
}

/// RFC 3261 §19.1.4: the RFC's own examples.
#[test]
fn uris_compare_as_the_rfc_says() {
    let same = |one: &str, other: &str| {
        let (one, other) = (Uri::parse(one.as_bytes()), Uri::parse(other.as_bytes()));
        one.expect("readable")
            .is_equivalent(&other.expect("readable"))
    };
    for (one, other) in [
        (
            "sip:%61lice@atlanta.com;transport=TCP",
            "sip:alice@AtLanTa.CoM;Transport=tcp",
        ),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
        ("sip:a@[2001:db8::1]", "sip:a@[2001:db8:0:0::1]"),
    ] {
        assert!(same(one, other) && same(other, one), "{one} {other}");
    }
    for (one, other) in [
        (
            "SIP:ALICE@AtLanTa.CoM;Transport=udp",
            "sip:alice@AtLanTa.CoM;Transport=UDP",
        ),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        (
            "sip:bob@biloxi.com",
            "sip:bob@biloxi.com:6000;transport=tcp",
        ),
        (
            "sip:carol@chicago.com",
            "sip:carol@chicago.com?Subject=next%20meeting",
        ),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        (
            "sip:carol@chicago.com;security=on",
            "sip:carol@chicago.com;security=off",
        ),
        ("sip:a@b", "sips:a@b"),
    ] {
        assert!(!same(one, other) && !same(other, one), "{one} {other}");
    }
}

#[test]
fn addresses_are_read_in_all_their_forms() {
    let name = |text: &[u8]| {
        let found = NameAddrRef::parse(text).unwrap_or_else(|| panic!("{}", text.escape_ascii()));
        (
            found.display_name(),
            found.uri().as_str().to_owned(),
            found.parameters().as_bytes().to_vec(),
        )
    };
    let of = |display: Option<&str>, uri: &str, parameters: &str| {
        (
            display.map(str::to_owned),
            uri.to_owned(),
            parameters.as_bytes().to_vec(),
        )
    };
    assert_eq!(name(b"sip:a@b;tag=1"), of(None, "sip:a@b", ";tag=1"));
    assert_eq!(name(b"<sip:a@b;lr>"), of(None, "sip:a@b;lr", ""));
    assert_eq!(
        name(b"Bob Smith<sip:a@b>"),
        of(Some("Bob Smith"), "sip:a@b", "")
    );
    assert_eq!(name(b"\"\" <sip:a@b>"), of(None, "sip:a@b", ""));
    assert_eq!(
        name(b"\"J\\\\ <x>;,\" <sip:a@b> ; tag = 9"),
        of(Some("J\\ <x>;,"), "sip:a@b", "; tag = 9")
    );
    assert_eq!(
        name("\"Zoë\" <sip:a@b>".as_bytes()).0.as_deref(),
        Some("Zoë")
    );
    assert_eq!(name(b"\"Jos\xe9\" <sip:a@b>").0.as_deref(), Some("José"));
    assert_eq!(name(b"Jos\xe9 <sip:a@b>").0.as_deref(), Some("José"));
    assert_eq!(
        name(b"\"two\r\n lines\" <sip:a@b>").0.as_deref(),
        Some("two lines")
    );
    for bad in [
        &b""[..],
        b"\"open <sip:a@b>",
        b"\"a\" sip:a@b",
        b"<sip:a@b",
        b"< sip:a@b>",
        b"a, b <sip:a@b>",
        b"<sip:a@b>x",
        b"<sip:a@b>;",
        b"<sip:a@b>;;x",
        b"<sip:a@b>;=x",
        b"<sip:a@b>;x=",
        b"<sip:a@b>;x=\"y",
        b"sip:a@b?x=y",
        b"sip:a,b@c",
        b"*",
    ] {
        assert_eq!(NameAddrRef::parse(bad), None, "{}", bad.escape_ascii());
    }
}

#[test]
fn a_tag_is_set_replaced_and_taken_away() {
    let address = NameAddr::parse(b"\"A\" <sip:a@b>;x=\"1;2\";tag=old;y").expect("readable");
    let tagged = address.clone().with_tag("new");
    assert_eq!(tagged.tag(), Some("new"));
    assert_eq!(tagged.parameters().as_bytes(), b";x=\"1;2\";y;tag=new");
    assert_eq!(address.with_tag("").tag(), None);
}

/// The promise behind every name and user that a link or a peer gives us.
#[test]
fn no_value_smuggles_a_line() {
    let evil = "x\r\nEvil: 1\r\n\r\n\0y";
    let mut buffer = SendBuffer::new();
    let uri = Uri::sip(Some(evil), "h", None).expect("escaped");
    let mut writer = MessageWriter::request(&mut buffer, &Method::Other(evil.into()), evil);
    writer
        .header(&HeaderName::Subject, evil.as_bytes())
        .header(&HeaderName::Other(evil.into()), b"v")
        .header_display(&HeaderName::Organization, &evil)
        .name_addr(
            &HeaderName::From,
            &NameAddr::new(uri)
                .with_display_name(evil)
                .with_tag(evil)
                .with_parameter(evil, Some(evil)),
        );
    writer.finish_with_body(evil, |buffer| buffer.push(b"body"));
    let text = String::from_utf8(buffer.as_bytes().to_vec()).expect("UTF-8");
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert_eq!(lines.len(), 9, "{text}");
    assert!(!text.contains("\r\nEvil") && !text.contains('\0'), "{text}");
    assert_eq!(text.matches('\r').count(), 8);
}

#[test]
fn display_names_are_quoted_cleaned_and_bounded() {
    let uri = Uri::parse(b"sip:a@b").expect("readable");
    let written = |name: &str| {
        let mut buffer = SendBuffer::new();
        NameAddr::new(uri.clone())
            .with_display_name(name)
            .write(&mut buffer);
        String::from_utf8(buffer.as_bytes().to_vec()).expect("UTF-8")
    };
    assert_eq!(
        written("A \"B\" \\ C\u{7}\u{85}\r\n"),
        "\"A \\\"B\\\" \\\\ C\" <sip:a@b>"
    );
    assert_eq!(written(""), "<sip:a@b>");
    let long = written(&"漢".repeat(200));
    assert_eq!(
        long,
        format!("\"{}\" <sip:a@b>", "漢".repeat(DISPLAY_NAME_SIZE_MAX / 3))
    );
}

#[test]
fn content_length_is_written_last_and_right() {
    for size in [0, 1, 9, 10, 99, 100, 12_345] {
        let mut buffer = SendBuffer::new();
        let body = vec![b'x'; size];
        let writer = MessageWriter::response(&mut buffer, StatusCode::OK);
        writer.finish_with_body("text/plain", |buffer| buffer.push(&body));
        let message = parse(buffer.as_bytes()).expect("a message");
        assert_eq!(message.body(), body);
        let last = message.headers().last().expect("one");
        assert_eq!(
            (last.name(), last.value()),
            (HeaderName::ContentLength, size.to_string().as_bytes())
        );
    }
}

#[test]
fn a_header_is_copied_byte_by_byte_with_its_folds() {
    let message = read(INVITE);
    let mut buffer = SendBuffer::new();
    let mut writer = MessageWriter::response(&mut buffer, StatusCode::TRYING);
    writer
        .copy(&HeaderName::Via, &message)
        .copy(&HeaderName::Subject, &message);
    writer.finish();
    let text = String::from_utf8(buffer.as_bytes().to_vec()).expect("UTF-8");
    assert!(
        text.contains("\r\nVia: SIP/2.0/TCP host.example;branch=z9hG4bK3\r\n"),
        "{text}"
    );
    assert!(
        text.contains("\r\nSubject: folded\r\n\tvalue\r\n"),
        "{text}"
    );
    let odd = changed("X-Unknown: kept", "Subject: a\rb");
    let odd = read(&odd);
    let mut writer = MessageWriter::response(&mut buffer, StatusCode::TRYING);
    writer.copy(&HeaderName::Subject, &odd);
    writer.finish();
    assert!(
        buffer
            .as_bytes()
            .windows(14)
            .any(|window| window == b"Subject: a b\r\n")
    );
}

#[test]
fn a_used_buffer_does_not_grow_for_the_next_message() {
    let message = read(INVITE);
    let mut buffer = SendBuffer::new();
    let mut place = None;
    for _ in 0..3 {
        let mut writer = MessageWriter::response(&mut buffer, StatusCode::OK);
        for line in message.headers() {
            writer.copy_line(&line);
        }
        writer.finish_with_body("application/sdp", |buffer| buffer.push(message.body()));
        let found = (buffer.as_bytes().as_ptr(), buffer.len());
        assert_eq!(*place.get_or_insert(found), found);
    }
}

/// RFC 5621, RFC 2046 §5.1.
#[test]
fn the_sdp_part_of_a_multipart_is_found() {
    let nested = b"--o\r\nContent-Type: multipart/alternative; boundary=\"i i\"\r\n\r\n--i i\r\n\r\nplain\r\n\
        --i i\r\nc : Application/SDP\r\n\r\nv=0\r\n--i ix\r\n--i i--\r\nrest\r\n--o--\r\n";
    let kind = Some(&b"multipart/mixed;boundary=o"[..]);
    assert_eq!(sdp_of(kind, nested), Some(&b"v=0\r\n--i ix"[..]));
    assert_eq!(
        sdp_of(Some(b"multipart/mixed"), nested),
        None,
        "no boundary"
    );
    assert_eq!(
        sdp_of(Some(b"multipart/mixed;boundary=other"), nested),
        None
    );
    assert_eq!(sdp_of(Some(b"text/plain"), b"v=0\r\n"), None);
    assert_eq!(sdp_of(Some(b"application/sdp"), b""), None);
    assert_eq!(sdp_of(None, b"v=0\r\n"), Some(&b"v=0\r\n"[..]));
    let parts = [
        b"--o\r\n\r\nx\r\n".repeat(BODY_PARTS_MAX),
        b"--o\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--o--".to_vec(),
    ]
    .concat();
    assert_eq!(sdp_of(kind, &parts), None, "beyond the bound");
}

fn token() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9][-a-zA-Z0-9.!%*_+`'~]{0,10}"
}

/// Never one letter, which could be a compact Content-Length.
fn header_name() -> impl Strategy<Value = String> {
    "[a-zA-Z][-a-zA-Z0-9.!%*_+`'~]{1,10}"
}

fn value() -> impl Strategy<Value = String> {
    "[!-~]([ -~é漢]{0,40}[!-~])?"
}

proptest! {
    /// Parse after write is the identity: start line, every header in its order, body.
    #[test]
    fn what_is_written_is_read_again(
        method in token(),
        user in "\\PC{0,12}",
        headers in prop::collection::vec((header_name(), value()), 0..40),
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let uri = Uri::sip(Some(&user).filter(|user| !user.is_empty()).map(String::as_str), "h.example", None).expect("a host");
        let names: Vec<HeaderName> =
            headers.iter().map(|(name, _)| HeaderName::from_bytes(name.as_bytes()).expect("a token")).collect();
        let mut buffer = SendBuffer::new();
        let wanted = Method::from_bytes(method.as_bytes()).expect("a token");
        prop_assume!(!method.to_ascii_uppercase().starts_with("SIP/"));
        let mut writer = MessageWriter::request(&mut buffer, &wanted, uri.as_str());
        for (name, (_, value)) in names.iter().zip(&headers) {
            writer.header(name, value.as_bytes());
        }
        writer.finish_with_body("application/octet-stream", |buffer| buffer.push(&body));
        let message = parse(buffer.as_bytes()).expect("a message");
        prop_assert_eq!(message.method(), Some(wanted));
        let read = message.request_uri().expect("readable");
        prop_assert_eq!(read.user().unwrap_or_default().into_owned(), user);
        prop_assert_eq!(message.header_count(), headers.len() + 2);
        for ((line, name), (_, value)) in message.headers().zip(&names).zip(&headers) {
            prop_assert!(line.is(name));
            prop_assert_eq!(line.value(), value.as_bytes());
        }
        prop_assert_eq!(message.body(), &body[..]);
    }

    /// A display name comes back as it was, but for what is taken out of it.
    #[test]
    fn a_display_name_comes_back(name in "\\PC{1,30}", tag in token()) {
        let address = NameAddr::new(Uri::parse(b"sip:a@b").expect("readable"))
            .with_display_name(&name)
            .with_tag(&tag);
        let mut buffer = SendBuffer::new();
        address.write(&mut buffer);
        let read = NameAddr::parse(buffer.as_bytes()).expect("readable");
        prop_assert_eq!(read.display_name(), Some(&*name));
        prop_assert_eq!(read.tag(), Some(&*tag));
    }

    #[test]
    fn a_uri_is_kept_as_written_and_its_parts_are_within(text in "(sip|sips|tel|x):[!-~]{1,40}") {
        if let Some(uri) = Uri::parse(text.as_bytes()) {
            prop_assert_eq!(uri.as_str(), &text);
            prop_assert!(uri.is_equivalent(&uri));
            let parts = [uri.user_raw().unwrap_or_default(), uri.host(), uri.headers()];
            prop_assert!(parts.iter().all(|part| text.contains(part)));
        }
    }
}

#[test]
fn a_request_uri_loses_its_headers_and_keeps_a_question_mark_of_its_user() {
    for (written, bare) in [
        ("sip:ali?ce@192.0.2.1", "sip:ali?ce@192.0.2.1"),
        (
            "sip:ali?ce@192.0.2.1;lr?Route=%3Csip:x%3E",
            "sip:ali?ce@192.0.2.1;lr",
        ),
        ("sip:alice@192.0.2.1?", "sip:alice@192.0.2.1"),
        ("sip:alice@192.0.2.1", "sip:alice@192.0.2.1"),
    ] {
        let uri = Uri::parse(written.as_bytes()).unwrap();
        assert_eq!(uri.view().without_headers(), bare);
    }
}
