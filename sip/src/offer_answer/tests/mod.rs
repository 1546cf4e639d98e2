//! Offers and answers of real peers, and pairs that must agree.

use std::net::SocketAddr;

use proptest::prelude::*;

mod call_manager;
mod formats;
mod secure;
mod video;

use super::codec_match::codecs_of;
use super::crypto::CryptoPolicy;
use super::direction::reversed;
use super::*;
use crate::message::SendBuffer;
use crate::sdp::{Direction, MediaKind, SessionDescription};

const KNOWN: &str = "m=audio 4000 RTP/AVP 0 8 9 18 3 13 114 101\n\
     a=rtpmap:114 opus/48000/2\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-15\n";

fn session() -> Session {
    Session::new("192.0.2.10:10000".parse().expect("an address"), 7)
}

const fn anywhere(_address: SocketAddr) -> Option<Forbidden> {
    None
}

fn sdp(lines: &str) -> SessionDescription {
    let text =
        format!("v=0\no=- 1 1 IN IP4 198.51.100.1\ns=-\nc=IN IP4 198.51.100.1\nt=0 0\n{lines}");
    SessionDescription::parse(text.as_bytes()).expect("a test description")
}

fn codecs(names: &[&str]) -> Vec<Codec> {
    let known = codecs_of(&sdp(KNOWN).media[0]);
    let named = |name: &&str| known.iter().find(|codec| *codec.name == **name);
    names
        .iter()
        .map(|name| named(name).cloned().expect("known"))
        .collect()
}

fn text(description: &SessionDescription) -> String {
    let mut buffer = SendBuffer::new();
    description.write(&mut buffer);
    String::from_utf8(buffer.as_bytes().to_vec()).expect("text")
}

/// What we answer to an offer where the other side took `names`.
fn try_answer(
    offer: &SessionDescription,
    names: &[&str],
    wanted: Direction,
) -> Result<SessionDescription, Unusable> {
    let mut session = session();
    session.accept(read_offer(offer, CryptoPolicy::Off, anywhere)?);
    session.answer(&codecs(names), wanted, None)
}

fn answer(offer: &SessionDescription, names: &[&str], wanted: Direction) -> SessionDescription {
    try_answer(offer, names, wanted).expect("common ground")
}

