//! Rows of paced speech: 172-octet packets, 50 a second both ways in each session.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::{Row, Stage, not_run, row};
use crate::floor::{self, Floor};
use crate::paced::{Series, Standing, interleave};
use crate::report::{self, Progress};
use crate::rtp_flow::Pace;
use crate::rtp_round::Round;
use crate::verdict::lowest_third;

/// CPU of a forwarded packet over the kernel floor of the same run, 1,000 sessions.
pub(super) const PACED: Row = ("relay.paced", 1.8);
const ADDED_P99: Row = ("relay.added_p99_ms", 1.0);
const SYSCALLS: Row = ("relay.syscalls", 0.02);
/// 1,600 sessions: percent lost, latency, share of the core.
const MANY: [Row; 3] = [
    ("relay.many_lost_percent", 0.01),
    ("relay.many_p99_ms", 1.0),
    ("relay.many_core", 0.7),
];
/// 500 sessions, with batching and without: three quantiles each.
const LATENCY: [Row; 3] = [
    ("relay.latency_p50_ms", 0.5),
    ("relay.latency_p99_ms", 1.0),
    ("relay.latency_p999_ms", 1.5),
];
const LATENCY_ALONE: [Row; 3] = [
    ("relay.latency_unbatched_p50_ms", 0.05),
    ("relay.latency_unbatched_p99_ms", 0.1),
    ("relay.latency_unbatched_p999_ms", 0.4),
];
/// CPU of a packet through the fallback over that through the ring.
const EPOLL: Row = ("relay.epoll", 1.4);
/// CPU of a packet from SRTP to SRTP under other keys over that of a plain one.
const SRTP: Row = ("relay.srtp.relayed", 1.2);
/// All of them, where none can be measured.
pub(super) const ROWS: [Row; 14] = [
    PACED,
    ADDED_P99,
    SYSCALLS,
    MANY[0],
    MANY[1],
    MANY[2],
    LATENCY[0],
    LATENCY[1],
    LATENCY[2],
    LATENCY_ALONE[0],
    LATENCY_ALONE[1],
    LATENCY_ALONE[2],
    EPOLL,
    SRTP,
];
const QUANTILES: [f64; 3] = [0.5, 0.99, 0.999];

/// Measures, and prints the rows.
pub(super) fn measure(stage: &mut Stage<'_>) -> Result<()> {
    let mut standing = vec![stage.standing("batched", 0, MANY_SESSIONS, |_| ())?];
    let paced = Pace::speech(SESSIONS, ROUND);
    let few = Pace::speech(FEW_SESSIONS, ROUND);
    let mut series = vec![
        Series::new("paced", 0, paced, stage.effort(ROUNDS)),
        Series::new("latency", 0, few, stage.effort(SHORT_ROUNDS)),
        Series::new(
            "many",
            0,
            Pace::speech(MANY_SESSIONS, ROUND),
            stage.effort(SHORT_ROUNDS),
        ),
    ];
    let [paced_at, latency_at, many_at] = [0, 1, 2];
    let mut add = |through: Result<Standing>, label: &str, pace, rounds| {
        through.map(|through| {
            series.push(Series::new(label, standing.len(), pace, rounds));
            standing.push(through);
            series.len() - 1
        })
    };
    let epoll = stage.standing("epoll", 1, SESSIONS, |plan| {
        plan.media_settings = "backend = \"epoll\"".to_owned();
    });
    let epoll_at = add(epoll, "epoll", paced, stage.effort(ROUNDS));
    let alone = stage.standing("unbatched", 2, FEW_SESSIONS, |plan| {
        plan.media_settings = "budget_us = 0".to_owned();
    });
    let alone_at = add(alone, "unbatched", few, stage.effort(SHORT_ROUNDS));
    let secure = stage.secure_standing("srtp", 3, SESSIONS, true);
    let secure_at = add(secure, "srtp", paced, stage.effort(ROUNDS));
    let cores = stage.cores;
    let steps = series.iter().map(|one| one.wanted()).sum();
    let mut progress = Progress::new("relay", steps);
    let mut floors = Vec::new();
    interleave(
        &mut standing,
        &mut series,
        cores,
        &mut progress,
        &mut || {
            floors.push(floor::measure(cores.measured, FLOOR_ROUND)?);
            Ok(())
        },
    )?;
    let floor_ns = lowest_third(
        &floors
            .iter()
            .map(|one| Floor::total_ns(*one))
            .collect::<Vec<_>>(),
    )
    .context("no floor")?;
    let of = |at: usize| series.get(at).context("a series that was not run");
    report::figure("relay.floor_ns", floor_ns);
    let paced = of(paced_at)?;
    print_paced(stage, paced, floor_ns);
    print_many(stage, of(many_at)?);
    print_latency(stage, &LATENCY, of(latency_at)?);
    match alone_at {
        Ok(at) => print_latency(stage, &LATENCY_ALONE, of(at)?),
        Err(error) => not_run(&LATENCY_ALONE, &error),
    }
    let over_paced = |at: Result<usize>, name: &str| -> Result<f64> {
        let (plain, other) = (cpu_ns(paced)?, cpu_ns(of(at?)?)?);
        report::figure(&format!("relay.{name}_cpu_ns"), other);
        Ok(other / plain)
    };
    row(EPOLL, over_paced(epoll_at, "epoll"));
    row(SRTP, over_paced(secure_at, "srtp"));
    Ok(())
}

