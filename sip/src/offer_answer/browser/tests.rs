//! Offers as browsers write them, what is missing in others, and what each answer says.

use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;
use crate::message::SendBuffer;
use crate::offer_answer::{Codec, VideoWish};
use crate::sdp::{
    Bandwidth, DigestKind, Fingerprint, IceCredentials, MediaDescription, MediaKind,
    SessionDescription,
};

const DIGEST: &str = "8F:B6:2C:03:CB:E4:6E:20:B9:C0:29:D1:68:2C:8E:5F:3A:FC:A0:15:D6:01:D3:3F:\
                      42:BE:8F:F6:41:5F:81:BD";

/// Of one end of a transport.
const END: &str = "a=ice-ufrag:WzIA\na=ice-pwd:S9Hx01BC2A6MzsZoF3VG8zAw\na=fingerprint:sha-256 DIGEST\n\
                   a=setup:actpass\na=rtcp-mux\n";

const AUDIO: &str = "m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126\na=mid:0\nEND\
     a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\na=extmap:3 NUMBERS\n\
     a=rtpmap:111 opus/48000/2\na=rtcp-fb:111 transport-cc\na=fmtp:111 minptime=10;useinbandfec=1\n\
     a=rtpmap:63 red/48000/2\na=rtpmap:110 telephone-event/48000\na=rtpmap:126 telephone-event/8000\n\
     a=ssrc:11 cname:x\n";

const VIDEO: &str = "m=video 9 UDP/TLS/RTP/SAVPF 96 97 102 103 104 105 108 109 114 115\na=mid:1\nEND\
     a=rtcp-rsize\na=extmap:3 NUMBERS\na=extmap:13 urn:3gpp:video-orientation\na=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\n\
     a=rtpmap:96 VP8/90000\na=rtpmap:97 rtx/90000\na=fmtp:97 apt=96\n\
     a=rtpmap:102 H264/90000\na=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f\n\
     a=rtpmap:103 rtx/90000\na=fmtp:103 apt=102\n\
     a=rtpmap:104 H264/90000\na=fmtp:104 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f\n\
     a=rtpmap:105 rtx/90000\na=fmtp:105 apt=104\n\
     a=rtpmap:108 H264/90000\na=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\n\
     a=rtcp-fb:108 goog-remb\na=rtcp-fb:108 transport-cc\na=rtcp-fb:108 ccm fir\na=rtcp-fb:108 nack\n\
     a=rtcp-fb:108 nack pli\na=rtcp-fb:108 rrtr\na=rtpmap:109 rtx/90000\na=fmtp:109 apt=108\n\
     a=rtpmap:114 H264/90000\na=fmtp:114 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f\n\
     a=rtpmap:115 rtx/90000\na=fmtp:115 apt=114\na=ssrc-group:FID 21 22\na=ssrc:21 cname:x\na=ssrc:22 cname:x\n\
     a=rid:q send\na=simulcast:send q\n";

const CHANNEL: &str =
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\na=mid:2\na=sctp-port:5000\n";

fn text(lines: &str) -> String {
    format!("v=0\no=- 9159 2 IN IP4 127.0.0.1\ns=-\nt=0 0\na=extmap-allow-mixed\n{lines}")
        .replace("END", END)
        .replace("DIGEST", DIGEST)
        .replace(
            "NUMBERS",
            "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
        )
}

fn chromium() -> String {
    text(&format!("a=group:BUNDLE 0 1 2\n{AUDIO}{VIDEO}{CHANNEL}"))
}

/// Pictures as Safari lists them: H.264 before VP8, the high profile before the one that everybody has, each
/// beside its repeats, and hosts under names of mDNS.
const VIDEO_OF_SAFARI: &str = "m=video 9 UDP/TLS/RTP/SAVPF 96 97 98 99 100 101 127 103 125 104 106 108\n\
     c=IN IP4 0.0.0.0\na=rtcp:9 IN IP4 0.0.0.0\nHOSTS\
     END\
     a=ice-options:trickle\na=mid:1\na=extmap:14 urn:ietf:params:rtp-hdrext:toffset\n\
     a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time\na=extmap:13 urn:3gpp:video-orientation\n\
     a=extmap:3 NUMBERS\na=extmap:5 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay\n\
     a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\na=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\n\
     a=sendrecv\na=msid:STREAM a-camera\na=rtcp-rsize\n\
     a=rtpmap:96 H264/90000\nFEEDBACK96\
     a=fmtp:96 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640c1f\n\
     a=rtpmap:97 rtx/90000\na=fmtp:97 apt=96\n\
     a=rtpmap:98 H264/90000\nFEEDBACK98\
     a=fmtp:98 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\n\
     a=rtpmap:99 rtx/90000\na=fmtp:99 apt=98\n\
     a=rtpmap:100 VP8/90000\nFEEDBACK100a=rtpmap:101 rtx/90000\na=fmtp:101 apt=100\n\
     a=rtpmap:127 VP9/90000\nFEEDBACK127a=fmtp:127 profile-id=0\na=rtpmap:103 rtx/90000\na=fmtp:103 apt=127\n\
     a=rtpmap:125 red/90000\na=rtpmap:104 rtx/90000\na=fmtp:104 apt=125\na=rtpmap:106 ulpfec/90000\n\
     a=ssrc-group:FID 31 32\na=ssrc:31 cname:y\na=ssrc:31 msid:STREAM a-camera\na=ssrc:32 cname:y\n";

