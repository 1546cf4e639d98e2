//! Blast: as many packets as one core can send, so that the relay is never without one.
//!
//! The generator sends by `sendmmsg` from a few sockets that are the ends of all sessions; a filter at
//! them drops what comes back, so that it costs the relay what any delivery costs and nobody reads it.
//! What was forwarded and what was lost at the relay's own sockets comes from the kernel's count
//! (`udp_table`). One more session has ends that do read: its packets tell the latency at saturation.

use std::collections::HashSet;
use std::io::IoSlice;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, sendmmsg};
use socket2::{SockFilter, SockRef};

use crate::carrier::{Ends, Target};
use crate::machine::{Cores, Pinned, monotonic_ns, thread_cpu_ns};
use crate::proc_stat::CoreTicks;
use crate::rtp_flow::RtpLoad;
use crate::rtp_packet::{HEADER_BYTES, PACKET_BYTES, Sound, rtp_header};
use crate::rtp_round::Round;
use crate::subject::Subject;
use crate::udp_table;
use crate::verdict::per;

/// The flows of a blast.
pub(crate) struct Blast {
    senders: Vec<Sender>,
    probe: RtpLoad,
    /// Ports of ours whose drops are what was forwarded.
    sinks: HashSet<u16>,
    /// Ports of the relay whose drops are what it did not take.
    relay: HashSet<u16>,
    /// Bound of packets a second; `None`: as many as leave.
    pub(crate) rate: Option<u64>,
}

/// A socket that is one end of many sessions.
struct Sender {
    socket: UdpSocket,
    flows: Vec<FlowTo>,
    next: usize,
    headers: MultiHeaders<SockaddrIn>,
}

/// A flow: its number, where it goes, and how many packets have left.
#[derive(Debug, Clone, Copy)]
struct FlowTo {
    number: u32,
    to: SockaddrIn,
    sent: u64,
}

/// What a round of blast showed.
#[derive(Debug)]
pub(crate) struct BlastRound {
    /// Packets a second that left.
    pub(crate) offered: f64,
    /// Packets a second that came back.
    pub(crate) forwarded: f64,
    /// Share of what left that was lost at the relay's sockets.
    pub(crate) refused: f64,
    /// CPU of the relay for each packet that came back.
    pub(crate) cpu_ns: f64,
    /// Share of the core that the relay used.
    pub(crate) core: f64,
    /// Share of it that others used.
    pub(crate) foreign: f64,
    /// Share of the time that the generator ran.
    pub(crate) own_load: f64,
    /// The probes.
    pub(crate) probe: Round,
}

impl BlastRound {
    /// What a progress line says.
    pub(crate) fn told(&self) -> String {
        format!(
            "offered {:.0}/s, forwarded {:.0}/s, {:.0} ns a packet, relay {:.0} %, foreign {:.0} %, \
             refused {:.2} %, probes p50 {:.0} us p99 {:.0} us",
            self.offered,
            self.forwarded,
            self.cpu_ns,
            100.0 * self.core,
            100.0 * self.foreign,
            100.0 * self.refused,
            self.probe.latency.value_at_quantile(0.5) as f64 / 1000.0,
            self.probe.latency.value_at_quantile(0.99) as f64 / 1000.0,
        )
    }

    /// Why the round does not count.
    pub(crate) fn void(&self) -> Option<String> {
        if self.forwarded < 1.0 {
            return Some("nothing was forwarded".to_owned());
        }
        (self.foreign > FOREIGN_MAX).then(|| {
            format!(
                "others used {:.0} % of the measured core",
                100.0 * self.foreign
            )
        })
    }
}

/// What is read at both ends of the counted time.
#[derive(Debug, Clone, Copy, Default)]
struct Marks {
    clock: u64,
    own: u64,
    run: u64,
    ticks: CoreTicks,
    sent: u64,
    sinks: u64,
    relay: u64,
}

