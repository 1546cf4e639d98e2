//! Group `sip`: what a standing call costs in memory, signalling and media state together.
//!
//! Calls are set up and stay. Resident memory of the whole process is read without calls, with a
//! thousand and with four thousand, each time when the transactions of the set-up are over (RFC 6026
//! timers L and M: 32 s), which are no part of a standing call; the bar is the dearer of the two
//! slopes. What the allocator keeps of them counts all the same.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::machine::{monotonic_ns, sleep_until_ns};
use crate::proc_stat::resident_octets;
use crate::report::{self, progress};
use crate::sip_load::{Happened, SipLoad};

/// Measures, and prints the bar and figures.
pub(crate) fn measure(gateway: SocketAddr, process: u32, callee: SocketAddr) -> Result<()> {
    let media = SocketAddr::from((Ipv4Addr::LOCALHOST, MEDIA_PORT));
    let mut load = SipLoad::new(gateway, "bench", callee, vec![media])?;
    let resident = || {
        sleep_until_ns(monotonic_ns() + SET_UP_OVER_NS);
        resident_octets(process).context("the gateway has ended")
    };
    // Pools and caches reach their size, then the calls of the warm-up end.
    establish(&mut load, 0, WARM_UP_CALLS)?;
    finish(&mut load, 0, WARM_UP_CALLS)?;
    let empty = resident()?;
    let mut first = WARM_UP_CALLS;
    let mut figures = Vec::new();
    let (mut calls_before, mut octets_before) = (0, empty);
    for calls in STEPS {
        establish(&mut load, first, first + calls - calls_before)?;
        first += calls - calls_before;
        let octets = resident()?;
        let each = octets.saturating_sub(octets_before) as f64 / f64::from(calls - calls_before);
        progress(&format!(
            "standing: {calls} calls, {:.1} MiB in all, {:.1} KiB for each of the last {}",
            octets as f64 / 1_048_576.0,
            each / 1024.0,
            calls - calls_before
        ));
        report::figure(&format!("sip.standing_kib.{calls}"), each / 1024.0);
        figures.push(each / 1024.0);
        (calls_before, octets_before) = (calls, octets);
    }
    finish(&mut load, WARM_UP_CALLS, first)?;
    let worst = figures.into_iter().fold(0.0, f64::max);
    report::bar("sip.standing_memory", worst, KIB_MAX);
    Ok(())
}

/// Sets up calls `from` to `to`, at a moderate rate.
pub(crate) fn establish(load: &mut SipLoad, from: u32, to: u32) -> Result<()> {
    let media = SocketAddr::from((Ipv4Addr::LOCALHOST, MEDIA_PORT));
    let (start, mut next, mut answered) = (monotonic_ns(), from, from);
    while answered < to {
        let now = monotonic_ns();
        while next < to && start + u64::from(next - from) * INTERVAL_NS <= now {
            load.invite(next, media);
            next += 1;
        }
        load.expire(PATIENCE);
        for happened in load.look() {
            match happened {
                Happened::Answered { .. } => answered += 1,
                Happened::Failed { call, status } => {
                    bail!("call {call} of {to} failed with {status}")
                }
                Happened::Ended { .. } | Happened::Offered { .. } => {}
            }
        }
        sleep_until_ns(now + LOOK_NS);
    }
    Ok(())
}

/// Ends calls `from` to `to`. The number of those that did not answer the BYE with 200.
pub(crate) fn finish(load: &mut SipLoad, from: u32, to: u32) -> Result<u32> {
    let (start, mut next, count) = (monotonic_ns(), from, to - from);
    let (mut ended, mut lost) = (0, 0);
    while ended + lost < count {
        let now = monotonic_ns();
        while next < to && start + u64::from(next - from) * INTERVAL_NS <= now {
            load.bye(next);
            next += 1;
        }
        for happened in load.look() {
            match happened {
                Happened::Ended { .. } => ended += 1,
                Happened::Failed { .. } => lost += 1,
                Happened::Answered { .. } | Happened::Offered { .. } => {}
            }
        }
        if now > start + END_PATIENCE_NS + u64::from(count) * INTERVAL_NS {
            lost = count - ended;
        }
        sleep_until_ns(now + LOOK_NS);
    }
    Ok(lost)
}

/// After the last set-up, until nothing of it is remembered.
const SET_UP_OVER_NS: u64 = 36_000_000_000;
/// Memory of one standing call.
pub(crate) const KIB_MAX: f64 = 24.0;
const STEPS: [u32; 2] = [1_000, 4_000];
const WARM_UP_CALLS: u32 = 200;
const INTERVAL_NS: u64 = 2_500_000;
const LOOK_NS: u64 = 100_000;
const PATIENCE: Duration = Duration::from_secs(8);
const END_PATIENCE_NS: u64 = 8_000_000_000;
const MEDIA_PORT: u16 = 49_170;
