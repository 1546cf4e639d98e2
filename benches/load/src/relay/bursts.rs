//! Rows `relay.bursts` and `relay.bursts_epoll`: what it saves that packets which follow each other to one
//! peer leave by one request (`UDP_SEGMENT`).
//!
//! Cameras of 2 Mbit/s send 30 frames a second in packets of 1,200 octets, each frame at once and every
//! 60th a keyframe. In every other round each packet of a frame is one octet longer than the one before:
//! no two of them may leave together then, and all else is the same node, the same calls, the same packets a second.
//!
//! What comes back is dropped by a filter and counted by the kernel, as in a blast.

use std::collections::HashSet;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use socket2::{SockFilter, SockRef};

use super::{Row, Stage, row};
use crate::carrier::{Ends, Target as _};
use crate::machine::{Cores, Pinned, monotonic_ns, sleep_until_ns, thread_cpu_ns};
use crate::paced::{Effort, OWN_LOAD_MAX};
use crate::proc_stat::CoreTicks;
use crate::report::{self, Progress};
use crate::subject::Subject;
use crate::udp_table;
use crate::verdict::{lowest_third, per};

/// CPU of a packet among others to its peer, over that of the same packet by itself.
const RING: Row = ("relay.bursts", 0.85);
const EPOLL: Row = ("relay.bursts_epoll", 0.85);
/// Both, where none can be measured.
pub(super) const ROWS: [Row; 2] = [RING, EPOLL];

/// Measures, and prints the rows.
pub(super) fn measure(stage: &mut Stage<'_>) -> Result<()> {
    let mut backends = [
        Backend::start(stage, "bursts", 0, "auto")?,
        Backend::start(stage, "bursts-epoll", 1, "epoll")?,
    ];
    let Effort { rounds, keeps_void } = stage.effort(ROUNDS);
    let mut progress = Progress::new("bursts", 2 * backends.len() * rounds);
    // One after the other: a leg that is silent for a second is no longer connected.
    for backend in &mut backends {
        backend.cameras.film(Lengths::Alike, WARM_UP)?;
        for _ in 0..rounds {
            for lengths in [Lengths::Alike, Lengths::Growing] {
                let told = backend.round(lengths, stage.cores, keeps_void)?;
                progress.step(&told);
            }
        }
    }
    for (name, backend) in ROWS.into_iter().zip(&backends) {
        row(name, backend.gain(name.0));
    }
    Ok(())
}

/// How long the packets of a frame are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lengths {
    /// One length: they leave together.
    Alike,
    /// Each longer than the one before: they leave one by one.
    Growing,
}

/// A node with cameras at both ends of its calls, and its rounds.
struct Backend {
    name: String,
    subject: Subject,
    cameras: Cameras,
    together_ns: Vec<f64>,
    apart_ns: Vec<f64>,
    void: Option<String>,
}

impl Backend {
    fn start(stage: &mut Stage<'_>, name: &str, offset: u8, backend: &str) -> Result<Self> {
        let mut node = stage.node(name, offset, |plan| {
            plan.media_settings = format!("backend = \"{backend}\"");
        })?;
        node.send_pictures();
        let mut pairs = Vec::with_capacity(SESSIONS);
        let mut ends = Vec::with_capacity(SESSIONS);
        for _ in 0..SESSIONS {
            let (caller, callee) = (sink()?, sink()?);
            ends.push(Ends {
                caller: caller.local_addr()?,
                callee: callee.local_addr()?,
            });
            pairs.push([caller, callee]);
        }
        let ways = node
            .carry(&ends)
            .with_context(|| format!("set up {SESSIONS} calls with video through {name}"))?;
        let mut cameras = Cameras::default();
        for (pair, ways) in pairs.into_iter().zip(ways) {
            for (socket, way) in pair.into_iter().zip([ways.caller, ways.callee]) {
                socket.connect(way.to)?;
                cameras.add(socket)?;
            }
        }
        let subject = node.subject()?;
        subject.spread(stage.cores)?;
        Ok(Self {
            name: name.to_owned(),
            subject,
            cameras,
            together_ns: Vec::new(),
            apart_ns: Vec::new(),
            void: None,
        })
    }

    /// One round, which counts unless it is void. Gives what a progress line says.
    fn round(&mut self, lengths: Lengths, cores: Cores, keeps_void: bool) -> Result<String> {
        let round = self.cameras.round(lengths, &self.subject, cores)?;
        let void = round.void();
        let told = format!(
            "{}, {lengths:?}: {:.0} ns a packet, {} of {} forwarded, generator {:.0} %, foreign {:.0} %{}",
            self.name,
            round.cpu_ns,
            round.forwarded,
            round.sent,
            100.0 * round.own_load,
            100.0 * round.foreign,
            void.as_ref()
                .map_or_else(String::new, |why| format!("; void: {why}")),
        );
        if void.is_none() || keeps_void {
            let rounds = match lengths {
                Lengths::Alike => &mut self.together_ns,
                Lengths::Growing => &mut self.apart_ns,
            };
            rounds.push(round.cpu_ns);
        }
        self.void = void.or_else(|| self.void.take());
        Ok(told)
    }