const AUDIO_OF_SAFARI: &str = "m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 102 0 8 13 110 126\n\
     c=IN IP4 0.0.0.0\na=rtcp:9 IN IP4 0.0.0.0\nHOSTS\
     END\
     a=ice-options:trickle\na=mid:0\na=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\n\
     a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time\na=extmap:3 NUMBERS\n\
     a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\na=sendrecv\na=msid:STREAM a-microphone\n\
     a=rtpmap:111 opus/48000/2\na=rtcp-fb:111 transport-cc\na=fmtp:111 minptime=10;useinbandfec=1\n\
     a=rtpmap:63 red/48000/2\na=fmtp:63 111/111\na=rtpmap:9 G722/8000\na=rtpmap:102 ILBC/8000\n\
     a=rtpmap:0 PCMU/8000\na=rtpmap:8 PCMA/8000\na=rtpmap:13 CN/8000\n\
     a=rtpmap:110 telephone-event/48000\na=rtpmap:126 telephone-event/8000\n\
     a=ssrc:30 cname:y\na=ssrc:30 msid:STREAM a-microphone\n";

fn safari() -> String {
    const HOSTS: &str = "a=candidate:1 1 udp 2113937151 0d6c2c1e-7f0a-4a7e-9d5b-5b1c8a3f4e21.local 54321 typ host\n\
         a=candidate:2 1 tcp 1509957375 0d6c2c1e-7f0a-4a7e-9d5b-5b1c8a3f4e21.local 9 typ host tcptype active\n";
    let lines = format!(
        "a=group:BUNDLE 0 1\na=msid-semantic: WMS STREAM\n{AUDIO_OF_SAFARI}{VIDEO_OF_SAFARI}"
    );
    let lines = [96, 98, 100, 127].into_iter().fold(lines, |lines, number| {
        let feedback = ["goog-remb", "transport-cc", "ccm fir", "nack", "nack pli"]
            .map(|word| format!("a=rtcp-fb:{number} {word}\n"));
        lines.replace(&format!("FEEDBACK{number}"), &feedback.concat())
    });
    text(&lines.replace("HOSTS", HOSTS)).replace("STREAM", "5f2b9a40-2f1d-4c55-8a6e-61f0e9c7d312")
}

fn parsed(text: &str) -> SessionDescription {
    SessionDescription::parse(text.as_bytes()).expect("a test description")
}

fn read(text: &str) -> Result<BrowserOffer, BrowserRefusal> {
    read_browser_offer(&parsed(text))
}

fn codec(payload_type: u8, name: &str, clock_rate_hz: u32, channels: u8) -> Codec {
    Codec {
        payload_type,
        name: name.into(),
        clock_rate_hz,
        channels,
        fmtp: None,
    }
}

fn opus_first() -> Vec<Codec> {
    vec![
        codec(114, "opus", 48_000, 2),
        codec(8, "PCMA", 8_000, 1),
        codec(101, "telephone-event", 8_000, 1),
    ]
}

/// A video line of the SIP side with one codec.
fn sip_video(fmtp: &str) -> VideoWish {
    VideoWish {
        codecs: vec![Codec {
            fmtp: Some(fmtp.into()),
            ..codec(97, "H264", 90_000, 1)
        }],
        ..VideoWish::ours()
    }
}

fn ice(ufrag: &str) -> IceCredentials {
    IceCredentials::new(ufrag, "0123456789abcdefghijkl").expect("long enough")
}

/// As the gateway wishes it.
fn wish<'a>(audio: &'a [Codec], video: Option<&'a VideoWish>) -> BrowserWish<'a> {
    const ADDRESSES: [SocketAddr; 2] = [
        SocketAddr::new(
            std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 10)),
            4_000,
        ),
        SocketAddr::new(std::net::IpAddr::V6(std::net::Ipv6Addr::LOCALHOST), 4_000),
    ];
    BrowserWish {
        ice: ice("ours"),
        fingerprint: Fingerprint {
            hash: DigestKind::Sha256,
            octets: std::iter::repeat_n(0xab, 32).collect(),
        },
        addresses: &ADDRESSES,
        audio,
        audio_direction: Direction::SendRecv,
        ptime_ms: Some(20),
        video,
        policy: GuestVideo::SendRecv,
        streams: Streams {
            cname: "name".into(),
            stream: "guest".into(),
            audio: 1,
            video: 2,
        },
    }
}

fn answered(text: &str, wish: &BrowserWish<'_>) -> BrowserAnswer {
    let offer = read(text).expect("usable");
    BrowserSession::new(7)
        .answer(&offer, wish)
        .expect("answered")
}

fn written(description: &SessionDescription) -> String {
    let mut buffer = SendBuffer::new();
    description.write(&mut buffer);
    String::from_utf8(buffer.as_bytes().to_vec()).expect("text")
}

/// What both browsers offer and we do nothing about is in no answer: packets are repeated by their own stream.
fn has_no_more_than_is_done(text: &str) {
    for word in [
        "rtx",
        "apt=",
        "ssrc-group",
        "transport-cc",
        "transport-wide",
        "ssrc-audio-level",
        "sdes:mid",
    ] {
        assert!(!text.contains(word), "{word} {text}");
    }
}