fn print_paced(stage: &Stage<'_>, paced: &Series, floor_ns: f64) {
    let cpu = cpu_ns(paced);
    if let Ok(cpu) = &cpu {
        report::figure("relay.cpu_ns", *cpu);
        print_counts(paced);
    }
    row(PACED, cpu.map(|cpu| cpu / floor_ns));
    row(ADDED_P99, stage.added_ms(paced, 0.99));
    let entries = paced
        .lowest(|one| one.kernel_entries.unwrap_or(f64::NAN))
        .map_err(|error| error.context("what the node's metrics say of its system calls"));
    row(SYSCALLS, entries);
}

/// What became of the packets.
fn print_counts(series: &Series) {
    let counts = [
        ("sent", series.sum(|round| round.sent)),
        ("lost", series.sum(Round::lost)),
        ("late", series.sum(|round| round.late)),
        ("duplicates", series.sum(|round| round.duplicates)),
        ("alien", series.sum(|round| round.alien)),
        ("send_errors", series.sum(|round| round.send_errors)),
    ];
    for (name, count) in counts {
        report::figure(&format!("relay.{name}"), count as f64);
    }
    let lowest = [
        ("generator_load", series.lowest(|one| one.round.own_load)),
        (
            "send_lag_p99_us",
            series.lowest(|one| one.round.send_lag.value_at_quantile(0.99) as f64 / 1000.0),
        ),
    ];
    for (name, value) in lowest {
        if let Ok(value) = value {
            report::figure(&format!("relay.{name}"), value);
        }
    }
}

fn print_many(stage: &Stage<'_>, many: &Series) {
    let (sent, lost) = many.sent_and_lost();
    let percent = many
        .lowest(|one| one.cpu_ns)
        .map(|_| 100.0 * lost as f64 / sent.max(1) as f64);
    let values = [
        percent,
        stage.added_ms(many, 0.99),
        many.lowest(|one| one.core),
    ];
    for (bar, value) in MANY.into_iter().zip(values) {
        row(bar, value);
    }
}

fn print_latency(stage: &Stage<'_>, rows: &[Row; 3], series: &Series) {
    for (bar, quantile) in rows.iter().zip(QUANTILES) {
        row(*bar, stage.added_ms(series, quantile));
    }
    if let Ok(cpu) = cpu_ns(series) {
        report::figure(&format!("relay.{}_cpu_ns", series.label), cpu);
    }
}

/// CPU of a packet, the lowest third of the rounds.
fn cpu_ns(series: &Series) -> Result<f64> {
    series.lowest(|one| one.cpu_ns)
}

const SESSIONS: usize = 1_000;
const FEW_SESSIONS: usize = 500;
const MANY_SESSIONS: usize = 1_600;
const ROUNDS: usize = 9;
/// Of rows whose limit is no ratio of CPU: nine of each would take the group beyond its five minutes.
const SHORT_ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);
const FLOOR_ROUND: Duration = Duration::from_millis(300);
