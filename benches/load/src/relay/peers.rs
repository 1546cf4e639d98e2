//! Rows of `peers`: the same sessions through a node and through a peer, in turns.
//!
//! All threads of either count, and run on the measured core: a peer's walk over its calls is part of
//! what it costs, and so is our signalling.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::{Row, Stage, not_run, row, secure};
use crate::bench::Places;
use crate::carrier::{Daemon, Node, Resting, Target, establish};
use crate::paced::{Series, Standing, interleave, round};
use crate::proc_stat::resident_octets;
use crate::report::{self, Progress};
use crate::rtp_flow::{Pace, RtpLoad};

/// CPU of a packet, ours over rtpengine's.
const RELAY: Row = ("peers.relay_rtpengine", 0.45);
/// The same where the callee's side speaks SRTP.
const SRTP: Row = ("peers.srtp_rtpengine", 0.5);
/// Memory of a session in the whole process, ours over rtpengine's.
const MEMORY: Row = ("peers.memory_rtpengine", 0.5);
/// CPU of a packet, ours over rtpproxy's.
const RTPPROXY: Row = ("peers.relay_rtpproxy", 0.5);
/// CPU of a packet, ours over Asterisk's.
const ASTERISK: Row = ("peers.relay_asterisk", 0.45);
/// CPU of a packet, ours over FreeSWITCH's.
const FREESWITCH: Row = ("peers.relay_freeswitch", 0.45);

/// A relay that is measured beside ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    Rtpengine,
    RtpengineSrtp,
    Rtpproxy,
    Asterisk,
    Freeswitch,
}

impl Peer {
    /// In the order in which they are measured.
    pub(crate) const ALL: [Self; 5] = [
        Self::Rtpengine,
        Self::RtpengineSrtp,
        Self::Rtpproxy,
        Self::Asterisk,
        Self::Freeswitch,
    ];

    const fn rows(self) -> &'static [Row] {
        match self {
            Self::Rtpengine => &[RELAY, MEMORY],
            Self::RtpengineSrtp => &[SRTP],
            Self::Rtpproxy => &[RTPPROXY],
            Self::Asterisk => &[ASTERISK],
            Self::Freeswitch => &[FREESWITCH],
        }
    }

    fn measure(self, stage: &mut Stage<'_>, asterisk_root: &Path) -> Result<()> {
        match self {
            Self::Rtpengine => rtpengine(stage),
            Self::RtpengineSrtp => rtpengine_srtp(stage),
            Self::Rtpproxy => rtpproxy(stage),
            Self::Asterisk => asterisk(stage, asterisk_root),
            Self::Freeswitch => freeswitch(stage),
        }
    }
}

/// Measures, and prints the rows of `peers`. Each peer that is not here is `notrun`.
pub(crate) fn measure(places: &Places, asterisk_root: &Path, peers: &[Peer]) {
    let mut stage = match Stage::enter(places, "peers") {
        Ok(stage) => stage,
        Err(error) => {
            for peer in peers {
                not_run(peer.rows(), &error);
            }
            return;
        }
    };
    for peer in peers {
        if let Err(error) = peer.measure(&mut stage, asterisk_root) {
            not_run(peer.rows(), &error);
        }
        stage.stop();
    }
}

fn rtpengine(stage: &mut Stage<'_>) -> Result<()> {
    let (daemon, target) = Daemon::rtpengine()?;
    let ours = stage.node_measured("peers", 0, "", |_| ())?;
    let mut pair = Pair::stand(stage, ours, Box::new(target), daemon.process(), COUNTS)?;
    pair.measure(stage, "rtpengine", SESSIONS, RELAY)?;
    let (ours, theirs) = pair.octets_a_session()?;
    report::figure("peers.memory_sluice_kib", ours / 1024.0);
    report::figure("peers.memory_rtpengine_kib", theirs / 1024.0);
    row(MEMORY, Ok(ours / theirs.max(1.0)));
    Ok(())
}

fn rtpengine_srtp(stage: &mut Stage<'_>) -> Result<()> {
    let (daemon, target) = Daemon::rtpengine()?;
    let ours = stage.node_measured("peers-srtp", 0, "", |plan| secure(plan, false))?;
    let peer = Box::new(target.with_srtp());
    let mut pair = Pair::stand(stage, ours, peer, daemon.process(), COUNTS)?;
    pair.measure(stage, "rtpengine", SRTP_SESSIONS, SRTP)
}

fn rtpproxy(stage: &mut Stage<'_>) -> Result<()> {
    let (daemon, target) = Daemon::rtpproxy()?;
    let ours = stage.node_measured("peers", 0, "", |_| ())?;
    let mut pair = Pair::stand(stage, ours, Box::new(target), daemon.process(), COUNTS)?;
    pair.measure(stage, "rtpproxy", RTPPROXY_SESSIONS, RTPPROXY)
}

fn asterisk(stage: &mut Stage<'_>, root: &Path) -> Result<()> {
    let (daemon, target) = Daemon::asterisk_relay(root)?;
    calls(
        stage,
        "asterisk",
        &daemon,
        target,
        ASTERISK_COUNTS,
        ASTERISK,
    )
}

fn freeswitch(stage: &mut Stage<'_>) -> Result<()> {
    let folder = stage.places.data.join("freeswitch");
    let (daemon, target) = Daemon::freeswitch_relay(&folder)?;
    calls(
        stage,
        "freeswitch",
        &daemon,
        target,
        FREESWITCH_COUNTS,
        FREESWITCH,
    )
}