fn is_open(media: &MediaDescription) -> bool {
    media.port != 0
}

#[test]
fn an_offer_of_chromium_is_answered_as_ice_lite_over_one_transport() {
    let (audio, video) = (
        opus_first(),
        sip_video("profile-level-id=42801f;packetization-mode=1"),
    );
    let answer = answered(&chromium(), &wish(&audio, Some(&video)));
    let text = written(&answer.description);
    let (session, lines) = text.split_once("m=audio").expect("audio");
    let (audio, lines) = lines.split_once("m=video").expect("video");
    let (video, channel) = lines.split_once("m=application").expect("the channel");
    for line in [
        "a=group:BUNDLE 0 1\r\n",
        "a=ice-lite\r\n",
        "c=IN IP4 192.0.2.10\r\n",
    ] {
        assert!(session.contains(line), "{line} {text}");
    }
    assert!(
        audio.starts_with(" 4000 UDP/TLS/RTP/SAVPF 111 110\r\n"),
        "{text}"
    );
    assert!(
        video.starts_with(" 4000 UDP/TLS/RTP/SAVPF 108\r\n"),
        "{text}"
    );
    assert!(
        channel.starts_with(" 0 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\n"),
        "{text}"
    );
    for line in [
        "a=ice-ufrag:ours\r\n",
        "a=ice-pwd:0123456789abcdefghijkl\r\n",
        "a=fingerprint:sha-256 AB:AB:",
        "a=setup:passive\r\n",
        "a=rtcp-mux\r\n",
        "a=sendrecv\r\n",
    ] {
        assert!(
            audio.contains(line) && video.contains(line),
            "{line} {text}"
        );
    }
    for line in [
        "a=mid:0\r\n",
        "a=candidate:1 1 udp 2130706431 192.0.2.10 4000 typ host\r\n",
        "a=candidate:2 1 udp 2130706175 ::1 4000 typ host\r\na=end-of-candidates\r\n",
        "a=rtpmap:110 telephone-event/48000\r\n",
        "a=fmtp:110 0-15\r\n",
        "a=msid:guest guest-audio\r\n",
        "a=ssrc:1 cname:name\r\na=ssrc:1 msid:guest guest-audio\r\n",
    ] {
        assert!(audio.contains(line), "{line} {text}");
    }
    for line in [
        "a=mid:1\r\n",
        "a=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n",
        "a=rtcp-fb:108 nack\r\n",
        "a=rtcp-fb:108 nack pli\r\n",
        "a=rtcp-fb:108 ccm fir\r\n",
        "a=rtcp-fb:108 goog-remb\r\n",
        "a=rtcp-rsize\r\n",
        "a=ssrc:2 cname:name\r\na=ssrc:2 msid:guest guest-video\r\n",
        "a=msid:guest guest-video\r\n",
    ] {
        assert!(video.contains(line), "{line} {text}");
    }
    assert!(!video.contains("a=candidate") && !text.contains("rrtr") && !text.contains("a=rid"));
    has_no_more_than_is_done(&text);
    assert_eq!(parsed(&text), answer.description);
    assert_eq!(answer.role, DtlsRole::Server);
}

#[test]
fn an_offer_of_safari_is_answered_in_what_everybody_has_and_its_hidden_hosts_are_passed_over() {
    let (audio, video) = (
        opus_first(),
        sip_video("profile-level-id=42801f;packetization-mode=1"),
    );
    let offer = read(&safari()).expect("usable");
    // A host by UDP and one by TCP, of each line.
    assert_eq!(offer.skipped_candidates, 4);
    let answer = answered(&safari(), &wish(&audio, Some(&video)));
    assert_eq!(answer.role, DtlsRole::Server);
    let text = written(&answer.description);
    let (session, lines) = text.split_once("m=audio").expect("audio");
    let (sound, pictures) = lines.split_once("m=video").expect("video");
    assert!(session.contains("a=group:BUNDLE 0 1\r\n"), "{text}");
    assert!(
        sound.starts_with(" 4000 UDP/TLS/RTP/SAVPF 111 110\r\n"),
        "{text}"
    );
    // Neither its first, of a profile that phones lack, nor VP8.
    assert!(
        pictures.starts_with(" 4000 UDP/TLS/RTP/SAVPF 98\r\n"),
        "{text}"
    );
    for line in [
        "a=fmtp:98 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n",
        "a=rtcp-fb:98 nack\r\n",
        "a=rtcp-fb:98 nack pli\r\n",
        "a=rtcp-fb:98 ccm fir\r\n",
        "a=sendrecv\r\n",
    ] {
        assert!(pictures.contains(line), "{line} {text}");
    }
    has_no_more_than_is_done(&text);
    for line in ["a=setup:passive\r\n", "a=rtcp-mux\r\n", "a=sendrecv\r\n"] {
        assert!(sound.contains(line), "{line} {text}");
    }
    // A callee without Opus is met in what Safari has beside it, with the events of its clock.
    let audio = [
        codec(9, "G722", 8_000, 1),
        codec(101, "telephone-event", 8_000, 1),
    ];
    let text = written(&answered(&safari(), &wish(&audio, None)).description);
    assert!(
        text.contains("m=audio 4000 UDP/TLS/RTP/SAVPF 9 126\r\n"),
        "{text}"
    );
}

