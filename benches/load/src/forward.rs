//! Group `sip`: how long an INVITE takes through the gateway, at half of the rated load.
//!
//! From just before the caller's `sendto` to the kernel's arrival stamp at the callee, so that no
//! thread of the generator is inside. Each call has a destination of its own, by which the two
//! ends of a call are told.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;

use crate::machine::{self, Cores, Pinned, monotonic_ns, realtime_ns, sleep_until_ns};
use crate::proc_stat;
use crate::report::{self, progress};
use crate::sip_load::{Happened, SipLoad};
use crate::verdict::lowest_third;

/// What to measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    /// SIP address of the gateway.
    pub(crate) gateway: SocketAddr,
    /// Its process.
    pub(crate) process: u32,
    /// Where its trunk's target listens.
    pub(crate) callee: SocketAddr,
    /// Calls a second.
    pub(crate) rate: u32,
}

/// Request path of destination `number`, which is `DESTINATION_FIRST + number`.
pub(crate) fn path(number: u32) -> String {
    format!("bench-{number}")
}

/// Measures, and prints the bar and figures.
pub(crate) fn measure(options: Options) -> Result<()> {
    let cores = Cores::find()?;
    let _pinned = Pinned::here(cores.generator)?;
    for thread in proc_stat::threads(options.process) {
        drop(machine::pin(thread.thread, cores.measured));
    }
    let media = SocketAddr::from((Ipv4Addr::LOCALHOST, MEDIA_PORT));
    let mut load = SipLoad::new(options.gateway, "bench", options.callee, vec![media])?;
    let mut next_call = 0;
    round(options, &mut load, &mut next_call, WARM_UP)?;
    let (mut p50, mut p99) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let latency = round(options, &mut load, &mut next_call, ROUND)?;
        let at = |quantile| latency.value_at_quantile(quantile) as f64 / 1e6;
        progress(&format!(
            "forward: {} INVITEs at {}/s, p50 {:.2} ms, p99 {:.2} ms",
            latency.len(),
            options.rate,
            at(0.5),
            at(0.99)
        ));
        p50.push(at(0.5));
        p99.push(at(0.99));
    }
    report::figure("sip.forward_p50_ms", lowest_third(&p50).unwrap_or_default());
    let p99 = lowest_third(&p99).unwrap_or(f64::INFINITY);
    report::bar("sip.forward_p99_ms", p99, P99_MS_MAX);
    Ok(())
}

/// Calls at the rate for `length`; each ends as soon as it is answered. A call that failed has the
/// longest latency there is.
fn round(
    options: Options,
    load: &mut SipLoad,
    next_call: &mut u32,
    length: Duration,
) -> Result<Histogram<u64>> {
    let mut latency = Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3)?;
    let mut sent_at = vec![0_u64; usize::try_from(DESTINATIONS)?];
    let mut to_end: VecDeque<u32> = VecDeque::new();
    let media = SocketAddr::from((Ipv4Addr::LOCALHOST, MEDIA_PORT));
    let interval = 1_000_000_000 / u64::from(options.rate.max(1));
    let count = u64::try_from(length.as_nanos())? / interval;
    let (start, mut placed) = (monotonic_ns(), 0);
    while placed < count || load.alive() > 0 {
        let now = monotonic_ns();
        while placed < count && start + placed * interval <= now {
            let number = *next_call % DESTINATIONS;
            if let Some(slot) = sent_at.get_mut(usize::try_from(number)?) {
                *slot = realtime_ns();
            }
            load.invite_to(*next_call, &path(number), media);
            *next_call += 1;
            placed += 1;
        }
        while let Some(call) = to_end.pop_front() {
            load.bye(call);
        }
        load.expire(PATIENCE);
        for happened in load.look() {
            match happened {
                Happened::Offered {
                    user: Some(user),
                    arrived_ns,
                    ..
                } => {
                    let number = usize::try_from(user.saturating_sub(DESTINATION_FIRST))?;
                    let sent = sent_at.get(number).copied().unwrap_or_default();
                    latency.saturating_record(arrived_ns.saturating_sub(sent).max(1));
                }
                Happened::Answered { call, .. } => to_end.push_back(call),
                Happened::Failed { .. } => latency.saturating_record(LATENCY_NS_MAX),
                Happened::Offered { user: None, .. } | Happened::Ended { .. } => {}
            }
        }
        sleep_until_ns(now + LOOK_NS);
    }
    Ok(latency)
}

/// Links that exist, each with a destination of its own. At 750 calls a second a destination comes
/// again after more than a second.
pub(crate) const DESTINATIONS: u32 = 1_024;
/// Destination of the first.
pub(crate) const DESTINATION_FIRST: u32 = 100_000;
/// p99 from INVITE to INVITE.
pub(crate) const P99_MS_MAX: f64 = 2.0;
const ROUNDS: u32 = 9;
const ROUND: Duration = Duration::from_millis(2500);
const WARM_UP: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(8);
const LOOK_NS: u64 = 100_000;
const LATENCY_NS_MAX: u64 = 60_000_000_000;
const MEDIA_PORT: u16 = 49_170;
