//! Paced RTP: one packet every 20 ms in each flow, each flow at its own place in the 20 ms.
//!
//! Open loop: when a packet is due does not depend on what came back. Every packet carries its
//! flow, its cycle and the time of its send call, so loss, order, wrong delivery and latency are
//! known exactly; latency ends at the kernel's arrival stamp, so that waiting in our socket is not
//! in it. Sessions share a few ports, which are read in turns and never slept on: a gateway that had
//! to wake this program for each packet would be charged for it.

use std::collections::HashMap;
use std::net::{SocketAddr, SocketAddrV4};
use std::ops::Range;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use hdrhistogram::Histogram;
use nix::sys::socket::SockaddrIn;

use crate::machine::{monotonic_ns, realtime_ns, sleep_until_ns, thread_cpu_ns};
use crate::rtp_port::{End, Port, Reader};
use crate::session_key::{SecureEnd, TAG_OCTETS, Way};

/// An RTP packet of the load: 12 octets of header and 20 ms of G.711.
pub(crate) const PACKET_BYTES: usize = 172;

/// Packets a second in each flow.
pub(crate) const RATE: u64 = 50;

/// How packets leave in one round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Sessions that talk, the first of those that stand; the others are silent.
    pub(crate) sessions: usize,
    /// Between two packets of one flow.
    pub(crate) period_ns: u64,
    /// Not counted.
    pub(crate) warm_up: Duration,
    /// Counted.
    pub(crate) counted: Duration,
}

impl Pace {
    /// As many packets a second in each flow as G.711 at 20 ms has.
    pub(crate) const fn speech(sessions: usize, counted: Duration) -> Self {
        Self {
            sessions,
            period_ns: PERIOD_NS,
            warm_up: WARM_UP,
            counted,
        }
    }

    fn cycles(&self, duration: Duration) -> Result<u64> {
        Ok((u64::try_from(duration.as_nanos())? / self.period_ns.max(1)).max(1))
    }
}

/// One direction of one session: where its packets leave and its peer's arrive.
#[derive(Debug)]
struct Flow {
    /// The port of ours.
    port: usize,
    /// Where its packets go, and where its peer's come from.
    to: SockaddrIn,
    /// Packets that have left: RTP's sequence and time stamp go on where they were, however long the
    /// flow was silent.
    sent: u64,
    arrived: Arrived,
    /// Its SRTP; `None`: plain RTP.
    secure: Option<Box<SecureEnd>>,
}

/// Which cycles of a flow have arrived: the highest plus one, and a map of the 64 below.
#[derive(Debug, Default, Clone, Copy)]
struct Arrived {
    next: u64,
    seen: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arrival {
    InOrder,
    Late,
    Duplicate,
}

impl Arrived {
    fn take(&mut self, cycle: u64) -> Arrival {
        if cycle >= self.next {
            let step = cycle - self.next + 1;
            self.seen = if step >= 64 {
                1
            } else {
                (self.seen << step) | 1
            };
            self.next = cycle + 1;
            return Arrival::InOrder;
        }
        let bit = 1_u64.checked_shl(u32::try_from(self.next - 1 - cycle).unwrap_or(64));
        match bit {
            Some(bit) if self.seen & bit == 0 => {
                self.seen |= bit;
                Arrival::Late
            }
            Some(_) | None => Arrival::Duplicate,
        }
    }
}

/// What one round of paced packets showed.
#[derive(Debug)]
pub(crate) struct Round {
    /// Packets sent in the counted time.
    pub(crate) sent: u64,
    /// Of those, packets that arrived where they should.
    pub(crate) received: u64,
    /// Arrived a second time.
    pub(crate) duplicates: u64,
    /// Arrived after a later one.
    pub(crate) late: u64,
    /// Arrived at another call's socket: must be zero.
    pub(crate) misrouted: u64,
    /// Not ours.
    pub(crate) alien: u64,
    /// Arrived without a stamp of the kernel, or before they were sent: must be zero.
    pub(crate) unstamped: u64,
    /// Send calls that failed.
    pub(crate) send_errors: u64,
    /// From our send call to the arrival stamp, nanoseconds.
    pub(crate) latency: Histogram<u64>,
    /// How late packets left, nanoseconds.
    pub(crate) send_lag: Histogram<u64>,
    /// Share of the counted time that this thread ran.
    pub(crate) own_load: f64,
}

impl Round {
    /// Nothing sent and nothing arrived.
    ///
    /// # Errors
    /// None with the bounds here.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            sent: 0,
            received: 0,
            duplicates: 0,
            late: 0,
            misrouted: 0,
            alien: 0,
            unstamped: 0,
            send_errors: 0,
            latency: Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3)?,
            send_lag: Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3)?,
            own_load: 0.0,
        })
    }

    /// Packets that never came.
    pub(crate) fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.received)
    }
}

