//! Pairs of descriptions in, plans and descriptions out.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use media::command::{LatchPolicy, PairKey};
use sip::offer_answer::crypto::CryptoPolicy;
use sip::offer_answer::{Codec, Forbidden, RemoteAudio, Unusable, read_offer};
use sip::sdp::{Direction, SessionDescription};

use super::address::forbids;
use super::leg::{CODECS_MAX, LegMedia};

const TIMEOUT: Duration = Duration::from_secs(60);

fn peer() -> IpAddr {
    "192.0.2.7".parse().unwrap()
}

fn description(version: u32, body: &str) -> SessionDescription {
    let head = format!("v=0\r\no=- 7 {version} IN IP4 192.0.2.7\r\ns=-\r\n");
    let body = body.trim().replace('\n', "\r\n");
    SessionDescription::parse(format!("{head}{body}\r\n").as_bytes()).unwrap()
}

fn read(
    description: &SessionDescription,
    signalling: IpAddr,
    own: impl Fn(SocketAddr) -> bool,
) -> Result<RemoteAudio, Unusable> {
    let forbids = |address| forbids(address, signalling, &own);
    read_offer(description, CryptoPolicy::Off, forbids)
}

fn remote(body: &str) -> RemoteAudio {
    read(&description(1, body), peer(), |_| false).unwrap()
}

fn refused(body: &str) -> Unusable {
    read(&description(1, body), peer(), |address| {
        address.port() == 10_000
    })
    .unwrap_err()
}

fn formats(description: &SessionDescription) -> Vec<&str> {
    description.media[0]
        .formats
        .iter()
        .map(|format| &**format)
        .collect()
}

fn leg(slot: u32) -> LegMedia {
    let named: SocketAddr = format!("198.51.100.1:{}", 10_000 + 2 * slot)
        .parse()
        .unwrap();
    LegMedia::new(
        PairKey {
            worker: 0,
            slot,
            generation: 0,
        },
        named,
        LatchPolicy::Sdp,
        1,
    )
}

fn numbers(plan: &media::command::LegPlan) -> Vec<(u8, u8)> {
    plan.payloads
        .iter()
        .map(|mapping| (mapping.received, mapping.sent))
        .collect()
}

const OFFER: &str = "c=IN IP4 192.0.2.7\nt=0 0\nm=audio 4000 RTP/AVP 8 0 96 101
a=rtpmap:96 opus/48000/2\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-16";

#[test]
fn numbers_are_mapped_both_ways_when_the_sides_disagree() {
    let (mut a, mut b) = (leg(0), leg(1));
    a.accept(remote(OFFER));
    let codecs = a.remote().unwrap().codecs.clone();
    let offer = b.offer(&codecs, Direction::SendRecv, None);
    assert_eq!(offer.media[0].port, 10_002);
    // The callee names opus 111 and events 100, and takes no PCMU.
    b.accept(remote(
        "c=IN IP4 192.0.2.7\nt=0 0\nm=audio 5000 RTP/AVP 111 8 100
a=rtpmap:111 opus/48000/2\na=rtpmap:100 telephone-event/8000",
    ));
    let chosen = b.remote().unwrap().codecs.clone();
    let answer = a.answer(&chosen, Direction::SendRecv, None).unwrap();
    assert_eq!(
        formats(&answer),
        ["96", "101"],
        "the caller's numbers, and what the callee has in use"
    );
    let (a_plan, b_plan) = (a.plan(Some(&b), TIMEOUT), b.plan(Some(&a), TIMEOUT));
    assert_eq!(numbers(&a_plan), [(96, 111), (101, 100)]);
    assert_eq!(numbers(&b_plan), [(8, 8), (0, 0), (96, 96), (101, 101)]);
    assert_eq!(a_plan.remote_rtp, Some("192.0.2.7:4000".parse().unwrap()));
    assert_eq!(b_plan.remote_rtcp, Some("192.0.2.7:5001".parse().unwrap()));
    assert!(
        a_plan
            .payloads
            .iter()
            .any(|mapping| mapping.is_telephone_event)
    );
    assert_eq!(a_plan.media_timeout, Some(TIMEOUT));
}

#[test]
fn events_of_another_clock_become_those_that_were_agreed_on() {
    let (mut a, mut b) = (leg(0), leg(1));
    a.accept(remote(
        "c=IN IP4 192.0.2.7\nt=0 0\nm=audio 4000 RTP/AVP 96 110 126
a=rtpmap:96 opus/48000/2\na=rtpmap:110 telephone-event/48000\na=rtpmap:126 telephone-event/8000",
    ));
    let codecs = a.remote().unwrap().codecs.clone();
    b.offer(&codecs, Direction::SendRecv, None);
    b.accept(remote(
        "c=IN IP4 192.0.2.7\nt=0 0\nm=audio 5000 RTP/AVP 111 100
a=rtpmap:111 opus/48000/2\na=rtpmap:100 telephone-event/8000",
    ));
    a.answer(&codecs, Direction::SendRecv, None).unwrap();
    let events = |plan: &media::command::LegPlan| -> Vec<_> {
        let events = plan.payloads.iter().filter(|it| it.is_telephone_event);
        events
            .map(|it| (it.received, it.sent, it.sent_clock_hz))
            .collect()
    };
    assert_eq!(
        events(&a.plan(Some(&b), TIMEOUT)),
        [(110, 100, Some(8_000))],
        "what it was answered, and what the callee has"
    );
    let of_callee = events(&b.plan(Some(&a), TIMEOUT));
    assert!(
        of_callee.contains(&(126, 110, Some(48_000))),
        "{of_callee:?}"
    );
    assert!(a.carries_events(&b));
    assert_eq!(
        events(&a.plan(None, TIMEOUT)),
        [(110, 110, None)],
        "an echo"
    );
}

