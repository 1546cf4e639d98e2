//! Offers and answers of real peers, and pairs that must agree.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use proptest::prelude::*;

use super::*;
use crate::message::SendBuffer;
use crate::sdp::{Direction, MediaKind, SessionDescription};

const OURS: LocalMedia = LocalMedia {
    address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)),
    rtp_port: 10_000,
    rtcp_port: 10_001,
};

fn sdp(lines: &str) -> SessionDescription {
    let text =
        format!("v=0\no=- 1 1 IN IP4 198.51.100.1\ns=-\nc=IN IP4 198.51.100.1\nt=0 0\n{lines}");
    SessionDescription::parse(text.as_bytes()).expect("a test description")
}

fn codecs(names: &[&str]) -> Vec<Codec> {
    names
        .iter()
        .map(|name| Codec::known(name).expect("known"))
        .collect()
}

fn text(description: &SessionDescription) -> String {
    let mut buffer = SendBuffer::new();
    description.write(&mut buffer);
    String::from_utf8(buffer.as_bytes().to_vec()).expect("text")
}

fn answer(offer: &SessionDescription, names: &[&str], wanted: Direction) -> SessionDescription {
    let negotiated = negotiate(offer, &codecs(names), &[]).expect("common ground");
    build_answer(
        offer,
        local_origin(7, 1, OURS.address),
        OURS,
        &negotiated,
        wanted,
    )
}

/// RFC 3551 §6.
#[test]
fn static_payload_types_need_no_rtpmap() {
    let offer = sdp("m=audio 4000 RTP/AVP 0 8 9 18 13 96\n");
    let names: Vec<String> = codecs_of(&offer.media[0])
        .iter()
        .map(|codec| codec.name.to_string())
        .collect();
    assert_eq!(
        names,
        ["PCMU", "PCMA", "G722", "G729", "CN"],
        "96 is dynamic and says nothing"
    );
}

#[test]
fn the_order_of_the_offer_decides_and_names_ignore_case() {
    let offer = sdp("m=audio 4000 RTP/AVP 96 8 0\na=rtpmap:96 OPUS/48000/2\n");
    let negotiated = negotiate(&offer, &codecs(&["PCMU", "opus"]), &[]).expect("both");
    assert_eq!(negotiated.codec().map(|codec| codec.payload_type), Some(96));
    assert_eq!(negotiated.codecs.len(), 2);
}

#[test]
fn g722_with_its_sampling_rate_as_clock_is_g722() {
    let offer = sdp("m=audio 4000 RTP/AVP 107\na=rtpmap:107 G722/16000\n");
    assert!(negotiate(&offer, &codecs(&["G722"]), &[]).is_ok_and(|found| found.codecs.len() == 1));
}

#[test]
fn opus_in_mono_is_another_codec() {
    let offer = sdp("m=audio 4000 RTP/AVP 107\na=rtpmap:107 opus/48000\n");
    assert_eq!(
        negotiate(&offer, &codecs(&["opus"]), &[]),
        Err(OfferRefusal::NoCommonCodec)
    );
}

/// A line without a codec for speech is refused, never answered with events only.
#[test]
fn events_or_noise_alone_are_no_common_codec() {
    let offer = sdp(
        "m=audio 4000 RTP/AVP 101 13 123\na=rtpmap:101 telephone-event/8000\n\
         a=rtpmap:123 X-ULPFECUC/8000\n",
    );
    let all = codecs(&["PCMA", "telephone-event", "CN"]);
    assert_eq!(
        negotiate(&offer, &all, &[]),
        Err(OfferRefusal::NoCommonCodec)
    );
    assert_eq!(OfferRefusal::NoCommonCodec.status().code(), 488);
}

#[test]
fn an_answer_has_one_codec_and_the_events_of_its_clock_with_the_numbers_of_the_offer() {
    let offer = sdp(
        "m=audio 4000 RTP/AVP 8 0 97 98\na=rtpmap:97 telephone-event/48000\n\
         a=rtpmap:98 telephone-event/8000\na=fmtp:98 0-16\n",
    );
    let answer = answer(
        &offer,
        &["PCMU", "PCMA", "telephone-event"],
        Direction::SendRecv,
    );
    let audio = &answer.media[0];
    assert_eq!(
        audio.formats.iter().map(|text| &**text).collect::<Vec<_>>(),
        ["8", "98"]
    );
    assert_eq!(audio.fmtp(98), Some("0-16"));
}