fn formats(description: &SessionDescription, line: usize) -> Vec<&str> {
    description.media[line]
        .formats
        .iter()
        .map(|text| &**text)
        .collect()
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

/// What is in use on the other side must be in use here.
#[test]
fn the_order_of_the_other_side_decides_and_names_ignore_case() {
    let offer = sdp("m=audio 4000 RTP/AVP 96 8 0\na=rtpmap:96 OPUS/48000/2\n");
    let reply = answer(&offer, &["PCMU", "opus"], Direction::SendRecv);
    assert_eq!(formats(&reply, 0), ["0"]);
    let reply = answer(&offer, &["opus", "PCMU"], Direction::SendRecv);
    assert_eq!(formats(&reply, 0), ["96"]);
}

#[test]
fn g722_with_its_sampling_rate_as_clock_is_g722() {
    let offer = sdp("m=audio 4000 RTP/AVP 107\na=rtpmap:107 G722/16000\n");
    let reply = answer(&offer, &["G722"], Direction::SendRecv);
    assert_eq!(formats(&reply, 0), ["107"]);
    let asked = read_offer(&offer, CryptoPolicy::Off, anywhere).expect("audio");
    let passed_on = session().offer(&asked.codecs, Direction::SendRecv, None);
    assert_eq!(passed_on.media[0].rtpmaps[0].clock_rate_hz, 8_000);
}

#[test]
fn opus_in_mono_is_another_codec() {
    let offer = sdp("m=audio 4000 RTP/AVP 107\na=rtpmap:107 opus/48000\n");
    assert_eq!(
        try_answer(&offer, &["opus"], Direction::SendRecv),
        Err(Unusable::NoCommonCodec)
    );
}

/// A line without a codec for speech is refused, never answered with what cannot carry a voice.
#[test]
fn events_noise_redundancy_or_fec_alone_are_no_common_codec() {
    for format in [
        "telephone-event/8000",
        "CN/8000",
        "red/8000",
        "RED/8000",
        "ulpfec/8000",
        "X-ULPFECUC/8000",
        "flexfec-03/8000",
    ] {
        let line = format!("m=audio 4000 RTP/AVP 123 13\na=rtpmap:123 {format}\n");
        let offer = sdp(&line);
        assert_eq!(
            read_offer(&offer, CryptoPolicy::Off, anywhere),
            Err(Unusable::NoCommonCodec),
            "{format}"
        );
        let ours = session().offer(&codecs(&["PCMA"]), Direction::SendRecv, None);
        assert_eq!(
            read_answer(&ours, &offer, CryptoPolicy::Off, anywhere),
            Err(Unusable::NoCommonCodec),
            "{format}"
        );
        let beside = sdp(&line.replace("123 13", "123 8 13"));
        let reply = answer(&beside, &["CN", "PCMA"], Direction::SendRecv);
        assert_eq!(formats(&reply, 0), ["8"], "{format}");
    }
}

#[test]
fn an_answer_has_one_codec_and_the_events_of_its_clock_with_the_numbers_of_the_offer() {
    let offer = sdp(
        "m=audio 4000 RTP/AVP 0 8 97 98\na=rtpmap:97 telephone-event/48000\n\
         a=rtpmap:98 telephone-event/8000\na=fmtp:98 0-16\n",
    );
    let answer = answer(
        &offer,
        &["PCMA", "PCMU", "telephone-event"],
        Direction::SendRecv,
    );
    let audio = &answer.media[0];
    assert_eq!(formats(&answer, 0), ["8", "98"]);
    assert_eq!(audio.fmtp(98), Some("0-15"), "as the other side said");
}

#[test]
fn events_are_not_answered_where_the_other_side_does_not_have_them() {
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
    let audio = read_offer(&offer, CryptoPolicy::Off, anywhere).expect("hold is fine");
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
        ("", Unusable::NoAudio),
        ("m=audio 0 RTP/AVP 0\n", Unusable::NoAudio),
        ("m=video 4000 RTP/AVP 97\n", Unusable::NoAudio),
        ("m=audio 4000 udptl t38\n", Unusable::NoAudio),
        ("m=audio 4000 RTP/SAVP 0\n", Unusable::SecureOnly),
        ("m=audio 4000 UDP/TLS/RTP/SAVPF 0\n", Unusable::SecureOnly),
        ("m=audio 4002 RTP/AVP 3\n", Unusable::NoCommonCodec),
        (
            "m=audio 4002 RTP/AVP 0\nc=IN IP4 239.1.2.3/127\n",
            Unusable::Forbidden(Forbidden::Multicast),
        ),
        (
            "m=audio 4002 RTP/AVP 0\nc=IN IP6 ff02::1\n",
            Unusable::Forbidden(Forbidden::Multicast),
        ),
        (
            "m=audio 4002 RTP/AVP 0\nc=IN IP6 ::ffff:224.0.0.1\n",
            Unusable::Forbidden(Forbidden::Multicast),
        ),
        (
            "m=audio 4002 RTP/AVP 0\nc=IN IP4 255.255.255.255\n",
            Unusable::Forbidden(Forbidden::Broadcast),
        ),
        (
            "m=audio 4002 RTP/AVP 0\nc=IN IP4 host.example\n",
            Unusable::NoAddress,
        ),
        (
            "m=audio 4000 RTP/AVP 0\n",
            Unusable::Forbidden(Forbidden::Own),
        ),
        (
            "m=audio 4002 RTP/AVP 0\nc=IN IP6 ::ffff:0.0.0.0\n",
            Unusable::Forbidden(Forbidden::Unspecified),
        ),
        (
            "m=audio 4000 RTP/AVP 0\nc=IN IP6 ::ffff:198.51.100.1\n",
            Unusable::Forbidden(Forbidden::Own),
        ),
        (
            "m=audio 4002 RTP/AVP 0\na=rtcp:4000\n",
            Unusable::Forbidden(Forbidden::Own),
        ),
        (
            "m=audio 4002 RTP/AVP 0\na=rtcp:53 IN IP4 224.0.0.251\n",
            Unusable::Forbidden(Forbidden::Multicast),
        ),
    ];
    for (lines, refusal) in cases {
        let mut session = session();
        let read = read_offer(&sdp(lines), CryptoPolicy::Off, |address| {
            (address == own).then_some(Forbidden::Own)
        });
        let answered = read.and_then(|audio| {
            session.accept(audio);
            session.answer(&codecs(&["PCMU"]), Direction::SendRecv, None)
        });
        assert_eq!(answered, Err(refusal), "{lines}");
    }
}

