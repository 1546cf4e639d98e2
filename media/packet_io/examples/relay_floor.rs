//! What does one forwarded packet cost, in CPU of the thread that forwards it? The envelope is the
//! kernel's own receive and send: 2.35 µs where this was first measured; wake-ups come on top of it
//! below saturation.
//!
//! `relay_floor [full|no-min-wait|epoll] [sessions] [packets a second] [seconds] [gather in µs] [octets] [burst]`
//!
//! One thread forwards between the two legs of each session on core 0, another sends on core 1 at
//! an even pace and never catches up. What is forwarded goes back to the sender's sockets, whose
//! filter drops it: a sink that costs nothing. Run it alone in a network namespace.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a tool for a terminal"
)]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use packet_io::{
    AnyPacketIo, KernelStep, PacketIo, PacketIoConfig, ReceivedBatch, SocketKey, SocketSpec, Wait,
};
use socket2::{Domain, SockFilter, Socket, Type};

#[derive(Debug, Clone, Copy)]
struct Plan {
    step: KernelStep,
    sessions: usize,
    rate: u64,
    seconds: u64,
    gather: Duration,
    octets: usize,
    /// Packets that come to one leg together.
    burst: u64,
}

/// The hot line of a leg, as small as a relay's can be.
#[derive(Debug)]
struct Leg {
    other: SocketKey,
    packets: u64,
    octets: u64,
    last_sequence: u16,
}

#[derive(Debug, Default)]
struct Progress {
    sent: AtomicU64,
    is_over: AtomicBool,
}

fn main() {
    let plan = plan();
    raise_descriptor_limit();
    pin(0);
    let senders: Vec<Socket> = (0..SENDERS).map(|_| sender()).collect();
    let config = PacketIoConfig {
        buffers: 4096,
        sockets_max: 16_384,
        ladder_limit: plan.step,
    };
    let mut io = AnyPacketIo::choose(config).expect("epoll at least");
    let (legs, targets) = open_legs(&mut io, plan.sessions, &senders);
    let progress = Arc::new(Progress::default());
    let generator = {
        let progress = Arc::clone(&progress);
        std::thread::spawn(move || generate(plan, &senders, &targets, &progress))
    };
    forward(plan, io, legs, &progress);
    generator.join().expect("the generator ends by itself");
}

fn plan() -> Plan {
    let mut arguments = std::env::args().skip(1);
    let step = match arguments.next().as_deref() {
        None | Some("full") => KernelStep::Full,
        Some("no-min-wait") => KernelStep::NoMinWait,
        Some("epoll") => KernelStep::Epoll,
        Some(other) => panic!("unknown step {other}"),
    };
    let mut number = |default: u64| {
        arguments
            .next()
            .map_or(default, |text| text.parse().expect("a number"))
    };
    let sessions = usize::try_from(number(1000)).expect("a small number");
    let (rate, seconds) = (number(100_000), number(3));
    Plan {
        step,
        sessions,
        rate,
        seconds,
        gather: Duration::from_micros(number(500)),
        octets: usize::try_from(number(172)).expect("a small number"),
        burst: number(1).max(1),
    }
}

fn sender() -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).expect("a socket");
    socket
        .bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())
        .expect("a free port");
    let drop_all = SockFilter::new(0x06, 0, 0, 0);
    socket.attach_filter(&[drop_all]).expect("a filter");
    socket
}

/// Opens both legs of each session, connected; the addresses to send to, by sender.
fn open_legs(
    io: &mut AnyPacketIo,
    sessions: usize,
    senders: &[Socket],
) -> (Vec<Leg>, Vec<(usize, SocketAddr)>) {
    let local = (Ipv4Addr::LOCALHOST, 0).into();
    let spec = SocketSpec {
        local,
        dscp: 46,
        receive_buffer_bytes: 0,
    };
    let mut targets = Vec::new();
    let mut keys = Vec::new();
    for number in 0..2 * sessions {
        let sender = number % senders.len();
        let peer = senders
            .get(sender)
            .and_then(|socket| socket.local_addr().ok());
        let key = io.open(spec).expect("a free port");
        io.connect(key, peer.and_then(|peer| peer.as_socket()));
        targets.push((sender, io.local(key).expect("it is open")));
        keys.push(key);
    }
    let others = keys.chunks_exact(2).flat_map(|pair| pair.iter().rev());
    let leg = |other: &SocketKey| Leg {
        other: *other,
        packets: 0,
        octets: 0,
        last_sequence: 0,
    };
    (others.map(leg).collect(), targets)
}

