//! What browsers say: read, bounded, and written again.

use arrayvec::ArrayVec;
use std::net::SocketAddr;

use super::*;

const DIGEST: &str = "8F:B6:2C:03:CB:E4:6E:20:B9:C0:29:D1:68:2C:8E:5F:3A:FC:A0:15:D6:01:D3:3F:\
                      42:BE:8F:F6:41:5F:81:BD";

fn media_of(lines: &str) -> MediaDescription {
    let description = parse(&format!("m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n{lines}"));
    description.expect("readable").media[0].clone()
}

fn ice_text(range: &'static str) -> impl Strategy<Value = Word> {
    range.prop_map(Into::into)
}

fn fingerprint() -> impl Strategy<Value = Fingerprint> {
    let kinds = [
        DigestKind::Sha1,
        DigestKind::Sha256,
        DigestKind::Sha384,
        DigestKind::Sha512,
    ];
    (prop::sample::select(kinds.to_vec()), any::<u8>()).prop_map(|(hash, octet)| Fingerprint {
        hash,
        octets: std::iter::repeat_n(octet, hash.octets()).collect(),
    })
}

prop_compose! {
    fn transport()(
        ice_ufrag in prop::option::of(ice_text("[a-zA-Z0-9+/]{4,30}")),
        password in prop::option::of(ice_text("[a-zA-Z0-9+/]{22,40}")),
        ice_options in prop::option::of(token()),
        fingerprints in prop::collection::vec(fingerprint(), 0..3),
        setup in prop::option::of(prop::sample::select(vec![
            Setup::Active, Setup::Passive, Setup::ActPass, Setup::HoldConn,
        ])),
    ) -> TransportLines {
        TransportLines {
            ice_ufrag,
            ice_pwd: password.and_then(|text| IcePassword::new(&text)),
            ice_options,
            fingerprints: fingerprints.into_iter().collect(),
            setup,
        }
    }
}

prop_compose! {
    pub(super) fn session_lines()(
        bundles in prop::collection::vec(prop::collection::vec(token(), 0..4), 0..3),
        ice_lite in any::<bool>(),
        transport in transport(),
        extensions in prop::collection::vec((1..=255_u8, direction(), token()), 0..3),
        is_there in any::<bool>(),
    ) -> Option<Box<BrowserSessionLines>> {
        let extensions = extensions
            .into_iter()
            .map(|(id, direction, uri)| ExtMap { id, direction, uri })
            .collect();
        let lines = BrowserSessionLines { bundles, ice_lite, transport, extensions };
        (is_there && lines != BrowserSessionLines::default()).then(|| Box::new(lines))
    }
}

prop_compose! {
    pub(super) fn lines()(
        (mid, transport) in (prop::option::of(token()), transport()),
        flags in any::<[bool; 3]>(),
        candidates in prop::collection::vec((token(), any::<u32>(), any::<SocketAddr>()), 0..3),
        msid in prop::option::of((token(), prop::option::of(token()))),
        sources in prop::collection::btree_map(any::<u32>(), prop::option::of(token()), 0..3),
        repeated_by in prop::option::of(any::<(u32, u32)>()),
        is_there in any::<bool>(),
    ) -> Option<Box<BrowserLines>> {
        let hosts = candidates
            .into_iter()
            .map(|(foundation, priority, address)| Candidate {
                foundation,
                priority,
                address: SocketAddr::new(address.ip(), address.port()),
            })
            .collect();
        let lines = BrowserLines {
            mid,
            bundle_only: flags[0],
            transport,
            candidates: Candidates { hosts, skipped: 0 },
            end_of_candidates: flags[1],
            rtcp_rsize: flags[2],
            msid: msid.map(|(stream, track)| Msid { stream, track }),
            sources: sources.into_iter().map(|(ssrc, cname)| Source { ssrc, cname }).collect(),
            repeated_by,
        };
        (is_there && lines != BrowserLines::default()).then(|| Box::new(lines))
    }
}

