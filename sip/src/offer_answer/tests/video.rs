//! A video line beside the audio line: what crosses, what is refused, and that audio never waits for it.

use super::super::crypto::{CryptoOffer, LineKeys};
use super::call_manager::VIDEO_PHONE;
use super::*;

const AUDIO: &str = "m=audio 4000 RTP/AVP 0\n";

/// A phone of Cisco's: both ways of packing, its sizes in the parameters.
const PHONE: &str = "m=audio 4000 RTP/AVP 0\nm=video 4002 RTP/AVP 97 98\nb=TIAS:2000000\n\
    a=rtpmap:97 H264/90000\n\
    a=fmtp:97 profile-level-id=428016;packetization-mode=1;max-mbps=108000;max-fs=3600;level-asymmetry-allowed=1\n\
    a=rtpmap:98 H264/90000\na=fmtp:98 profile-level-id=428016;packetization-mode=0;max-fs=3600\n\
    a=rtcp-fb:* nack pli\na=rtcp-fb:* ccm fir\na=rtcp-fb:* ccm tmmbr\n";

fn video_session() -> Session {
    let mut session = session();
    session.receive_video_at("192.0.2.10:10002".parse().ok());
    session
}

fn read(lines: &str) -> RemoteAudio {
    read_offer(&sdp(lines), CryptoPolicy::Off, anywhere).expect("audio")
}

fn wish(lines: &str) -> Option<VideoWish> {
    read(lines).video.map(|video| video.wish())
}

fn ports(description: &SessionDescription) -> Vec<u16> {
    let lines = description.media.iter();
    lines.map(|media| media.port).collect()
}

/// What we offer to one side of what the other one offered.
fn offer_of(lines: &str) -> (Session, SessionDescription) {
    let mut session = video_session();
    session.wish_video(wish(lines));
    let offer = session.offer(&codecs(&["PCMU"]), Direction::SendRecv, None);
    (session, offer)
}

/// What we answer to `offer` where the other side answered `other`.
fn answer_of(offer: &str, other: Option<VideoWish>) -> SessionDescription {
    let mut session = video_session();
    session.accept(read(offer));
    session.wish_video(other);
    session
        .answer(&codecs(&["PCMU"]), Direction::SendRecv, None)
        .expect("common ground")
}

/// I-01.
#[test]
fn parameters_of_h264_cross_as_they_are_and_the_bandwidth_with_them() {
    let (_, offer) = offer_of(PHONE);
    let video = &offer.media[1];
    assert_eq!((video.kind.as_str(), video.port), ("video", 10_002));
    assert_eq!(
        video.fmtp(97),
        Some(
            "profile-level-id=428016;packetization-mode=1;max-mbps=108000;max-fs=3600;level-asymmetry-allowed=1"
        )
    );
    assert_eq!(
        video.fmtp(98),
        Some("profile-level-id=428016;packetization-mode=0;max-fs=3600")
    );
    assert_eq!(video.bandwidth.independent_bit, Some(2_000_000));
    let text = text(&offer);
    assert!(text.contains("a=rtcp-fb:* nack pli\r\na=rtcp-fb:* ccm fir\r\n"));
    assert!(!text.contains("tmmbr"), "nobody maps it: {text}");
}

/// I-01: the answer says what the other side's decoder can do, under the number of who asked.
#[test]
fn an_answer_has_the_other_sides_level_under_the_numbers_of_who_asked() {
    let other = "m=audio 4000 RTP/AVP 0\nm=video 4002 RTP/AVP 120\nb=AS:512\na=rtpmap:120 H264/90000\n\
        a=fmtp:120 profile-level-id=42e00d;packetization-mode=1;max-br=500\n\
        a=rtcp-fb:120 nack\na=rtcp-fb:120 nack pli\n";
    let answer = answer_of(PHONE, wish(other));
    assert_eq!(ports(&answer), [10_000, 10_002]);
    assert_eq!(formats(&answer, 1), ["97"]);
    let video = &answer.media[1];
    assert_eq!(
        video.fmtp(97),
        Some("profile-level-id=42e00d;packetization-mode=1;max-br=500")
    );
    assert_eq!(video.bandwidth.application_kbit, Some(512));
    let named: Vec<&str> = video.feedback.iter().map(|named| &*named.value).collect();
    assert_eq!(named, ["nack pli"], "what both name");
}

