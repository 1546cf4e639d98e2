//! Hold and resume by a real phone, from either side. The verdict is on audio: by frequency before, nothing
//! during, by frequency after.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
use serde_json::Value;

use crate::baresip::{CALLEE, CALLER, Phone};
use crate::gateway::{Backend, Gateway, link, on_each_backend, trunk, write_config};
use crate::tone::{self, Law};
use crate::world::{World, until};

/// How long each part of the call is listened to.
const LISTENED: Duration = Duration::from_millis(1500);
/// Samples of a recording that one part must have: a second.
const SAMPLES_MIN: usize = 8_000;
/// What may still be on its way when a phone has fallen silent: five packets.
const SAMPLES_LATE: usize = 800;

/// The control socket of a phone.
pub(crate) struct Control(TcpStream);

impl Control {
    pub(crate) fn open(phone: &Phone) -> Self {
        let mut open = None;
        until("a phone's control socket", Duration::from_secs(10), || {
            open = TcpStream::connect(phone.control()).ok();
            open.is_some()
        });
        let stream = open.expect("connected");
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .expect("a timeout");
        Self(stream)
    }

    /// Gives an order and waits for its answer.
    pub(crate) fn order(&mut self, command: &str) {
        let order = format!("{{\"command\":\"{command}\"}}");
        write!(self.0, "{}:{order},", order.len()).expect("sent");
        loop {
            let said = self.next();
            if said["response"] == true {
                assert_eq!(said["ok"], true, "{command}: {said}");
                return;
            }
        }
    }

    /// Waits for an event.
    pub(crate) fn event(&mut self, kind: &str) -> Value {
        loop {
            let said = self.next();
            if said["type"] == kind {
                return said;
            }
        }
    }

    /// A netstring of JSON: `LENGTH:TEXT,`.
    fn next(&mut self) -> Value {
        let mut length = 0;
        loop {
            let [octet] = self.octets();
            match octet {
                b':' => break,
                digit => length = length * 10 + usize::from(digit - b'0'),
            }
        }
        let mut text = vec![0; length];
        self.0.read_exact(&mut text).expect("a text");
        let [_comma] = self.octets();
        serde_json::from_slice(&text).expect("JSON")
    }

    fn octets<const N: usize>(&mut self) -> [u8; N] {
        let mut octets = [0; N];
        self.0.read_exact(&mut octets).expect("the phone speaks");
        octets
    }
}

/// What arrives at both phones, read off the loopback device: baresip 1.0.0 records nothing after a
/// hold, between two of them without us neither.
struct Tap(File);

impl Tap {
    fn open() -> Self {
        let socket = socket(
            AddressFamily::Packet,
            SockType::Datagram,
            SockFlag::SOCK_NONBLOCK,
            SockProtocol::EthAll,
        );
        Self(File::from(socket.expect("a packet socket")))
    }

    /// Samples that come for the caller and for the callee within a part of the call.
    fn listen(&mut self) -> [Vec<i16>; 2] {
        while self.next().is_some() {}
        let mut heard = [Vec::new(), Vec::new()];
        let mut seen = HashSet::new();
        let began = Instant::now();
        until("a part of the call", Duration::from_secs(10), || {
            while let Some(packet) = self.next() {
                let Some((port, number, samples)) = a_law(&packet) else {
                    continue;
                };
                let to = [&CALLER, &CALLEE]
                    .iter()
                    .position(|phone| phone.media_ports().contains(&port));
                // The device shows a packet when it leaves and when it comes.
                if let Some(to) = to.filter(|_| seen.insert((port, number))) {
                    heard[to].extend(samples);
                }
            }
            began.elapsed() >= LISTENED
        });
        heard
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut packet = vec![0; 2048];
        let length = self.0.read(&mut packet).ok()?;
        packet.truncate(length);
        Some(packet)
    }
}

/// Port, sequence number and samples of an IPv4 packet with PCMA in RTP.
fn a_law(packet: &[u8]) -> Option<(u16, u16, Vec<i16>)> {
    let header = usize::from(packet.first()? & 15) * 4;
    let is_udp = packet.first()? >> 4 == 4 && *packet.get(9)? == 17;
    let port = u16::from_be_bytes(packet.get(header + 2..header + 4)?.try_into().ok()?);
    let rtp = packet.get(header + 8..).filter(|_| is_udp)?;
    let is_a_law = rtp.first()? >> 6 == 2 && rtp.get(1)? & 127 == 8;
    let number = u16::from_be_bytes(rtp.get(2..4)?.try_into().ok()?);
    let payload = rtp.get(12..).filter(|_| is_a_law)?;
    let samples = payload.iter().map(|octet| tone::decoded(*octet, Law::A));
    Some((port, number, samples.collect()))
}

fn is_held(gateway: &Gateway, side: &str) -> bool {
    let list: Value =
        serde_json::from_str(&gateway.run(&["calls", "list", "--json"])).expect("JSON");
    let legs = list[0]["legs"].as_array().cloned().unwrap_or_default();
    legs.iter()
        .any(|leg| leg["side"] == side && leg["held"] == true)
}

fn expect_talk(tap: &mut Tap, when: &str) {
    let parts = tap.listen();
    for (part, (here, there)) in parts.iter().zip([(&CALLER, &CALLEE), (&CALLEE, &CALLER)]) {
        let (other, own) = (
            tone::loudest_share(part, there.tone_hz),
            tone::loudest_share(part, here.tone_hz),
        );
        assert!(
            part.len() >= SAMPLES_MIN,
            "{when}: {} gets {}",
            here.name,
            part.len()
        );
        assert!(
            other > 0.8 && own < 0.1,
            "{when}: {} gets {other:.2}, of itself {own:.2}",
            here.name
        );
    }
}