#[test]
fn each_missing_part_has_its_refusal() {
    let audio = || text(&format!("a=group:BUNDLE 0\n{AUDIO}"));
    let without = |line: &str| {
        let text = audio();
        assert!(text.contains(line), "{line}");
        read(&text.replace(line, "")).err()
    };
    let with = |line: &str, other: &str| read(&audio().replace(line, other)).err();
    assert_eq!(read(&audio()).err(), None);
    assert_eq!(without("a=ice-ufrag:WzIA\n"), Some(BrowserRefusal::NoIce));
    assert_eq!(
        without("a=ice-pwd:S9Hx01BC2A6MzsZoF3VG8zAw\n"),
        Some(BrowserRefusal::NoIce)
    );
    assert_eq!(
        without(&format!("a=fingerprint:sha-256 {DIGEST}\n")),
        Some(BrowserRefusal::NoFingerprint)
    );
    assert_eq!(
        with(
            &format!("sha-256 {DIGEST}"),
            &format!("sha-1 {}", &DIGEST.get(..59).unwrap())
        ),
        Some(BrowserRefusal::WeakFingerprint)
    );
    for (name, octets) in [("sha-384", 48), ("sha-512", 64)] {
        let strong = format!("{name} {}", vec!["AB"; octets].join(":"));
        let own = format!("sha-256 {DIGEST}");
        assert_eq!(with(&own, &strong), Some(BrowserRefusal::OtherFingerprint));
        let weak = format!("sha-1 {}", &DIGEST.get(..59).unwrap());
        let both = format!("{weak}\na=fingerprint:{strong}");
        assert_eq!(with(&own, &both), Some(BrowserRefusal::OtherFingerprint));
        assert_eq!(
            with(&own, &format!("{own}\na=fingerprint:{strong}")),
            None,
            "one of them is known"
        );
    }
    assert_eq!(without("a=rtcp-mux\n"), Some(BrowserRefusal::NoRtcpMux));
    assert_eq!(
        with("actpass", "holdconn"),
        Some(BrowserRefusal::NoHandshake)
    );
    assert_eq!(
        with("UDP/TLS/RTP/SAVPF", "RTP/AVPF"),
        Some(BrowserRefusal::NotSecure)
    );
    assert_eq!(
        with("s=-\n", "s=-\na=ice-lite\n"),
        Some(BrowserRefusal::BothLite)
    );
    assert_eq!(
        with("m=audio 9", "m=audio 0"),
        Some(BrowserRefusal::NoAudio)
    );
    assert_eq!(with("m=audio", "m=text"), Some(BrowserRefusal::NoAudio));
    assert_eq!(
        with("SAVPF 111 63 9 0 8 13 110 126", "SAVPF 63 13 110 126"),
        Some(BrowserRefusal::NoCommonCodec)
    );
}

const CRYPTO: &str =
    "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\n";

/// Whatever else a line offers, it is answered under DTLS, or not at all.
#[test]
fn keys_in_a_description_and_profiles_without_any_are_no_way_around_the_handshake() {
    let audio = opus_first();
    let plain = answered(
        &text(&format!("a=group:BUNDLE 0\n{AUDIO}")),
        &wish(&audio, None),
    );
    let both = AUDIO.replace("a=mid:0\n", &format!("a=mid:0\n{CRYPTO}"));
    let both = text(&format!("a=group:BUNDLE 0\n{both}"));
    let answer = answered(&both, &wish(&audio, None));
    assert_eq!(answer, plain, "keys of the description are read over");
    assert!(!written(&answer.description).contains("crypto"));
    let without_dtls = both.replace(&format!("a=fingerprint:sha-256 {DIGEST}\n"), "");
    assert_eq!(
        read(&without_dtls).err(),
        Some(BrowserRefusal::NoFingerprint)
    );
    for (profile, refusal) in [
        ("RTP/AVP", Some(BrowserRefusal::NotSecure)),
        ("RTP/AVPF", Some(BrowserRefusal::NotSecure)),
        ("rtp/avp", Some(BrowserRefusal::NotSecure)),
        // Names that some browsers had for the same.
        ("RTP/SAVP", None),
        ("RTP/SAVPF", None),
    ] {
        let offered = both.replace("UDP/TLS/RTP/SAVPF", profile);
        assert_eq!(read(&offered).err(), refusal, "{profile}");
    }
}

/// RFC 5939 in its oldest form: the same audio twice, once in the clear.
#[test]
fn of_two_audio_lines_the_one_in_the_clear_is_refused_whichever_comes_first() {
    let audio = opus_first();
    let clear = AUDIO
        .replace("UDP/TLS/RTP/SAVPF", "RTP/AVP")
        .replace("a=mid:0", "a=mid:7");
    for (lines, open) in [
        (format!("a=group:BUNDLE 7 0\n{clear}{AUDIO}"), [false, true]),
        (format!("a=group:BUNDLE 0 7\n{AUDIO}{clear}"), [true, false]),
    ] {
        let answer = answered(&text(&lines), &wish(&audio, None));
        let media = answer.description.media.iter();
        assert_eq!(media.map(is_open).collect::<Vec<_>>(), open);
        let (offer, text) = (answer.audio_direction, written(&answer.description));
        assert_eq!(offer, Direction::SendRecv);
        assert!(text.contains("a=group:BUNDLE 0\r\n"), "{text}");
    }
    let both = format!(
        "a=group:BUNDLE 0 7\n{}{clear}",
        AUDIO.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP")
    );
    assert_eq!(read(&text(&both)).err(), Some(BrowserRefusal::NotSecure));
}