/// Peers offer SAVP and AVP with one port; the first line must not decide for all.
#[test]
fn the_first_line_that_can_be_used_is_taken() {
    for unusable in [
        "m=audio 4000 RTP/SAVP 0\n",
        "m=audio 4000 RTP/AVP 101\na=rtpmap:101 telephone-event/8000\n",
        "m=audio 4000 RTP/AVP 123\na=rtpmap:123 X-ULPFECUC/8000\n",
        "m=audio 4000 RTP/AVP 0\nc=IN IP4 239.0.0.1\n",
        "m=audio 4000 RTP/AVP 0\nc=IN IP4 host.example\n",
        "m=audio 0 RTP/AVP 0\n",
    ] {
        let offer = sdp(&format!("{unusable}m=audio 4002 RTP/AVP 0\n"));
        let audio = read_offer(&offer, CryptoPolicy::Off, anywhere).expect("the second line");
        assert_eq!(audio.index, 1, "{unusable}");
        let reply = answer(&offer, &["PCMU"], Direction::SendRecv);
        let ports: Vec<u16> = reply.media.iter().map(|media| media.port).collect();
        assert_eq!(ports, [0, 10_000], "{unusable}");
    }
}

/// RFC 3605, RFC 5761.
#[test]
fn rtcp_goes_where_the_peer_says() {
    let rtcp = |lines: &str| {
        read_offer(&sdp(lines), CryptoPolicy::Off, anywhere)
            .expect("audio")
            .rtcp
    };
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
    let both = "m=audio 4000 RTP/AVP 0\na=rtcp:5\na=rtcp-mux\n";
    assert_eq!(rtcp(both), at("198.51.100.1:4000"));
    assert_eq!(rtcp("m=audio 65535 RTP/AVP 0\n"), None);
    assert_eq!(rtcp("m=audio 4000 RTP/AVP 0\na=rtcp:0\n"), None);
    let name = "m=audio 4000 RTP/AVP 0\na=rtcp:5 IN IP4 host.example\n";
    assert_eq!(rtcp(name), None);
}

/// RFC 5761 §5.1.1: without it in the answer the peer may not send RTCP to the port of RTP.
#[test]
fn rtcp_mux_is_answered_where_it_was_offered_and_only_there() {
    let offer = sdp("m=audio 4000 RTP/AVP 0\na=rtcp-mux\n");
    assert!(answer(&offer, &["PCMU"], Direction::SendRecv).media[0].rtcp_mux);
    let offer = sdp("m=audio 4000 RTP/AVP 0\n");
    assert!(!answer(&offer, &["PCMU"], Direction::SendRecv).media[0].rtcp_mux);
    let ours = session().offer(&codecs(&["PCMU"]), Direction::SendRecv, None);
    assert!(!ours.media[0].rtcp_mux);
}

#[test]
fn an_offer_says_what_we_have_in_our_order() {
    let list = codecs(&["G722", "PCMA", "telephone-event"]);
    let offer = session().offer(&list, Direction::SendRecv, Some(20));
    assert_eq!(
        text(&offer),
        "v=0\r\no=- 7 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n\
         m=audio 10000 RTP/AVP 9 8 101\r\na=rtpmap:9 G722/8000\r\na=rtpmap:8 PCMA/8000\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
    );
}