/// DECISIONS, Browser media: the same packetization mode on both legs.
#[test]
fn without_a_common_packetization_mode_video_is_refused_and_audio_is_not() {
    let single = "m=audio 4000 RTP/AVP 0\nm=video 4002 RTP/AVP 97\na=rtpmap:97 H264/90000\n\
        a=fmtp:97 profile-level-id=42e01f\n";
    let fragmented = "m=audio 4000 RTP/AVP 0\nm=video 4002 RTP/AVP 97\na=rtpmap:97 H264/90000\n\
        a=fmtp:97 profile-level-id=42e01f;packetization-mode=1\n";
    assert_eq!(ports(&answer_of(single, wish(fragmented))), [10_000, 0]);
    assert_eq!(ports(&answer_of(single, wish(single))), [10_000, 10_002]);
    assert_eq!(ports(&answer_of(PHONE, wish(single))), [10_000, 10_002]);
    assert_eq!(formats(&answer_of(PHONE, wish(single)), 1), ["98"]);
}

#[test]
fn levels_differ_and_profiles_do_not() {
    let h264 = |level: &str| {
        format!(
            "m=audio 4000 RTP/AVP 0\nm=video 4002 RTP/AVP 97\na=rtpmap:97 H264/90000\n\
             a=fmtp:97 packetization-mode=1;profile-level-id={level}\n"
        )
    };
    let taken = |offer: &str, other: &str| {
        let answer = answer_of(&h264(offer), wish(&h264(other)));
        answer.media[1].port != 0
    };
    assert!(taken("42e01f", "428014"), "baseline and what is left of it");
    assert!(taken("640028", "64001f"));
    assert!(taken("42e01f", "4d8014"), "a main that is baseline");
    assert!(!taken("42e01f", "640028"));
    assert!(!taken("42e01f", "nonsense"));
}

#[test]
fn vp8_crosses_and_what_speaks_of_other_packets_does_not() {
    let browser = "m=audio 4000 RTP/AVP 0\nm=video 4002 RTP/AVP 96 97 98 99\na=rtpmap:96 VP8/90000\n\
        a=rtpmap:97 rtx/90000\na=fmtp:97 apt=96\na=rtpmap:98 red/90000\na=rtpmap:99 ulpfec/90000\n\
        a=rtcp-fb:96 goog-remb\na=rtcp-fb:96 transport-cc\na=rtcp-mux\n";
    let (_, offer) = offer_of(browser);
    assert_eq!(formats(&offer, 1), ["96"]);
    let answer = answer_of(browser, wish(browser));
    assert_eq!(formats(&answer, 1), ["96"]);
    assert!(answer.media[1].rtcp_mux);
    let feedback = answer.media[1].feedback.iter();
    let feedback: Vec<_> = feedback.map(|line| &*line.value).collect();
    assert_eq!(
        feedback,
        ["goog-remb"],
        "no packet has the numbers of the other"
    );
}

const NUMBERED: &str = "m=audio 4000 RTP/AVP 0\nm=video 4002 RTP/AVP 96\na=rtpmap:96 VP8/90000\n\
    a=rtcp-fb:96 transport-cc\n\
    a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid\n\
    a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\n\
    a=extmap:4 urn:3gpp:video-orientation\n";

fn extensions(description: &SessionDescription) -> Vec<(u8, &str)> {
    let named = description.media[1].extensions.iter();
    named.map(|map| (map.id, &*map.uri)).collect()
}

fn speaks_of_arrivals(description: &SessionDescription) -> bool {
    let mut feedback = description.media[1].feedback.iter();
    feedback.any(|line| line.value == "transport-cc")
}

