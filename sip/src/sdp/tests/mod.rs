//! Descriptions of real peers, odd ones, and hostile ones.

mod browser;

use proptest::prelude::*;

use super::*;
use crate::error::SdpError;
use crate::message::SendBuffer;

const HEAD: &str = "v=0\r\no=CiscoSystemsCCM-SIP 2000 7 IN IP4 10.1.1.1\r\ns=SIP Call\r\n";

fn parse(lines: &str) -> Result<SessionDescription, SdpError> {
    SessionDescription::parse(format!("{HEAD}{lines}").as_bytes())
}

fn written(description: &SessionDescription) -> Vec<u8> {
    let mut buffer = SendBuffer::new();
    description.write(&mut buffer);
    buffer.as_bytes().to_vec()
}

#[test]
fn an_offer_of_a_call_manager_is_read_whole() {
    let description = parse(
        "c=IN IP4 10.1.1.2\r\nb=TIAS:64000\r\nb=AS:64\r\nt=0 0\r\n\
         m=audio 24580 RTP/AVP 9 0 8 18 101\r\nb=TIAS:64000\r\na=rtpmap:9 G722/8000\r\n\
         a=ptime:20\r\na=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=X-cisco-media:umoh\r\n\
         a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:abc\r\na=rtcp:24999 IN IP4 10.1.1.3\r\n\
         a=sendonly\r\nm=application 0 UDP/BFCP *\r\nc=IN IP6 2001:db8::1/3\r\na=rtcp-mux\r\n",
    )
    .expect("readable");
    assert_eq!(
        (&*description.origin.session_id, description.origin.version),
        ("2000", 7)
    );
    let audio = &description.media[0];
    assert_eq!(audio.formats.len(), 5);
    assert_eq!(audio.rtpmap(9).map(|map| map.clock_rate_hz), Some(8_000));
    assert_eq!(audio.fmtp(101), Some("0-15"));
    assert_eq!(audio.ptime_ms, Some(20));
    assert_eq!(audio.direction, Some(Direction::SendOnly));
    assert_eq!(&*audio.crypto[0], "1 AES_CM_128_HMAC_SHA1_80 inline:abc");
    let rtcp = audio.rtcp.as_ref().expect("there");
    assert_eq!(
        (rtcp.port, rtcp.host.as_ref().and_then(Host::address)),
        (24_999, "10.1.1.3".parse().ok())
    );
    let other = &description.media[1];
    assert_eq!(
        (other.kind.as_str(), other.port, &*other.formats[0]),
        ("application", 0, "*")
    );
    assert!(other.rtcp_mux);
    assert_eq!(
        other.connection.as_ref().and_then(Host::address),
        "2001:db8::1".parse().ok()
    );
    let address = |media| description.connection_of(media).and_then(Host::address);
    assert_eq!(address(audio), "10.1.1.2".parse().ok());
}

#[test]
fn a_video_line_of_a_call_manager_is_read_whole() {
    let description = parse(
        "m=video 24582 RTP/AVP 97\r\nb=TIAS:1000000\r\nb=AS:1100\r\nb=AS:7\r\nb=X:1\r\n\
         a=rtpmap:97 H264/90000\r\na=fmtp:97 profile-level-id=428016;packetization-mode=1\r\n\
         a=rtcp-fb:* ccm fir\r\na=rtcp-fb:97 nack pli\r\na=rtcp-fb:300 nack\r\na=rtcp-fb:97\r\n\
         a=content:main\r\na=label:11\r\n",
    )
    .expect("readable");
    let video = &description.media[0];
    assert_eq!(
        (
            video.bandwidth.application_kbit,
            video.bandwidth.independent_bit
        ),
        (Some(1_100), Some(1_000_000))
    );
    let feedback: Vec<_> = video
        .feedback
        .iter()
        .map(|feedback| (feedback.payload_type, &*feedback.value))
        .collect();
    assert_eq!(feedback, [(None, "ccm fir"), (Some(97), "nack pli")]);
    assert_eq!(video.content.as_deref(), Some("main"));
}

#[test]
fn any_line_end_will_do() {
    for end in ["\r\n", "\n", "\r"] {
        let text = format!("{HEAD}c=IN IP4 10.1.1.2\r\nt=0 0\r\nm=audio 4 RTP/AVP 0\r\n");
        let description = SessionDescription::parse(text.replace("\r\n", end).as_bytes());
        assert_eq!(description.map(|found| found.media.len()), Ok(1), "{end:?}");
    }
}

