//! What Cisco's call managers and gateways write, with the requirement that each test shows.

use super::*;

fn ports(description: &SessionDescription) -> Vec<u16> {
    let lines = description.media.iter();
    lines.map(|media| media.port).collect()
}

/// C-07, C-09: CUCM with a video endpoint behind it.
pub(super) const VIDEO_PHONE: &str = "b=TIAS:6000000\nb=AS:6000\nb=CT:4000\n\
    a=cisco-mari:v1\nm=audio 17236 RTP/AVP 114 9 124 0 8 18 101 123\nb=TIAS:64000\n\
    a=rtpmap:114 opus/48000/2\na=rtpmap:9 G722/8000\na=rtpmap:124 ISAC/16000\n\
    a=rtpmap:0 PCMU/8000\na=rtpmap:8 PCMA/8000\na=rtpmap:18 G729/8000\na=fmtp:18 annexb=no\n\
    a=rtpmap:101 telephone-event/8000\na=fmtp:101 0-15\na=rtpmap:123 X-ULPFECUC/8000\n\
    a=X-cisco-media:umoh\na=trafficclass:conversational.audio.avconf.aq:admitted\n\
    m=video 29878 RTP/AVP 100 126\na=rtpmap:100 H264/90000\na=content:main\nb=TIAS:4000000\n\
    m=application 5070 UDP/BFCP *\na=floorctrl:c-s\na=confid:1\n\
    m=application 5072 TCP/BFCP *\na=setup:actpass\n\
    m=video 29880 RTP/AVP 96\na=rtpmap:96 H264/90000\na=content:slides\n\
    m=application 29882 RTP/AVP 107\na=rtpmap:107 H224/4800\n\
    m=application 29884 UDP/UDT/IX *\na=ixmap:0 ping\n\
    m=application 29886 UDP/DTLS/UDT/IX *\n";

