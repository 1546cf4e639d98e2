//! Group `relay`: paced RTP through calls that stand. CPU of the media workers per forwarded
//! packet, against the kernel floor measured in between; latency added; loss.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::unistd::Pid;

use crate::floor::{self, Floor};
use crate::machine::{self, Cores, Pinned, monotonic_ns, sleep_until_ns};
use crate::proc_stat::{self, CoreTicks};
use crate::report::{self, progress};
use crate::rtp_flow::{Mark, Round, RtpLoad, open_socket};
use crate::sip_load::{Happened, SipLoad};
use crate::stand_in::{self, StandIn};
use crate::verdict::{lowest_third, per};

/// How to measure.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Sessions, each with 50 packets a second both ways.
    #[arg(long, default_value_t = 1000)]
    pub(crate) sessions: u32,
    /// Rounds; the lowest third counts.
    #[arg(long, default_value_t = 9)]
    pub(crate) rounds: u32,
    /// Length of a round.
    #[arg(long, default_value_t = 2500)]
    pub(crate) round_ms: u64,
    /// SIP address of a gateway that runs.
    #[arg(long, default_value = "127.0.0.1:5060")]
    pub(crate) gateway: SocketAddr,
    /// Its process.
    #[arg(long, required_unless_present = "stand_in")]
    pub(crate) pid: Option<u32>,
    /// Names of its media threads begin with this.
    #[arg(long, default_value = "media")]
    pub(crate) thread: String,
    /// Request path to call.
    #[arg(long, default_value = "bench")]
    pub(crate) user: String,
    /// Where the trunk's target listens.
    #[arg(long, default_value = "127.0.0.1:5070")]
    pub(crate) callee: SocketAddr,
    /// Calls a second while sessions are set up.
    #[arg(long, default_value_t = 100)]
    pub(crate) setup_rate: u32,
    /// Measure a plain epoll relay inside this process instead of a gateway.
    #[arg(long)]
    pub(crate) stand_in: bool,
}

/// Verdict of the group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    /// CPU per forwarded packet over the floor of the same run.
    pub(crate) ratio: f64,
    /// The 99th percentile of added latency, milliseconds.
    pub(crate) added_p99_ms: f64,
}

/// One accepted round.
#[derive(Debug)]
struct Measured {
    floor: Floor,
    cpu_ns: f64,
    round: Round,
}

/// Who is measured: a process and its media threads.
#[derive(Debug)]
struct Subject {
    process: u32,
    media: Vec<Pid>,
}

/// Measures, and prints figures and bars.
pub(crate) fn run(options: &Options) -> Result<()> {
    let figures = measure(options)?;
    print_bars(figures);
    Ok(())
}

/// The bars of the group.
pub(crate) fn print_bars(figures: Figures) {
    report::bar("relay.paced", figures.ratio, RATIO_MAX);
    report::bar("relay.added_p99_ms", figures.added_p99_ms, ADDED_P99_MS_MAX);
}

/// Measures, and prints figures.
pub(crate) fn measure(options: &Options) -> Result<Figures> {
    let cores = Cores::find()?;
    report::note("relay", &machine::describe());
    let pinned = Pinned::here(cores.generator)?;
    if !pinned.realtime {
        report::note(
            "relay",
            "no realtime scheduling: latencies are those of the scheduler",
        );
    }
    let direct = calibrate(usize::try_from(options.sessions)?)?;
    let (load, subject, calls, stand_in) = if options.stand_in {
        let (load, relay) = through_stand_in(options)?;
        (
            load,
            Subject::find(std::process::id(), stand_in::THREAD_NAME)?,
            None,
            Some(relay),
        )
    } else {
        let process = options.pid.context("--pid of the gateway")?;
        let subject = Subject::find(process, &options.thread)?;
        subject.spread(cores)?;
        let (load, calls) = through_gateway(options)?;
        (load, subject, Some(calls), None)
    };
    subject.spread(cores)?;
    let rounds = rounds(options, cores, load, &subject)?;
    if let Some(calls) = calls {
        hang_up(calls, options.sessions);
    }
    drop(stand_in);
    Ok(judge(&rounds, direct))
}

/// Median latency without a gateway, nanoseconds: what the method itself adds.
fn calibrate(sessions: usize) -> Result<u64> {
    let mut load = RtpLoad::direct(sessions)?;
    let round = load.drive(
        Duration::from_millis(100),
        Duration::from_secs(1),
        &mut |_| {},
    )?;
    report::figure(
        "relay.direct_p50_us",
        us(round.latency.value_at_quantile(0.5)),
    );
    report::figure(
        "relay.direct_p99_us",
        us(round.latency.value_at_quantile(0.99)),
    );
    report::figure("relay.direct_generator_load", round.own_load);
    if round.lost() > 0 {
        bail!(
            "{} of {} packets lost without a gateway",
            round.lost(),
            round.sent
        );
    }
    Ok(round.latency.value_at_quantile(0.5))
}