proptest! {
    /// Every attribute of browsers, with values of any kind: nothing panics, and what is kept is written as
    /// it was read.
    #[test]
    fn attributes_of_browsers_in_any_form_are_read_or_read_over(
        lines in prop::collection::vec(
            ("(group|mid|ice-(ufrag|pwd|options|lite)|fingerprint|setup|candidate|ssrc(-group)?|msid|extmap|\
               bundle-only|rtcp-rsize|end-of-candidates)", ":?(BUNDLE|FID|sha-1|[0-9]{1,3})?[ -~]{0,30}"),
            0..20,
        ),
        session_level in 0..20_usize,
    ) {
        let mut text = HEAD.to_owned();
        for (place, (name, value)) in lines.iter().enumerate() {
            if place == session_level {
                text.push_str("m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n");
            }
            text.push_str(&format!("a={name}{value}\r\n"));
        }
        let description = SessionDescription::parse(text.as_bytes()).expect("attributes refuse nothing");
        let again = SessionDescription::parse(&written(&description));
        prop_assert_eq!(again, Ok(description));
    }
}

#[test]
fn what_a_browser_says_of_a_line_is_read_whole() {
    let media = media_of(&format!(
        "a=mid:0\r\na=ice-ufrag:WzIA\r\na=ice-pwd:S9Hx01BC2A6MzsZoF3VG8zAw\r\na=ice-options:trickle\r\n\
         a=fingerprint:SHA-256 {DIGEST}\r\na=setup:actpass\r\na=bundle-only\r\na=rtcp-rsize\r\n\
         a=candidate:1 1 UDP 2122194687 192.0.2.2 36740 typ host generation 0\r\n\
         a=candidate:2 1 tcp 1518214911 192.0.2.2 9 typ host tcptype active\r\n\
         a=candidate:3 2 udp 1 192.0.2.2 9 typ host\r\n\
         a=candidate:4 1 udp 1 7923d40b-35e9-46fc-a5d4-fa1d909df6af.local 52766 typ host\r\n\
         a=candidate:5 1 udp 1 192.0.2.2 9 typ srflx raddr 10.0.0.1 rport 4\r\n\
         a=end-of-candidates\r\na=msid:stream track\r\na=ssrc-group:FID 7 8\r\n\
         a=ssrc:7 cname:name\r\na=ssrc:7 msid:stream track\r\na=ssrc:8 cname:name\r\n\
         a=simulcast:send q;h\r\na=rid:q send\r\n",
    ));
    let lines = *media.browser.expect("there");
    assert_eq!(lines.mid.as_deref(), Some("0"));
    let transport = &lines.transport;
    assert_eq!(transport.ice_ufrag.as_deref(), Some("WzIA"));
    assert_eq!(
        transport.ice_pwd.as_ref().map(IcePassword::as_str),
        Some("S9Hx01BC2A6MzsZoF3VG8zAw")
    );
    assert_eq!(transport.fingerprints[0].hash, DigestKind::Sha256);
    assert_eq!(transport.fingerprints[0].octets[..3], [0x8f, 0xb6, 0x2c]);
    assert_eq!(transport.setup, Some(Setup::ActPass));
    assert!(lines.bundle_only && lines.rtcp_rsize && lines.end_of_candidates);
    assert_eq!(lines.candidates.hosts.len(), 1);
    assert_eq!(
        lines.candidates.hosts[0].address,
        "192.0.2.2:36740".parse().unwrap()
    );
    assert_eq!(lines.candidates.skipped, 4);
    let numbers: Vec<_> = lines.sources.iter().map(|source| source.ssrc).collect();
    assert_eq!((numbers, lines.repeated_by), (vec![7, 8], Some((7, 8))));
}