/// A peer whose sessions are calls with a thread or more for each: fewer of them, and its memory.
fn calls(
    stage: &mut Stage<'_>,
    peer: &str,
    daemon: &Daemon,
    target: Node,
    counts: Counts,
    bar: Row,
) -> Result<()> {
    let ours = stage.node_measured("peers", 0, "", |_| ())?;
    let mut pair = Pair::stand(stage, ours, Box::new(target), daemon.process(), counts)?;
    pair.measure(stage, peer, counts.all(), bar)?;
    let (ours, theirs) = pair.octets_a_session()?;
    report::figure(&format!("{}.sluice_memory_kib", bar.0), ours / 1024.0);
    report::figure(&format!("{}.{peer}_memory_kib", bar.0), theirs / 1024.0);
    Ok(())
}

/// Sessions that are set up, before memory is read for the first time and after it.
#[derive(Debug, Clone, Copy)]
struct Counts {
    few: usize,
    more: usize,
}

impl Counts {
    const fn all(self) -> usize {
        self.few + self.more
    }
}

/// Ours and a peer with the same sessions.
struct Pair {
    standing: Vec<Standing>,
    processes: [u32; 2],
    counts: Counts,
    /// Memory with few sessions.
    few: [u64; 2],
}

impl Pair {
    /// Few sessions through either, so that pools and caches reach their size, then all.
    fn stand(
        stage: &Stage<'_>,
        ours: Node,
        peer: Box<dyn Target>,
        process: u32,
        counts: Counts,
    ) -> Result<Self> {
        let ours: Box<dyn Target> = Box::new(ours);
        let peer: Box<dyn Target> = Box::new(Resting::new(peer, process));
        let mut standing = Vec::new();
        let mut few = [0; 2];
        let mut processes = [0, process];
        for ((mut target, few), process) in
            [ours, peer].into_iter().zip(&mut few).zip(&mut processes)
        {
            let mut load = RtpLoad::new()?;
            establish(target.as_mut(), &mut load, counts.few)?;
            let subject = target.subject()?;
            subject.spread(stage.cores)?;
            *process = subject.process();
            let mut one = Standing {
                target,
                subject,
                load,
            };
            round(&mut one, Pace::speech(counts.few, SETTLE), stage.cores)?;
            *few = resident(*process)?;
            establish(one.target.as_mut(), &mut one.load, counts.more)?;
            // Threads that came with the sessions count, too.
            one.subject = one.target.subject()?;
            one.subject.spread(stage.cores)?;
            one.target.rest();
            standing.push(one);
        }
        Ok(Self {
            standing,
            processes,
            counts,
            few,
        })
    }

    fn measure(&mut self, stage: &Stage<'_>, peer: &str, sessions: usize, bar: Row) -> Result<()> {
        let pace = Pace::speech(sessions, ROUND);
        let mut series = [
            Series::new("Sluice", 0, pace, stage.effort(ROUNDS)),
            Series::new(peer, 1, pace, stage.effort(ROUNDS)),
        ];
        let mut progress = Progress::new("peers", 2 * stage.effort(ROUNDS).rounds);
        interleave(
            &mut self.standing,
            &mut series,
            stage.cores,
            &mut progress,
            &mut || Ok(()),
        )?;
        let [ours, theirs] = &series;
        for (name, one) in [("sluice", ours), (peer, theirs)] {
            for (figure, value) in [
                ("cpu_ns", one.lowest(|round| round.cpu_ns)),
                ("p50_us", one.lowest(|round| round.latency_us(0.5))),
                ("p99_us", one.lowest(|round| round.latency_us(0.99))),
                ("p999_us", one.lowest(|round| round.latency_us(0.999))),
                ("core", one.lowest(|round| round.core)),
            ] {
                report::figure(&format!("{}.{name}_{figure}", bar.0), value?);
            }
            let (sent, lost) = one.sent_and_lost();
            report::figure(
                &format!("{}.{name}_lost_percent", bar.0),
                100.0 * lost as f64 / sent.max(1) as f64,
            );
        }
        let ours = ours.lowest(|round| round.cpu_ns)?;
        row(
            bar,
            theirs
                .lowest(|round| round.cpu_ns)
                .map(|theirs| ours / theirs),
        );
        Ok(())
    }

    /// What each of the later sessions took of memory: ours, theirs.
    fn octets_a_session(&self) -> Result<(f64, f64)> {
        let mut each = [0.0; 2];
        for ((each, process), few) in each.iter_mut().zip(self.processes).zip(self.few) {
            *each = resident(process)?.saturating_sub(few) as f64 / self.counts.more as f64;
        }
        let [ours, theirs] = each;
        Ok((ours, theirs))
    }
}

fn resident(process: u32) -> Result<u64> {
    resident_octets(process).with_context(|| format!("process {process} has ended"))
}

const COUNTS: Counts = Counts {
    few: 200,
    more: 1_000,
};
/// So many take half of one core.
const ASTERISK_COUNTS: Counts = Counts { few: 50, more: 200 };
/// With fifty more it loses packets on one core.
const FREESWITCH_COUNTS: Counts = Counts { few: 50, more: 150 };
const SESSIONS: usize = 1_000;
/// With SRTP a thousand are more than one core of rtpengine carries.
const SRTP_SESSIONS: usize = 800;
/// More than this it does not carry on one core.
const RTPPROXY_SESSIONS: usize = 500;
const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_secs(2);
const SETTLE: Duration = Duration::from_secs(1);