#[test]
fn an_answer_that_cannot_be_made_leaves_what_was_said() {
    let (taken, none) = (opus_first(), [codec(18, "G729", 8_000, 1)]);
    let offer = read(&chromium()).expect("usable");
    let mut session = BrowserSession::new(7);
    let first = session
        .answer(&offer, &wish(&taken, None))
        .expect("answered");
    assert_eq!(
        session.answer(&offer, &wish(&none, None)).err(),
        Some(BrowserRefusal::NoCommonCodec)
    );
    let nowhere = BrowserWish {
        addresses: &[],
        ..wish(&taken, None)
    };
    assert_eq!(
        session.answer(&offer, &nowhere).err(),
        Some(BrowserRefusal::NoAddress)
    );
    let again = session
        .answer(&offer, &wish(&taken, None))
        .expect("answered");
    assert_eq!(again.description, first.description);
    assert!(!again.restarts_ice && !again.renews_dtls);
}

#[test]
fn what_holds_for_the_session_holds_for_each_line() {
    let bare = |line: &str| line.replace("END", "a=rtcp-mux\n");
    let end = END.replace("a=rtcp-mux\n", "");
    let text = text(&format!(
        "{end}a=extmap:9 urn:3gpp:video-orientation\na=group:BUNDLE 0 1\n{}{}",
        bare(AUDIO),
        bare(VIDEO).replace("a=extmap:13 urn:3gpp:video-orientation\n", "")
    ));
    let offer = read(&text).expect("usable");
    assert_eq!(&*offer.ice.ufrag, "WzIA");
    let video = offer.video.expect("video");
    assert!(video.extensions.iter().any(|one| one.id == 9));
}

#[test]
fn a_line_that_is_only_in_the_group_is_open_and_needs_no_transport_of_its_own() {
    let video = VIDEO
        .replace("m=video 9", "m=video 0")
        .replace("END", "a=bundle-only\n");
    let offer = read(&text(&format!("a=group:BUNDLE 0 1\n{AUDIO}{video}"))).expect("usable");
    assert_eq!(offer.video.map(|video| video.index), Ok(1));
    let alone = read(&text(&format!("{AUDIO}{video}"))).expect("usable");
    assert_eq!(
        alone.video,
        Err(NoVideo::NotOffered),
        "without a group port 0 refuses"
    );
}

#[test]
fn video_that_would_need_a_transport_of_its_own_is_refused_and_audio_is_not() {
    let (audio, taken) = (opus_first(), VideoWish::ours());
    let apart = text(&format!("{AUDIO}{VIDEO}"));
    let elsewhere =
        chromium().replacen("a=mid:1\na=ice-ufrag:WzIA", "a=mid:1\na=ice-ufrag:Other", 1);
    for offer in [&apart, &elsewhere] {
        let answer = answered(offer, &wish(&audio, Some(&taken)));
        assert_eq!(answer.video, Err(NoVideo::OwnTransport));
        let open: Vec<_> = answer.description.media.iter().map(is_open).collect();
        assert_eq!(open.get(..2), Some(&[true, false][..]));
    }
    let answer = written(&answered(&apart, &wish(&audio, None)).description);
    assert!(!answer.contains("BUNDLE"), "no group was offered: {answer}");
    let answer = written(&answered(&elsewhere, &wish(&audio, None)).description);
    assert!(answer.contains("a=group:BUNDLE 0\r\n"), "{answer}");
}

#[test]
fn each_reason_for_a_call_without_video_has_its_name() {
    let (audio, single) = (opus_first(), sip_video("profile-level-id=42801f"));
    let why = |offer: &str, video: Option<&VideoWish>| {
        let answer = answered(offer, &wish(&audio, video));
        let mut lines = answer.description.media.iter();
        let video = lines.find(|media| media.kind == MediaKind::Video && is_open(media));
        let direction = video.and_then(|video| video.direction);
        let why = answer.video.expect_err("no video");
        let may_come = video.is_some();
        assert!(!may_come || direction == Some(Direction::Inactive));
        (why, may_come)
    };
    let only_fragmented = chromium().replace("packetization-mode=0", "packetization-mode=1");
    assert_eq!(
        why(&only_fragmented, Some(&single)),
        (NoVideo::NoCommonCodec, true)
    );
    let high = sip_video("profile-level-id=640028;packetization-mode=1");
    assert_eq!(
        why(&chromium(), Some(&high)),
        (NoVideo::NoCommonCodec, true)
    );
    assert_eq!(why(&chromium(), None), (NoVideo::NotTaken, true));
    let none = chromium().replace("m=video 9", "m=video 0");
    assert_eq!(why(&none, Some(&single)), (NoVideo::NotOffered, false));
    let slides = chromium().replace("a=mid:1\n", "a=mid:1\na=content:slides\n");
    assert_eq!(why(&slides, Some(&single)), (NoVideo::NotOffered, false));
    let foreign = chromium().replace("H264", "AV1").replace("VP8", "VP9");
    assert_eq!(
        why(&foreign, Some(&single)),
        (NoVideo::NoCommonCodec, false)
    );
    let plain = chromium().replace("m=video 9 UDP/TLS/RTP/SAVPF", "m=video 9 RTP/AVP");
    assert_eq!(why(&plain, Some(&single)), (NoVideo::NotSecure, false));
    let (audio_line, video_line) = (
        AUDIO.to_owned(),
        VIDEO.replace("END", &END.replace("a=rtcp-mux\n", "")),
    );
    let apart = text(&format!("a=group:BUNDLE 0 1\n{audio_line}{video_line}"));
    assert_eq!(why(&apart, Some(&single)), (NoVideo::NoRtcpMux, false));
}

