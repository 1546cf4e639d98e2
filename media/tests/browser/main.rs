//! A browser over real sockets, on the ring and on epoll: it is nominated, comes to keys and hears the
//! echo of its sound and of its pictures; who is nobody hears nothing.

#![forbid(unsafe_code)]
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]
#![expect(
    clippy::disallowed_types,
    reason = "the worker is on real sockets, so its peers are"
)]

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use guest::Guest;
use media::command::{Command, MediaKind, PairKey, Report, Target};
use media::ingress::{Protocol, classify};
use media::{BrowserConfig, Worker, WorkerConfig};
use packet_io::{AnyPacketIo, KernelStep, PacketIoConfig, Wait};

mod guest;

#[test]
fn a_browser_over_the_ring_hears_its_echo_and_strangers_hear_nothing() {
    echo(KernelStep::Full, 27_610..=27_613);
}

#[test]
fn a_browser_over_epoll_hears_its_echo_and_strangers_hear_nothing() {
    echo(KernelStep::Epoll, 27_620..=27_623);
}

struct Scene {
    worker: Worker<AnyPacketIo>,
    stock: Vec<(PairKey, SocketAddr)>,
    is_up: bool,
}

#[expect(clippy::disallowed_methods, reason = "real sockets, real time")]
fn now() -> Instant {
    Instant::now()
}

impl Scene {
    fn new(ladder_limit: KernelStep, ports: std::ops::RangeInclusive<u16>) -> Self {
        let config = PacketIoConfig {
            buffers: 512,
            sockets_max: 32,
            ladder_limit,
        };
        let ours = Ipv4Addr::LOCALHOST;
        let worker_config = WorkerConfig {
            pairs_max: 2,
            stock: 1,
            browsers: Some(BrowserConfig {
                address: (ours, 0).into(),
                legs_max: 4,
                receive_buffer_bytes: 0,
                endpoint: guest::endpoint(),
            }),
            ..WorkerConfig::new(0, ours.into(), ports, [3; 32])
        };
        let mut scene = Self {
            worker: Worker::new(AnyPacketIo::choose(config).unwrap(), worker_config),
            stock: Vec::new(),
            is_up: false,
        };
        scene.settle();
        scene
    }

    /// Turns until nothing more comes: loopback has delivered when a send returns.
    fn settle(&mut self) {
        let mut quiet = 0;
        while quiet < 3 {
            let before = self.worker.counters().packets_received;
            let now = now();
            let asked = self.worker.turn(now);
            while let Some(report) = self.worker.poll_report() {
                if let Report::BrowserStocked { pair, at } = report {
                    self.stock.push((pair, at));
                }
                self.is_up |= matches!(report, Report::TransportUp { .. });
            }
            let is_busy = asked.until == Some(now);
            let wait = Wait {
                until: Some(now + Duration::from_micros(200)),
                ..Wait::none(now)
            };
            self.worker.wait(now, wait);
            let is_quiet = !is_busy && self.worker.counters().packets_received == before;
            quiet = if is_quiet { quiet + 1 } else { 0 };
        }
    }

    fn send(&mut self, socket: &UdpSocket, datagram: &[u8]) -> Vec<Vec<u8>> {
        let (_, to) = self.stock[0];
        socket.send_to(datagram, to).unwrap();
        self.settle();
        let mut octets = [0; 2_048];
        std::iter::from_fn(|| {
            socket
                .recv(&mut octets)
                .ok()
                .map(|size| octets[..size].to_vec())
        })
        .collect()
    }
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

fn echo(step: KernelStep, ports: std::ops::RangeInclusive<u16>) {
    let mut scene = Scene::new(step, ports);
    assert_eq!(scene.stock.len(), 4);
    let [audio, video] = [scene.stock[0].0, scene.stock[1].0];
    let (at, stranger) = (socket(), socket());
    let mut guest = Guest::new(now());
    for (pair, kind, payload_type) in [
        (audio, MediaKind::Audio, 111),
        (video, MediaKind::Video, 96),
    ] {
        let plan = guest::leg(kind, payload_type);
        let target = Target::Echo;
        let connect = Command::Connect { pair, plan, target };
        scene.worker.handle_command(now(), connect);
    }
    let plan = Box::new(guest.plan());
    let (pair, video) = (audio, Some(video));
    let begin = Command::Transport { pair, video, plan };
    scene.worker.handle_command(now(), begin);

    let check = Guest::check(1);
    let answers = scene.send(&at, &check);
    // The answer, and a request of its own.
    assert_eq!(answers.len(), 2);
    assert!(answers.iter().all(|it| classify(it) == Protocol::Stun));
    let mut wanted = guest.shake(now(), None);
    while !wanted.is_empty() {
        assert!(scene.send(&stranger, &wanted[0]).is_empty());
        let mut heard = Vec::new();
        for datagram in &wanted {
            heard.extend(scene.send(&at, datagram));
        }
        wanted.clear();
        for datagram in heard {
            wanted.extend(guest.shake(now(), Some(&datagram)));
        }
    }
    assert!(scene.is_up && guest.contexts.is_some());
    let mut octets = [0; 220];
    let mut echoed = 0;
    for sequence in 0..100 {
        for (source, payload_type) in [(9, 111), (10, 96)] {
            let size = guest.packet((source, payload_type), sequence, &mut octets);
            let packet = &octets[..size];
            assert!(scene.send(&stranger, packet).is_empty());
            for mut heard in scene.send(&at, packet) {
                let (_, receive) = guest.contexts.as_mut().unwrap();
                if classify(&heard) == Protocol::Rtp {
                    let unprotected = receive.unprotect_rtp(&mut heard).unwrap();
                    receive.accept(unprotected);
                    assert_eq!(heard[1] & 0x7f, payload_type);
                    echoed += 1;
                }
            }
        }
    }
    assert_eq!(echoed, 200);
    scene.worker.check_invariants();
}
