//! `capacity`: what sessions cost a relay that runs, step by step, and how it compares with another.
//!
//! A step is a number of sessions; its rounds are taken in turns with those of the other target
//! (A B A B). What comes out is a table, and on request JSON and a page with plots.

mod chart;
mod findings;
mod page;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use self::findings::{Compared, Findings, Ratio, StepFindings, TargetFindings};
use crate::blast::Blast;
use crate::carrier::{Through, Where, establish};
use crate::machine::{self, Cores, Pinned};
use crate::paced::{Effort, Series, Standing, interleave};
use crate::report::{self, Progress, progress};
use crate::rtp_flow::{Pace, RtpLoad};
use crate::rtp_packet::PACKET_BYTES;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    place: Where,
    /// Numbers of sessions, one step each.
    #[arg(long, value_delimiter = ',', default_value = "250,500,1000", value_parser = clap::value_parser!(u16).range(1..))]
    sessions: Vec<u16>,
    /// Packets a second in each direction of each session.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=500))]
    rate: u64,
    /// Rounds of each step that must count; void ones are done again.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Counted milliseconds of a round.
    #[arg(long, default_value_t = 2500, value_parser = clap::value_parser!(u64).range(100..))]
    round_ms: u64,
    /// Count void rounds, too: on a machine that is not quiet.
    #[arg(long)]
    keep_void: bool,
    /// Another target, in turns with the first: written as --through.
    #[arg(long, value_name = "TARGET")]
    compare: Option<Through>,
    /// Process of the other one.
    #[arg(long, value_name = "PID")]
    compare_pid: Option<u32>,
    /// Where the trunk of the other one leads, if it is a node.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.2:5071")]
    compare_callee: SocketAddr,
    /// Write all findings there, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a page with plots there.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// What a blast is made of.
#[derive(Debug, clap::Args)]
pub(crate) struct BlastOptions {
    #[command(flatten)]
    place: Where,
    /// Sessions; a leg of a node takes 500 packets a second at most, so few of them say nothing.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u16).range(1..))]
    sessions: u16,
    /// Rounds.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Counted milliseconds of a round.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u64).range(100..))]
    round_ms: u64,
    /// No more packets a second than this in all; default: as many as leave.
    #[arg(long)]
    rate: Option<u64>,
}

/// Measures, prints the table, writes the files.
///
/// # Errors
/// A target that refuses, a file that cannot be written.
pub(crate) fn run(options: &Options) -> Result<()> {
    let cores = Cores::find()?;
    if !Pinned::here(cores.generator)?.realtime {
        progress("capacity: no realtime scheduling here: latencies are those of the scheduler");
    }
    let most = options.sessions.iter().copied().max().unwrap_or_default();
    let mut standing = vec![stand(&options.place, most, cores)?];
    if let Some(through) = &options.compare {
        let place = Where {
            through: through.clone(),
            pid: options.compare_pid,
            callee: options.compare_callee,
            ..options.place.clone()
        };
        standing.push(stand(&place, most, cores).context("--compare")?);
    }
    let findings = measure(options, cores, &mut standing)?;
    for one in &mut standing {
        one.target.finish();
    }
    findings.table().lines().for_each(report::line);
    if let Some(file) = &options.json {
        let text = serde_json::to_string_pretty(&findings)?;
        std::fs::write(file, text).with_context(|| format!("write {}", file.display()))?;
    }
    if let Some(file) = &options.html {
        std::fs::write(file, page::page(&findings))
            .with_context(|| format!("write {}", file.display()))?;
    }
    Ok(())
}

fn stand(place: &Where, sessions: u16, cores: Cores) -> Result<Standing> {
    let mut target = place.target()?;
    let mut load = RtpLoad::new()?;
    // Those that are inside this program have no thread before they carry anything.
    target
        .subject()
        .ok()
        .map(|subject| subject.spread(cores))
        .transpose()?;
    progress(&format!(
        "capacity: {sessions} sessions through {}",
        target.name()
    ));
    establish(target.as_mut(), &mut load, usize::from(sessions))?;
    let subject = target.subject()?;
    subject.spread(cores)?;
    Ok(Standing {
        target,
        subject,
        load,
    })
}

fn measure(options: &Options, cores: Cores, standing: &mut [Standing]) -> Result<Findings> {
    let effort = Effort {
        rounds: usize::from(options.rounds),
        keeps_void: options.keep_void,
    };
    let mut targets: Vec<TargetFindings> = standing
        .iter()
        .map(|one| TargetFindings::new(one.target.name()))
        .collect();
    let mut ratios = Vec::new();
    let steps = options.sessions.len() * effort.rounds * standing.len();
    let mut progress = Progress::new("capacity", steps);
    for sessions in &options.sessions {
        let pace = Pace {
            period_ns: 1_000_000_000 / options.rate,
            ..Pace::speech(
                usize::from(*sessions),
                Duration::from_millis(options.round_ms),
            )
        };
        let mut series: Vec<Series> = standing
            .iter()
            .enumerate()
            .map(|(place, one)| {
                let label = format!("{sessions} sessions, {}", one.target.name());
                Series::new(&label, place, pace, effort)
            })
            .collect();
        interleave(standing, &mut series, cores, &mut progress, &mut || Ok(()))?;
        for (target, series) in targets.iter_mut().zip(&series) {
            target.steps.push(StepFindings::of(*sessions, series)?);
        }
        if let [first, second] = series.as_slice() {
            let ratio = |of| Ratio::new(of, *sessions, first, second);
            ratios.extend(Compared::ALL.map(ratio));
        }
    }
    Ok(Findings {
        machine: machine::describe(),
        packet_octets: PACKET_BYTES,
        rate: options.rate,
        round_ms: options.round_ms,
        keeps_void: options.keep_void,
        targets,
        ratios,
    })
}

/// Blasts, and prints a line a round and what comes of them.
///
/// # Errors
/// A target that refuses.
pub(crate) fn blast(options: &BlastOptions) -> Result<()> {
    let cores = Cores::find()?;
    let mut target = options.place.target()?;
    let mut blast = Blast::establish(target.as_mut(), usize::from(options.sessions))?;
    blast.rate = options.rate;
    let subject = target.subject()?;
    subject.spread(cores)?;
    let mut progress = Progress::new("blast", usize::from(options.rounds));
    let mut rounds = Vec::new();
    for _ in 0..options.rounds {
        let length = Duration::from_millis(options.round_ms);
        let round = blast.round(&subject, cores, WARM_UP, length)?;
        let judged = round
            .void()
            .map_or_else(String::new, |why| format!("; void: {why}"));
        progress.step(&format!("{}{judged}", round.told()));
        if round.void().is_none() {
            rounds.push(round);
        }
    }
    target.finish();
    if rounds.is_empty() {
        bail!("no round counts: see above why");
    }
    let lowest = |value: fn(&crate::blast::BlastRound) -> f64| {
        let values: Vec<f64> = rounds.iter().map(value).collect();
        crate::verdict::lowest_third(&values).unwrap_or_default()
    };
    let best = rounds.iter().map(|one| one.forwarded).fold(0.0, f64::max);
    report::figure("blast.cpu_ns", lowest(|one| one.cpu_ns));
    report::figure("blast.packets_per_s", best);
    report::figure("blast.core", lowest(|one| one.core));
    report::figure("blast.refused_percent", 100.0 * lowest(|one| one.refused));
    report::figure("blast.generator_load", lowest(|one| one.own_load));
    Ok(())
}

/// A node looks once a second whether a leg that was silent can be connected again.
const WARM_UP: Duration = Duration::from_millis(1200);
