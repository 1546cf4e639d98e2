//! Rows `relay.memory` and `relay.allocations`: what the media core takes for a session, beside
//! signalling, and what it asks of the allocator for a packet.
//!
//! A media worker of ours runs on a ring in a process of its own with the sessions that it is told, each
//! latched by packets that it forwarded both ways; that process says how much memory it has. The row
//! is the growth from few sessions to many, so that buffers and tables of fixed size are no part of
//! it. Then it counts what the worker allocates while it relays.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::ops::Range;
use std::process::{Command as Process, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use media::command::{
    Command, LatchPolicy, LegPlan, MediaKind, PairKey, PayloadMapping, Report, Target,
};
use media::engine::{Worker, WorkerConfig};
use media::srtp::{MasterKey, SendContext, SrtpPlan, Suite};
use packet_io::{AnyPacketIo, KernelStep, PacketIoConfig};

use super::{Row, Stage, row};
use crate::proc_stat::resident_octets;
use crate::report;
use crate::rtp_packet::{PACKET_BYTES, Sound, rtp_header};
use crate::session_key::TAG_OCTETS;

/// KiB of a session.
const MEMORY: Row = ("relay.memory", 8.0);
/// Allocations while packets are relayed, plain and with SRTP.
const ALLOCATIONS: Row = ("relay.allocations", 0.0);
/// Both.
pub(super) const ROWS: [Row; 2] = [MEMORY, ALLOCATIONS];

/// What the process is to carry.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Sessions.
    #[arg(value_parser = clap::value_parser!(u32).range(1..=4_500))]
    sessions: u32,
    /// Every leg has keys.
    #[arg(long)]
    srtp: bool,
}

/// What the process says.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Said {
    octets: f64,
    packets: f64,
    allocations: f64,
}

/// Measures, and prints the row.
pub(super) fn measure(_stage: &mut Stage<'_>) -> Result<()> {
    let (few, many) = (worker_with(FEW, &[])?, worker_with(MANY, &[])?);
    report::figure("relay.memory_few_kib", few.octets / 1024.0);
    report::figure("relay.memory_many_kib", many.octets / 1024.0);
    let each = (many.octets - few.octets) / f64::from(MANY - FEW);
    row(MEMORY, Ok(each / 1024.0));
    let secure = worker_with(FEW, &["--srtp"])?;
    let secure_each = (secure.octets - few.octets) / f64::from(FEW);
    report::figure("relay.memory_srtp_more_kib", secure_each / 1024.0);
    report::figure("relay.allocations_packets", many.packets + secure.packets);
    row(ALLOCATIONS, Ok(many.allocations + secure.allocations));
    Ok(())
}

fn worker_with(sessions: u32, more: &[&str]) -> Result<Said> {
    let own = std::env::current_exe().context("where this program is")?;
    let output = Process::new(own)
        .args(["media-memory", &sessions.to_string()])
        .args(more)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    said(&text).with_context(|| format!("a worker with {sessions} sessions: {}", output.status))
}

fn said(text: &str) -> Option<Said> {
    let mut numbers = text.split_whitespace().map(|word| word.parse().ok());
    Some(Said {
        octets: numbers.next()??,
        packets: numbers.next()??,
        allocations: numbers.next()??,
    })
}

/// The other process: prints how many octets of it are in memory, how many packets it relayed after
/// that, and what was allocated for them.
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
    let keys = options.srtp.then(keys).transpose()?;
    let ports = connect(&mut worker, pairs, peer.local_addr()?, keys.as_ref())?;
    let mut ends: Vec<End> = ports
        .into_iter()
        .map(|to| End {
            to,
            secure: keys
                .as_ref()
                .and_then(|keys| SendContext::new(&keys.receive)),
        })
        .collect();
    let wanted = u64::from(pairs);
    send(&mut worker, &peer, &mut ends, 0..WARM_UP)?;
    let before = worker.counters().packets_received;
    if before < WARM_UP * wanted / 2 {
        bail!("{before} of {} packets came", WARM_UP * wanted);
    }
    let octets = resident_octets(std::process::id()).context("/proc")?;
    let allocations = send(&mut worker, &peer, &mut ends, WARM_UP..WARM_UP + COUNTED)?;
    let packets = worker.counters().packets_received - before;
    if packets < COUNTED * wanted / 2 {
        bail!("{packets} of {} packets came", COUNTED * wanted);
    }
    report::line(&format!("{octets} {packets} {allocations}"));
    Ok(())
}

/// Who sends to a leg.
struct End {
    to: SocketAddr,
    secure: Option<SendContext>,
}

/// Packets of these numbers to each leg. What the worker allocated meanwhile.
fn send(
    worker: &mut Worker<AnyPacketIo>,
    peer: &UdpSocket,
    ends: &mut [End],
    numbers: Range<u64>,
) -> Result<u64> {
    let mut allocations = 0;
    let mut counted = |worker: &mut Worker<AnyPacketIo>| {
        allocations += allocation_counter::measure(|| turn(worker)).count_total;
    };
    for sent in numbers {
        for (number, end) in ends.iter_mut().enumerate() {
            let mut room = [0xff; PACKET_BYTES + TAG_OCTETS];
            if let Some(header) = room.first_chunk_mut() {
                *header = rtp_header(u32::try_from(number)?, sent, Sound::PCMU);
            }
            let packet = match &mut end.secure {
                None => room.get(..PACKET_BYTES).unwrap_or_default(),
                Some(secure) => {
                    let refused = secure.protect_rtp(&mut room);
                    refused.map_err(|reason| anyhow!("{}", reason.as_str()))?;
                    room.as_slice()
                }
            };
            peer.send_to(packet, end.to)?;
            if number.is_multiple_of(64) {
                counted(worker);
                while peer.recv(&mut room).is_ok() {}
            }
        }
    }
    counted(worker);
    Ok(allocations)
}

fn keys() -> Result<SrtpPlan> {
    let key = |seed| MasterKey::new(Suite::AesCm128HmacSha1_80, &[seed; 30]);
    Ok(SrtpPlan {
        send: key(1).context("a key")?,
        receive: key(2).context("a key")?,
    })
}

/// Makes legs of so many pairs, two and two; where each of them listens.
fn connect(
    worker: &mut Worker<AnyPacketIo>,
    pairs: u32,
    peer: SocketAddr,
    keys: Option<&SrtpPlan>,
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
                    plan: plan(peer, keys),
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

fn plan(peer: SocketAddr, keys: Option<&SrtpPlan>) -> LegPlan {
    let pcmu = PayloadMapping {
        received: 0,
        sent: 0,
        clock_rate_hz: 8_000,
        is_telephone_event: false,
        sent_clock_hz: None,
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
        srtp: keys.cloned().map(Box::new),
    }
}

const FEW: u32 = 500;
const MANY: u32 = 4_000;
const STOCK: u32 = 64;
/// To each leg, so that it is latched and stable.
const WARM_UP: u64 = 12;
/// To each leg while allocations are counted.
const COUNTED: u64 = 40;
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 3, 1);
const PATIENCE: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_process_says_is_three_numbers_or_nothing() {
        let expected = Said {
            octets: 4096.0,
            packets: 20.0,
            allocations: 0.0,
        };
        assert_eq!(said("4096 20 0\n"), Some(expected));
        assert_eq!(said("4096 20"), None);
        assert_eq!(said("an error"), None);
    }
}
