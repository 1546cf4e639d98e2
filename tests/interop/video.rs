//! Video through the gateway: two real phones see and hear each other, and a keyframe with the request
//! for the next one crosses packet by packet.

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use crate::baresip::{CALLEE, CALLER, Phone, each_hears_the_other};
use crate::gateway::{Backend, Gateway, SIP, at_once, link, on_each_backend, trunk};
use crate::party::Party;
use crate::picture::Codec;
use crate::srtp::{PLAIN, SECURE, Side, config, was_protected};
use crate::tone;
use crate::world::{Process, World};

/// I-01, I-02: H.264 from either side is decoded by the other one, while each hears the other.
#[test]
fn two_phones_see_and_hear_each_other() {
    on_each_backend(|backend| see_and_hear(Codec::H264, backend, PLAIN, PLAIN));
}

/// The same where one side is protected, whichever, and where both are.
#[test]
fn two_phones_see_and_hear_each_other_under_srtp() {
    at_once([(PLAIN, SECURE), (SECURE, PLAIN)], |(caller, callee)| {
        see_and_hear(Codec::H264, Backend::Best, caller, callee)
    });
    on_each_backend(|backend| see_and_hear(Codec::H264, backend, SECURE, SECURE));
}

/// VP8 (RFC 7741), in the clear and with keys on one side.
#[test]
fn two_phones_see_and_hear_each_other_in_vp8() {
    at_once([PLAIN, SECURE], |callee| {
        see_and_hear(Codec::Vp8, Backend::Best, PLAIN, callee);
    });
}

fn see_and_hear(codec: Codec, backend: Backend, caller_side: Side, callee_side: Side) {
    let Some(world) = World::open(&["ip", "baresip"]).filter(|_| codec.is_there()) else {
        return;
    };
    let gateway = Gateway::start_with(&world, config(&world, backend, caller_side, callee_side));
    gateway.expect_on(backend);
    let start = |phone: &Phone, side: Side, seconds, dial| {
        let protection = match side.phone {
            "" => String::new(),
            method => format!(";mediaenc={method}"),
        };
        start(phone, codec, &protection, &world, (seconds, dial))
    };
    let mut callee = start(&CALLEE, callee_side, 9, None);
    let mut caller = start(&CALLER, caller_side, 6, Some(DIAL));
    caller.wait(Duration::from_secs(20));
    callee.wait(Duration::from_secs(20));

    each_hears_the_other(&world);
    for (name, log) in [("caller", caller.said()), ("callee", callee.said())] {
        for proof in [
            "incoming rtp for 'video' established",
            "video: receiving with resolution 352 x 288 and format 'yuv420p'",
            &format!("{}/90000", codec.name()),
        ] {
            assert!(log.contains(proof), "{name}: {proof}\n{log}");
        }
    }
    // What each was told is a port of ours.
    let offer = callee.said();
    let invite = offer.split("INVITE sip:desk@").nth(1).expect("an INVITE");
    let port = video(invite).port();
    assert!((10_000..20_000).contains(&port), "{port}");
    let calls = gateway.closed_calls(1);
    assert_eq!(calls[0]["status"], 200, "{calls:?}");
    was_protected(&calls[0], caller_side, callee_side);
}

/// What is made here is read by the decoder of a phone, which has a camera of its own or none.
#[test]
fn a_phone_that_calls_a_tone_sees_the_test_picture() {
    at_once(["sendrecv", "recvonly"], |policy| {
        let Some(world) = World::open(&["ip", "baresip"]).filter(|_| Codec::H264.is_there()) else {
            return;
        };
        let policy = format!("\nvideo_policy = \"{policy}\"\n\n");
        let tables = link("support", "local:tone").replace("\n\n", &policy);
        let gateway = Gateway::start(&world, &tables);
        let mut caller = start(&CALLER, Codec::H264, "", &world, (12, Some(DIAL)));
        caller.wait(Duration::from_secs(30));
        let log = caller.said();
        for proof in [
            "incoming rtp for 'video' established",
            "video: receiving with resolution 320 x 240 and format 'yuv420p'",
        ] {
            assert!(log.contains(proof), "{policy}: {proof}\n{log}");
        }
        for complaint in ["concealing", "non-existing", "error while decoding"] {
            assert!(!log.contains(complaint), "{policy}: {complaint}\n{log}");
        }
        let (clear, of) = tone::clear_tenths(&CALLER.heard(&world), 440.0);
        assert!(clear >= 15 && clear * 3 >= of * 2, "{clear} of {of} tenths");
        let calls = gateway.closed_calls(1);
        assert_eq!(calls[0]["status"], 200, "{calls:?}");
    });
}