#[test]
fn events_are_not_answered_where_we_do_not_have_them() {
    let offer = sdp("m=audio 4000 RTP/AVP 8 101\na=rtpmap:101 telephone-event/8000\n");
    assert_eq!(
        answer(&offer, &["PCMA"], Direction::SendRecv).media[0]
            .formats
            .len(),
        1
    );
}

/// RFC 3264 §6: as many lines as the offer, in its order.
#[test]
fn every_line_is_answered_in_order_and_what_is_not_taken_gets_port_zero() {
    let offer = sdp("m=video 5000 RTP/AVP 97\na=rtpmap:97 H264/90000\n\
         m=audio 4000 RTP/SAVP 0\n\
         m=audio 4002 RTP/AVP 0 8\n\
         m=application 6000 UDP/BFCP *\n\
         m=application 6002 UDP/UDT/IX *\n\
         m=audio 4004 RTP/AVP 0\n");
    let answer = answer(&offer, &["PCMA"], Direction::SendRecv);
    let ports: Vec<u16> = answer.media.iter().map(|media| media.port).collect();
    assert_eq!(ports, [0, 0, 10_000, 0, 0, 0]);
    for (ours, theirs) in answer.media.iter().zip(&offer.media) {
        assert_eq!(
            (&ours.kind, &ours.protocol),
            (&theirs.kind, &theirs.protocol)
        );
        assert!(!ours.formats.is_empty());
    }
}

/// RFC 3264 §8.4, and peers of RFC 2543.
#[test]
fn an_unspecified_address_is_hold_and_is_answered_without_sending() {
    let offer = sdp("m=audio 4000 RTP/AVP 0\nc=IN IP4 0.0.0.0\n");
    let audio = read_offer(&offer, &[]).expect("hold is fine");
    assert_eq!((audio.rtp, audio.direction), (None, Direction::SendOnly));
    let reply = answer(&offer, &["PCMU"], Direction::SendRecv);
    assert_eq!(reply.media[0].direction, Some(Direction::RecvOnly));
    let offer = sdp("m=audio 4000 RTP/AVP 0\nc=IN IP4 0.0.0.0\na=inactive\n");
    let reply = answer(&offer, &["PCMU"], Direction::SendRecv);
    assert_eq!(reply.media[0].direction, Some(Direction::Inactive));
}

#[test]
fn a_direction_of_the_session_holds_for_its_lines() {
    let offer = sdp("a=sendonly\nm=audio 4000 RTP/AVP 0\n");
    let reply = answer(&offer, &["PCMU"], Direction::SendRecv);
    assert_eq!(reply.media[0].direction, Some(Direction::RecvOnly));
}

#[test]
fn each_unusable_offer_has_its_name() {
    let own: SocketAddr = "198.51.100.1:4000".parse().expect("an address");
    let cases = [
        ("", OfferRefusal::NoAudio),
        ("m=audio 0 RTP/AVP 0\n", OfferRefusal::NoAudio),
        ("m=video 4000 RTP/AVP 97\n", OfferRefusal::NoAudio),
        ("m=audio 4000 udptl t38\n", OfferRefusal::NoAudio),
        ("m=audio 4000 RTP/SAVP 0\n", OfferRefusal::SecureOnly),
        (
            "m=audio 4000 UDP/TLS/RTP/SAVPF 0\n",
            OfferRefusal::SecureOnly,
        ),
        ("m=audio 4002 RTP/AVP 3\n", OfferRefusal::NoCommonCodec),
        (
            "m=audio 4002 RTP/AVP 0\nc=IN IP4 239.1.2.3/127\n",
            OfferRefusal::UnusableAddress,
        ),
        (
            "m=audio 4002 RTP/AVP 0\nc=IN IP6 ff02::1\n",
            OfferRefusal::UnusableAddress,
        ),
        (
            "m=audio 4002 RTP/AVP 0\nc=IN IP6 ::ffff:224.0.0.1\n",
            OfferRefusal::UnusableAddress,
        ),
        (
            "m=audio 4002 RTP/AVP 0\nc=IN IP4 255.255.255.255\n",
            OfferRefusal::UnusableAddress,
        ),
        (
            "m=audio 4002 RTP/AVP 0\nc=IN IP4 host.example\n",
            OfferRefusal::UnusableAddress,
        ),
        ("m=audio 4000 RTP/AVP 0\n", OfferRefusal::UnusableAddress),
    ];
    for (lines, refusal) in cases {
        assert_eq!(
            negotiate(&sdp(lines), &codecs(&["PCMU"]), &[own]),
            Err(refusal),
            "{lines}"
        );
    }
}