/// Over one transport a payload type says which line a packet is of, and what is RTCP.
#[test]
fn numbers_that_would_not_tell_packets_apart_are_not_answered() {
    let (audio, video) = (
        opus_first(),
        sip_video("profile-level-id=42e01f;packetization-mode=1"),
    );
    let number = |text: &str| {
        let answer = answered(text, &wish(&audio, Some(&video)));
        answer.video.map(|video| video.codec.payload_type)
    };
    let whole = chromium();
    assert_eq!(number(&whole), Ok(108));
    let shared = |from: &str, to: &str| {
        let (head, lines) = whole.split_once("m=video").expect("video");
        let lines = lines
            .replace(&format!(" {from}"), &format!(" {to}"))
            .replace(&format!(":{from} "), &format!(":{to} "));
        format!("{head}m=video{lines}")
    };
    assert_eq!(number(&shared("108", "111")), Err(NoVideo::SharedNumber));
    assert_eq!(number(&shared("109", "110")), Ok(108), "it is not answered");
    assert_eq!(
        number(&shared("108", "72")),
        Ok(102),
        "72 is a sender report"
    );
    let opus = whole.replace(" 111 ", " 73 ").replace(":111 ", ":73 ");
    let taken = answered(&opus, &wish(&audio, None)).audio;
    assert_eq!(taken.first().map(|codec| codec.payload_type), Some(8));
}

#[test]
fn the_order_of_the_other_side_decides_the_codec_and_its_clock_the_events() {
    let names = |answer: BrowserAnswer| -> Vec<(u8, u32)> {
        let codecs = answer.audio.iter();
        codecs
            .map(|codec| (codec.payload_type, codec.clock_rate_hz))
            .collect()
    };
    let opus = opus_first();
    assert_eq!(
        names(answered(&chromium(), &wish(&opus, None))),
        [(111, 48_000), (110, 48_000)]
    );
    let mut trunk = opus_first();
    trunk.rotate_left(1);
    assert_eq!(
        names(answered(&chromium(), &wish(&trunk, None))),
        [(8, 8_000), (126, 8_000)]
    );
    let silent = [codec(9, "g722", 16_000, 1)];
    assert_eq!(
        names(answered(&chromium(), &wish(&silent, None))),
        [(9, 8_000)]
    );
    let firefox = chromium().replace("a=rtpmap:110 telephone-event/48000\n", "");
    assert_eq!(
        names(answered(&firefox, &wish(&opus, None))),
        [(111, 48_000), (126, 8_000)]
    );
}

#[test]
fn the_sip_side_is_offered_what_its_list_and_the_browser_have_in_common() {
    let offer = read(&chromium()).expect("usable");
    let trunk = [
        codec(18, "G729", 8_000, 1),
        codec(8, "PCMA", 8_000, 1),
        codec(114, "opus", 48_000, 2),
        codec(101, "telephone-event", 8_000, 1),
    ];
    assert_eq!(offer.codecs_for(&trunk), trunk[1..]);
    let video = offer.video.expect("video");
    let wish = video.wish(GuestVideo::RecvOnly).expect("H.264");
    let modes: Vec<_> = wish
        .codecs
        .iter()
        .map(|codec| codec.parameter("packetization-mode"))
        .collect();
    assert_eq!(modes, [Some("1"), Some("0")]);
    assert_eq!(wish.direction, Direction::RecvOnly);
    let ids: Vec<_> = wish.extensions.iter().map(|one| one.id).collect();
    assert_eq!(ids, [13], "numbers of the transport end where it does");
    let fragmented = chromium().replace("packetization-mode=0", "packetization-mode=1");
    let video = read(&fragmented).expect("usable").video.expect("video");
    assert_eq!(
        video
            .wish(GuestVideo::SendRecv)
            .map(|wish| wish.codecs.len()),
        Some(1)
    );
    let foreign = read(&chromium().replace("H264", "AV1"))
        .expect("usable")
        .video
        .expect("VP8");
    assert_eq!(foreign.wish(GuestVideo::SendRecv), None);
}