/// Why the reader is our own: the oracle gives up on each of these.
#[test]
fn one_unusual_line_does_not_cost_the_description() {
    for line in ["t=now", "b=AS:lots", "r=x", "s=again\r\ns=and again"] {
        let text = format!("{HEAD}{line}\r\nm=audio 4 RTP/AVP 0\r\n");
        let description = SessionDescription::parse(text.as_bytes());
        assert_eq!(description.map(|found| found.media.len()), Ok(1), "{line}");
        assert!(
            sdp_types::Session::parse(text.as_bytes()).is_err(),
            "{line}"
        );
    }
}

#[test]
fn what_cannot_be_read_has_its_name() {
    let whole = |text: &str| SessionDescription::parse(text.as_bytes()).err();
    assert_eq!(whole(""), Some(SdpError::Version));
    assert_eq!(whole("v=1\r\n"), Some(SdpError::Version));
    assert_eq!(whole("v=0\r\ns=-\r\n"), Some(SdpError::Origin));
    assert_eq!(whole("v=0\r\no=- x y IN IP4 h\r\n"), Some(SdpError::Origin));
    assert_eq!(parse("i=a\0b\r\n").err(), Some(SdpError::Nul));
    assert_eq!(parse("c=IN IP4\r\n").err(), Some(SdpError::Connection));
    assert_eq!(parse("c=IN IP4 /127\r\n").err(), Some(SdpError::Connection));
    assert_eq!(parse("m=audio\r\n").err(), Some(SdpError::Media));
    assert_eq!(
        parse("m=audio 70000 RTP/AVP 0\r\n").err(),
        Some(SdpError::Media)
    );
    assert_eq!(
        parse("m=audio -1 RTP/AVP 0\r\n").err(),
        Some(SdpError::Media)
    );
    let many = "m=audio 4 RTP/AVP 0\r\n".repeat(MEDIA_MAX + 1);
    assert_eq!(parse(&many).err(), Some(SdpError::TooManyMedia));
    assert_eq!(
        parse(&"a=x\r\n".repeat(SDP_SIZE_MAX)).err(),
        Some(SdpError::TooLarge)
    );
}

#[test]
fn lists_are_bounded_and_malformed_attributes_read_over() {
    let formats = (0..200)
        .map(|number| number.to_string())
        .collect::<Vec<_>>()
        .join(" ");
    let maps = "a=rtpmap:96 x/8000\r\n".repeat(FORMATS_MAX + 5);
    let secrets = "a=crypto:1 x inline:y\r\n".repeat(CRYPTO_MAX + 5);
    let description = parse(&format!(
        "m=audio 4 RTP/AVP {formats}\r\n{maps}{secrets}a=rtpmap:300 x/8000\r\na=rtpmap:5\r\n\
         a=rtpmap:5 x\r\na=rtpmap:5 x/0\r\na=rtpmap:5 /8000\r\na=fmtp:x y\r\na=ptime:soon\r\n\
         a=rtcp:none\r\nnonsense\r\na=\r\n=\r\n",
    ))
    .expect("readable");
    let audio = &description.media[0];
    assert_eq!(audio.formats.len(), FORMATS_MAX);
    assert_eq!(
        (audio.rtpmaps.len(), audio.crypto.len()),
        (FORMATS_MAX, CRYPTO_MAX)
    );
    assert_eq!(
        (audio.ptime_ms, &audio.rtcp, audio.fmtps.len()),
        (None, &None, 0)
    );
}

#[test]
fn no_value_breaks_its_line() {
    let mut description = parse("m=audio 4 RTP/AVP 0\r\n").expect("readable");
    description.origin.username = "a\r\nm=audio 1 RTP/AVP 0".into();
    description.media[0].protocol = "RTP/AVP\na=evil".into();
    description.media[0].crypto.push("1\r\nm=x".into());
    let text = String::from_utf8(written(&description)).expect("text");
    assert_eq!(text.matches("\r\nm=").count(), 1, "{text}");
    assert!(!text.contains("\na=evil"), "{text}");
}

fn token() -> impl Strategy<Value = Word> {
    "[a-zA-Z0-9-]{1,12}".prop_map(Into::into)
}

fn host() -> impl Strategy<Value = Host> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(|octets| Host::Address(IpAddr::from(octets))),
        any::<[u8; 16]>().prop_map(|octets| Host::Address(IpAddr::from(octets))),
        "[a-z]{1,8}\\.example".prop_map(|name| Host::Name(name.into())),
    ]
}

fn direction() -> impl Strategy<Value = Option<Direction>> {
    prop::option::of(prop::sample::select(vec![
        Direction::SendRecv,
        Direction::SendOnly,
        Direction::RecvOnly,
        Direction::Inactive,
    ]))
}