/// I-04: a phone with an encoder of its own makes a keyframe because the far side has asked for one.
#[test]
fn a_phone_makes_a_keyframe_when_the_far_side_asks_for_one() {
    for codec in [Codec::H264, Codec::Vp8] {
        answer_with_a_keyframe(codec);
    }
}

fn answer_with_a_keyframe(codec: Codec) {
    let Some(world) = World::open(&["ip", "baresip"]).filter(|_| codec.is_there()) else {
        return;
    };
    let tables = trunk("desks", &CALLEE.address(), 10) + &link("support", "desk");
    let _gateway = Gateway::start(&world, &tables);
    let mut callee = Party::new(&CALLEE.address(), SIP);
    let screen = Screen::new(46_000, 120, codec);
    let caller = start(&CALLER, codec, "", &world, (20, Some(DIAL)));
    let invite = callee.expect_request("INVITE");
    callee.respond(&invite, "200 OK", "", &screen.session());
    let _ack = callee.expect_request("ACK");

    // The first frame is one; the next would be due 150 frames later (H.264) or 128 (VP8).
    let first = screen.watch(|seen| seen.keyframes == 1);
    let between = screen.watch(|seen| seen.frames == FRAMES_WATCHED);
    assert_eq!(
        between.keyframes,
        0,
        "{codec:?}: nobody has asked\n{}",
        caller.said()
    );
    screen.ask_for_a_keyframe(first.source, video(&invite));
    let after = screen.watch(|seen| seen.keyframes == 1 || seen.frames == FRAMES_WATCHED);
    assert_eq!(after.keyframes, 1, "{codec:?}: asked\n{}", caller.said());
    callee.ask("BYE", "");
    callee.expect(200);
}

/// Starts a phone with a camera, and what its account says beyond that.
fn start(
    phone: &Phone,
    codec: Codec,
    further: &str,
    world: &World,
    (seconds, dial): (u32, Option<&str>),
) -> Process {
    let account = phone.account(&format!(";video_codecs={}{further}", codec.name()));
    let sound = tone::wav(phone.tone_hz, 20);
    phone.start_with(&sound, &account, &codec.camera(), world, seconds, dial)
}

/// What came while we watched.
#[derive(Debug, Default)]
struct Seen {
    source: [u8; 4],
    frames: usize,
    keyframes: usize,
}

/// Where video goes by this description.
fn video(text: &str) -> SocketAddr {
    let find = |prefix: &str| text.lines().find_map(|line| line.strip_prefix(prefix));
    let line = find("m=video ").unwrap_or_else(|| panic!("no video in\n{text}"));
    let port = line.split(' ').next().expect("a port");
    let host = find("c=IN IP4 ").expect("an address").trim();
    format!("{host}:{port}").parse().expect("an address")
}

/// Its RTCP, where no other port was named (RFC 3550 §11).
const fn rtcp(rtp: SocketAddr) -> SocketAddr {
    SocketAddr::new(rtp.ip(), rtp.port() + 1)
}

/// RTP and RTCP of a picture.
struct Screen {
    rtp: UdpSocket,
    rtcp: UdpSocket,
    number: u8,
    codec: Codec,
}

impl Screen {
    fn new(port: u16, number: u8, codec: Codec) -> Self {
        let bind = |port| {
            let socket = UdpSocket::bind(("127.0.0.1", port)).expect("a port");
            socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            socket
        };
        Self {
            rtp: bind(port),
            rtcp: bind(port + 1),
            number,
            codec,
        }
    }

    fn session(&self) -> String {
        let port = self.rtp.local_addr().expect("bound").port();
        let (number, codec) = (self.number, self.codec.name());
        let parameters = self.codec.parameters();
        format!(
            "v=0\r\no=- 7 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio {} RTP/AVP 8\r\nm=video {port} RTP/AVP {number}\r\nb=TIAS:2000000\r\n\
             a=rtpmap:{number} {codec}/90000\r\n\
             a=fmtp:{number} {parameters}\r\n\
             a=rtcp-fb:* nack pli\r\na=rtcp-fb:* ccm fir\r\n",
            port + 10
        )
    }

    /// Takes packets until enough has been seen; all are of one source and have the number that we named.
    fn watch(&self, is_enough: impl Fn(&Seen) -> bool) -> Seen {
        let (mut seen, mut is_key) = (Seen::default(), false);
        let deadline = Instant::now() + 2 * PATIENCE;
        while !is_enough(&seen) {
            assert!(Instant::now() < deadline, "{seen:?}");
            let mut buffer = [0; 2048];
            let (length, _) = self.rtp.recv_from(&mut buffer).expect("a packet");
            let (header, payload) = buffer[..length].split_at(12);
            assert_eq!(header[1] & 0x7f, self.number);
            seen.source.copy_from_slice(&header[8..]);
            is_key |= self.codec.begins_keyframe(payload);
            if header[1] >> 7 == 1 {
                seen.frames += 1;
                seen.keyframes += usize::from(std::mem::take(&mut is_key));
            }
        }
        seen
    }