/// RFC 8285 §6: the relay leaves the numbers in packets as they are.
#[test]
fn header_extensions_cross_under_the_number_that_both_sides_give_them() {
    const WIDE: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
    const TURNED: &str = "urn:3gpp:video-orientation";
    let (mut session, offer) = offer_of(NUMBERED);
    assert_eq!(extensions(&offer), [(3, WIDE), (4, TURNED)]);
    assert!(speaks_of_arrivals(&offer));

    let taken = NUMBERED.replace("a=extmap:4", "a=extmap:5");
    let remote = read_answer(&offer, &sdp(&taken), CryptoPolicy::Off, anywhere).expect("audio");
    let video = remote.video.as_deref().expect("video");
    let numbers = video.extensions.iter().map(|one| (one.id, one.uri));
    assert_eq!(
        numbers.collect::<Vec<_>>(),
        [(3, WIDE)],
        "5 was not offered"
    );
    let answer = answer_of(NUMBERED, Some(video.wish()));
    assert_eq!(extensions(&answer), [(3, WIDE)]);
    assert!(speaks_of_arrivals(&answer));

    session.accept(remote);
    session.wish_video(wish(&NUMBERED.replace("a=extmap:3", "a=extmap:7")));
    let again = session.offer(&codecs(&["PCMU"]), Direction::SendRecv, None);
    assert_eq!(extensions(&again), [(4, TURNED)], "3 is not numbered anew");
    assert!(!speaks_of_arrivals(&again));
}

#[test]
fn feedback_about_numbers_that_the_packets_do_not_have_is_not_spoken_of() {
    for (offered, other) in [
        (
            NUMBERED.to_owned(),
            NUMBERED.replace("a=extmap:3", "a=extmap:9"),
        ),
        (
            NUMBERED.to_owned(),
            NUMBERED.replace("a=extmap:3", "a=extmap:3/sendonly"),
        ),
        (
            NUMBERED.to_owned(),
            NUMBERED.replace(
                "a=extmap:1 ",
                "a=extmap:3 urn:3gpp:video-orientation\na=extmap:1 ",
            ),
        ),
        (
            NUMBERED.replace("a=extmap:3", "a=extmap:0"),
            NUMBERED.to_owned(),
        ),
        (
            NUMBERED.replace("a=extmap:3", "a=extmap:256"),
            NUMBERED.to_owned(),
        ),
        (NUMBERED.replace("holmer", "somebody"), NUMBERED.to_owned()),
    ] {
        let answer = answer_of(&offered, wish(&other));
        assert_eq!(answer.media[1].port, 10_002, "{other}");
        assert!(!speaks_of_arrivals(&answer), "{offered}{other}");
        assert!(
            extensions(&answer).iter().all(|(id, _)| *id == 4),
            "{offered}{other}"
        );
    }
    let silent = NUMBERED.replace("a=rtcp-fb:96 transport-cc\n", "");
    let answer = answer_of(NUMBERED, wish(&silent));
    assert!(
        !speaks_of_arrivals(&answer),
        "the other side never asked for it"
    );
}

/// C-09, I-03: the second picture and everything about it.
#[test]
fn of_a_video_phone_the_main_picture_is_taken_and_the_slides_are_not() {
    let list = ["G722", "PCMU", "PCMA", "telephone-event"];
    let mut session = video_session();
    session.accept(read(VIDEO_PHONE));
    session.wish_video(wish(VIDEO_PHONE));
    let answer = session
        .answer(&codecs(&list), Direction::SendRecv, None)
        .expect("common ground");
    assert_eq!(ports(&answer), [10_000, 10_002, 0, 0, 0, 0, 0, 0]);
    assert_eq!(formats(&answer, 1), ["100"]);
    let slides_first = format!(
        "{AUDIO}m=video 4002 RTP/AVP 96\na=rtpmap:96 H264/90000\na=content:slides\n\
         m=video 4004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
    );
    let answer = answer_of(&slides_first, wish(PHONE).filter(|_| false));
    assert_eq!(ports(&answer), [10_000, 0, 0]);
    let answer = answer_of(&slides_first, wish(&slides_first));
    assert_eq!(ports(&answer), [10_000, 0, 10_002]);
}