/// RFC 3264 §8: lines never disappear, and the version rises with a change only.
#[test]
fn a_new_offer_keeps_every_line_in_its_place() {
    let offer = sdp("m=video 5000 RTP/AVP 97\nm=audio 4000 RTP/AVP 0\n");
    let mut session = session();
    session.accept(read_offer(&offer, CryptoPolicy::Off, anywhere).expect("audio"));
    let first = session
        .answer(&codecs(&["PCMU"]), Direction::SendRecv, None)
        .expect("common ground");
    let next = session.offer(&codecs(&["PCMA"]), Direction::SendOnly, None);
    assert_eq!(
        next.media
            .iter()
            .map(|media| media.port)
            .collect::<Vec<_>>(),
        [0, 10_000]
    );
    assert_eq!(next.media[1].direction, Some(Direction::SendOnly));
    assert_eq!(formats(&next, 1), ["8"]);
    assert_eq!(next.origin.version, first.origin.version + 1);
    let again = session.offer(&codecs(&["PCMA"]), Direction::SendOnly, None);
    assert_eq!(again, next);
    assert_eq!(next.media[0].kind, MediaKind::Video);
}

/// RFC 3261 §14.1; RFC 3264 §8 for the version, which no other description may have.
#[test]
fn a_refused_offer_leaves_the_session_as_it_was() {
    let mut session = session();
    let first = session.offer(&codecs(&["PCMA"]), Direction::SendRecv, None);
    let before = session.current().clone();
    let refused = session.offer(&codecs(&["PCMU"]), Direction::Inactive, None);
    session.restore(before);
    let ours = session.current().ours.clone().expect("said before");
    assert_eq!(ours.media, first.media);
    assert!(ours.origin.version > refused.origin.version);
    assert_eq!(session.current().direction, Direction::SendRecv);
    let next = session.offer(&codecs(&["PCMA"]), Direction::SendRecv, None);
    assert_eq!(next.media, first.media);
    assert!(next.origin.version > refused.origin.version);
}

/// RFC 3264 §8: by one, whatever was refused, and nothing is counted that nobody saw.
#[test]
fn a_version_rises_by_one_after_what_was_refused_and_what_never_left() {
    let mut session = session();
    let offer = |session: &mut Session, name: &str, direction| {
        let offer = session.offer(&codecs(&[name]), direction, None);
        offer.origin.version
    };
    let first = offer(&mut session, "PCMA", Direction::SendRecv);
    for _ in 0..3 {
        let before = session.current().clone();
        let _ = offer(&mut session, "PCMU", Direction::Inactive);
        session.unsay(before);
    }
    let before = session.current().clone();
    let refused = offer(&mut session, "PCMU", Direction::Inactive);
    assert_eq!(refused, first + 1);
    session.restore(before);
    let before = session.current().clone();
    let _ = offer(&mut session, "PCMA", Direction::SendRecv);
    session.unsay(before);
    let next = offer(&mut session, "PCMA", Direction::SendOnly);
    assert_eq!(next, refused + 1);
    let last = offer(&mut session, "PCMA", Direction::SendRecv);
    assert_eq!(last, next + 1);
}

/// RFC 3264 §8: what the peer has answered it has seen.
#[test]
fn a_line_that_was_answered_stays_when_the_exchange_is_taken_back() {
    let mut session = session();
    drop(session.offer(&codecs(&["PCMA"]), Direction::SendRecv, None));
    for is_answered in [false, true] {
        let before = session.current().clone();
        session.receive_video_at(Some("192.0.2.100:40002".parse().unwrap()));
        session.wish_video(Some(VideoWish::ours()));
        let offer = session.offer(&codecs(&["PCMA"]), Direction::SendRecv, None);
        assert_eq!(offer.media.len(), 2);
        if is_answered {
            session.restore_answered(before);
        } else {
            session.restore(before);
        }
        let next = session.offer(&codecs(&["PCMA"]), Direction::SendOnly, None);
        assert_eq!(next.media.len(), if is_answered { 2 } else { 1 });
        assert!(next.media.iter().skip(1).all(|line| line.port == 0));
        assert_eq!(next.origin.version, offer.origin.version + 1);
    }
}

#[test]
fn an_answer_keeps_the_numbers_of_the_peer() {
    let ours = session().offer(
        &codecs(&["PCMA", "opus", "telephone-event"]),
        Direction::SendRecv,
        None,
    );
    assert_eq!(formats(&ours, 0), ["8", "114", "101"]);
    let theirs = sdp("m=audio 4000 RTP/AVP 97 8 96\na=rtpmap:97 opus/48000/2\n\
         a=fmtp:97 useinbandfec=1\na=rtpmap:96 telephone-event/8000\n");
    let taken = read_answer(&ours, &theirs, CryptoPolicy::Off, anywhere).expect("agreed");
    let numbers: Vec<u8> = taken
        .codecs
        .iter()
        .map(|codec| codec.payload_type)
        .collect();
    assert_eq!(numbers, [97, 8, 96]);
    assert_eq!(taken.codecs[0].fmtp.as_deref(), Some("useinbandfec=1"));
}

