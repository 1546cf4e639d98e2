//! Nothing is allocated for a relayed packet. Its own binary: the allocator is replaced in it.

#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use media::command::{
    Command, LatchPolicy, LegPlan, MediaKind, PairKey, PayloadMapping, Report, Target,
};
use media::{Worker, WorkerConfig};
use packet_io::{Simulated, SimulatedConfig};

const PACKETS: u16 = 10_000;

#[test]
fn ten_thousand_relayed_packets_allocate_nothing() {
    let mut relay = Relay::new();
    // The first packets lock sources and fill the vectors that grow once; three seconds connect
    // the sockets, so that both ways of sending are measured.
    for sequence in 0..500 {
        relay.forward(sequence);
    }
    let mut sent = 0;
    let counted = allocation_counter::measure(|| {
        for sequence in 500..500 + PACKETS {
            sent += relay.forward(sequence);
        }
    });
    assert!(sent >= u64::from(PACKETS), "{sent} of {PACKETS} were sent");
    assert!(relay.worker.counters().sockets_connected > 0);
    assert_eq!(counted.count_total, 0, "allocations over {PACKETS} packets");
}

struct Relay {
    worker: Worker<Simulated>,
    now: Instant,
    ours: SocketAddr,
    peer: SocketAddr,
    packet: [u8; 172],
}

impl Relay {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one moment the test counts from"
    )]
    fn new() -> Self {
        let config = WorkerConfig::new(0, [192, 0, 2, 1].into(), 10_000..=10_063, [1; 32]);
        let worker = Worker::new(Simulated::new(SimulatedConfig::default()), config);
        let (ours, peer) = (
            ([192, 0, 2, 1], 0).into(),
            ([198, 51, 100, 1], 4_000).into(),
        );
        let mut relay = Self {
            worker,
            now: Instant::now(),
            ours,
            peer,
            packet: [0; 172],
        };
        let mut stock = Vec::new();
        relay.worker.turn(relay.now);
        while let Some(report) = relay.worker.poll_report() {
            if let Report::Stocked { pair, rtp } = report {
                stock.push((pair, rtp));
            }
        }
        let [a, b, ..] = stock[..] else {
            panic!("two pairs are in stock");
        };
        relay.ours = a.1;
        relay.connect(a.0, relay.peer, Target::Leg(b.0));
        relay.connect(b.0, ([203, 0, 113, 2], 6_000).into(), Target::Leg(a.0));
        relay
    }

    fn connect(&mut self, pair: PairKey, remote: SocketAddr, target: Target) {
        let pcmu = PayloadMapping {
            received: 0,
            sent: 0,
            clock_rate_hz: 8_000,
            is_telephone_event: false,
        };
        let plan = LegPlan {
            kind: MediaKind::Audio,
            remote_rtp: Some(remote),
            remote_rtcp: None,
            sends: true,
            receives: true,
            payloads: ArrayVec::from_iter([pcmu]),
            latch: LatchPolicy::Sdp,
            media_timeout: Some(Duration::from_secs(60)),
            version: 1,
            srtp: None,
        };
        self.worker
            .handle_command(self.now, Command::Connect { pair, plan, target });
    }

    /// One packet through the worker, 20 ms after the last. Gives how many left.
    fn forward(&mut self, sequence: u16) -> u64 {
        self.now += Duration::from_millis(20);
        self.packet[0] = 0x80;
        self.packet[2..4].copy_from_slice(&sequence.to_be_bytes());
        self.packet[4..8].copy_from_slice(&(u32::from(sequence) * 160).to_be_bytes());
        self.packet[11] = 9;
        self.worker
            .io_mut()
            .deliver(self.ours, self.peer, &self.packet);
        let wait = self.worker.turn(self.now);
        self.worker.wait(self.now, wait);
        while self.worker.poll_report().is_some() {}
        let mut sent = 0;
        self.worker.io_mut().take_sent(|_, _, _| sent += 1);
        sent
    }
}