#[test]
fn video_that_cannot_be_taken_costs_no_audio() {
    for line in [
        "m=video 0 RTP/AVP 96\na=rtpmap:96 VP8/90000\n",
        "m=video 4002 UDP/TLS/RTP/SAVPF 96\na=rtpmap:96 VP8/90000\n",
        "m=video 4002 RTP/AVP 96\n",
        "m=video 4002 RTP/AVP 97\na=rtpmap:97 rtx/90000\n",
        "m=video 4002 RTP/AVP 96\nc=IN IP4 224.1.1.1\na=rtpmap:96 VP8/90000\n",
        "m=video 4002 RTP/AVP 96\nc=IN IP4 video.example\na=rtpmap:96 VP8/90000\n",
    ] {
        let offer = format!("{AUDIO}{line}");
        assert_eq!(read(&offer).video, None, "{line}");
        let answer = answer_of(&offer, Some(VideoWish::ours()));
        assert_eq!(ports(&answer), [10_000, 0], "{line}");
    }
    let mut nowhere = session();
    nowhere.accept(read(PHONE));
    nowhere.wish_video(wish(PHONE));
    let answer = nowhere
        .answer(&codecs(&["PCMU"]), Direction::SendRecv, None)
        .expect("common ground");
    assert_eq!(ports(&answer), [10_000, 0], "no port of ours");
}

/// RFC 3264 §6: the answer to our video line, or that there is none.
#[test]
fn an_answer_is_read_against_our_line() {
    let (_, offer) = offer_of(PHONE);
    let answered = |lines: &str| {
        let answer = read_answer(&offer, &sdp(lines), CryptoPolicy::Off, anywhere).expect("audio");
        answer.video.map(|video| {
            let numbers: Vec<u8> = video
                .codecs
                .iter()
                .map(|codec| codec.payload_type)
                .collect();
            (numbers, video.rtcp.map(|rtcp| rtcp.port()))
        })
    };
    let h264 = "a=rtpmap:97 H264/90000\na=fmtp:97 profile-level-id=42801f;packetization-mode=1\n";
    let taken = format!("{AUDIO}m=video 5002 RTP/AVP 97\n{h264}");
    assert_eq!(answered(&taken), Some((vec![97], Some(5_003))));
    let refused = format!("{AUDIO}m=video 0 RTP/AVP 97\n");
    assert_eq!(answered(&refused), None);
    assert_eq!(answered(AUDIO), None, "a line that is missing");
    let foreign = format!("{AUDIO}m=video 5002 RTP/AVP 96\na=rtpmap:96 VP9/90000\n");
    assert_eq!(answered(&foreign), None, "never offered");
}

/// RFC 3264 §8: a line keeps its place, with a port or without.
#[test]
fn video_that_is_added_later_has_a_line_of_its_own_and_keeps_it() {
    let mut session = video_session();
    let list = codecs(&["PCMU"]);
    let first = session.offer(&list, Direction::SendRecv, None);
    assert_eq!(ports(&first), [10_000]);
    session.wish_video(wish(PHONE));
    let second = session.offer(&list, Direction::SendRecv, None);
    assert_eq!(ports(&second), [10_000, 10_002]);
    assert_eq!(second.origin.version, first.origin.version + 1);
    let third = session.offer(&list, Direction::SendRecv, None);
    assert_eq!(ports(&third), [10_000, 0]);
    assert_eq!(session.current().video, None);
    session.wish_video(wish(PHONE));
    let fourth = session.offer(&list, Direction::SendRecv, None);
    assert_eq!(ports(&fourth), [10_000, 10_002]);
    assert_eq!(formats(&fourth, 1), formats(&second, 1), "the same numbers");
}

/// I-02.
#[test]
fn a_policy_is_the_most_that_a_line_may_have() {
    use Direction::{Inactive, RecvOnly, SendOnly, SendRecv};
    let limited = |told, other| {
        let wish = wish(PHONE).and_then(|wish| wish.limited(told, other));
        wish.map(|wish| wish.direction)
    };
    assert_eq!(limited(SendRecv, SendRecv), Some(SendRecv));
    assert_eq!(limited(RecvOnly, SendRecv), Some(RecvOnly));
    assert_eq!(limited(SendRecv, RecvOnly), Some(SendOnly));
    assert_eq!(limited(SendOnly, SendRecv), Some(SendOnly));
    assert_eq!(limited(RecvOnly, RecvOnly), None, "nobody sends");
    assert_eq!(limited(Inactive, SendRecv), None);
    assert_eq!(limited(SendRecv, Inactive), None);
}

/// Hold: both lines say it, and a held line keeps its port.
#[test]
fn video_on_hold_keeps_its_port() {
    let held = PHONE.replace("m=video", "a=sendonly\nm=video") + "a=sendonly\n";
    let (_, offer) = offer_of(&held);
    assert_eq!(ports(&offer), [10_000, 10_002]);
    assert_eq!(offer.media[1].direction, Some(Direction::SendOnly));
    let answer = answer_of(&held, wish(PHONE));
    assert_eq!(answer.media[1].direction, Some(Direction::RecvOnly));
}