/// Peers offer SAVP and AVP with one port; the first line must not decide for both.
#[test]
fn a_plain_line_after_a_secure_one_is_taken() {
    let offer = sdp("m=audio 4000 RTP/SAVP 0\nm=audio 4000 RTP/AVP 0\n");
    let negotiated = negotiate(&offer, &codecs(&["PCMU"]), &[]).expect("the second line");
    assert_eq!(negotiated.audio.index, 1);
}

/// RFC 3605, RFC 5761.
#[test]
fn rtcp_goes_where_the_peer_says() {
    let rtcp = |lines: &str| read_offer(&sdp(lines), &[]).expect("audio").rtcp;
    let at = |text: &str| Some(text.parse::<SocketAddr>().expect("an address"));
    assert_eq!(rtcp("m=audio 4000 RTP/AVP 0\n"), at("198.51.100.1:4001"));
    assert_eq!(
        rtcp("m=audio 4000 RTP/AVP 0\na=rtcp:5\n"),
        at("198.51.100.1:5")
    );
    let elsewhere = "m=audio 4000 RTP/AVP 0\na=rtcp:5 IN IP4 198.51.100.9\n";
    assert_eq!(rtcp(elsewhere), at("198.51.100.9:5"));
    assert_eq!(
        rtcp("m=audio 4000 RTP/AVP 0\na=rtcp-mux\n"),
        at("198.51.100.1:4000")
    );
    assert_eq!(rtcp("m=audio 65535 RTP/AVP 0\n"), None);
}

#[test]
fn an_offer_says_what_we_have_in_our_order() {
    let list = codecs(&["G722", "PCMA", "telephone-event"]);
    let local = LocalMedia {
        rtcp_port: 10_005,
        ..OURS
    };
    let offer = build_offer(
        local_origin(7, 3, OURS.address),
        local,
        &list,
        Direction::SendRecv,
    );
    assert_eq!(
        text(&offer),
        "v=0\r\no=- 7 3 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n\
         m=audio 10000 RTP/AVP 9 8 101\r\na=rtpmap:9 G722/8000\r\na=rtpmap:8 PCMA/8000\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=rtcp:10005\r\na=sendrecv\r\n"
    );
}

/// RFC 3264 §8: lines never disappear.
#[test]
fn a_new_offer_keeps_every_line_in_its_place() {
    let offer = sdp("m=video 5000 RTP/AVP 97\nm=audio 4000 RTP/AVP 0\n");
    let last = answer(&offer, &["PCMU"], Direction::SendRecv);
    let origin = local_origin(7, 2, OURS.address);
    let next = build_reoffer(
        &last,
        origin.clone(),
        OURS,
        &codecs(&["PCMA"]),
        Direction::SendOnly,
    );
    assert_eq!(
        next.media
            .iter()
            .map(|media| media.port)
            .collect::<Vec<_>>(),
        [0, 10_000]
    );
    assert_eq!(next.media[1].direction, Some(Direction::SendOnly));
    assert_eq!(&*next.media[1].formats[0], "8");
    let none = sdp("m=video 0 RTP/AVP 97\n");
    let next = build_reoffer(&none, origin, OURS, &codecs(&["PCMA"]), Direction::SendRecv);
    assert_eq!(next.media[1].kind, MediaKind::Audio);
}

#[test]
fn an_answer_gives_a_number_for_each_direction() {
    let ours = build_offer(
        local_origin(7, 1, OURS.address),
        OURS,
        &codecs(&["PCMA", "opus", "telephone-event"]),
        Direction::SendRecv,
    );
    let theirs = sdp(
        "m=audio 4000 RTP/AVP 97 8 96\na=rtpmap:97 opus/48000/2\na=rtpmap:96 telephone-event/8000\n",
    );
    let taken = read_answer(&ours, &theirs, &[]).expect("agreed");
    let codec = taken.codec().expect("one");
    assert_eq!(
        (codec.send_payload_type, codec.receive_payload_type),
        (97, 114)
    );
    assert_eq!(taken.codecs.len(), 2);
    assert_eq!(taken.telephone_event, None, "opus has another clock");
    let theirs = sdp("m=audio 4000 RTP/AVP 8 96\na=rtpmap:96 telephone-event/8000\n");
    let taken = read_answer(&ours, &theirs, &[]).expect("agreed");
    let event = taken.telephone_event.expect("taken");
    assert_eq!(
        (event.send_payload_type, event.receive_payload_type),
        (96, 101)
    );
}

