//! What the record of a call and the metrics say of how it sounded, where a real phone reports: figures of a
//! line that loses nothing, and of two lines of which one is bad in a known way.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::baresip::{CALLEE, CALLER};
use crate::gateway::{Backend, Gateway, SIP, link, on_each_backend, trunk};
use crate::operation::metric;
use crate::party::{Party, audio};
use crate::world::{World, until};

const PATIENCE: Duration = Duration::from_secs(20);

fn tables() -> String {
    trunk("desks", &CALLEE.address(), 10) + &link("support", "desk")
}

fn number(leg: &Value, name: &str) -> f64 {
    let figure = leg["media"][name].as_f64();
    figure.unwrap_or_else(|| panic!("no {name}: {leg:#}"))
}

/// Media of the caller's leg and of the callee's.
fn legs(call: &Value) -> [&Value; 2] {
    [call, &call["attempts"][0]]
}

fn legs_with(direction: &str, measure: &str, up_to: &str) -> u64 {
    let labels =
        format!("worker=\"0\",direction=\"{direction}\",measure=\"{measure}\",up_to=\"{up_to}\"");
    metric(&format!("sluice_media_quality_total{{{labels}}}")).expect(&labels)
}

/// Each phone reports every five seconds: the second report of each answers one of the other's.
#[test]
fn two_phones_on_a_good_line_have_its_figures_in_the_record_and_the_metrics() {
    let Some(world) = World::open(&["ip", "baresip"]) else {
        return;
    };
    let gateway = Gateway::start(&world, &tables());
    let mut callee = CALLEE.start(&world, 15, None);
    let mut caller = CALLER.start(&world, 12, Some(DIAL));
    caller.wait(PATIENCE);
    callee.wait(PATIENCE);
    let calls = gateway.closed_calls(1);
    for leg in legs(&calls[0]) {
        let figure = |name| number(leg, name);
        assert!(figure("packets_received") > 400.0, "{leg:#}");
        for lost in ["packets_lost", "peer_packets_lost"] {
            assert!(figure(lost) < 0.5, "{lost}: {leg:#}");
        }
        for score in ["mos", "peer_mos"] {
            assert!((4.0..4.5).contains(&figure(score)), "{score}: {leg:#}");
        }
        for jitter in ["jitter_ms", "peer_jitter_ms"] {
            assert!(
                (0.0..JITTER_MS_MAX).contains(&figure(jitter)),
                "{jitter}: {leg:#}"
            );
        }
        let round_trip = figure("round_trip_ms");
        assert!((0.0..AWAY_MS).contains(&round_trip), "{leg:#}");
    }
    for direction in ["received", "sent"] {
        until("both legs without loss", PATIENCE, || {
            legs_with(direction, "loss_percent", "0") == 2
        });
        let well = ["434", "450"].map(|up_to| legs_with(direction, "score_hundredths", up_to));
        assert_eq!(well.iter().sum::<u64>(), 2, "{direction}");
    }
}

/// The caller loses every tenth packet on its way to us, sends two at a time, and answers a report late by a
/// known time with figures of its own. The callee is a phone on a line that has none of that, and hears what
/// the caller's line has left.
#[test]
fn a_bad_line_is_in_the_figures_of_its_own_leg_and_the_phone_behind_the_other_hears_it() {
    on_each_backend(a_bad_line);
}

fn a_bad_line(backend: Backend) {
    let Some(world) = World::open(&["ip", "baresip"]) else {
        return;
    };
    let gateway = Gateway::start_on(&world, backend, &tables());
    let _callee = CALLEE.start(&world, 60, None);
    let mut caller = Party::new("127.0.0.1:5099", SIP);
    let mut line = Line::new();
    caller.call("support", "", &line.session());
    let ok = caller.expect(200);
    caller.acknowledge("");
    let lost = line.talk(audio(&ok));
    caller.ask("BYE", "");
    caller.expect(200);

    let calls = gateway.closed_calls(1);
    let [bad, good] = legs(&calls[0]).map(|leg| move |name| number(leg, name));
    let shown = format!("{:#}", calls[0]);
    assert!(
        (bad("packets_lost") - f64::from(lost)).abs() < 0.5,
        "{lost} {shown}"
    );
    assert!(
        bad("jitter_ms") > 10.0 && bad("jitter_ms") < JITTER_MS_MAX,
        "{shown}"
    );
    assert!(bad("mos") > 1.5 && bad("mos") < 4.0, "{shown}");
    assert!(
        (bad("peer_packets_lost") - f64::from(SAID_LOST)).abs() < 0.5,
        "{shown}"
    );
    assert!((bad("peer_jitter_ms") - 10.0).abs() < 0.2, "{shown}");
    let round_trip = bad("round_trip_ms");
    assert!((AWAY_MS..5.0 * AWAY_MS).contains(&round_trip), "{shown}");

    assert!(good("packets_lost") < 0.5, "{shown}");
    assert!(good("jitter_ms") < bad("jitter_ms"), "{shown}");
    assert!(good("mos") > 4.0, "{shown}");
    let round_trip = good("round_trip_ms");
    assert!((0.0..AWAY_MS).contains(&round_trip), "{shown}");
    // The phone's report is of the first five seconds; its own delays are whole milliseconds.
    let heard = good("peer_packets_lost");
    assert!(heard > 10.0 && heard <= f64::from(lost), "{shown}");
    assert!(good("peer_jitter_ms") > 10.0, "{shown}");
    assert!(good("peer_mos") > 1.5 && good("peer_mos") < 4.0, "{shown}");

    until("both legs", PATIENCE, || {
        legs_with("received", "loss_percent", "0") == 1
            && legs_with("received", "loss_percent", "10") == 1
    });
    assert_eq!(legs_with("sent", "loss_percent", "0"), 0);
}