fn generate(plan: Plan, senders: &[Socket], targets: &[(usize, SocketAddr)], progress: &Progress) {
    pin(1);
    let mut datagram = vec![0_u8; plan.octets];
    if let Some(version) = datagram.first_mut() {
        *version = 0x80;
    }
    let targets: Vec<_> = targets
        .iter()
        .map(|(sender, target)| (*sender, (*target).into()))
        .collect();
    // A stride that is no divisor: neighbours in time are not neighbours in memory.
    let mut place = 0;
    let mut due = Instant::now();
    let tick = Duration::from_micros(100);
    let mut owed = 0;
    while !progress.is_over.load(Ordering::Relaxed) {
        owed += plan.rate * 100;
        let bursts = owed / (1_000_000 * plan.burst);
        for number in 0..bursts * plan.burst {
            if number % plan.burst == 0 {
                place = (place + 7_919) % targets.len();
            }
            if let Some((sender, target)) = targets.get(place)
                && let Some(socket) = senders.get(*sender)
                && socket.send_to(&datagram, target).is_ok()
            {
                progress.sent.fetch_add(1, Ordering::Relaxed);
            }
        }
        owed -= bursts * plan.burst * 1_000_000;
        due += tick;
        match due.checked_duration_since(Instant::now()) {
            Some(left) => std::thread::sleep(left),
            None => due = Instant::now(),
        }
    }
}

fn forward(plan: Plan, mut io: AnyPacketIo, mut legs: Vec<Leg>, progress: &Progress) {
    let mut batch = ReceivedBatch::new();
    let expected = u128::from(plan.rate) * plan.gather.as_nanos() / 1_000_000_000;
    let want = u32::try_from(expected).unwrap_or(u32::MAX).clamp(1, 512);
    let warm = Instant::now() + Duration::from_millis(500);
    let end = warm + Duration::from_secs(plan.seconds);
    let mut start = None;
    loop {
        let now = Instant::now();
        if start.is_none() && now >= warm {
            start = Some((
                thread_cpu(),
                *io.counters(),
                progress.sent.load(Ordering::Relaxed),
            ));
        }
        if now >= end {
            break;
        }
        let until = Some(now + Duration::from_millis(20));
        io.submit_and_wait(
            now,
            Wait {
                want,
                min_wait: plan.gather,
                until,
            },
        );
        io.receive(&mut batch);
        for received in batch.packets.drain(..) {
            let bytes = received.packet.bytes();
            let Some(leg) = legs.get_mut(received.socket.slot as usize) else {
                continue;
            };
            if let [0x80..=0xbf, _, sequence @ .., _] = bytes
                && let Some(sequence) = sequence.first_chunk()
            {
                leg.packets += 1;
                leg.octets += bytes.len() as u64;
                leg.last_sequence = u16::from_be_bytes(*sequence);
                io.send(received.packet, leg.other, None);
            }
        }
    }
    let (cpu, counters, sent) = start.expect("the run is longer than its warm-up");
    let cpu = thread_cpu() - cpu;
    let offered = progress.sent.load(Ordering::Relaxed) - sent;
    progress.is_over.store(true, Ordering::Relaxed);
    let after = *io.counters();
    let forwarded = (after.packets_sent - counters.packets_sent).max(1);
    let entries = after.kernel_entries - counters.kernel_entries;
    println!(
        "{} sessions {} offered {offered} forwarded {forwarded} cpu {} ns a packet, {}.{:04} system calls a packet, of core 0 {} %",
        io.step().as_str(),
        plan.sessions,
        cpu.as_nanos() / u128::from(forwarded),
        entries / forwarded,
        (entries % forwarded) * 10_000 / forwarded,
        cpu.as_millis() / u128::from(plan.seconds * 10),
    );
    println!("{after:?}");
}

fn thread_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .expect("every thread has one")
        .into()
}

fn pin(core: usize) {
    let mut cores = CpuSet::new();
    cores.set(core).expect("a small number");
    if sched_setaffinity(Pid::from_raw(0), &cores).is_err() {
        println!("not pinned: there is no core {core}");
    }
}

fn raise_descriptor_limit() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("the limit can be read");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("up to the hard limit is allowed");
}

const SENDERS: usize = 16;
