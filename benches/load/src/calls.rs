//! Group `sip`, call part: calls at a fixed rate through the B2BUA without media. CPU of the
//! gateway per call, set-up time, failures.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Result, bail};
use hdrhistogram::Histogram;

use crate::machine::{self, Cores, Pinned, monotonic_ns, sleep_until_ns, thread_cpu_ns};
use crate::proc_stat::{self, ThreadTime};
use crate::report::{self, progress};
use crate::sip_load::{Happened, SipLoad};
use crate::verdict::{lowest_third, per};

/// How to measure.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Calls a second.
    #[arg(long, default_value_t = 500)]
    pub(crate) rate: u32,
    /// Rounds; the lowest third counts.
    #[arg(long, default_value_t = 9)]
    pub(crate) rounds: u32,
    /// Length of a round.
    #[arg(long, default_value_t = 2500)]
    pub(crate) round_ms: u64,
    /// Between the caller's ACK and its BYE.
    #[arg(long, default_value_t = 100)]
    pub(crate) hold_ms: u64,
    /// SIP address of a gateway that runs, or of the callee itself with `--direct`.
    #[arg(long, default_value = "127.0.0.1:5060")]
    pub(crate) gateway: SocketAddr,
    /// Its process; without it CPU is not measured.
    #[arg(long)]
    pub(crate) pid: Option<u32>,
    /// Request path to call.
    #[arg(long, default_value = "bench")]
    pub(crate) user: String,
    /// Where the trunk's target listens.
    #[arg(long, default_value = "127.0.0.1:5070")]
    pub(crate) callee: SocketAddr,
    /// Call our own callee without a gateway: what the generator itself costs.
    #[arg(long)]
    pub(crate) direct: bool,
}

/// Verdict of the group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    /// CPU of the whole gateway per call, milliseconds.
    pub(crate) cpu_ms: f64,
    /// Calls that were set up and ended, a second, in the rounds where none failed.
    pub(crate) completed_per_s: f64,
}

/// One round.
#[derive(Debug)]
struct Round {
    placed: u64,
    ended: u64,
    failed: u64,
    setup: Histogram<u64>,
    cpu_ns: u64,
    own_load: f64,
    /// From the first INVITE to the last end of a call, less the time it stood.
    busy_ns: u64,
}

/// Measures, and prints figures; the bar too where a gateway was measured.
pub(crate) fn run(options: &Options) -> Result<()> {
    let figures = measure(options, &mut || ())?;
    if options.pid.is_some() && !options.direct {
        report::bar("sip.call_cpu", figures.cpu_ms, CPU_MS_MAX);
    }
    Ok(())
}

/// Measures, and prints figures. `between`: done before each round, so that what it measures and what a
/// round does meet the same machine.
pub(crate) fn measure(options: &Options, between: &mut dyn FnMut()) -> Result<Figures> {
    let cores = Cores::find()?;
    report::note("calls", &machine::describe());
    let _pinned = Pinned::here(cores.generator)?;
    if let Some(process) = options.pid {
        for thread in proc_stat::threads(process) {
            drop(machine::pin(thread.thread, cores.measured));
        }
    }
    let target = if options.direct {
        options.callee
    } else {
        options.gateway
    };
    let media = SocketAddr::from((Ipv4Addr::LOCALHOST, MEDIA_PORT));
    let mut load = SipLoad::new(target, &options.user, options.callee, vec![media])?;
    let mut next_call = 0;
    // Caches fill, pools grow, the trunk's first OPTIONS is answered.
    round(options, &mut load, &mut next_call, WARM_UP)?;
    let before = options.pid.map(proc_stat::threads).unwrap_or_default();
    let mut rounds = Vec::new();
    for _ in 0..options.rounds.max(1) {
        between();
        let length = Duration::from_millis(options.round_ms);
        let one = round(options, &mut load, &mut next_call, length)?;
        progress(&format!(
            "calls: {} placed, {} failed, {:.3} ms CPU a call, set-up p50 {:.1} ms, generator {:.0} %",
            one.placed,
            one.failed,
            per(one.cpu_ns, one.ended) / 1e6,
            one.setup.value_at_quantile(0.5) as f64 / 1e6,
            100.0 * one.own_load,
        ));
        if one.own_load > OWN_LOAD_MAX {
            bail!(
                "the generator is at {:.0} % of its core",
                100.0 * one.own_load
            );
        }
        rounds.push(one);
    }
    if let Some(process) = options.pid {
        print_threads(&before, &proc_stat::threads(process), &rounds);
    }
    Ok(judge(&rounds))
}

