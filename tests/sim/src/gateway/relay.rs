//! The media worker over the twin of a kernel, and the turns a thread would give it.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use media::command::{Command, MediaKind, PairKey, Report};
use media::engine::{BrowserConfig, Worker, WorkerConfig};
use packet_io::{
    Faults as KernelFaultPoints, OpenRefused, PacketIo as _, SendFault, Simulated, SimulatedConfig,
};

use super::GATEWAY;
use crate::guest::handshake::{GATEWAYS, Model};
use crate::network::{Kind, Packet};
use crate::random::Generator;

/// Pairs of the worker: two for each call of the largest world, as many again at rest.
const PAIRS_MAX: u32 = 128;
/// Where all browsers are heard.
pub(crate) const BROWSERS: SocketAddr =
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 9_000);
/// Legs of browsers: two for each guest of the largest world.
const BROWSER_LEGS: u32 = 32;
/// Pairs it keeps in stock.
const STOCK: u32 = 48;
/// Packet buffers.
const BUFFERS: u16 = 256;
/// Turns in a row for packets that found no buffer.
const TURNS_AT_ONCE_MAX: u32 = 64;

/// How often the kernel, or the worker's queue, refuses: events in a thousand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct HostFaults {
    /// A port cannot be opened.
    pub(crate) open: u32,
    /// The pool is empty.
    pub(crate) allocate: u32,
    /// No buffer for what arrives.
    pub(crate) starve: u32,
    /// A datagram does not leave.
    pub(crate) send: u32,
    /// The worker's queue takes no `Connect`.
    pub(crate) connect: u32,
}

impl HostFaults {
    /// True where a packet can die inside the gateway.
    pub(crate) const fn loses(&self) -> bool {
        self.send > 0 || self.connect > 0
    }
}

#[derive(Debug)]
struct Kernel {
    faults: HostFaults,
    random: Generator,
}

impl KernelFaultPoints for Kernel {
    fn refuse_open(&mut self, _local: SocketAddr) -> Option<OpenRefused> {
        self.random
            .chance(self.faults.open)
            .then_some(OpenRefused::AddressInUse)
    }

    fn refuse_allocation(&mut self) -> bool {
        self.random.chance(self.faults.allocate)
    }

    fn starve_reception(&mut self) -> bool {
        self.random.chance(self.faults.starve)
    }

    fn fail_send(&mut self, _from: SocketAddr, _to: SocketAddr) -> Option<SendFault> {
        self.random
            .chance(self.faults.send)
            .then_some(SendFault::WouldBlock)
    }
}

/// A worker and its twin.
#[derive(Debug)]
pub(super) struct RelaySide {
    worker: Worker<Simulated<Kernel>>,
    faults: HostFaults,
    random: Generator,
    /// Slots of browsers' legs that are in stock.
    browsers: BTreeSet<u32>,
    /// Something was delivered or commanded since the last turn.
    stirred: bool,
}

impl RelaySide {
    pub(super) fn new(random: &Generator, faults: HostFaults) -> Self {
        let sizes = SimulatedConfig {
            buffers: BUFFERS,
            sockets_max: 2 * PAIRS_MAX + 1,
            socket_queue_max: 256,
        };
        let io = Simulated::with_faults(
            sizes,
            Kernel {
                faults,
                random: random.split("kernel"),
            },
        );
        let seed = random.split("worker").seed_bytes();
        let mut config = WorkerConfig::new(0, GATEWAY.ip(), 10_000..=12_000, seed);
        config.pairs_max = PAIRS_MAX;
        config.stock = STOCK;
        config.browsers = Some(BrowserConfig {
            address: BROWSERS,
            legs_max: BROWSER_LEGS,
            receive_buffer_bytes: 0,
            endpoint: Arc::new(Model::new(GATEWAYS)),
        });
        let worker = Worker::new(io, config);
        Self {
            worker,
            faults,
            random: random.split("queue"),
            browsers: BTreeSet::new(),
            stirred: true,
        }
    }

    /// A datagram reaches one of its sockets, or none.
    pub(super) fn deliver(&mut self, packet: &Packet) {
        let _ = self
            .worker
            .io_mut()
            .deliver(packet.target, packet.source, &packet.bytes);
        self.stirred = true;
    }

    /// A command; the pair where the queue did not take it.
    pub(super) fn command(&mut self, now: Instant, command: Command) -> Option<PairKey> {
        // As the shell does it: video waits for room.
        if let Command::Connect { pair, plan, .. } = &command
            && plan.kind == MediaKind::Audio
            && self.random.chance(self.faults.connect)
        {
            return Some(*pair);
        }
        if let Command::Connect { pair, .. } = &command {
            let _ = self.browsers.remove(&pair.slot);
        }
        self.worker.handle_command(now, command);
        self.stirred = true;
        None
    }

    /// Turns, where there is a reason for one; what left goes to `sent`.
    pub(super) fn turn(&mut self, now: Instant, sent: &mut Vec<Packet>) {
        let due = self.worker.poll_deadline().is_some_and(|at| at <= now);
        if !self.stirred && !due {
            return;
        }
        self.stirred = false;
        for _ in 0..TURNS_AT_ONCE_MAX {
            let wait = self.worker.turn(now);
            self.worker.wait(now, wait);
            if self.worker.io().arrived_count() == 0 {
                break;
            }
        }
        self.worker.io_mut().take_sent(|source, target, bytes| {
            let (kind, bytes) = (Kind::Media, bytes.to_vec());
            sent.push(Packet {
                kind,
                source,
                target,
                bytes,
                damaged: false,
            });
        });
    }

    pub(super) fn report(&mut self) -> Option<Report> {
        let report = self.worker.poll_report();
        if let Some(Report::BrowserStocked { pair, .. }) = &report {
            let _ = self.browsers.insert(pair.slot);
        }
        report
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.worker.poll_deadline()
    }

    /// No buffer is lost, between any two turns.
    pub(super) fn check(&self) -> Result<(), String> {
        let counts = self.worker.io().pool_counts();
        if counts.free == u32::from(BUFFERS) {
            return Ok(());
        }
        Err(format!(
            "buffers are missing from the pool between turns: {counts:?}"
        ))
    }

    /// Every pair is in stock again.
    pub(super) fn at_rest(&self) -> Result<(), String> {
        let stale = self.worker.counters().commands_stale;
        // A call that ends because its `Connect` was refused still disconnects the pair.
        if stale > 0 && self.faults.connect == 0 {
            return Err(format!("{stale} commands for pairs that were not there"));
        }
        // What no peer sent to came back open.
        let stocked = self.worker.stocked();
        let kept = STOCK..=STOCK * media::limits::STOCK_KEPT_FACTOR;
        if !kept.contains(&stocked) {
            return Err(format!("{stocked} pairs in stock, not {kept:?}"));
        }
        let open = self.worker.io().sockets().count();
        // And the one of all browsers.
        if open != 2 * stocked as usize + 1 {
            return Err(format!("{open} sockets are open for {stocked} pairs"));
        }
        if self.browsers.len() != BROWSER_LEGS as usize {
            let count = self.browsers.len();
            return Err(format!(
                "{count} legs of browsers in stock, not {BROWSER_LEGS}"
            ));
        }
        Ok(())
    }
}