fn through_stand_in(options: &Options) -> Result<(RtpLoad, StandIn)> {
    let mut sockets = Vec::new();
    let mut peers = Vec::new();
    for _ in 0..options.sessions {
        let (one, other) = (open_socket()?, open_socket()?);
        peers.push((one.local_addr()?, other.local_addr()?));
        sockets.push((one, other));
    }
    let relay = StandIn::start(&peers)?;
    let pairs = sockets.into_iter().zip(&relay.ports);
    let flows = pairs.flat_map(|((one, other), ports)| [(one, ports.0), (other, ports.1)]);
    let load = RtpLoad::new(flows.collect())?;
    Ok((load, relay))
}

/// Sets up the sessions by calls through the gateway.
fn through_gateway(options: &Options) -> Result<(RtpLoad, SipLoad)> {
    let count = usize::try_from(options.sessions)?;
    let open = |_| open_socket();
    let calling = (0..count).map(open).collect::<Result<Vec<_>>>()?;
    let called = (0..count).map(open).collect::<Result<Vec<_>>>()?;
    let called_media = called
        .iter()
        .map(std::net::UdpSocket::local_addr)
        .collect::<Result<_, _>>()?;
    let mut calls = SipLoad::new(options.gateway, &options.user, options.callee, called_media)?;
    let mut calling_targets = vec![None; count];
    let mut called_targets = vec![None; count];
    let interval = 1_000_000_000 / u64::from(options.setup_rate.max(1));
    let (mut answered, mut placed) = (0, 0);
    let start = monotonic_ns();
    let patience = start + interval * u64::from(options.sessions) + SETUP_PATIENCE_NS;
    while answered < options.sessions {
        let now = monotonic_ns();
        if placed < options.sessions && now >= start + interval * u64::from(placed) {
            let media = calling
                .get(usize::try_from(placed)?)
                .context("a socket a call")?;
            calls.invite(placed, media.local_addr()?);
            placed += 1;
        }
        for happened in calls.look() {
            match happened {
                Happened::Answered { call, media, .. } => {
                    answered += 1;
                    set(&mut calling_targets, usize::try_from(call)?, media);
                }
                Happened::Offered { number, media, .. } => set(&mut called_targets, number, media),
                Happened::Failed { call, status } => {
                    bail!("call {call} of {} failed with {status}", options.sessions)
                }
                Happened::Ended { .. } => {}
            }
        }
        if now > patience {
            bail!(
                "{answered} of {} calls were answered in time",
                options.sessions
            );
        }
        sleep_until_ns(now + LOOK_NS);
    }
    progress(&format!("relay: {answered} sessions stand"));
    // Neighbours are not one session's two sides: that is as random as a real mix.
    let flows = calling
        .into_iter()
        .zip(calling_targets)
        .zip(called.into_iter().zip(called_targets))
        .flat_map(|(one, other)| [one, other])
        .map(|(socket, target)| Ok((socket, target.context("an SDP without an audio address")?)))
        .collect::<Result<Vec<_>>>()?;
    Ok((RtpLoad::new(flows)?, calls))
}

fn set(targets: &mut [Option<SocketAddr>], index: usize, media: Option<SocketAddr>) {
    if let Some(target) = targets.get_mut(index) {
        *target = media;
    }
}

fn hang_up(mut calls: SipLoad, sessions: u32) {
    for call in 0..sessions {
        calls.bye(call);
        calls.look();
        sleep_until_ns(monotonic_ns() + 2 * LOOK_NS);
    }
    let end = monotonic_ns() + SETUP_PATIENCE_NS;
    while calls.alive() > 0 && monotonic_ns() < end {
        calls.look();
        sleep_until_ns(monotonic_ns() + LOOK_NS);
    }
    if calls.alive() > 0 {
        progress(&format!("relay: {} calls did not end", calls.alive()));
    }
}

impl Subject {
    fn find(process: u32, thread: &str) -> Result<Self> {
        let media: Vec<Pid> = proc_stat::threads(process)
            .into_iter()
            .filter(|found| found.name.starts_with(thread))
            .map(|found| found.thread)
            .collect();
        if media.is_empty() {
            bail!("process {process} has no thread whose name begins with {thread:?}");
        }
        Ok(Self { process, media })
    }

    /// Media threads on the measured core, realtime; all others of the process on the other core.
    fn spread(&self, cores: Cores) -> Result<()> {
        let own = self.process == std::process::id();
        for found in proc_stat::threads(self.process) {
            if self.media.contains(&found.thread) {
                machine::pin(found.thread, cores.measured)?;
                machine::make_realtime(found.thread);
            } else if !own {
                // A thread that ended meanwhile needs no core.
                drop(machine::pin(found.thread, cores.generator));
            }
        }
        Ok(())
    }

    fn run_ns(&self) -> u64 {
        proc_stat::run_ns(self.process, &self.media)
    }
}