#[test]
fn the_packetization_mode_is_that_of_the_sip_side_and_the_profile_always_the_same() {
    let audio = opus_first();
    for (fmtp, number, mode) in [
        ("profile-level-id=428016;packetization-mode=1", 108, "1"),
        ("profile-level-id=42e01f;packetization-mode=0", 114, "0"),
        ("profile-level-id=42000d", 114, "0"),
    ] {
        let video = sip_video(fmtp);
        let answer = answered(&chromium(), &wish(&audio, Some(&video)));
        let video = answer.video.expect("video");
        assert_eq!(video.codec.payload_type, number, "{fmtp}");
        assert_eq!(video.codec.parameter("packetization-mode"), Some(mode));
        assert_eq!(video.codec.parameter("profile-level-id"), Some("42e01f"));
        assert_eq!(video.codec.parameter("level-asymmetry-allowed"), Some("1"));
    }
}

#[test]
fn what_the_sip_side_can_do_less_is_the_bandwidth_of_the_line() {
    let audio = opus_first();
    let said = |video: &VideoWish| {
        let answer = answered(&chromium(), &wish(&audio, Some(video)));
        let bandwidth = answer.description.media[1].bandwidth;
        (bandwidth.application_kbit, bandwidth.independent_bit)
    };
    let level = |fmtp: &str| said(&sip_video(fmtp));
    assert_eq!(
        level("profile-level-id=42800d;packetization-mode=1"),
        (Some(768), None)
    );
    assert_eq!(
        level("profile-level-id=42800d;packetization-mode=1;max-br=1500"),
        (Some(1_500), None)
    );
    assert_eq!(
        level("profile-level-id=42801f;packetization-mode=1"),
        (None, None)
    );
    let bandwidth = Bandwidth {
        application_kbit: Some(500),
        independent_bit: Some(400_000),
    };
    let video = VideoWish {
        bandwidth,
        ..sip_video("profile-level-id=42800d;packetization-mode=1")
    };
    assert_eq!(said(&video), (Some(500), Some(400_000)));
}

#[test]
fn the_policy_is_the_guests_and_our_answer_its_inverse() {
    use Direction::{Inactive, RecvOnly, SendOnly, SendRecv};
    let (audio, video) = (opus_first(), VideoWish::ours());
    for (policy, sip, browser) in [
        (GuestVideo::SendRecv, SendRecv, SendRecv),
        (GuestVideo::Inactive, Inactive, Inactive),
        (GuestVideo::RecvOnly, RecvOnly, SendOnly),
        (GuestVideo::RecvOnlyInitially, SendRecv, SendRecv),
    ] {
        assert_eq!(policy.towards_sip(), sip);
        let wish = BrowserWish {
            policy,
            ..wish(&audio, Some(&video))
        };
        let answer = answered(&chromium(), &wish);
        assert_eq!(
            answer.description.media[1].direction,
            Some(browser),
            "{policy:?}"
        );
        assert_eq!(answer.video.expect("video").direction, browser);
    }
    let told = VideoWish {
        direction: RecvOnly,
        ..VideoWish::ours()
    };
    let answer = answered(&chromium(), &wish(&audio, Some(&told)));
    assert_eq!(answer.description.media[1].direction, Some(RecvOnly));
}

#[test]
fn a_browser_that_only_listens_is_only_sent_to() {
    let audio = opus_first();
    let offer = chromium().replace("a=rtcp-mux\n", "a=rtcp-mux\na=recvonly\n");
    let video = VideoWish::ours();
    let answer = answered(&offer, &wish(&audio, Some(&video)));
    let directions: Vec<_> = answer
        .description
        .media
        .iter()
        .take(2)
        .map(|media| media.direction)
        .collect();
    assert_eq!(directions, [Some(Direction::SendOnly); 2]);
    assert_eq!(answer.audio_direction, Direction::SendOnly);
}

#[test]
fn who_begins_the_handshake_is_answered_by_what_was_offered() {
    let audio = opus_first();
    for (setup, ours, role) in [
        ("a=setup:actpass\n", "a=setup:passive\r\n", DtlsRole::Server),
        ("a=setup:active\n", "a=setup:passive\r\n", DtlsRole::Server),
        ("a=setup:passive\n", "a=setup:active\r\n", DtlsRole::Client),
        ("", "a=setup:passive\r\n", DtlsRole::Server),
    ] {
        let answer = answered(
            &chromium().replace("a=setup:actpass\n", setup),
            &wish(&audio, None),
        );
        assert_eq!(answer.role, role, "{setup}");
        assert!(written(&answer.description).contains(ours), "{setup}");
    }
}

#[test]
fn an_offer_to_take_either_part_does_not_change_ours() {
    let audio = opus_first();
    let mut session = BrowserSession::new(7);
    let passive = read(&chromium().replace("actpass", "passive")).expect("usable");
    session
        .answer(&passive, &wish(&audio, None))
        .expect("answered");
    let either = read(&chromium()).expect("usable");
    let answer = session
        .answer(&either, &wish(&audio, None))
        .expect("answered");
    assert_eq!((answer.role, answer.renews_dtls), (DtlsRole::Client, false));
    let other = read(&chromium().replace("8F:B6", "8F:B7")).expect("usable");
    let answer = session
        .answer(&other, &wish(&audio, None))
        .expect("answered");
    assert!(
        answer.renews_dtls,
        "another certificate is another association"
    );
}