#[test]
fn version_of_our_description_rises_only_when_it_changes() {
    let mut a = leg(0);
    a.accept(remote(OFFER));
    let codecs = a.remote().unwrap().codecs.clone();
    let first = a.answer(&codecs, Direction::SendRecv, None).unwrap();
    let again = a.answer(&codecs, Direction::SendRecv, None).unwrap();
    assert_eq!(first, again);
    let held = a.answer(&codecs, Direction::Inactive, None).unwrap();
    assert_eq!(held.origin.version, first.origin.version + 1);
    assert_eq!(held.origin.session_id, first.origin.session_id);
}

#[test]
fn number_once_given_to_a_codec_stays_its_number() {
    let mut b = leg(1);
    let opus = |payload_type| Codec {
        payload_type,
        name: "opus".into(),
        clock_rate_hz: 48_000,
        channels: 2,
        fmtp: None,
    };
    let g722 = Codec {
        name: "G722".into(),
        clock_rate_hz: 8_000,
        channels: 1,
        ..opus(96)
    };
    let first = b.offer(&[opus(96)], Direction::SendRecv, None);
    assert_eq!(&*first.media[0].formats[0], "96");
    let second = b.offer(&[g722, opus(120)], Direction::SendRecv, None);
    assert_eq!(
        formats(&second),
        ["97", "96"],
        "96 is opus for good; the new codec gets a free number"
    );
}

#[test]
fn all_three_forms_of_hold_stop_the_timeout_and_what_must_not_flow() {
    let hold = |lines: &str| {
        let mut a = leg(0);
        a.accept(remote(lines));
        let codecs = a.remote().unwrap().codecs.clone();
        let answer = a.answer(&codecs, Direction::SendRecv, None).unwrap();
        let plan = a.plan(None, TIMEOUT);
        assert_eq!(plan.media_timeout, None, "{lines}");
        (
            answer.media[0].direction.unwrap(),
            plan.sends,
            plan.receives,
        )
    };
    let audio = "m=audio 4000 RTP/AVP 0";
    let sendonly = format!("c=IN IP4 192.0.2.7\nt=0 0\n{audio}\na=sendonly");
    assert_eq!(hold(&sendonly), (Direction::RecvOnly, false, true));
    let inactive = format!("c=IN IP4 192.0.2.7\nt=0 0\n{audio}\na=inactive");
    assert_eq!(hold(&inactive), (Direction::Inactive, false, false));
    let nowhere = format!("c=IN IP4 0.0.0.0\nt=0 0\n{audio}");
    assert_eq!(hold(&nowhere), (Direction::RecvOnly, false, true));
}

#[test]
fn addresses_that_would_make_us_a_weapon_are_refused() {
    let at = |address: &str, port: u16| {
        refused(&format!(
            "c=IN IP4 {address}\nt=0 0\nm=audio {port} RTP/AVP 0"
        ))
    };
    for (address, why) in [
        ("224.0.0.1", Forbidden::Multicast),
        ("239.1.2.3", Forbidden::Multicast),
        ("255.255.255.255", Forbidden::Broadcast),
        ("127.0.0.1", Forbidden::Loopback),
    ] {
        assert_eq!(at(address, 4000), Unusable::Forbidden(why), "{address}");
    }
    let own = at("198.51.100.1", 10_000);
    assert_eq!(own, Unusable::Forbidden(Forbidden::Own), "our own port");
    let rtcp_elsewhere = "c=IN IP4 192.0.2.7\nt=0 0\nm=audio 4000 RTP/AVP 0
a=rtcp:53 IN IP4 224.0.0.251";
    let group = Unusable::Forbidden(Forbidden::Multicast);
    assert_eq!(refused(rtcp_elsewhere), group);
    let on_loopback = description(1, "c=IN IP4 127.0.0.1\nt=0 0\nm=audio 4000 RTP/AVP 0");
    let near = read(&on_loopback, "127.0.0.9".parse().unwrap(), |_| false).unwrap();
    assert_eq!(near.rtp, Some("127.0.0.1:4000".parse().unwrap()));
}