impl Blast {
    /// So many sessions through `target`, and one of probes.
    ///
    /// # Errors
    /// Sockets run out, or the target refuses.
    pub(crate) fn establish(target: &mut dyn Target, sessions: usize) -> Result<Self> {
        let mut senders = (0..SENDERS)
            .map(|_| Sender::open())
            .collect::<Result<Vec<_>>>()?;
        let addresses = senders
            .iter()
            .map(|sender| sender.socket.local_addr())
            .collect::<Result<Vec<_>, _>>()?;
        let at = |place: usize| addresses.get(place % SENDERS).copied();
        let mut ends = Vec::with_capacity(sessions + 1);
        for session in 0..sessions {
            ends.push(Ends {
                caller: at(session).context("a sender")?,
                callee: at(session + SENDERS / 2).context("a sender")?,
            });
        }
        let mut probes = RtpLoad::new()?;
        let (caller, callee) = (probes.next_end()?, probes.next_end()?);
        ends.push(Ends {
            caller: caller.address.into(),
            callee: callee.address.into(),
        });
        let mut ways = target
            .carry(&ends)
            .with_context(|| format!("set up {sessions} sessions through {}", target.name()))?;
        let probe = ways.pop().context("no way for the probe")?;
        let mut relay = HashSet::new();
        for (session, ways) in ways.into_iter().enumerate() {
            for (place, way) in [(session, ways.caller), (session + SENDERS / 2, ways.callee)] {
                let to = way.to;
                relay.insert(to.port());
                let number = u32::try_from(relay.len())?;
                let sender = senders.get_mut(place % SENDERS).context("a sender")?;
                sender.add(number, to)?;
            }
        }
        probes.add(caller, probe.caller)?;
        probes.add(callee, probe.callee)?;
        Ok(Self {
            senders,
            probe: probes,
            sinks: addresses.iter().map(SocketAddr::port).collect(),
            relay,
            rate: None,
        })
    }

    /// Blasts for `warm_up`, then for `counted`.
    ///
    /// # Errors
    /// The kernel refuses to send, or to tell.
    pub(crate) fn round(
        &mut self,
        subject: &Subject,
        cores: Cores,
        warm_up: Duration,
        counted: Duration,
    ) -> Result<BlastRound> {
        // Realtime for the round alone: who starts and ends nodes on this core must let them run.
        let _pinned = Pinned::here(cores.generator)?;
        let mut probe = Round::new()?;
        let (began, warm_up, counted) = (
            monotonic_ns(),
            u64::try_from(warm_up.as_nanos())?,
            u64::try_from(counted.as_nanos())?,
        );
        let (mut first, mut sent, mut probed) = (None, 0_u64, 0);
        loop {
            let now = monotonic_ns();
            let passed = now - began;
            if first.is_none() && passed >= warm_up {
                first = Some(self.marks(subject, cores, sent)?);
            }
            if passed >= warm_up + counted {
                break;
            }
            if now - probed >= PROBE_NS {
                probed = now;
                self.probe.probe(first.is_some(), &mut probe);
            }
            if self
                .rate
                .is_some_and(|rate| sent > passed / 1000 * rate / 1_000_000)
            {
                std::hint::spin_loop();
                continue;
            }
            for sender in &mut self.senders {
                sent += sender.send()?;
            }
        }
        let last = self.marks(subject, cores, sent)?;
        std::thread::sleep(SETTLE);
        self.probe.probe(false, &mut probe);
        Ok(between(first.unwrap_or(last), last, probe))
    }

    fn marks(&self, subject: &Subject, cores: Cores, sent: u64) -> Result<Marks> {
        let (run, clock, own) = (subject.run_ns(), monotonic_ns(), thread_cpu_ns());
        let ticks = CoreTicks::read(cores.measured);
        let [sinks, relay] = udp_table::drops([&self.sinks, &self.relay])?;
        Ok(Marks {
            clock,
            own,
            run,
            ticks,
            sent,
            sinks,
            relay,
        })
    }
}

