//! Any description as the offer of a browser.

use crate::message::SendBuffer;
use crate::offer_answer::Codec;
use crate::offer_answer::VideoWish;
use crate::offer_answer::browser::{
    BrowserAnswer, BrowserOffer, BrowserRefusal, BrowserSession, BrowserWish, GuestVideo, Streams,
    read_browser_offer,
};
use crate::sdp::{
    DigestKind, Direction, Fingerprint, IceCredentials, MediaKind, SessionDescription,
};

/// Answers it as for a SIP side that takes what most do, or names why not. Checks that the answer has a line for
/// each of the offer, that its group has only what is taken, that it promises nothing which the gateway does
/// not do, and that it is read again as it was written.
///
/// # Panics
///
/// Where a promise does not hold.
///
/// # Errors
///
/// The refusal, which is an outcome like any other.
pub fn answer(
    description: &SessionDescription,
) -> Result<(BrowserOffer, BrowserAnswer), BrowserRefusal> {
    let offer = read_browser_offer(description)?;
    let (codecs, video) = (taken(), VideoWish::ours());
    let addresses = [([192, 0, 2, 10], 4_000).into()];
    let Some(ice) = IceCredentials::new("ours", "ofNoImportanceWhatsoever") else {
        return Err(BrowserRefusal::NoIce);
    };
    let sent = BrowserWish {
        ice,
        fingerprint: Fingerprint {
            hash: DigestKind::Sha256,
            octets: std::iter::repeat_n(7, DigestKind::Sha256.octets()).collect(),
        },
        addresses: &addresses,
        audio: &codecs,
        audio_direction: Direction::SendRecv,
        ptime_ms: None,
        video: Some(&video),
        policy: GuestVideo::SendRecv,
        streams: Streams {
            cname: "cname".into(),
            stream: "stream".into(),
            audio: 1,
            video: 2,
        },
    };
    let mut session = BrowserSession::new(1);
    let answer = session.answer(&offer, &sent)?;
    check(description, &answer);
    check_promises(&answer);
    let again = session.answer(&offer, &sent)?;
    check_again(&answer, &again);
    Ok((offer, answer))
}

/// Nothing is said that the gateway does not do.
fn check_promises(answer: &BrowserAnswer) {
    let mut buffer = SendBuffer::new();
    answer.description.write(&mut buffer);
    let text = String::from_utf8_lossy(buffer.as_bytes());
    for line in text.lines() {
        let is_codec = line.starts_with("a=rtpmap:") && line.contains(" rtx/");
        let is_other = line.starts_with("a=ssrc-group:")
            || (line.starts_with("a=rtcp-fb:") && line.ends_with(" transport-cc"))
            || (line.starts_with("a=extmap:") && line.ends_with("ssrc-audio-level"));
        assert!(!is_codec && !is_other, "{line}");
    }
}

fn check_again(answer: &BrowserAnswer, again: &BrowserAnswer) {
    assert!(
        again.description == answer.description && !again.restarts_ice && !again.renews_dtls,
        "the same offer has the same answer"
    );
}

fn check(offer: &SessionDescription, answer: &BrowserAnswer) {
    let ours = &answer.description;
    assert!(
        offer.media.len() == ours.media.len(),
        "each line has its answer"
    );
    for (theirs, line) in offer.media.iter().zip(&ours.media) {
        assert!(theirs.kind == line.kind && theirs.protocol == line.protocol);
        let mid = |media: &crate::sdp::MediaDescription| {
            media.browser.as_ref().and_then(|said| said.mid.clone())
        };
        assert!(mid(theirs) == mid(line), "a line keeps its name");
    }
    let open = |kind: &MediaKind| {
        let lines = ours.media.iter();
        lines
            .filter(|line| line.kind == *kind && line.port != 0)
            .count()
    };
    assert!(open(&MediaKind::Audio) == 1 && open(&MediaKind::Video) <= 1);
    let mut lines = ours.media.iter();
    let video = lines.find(|line| line.kind == MediaKind::Video && line.port != 0);
    let is_asleep = video.is_some_and(|line| line.direction == Some(Direction::Inactive));
    assert!(
        answer.video.is_ok() == video.is_some() || is_asleep,
        "video that is not taken is refused, or goes nowhere"
    );
    let mut buffer = SendBuffer::new();
    ours.write(&mut buffer);
    let again = SessionDescription::parse(buffer.as_bytes());
    assert!(again.as_ref() == Ok(ours), "what is answered is read again");
}

fn taken() -> Vec<Codec> {
    let codec = |payload_type, name: &str, clock_rate_hz, channels| Codec {
        payload_type,
        name: name.into(),
        clock_rate_hz,
        channels,
        fmtp: None,
    };
    vec![
        codec(114, "opus", 48_000, 2),
        codec(9, "G722", 8_000, 1),
        codec(8, "PCMA", 8_000, 1),
        codec(0, "PCMU", 8_000, 1),
        codec(101, "telephone-event", 8_000, 1),
    ]
}