/// The numbers of one line say nothing of the other (RFC 3264 §5.1).
#[test]
fn a_number_may_mean_one_thing_in_audio_and_another_in_video() {
    let both = "m=audio 4000 RTP/AVP 0 97\na=rtpmap:97 telephone-event/8000\n\
        m=video 4002 RTP/AVP 97\na=rtpmap:97 VP8/90000\n";
    let mut session = video_session();
    session.accept(read(both));
    session.wish_video(wish(both));
    let offer = session.offer(&read(both).codecs, Direction::SendRecv, None);
    assert_eq!(
        (formats(&offer, 0), formats(&offer, 1)),
        (vec!["0", "97"], vec!["97"])
    );
}

fn secure_session(seed: u8) -> Session {
    let mut session = video_session();
    let keys = |seed| LineKeys::new(&[seed; LineKeys::SIZE]);
    session.set_crypto(CryptoPolicy::Required, CryptoOffer::Secure, keys(seed));
    session.set_video_keys(keys(seed + 1));
    session
}

/// RFC 4568: each line has keys of its own, and both sides agree on each.
#[test]
fn video_beside_secure_audio_has_keys_of_its_own() {
    let (mut asks, mut answers) = (secure_session(1), secure_session(11));
    let list = codecs(&["PCMU"]);
    asks.wish_video(wish(PHONE));
    let offer = asks.offer(&list, Direction::SendRecv, None);
    assert_eq!(&*offer.media[1].protocol, "RTP/SAVP");
    assert_ne!(offer.media[0].crypto, offer.media[1].crypto);
    assert!(
        asks.current().video_waits_for_keys(),
        "nothing is agreed yet"
    );
    answers.accept(read_offer(&offer, CryptoPolicy::Required, anywhere).expect("audio"));
    answers.wish_video(wish(PHONE));
    let answer = answers
        .answer(&list, Direction::SendRecv, None)
        .expect("common ground");
    assert_eq!(
        (answer.media[1].port, answer.media[1].crypto.len()),
        (10_002, 1)
    );
    let read = read_answer(&offer, &answer, CryptoPolicy::Required, anywhere);
    asks.accept_answer(read.expect("audio"));
    let agreed = |session: &Session| session.current().video_agreed.clone().expect("keys");
    let (one, other) = (agreed(&asks), agreed(&answers));
    assert_eq!((&one.send, &one.receive), (&other.receive, &other.send));
    assert!(!asks.current().video_waits_for_keys());
    assert_ne!(asks.current().agreed, asks.current().video_agreed);
}

/// No line of a call is in the clear beside one that is not.
#[test]
fn video_in_the_clear_beside_secure_audio_gets_port_zero() {
    let mut asks = secure_session(1);
    let list = codecs(&["PCMU"]);
    asks.wish_video(wish(PHONE));
    let mut offer = asks.offer(&list, Direction::SendRecv, None);
    offer.media[1].protocol = "RTP/AVP".into();
    offer.media[1].crypto.clear();
    for policy in [CryptoPolicy::Preferred, CryptoPolicy::Required] {
        let mut answers = secure_session(11);
        answers.accept(read_offer(&offer, policy, anywhere).expect("audio"));
        answers.wish_video(wish(PHONE));
        let answer = answers
            .answer(&list, Direction::SendRecv, None)
            .expect("common ground");
        assert_eq!(ports(&answer), [10_000, 0]);
    }
    // And keys that only the video line has are of no use to audio in the clear.
    let mut offer = asks.offer(&list, Direction::SendRecv, None);
    offer.media[0].protocol = "RTP/AVP".into();
    offer.media[0].crypto.clear();
    let read = read_offer(&offer, CryptoPolicy::Preferred, anywhere).expect("audio");
    assert_eq!(read.video, None);
}