fn between(first: Marks, last: Marks, probe: Round) -> BlastRound {
    let nanoseconds = (last.clock - first.clock).max(1);
    let a_second = |count: u64| count as f64 * 1e9 / nanoseconds as f64;
    let forwarded = last.sinks - first.sinks;
    let spent = last.run - first.run;
    let core = per(spent, nanoseconds);
    BlastRound {
        offered: a_second(last.sent - first.sent),
        forwarded: a_second(forwarded),
        refused: per(
            last.relay.saturating_sub(first.relay),
            last.sent - first.sent,
        ),
        cpu_ns: per(spent, forwarded),
        core,
        foreign: last.ticks.busy_since(first.ticks) - core,
        own_load: per(last.own - first.own, nanoseconds),
        probe,
    }
}

impl Sender {
    fn open() -> Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("a socket of the blast")?;
        // Classic BPF `ret 0`: accept no octet of any packet.
        SockRef::from(&socket).attach_filter(&[SockFilter::new(0x06, 0, 0, 0)])?;
        Ok(Self {
            socket,
            flows: Vec::new(),
            next: 0,
            headers: MultiHeaders::preallocate(BATCH, None),
        })
    }

    fn add(&mut self, number: u32, to: SocketAddr) -> Result<()> {
        let SocketAddr::V4(to) = to else {
            anyhow::bail!("{to}: the blast speaks IPv4 only");
        };
        self.flows.push(FlowTo {
            number,
            to: to.into(),
            sent: 0,
        });
        Ok(())
    }

    /// One batch, of the flows whose turn it is. Gives how many packets left.
    fn send(&mut self) -> Result<u64> {
        let Self {
            socket,
            flows,
            next,
            headers,
        } = self;
        let mut rtp = [[0_u8; HEADER_BYTES]; BATCH];
        let mut addresses = [None; BATCH];
        for (rtp, address) in rtp.iter_mut().zip(&mut addresses) {
            if *next >= flows.len() {
                *next = 0;
            }
            let Some(flow) = flows.get_mut(*next) else {
                return Ok(0);
            };
            *rtp = rtp_header(flow.number, flow.sent, Sound::PCMU);
            *address = Some(flow.to);
            flow.sent += 1;
            *next += 1;
        }
        let slices = rtp
            .each_ref()
            .map(|rtp| [IoSlice::new(rtp), IoSlice::new(&PAYLOAD)]);
        let flags = MsgFlags::empty();
        let sent = sendmmsg(socket.as_raw_fd(), headers, &slices, addresses, [], flags);
        match sent {
            Ok(results) => Ok(u64::try_from(results.count())?),
            // An ICMP error of an earlier packet, or a signal: the batch is lost, the blast goes on.
            Err(Errno::ECONNREFUSED | Errno::EINTR | Errno::EAGAIN) => Ok(0),
            Err(error) => Err(error).context("sendmmsg"),
        }
    }
}

const SENDERS: usize = 16;
const BATCH: usize = 64;
const PAYLOAD: [u8; PACKET_BYTES - HEADER_BYTES] = [0xff; PACKET_BYTES - HEADER_BYTES];
const PROBE_NS: u64 = 5_000_000;
const SETTLE: Duration = Duration::from_millis(50);
const FOREIGN_MAX: f64 = 0.1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_back_is_what_the_relay_is_charged_for() {
        let first = Marks::default();
        let last = Marks {
            clock: 2_000_000_000,
            own: 1_000_000_000,
            run: 1_800_000_000,
            sent: 800_000,
            sinks: 600_000,
            relay: 200_000,
            ..Marks::default()
        };
        let round = between(first, last, Round::new().expect("bounds that are right"));
        assert!((round.cpu_ns - 3000.0).abs() < 1e-6);
        assert!((round.forwarded - 300_000.0).abs() < 1e-6);
        assert!((round.refused - 0.25).abs() < 1e-9);
        assert!((round.own_load - 0.5).abs() < 1e-9);
    }
}