#[test]
fn an_answer_without_rtpmap_means_what_was_offered_under_the_number() {
    let list = codecs(&["opus"]);
    let ours = build_offer(
        local_origin(7, 1, OURS.address),
        OURS,
        &list,
        Direction::SendRecv,
    );
    let taken = read_answer(&ours, &sdp("m=audio 4000 RTP/AVP 114\n"), &[]).expect("agreed");
    assert_eq!(
        taken.codec().map(|agreed| &*agreed.codec.name),
        Some("opus")
    );
}

#[test]
fn answers_that_refuse_have_their_names() {
    let list = codecs(&["PCMA", "telephone-event"]);
    let ours = build_offer(
        local_origin(7, 1, OURS.address),
        OURS,
        &list,
        Direction::SendRecv,
    );
    for (lines, refusal) in [
        ("m=audio 0 RTP/AVP 8\n", OfferRefusal::NoAudio),
        ("", OfferRefusal::NoAudio),
        ("m=video 4000 RTP/AVP 8\n", OfferRefusal::NoAudio),
        ("m=audio 4002 RTP/AVP 3\n", OfferRefusal::NoCommonCodec),
        ("m=audio 4000 RTP/AVP 101\n", OfferRefusal::NoCommonCodec),
        (
            "m=audio 4000 RTP/AVP 8\nc=IN IP4 224.0.0.1\n",
            OfferRefusal::UnusableAddress,
        ),
    ] {
        assert_eq!(
            read_answer(&ours, &sdp(lines), &[]),
            Err(refusal),
            "{lines}"
        );
    }
}

fn direction() -> impl Strategy<Value = Direction> {
    prop::sample::select(vec![
        Direction::SendRecv,
        Direction::SendOnly,
        Direction::RecvOnly,
        Direction::Inactive,
    ])
}

fn some_codecs() -> impl Strategy<Value = Vec<Codec>> {
    let names = ["PCMU", "PCMA", "G722", "opus", "G729", "telephone-event"];
    prop::sample::subsequence(names.to_vec(), 1..=names.len())
        .prop_shuffle()
        .prop_map(|names| codecs(&names))
}

proptest! {
    /// Two sides of ours, through text: whoever negotiates, both agree on codec, numbers and
    /// directions, and the answer is one that RFC 3264 §6 allows.
    #[test]
    fn an_offer_and_its_answer_agree(
        offered in some_codecs(),
        capable in some_codecs(),
        offer_direction in direction(),
        wanted in direction(),
    ) {
        let origin = local_origin(1, 1, OURS.address);
        let offer = build_offer(origin.clone(), OURS, &offered, offer_direction);
        let read = SessionDescription::parse(text(&offer).as_bytes()).expect("our own");
        prop_assert_eq!(&read, &offer);
        let speech = |list: &[Codec]| list.iter().any(Codec::is_speech);
        let common = offered.iter().any(|one| one.is_speech() && capable.iter().any(|other| one.is_same(other)));
        let Ok(negotiated) = negotiate(&read, &capable, &[]) else {
            prop_assert!(!common, "refused in spite of a common codec");
            return Ok(());
        };
        prop_assert!(common && speech(&offered));
        let answer = build_answer(&read, origin, OURS, &negotiated, wanted);
        let answer = SessionDescription::parse(text(&answer).as_bytes()).expect("our own");
        prop_assert_eq!(answer.media.len(), offer.media.len());
        let taken = read_answer(&offer, &answer, &[]).expect("an answer of ours");
        let codec = taken.codec().expect("one");
        prop_assert_eq!(codec.send_payload_type, codec.receive_payload_type);
        prop_assert_eq!(Some(&*codec.codec.name), negotiated.codec().map(|codec| &*codec.name));
        let mirrored = reversed(taken.audio.direction);
        prop_assert!(!mirrored.sends() || offer_direction.sends());
        prop_assert!(!mirrored.receives() || offer_direction.receives());
    }
}