    /// The ratio of the row, with the figures it is made of.
    fn gain(&self, name: &str) -> Result<f64> {
        let lowest = |rounds: &[f64]| {
            let reason = || format!("no round counts: {}", self.void.as_deref().unwrap_or("?"));
            lowest_third(rounds).with_context(reason)
        };
        let (together_ns, apart_ns) = (lowest(&self.together_ns)?, lowest(&self.apart_ns)?);
        report::figure(&format!("{name}_cpu_ns"), together_ns);
        report::figure(&format!("{name}_apart_cpu_ns"), apart_ns);
        Ok(together_ns / apart_ns)
    }
}

/// A socket that sends, and drops what comes: classic BPF `ret 0`.
fn sink() -> Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("a socket of a camera")?;
    SockRef::from(&socket).attach_filter(&[SockFilter::new(0x06, 0, 0, 0)])?;
    Ok(socket)
}

/// One end of a call and what it sends.
#[derive(Debug)]
struct Camera {
    socket: UdpSocket,
    source: u32,
    /// Frames and packets that have left.
    frames: u32,
    packets: u16,
}

impl Camera {
    /// Sends a frame at once; how many packets it has.
    fn send_frame(&mut self, lengths: Lengths) -> u64 {
        // Keyframes of all cameras fall apart as they do in life.
        let is_key =
            (self.frames + self.source * KEYFRAME_STRIDE).is_multiple_of(KEYFRAME_INTERVAL);
        let count = if is_key {
            KEYFRAME_PACKETS
        } else {
            FRAME_PACKETS
        };
        let timestamp = self.frames.wrapping_mul(90_000 / FRAMES_A_SECOND);
        let mut packet = [0x5a; PACKET_BYTES];
        for number in 1..=count {
            let header = header(number == count, self.packets, timestamp, self.source);
            if let Some(place) = packet.first_chunk_mut() {
                *place = header;
            }
            self.packets = self.packets.wrapping_add(1);
            let shorter = match lengths {
                Lengths::Alike => 0,
                Lengths::Growing => count - number,
            };
            // An ICMP error of an earlier packet is reported once, by a call that sends nothing.
            let bytes = packet.get(..PACKET_BYTES - shorter).unwrap_or_default();
            if self.socket.send(bytes).is_err() {
                drop(self.socket.send(bytes));
            }
        }
        self.frames = self.frames.wrapping_add(1);
        u64::try_from(count).unwrap_or_default()
    }
}

fn header(ends_frame: bool, sequence: u16, timestamp: u32, source: u32) -> [u8; HEADER_BYTES] {
    let [s0, s1] = sequence.to_be_bytes();
    let [t0, t1, t2, t3] = timestamp.to_be_bytes();
    let [a, b, c, d] = source.to_be_bytes();
    let kind = NUMBER | u8::from(ends_frame) << 7;
    [0x80, kind, s0, s1, t0, t1, t2, t3, a, b, c, d]
}

/// The cameras of one node.
#[derive(Debug, Default)]
struct Cameras {
    cameras: Vec<Camera>,
    /// Ports whose drops are what was forwarded.
    sinks: HashSet<u16>,
    sent: u64,
}

/// What is read at both ends of the counted time.
#[derive(Debug, Clone, Copy)]
struct Marks {
    clock: u64,
    own: u64,
    run: u64,
    ticks: CoreTicks,
}

/// What a round showed.
#[derive(Debug, Clone, Copy)]
struct Round {
    sent: u64,
    forwarded: u64,
    cpu_ns: f64,
    own_load: f64,
    foreign: f64,
}

impl Round {
    /// Why it does not count.
    fn void(&self) -> Option<String> {
        if self.own_load > OWN_LOAD_MAX {
            return Some("the generator's core was busy".to_owned());
        }
        (self.foreign > FOREIGN_MAX).then(|| {
            let percent = 100.0 * self.foreign;
            format!("others used {percent:.0} % of the measured core")
        })
    }
}

impl Cameras {
    fn add(&mut self, socket: UdpSocket) -> Result<()> {
        self.sinks.insert(socket.local_addr()?.port());
        let source = u32::try_from(self.cameras.len())?;
        self.cameras.push(Camera {
            socket,
            source,
            frames: 0,
            packets: 0,
        });
        Ok(())
    }