    /// An empty receiver report, and a picture loss indication (RFC 4585 §6.3.1) for what comes from here.
    fn ask_for_a_keyframe(&self, source: [u8; 4], from: SocketAddr) {
        let mut request = vec![0x80, 201, 0, 1, 0, 0, 0, 9, 0x81, 206, 0, 2, 0, 0, 0, 9];
        request.extend(source);
        self.rtcp.send_to(&request, rtcp(from)).expect("sent");
    }
}

/// I-01, I-04: 300 packets of 1,200 octets at once, under the numbers of who receives them; a PLI for them
/// names the source as the sender knows it.
#[test]
fn a_keyframe_crosses_whole_and_the_request_for_the_next_one_comes_back() {
    on_each_backend(a_keyframe_crosses);
}

fn a_keyframe_crosses(backend: Backend) {
    let Some(world) = World::open(&["ip"]) else {
        return;
    };
    let tables = trunk("desks", "127.0.0.1:5098", 10) + &link("support", "desk");
    let _gateway = Gateway::start_on(&world, backend, &tables);
    let mut caller = Party::new("127.0.0.1:5099", SIP);
    let mut callee = Party::new("127.0.0.1:5098", SIP);
    let (camera, screen) = (
        Screen::new(45_000, 97, Codec::H264),
        Screen::new(46_000, 120, Codec::H264),
    );
    caller.call("support", "", &camera.session());
    let invite = callee.expect_request("INVITE");
    assert!(
        invite.contains("max-fs=3600") && invite.contains("b=TIAS:2000000"),
        "{invite}"
    );
    callee.respond(&invite, "200 OK", "", &screen.session());
    let ok = caller.expect(200);
    caller.acknowledge("");
    let _ack = callee.expect_request("ACK");

    // In parts that the buffer of the receiving socket holds: it reads when all of a part has left.
    let (packets, part) = (300_u16, 50);
    let (mut payloads, mut marked, mut source) = (BTreeSet::new(), 0, [0; 4]);
    for first in (0..packets).step_by(usize::from(part)) {
        for number in first..first + part {
            let packet = frame_packet(number, number + 1 == packets);
            camera.rtp.send_to(&packet, video(&ok)).expect("sent");
        }
        for _ in 0..part {
            let mut buffer = [0; 2048];
            let (length, from) = screen.rtp.recv_from(&mut buffer).expect("a packet");
            assert_eq!(from, video(&invite), "from the port that the offer names");
            assert_eq!(buffer[1] & 0x7f, 120);
            marked += u16::from(buffer[1] >> 7);
            source.copy_from_slice(&buffer[8..12]);
            payloads.insert(buffer[12..length].to_vec());
        }
    }
    assert_eq!(payloads.len(), usize::from(packets));
    assert_eq!(marked, 1, "the end of the frame and nothing else");

    screen.ask_for_a_keyframe(source, video(&invite));
    let deadline = Instant::now() + PATIENCE;
    let asked = loop {
        assert!(Instant::now() < deadline, "no request for a keyframe");
        let mut buffer = [0; 2048];
        let (length, from) = camera.rtcp.recv_from(&mut buffer).expect("RTCP");
        assert_eq!(from, rtcp(video(&ok)));
        if let Some(asked) = picture_loss(&buffer[..length]) {
            break asked;
        }
    };
    assert_eq!(asked, SOURCE, "the source as its sender knows it");
    caller.ask("BYE", "");
    caller.expect(200);
}

/// The media source of a picture loss indication in a compound.
fn picture_loss(mut bytes: &[u8]) -> Option<[u8; 4]> {
    while bytes.len() >= 4 {
        let length = 4 * (usize::from(u16::from_be_bytes([bytes[2], bytes[3]])) + 1);
        let (packet, rest) = bytes.split_at_checked(length)?;
        if packet[1] == 206 && packet[0] & 0x1f == 1 {
            return packet.get(8..12)?.try_into().ok();
        }
        bytes = rest;
    }
    None
}

fn frame_packet(number: u16, ends_frame: bool) -> Vec<u8> {
    let mut packet = vec![0x80, 97 | u8::from(ends_frame) << 7];
    packet.extend(number.to_be_bytes());
    packet.extend(90_000_u32.to_be_bytes());
    packet.extend(SOURCE);
    packet.extend(number.to_be_bytes());
    packet.resize(1_200, 0x5a);
    packet
}

const SOURCE: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
const DIAL: &str = "sip:support@127.0.0.1:5060";
/// Four seconds.
const FRAMES_WATCHED: usize = 60;
const PATIENCE: Duration = Duration::from_secs(5);