/// The caller's line: PCMA, 20 ms a packet.
struct Line {
    rtp: UdpSocket,
    rtcp: UdpSocket,
    sequence: u16,
    lost: u32,
}

impl Line {
    fn new() -> Self {
        let bind = |port| UdpSocket::bind(("127.0.0.1", port)).expect("a port");
        let (rtp, rtcp) = (bind(PORT), bind(PORT + 1));
        rtcp.set_read_timeout(Some(Duration::from_millis(2)))
            .expect("a timeout");
        Self {
            rtp,
            rtcp,
            sequence: 0,
            lost: 0,
        }
    }

    fn session(&self) -> String {
        format!(
            "v=0\r\no=line 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio {PORT} RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"
        )
    }

    /// Talks until the phone has reported, and its report was answered; gives how many packets were lost.
    fn talk(&mut self, to: SocketAddr) -> u32 {
        let rtcp = SocketAddr::new(to.ip(), to.port() + 1);
        let (began, mut pairs, mut answer) = (Instant::now(), 0, None);
        let is_heard = || {
            metric("sluice_media_rtcp_total{worker=\"0\",kind=\"receiver_reports_received\"}")
                >= Some(1)
        };
        loop {
            assert!(began.elapsed() < PATIENCE, "the phone has not reported");
            if began.elapsed() >= 2 * FRAME * pairs {
                self.send(to);
                self.send(to);
                pairs += 1;
                if pairs == 10 {
                    self.rtcp.send_to(&sender_report(), rtcp).expect("sent");
                }
            }
            if let Some(report) = self.report() {
                answer = Some((Instant::now(), report));
            }
            match answer {
                Some((at, report)) if at.elapsed() >= HELD => {
                    let answer = receiver_report(report);
                    self.rtcp.send_to(&answer, rtcp).expect("sent");
                    until("our report", PATIENCE, is_heard);
                    return self.lost;
                }
                Some(_) | None => {}
            }
        }
    }

    fn send(&mut self, to: SocketAddr) {
        let number = self.sequence;
        self.sequence += 1;
        if number % 10 == 9 {
            self.lost += 1;
            return;
        }
        let mut packet = vec![0x80, 8];
        packet.extend(number.to_be_bytes());
        packet.extend((u32::from(number) * 160).to_be_bytes());
        packet.extend(SOURCE);
        packet.extend([0xd5; 160]);
        self.rtp.send_to(&packet, to).expect("sent");
    }

    /// Source and middle of the time stamp of the next sender report that is the phone's.
    fn report(&self) -> Option<[[u8; 4]; 2]> {
        let mut octets = [0; 1500];
        let length = self.rtcp.recv(&mut octets).ok()?;
        let report = octets[..length]
            .get(..28)
            .filter(|report| report[1] == 200)?;
        Some([
            report[4..8].try_into().ok()?,
            report[10..14].try_into().ok()?,
        ])
    }
}

/// RFC 3550 §6.4.1, without a block: what the phone's report answers.
fn sender_report() -> Vec<u8> {
    let mut report = vec![0x80, 200, 0, 6];
    report.extend(SOURCE);
    report.extend((7_u64 << 32).to_be_bytes());
    report.extend([0; 12]);
    report
}

/// RFC 3550 §6.4.2: of this source and its report, with less time between than there was.
fn receiver_report([source, stamp]: [[u8; 4]; 2]) -> Vec<u8> {
    let mut report = vec![0x81, 201, 0, 7];
    report.extend(SOURCE);
    report.extend(source);
    report.extend([2, 0, 0, u8::try_from(SAID_LOST).expect("few")]);
    report.extend([0; 4]);
    report.extend(SAID_JITTER_TICKS.to_be_bytes());
    report.extend(stamp);
    // 100 ms in 65536ths of a second.
    report.extend(6_554_u32.to_be_bytes());
    report
}

const DIAL: &str = "sip:support@127.0.0.1:5060";
const PORT: u16 = 45_000;
const SOURCE: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
const FRAME: Duration = Duration::from_millis(20);
const SAID_LOST: u32 = 3;
/// 10 ms.
const SAID_JITTER_TICKS: u32 = 80;
/// How long a report is kept; its answer admits to 100 ms of them.
const HELD: Duration = Duration::from_millis(300);
const AWAY_MS: f64 = 195.0;
/// Above what a busy machine adds to 20 ms, and below 20 ms in ticks.
const JITTER_MS_MAX: f64 = 130.0;