#[test]
fn offers_without_plain_audio_are_refused() {
    for (body, reason) in [
        (
            "m=video 4000 RTP/AVP 96\na=rtpmap:96 H264/90000",
            Unusable::NoAudio,
        ),
        ("m=audio 0 RTP/AVP 0", Unusable::NoAudio),
        ("m=audio 4000 RTP/SAVP 0", Unusable::SecureOnly),
        (
            "m=audio 4000 RTP/AVP 101\na=rtpmap:101 telephone-event/8000",
            Unusable::NoCommonCodec,
        ),
    ] {
        let body = format!("c=IN IP4 192.0.2.7\nt=0 0\n{body}");
        assert_eq!(refused(&body), reason, "{body}");
    }
    assert_eq!(
        refused("t=0 0\nm=audio 4000 RTP/AVP 0"),
        Unusable::NoAddress
    );
}

#[test]
fn answer_mirrors_every_line_and_refuses_what_is_not_the_audio() {
    let mut a = leg(0);
    a.accept(remote(
        "c=IN IP4 192.0.2.7\nt=0 0\nm=video 4002 RTP/AVP 96\na=rtpmap:96 H264/90000
m=audio 4000 RTP/AVP 0\nm=application 9 UDP/BFCP *",
    ));
    let codecs = a.remote().unwrap().codecs.clone();
    let answer = a.answer(&codecs, Direction::SendRecv, None).unwrap();
    let ports: Vec<u16> = answer.media.iter().map(|media| media.port).collect();
    assert_eq!(ports, [0, 10_000, 0]);
    assert_eq!(answer.media[0].kind.as_str(), "video");
}

#[test]
fn no_voice_codec_in_common_is_no_answer() {
    let mut a = leg(0);
    a.accept(remote(OFFER));
    let g729 = remote(
        "c=IN IP4 192.0.2.7\nt=0 0\nm=audio 4000 RTP/AVP 18 101
a=rtpmap:101 telephone-event/8000",
    );
    assert_eq!(
        a.answer(&g729.codecs, Direction::SendRecv, None),
        Err(Unusable::NoCommonCodec)
    );
}

#[test]
fn long_lists_are_cut_and_keep_the_events() {
    let list = "c=IN IP4 192.0.2.7\nt=0 0\nm=audio 4000 RTP/AVP 0 3 4 5 6 7 8 9 18 101
a=rtpmap:101 telephone-event/8000";
    let offer = leg(1).offer(&remote(list).codecs, Direction::SendRecv, None);
    assert_eq!(offer.media[0].formats.len(), CODECS_MAX);
    assert_eq!(formats(&offer).last(), Some(&"101"));
}

/// RED and FEC speak of one side's payload types and sequence numbers.
#[test]
fn redundancy_and_fec_are_not_carried_across() {
    let asked = remote(
        "c=IN IP4 192.0.2.7\nt=0 0\nm=audio 4000 RTP/AVP 121 123 18 13 101
a=rtpmap:121 red/8000\na=fmtp:121 18/18\na=rtpmap:123 X-ULPFECUC/8000
a=fmtp:18 annexb=no\na=rtpmap:101 telephone-event/8000",
    );
    let offer = leg(1).offer(&asked.codecs, Direction::SendRecv, None);
    assert_eq!(formats(&offer), ["18", "101"]);
    assert_eq!(offer.media[0].fmtp(18), Some("annexb=no"));
}

/// RFC 3261 §14.1.
#[test]
fn refused_hold_changes_nothing_of_the_plan() {
    let (mut a, mut b) = (leg(0), leg(1));
    a.accept(remote(OFFER));
    let codecs = a.remote().unwrap().codecs.clone();
    b.offer(&codecs, Direction::SendRecv, None);
    b.accept(remote(OFFER));
    let (plan, before) = (b.plan(Some(&a), TIMEOUT), b.current().clone());
    b.offer(&codecs, Direction::Inactive, None);
    assert!(!b.plan(Some(&a), TIMEOUT).sends);
    b.restore(before);
    let after = b.plan(Some(&a), TIMEOUT);
    assert_eq!(
        (after.sends, after.receives, after.media_timeout),
        (plan.sends, plan.receives, plan.media_timeout)
    );
    assert_eq!(after.version, plan.version, "the latch stays");
}

/// RFC 5761, RFC 3605.
#[test]
fn rtcp_goes_where_the_description_says() {
    let rtcp = |line: &str| {
        let mut a = leg(0);
        a.accept(remote(&format!("{OFFER}\n{line}")));
        a.plan(None, TIMEOUT).remote_rtcp.unwrap().to_string()
    };
    assert_eq!(rtcp("a=rtcp-mux"), "192.0.2.7:4000");
    assert_eq!(rtcp("a=rtcp:4321"), "192.0.2.7:4321");
    assert_eq!(rtcp("a=ptime:20"), "192.0.2.7:4001");
}

#[test]
fn plan_version_rises_with_address_or_codecs_and_not_with_hold() {
    let mut a = leg(0);
    a.accept(remote(OFFER));
    let first = a.plan(None, TIMEOUT).version;
    a.accept(remote(&format!("{OFFER}\na=sendonly")));
    assert_eq!(a.plan(None, TIMEOUT).version, first);
    a.accept(remote(&OFFER.replace("4000", "4100")));
    assert_eq!(a.plan(None, TIMEOUT).version, first + 1);
}
