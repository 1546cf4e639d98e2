//! The kernel floor: what a forwarded packet costs before any of our code runs.
//!
//! Floor = receive of a ready socket + connected send in a batch, 172 octets over loopback. The
//! receive is `recv` on a socket that holds a packet, less an empty system call: a ring pays for
//! the call once per batch, so it is not part of what cannot be avoided. The send is `sendmmsg` of
//! 64 to a socket that drops in a filter, so that no queueing and no wake-up is charged.

use std::io::IoSlice;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, recv, sendmmsg};
use nix::unistd::getppid;
use socket2::{SockFilter, SockRef};

use crate::machine::{Cores, Pinned, monotonic_ns, thread_cpu_ns};
use crate::rtp_packet::PACKET_BYTES;
use crate::verdict::{lowest_third, per};
use crate::{machine, report};

/// How to measure it.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Rounds; the lowest third counts.
    #[arg(long, default_value_t = ROUNDS)]
    rounds: u32,
    /// Length of a round.
    #[arg(long, default_value_t = ROUND_MS)]
    round_ms: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            rounds: ROUNDS,
            round_ms: ROUND_MS,
        }
    }
}

/// What one packet costs the kernel, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Floor {
    /// Receive of a ready socket.
    pub(crate) receive_ns: f64,
    /// Connected send in a batch, with the delivery that loopback charges to the sender.
    pub(crate) send_ns: f64,
}

impl Floor {
    pub(crate) fn total_ns(self) -> f64 {
        self.receive_ns + self.send_ns
    }
}

/// Measures and prints the floor.
pub(crate) fn run(options: &Options) -> Result<()> {
    let cores = Cores::find()?;
    report::note("floor", &machine::describe());
    let mut rounds = Vec::new();
    for _ in 0..options.rounds.max(1) {
        rounds.push(measure(
            cores.measured,
            Duration::from_millis(options.round_ms),
        )?);
    }
    let lowest = |part: fn(&Floor) -> f64| {
        lowest_third(&rounds.iter().map(part).collect::<Vec<_>>()).unwrap_or_default()
    };
    report::figure("floor.receive_ns", lowest(|floor| floor.receive_ns));
    report::figure("floor.send_ns", lowest(|floor| floor.send_ns));
    report::figure("floor.packet_ns", lowest(|floor| floor.total_ns()));
    Ok(())
}

/// One round on `core`, in a thread of its own, realtime where permitted.
pub(crate) fn measure(core: usize, length: Duration) -> Result<Floor> {
    std::thread::spawn(move || {
        let _pinned = Pinned::here(core)?;
        measure_here(length)
    })
    .join()
    .unwrap_or_else(|_| bail!("the floor's thread died"))
}

fn measure_here(length: Duration) -> Result<Floor> {
    let mut receiver = ReceiveBench::open()?;
    let mut sender = SendBench::open()?;
    let end = monotonic_ns() + u64::try_from(length.as_nanos())?;
    let (mut receives, mut sends, mut calls) = (Vec::new(), Vec::new(), Vec::new());
    while monotonic_ns() < end {
        calls.push(empty_call_ns());
        receives.push(receiver.sample()?);
        sends.push(sender.sample()?);
    }
    let lowest = |samples: &[f64]| lowest_third(samples).unwrap_or_default();
    Ok(Floor {
        receive_ns: lowest(&receives) - lowest(&calls),
        send_ns: lowest(&sends),
    })
}

/// What entering and leaving the kernel costs.
fn empty_call_ns() -> f64 {
    let before = thread_cpu_ns();
    for _ in 0..EMPTY_CALLS {
        std::hint::black_box(getppid());
    }
    per(thread_cpu_ns() - before, EMPTY_CALLS)
}

/// Sockets that each hold one packet.
struct ReceiveBench {
    sockets: Vec<UdpSocket>,
    source: UdpSocket,
    buffer: [u8; 2048],
}

impl ReceiveBench {
    fn open() -> Result<Self> {
        let source = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let sockets = (0..READY_SOCKETS)
            .map(|_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)))
            .collect::<Result<_, _>>()
            .context("sockets of the floor")?;
        Ok(Self {
            sockets,
            source,
            buffer: [0; 2048],
        })
    }

    /// Nanoseconds of one `recv` that finds a packet; filling is not counted.
    fn sample(&mut self) -> Result<f64> {
        let (mut spent, mut count) = (0, 0);
        for _ in 0..FILLS_PER_SAMPLE {
            for socket in &self.sockets {
                self.source
                    .send_to(&[0x80; PACKET_BYTES], socket.local_addr()?)?;
            }
            let before = thread_cpu_ns();
            for socket in &self.sockets {
                recv(socket.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_DONTWAIT)?;
                count += 1;
            }
            spent += thread_cpu_ns() - before;
        }
        Ok(per(spent, count))
    }
}

/// A connected socket whose peer drops everything.
struct SendBench {
    source: UdpSocket,
    _sink: UdpSocket,
    headers: MultiHeaders<SockaddrIn>,
}

impl SendBench {
    fn open() -> Result<Self> {
        let sink = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        // Classic BPF `ret 0`: accept no octet of any packet.
        SockRef::from(&sink).attach_filter(&[SockFilter::new(0x06, 0, 0, 0)])?;
        let source = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        source.connect(sink.local_addr()?)?;
        Ok(Self {
            source,
            _sink: sink,
            headers: MultiHeaders::preallocate(SEND_BATCH, None),
        })
    }

    /// Nanoseconds of one packet sent in a batch.
    fn sample(&mut self) -> Result<f64> {
        let packet = [0x80; PACKET_BYTES];
        let slices = [[IoSlice::new(&packet)]; SEND_BATCH];
        let addresses = [None; SEND_BATCH];
        let (mut sent, before) = (0, thread_cpu_ns());
        for _ in 0..BATCHES_PER_SAMPLE {
            let flags = MsgFlags::empty();
            let batch = sendmmsg(
                self.source.as_raw_fd(),
                &mut self.headers,
                slices.iter(),
                addresses,
                [],
                flags,
            );
            match batch {
                Ok(results) => sent += u64::try_from(results.count())?,
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error).context("sendmmsg"),
            }
        }
        Ok(per(thread_cpu_ns() - before, sent))
    }
}

const ROUNDS: u32 = 9;
const ROUND_MS: u64 = 2000;
const READY_SOCKETS: usize = 256;
const FILLS_PER_SAMPLE: u32 = 8;
const SEND_BATCH: usize = 64;
const BATCHES_PER_SAMPLE: u32 = 64;
const EMPTY_CALLS: u64 = 4096;