/// Places calls for `length`, then waits until all of them are over.
fn round(
    options: &Options,
    load: &mut SipLoad,
    next_call: &mut u32,
    length: Duration,
) -> Result<Round> {
    let mut round = Round {
        placed: 0,
        ended: 0,
        failed: 0,
        setup: Histogram::new_with_bounds(1, 60_000_000_000, 3)?,
        cpu_ns: 0,
        own_load: 0.0,
        busy_ns: 0,
    };
    let cpu = |process: Option<u32>| process.map(machine::process_cpu_ns).unwrap_or_default();
    let interval = 1_000_000_000 / u64::from(options.rate.max(1));
    let count = u64::try_from(length.as_nanos())? / interval;
    let hold = options.hold_ms * 1_000_000;
    let media = SocketAddr::from((Ipv4Addr::LOCALHOST, MEDIA_PORT));
    let mut to_end: VecDeque<(u64, u32)> = VecDeque::new();
    let (began_cpu, began_own, start) = (cpu(options.pid), thread_cpu_ns(), monotonic_ns());
    while round.placed < count || load.alive() > 0 {
        let now = monotonic_ns();
        while round.placed < count && start + round.placed * interval <= now {
            load.invite(*next_call, media);
            *next_call += 1;
            round.placed += 1;
        }
        while to_end.front().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, call)) = to_end.pop_front() {
                load.bye(call);
            }
        }
        load.expire(PATIENCE);
        for happened in load.look() {
            match happened {
                Happened::Answered { call, after_ns, .. } => {
                    round.setup.saturating_record(after_ns.max(1));
                    to_end.push_back((monotonic_ns() + hold, call));
                }
                Happened::Failed { call, status } => {
                    if round.failed == 0 {
                        progress(&format!("calls: call {call} failed with {status}"));
                    }
                    round.failed += 1;
                }
                Happened::Ended { .. } => round.ended += 1,
                Happened::Offered { .. } => {}
            }
        }
        sleep_until_ns(now + LOOK_NS);
    }
    round.cpu_ns = cpu(options.pid).saturating_sub(began_cpu);
    round.own_load = per(thread_cpu_ns() - began_own, monotonic_ns() - start);
    round.busy_ns = (monotonic_ns() - start).saturating_sub(hold);
    Ok(round)
}

/// CPU per call of each kind of thread.
fn print_threads(before: &[ThreadTime], after: &[ThreadTime], rounds: &[Round]) {
    let calls: u64 = rounds.iter().map(|round| round.ended).sum();
    let mut by_name: Vec<(String, u64)> = Vec::new();
    for thread in after {
        let earlier = before.iter().find(|old| old.thread == thread.thread);
        let spent = thread
            .run_ns
            .saturating_sub(earlier.map_or(0, |old| old.run_ns));
        let name = thread
            .name
            .trim_end_matches(|c: char| c.is_ascii_digit() || c == '-');
        match by_name.iter_mut().find(|(known, _)| known == name) {
            Some((_, total)) => *total += spent,
            None => by_name.push((name.to_owned(), spent)),
        }
    }
    by_name.sort_by_key(|(_, spent)| std::cmp::Reverse(*spent));
    for (name, spent) in by_name.iter().filter(|(_, spent)| *spent > 0) {
        report::figure(
            &format!("sip.call_cpu_us.{name}"),
            per(*spent, calls) / 1000.0,
        );
    }
}

impl Round {
    /// CPU of a call. No number where hardly any was completed: to refuse calls is cheap.
    fn cpu_ms(&self) -> f64 {
        if self.ended == 0 || self.ended * 100 < self.placed * ENDED_PERCENT_MIN {
            return f64::NAN;
        }
        per(self.cpu_ns, self.ended) / 1e6
    }
}

fn judge(rounds: &[Round]) -> Figures {
    let lowest = |value: &dyn Fn(&Round) -> f64| {
        lowest_third(&rounds.iter().map(value).collect::<Vec<_>>()).unwrap_or(f64::INFINITY)
    };
    let setup_ms = |quantile: f64| {
        lowest(&|round: &Round| match round.setup.is_empty() {
            true => f64::NAN,
            false => round.setup.value_at_quantile(quantile) as f64 / 1e6,
        })
    };
    // A gateway that refuses calls in some rounds has no figure in the others.
    let is_whole = rounds.iter().all(|round| round.cpu_ms().is_finite());
    let cpu_ms = if is_whole {
        lowest(&Round::cpu_ms)
    } else {
        f64::INFINITY
    };
    report::figure("sip.call_cpu_ms", cpu_ms);
    report::figure("sip.setup_p50_ms", setup_ms(0.5));
    report::figure("sip.setup_p99_ms", setup_ms(0.99));
    report::figure(
        "sip.calls",
        rounds.iter().map(|round| round.placed).sum::<u64>() as f64,
    );
    report::figure(
        "sip.calls_failed",
        rounds.iter().map(|round| round.failed).sum::<u64>() as f64,
    );
    report::figure(
        "sip.generator_load",
        lowest(&|round: &Round| round.own_load),
    );
    let rates: Vec<f64> = rounds
        .iter()
        .map(|round| match round.failed {
            0 => round.ended as f64 * 1e9 / round.busy_ns.max(1) as f64,
            _ => 0.0,
        })
        .collect();
    Figures {
        cpu_ms,
        completed_per_s: crate::verdict::median(&rates).unwrap_or_default(),
    }
}

/// CPU of the gateway for one call, set-up and end, without media.
pub(crate) const CPU_MS_MAX: f64 = 0.48;
/// Calls a second that one core sets up and ends.
pub(crate) const CALLS_PER_SECOND_MIN: f64 = 1_500.0;
const OWN_LOAD_MAX: f64 = 0.9;
/// Of the calls of a round whose CPU counts.
const ENDED_PERCENT_MIN: u64 = 99;
const WARM_UP: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(8);
const LOOK_NS: u64 = 100_000;
/// Named in every SDP; nothing is sent to it, because nothing is sent.
const MEDIA_PORT: u16 = 49_170;