/// Both ends of the counted time, for the caller to read counters at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// The first counted packet is about to leave.
    Start,
    /// The last one has left.
    End,
}

/// The flows of a load and the place in their sequence.
#[derive(Debug)]
pub(crate) struct RtpLoad {
    ports: Vec<Port>,
    /// Ends that were given away.
    ends: usize,
    flows: Vec<Flow>,
    /// Which flow a relay's port belongs to.
    by_source: HashMap<SocketAddrV4, usize>,
    /// Cycles sent in earlier rounds: sequence numbers go on.
    cycle: u64,
    reader: Reader,
    /// The port that is read next.
    read_next: usize,
}

impl RtpLoad {
    /// Without any flow.
    ///
    /// # Errors
    /// No descriptor or no port left.
    pub(crate) fn new() -> Result<Self> {
        Self::with_ports(PORTS)
    }

    fn with_ports(count: usize) -> Result<Self> {
        Ok(Self {
            ports: (0..count).map(|_| Port::open()).collect::<Result<_>>()?,
            ends: 0,
            flows: Vec::new(),
            by_source: HashMap::new(),
            cycle: 0,
            reader: Reader::new(),
            read_next: 0,
        })
    }

    /// The end of a session to be: two of a session are asked for one after the other, and are at
    /// different ports.
    ///
    /// # Errors
    /// There is no port.
    pub(crate) fn next_end(&mut self) -> Result<End> {
        let port = self.ends % self.ports.len().max(1);
        let address = self.ports.get(port).context("a load without ports")?;
        self.ends += 1;
        Ok(End {
            port,
            address: address.address(),
        })
    }

    /// One more flow. The two of a session are added one after the other.
    ///
    /// # Errors
    /// Another flow goes there, or it is no IPv4 address.
    pub(crate) fn add(&mut self, end: End, way: Way) -> Result<()> {
        let SocketAddr::V4(to) = way.to else {
            bail!("{}: the load speaks IPv4 only", way.to);
        };
        if self.by_source.insert(to, self.flows.len()).is_some() {
            bail!("{to} is the relay's port of two sessions");
        }
        self.flows.push(Flow {
            port: end.port,
            to: to.into(),
            sent: 0,
            arrived: Arrived::default(),
            secure: way.keys.map(SecureEnd::new).transpose()?.map(Box::new),
        });
        Ok(())
    }

    /// Flows that talk to each other without a gateway, each at a port of its own: the calibration.
    ///
    /// # Errors
    /// Sockets run out.
    pub(crate) fn direct(sessions: usize) -> Result<Self> {
        let mut load = Self::with_ports(2 * sessions)?;
        for _ in 0..sessions {
            let (one, other) = (load.next_end()?, load.next_end()?);
            for (end, to) in [(one, other), (other, one)] {
                let way = Way {
                    to: to.address.into(),
                    keys: None,
                };
                load.add(end, way)?;
            }
        }
        Ok(load)
    }