#[test]
fn a_restart_of_ice_has_new_credentials_of_ours_and_nothing_else_has() {
    let audio = opus_first();
    let mut session = BrowserSession::new(7);
    let fresh = |ufrag: &str| BrowserWish {
        ice: ice(ufrag),
        ..wish(&audio, None)
    };
    let mut say = |text: &str, ufrag: &str| {
        let offer = read(text).expect("usable");
        let answer = session.answer(&offer, &fresh(ufrag)).expect("answered");
        let version = answer.description.origin.version;
        (answer.ice.ufrag.to_string(), answer.restarts_ice, version)
    };
    assert_eq!(say(&chromium(), "one1"), ("one1".to_owned(), false, 1));
    assert_eq!(say(&chromium(), "two2"), ("one1".to_owned(), false, 1));
    let moved = chromium().replace("WzIA", "Zy9x");
    assert_eq!(say(&moved, "two2"), ("two2".to_owned(), true, 2));
    let held = moved.replace("a=rtcp-mux\n", "a=rtcp-mux\na=inactive\n");
    assert_eq!(say(&held, "six6"), ("two2".to_owned(), false, 3));
}

#[test]
fn candidates_change_nothing_whatever_they_name() {
    let (audio, video) = (opus_first(), VideoWish::ours());
    let plain = answered(&chromium(), &wish(&audio, Some(&video)));
    let many: String = (0..500)
        .map(|number| format!("a=candidate:{number} 1 udp 1 10.0.0.1 {number} typ host\n"))
        .collect();
    let internal: String = [
        "127.0.0.1",
        "169.254.169.254",
        "::1",
        "::",
        "::ffff:127.0.0.1",
        "fe80::1",
        "ff02::1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "192.0.2.255",
        "10.1.2.3",
    ]
    .map(|address| format!("a=candidate:1 1 udp 1 {address} 22 typ host\n"))
    .concat();
    // More than a description may have octets.
    let endless = many.repeat(2);
    let text_of =
        |candidates: &str| chromium().replacen("a=mid:0\n", &format!("a=mid:0\n{candidates}"), 1);
    let refused = SessionDescription::parse(text_of(&endless).as_bytes()).err();
    assert_eq!(refused.map(|error| error.as_str()), Some("sdp_too_large"));
    let hidden =
        "a=candidate:1 1 udp 1 7923d40b-35e9-46fc-a5d4-fa1d909df6af.local 9 typ host\n".to_owned();
    for candidates in [many, internal, hidden] {
        let text = text_of(&candidates);
        let offer = read(&text).expect("usable");
        assert!(offer.lines.iter().all(|line| {
            line.browser
                .as_ref()
                .is_none_or(|said| said.candidates.hosts.is_empty())
        }));
        assert_eq!(answered(&text, &wish(&audio, Some(&video))), plain);
    }
    let hidden = text_of("a=candidate:1 1 udp 1 x.local 9 typ host\n");
    assert_eq!(read(&hidden).expect("usable").skipped_candidates, 1);
}

#[test]
fn of_two_pictures_the_first_is_taken() {
    let (audio, video) = (opus_first(), VideoWish::ours());
    let second = VIDEO.replace("a=mid:1", "a=mid:9");
    let offer = text(&format!("a=group:BUNDLE 0 1 9\n{AUDIO}{VIDEO}{second}"));
    let answer = answered(&offer, &wish(&audio, Some(&video)));
    let open: Vec<_> = answer.description.media.iter().map(is_open).collect();
    assert_eq!(open, [true, true, false]);
    let text = written(&answer.description);
    assert!(
        text.contains("a=group:BUNDLE 0 1\r\n") && text.contains("a=mid:9\r\n"),
        "{text}"
    );
}

#[test]
fn more_addresses_than_are_named_are_left_out() {
    let audio = opus_first();
    let addresses: Vec<SocketAddr> = (1..=20)
        .map(|last| SocketAddr::from(([192, 0, 2, last], 4_000)))
        .collect();
    let many = BrowserWish {
        addresses: &addresses,
        ..wish(&audio, None)
    };
    let text = written(&answered(&chromium(), &many).description);
    assert_eq!(text.matches("a=candidate:").count(), BROWSER_ADDRESSES_MAX);
}

proptest! {
    /// An offer that lost any of its lines, and has them in any order, has an answer or a refusal.
    #[test]
    fn an_offer_with_any_lines_left_out_is_answered_or_refused(
        kept in prop::collection::vec(any::<bool>(), 90),
        rotated in 0..80_usize,
    ) {
        let whole = chromium();
        let (head, rest) = whole.split_once("t=0 0\n").expect("a head");
        let mut lines: Vec<&str> = rest
            .lines()
            .zip(kept.iter().cycle())
            .filter_map(|(line, kept)| kept.then_some(line))
            .collect();
        let middle = rotated.min(lines.len());
        lines.rotate_left(middle);
        let text = format!("{head}t=0 0\n{}\n", lines.join("\n"));
        if let Ok(description) = SessionDescription::parse(text.as_bytes()) {
            crate::fuzzing::browser::answer(&description).ok();
        }
    }

    #[test]
    fn an_offer_with_one_line_left_out_is_answered_or_refused(left_out in 0..90_usize) {
        let text: String = chromium()
            .lines()
            .enumerate()
            .filter(|(place, _)| *place != left_out + 3)
            .map(|(_, line)| format!("{line}\n"))
            .collect();
        let description = parsed(&text);
        crate::fuzzing::browser::answer(&description).ok();
    }
}