/// Many peers know events of 8000 Hz only, and send them beside opus.
#[test]
fn events_of_another_clock_go_with_a_codec_that_has_none_of_its_own() {
    let offer = sdp("m=audio 4000 RTP/AVP 96 101\na=rtpmap:96 opus/48000/2\n\
         a=rtpmap:101 telephone-event/8000\n");
    let reply = answer(&offer, &["opus", "telephone-event"], Direction::SendRecv);
    assert_eq!(formats(&reply, 0), ["96", "101"]);
}

#[test]
fn an_answer_without_rtpmap_means_what_was_offered_under_the_number() {
    let ours = session().offer(&codecs(&["opus"]), Direction::SendRecv, None);
    let taken = read_answer(
        &ours,
        &sdp("m=audio 4000 RTP/AVP 114\n"),
        CryptoPolicy::Off,
        anywhere,
    );
    assert_eq!(&*taken.expect("agreed").codecs[0].name, "opus");
}

#[test]
fn what_was_not_offered_is_not_taken_from_an_answer() {
    let ours = session().offer(&codecs(&["PCMA"]), Direction::SendRecv, None);
    let taken = read_answer(
        &ours,
        &sdp("m=audio 4000 RTP/AVP 0 8\n"),
        CryptoPolicy::Off,
        anywhere,
    );
    let codecs = taken.expect("agreed").codecs;
    assert_eq!((codecs.len(), &*codecs[0].name), (1, "PCMA"));
}

#[test]
fn answers_that_refuse_have_their_names() {
    let list = codecs(&["PCMA", "telephone-event"]);
    let ours = session().offer(&list, Direction::SendRecv, None);
    for (lines, refusal) in [
        ("m=audio 0 RTP/AVP 8\n", Unusable::NoAudio),
        ("", Unusable::NoAudio),
        ("m=video 4000 RTP/AVP 8\n", Unusable::NoAudio),
        ("m=audio 4002 RTP/AVP 3\n", Unusable::NoCommonCodec),
        ("m=audio 4000 RTP/AVP 101\n", Unusable::NoCommonCodec),
        (
            "m=audio 4000 RTP/AVP 8\nc=IN IP4 224.0.0.1\n",
            Unusable::Forbidden(Forbidden::Multicast),
        ),
    ] {
        assert_eq!(
            read_answer(&ours, &sdp(lines), CryptoPolicy::Off, anywhere),
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
        let (mut caller, mut callee) = (session(), session());
        let offer = caller.offer(&offered, offer_direction, None);
        let read = SessionDescription::parse(text(&offer).as_bytes()).expect("our own");
        prop_assert_eq!(&read, &offer);
        let common = capable
            .iter()
            .find(|one| one.is_speech() && offered.iter().any(|other| one.is_same(other)));
        let answer = read_offer(&read, CryptoPolicy::Off, anywhere).and_then(|audio| {
            callee.accept(audio);
            callee.answer(&capable, wanted, None)
        });
        let Ok(answer) = answer else {
            prop_assert!(common.is_none(), "refused in spite of a common codec");
            return Ok(());
        };
        let answer = SessionDescription::parse(text(&answer).as_bytes()).expect("our own");
        prop_assert_eq!(answer.media.len(), offer.media.len());
        let taken = read_answer(&offer, &answer, CryptoPolicy::Off, anywhere).expect("an answer of ours");
        let codec = &taken.codecs[0];
        prop_assert_eq!(Some(&*codec.name), common.map(|codec| &*codec.name));
        prop_assert!(offered.iter().any(|ours| ours.payload_type == codec.payload_type && ours.is_same(codec)));
        prop_assert_eq!(taken.codecs.iter().filter(|codec| codec.is_speech()).count(), 1);
        let mirrored = reversed(taken.direction);
        prop_assert!(!mirrored.sends() || offer_direction.sends());
        prop_assert!(!mirrored.receives() || offer_direction.receives());
    }
}