    /// Sends one round, calling `mark` at both ends of the time that counts.
    ///
    /// # Errors
    /// Durations beyond any clock.
    pub(crate) fn drive(&mut self, pace: Pace, mark: &mut dyn FnMut(Mark)) -> Result<Round> {
        let mut round = Round::new()?;
        let flow_count = u64::try_from((2 * pace.sessions).min(self.flows.len()).max(1))?;
        let period_ns = pace.period_ns;
        let first = pace.cycles(pace.warm_up)?;
        let last = first + pace.cycles(pace.counted)?;
        let window = self.cycle + first..self.cycle + last;
        let start = monotonic_ns() + LEAD_NS;
        let due = |slot: u64| {
            start + (slot / flow_count) * period_ns + (slot % flow_count) * period_ns / flow_count
        };
        let (mut began_ns, mut began_cpu) = (0, 0);
        let is_dense = flow_count * TICK_NS > DENSE_PACKETS * period_ns;
        let tick_ns = if is_dense { 2 * TICK_NS } else { TICK_NS };
        let (mut slot, mut read_at) = (0, start);
        while slot < last * flow_count {
            let now = monotonic_ns();
            while slot < last * flow_count && due(slot) <= now {
                if slot == first * flow_count {
                    (began_ns, began_cpu) = (monotonic_ns(), thread_cpu_ns());
                    mark(Mark::Start);
                }
                let cycle = self.cycle + slot / flow_count;
                if window.contains(&cycle) {
                    round.send_lag.saturating_record((now - due(slot)).max(1));
                }
                let index = usize::try_from(slot % flow_count)?;
                self.send(index, cycle, window.contains(&cycle), &mut round);
                slot += 1;
            }
            if now >= read_at {
                self.read_one(&window, &mut round);
                read_at = now + READ_NS;
            }
            if slot < last * flow_count {
                sleep_until_ns(due(slot).max(now + tick_ns));
            }
        }
        mark(Mark::End);
        let (spent, passed) = (thread_cpu_ns() - began_cpu, monotonic_ns() - began_ns);
        round.own_load = spent as f64 / passed.max(1) as f64;
        self.cycle += last;
        self.settle(&window, &mut round);
        Ok(round)
    }

    /// One packet in each flow now, and what arrived meanwhile: a probe beside another load.
    pub(crate) fn probe(&mut self, counted: bool, round: &mut Round) {
        let window = if counted { 0..u64::MAX } else { 0..0 };
        self.read_all(&window, round);
        for index in 0..self.flows.len() {
            self.send(index, self.cycle, counted, round);
        }
        self.cycle += 1;
    }

    fn send(&mut self, index: usize, cycle: u64, counted: bool, round: &mut Round) {
        let Some(flow) = self.flows.get_mut(index) else {
            return;
        };
        let Some(port) = self.ports.get(flow.port) else {
            return;
        };
        let mut room = [0_u8; PACKET_BYTES + TAG_OCTETS];
        if let Some(packet) = room.first_chunk_mut() {
            write_packet(packet, index, cycle, flow.sent);
        }
        flow.sent += 1;
        let packet = match &mut flow.secure {
            None => room.get(..PACKET_BYTES).unwrap_or_default(),
            Some(secure) => {
                if secure.send.protect_rtp(&mut room).is_err() {
                    round.send_errors += u64::from(counted);
                    return;
                }
                room.as_slice()
            }
        };
        let is_sent = port.send(packet, &flow.to);
        if counted {
            round.sent += 1;
            round.send_errors += u64::from(!is_sent);
        }
    }

    /// Empties the port whose turn it is.
    fn read_one(&mut self, window: &Range<u64>, round: &mut Round) {
        let index = self.read_next % self.ports.len().max(1);
        self.read_next = index + 1;
        let Self {
            ports,
            reader,
            flows,
            by_source,
            ..
        } = self;
        let Some(port) = ports.get(index) else {
            return;
        };
        for _ in 0..BATCHES_MAX {
            let is_more = reader.read(port);
            for (packet, source, stamp_ns) in reader.taken() {
                let place = by_source.get(&source).copied();
                take(flows, index, place, packet, stamp_ns, window, round);
            }
            if !is_more {
                return;
            }
        }
    }

