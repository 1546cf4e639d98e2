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
use nix::sys::socket::SockaddrIn;

use crate::browser::Guest;
use crate::machine::{monotonic_ns, sleep_until_ns, thread_cpu_ns};
use crate::rtp_packet::{PACKET_BYTES, Said, Sound, payload, payload_of, said, write_packet};
use crate::rtp_port::{End, Port, Reader};
use crate::rtp_round::{Arrived, Round, Stray};
use crate::session_key::{SecureEnd, TAG_OCTETS, Way};

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

/// One direction of one session.
#[derive(Debug)]
struct Flow {
    /// Where its packets leave and its peer's arrive.
    end: FlowEnd,
    sound: Sound,
    /// Packets that have left: RTP's sequence and time stamp go on where they were, however long the
    /// flow was silent.
    sent: u64,
    arrived: Arrived,
}

/// Who is at the end of a flow.
#[derive(Debug)]
enum FlowEnd {
    Phone {
        /// The port of ours.
        port: usize,
        /// Where its packets go, and where its peer's come from.
        to: SockaddrIn,
        /// Its SRTP; `None`: plain RTP.
        secure: Option<Box<SecureEnd>>,
    },
    /// A browser, at a port of its own: the gateway has one for all of them, so they cannot be told by it.
    Browser(Box<Guest>),
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
    /// Which flows are browsers.
    browsers: Vec<usize>,
    /// The one of them that is read next.
    browser_next: usize,
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
            browsers: Vec::new(),
            browser_next: 0,
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

    /// One more flow, of PCMU. The two of a session are added one after the other.
    ///
    /// # Errors
    /// Another flow goes there, or it is no IPv4 address.
    pub(crate) fn add(&mut self, end: End, way: Way) -> Result<()> {
        self.add_sounding(end, way, Sound::PCMU)
    }

    /// The same, of something else.
    ///
    /// # Errors
    /// As `add`.
    pub(crate) fn add_sounding(&mut self, end: End, way: Way, sound: Sound) -> Result<()> {
        let SocketAddr::V4(to) = way.to else {
            bail!("{}: the load speaks IPv4 only", way.to);
        };
        if self.by_source.insert(to, self.flows.len()).is_some() {
            bail!("{to} is the relay's port of two sessions");
        }
        let end = FlowEnd::Phone {
            port: end.port,
            to: to.into(),
            secure: way.keys.map(SecureEnd::new).transpose()?.map(Box::new),
        };
        self.push(end, sound);
        Ok(())
    }

    /// One more flow, whose end is a browser that is connected.
    pub(crate) fn add_browser(&mut self, guest: Guest, sound: Sound) {
        self.browsers.push(self.flows.len());
        self.push(FlowEnd::Browser(Box::new(guest)), sound);
    }

    fn push(&mut self, end: FlowEnd, sound: Sound) {
        self.flows.push(Flow {
            end,
            sound,
            sent: 0,
            arrived: Arrived::default(),
        });
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
                self.read_browsers(&window, &mut round);
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
        let (number, sound) = (flow.sent, flow.sound);
        flow.sent += 1;
        let is_sent = match &mut flow.end {
            FlowEnd::Browser(guest) => guest.send(&payload(index, cycle), number, sound),
            FlowEnd::Phone { port, to, secure } => {
                let Some(port) = self.ports.get(*port) else {
                    return;
                };
                let mut room = [0_u8; PACKET_BYTES + TAG_OCTETS];
                if let Some(packet) = room.first_chunk_mut() {
                    write_packet(packet, index, cycle, number, sound);
                }
                match secure {
                    None => port.send(room.get(..PACKET_BYTES).unwrap_or_default(), to),
                    Some(secure) => {
                        secure.send.protect_rtp(&mut room).is_ok() && port.send(&room, to)
                    }
                }
            }
        };
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
                match take(flows, index, place, packet) {
                    Ok((place, said)) => hear(flows, place, said, stamp_ns, window, round),
                    Err(stray) => round.stray(stray),
                }
            }
            if !is_more {
                return;
            }
        }
    }

    /// Empties the ports of the browsers whose turn it is: so many that each has ten turns a second.
    fn read_browsers(&mut self, window: &Range<u64>, round: &mut Round) {
        let count = self.browsers.len();
        for _ in 0..(count as u64 * READ_NS).div_ceil(BROWSER_NS) {
            let turn = self.browser_next % count.max(1);
            self.browser_next = turn + 1;
            self.read_browser(turn, window, round);
        }
    }

    fn read_browser(&mut self, turn: usize, window: &Range<u64>, round: &mut Round) {
        let Some(place) = self.browsers.get(turn).copied() else {
            return;
        };
        let Some(Flow {
            end: FlowEnd::Browser(guest),
            ..
        }) = self.flows.get_mut(place)
        else {
            return;
        };
        guest.look(&mut self.reader);
        // Taken out for as long as the flows are looked at.
        let mut heard = std::mem::take(guest.heard());
        for (payload, stamp_ns) in heard.drain(..) {
            match said(&payload) {
                Some(said) => hear(&mut self.flows, place, said, stamp_ns, window, round),
                None => round.stray(Stray::Alien),
            }
        }
    }

    fn read_all(&mut self, window: &Range<u64>, round: &mut Round) {
        for _ in 0..self.ports.len() {
            self.read_one(window, round);
        }
        for turn in 0..self.browsers.len() {
            self.read_browser(turn, window, round);
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
) -> Result<(usize, Said), Stray> {
    let place = place.ok_or(Stray::Alien)?;
    let Some(Flow {
        end: FlowEnd::Phone {
            port: own, secure, ..
        },
        ..
    }) = flows.get_mut(place)
    else {
        return Err(Stray::Alien);
    };
    let packet = match secure {
        Some(secure) => believed(secure, packet).ok_or(Stray::Alien)?,
        None => packet,
    };
    let said = payload_of(packet).and_then(said).ok_or(Stray::Alien)?;
    if *own == port {
        Ok((place, said))
    } else {
        Err(Stray::Misrouted)
    }
}

/// Flow `place` heard this.
fn hear(
    flows: &mut [Flow],
    place: usize,
    said: Said,
    stamp_ns: u64,
    window: &Range<u64>,
    round: &mut Round,
) {
    // The two flows of a session stand side by side.
    if said.flow != place ^ 1 {
        round.stray(Stray::Misrouted);
        return;
    }
    let Some(sender) = flows.get_mut(said.flow) else {
        round.stray(Stray::Alien);
        return;
    };
    let arrival = sender.arrived.take(said.cycle);
    if window.contains(&said.cycle) {
        round.count(arrival, stamp_ns.checked_sub(said.sent_at));
    }
}

/// The packet without what protected it, if its key authenticates it and it comes for the first time.
fn believed<'a>(secure: &mut SecureEnd, packet: &'a mut [u8]) -> Option<&'a [u8]> {
    let found = secure.receive.unprotect_rtp(packet).ok()?;
    let size = found.size;
    secure.receive.accept(found);
    packet.get(..size)
}

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
/// Between two looks at the port of one browser.
const BROWSER_NS: u64 = 100_000_000;
/// Taken from a port before packets that are due get their turn again.
const BATCHES_MAX: usize = 64;
/// Ports that all sessions share.
const PORTS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

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
