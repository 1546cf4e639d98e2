//! When two formats are one codec, and what an answer says of its parameters.

use super::*;

fn read(lines: &str) -> Vec<Codec> {
    read_offer(&sdp(lines), CryptoPolicy::Off, anywhere)
        .expect("audio")
        .codecs
}

/// AMR in both its framings (RFC 4867 §8.3.1): neither can be read as the other, so each has its number.
#[test]
fn two_forms_of_one_codec_have_a_number_each() {
    let asked = read(
        "m=audio 4000 RTP/AVP 97 98\na=rtpmap:97 AMR/8000\n\
         a=fmtp:97 octet-align=1\na=rtpmap:98 AMR/8000\n",
    );
    let offer = session().offer(&asked, Direction::SendRecv, None);
    assert_eq!(formats(&offer, 0), ["97", "98"]);
    assert_eq!(offer.media[0].fmtp(97), Some("octet-align=1"));
    // The callee takes the second form: the caller must hear that one.
    let taken = read("m=audio 4000 RTP/AVP 100\na=rtpmap:100 AMR/8000\na=fmtp:100 octet-align=0\n");
    let caller = sdp("m=audio 4000 RTP/AVP 97 98\na=rtpmap:97 AMR/8000\n\
         a=fmtp:97 octet-align=1\na=rtpmap:98 AMR/8000\n");
    let mut session = session();
    session.accept(read_offer(&caller, CryptoPolicy::Off, anywhere).expect("audio"));
    let answer = session.answer(&taken, Direction::SendRecv, None);
    assert_eq!(formats(&answer.expect("common"), 0), ["98"]);
}

/// The same form twice is one codec.
#[test]
fn one_form_under_two_numbers_is_offered_once() {
    let asked = read(
        "m=audio 4000 RTP/AVP 97 98\na=rtpmap:97 opus/48000/2\n\
         a=fmtp:97 useinbandfec=1\na=rtpmap:98 OPUS/48000/2\n",
    );
    let offer = session().offer(&asked, Direction::SendRecv, None);
    assert_eq!(formats(&offer, 0), ["97"]);
}

/// C-11: AAC-LD as CUCM writes it, with a number for each rate, and G.729 pass through.
#[test]
fn g729_and_aac_ld_pass_through_with_their_parameters() {
    let lines = "m=audio 4000 RTP/AVP 96 97 18 101\na=rtpmap:96 mpeg4-generic/48000\n\
         a=fmtp:96 profile-level-id=16;streamtype=5;mode=AAC-hbr;config=B98C00\n\
         a=rtpmap:97 MP4A-LATM/90000\na=fmtp:97 profile-level-id=24;object=23;bitrate=64000\n\
         a=rtpmap:18 G729/8000\na=fmtp:18 annexb=no\na=rtpmap:101 telephone-event/8000\n";
    let asked = read(lines);
    let offer = session().offer(&asked, Direction::SendRecv, Some(20));
    assert_eq!(formats(&offer, 0), ["96", "97", "18", "101"]);
    for number in [96, 97, 18] {
        assert_eq!(
            offer.media[0].fmtp(number),
            sdp(lines).media[0].fmtp(number)
        );
    }
    // The callee leaves the parameters out: they are those that were offered under the number.
    let brief = sdp("m=audio 5000 RTP/AVP 97\na=rtpmap:97 MP4A-LATM/90000\n");
    let taken = read_answer(&offer, &brief, CryptoPolicy::Off, anywhere).expect("agreed");
    let mut caller = session();
    caller.accept(read_offer(&sdp(lines), CryptoPolicy::Off, anywhere).expect("audio"));
    let answer = caller.answer(&taken.codecs, Direction::SendRecv, None);
    assert_eq!(formats(&answer.expect("common"), 0), ["97"]);
    // Another configuration is another stream.
    let other = sdp("m=audio 5000 RTP/AVP 97\na=rtpmap:97 MP4A-LATM/90000\n\
         a=fmtp:97 profile-level-id=24;object=23;bitrate=48000\n");
    let refused = read_answer(&offer, &other, CryptoPolicy::Off, anywhere);
    assert_eq!(refused, Err(Unusable::NoCommonCodec));
}

/// RFC 7261 §3.1: an offer without Annex B is answered without it.
#[test]
fn g729_without_annex_b_stays_so_where_either_side_wants_it() {
    for (offered, taken, said) in [
        ("a=fmtp:18 annexb=no\n", "", Some("annexb=no")),
        ("", "a=fmtp:18 annexb=no\n", Some("annexb=no")),
        ("a=fmtp:18 AnnexB = NO\n", "", Some("annexb=no")),
        (
            "a=fmtp:18 annexb=yes\n",
            "a=fmtp:18 annexb=yes\n",
            Some("annexb=yes"),
        ),
        ("", "", None),
    ] {
        let line = "m=audio 4000 RTP/AVP 18\na=rtpmap:18 G729/8000\n";
        let mut session = session();
        let offer = sdp(&format!("{line}{offered}"));
        session.accept(read_offer(&offer, CryptoPolicy::Off, anywhere).expect("audio"));
        let chosen = read(&format!("{line}{taken}"));
        let answer = session.answer(&chosen, Direction::SendRecv, None);
        let answer = answer.expect("common");
        assert_eq!(answer.media[0].fmtp(18), said, "{offered} {taken}");
    }
}

/// What the callee says of its decoder is what the caller must hear (RFC 7587 §7).
#[test]
fn parameters_of_opus_cross_as_the_other_side_said_them() {
    let mut session = session();
    let offer = sdp("m=audio 4000 RTP/AVP 114\na=rtpmap:114 opus/48000/2\na=fmtp:114 stereo=1\n");
    session.accept(read_offer(&offer, CryptoPolicy::Off, anywhere).expect("audio"));
    let chosen = read(
        "m=audio 4000 RTP/AVP 96\na=rtpmap:96 opus/48000/2\n\
         a=fmtp:96 maxplaybackrate=16000;useinbandfec=1\n",
    );
    let answer = session.answer(&chosen, Direction::SendRecv, Some(20));
    let answer = answer.expect("common");
    let line = &answer.media[0];
    assert_eq!(line.fmtp(114), Some("maxplaybackrate=16000;useinbandfec=1"));
    assert_eq!(line.ptime_ms, Some(20));
}

/// A number that once meant a codec in a dialog means it for good (RFC 3264 §8.3.2).
#[test]
fn numbers_of_a_dialog_keep_their_meaning_over_offers_of_both_sides() {
    let mut session = session();
    let first = sdp("m=audio 4000 RTP/AVP 96 101\na=rtpmap:96 opus/48000/2\n\
         a=rtpmap:101 telephone-event/8000\n");
    session.accept(read_offer(&first, CryptoPolicy::Off, anywhere).expect("audio"));
    let wanted = read(
        "m=audio 4000 RTP/AVP 101 111 96\na=rtpmap:101 speex/8000\n\
         a=rtpmap:111 opus/48000/2\na=rtpmap:96 telephone-event/8000\n",
    );
    let offer = session.offer(&wanted, Direction::SendRecv, None);
    let named = |number: u8| offer.media[0].rtpmap(number).map(|map| &*map.name);
    assert_eq!(named(96), Some("opus"));
    assert_eq!(named(101), Some("telephone-event"));
    assert_eq!(formats(&offer, 0), ["97", "96", "101"]);
}