/// Rounds of floor and relay in turn, until enough are accepted or too many were not.
fn rounds(
    options: &Options,
    cores: Cores,
    mut load: RtpLoad,
    subject: &Subject,
) -> Result<Vec<Measured>> {
    let length = Duration::from_millis(options.round_ms);
    let mut accepted = Vec::new();
    let mut void = 0;
    while accepted.len() < usize::try_from(options.rounds)? {
        let floor = floor::measure(cores.measured, FLOOR_ROUND)?;
        let (mut run, mut ticks) = ((0, 0), (CoreTicks::default(), CoreTicks::default()));
        let mut clock = (0, 0);
        let round = load.drive(WARM_UP, length, &mut |mark| match mark {
            Mark::Start => {
                run.0 = subject.run_ns();
                ticks.0 = CoreTicks::read(cores.measured);
                clock.0 = monotonic_ns();
            }
            Mark::End => {
                run.1 = subject.run_ns();
                ticks.1 = CoreTicks::read(cores.measured);
                clock.1 = monotonic_ns();
            }
        })?;
        let busy = ticks.1.busy_since(ticks.0);
        let own = per(run.1 - run.0, clock.1 - clock.0);
        let foreign = busy - own;
        let cpu_ns = per(run.1 - run.0, round.received);
        progress(&format!(
            "relay: floor {:.0} ns, {cpu_ns:.0} ns a packet, p50 {:.0} us, p99 {:.0} us, lost {}, \
             generator {:.0} %, media {:.0} %, foreign {:.0} %",
            floor.total_ns(),
            us(round.latency.value_at_quantile(0.5)),
            us(round.latency.value_at_quantile(0.99)),
            round.lost(),
            100.0 * round.own_load,
            100.0 * own,
            100.0 * foreign,
        ));
        if round.misrouted > 0 {
            bail!(
                "{} packets arrived at another call's socket",
                round.misrouted
            );
        }
        if round.own_load > OWN_LOAD_MAX || foreign > FOREIGN_MAX || round.received == 0 {
            void += 1;
            if void > VOID_MAX {
                bail!("too many void rounds: the generator's core or the measured one is in use");
            }
            continue;
        }
        accepted.push(Measured {
            floor,
            cpu_ns,
            round,
        });
    }
    Ok(accepted)
}

/// Prints the figures of the rounds and gives the verdict.
fn judge(rounds: &[Measured], direct_p50_ns: u64) -> Figures {
    let lowest = |value: &dyn Fn(&Measured) -> f64| {
        lowest_third(&rounds.iter().map(value).collect::<Vec<_>>()).unwrap_or_default()
    };
    let added = |quantile: f64| {
        lowest(&|one: &Measured| {
            us(one
                .round
                .latency
                .value_at_quantile(quantile)
                .saturating_sub(direct_p50_ns))
        })
    };
    let sum = |value: fn(&Round) -> u64| rounds.iter().map(|one| value(&one.round)).sum::<u64>();
    let floor_ns = lowest(&|one: &Measured| one.floor.total_ns());
    let cpu_ns = lowest(&|one: &Measured| one.cpu_ns);
    report::figure("relay.floor_ns", floor_ns);
    report::figure("relay.cpu_ns", cpu_ns);
    report::figure("relay.added_p50_us", added(0.5));
    report::figure("relay.added_p99_us", added(0.99));
    report::figure("relay.sent", sum(|round| round.sent) as f64);
    report::figure("relay.lost", sum(Round::lost) as f64);
    report::figure("relay.late", sum(|round| round.late) as f64);
    report::figure("relay.duplicates", sum(|round| round.duplicates) as f64);
    report::figure("relay.alien", sum(|round| round.alien) as f64);
    report::figure("relay.send_errors", sum(|round| round.send_errors) as f64);
    report::figure(
        "relay.generator_load",
        lowest(&|one: &Measured| one.round.own_load),
    );
    report::figure(
        "relay.send_lag_p99_us",
        lowest(&|one: &Measured| us(one.round.send_lag.value_at_quantile(0.99))),
    );
    Figures {
        ratio: cpu_ns / floor_ns,
        added_p99_ms: added(0.99) / 1000.0,
    }
}

fn us(ns: u64) -> f64 {
    ns as f64 / 1000.0
}

/// CPU per forwarded packet over the kernel floor.
pub(crate) const RATIO_MAX: f64 = 2.2;
/// Latency that the gateway may add, 99th percentile.
pub(crate) const ADDED_P99_MS_MAX: f64 = 1.0;
const FLOOR_ROUND: Duration = Duration::from_secs(2);
/// Long enough for legs to be stable and connected again after the silence of the floor's round.
const WARM_UP: Duration = Duration::from_secs(2);
const OWN_LOAD_MAX: f64 = 0.9;
const FOREIGN_MAX: f64 = 0.1;
const VOID_MAX: u32 = 9;
const LOOK_NS: u64 = 200_000;
const SETUP_PATIENCE_NS: u64 = 10_000_000_000;