    fn round(&mut self, lengths: Lengths, subject: &Subject, cores: Cores) -> Result<Round> {
        // Realtime for the round alone: who starts and ends nodes on this core must let them run.
        let _pinned = Pinned::here(cores.generator)?;
        self.film(lengths, BETWEEN)?;
        let sent = self.sent;
        let [dropped] = udp_table::drops([&self.sinks])?;
        let first = Marks::read(subject, cores);
        self.film(lengths, ROUND)?;
        let last = Marks::read(subject, cores);
        let sent = self.sent - sent;
        let forwarded = udp_table::drops([&self.sinks])?[0] - dropped;
        if forwarded < sent - sent / LOST_SHARE_MAX {
            bail!("{forwarded} of {sent} packets were forwarded");
        }
        let passed = last.clock - first.clock;
        let spent = last.run - first.run;
        Ok(Round {
            sent,
            forwarded,
            cpu_ns: per(spent, forwarded),
            own_load: per(last.own - first.own, passed),
            foreign: last.ticks.busy_since(first.ticks) - per(spent, passed),
        })
    }

    /// Frames of all cameras for so long, each camera's at its own place in the time of a frame; then
    /// what is on its way arrives.
    fn film(&mut self, lengths: Lengths, duration: Duration) -> Result<()> {
        let cameras = u64::try_from(self.cameras.len())?.max(1);
        let frames = u64::try_from(duration.as_nanos())? / FRAME_NS;
        let start = monotonic_ns();
        for slot in 0..frames * cameras {
            let due = start + slot * FRAME_NS / cameras;
            if due > monotonic_ns() {
                sleep_until_ns(due);
            }
            let camera = usize::try_from(slot % cameras)?;
            if let Some(camera) = self.cameras.get_mut(camera) {
                self.sent += camera.send_frame(lengths);
            }
        }
        sleep_until_ns(monotonic_ns() + SETTLE_NS);
        Ok(())
    }
}

impl Marks {
    fn read(subject: &Subject, cores: Cores) -> Self {
        Self {
            clock: monotonic_ns(),
            own: thread_cpu_ns(),
            run: subject.run_ns(),
            ticks: CoreTicks::read(cores.measured),
        }
    }
}

const SESSIONS: usize = 100;
const ROUNDS: usize = 3;
/// A node looks for a second whether a leg stays where it is, and then connects it.
const WARM_UP: Duration = Duration::from_millis(1300);
const BETWEEN: Duration = Duration::from_millis(70);
const ROUND: Duration = Duration::from_millis(700);
const SETTLE_NS: u64 = 5_000_000;
const FRAMES_A_SECOND: u32 = 30;
const FRAME_NS: u64 = 1_000_000_000 / FRAMES_A_SECOND as u64;
const PACKET_BYTES: usize = 1_200;
const HEADER_BYTES: usize = 12;
/// With a keyframe of 60 packets every two seconds 1.99 Mbit/s.
const FRAME_PACKETS: usize = 6;
const KEYFRAME_PACKETS: usize = 60;
const KEYFRAME_INTERVAL: u32 = 60;
/// Of cameras that follow each other; it has no divisor with the interval.
const KEYFRAME_STRIDE: u32 = 7;
/// The payload type that the description names.
const NUMBER: u8 = 97;
/// One packet of so many.
const LOST_SHARE_MAX: u64 = 1_000;
const FOREIGN_MAX: f64 = 0.1;

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(lengths: Lengths, frames: u32) -> Vec<usize> {
        let screen = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        screen.set_nonblocking(true).expect("a socket");
        let socket = sink().expect("a port");
        socket
            .connect(screen.local_addr().expect("bound"))
            .expect("loopback");
        let mut camera = Camera {
            socket,
            source: 0,
            frames: 0,
            packets: 0,
        };
        let mut sizes = Vec::new();
        for _ in 0..frames {
            let count = camera.send_frame(lengths);
            let mut buffer = [0; 2_000];
            for number in 1..=count {
                let size = screen.recv(&mut buffer).expect("a packet");
                assert_eq!(buffer[1] >> 7 == 1, number == count, "the end of the frame");
                sizes.push(size);
            }
        }
        sizes
    }

    #[test]
    fn a_camera_makes_two_megabits_a_second() {
        let bits = 8 * heard(Lengths::Alike, 2 * FRAMES_A_SECOND)
            .iter()
            .sum::<usize>()
            / 2;
        assert!((1_950_000..2_050_000).contains(&bits), "{bits}");
    }

    #[test]
    fn packets_that_shall_leave_one_by_one_grow_within_a_frame_and_are_hardly_shorter() {
        let (alike, growing) = (heard(Lengths::Alike, 60), heard(Lengths::Growing, 60));
        assert_eq!(alike.len(), growing.len());
        let key = &growing[..KEYFRAME_PACKETS];
        assert!(key.windows(2).all(|pair| pair[0] < pair[1]));
        let octets = |sizes: &[usize]| sizes.iter().sum::<usize>() as f64;
        assert!(octets(&growing) > 0.99 * octets(&alike));
    }
}
