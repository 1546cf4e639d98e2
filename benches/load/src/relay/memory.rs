//! Row `relay.memory`: what the media core takes for a session, beside signalling.
//!
//! A media worker of ours runs in a process of its own with the sessions that it is told, each latched
//! by packets that it forwarded both ways; that process says how much memory it has. The row is the
//! growth from few sessions to many, so that buffers and tables of fixed size are no part of it.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Command as Process, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use media::command::{
    Command, LatchPolicy, LegPlan, MediaKind, PairKey, PayloadMapping, Report, Target,
};
use media::engine::{Worker, WorkerConfig};
use packet_io::{AnyPacketIo, KernelStep, PacketIoConfig};

use super::{Row, Stage, row};
use crate::proc_stat::resident_octets;
use crate::report;
use crate::rtp_flow::{PACKET_BYTES, rtp_header};

/// KiB of a session.
const MEMORY: Row = ("relay.memory", 8.0);
/// The only one.
pub(super) const ROWS: [Row; 1] = [MEMORY];

/// How many sessions the process has whose memory is read.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[arg(value_parser = clap::value_parser!(u32).range(1..=4_500))]
    sessions: u32,
}

/// Measures, and prints the row.
pub(super) fn measure(_stage: &mut Stage<'_>) -> Result<()> {
    let (few, many) = (octets_with(FEW)?, octets_with(MANY)?);
    report::figure("relay.memory_few_kib", few / 1024.0);
    report::figure("relay.memory_many_kib", many / 1024.0);
    row(MEMORY, Ok((many - few) / f64::from(MANY - FEW) / 1024.0));
    Ok(())
}

fn octets_with(sessions: u32) -> Result<f64> {
    let own = std::env::current_exe().context("where this program is")?;
    let output = Process::new(own)
        .args(["media-memory", &sessions.to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let found = text.trim().parse();
    found.with_context(|| format!("a worker with {sessions} sessions: {}", output.status))
}

/// The other process: prints how many octets of it are in memory.
///
/// # Errors
/// Ports or descriptors run out, or packets do not come through.
pub(crate) fn run(options: &Options) -> Result<()> {
    let pairs = 2 * options.sessions;
    let peer = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    peer.set_nonblocking(true)?;
    let io = AnyPacketIo::choose(PacketIoConfig {
        sockets_max: 2 * (pairs + STOCK),
        ladder_limit: KernelStep::Full,
        ..PacketIoConfig::default()
    })
    .map_err(|refused| anyhow!("{refused}"))?;
    let config = WorkerConfig {
        pairs_max: pairs + STOCK,
        stock: STOCK,
        ..WorkerConfig::new(0, ADDRESS.into(), 10_000..=32_767, [7; 32])
    };
    let mut worker = Worker::new(io, config);
    let ports = connect(&mut worker, pairs, peer.local_addr()?)?;
    for sent in 0..PACKETS {
        for (number, to) in ports.iter().enumerate() {
            let mut packet = [0xff; PACKET_BYTES];
            let header = rtp_header(u32::try_from(number)?, sent);
            for (to, from) in packet.iter_mut().zip(header) {
                *to = from;
            }
            peer.send_to(&packet, to)?;
            if number.is_multiple_of(64) {
                turn(&mut worker);
                while peer.recv(&mut packet).is_ok() {}
            }
        }
    }
    turn(&mut worker);
    let wanted = PACKETS * u64::from(pairs) / 2;
    let forwarded = worker.counters().packets_received;
    if forwarded < wanted {
        bail!("{forwarded} packets came, fewer than {wanted}");
    }
    let octets = resident_octets(std::process::id()).context("/proc")?;
    report::line(&octets.to_string());
    Ok(())
}

/// Makes legs of so many pairs, two and two; where each of them listens.
fn connect(
    worker: &mut Worker<AnyPacketIo>,
    pairs: u32,
    peer: SocketAddr,
) -> Result<Vec<SocketAddr>> {
    let mut ports = Vec::new();
    let mut waiting: Option<PairKey> = None;
    let deadline = Instant::now() + PATIENCE;
    while ports.len() < usize::try_from(pairs)? {
        if Instant::now() > deadline {
            bail!("{} of {pairs} port pairs were opened in time", ports.len());
        }
        turn(worker);
        while let Some(report) = worker.poll_report() {
            let Report::Stocked { pair, rtp } = report else {
                continue;
            };
            if ports.len() >= usize::try_from(pairs)? {
                break;
            }
            ports.push(rtp);
            let Some(other) = waiting.take() else {
                waiting = Some(pair);
                continue;
            };
            for (pair, target) in [(pair, other), (other, pair)] {
                let connect = Command::Connect {
                    pair,
                    plan: plan(peer),
                    target: Target::Leg(target),
                };
                worker.handle_command(Instant::now(), connect);
            }
        }
    }
    Ok(ports)
}

fn turn(worker: &mut Worker<AnyPacketIo>) {
    let now = Instant::now();
    let mut wait = worker.turn(now);
    wait.until = Some(now);
    worker.wait(now, wait);
}

fn plan(peer: SocketAddr) -> LegPlan {
    let pcmu = PayloadMapping {
        received: 0,
        sent: 0,
        clock_rate_hz: 8_000,
        is_telephone_event: false,
    };
    LegPlan {
        kind: MediaKind::Audio,
        remote_rtp: Some(peer),
        remote_rtcp: None,
        sends: true,
        receives: true,
        payloads: [pcmu].into_iter().collect(),
        latch: LatchPolicy::Sdp,
        media_timeout: None,
        version: 1,
        srtp: None,
    }
}

const FEW: u32 = 500;
const MANY: u32 = 4_000;
const STOCK: u32 = 64;
/// To each leg, so that it is latched, stable and connected.
const PACKETS: u64 = 12;
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 3, 1);
const PATIENCE: Duration = Duration::from_secs(20);