/// Chromium writes its candidates before everything else.
#[test]
fn candidates_before_everything_else_are_counted_too() {
    let hidden = "a=candidate:1 1 udp 1 x.local 9 typ host\r\n".repeat(2);
    let lines = media_of(&format!("{hidden}a=mid:0\r\n")).browser;
    assert_eq!(lines.map(|lines| lines.candidates.skipped), Some(2));
    assert_eq!(media_of(&hidden).browser, None);
}

#[test]
fn a_description_without_them_has_no_box() {
    let description = parse("a=extmap-allow-mixed\r\nm=audio 4 RTP/AVP 0\r\na=rid:1 send\r\n");
    let description = description.expect("readable");
    assert!(description.browser.is_none() && description.media[0].browser.is_none());
}

#[test]
fn malformed_ones_are_read_over() {
    for line in [
        "ice-ufrag:abc",
        "ice-ufrag:ab cd",
        "ice-pwd:tooshort",
        "fingerprint:md5 00:11",
        "fingerprint:sha-1 00:11",
        "fingerprint:sha-1",
        "setup:maybe",
        "mid:",
        "mid:a b",
        "ssrc:x cname:y",
        "msid:",
        "ssrc-group:SIM 1 2",
        "ssrc-group:FID 1",
        "ice-options:",
    ] {
        assert_eq!(media_of(&format!("a={line}\r\n")).browser, None, "{line}");
    }
}

#[test]
fn a_thousand_candidates_cost_no_more_than_the_most_that_is_looked_at() {
    let candidates = |count: u32| -> String {
        (0..count)
            .map(|number| format!("a=candidate:{number} 1 udp 1 10.0.0.1 {number} typ host\r\n"))
            .collect()
    };
    assert_eq!(
        parse(&candidates(1_000)).err(),
        Some(SdpError::TooLarge),
        "so many do not fit into a description"
    );
    let lines = *media_of(&candidates(600)).browser.expect("there");
    assert_eq!(lines.candidates.hosts.len(), CANDIDATES_MAX);
    assert_eq!(
        usize::from(lines.candidates.skipped),
        usize::from(CANDIDATES_SEEN_MAX) - CANDIDATES_MAX
    );
}

#[test]
fn lists_of_browsers_are_bounded() {
    let digest = format!("a=fingerprint:sha-256 {DIGEST}\r\n").repeat(FINGERPRINTS_MAX + 3);
    let sources: String = (0..SOURCES_MAX + 3)
        .map(|number| format!("a=ssrc:{number} cname:x\r\n"))
        .collect();
    let lines = *media_of(&format!("{digest}{sources}"))
        .browser
        .expect("there");
    assert_eq!(lines.transport.fingerprints.len(), FINGERPRINTS_MAX);
    assert_eq!(lines.sources.len(), SOURCES_MAX);
    let groups = "a=group:BUNDLE 0 1\r\n".repeat(GROUPS_MAX + 3);
    let session = *parse(&groups).expect("readable").browser.expect("there");
    assert_eq!(session.bundles.len(), GROUPS_MAX);
}

#[test]
fn debug_shows_no_password_of_ice() {
    let lines = media_of("a=ice-pwd:S9Hx01BC2A6MzsZoF3VG8zAw\r\n").browser;
    assert!(lines.is_some() && !format!("{lines:?}").contains("S9Hx"));
}

#[test]
fn no_value_of_a_browser_breaks_its_line() {
    let mut description = parse("m=audio 4 RTP/AVP 0\r\n").expect("readable");
    description.media[0].browser = Some(Box::new(BrowserLines {
        mid: Some("0\r\na=evil".into()),
        sources: vec![Source {
            ssrc: 1,
            cname: Some("x\r\na=evil".into()),
        }],
        transport: TransportLines {
            fingerprints: ArrayVec::new(),
            ice_options: Some("x\na=evil".into()),
            ..TransportLines::default()
        },
        ..BrowserLines::default()
    }));
    let text = String::from_utf8(written(&description)).expect("text");
    assert!(!text.contains("\na=evil"), "{text}");
}