/// A line that is elsewhere says where (RFC 8866 §5.7).
#[test]
fn video_at_another_address_than_audio_says_its_own() {
    let (_, offer) = offer_of(PHONE);
    assert_eq!(offer.media[1].connection, None, "that of the session");
    let mut session = session();
    session.receive_video_at("192.0.2.11:10002".parse().ok());
    session.accept(read(PHONE));
    for is_answer in [true, false] {
        session.wish_video(wish(PHONE));
        let said = if is_answer {
            let answer = session.answer(&codecs(&["PCMU"]), Direction::SendRecv, None);
            answer.expect("common ground")
        } else {
            session.offer(&codecs(&["PCMU"]), Direction::SendRecv, None)
        };
        let read = read_offer(&said, CryptoPolicy::Off, anywhere).expect("audio");
        let video = read.video.expect("video");
        assert_eq!(video.rtp, "192.0.2.11:10002".parse().ok());
        assert_eq!(read.rtp, "192.0.2.10:10000".parse().ok());
    }
}

/// Of lines that stand beside each other the one in use says how.
#[test]
fn a_video_line_goes_as_the_audio_line_in_use() {
    let mut session = secure_session(1);
    let offer = "m=audio 0 RTP/AVP 0\nm=audio 4000 RTP/SAVP 0\n\
        a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\n";
    let theirs = read_offer(&sdp(offer), CryptoPolicy::Required, anywhere);
    session.accept(theirs.expect("audio"));
    let list = codecs(&["PCMU"]);
    let answer = session.answer(&list, Direction::SendRecv, None);
    assert_eq!(ports(&answer.expect("common ground")), [0, 10_000]);
    session.wish_video(wish(PHONE));
    let offer = session.offer(&list, Direction::SendRecv, None);
    assert_eq!(ports(&offer), [0, 10_000, 10_002]);
    assert_eq!(&*offer.media[2].protocol, "RTP/SAVP");
}

/// Of two video lines the one that is protected as audio is.
#[test]
fn of_alternatives_in_video_the_one_that_is_protected_as_audio_is_taken() {
    let mut asks = secure_session(1);
    asks.wish_video(wish(PHONE));
    let mut offer = asks.offer(&codecs(&["PCMU"]), Direction::SendRecv, None);
    let mut lines = offer.media.to_vec();
    let mut plain = lines[1].clone();
    plain.protocol = "RTP/AVP".into();
    plain.crypto.clear();
    lines.insert(1, plain);
    offer.media = lines.into();
    let index = |offer: &SessionDescription, policy| {
        let audio = read_offer(offer, policy, anywhere).expect("audio");
        audio.video.map(|video| video.index)
    };
    assert_eq!(index(&offer, CryptoPolicy::Preferred), Some(2));
    let mut lines = offer.media.to_vec();
    lines.swap(1, 2);
    lines[0].protocol = "RTP/AVP".into();
    lines[0].crypto.clear();
    offer.media = lines.into();
    assert_eq!(index(&offer, CryptoPolicy::Preferred), Some(2));
    assert_eq!(index(&offer, CryptoPolicy::Off), Some(2));
}

/// RFC 6184 §8.2.2: a number keeps its profile. Baseline and what is constrained of it are offered both,
/// and each is answered as itself.
#[test]
fn baseline_and_constrained_baseline_are_two_where_both_are_there() {
    let both = |port: u16| {
        format!(
            "m=audio 4000 RTP/AVP 0\nm=video {port} RTP/AVP 102 106\n\
             a=rtpmap:102 H264/90000\na=fmtp:102 profile-level-id=42001f;packetization-mode=1\n\
             a=rtpmap:106 H264/90000\na=fmtp:106 profile-level-id=42e01f;packetization-mode=1\n"
        )
    };
    let (_, offer) = offer_of(&both(4002));
    assert_eq!(formats(&offer, 1), ["102", "106"]);
    let taken = "m=audio 5000 RTP/AVP 0\nm=video 5002 RTP/AVP 106\n\
        a=rtpmap:106 H264/90000\na=fmtp:106 profile-level-id=42e01f;packetization-mode=1\n";
    let other = read_answer(&offer, &sdp(taken), CryptoPolicy::Off, anywhere).expect("audio");
    let answer = answer_of(&both(4002), other.video.map(|video| video.wish()));
    assert_eq!(formats(&answer, 1), ["106"]);
    // Who has only one of them gets that, as ever.
    let one = both(4002).replace("102 106", "102");
    let answer = answer_of(&one, wish(taken));
    assert_eq!(formats(&answer, 1), ["102"]);
}