prop_compose! {
    fn media()(
        kind in prop::sample::select(vec![
            MediaKind::Audio, MediaKind::Video, MediaKind::Application, MediaKind::Other("image".into()),
        ]),
        port in any::<u16>(),
        protocol in prop::sample::select(vec!["RTP/AVP", "RTP/SAVP", "UDP/BFCP"]),
        formats in prop::collection::vec(token(), 1..6),
        connection in prop::option::of(host()),
        direction in direction(),
        maps in prop::collection::vec((0..128_u8, token(), 1..u32::MAX, 1..9_u8), 0..5),
        fmtps in prop::collection::vec((0..128_u8, "[!-~]([ -~]{0,20}[!-~])?"), 0..3),
        ptime_ms in prop::option::of(any::<u32>()),
        rtcp in prop::option::of((any::<u16>(), prop::option::of(host()))),
        rtcp_mux in any::<bool>(),
        crypto in prop::collection::vec("[!-~]([ -~]{0,20}[!-~])?", 0..3),
        feedback in prop::collection::vec((prop::option::of(0..128_u8), "[!-~]([ -~]{0,20}[!-~])?"), 0..3),
        extensions in prop::collection::vec((1..=255_u8, direction(), token()), 0..3),
        content in prop::option::of(token()),
        (bandwidth, browser) in (
            (prop::option::of(any::<u32>()), prop::option::of(any::<u32>())),
            browser::lines(),
        ),
    ) -> MediaDescription {
        MediaDescription {
            kind,
            port,
            protocol: protocol.into(),
            formats,
            connection,
            direction,
            rtpmaps: maps
                .into_iter()
                .map(|(payload_type, name, clock_rate_hz, channels)| {
                    RtpMap { payload_type, name, clock_rate_hz, channels }
                })
                .collect(),
            fmtps: fmtps
                .into_iter()
                .map(|(payload_type, text)| Fmtp { payload_type, parameters: text.into() })
                .collect(),
            ptime_ms,
            rtcp: rtcp.map(|(port, host)| Rtcp { port, host }),
            rtcp_mux,
            crypto: crypto.into_iter().map(|text| text.as_str().into()).collect(),
            feedback: feedback
                .into_iter()
                .map(|(payload_type, text)| Feedback { payload_type, value: text.into() })
                .collect(),
            extensions: extensions
                .into_iter()
                .map(|(id, direction, uri)| ExtMap { id, direction, uri })
                .collect(),
            content,
            bandwidth: Bandwidth { application_kbit: bandwidth.0, independent_bit: bandwidth.1 },
            browser,
        }
    }
}

prop_compose! {
    fn session()(
        username in token(),
        session_id in token(),
        version in any::<u64>(),
        address in host(),
        connection in prop::option::of(host()),
        direction in direction(),
        browser in browser::session_lines(),
        media in prop::collection::vec(media(), 0..5),
    ) -> SessionDescription {
        let origin = Origin { username, session_id, version, address };
        SessionDescription { origin, connection, direction, browser, media: media.into() }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(description in session()) {
        let bytes = written(&description);
        prop_assert_eq!(SessionDescription::parse(&bytes), Ok(description));
    }

    /// The oracle reads what we write.
    #[test]
    fn what_is_written_is_read_by_another_parser(description in session()) {
        let bytes = written(&description);
        let theirs = sdp_types::Session::parse(&bytes);
        prop_assert!(theirs.is_ok(), "{:?}\n{}", theirs.err(), String::from_utf8_lossy(&bytes));
        prop_assert_eq!(theirs.map(|session| session.medias.len()), Ok(description.media.len()));
    }

    #[test]
    fn any_bytes_give_a_description_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        if let Ok(description) = SessionDescription::parse(&bytes) {
            let again = SessionDescription::parse(&written(&description));
            prop_assert_eq!(again, Ok(description));
        }
    }

    #[test]
    fn lines_in_any_order_give_a_description_or_an_error(
        lines in prop::collection::vec("[vocmatsb]=[ -~]{0,40}", 0..30),
    ) {
        let text = format!("{HEAD}{}", lines.join("\r\n"));
        if let Ok(description) = SessionDescription::parse(text.as_bytes()) {
            let again = SessionDescription::parse(&written(&description));
            prop_assert_eq!(again, Ok(description));
        }
    }
}

#[test]
fn debug_of_a_description_shows_no_key() {
    let sdp = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\nm=audio 4000 RTP/SAVP 0\r\n\
               a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\n";
    let description = SessionDescription::parse(sdp.as_bytes()).unwrap();
    assert!(
        description.media[0].crypto[0].contains("WVNfX19z"),
        "it is read"
    );
    assert!(!format!("{description:?}").contains("WVNfX19z"));
}