/// C-07, C-09, C-12, E-08.
#[test]
fn an_offer_of_a_video_phone_is_answered_line_by_line_with_one_codec_and_its_events() {
    let offer = sdp(VIDEO_PHONE);
    assert_eq!(offer.media.len(), 8);
    let list = ["G722", "PCMU", "PCMA", "telephone-event"];
    let reply = answer(&offer, &list, Direction::SendRecv);
    assert_eq!(ports(&reply), [10_000, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(formats(&reply, 0), ["9", "101"]);
    for (ours, theirs) in reply.media.iter().zip(&offer.media) {
        assert_eq!(ours.kind, theirs.kind);
        assert_eq!(ours.protocol, theirs.protocol);
        assert!(!ours.formats.is_empty(), "RFC 8866 §9");
    }
    let text = text(&reply);
    assert!(!text.contains("cisco") && !text.contains("b="), "{text}");
}

/// C-09: audio by protocols that are not ours, and more than one line of audio.
#[test]
fn audio_of_foreign_protocols_and_a_second_line_of_audio_get_port_zero() {
    let offer = sdp(
        "m=audio 4000 UDP/TLS/RTP/SAVPF 0\nm=audio 4002 TCP/RTP/AVP 0\n\
         m=audio 4004 udptl t38\nm=audio 4006 RTP/AVP 0\nm=audio 4008 RTP/AVP 8\n\
         m=image 4010 udptl t38\nm=text 4012 RTP/AVP 98\n",
    );
    let reply = answer(&offer, &["PCMA", "PCMU"], Direction::SendRecv);
    assert_eq!(ports(&reply), [0, 0, 0, 10_000, 0, 0, 0]);
    assert_eq!(formats(&reply, 3), ["0"]);
}

/// C-08: an answer has a codec for speech, or there is none (488).
#[test]
fn telephone_event_or_fec_alone_is_refused_and_never_answered() {
    for list in ["101", "123", "101 123 13"] {
        let lines = format!(
            "m=audio 4000 RTP/AVP {list}\na=rtpmap:101 telephone-event/8000\n\
             a=rtpmap:123 X-ULPFECUC/8000\n"
        );
        let refused = try_answer(
            &sdp(&lines),
            &["PCMU", "telephone-event"],
            Direction::SendRecv,
        );
        assert_eq!(refused, Err(Unusable::NoCommonCodec), "{list}");
    }
    // The common ground is the events alone.
    let offer = sdp("m=audio 4000 RTP/AVP 0 101\na=rtpmap:101 telephone-event/8000\n");
    let refused = try_answer(&offer, &["PCMA", "telephone-event"], Direction::SendRecv);
    assert_eq!(refused, Err(Unusable::NoCommonCodec));
}

/// C-12: the events of the codec's clock.
#[test]
fn the_events_of_an_answer_have_the_clock_of_its_codec() {
    let offer = sdp(
        "m=audio 4000 RTP/AVP 114 0 100 101\na=rtpmap:114 opus/48000/2\n\
         a=rtpmap:100 telephone-event/48000\na=rtpmap:101 telephone-event/8000\n",
    );
    let all = read_offer(&offer, CryptoPolicy::Off, anywhere)
        .expect("audio")
        .codecs;
    for (first, expected) in [("opus", ["114", "100"]), ("PCMU", ["0", "101"])] {
        let mut chosen = all.clone();
        chosen.retain(|codec| *codec.name == *first || codec.is_telephone_event());
        let mut session = session();
        session.accept(read_offer(&offer, CryptoPolicy::Off, anywhere).expect("audio"));
        let reply = session.answer(&chosen, Direction::SendRecv, None);
        assert_eq!(formats(&reply.expect("common"), 0), expected);
    }
}

/// C-14: alternatives of one stream share a port; none is refused before all are read.
#[test]
fn of_savp_and_avp_on_one_port_the_line_that_can_be_used_is_taken() {
    let secure = "m=audio 4000 RTP/SAVP 0\n\
         a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\n";
    let plain = "m=audio 4000 RTP/AVP 0\n";
    for (lines, expected) in [
        (format!("{secure}{plain}"), [0, 10_000]),
        (format!("{plain}{secure}"), [10_000, 0]),
    ] {
        let reply = answer(&sdp(&lines), &["PCMU"], Direction::SendRecv);
        assert_eq!(ports(&reply), expected);
        assert!(reply.media.iter().all(|media| media.crypto.is_empty()));
    }
    let refused = try_answer(&sdp(secure), &["PCMU"], Direction::SendRecv);
    assert_eq!(refused, Err(Unusable::SecureOnly));
}

/// E-04: each form of hold, its answer, and what takes it back.
#[test]
fn each_form_of_hold_has_its_answer_and_resuming_is_sendrecv_or_nothing() {
    use Direction::{Inactive, RecvOnly, SendOnly, SendRecv};
    let audio = "m=audio 4000 RTP/AVP 0\n";
    for (lines, is_hold, said) in [
        (format!("{audio}a=sendonly\n"), true, RecvOnly),
        (format!("{audio}a=inactive\n"), true, Inactive),
        (format!("{audio}c=IN IP4 0.0.0.0\n"), true, RecvOnly),
        (
            format!("{audio}c=IN IP4 0.0.0.0\na=sendonly\n"),
            true,
            RecvOnly,
        ),
        (
            format!("{audio}c=IN IP4 0.0.0.0\na=inactive\n"),
            true,
            Inactive,
        ),
        (
            format!("{audio}c=IN IP4 0.0.0.0\na=recvonly\n"),
            true,
            Inactive,
        ),
        (format!("{audio}c=IN IP6 ::\n"), true, RecvOnly),
        (format!("{audio}a=recvonly\n"), false, SendOnly),
        (format!("{audio}a=sendrecv\n"), false, SendRecv),
        (audio.to_owned(), false, SendRecv),
    ] {
        let offer = sdp(&lines);
        let heard = read_offer(&offer, CryptoPolicy::Off, anywhere).expect("audio");
        assert_eq!(heard.is_hold(), is_hold, "{lines}");
        let reply = answer(&offer, &["PCMU"], SendRecv);
        assert_eq!(reply.media[0].direction, Some(said), "{lines}");
        assert_ne!(reply.media[0].port, 0, "a hold refuses nothing");
    }
}

/// E-09: by attribute; our address and port stay.
#[test]
fn we_hold_by_the_direction_attribute_and_never_by_an_address() {
    let mut session = session();
    for direction in [Direction::SendOnly, Direction::Inactive] {
        let offer = session.offer(&codecs(&["PCMA"]), direction, None);
        assert_eq!(offer.media[0].direction, Some(direction));
        assert_eq!(offer.media[0].port, 10_000);
        let text = text(&offer);
        assert!(text.contains("c=IN IP4 192.0.2.10\r\n"), "{text}");
        assert!(!text.contains("0.0.0.0"), "{text}");
    }
}

/// D-07: nothing that media stand on differs, so nothing is touched; ours is the same text again.
#[test]
fn a_refresh_says_nothing_new_and_is_answered_with_what_was_said() {
    let first = sdp("m=audio 4000 RTP/AVP 0 8\n");
    let heard = read_offer(&first, CryptoPolicy::Off, anywhere).expect("audio");
    let mut session = session();
    session.accept(heard.clone());
    let said = session.answer(&codecs(&["PCMA"]), Direction::SendRecv, None);
    let said = said.expect("common");
    let again = read_offer(&first, CryptoPolicy::Off, anywhere).expect("audio");
    assert!(again.repeats(&heard));
    session.accept(again);
    let repeated = session.answer(&codecs(&["PCMA"]), Direction::SendRecv, None);
    assert_eq!(repeated.as_ref(), Ok(&said), "o= and all");
    // A version that rises over the same lines is no change either; one that stays excuses none.
    let mut newer = heard.clone();
    newer.origin.1 += 1;
    assert!(newer.repeats(&heard));
    for lines in [
        "m=audio 4002 RTP/AVP 0 8\n",
        "m=audio 4000 RTP/AVP 8 0\n",
        "m=audio 4000 RTP/AVP 0 8\na=sendonly\n",
        "m=audio 4000 RTP/AVP 0 8\na=ptime:30\n",
        "m=audio 4000 RTP/AVP 0 8\nm=video 5000 RTP/AVP 96\n",
    ] {
        let changed = read_offer(&sdp(lines), CryptoPolicy::Off, anywhere).expect("audio");
        assert!(!changed.repeats(&heard), "{lines}");
    }
}

/// E-07: music on hold from a group is not joined; the stream is refused, not the hold.
#[test]
fn a_multicast_stream_is_refused_and_the_dialog_goes_on() {
    let usual = sdp("m=audio 4000 RTP/AVP 0\n");
    let mut session = session();
    session.accept(read_offer(&usual, CryptoPolicy::Off, anywhere).expect("audio"));
    let before = session.answer(&codecs(&["PCMU"]), Direction::SendRecv, None);
    let before = before.expect("common");
    let music = sdp(
        "m=audio 20480 RTP/AVP 0\nc=IN IP4 239.1.1.1/16\na=recvonly\n\
         a=X-cisco-media:mmoh\n",
    );
    let read = read_offer(&music, CryptoPolicy::Off, anywhere);
    assert_eq!(read, Err(Unusable::Forbidden(Forbidden::Multicast)));
    let refused = session.refuse_streams(&music);
    assert_eq!(ports(&refused), [0]);
    assert_eq!(refused.origin.version, before.origin.version + 1);
    assert!(session.current().codecs.is_empty());
    // Resuming brings the stream back in its line.
    session.accept(read_offer(&usual, CryptoPolicy::Off, anywhere).expect("audio"));
    let back = session.answer(&codecs(&["PCMU"]), Direction::SendRecv, None);
    let back = back.expect("common");
    assert_eq!(back.media, before.media);
    assert!(back.origin.version > refused.origin.version);
}

/// E-02, D-08: an offer for a request that has none is whole and sendrecv, whatever was last.
#[test]
fn an_offer_that_is_asked_for_is_whole_whatever_was_said_last() {
    let mut session = session();
    let held = sdp("m=audio 4000 RTP/AVP 0\na=inactive\n");
    session.accept(read_offer(&held, CryptoPolicy::Off, anywhere).expect("audio"));
    let last = session.answer(&codecs(&["PCMU"]), Direction::SendRecv, None);
    assert_eq!(
        last.expect("common").media[0].direction,
        Some(Direction::Inactive)
    );
    let all = codecs(&["G722", "PCMU", "PCMA", "telephone-event"]);
    let offer = session.offer(&all, Direction::SendRecv, None);
    assert_eq!(formats(&offer, 0), ["9", "0", "8", "101"]);
    assert_eq!(offer.media[0].direction, Some(Direction::SendRecv));
    assert_eq!(session.offer(&all, Direction::SendRecv, None), offer);
}

/// C-04: everything that the trunk may use, events included, under numbers that then hold.
#[test]
fn a_late_offer_has_every_codec_and_its_answer_is_read_like_any() {
    let mut session = session();
    let all = codecs(&["opus", "G722", "PCMU", "G729", "telephone-event"]);
    let offer = session.offer(&all, Direction::SendRecv, None);
    assert_eq!(formats(&offer, 0), ["114", "9", "0", "18", "101"]);
    for (lines, expected) in [
        (
            "m=audio 4000 RTP/AVP 9 101\na=rtpmap:101 telephone-event/8000\n",
            Ok("G722"),
        ),
        ("m=audio 4000 RTP/AVP 3\n", Err(Unusable::NoCommonCodec)),
        ("m=audio 0 RTP/AVP 9\n", Err(Unusable::NoAudio)),
        (
            "m=audio 4000 RTP/AVP 9\nc=IN IP4 239.0.0.1\n",
            Err(Unusable::Forbidden(Forbidden::Multicast)),
        ),
        (
            "m=audio 4000 RTP/AVP 9\nc=IN IP4 phone.example\n",
            Err(Unusable::NoAddress),
        ),
    ] {
        let read = read_answer(&offer, &sdp(lines), CryptoPolicy::Off, anywhere);
        let first = read.map(|audio| audio.codecs[0].name.to_string());
        assert_eq!(first, expected.map(str::to_owned), "{lines}");
    }
}