    fn read_all(&mut self, window: &Range<u64>, round: &mut Round) {
        for _ in 0..self.ports.len() {
            self.read_one(window, round);
        }
    }

    /// Waits for what is on its way, then empties every port.
    fn settle(&mut self, window: &Range<u64>, round: &mut Round) {
        sleep_until_ns(monotonic_ns() + SETTLE_NS);
        self.read_all(window, round);
    }
}

/// A packet that came to port `port`, from where flow `place` sends to.
fn take(
    flows: &mut [Flow],
    port: usize,
    place: Option<usize>,
    packet: &mut [u8],
    stamp_ns: u64,
    window: &Range<u64>,
    round: &mut Round,
) {
    let Some((place, receiver)) = place.and_then(|place| Some((place, flows.get_mut(place)?)))
    else {
        round.alien += 1;
        return;
    };
    let is_here = receiver.port == port;
    let content = match &mut receiver.secure {
        Some(secure) => believed(secure, packet).and_then(read_packet),
        None => read_packet(packet),
    };
    let Some((sender, cycle, sent_at)) = content else {
        round.alien += 1;
        return;
    };
    // The two flows of a session stand side by side.
    if !is_here || sender != place ^ 1 {
        round.misrouted += 1;
        return;
    }
    let Some(sender) = flows.get_mut(sender) else {
        round.alien += 1;
        return;
    };
    let arrival = sender.arrived.take(cycle);
    if !window.contains(&cycle) {
        return;
    }
    match arrival {
        Arrival::Duplicate => round.duplicates += 1,
        Arrival::InOrder | Arrival::Late => {
            round.received += 1;
            round.late += u64::from(arrival == Arrival::Late);
            match stamp_ns.checked_sub(sent_at) {
                Some(latency) => round.latency.saturating_record(latency.max(1)),
                None => round.unstamped += 1,
            }
        }
    }
}

/// The packet without what protected it, if its key authenticates it and it comes for the first time.
fn believed<'a>(secure: &mut SecureEnd, packet: &'a mut [u8]) -> Option<&'a [u8]> {
    let found = secure.receive.unprotect_rtp(packet).ok()?;
    let size = found.size;
    secure.receive.accept(found);
    packet.get(..size)
}

/// The payload is our own: who sent it, when, and then silence.
fn write_packet(packet: &mut [u8; PACKET_BYTES], flow: usize, cycle: u64, sent: u64) {
    let flow = u32::try_from(flow).unwrap_or(u32::MAX);
    packet.fill(0xff);
    let rest = put(packet, rtp_header(flow, sent));
    let rest = put(rest, MAGIC.to_be_bytes());
    let rest = put(rest, flow.to_be_bytes());
    let rest = put(rest, cycle.to_be_bytes());
    put(rest, realtime_ns().to_be_bytes());
}

/// Writes octets at the beginning; what is behind them.
fn put<const N: usize>(to: &mut [u8], octets: [u8; N]) -> &mut [u8] {
    let Some((place, rest)) = to.split_first_chunk_mut() else {
        return &mut [];
    };
    *place = octets;
    rest
}

/// The header of packet number `sent` of a flow.
pub(crate) fn rtp_header(flow: u32, sent: u64) -> [u8; HEADER_BYTES] {
    let [.., sequence_high, sequence_low] = sent.to_be_bytes();
    let [.., t0, t1, t2, t3] = sent.wrapping_mul(SAMPLES).to_be_bytes();
    let [s0, s1, s2, s3] = SSRC_BASE.wrapping_add(flow).to_be_bytes();
    // Version 2, PCMU.
    [
        0x80,
        0,
        sequence_high,
        sequence_low,
        t0,
        t1,
        t2,
        t3,
        s0,
        s1,
        s2,
        s3,
    ]
}

