//! Group `sip`: four times the rated calls a second. What is completed must not fall, and no call
//! that stands may be lost.
//!
//! The rated load is the gateway's own `limits.calls_per_second_max`. Two hundred calls are set up
//! before and ended after the storm: each must answer its BYE.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Result, bail};

use crate::machine::{self, Cores, Pinned, monotonic_ns, sleep_until_ns, thread_cpu_ns};
use crate::proc_stat;
use crate::report::{self, progress};
use crate::sip_load::{Happened, SipLoad};
use crate::standing;
use crate::verdict::{median, per};

/// What to measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    /// SIP address of the gateway.
    pub(crate) gateway: SocketAddr,
    /// Its process.
    pub(crate) process: u32,
    /// Where its trunk's target listens.
    pub(crate) callee: SocketAddr,
    /// Its `limits.calls_per_second_max`.
    pub(crate) rated: u32,
}

/// What one storm showed.
#[derive(Debug, Default)]
struct Storm {
    offered: u64,
    answered: u64,
    refused: u64,
    failed: u64,
    seconds: f64,
}

/// Measures, and prints bars and figures.
pub(crate) fn measure(options: Options) -> Result<()> {
    let cores = Cores::find()?;
    let _pinned = Pinned::here(cores.generator)?;
    for thread in proc_stat::threads(options.process) {
        drop(machine::pin(thread.thread, cores.measured));
    }
    let media = SocketAddr::from((Ipv4Addr::LOCALHOST, MEDIA_PORT));
    let mut load = SipLoad::new(options.gateway, "bench", options.callee, vec![media])?;
    standing::establish(&mut load, 0, STANDING)?;
    let mut next_call = STANDING;
    let mut goodput = Vec::new();
    for _ in 0..ROUNDS {
        let storm = storm(options, &mut load, &mut next_call)?;
        let completed = storm.answered as f64 / storm.seconds.max(0.001);
        progress(&format!(
            "overload: {} offered in {:.1} s, {:.0}/s completed, {} refused, {} failed",
            storm.offered, storm.seconds, completed, storm.refused, storm.failed
        ));
        goodput.push(completed / f64::from(options.rated));
    }
    let lost = standing::finish(&mut load, 0, STANDING)?;
    let goodput = median(&goodput).unwrap_or_default();
    report::bar_at_least("sip.goodput", goodput, GOODPUT_MIN);
    report::bar("sip.goodput_calls_lost", f64::from(lost), 0.0);
    Ok(())
}

/// Offers four times the rated load for a while. A refusal is 503, or 480 of a limit.
fn storm(options: Options, load: &mut SipLoad, next_call: &mut u32) -> Result<Storm> {
    let mut storm = Storm::default();
    let media = SocketAddr::from((Ipv4Addr::LOCALHOST, MEDIA_PORT));
    let interval = 1_000_000_000 / u64::from((options.rated * TIMES).max(1));
    let count = u64::try_from(ROUND.as_nanos())? / interval;
    let mut to_end: VecDeque<(u64, u32)> = VecDeque::new();
    let (began, start) = (thread_cpu_ns(), monotonic_ns());
    let standing = usize::try_from(STANDING)?;
    let mut last_offer = start;
    while storm.offered < count || load.alive() > standing {
        let now = monotonic_ns();
        while storm.offered < count && start + storm.offered * interval <= now {
            load.invite(*next_call, media);
            *next_call += 1;
            storm.offered += 1;
            last_offer = monotonic_ns();
            storm.seconds = (last_offer - start) as f64 / 1e9;
        }
        while to_end.front().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, call)) = to_end.pop_front() {
                load.bye(call);
            }
        }
        load.expire(PATIENCE);
        for happened in load.look() {
            match happened {
                Happened::Answered { call, .. } => {
                    to_end.push_back((monotonic_ns() + HOLD_NS, call));
                }
                // What is still under way when the storm is over was not carried in its time.
                Happened::Ended { .. } if monotonic_ns() <= last_offer + HOLD_NS => {
                    storm.answered += 1;
                }
                Happened::Ended { .. } => {}
                Happened::Failed {
                    status: 503 | 480, ..
                } => storm.refused += 1,
                Happened::Failed { .. } => storm.failed += 1,
                Happened::Offered { .. } => {}
            }
        }
        sleep_until_ns(now + LOOK_NS);
    }
    let own_load = per(thread_cpu_ns() - began, monotonic_ns() - start);
    if own_load > OWN_LOAD_MAX {
        bail!("the generator is at {:.0} % of its core", 100.0 * own_load);
    }
    Ok(storm)
}

/// Completed over rated.
pub(crate) const GOODPUT_MIN: f64 = 0.9;
const TIMES: u32 = 4;
const STANDING: u32 = 200;
const ROUNDS: u32 = 3;
const ROUND: Duration = Duration::from_secs(4);
const HOLD_NS: u64 = 100_000_000;
const LOOK_NS: u64 = 100_000;
const PATIENCE: Duration = Duration::from_secs(8);
const OWN_LOAD_MAX: f64 = 0.9;
const MEDIA_PORT: u16 = 49_170;