fn expect_silence(tap: &mut Tap, when: &str) {
    for (part, name) in tap.listen().iter().zip([CALLER.name, CALLEE.name]) {
        assert!(
            part.len() <= SAMPLES_LATE,
            "{when}: {name} gets {}",
            part.len()
        );
    }
}

/// E-10: a phone with keys and a plain one. What goes to the first is noise to who reads it on the way, and the
/// second hears it before, not during, and after.
#[test]
fn phones_hold_and_resume_with_keys_and_who_listens_on_the_way_hears_noise() {
    on_each_backend(hold_with_keys);
}

fn hold_with_keys(backend: Backend) {
    let Some(world) = World::open(&["ip", "baresip"]) else {
        return;
    };
    let mut tap = Tap::open();
    let tables = trunk("desks", &CALLEE.address(), 10)
        .replace("priority", "srtp = \"required\"\npriority")
        + &link("support", "desk");
    let config = write_config(&world, backend.line(), &tables);
    let text = std::fs::read_to_string(&config).expect("written");
    let text = text.replace("[http]", "srtp_over_clear_signalling = true\n[http]");
    let gateway = Gateway::start_with(&world, world.write("sluice.toml", &text));
    gateway.expect_on(backend);
    let account = format!(
        "<sip:desk@{};transport=udp>;regint=0;answermode=auto;audio_codecs=PCMA/8000/1;\
         mediaenc=srtp-mand\n",
        CALLEE.address()
    );
    let _callee = CALLEE.start_as(&account, &world, 60, None);
    let mut answerer = Control::open(&CALLEE);
    let _caller = CALLER.start(&world, 60, Some("sip:support@127.0.0.1:5060"));
    let mut dialler = Control::open(&CALLER);
    answerer.event("CALL_ESTABLISHED");
    expect_half_noise(&mut tap, "before");
    let suite = suite_of(&gateway, "b");
    assert!(
        suite.is_string() && suite_of(&gateway, "a").is_null(),
        "{suite}"
    );
    for (phone, side) in [(&mut answerer, "b"), (&mut dialler, "a")] {
        phone.order("hold");
        until("the hold", Duration::from_secs(5), || {
            is_held(&gateway, side)
        });
        expect_silence(&mut tap, &format!("{side} holds"));
        phone.order("resume");
        until("the end of the hold", Duration::from_secs(5), || {
            !is_held(&gateway, side)
        });
        expect_half_noise(&mut tap, &format!("{side} has resumed"));
        assert_eq!(suite_of(&gateway, "b"), suite);
    }
    dialler.order("hangup");
    let calls = gateway.closed_calls(1);
    assert_eq!(calls[0]["cause"], "normal", "{calls:?}");
}

fn expect_half_noise(tap: &mut Tap, when: &str) {
    let [caller, callee] = tap.listen();
    let heard = tone::loudest_share(&caller, CALLEE.tone_hz);
    assert!(heard > 0.8, "{when}: the plain phone gets {heard:.2}");
    assert!(callee.len() >= SAMPLES_MIN, "{when}: {}", callee.len());
    let read = tone::loudest_share(&callee, CALLER.tone_hz);
    assert!(read < 0.2, "{when}: on the way {read:.2} is heard");
}

fn suite_of(gateway: &Gateway, side: &str) -> Value {
    let list: Value =
        serde_json::from_str(&gateway.run(&["calls", "list", "--json"])).expect("JSON");
    let legs = list[0]["legs"].as_array().cloned().unwrap_or_default();
    let leg = legs.into_iter().find(|leg| leg["side"] == side);
    leg.map_or(Value::Null, |leg| leg["srtp"].clone())
}

#[test]
fn either_phone_holds_and_resumes_and_audio_stops_and_comes_back() {
    on_each_backend(hold_and_resume);
}

fn hold_and_resume(backend: Backend) {
    let Some(world) = World::open(&["ip", "baresip"]) else {
        return;
    };
    let callee = CALLEE.address();
    let mut tap = Tap::open();
    let tables = trunk("desks", &callee, 10) + &link("support", "desk");
    let gateway = Gateway::start_on(&world, backend, &tables);
    let _callee = CALLEE.start(&world, 60, None);
    let mut answerer = Control::open(&CALLEE);
    let _caller = CALLER.start(&world, 60, Some("sip:support@127.0.0.1:5060"));
    let mut dialler = Control::open(&CALLER);
    answerer.event("CALL_ESTABLISHED");
    expect_talk(&mut tap, "before");
    for round in 1..=2 {
        for (phone, side) in [(&mut dialler, "a"), (&mut answerer, "b")] {
            phone.order("hold");
            until("the hold", Duration::from_secs(5), || {
                is_held(&gateway, side)
            });
            expect_silence(&mut tap, &format!("round {round}, {side} holds"));
            phone.order("resume");
            until("the end of the hold", Duration::from_secs(5), || {
                !is_held(&gateway, side)
            });
            expect_talk(&mut tap, &format!("round {round}, {side} has resumed"));
        }
    }
    dialler.order("hangup");
    let calls = gateway.closed_calls(1);
    assert_eq!(
        (&calls[0]["cause"], &calls[0]["status"]),
        (&"normal".into(), &200.into())
    );
}