/// Flow, cycle and send time of a packet of ours.
fn read_packet(packet: &[u8]) -> Option<(usize, u64, u64)> {
    let (magic, rest) = packet.get(HEADER_BYTES..)?.split_first_chunk::<4>()?;
    let (flow, rest) = rest.split_first_chunk::<4>()?;
    let (cycle, rest) = rest.split_first_chunk::<8>()?;
    let (sent_at, _) = rest.split_first_chunk::<8>()?;
    let flow = usize::try_from(u32::from_be_bytes(*flow)).ok()?;
    (u32::from_be_bytes(*magic) == MAGIC).then(|| {
        (
            flow,
            u64::from_be_bytes(*cycle),
            u64::from_be_bytes(*sent_at),
        )
    })
}

/// Octets of an RTP header without sources and extension.
pub(crate) const HEADER_BYTES: usize = 12;
const MAGIC: u32 = 0x534c_5543;
const SSRC_BASE: u32 = 0x1000_0000;
const SAMPLES: u64 = 8000 / RATE;
/// Between two packets of one flow of speech.
pub(crate) const PERIOD_NS: u64 = 1_000_000_000 / RATE;
/// A node looks once a second whether a leg that was silent can be connected again.
const WARM_UP: Duration = Duration::from_millis(1500);
/// Packets that fall due within this time go together.
const TICK_NS: u64 = 100_000;
/// With more packets than these in a tick it is twice as long: waking up has its price here, too.
const DENSE_PACKETS: u64 = 12;
const LEAD_NS: u64 = 5_000_000;
/// After the last packet, before its loss is counted.
const SETTLE_NS: u64 = 100_000_000;
/// Between two looks at ports: so much of the load gathers that one call takes many packets.
const READ_NS: u64 = 200_000;
/// Taken from a port before packets that are due get their turn again.
const BATCHES_MAX: usize = 64;
/// Ports that all sessions share.
const PORTS: usize = 8;
const LATENCY_NS_MAX: u64 = 60_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_says_which_flow_and_cycle_it_is() {
        let mut packet = [0; PACKET_BYTES];
        write_packet(&mut packet, 7, 0x0001_0002, 0x0003_0004);
        assert_eq!(packet[..4], [0x80, 0, 0, 4]);
        assert_eq!(packet[8..12], 0x1000_0007_u32.to_be_bytes());
        let (flow, cycle, sent_at) = read_packet(&packet).expect("ours");
        assert_eq!((flow, cycle), (7, 0x0001_0002));
        assert!(sent_at > 0);
    }

    #[test]
    fn other_packets_are_not_ours() {
        assert_eq!(read_packet(&[0x80; PACKET_BYTES]), None);
        assert_eq!(read_packet(&[0x80; 20]), None);
    }

    #[test]
    fn arrivals_tell_order_lateness_and_repetition() {
        let mut arrived = Arrived::default();
        let seen: Vec<Arrival> = [5, 6, 8, 7, 7, 8, 200, 100]
            .into_iter()
            .map(|cycle| arrived.take(cycle))
            .collect();
        assert_eq!(
            seen,
            [
                Arrival::InOrder,
                Arrival::InOrder,
                Arrival::InOrder,
                Arrival::Late,
                Arrival::Duplicate,
                Arrival::Duplicate,
                Arrival::InOrder,
                Arrival::Duplicate,
            ]
        );
    }

    #[test]
    fn direct_flows_lose_nothing_and_land_on_their_peer() {
        let mut load = RtpLoad::direct(4).expect("sockets");
        let mut marks = Vec::new();
        let pace = Pace {
            warm_up: Duration::from_millis(40),
            ..Pace::speech(4, Duration::from_millis(100))
        };
        let round = load.drive(pace, &mut |mark| marks.push(mark)).expect("run");
        assert_eq!(marks, [Mark::Start, Mark::End]);
        assert_eq!((round.sent, round.lost(), round.misrouted), (40, 0, 0));
        assert_eq!(round.latency.len(), 40);
    }
}
