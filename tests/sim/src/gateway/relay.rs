//! The media worker over the twin of a kernel, and the turns a thread would give it.

use std::net::SocketAddr;
use std::time::Instant;

use media::command::{Command, Report};
use media::engine::{Worker, WorkerConfig};
use packet_io::PacketIo as _;
use packet_io::{Simulated, SimulatedConfig};

use super::GATEWAY;
use crate::network::{Kind, Packet};

/// Pairs of the worker: two for each call of the largest world, as many again at rest.
const PAIRS_MAX: u32 = 128;
/// Pairs it keeps in stock.
const STOCK: u32 = 48;
/// Packet buffers.
const BUFFERS: u16 = 256;

/// A worker and its twin.
#[derive(Debug)]
pub(super) struct RelaySide {
    worker: Worker<Simulated>,
    /// Something was delivered or commanded since the last turn.
    stirred: bool,
}

impl RelaySide {
    pub(super) fn new(seed: [u8; 32]) -> Self {
        let io = Simulated::new(SimulatedConfig {
            buffers: BUFFERS,
            sockets_max: 2 * PAIRS_MAX,
            socket_queue_max: 256,
        });
        let mut config = WorkerConfig::new(0, GATEWAY.ip(), 10_000..=12_000, seed);
        config.pairs_max = PAIRS_MAX;
        config.stock = STOCK;
        Self {
            worker: Worker::new(io, config),
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

    pub(super) fn command(&mut self, now: Instant, command: Command) {
        self.worker.handle_command(now, command);
        self.stirred = true;
    }

    /// A turn, where there is a reason for one; what left goes to `sent`.
    pub(super) fn turn(&mut self, now: Instant, sent: &mut Vec<Packet>) {
        let due = self.worker.poll_deadline().is_some_and(|at| at <= now);
        if !self.stirred && !due {
            return;
        }
        self.stirred = false;
        let wait = self.worker.turn(now);
        self.worker.wait(now, wait);
        self.worker
            .io_mut()
            .take_sent(|source: SocketAddr, target: SocketAddr, bytes: &[u8]| {
                sent.push(Packet {
                    kind: Kind::Media,
                    source,
                    target,
                    bytes: bytes.to_vec(),
                    damaged: false,
                });
            });
    }

    pub(super) fn report(&mut self) -> Option<Report> {
        self.worker.poll_report()
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
        let counters = self.worker.counters();
        if counters.commands_stale > 0 {
            return Err(format!(
                "{} commands for pairs that were not there",
                counters.commands_stale
            ));
        }
        if self.worker.stocked() != STOCK {
            return Err(format!(
                "{} pairs in stock, not {STOCK}",
                self.worker.stocked()
            ));
        }
        let open = self.worker.io().sockets().count();
        if open != 2 * STOCK as usize {
            return Err(format!("{open} sockets are open"));
        }
        Ok(())
    }
}
