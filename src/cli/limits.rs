//! `sluice limits`: what this machine and this configuration can carry, and what binds.

use serde::Serialize;

use super::output::Output;
use super::run::CommandError;
use crate::boot::browsers;
use crate::boot::limits::{self, Limits};
use crate::config::Config;

/// The capacity sheet. Nothing is started for it but the kernel's ring, and that is given back.
#[derive(Debug, Serialize)]
struct Sheet {
    calls_max: u32,
    calls_bound_by: &'static str,
    video_calls_max: u32,
    descriptors: u64,
    media_workers: u16,
    media_pairs: u64,
    media_io: &'static str,
    /// Why there is no ring; `None`: there is.
    ring_refused: Option<String>,
    bounds: Vec<Bound>,
}

/// A limit beneath these.
#[derive(Debug, Serialize)]
struct Bound {
    name: &'static str,
    value: u64,
    meaning: &'static str,
}

pub(super) fn run(config: &Config, output: &mut Output<'_>) -> Result<(), CommandError> {
    let descriptors = limits::raise_descriptors();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let limits = limits::derive(config, descriptors, cores);
    let sheet = sheet(config, &limits, descriptors)?;
    if output.is_json() {
        output.document(&sheet)?;
        return Ok(());
    }
    let by = sheet.calls_bound_by;
    let kernel = match &sheet.ring_refused {
        Some(why) => format!("no io_uring: {why}"),
        None if sheet.media_io == packet_io::KernelStep::Full.as_str() => {
            "io_uring of Linux 6.12 and later".to_owned()
        }
        None => "io_uring without min_wait, which came with Linux 6.12".to_owned(),
    };
    let row = |name: &str, value: String, meaning: &str| [name.to_owned(), value, meaning.into()];
    let mut rows = vec![
        row(
            "calls_max",
            sheet.calls_max.to_string(),
            &format!("calls at once, bound by {by}"),
        ),
        row(
            "video_calls_max",
            sheet.video_calls_max.to_string(),
            "of these with video: it has the ports and descriptors that the others do not need",
        ),
        row(
            "descriptors",
            sheet.descriptors.to_string(),
            "open files that the process may have; a call takes 4",
        ),
        row(
            "media_workers",
            sheet.media_workers.to_string(),
            "threads that relay packets",
        ),
        row(
            "media_pairs",
            sheet.media_pairs.to_string(),
            "RTP and RTCP port pairs, those in stock and at rest included",
        ),
        row("media_io", sheet.media_io.to_owned(), &kernel),
    ];
    for bound in &sheet.bounds {
        rows.push(row(bound.name, bound.value.to_string(), bound.meaning));
    }
    output.table(["LIMIT", "VALUE", "MEANING"], &rows)?;
    Ok(())
}

fn sheet(config: &Config, limits: &Limits, descriptors: u64) -> Result<Sheet, CommandError> {
    let chosen = packet_io::AnyPacketIo::choose(limits::packet_io(config, limits))
        .map_err(|refused| CommandError::Refused(format!("media: {refused:?}")))?;
    Ok(Sheet {
        calls_max: limits.calls_max,
        video_calls_max: limits.video_calls_max(),
        calls_bound_by: limits.binding,
        descriptors,
        media_workers: limits.workers,
        media_pairs: u64::from(limits.pairs_a_worker) * u64::from(limits.workers),
        media_io: chosen.step().as_str(),
        ring_refused: chosen.ring_refused().map(|refused| refused.to_string()),
        bounds: bounds(config, limits),
    })
}

fn bounds(config: &Config, limits: &Limits) -> Vec<Bound> {
    let (calls_max, rate) = (limits.calls_max, config.limits.calls_per_second_max);
    let guests = config.browser.limits;
    let bound = |name, value: u32, meaning| Bound {
        name,
        value: u64::from(value),
        meaning,
    };
    vec![
        bound(
            "sip.calls_max",
            sip::limits::CALLS_MAX,
            "most calls of any node",
        ),
        bound(
            "sip.transactions_max",
            sip::limits::transactions_max(calls_max, rate),
            "transactions at once; beyond it answers are sent without state",
        ),
        bound(
            "sip.attempts_per_call_max",
            sip::limits::ATTEMPTS_PER_CALL_MAX,
            "trunks tried for one call",
        ),
        bound(
            "media.leg_packets_per_second_max",
            media::limits::LEG_PACKETS_PER_SECOND_MAX,
            "packets of one leg that are passed on; the rest is dropped",
        ),
        bound(
            "media.leg_burst_packets_max",
            media::limits::LEG_BURST_PACKETS_MAX,
            "packets of one leg that may come at once",
        ),
        bound(
            "media.video_packets_per_second_max",
            media::limits::VIDEO_PACKETS_PER_SECOND_MAX,
            "packets of one leg for video that are passed on; the rest is dropped",
        ),
        bound(
            "media.video_burst_packets_max",
            media::limits::VIDEO_BURST_PACKETS_MAX,
            "packets of one leg for video that may come at once",
        ),
        bound(
            "media.worker_pairs_max",
            media::limits::PAIRS_MAX,
            "port pairs of one worker",
        ),
        bound(
            "media.browser_legs_max",
            browsers::legs_of_a_worker(limits),
            "legs of guests' browsers of one worker, two a guest with video; all on one port",
        ),
        bound(
            "browser.connections_max",
            guests.connections_max,
            "WebSockets of guests, and calls of theirs",
        ),
        bound(
            "browser.connections_per_client_max",
            guests.connections_per_client_max,
            "of these, from one address; of IPv6 from one /64",
        ),
        bound(
            "browser.loads_per_minute_max",
            guests.loads_per_minute_max,
            "pages that one address may load a minute",
        ),
    ]
}
