//! Row `relay.growth`: what a packet costs among many sessions against few, at the same packets a
//! second in all, so that batches are alike and only the tables differ. RTP only: with sockets for RTCP,
//! 5,000 sessions would be more than 20,000 descriptors.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};

use super::{Row, Stage, row};
use crate::paced::{Series, interleave};
use crate::report::{self, Progress};
use crate::rtp_flow::{PERIOD_NS, Pace};

/// CPU of a packet, many sessions over few.
const GROWTH: Row = ("relay.growth", 1.5);
/// The only one.
pub(super) const ROWS: [Row; 1] = [GROWTH];

/// Measures, and prints the row.
pub(super) fn measure(stage: &mut Stage<'_>) -> Result<()> {
    let many = most_sessions();
    report::figure("relay.growth_sessions", many as f64);
    if many < MANY {
        report::note(
            "relay.growth",
            &format!(
                "{many} sessions instead of {MANY}: the hard limit of descriptors (RLIMIT_NOFILE)"
            ),
        );
    }
    if many < MANY / 2 {
        row(GROWTH, Err(anyhow!("{many} sessions are not many")));
        return Ok(());
    }
    let mut standing = vec![stage.standing("growth", 0, many, |plan| {
        plan.media_settings = "rtcp_ports = false".to_owned();
    })?];
    let pace = |sessions: usize| Pace {
        sessions,
        // As many packets a second in all as the few have as speech.
        period_ns: PERIOD_NS * u64::try_from(sessions).unwrap_or(1) / FEW_NS,
        warm_up: WARM_UP,
        counted: ROUND,
    };
    let mut series = vec![
        Series::new("500 sessions", 0, pace(FEW), stage.effort(ROUNDS)),
        Series::new("many sessions", 0, pace(many), stage.effort(ROUNDS)),
    ];
    let mut progress = Progress::new("growth", 2 * stage.effort(ROUNDS).rounds);
    interleave(
        &mut standing,
        &mut series,
        stage.cores,
        &mut progress,
        &mut || Ok(()),
    )?;
    let cpu = |at: usize| -> Result<f64> {
        let one: &Series = series.get(at).context("a series that was not run")?;
        one.lowest(|round| round.cpu_ns)
    };
    let (few_ns, many_ns) = (cpu(0), cpu(1));
    if let (Ok(few_ns), Ok(many_ns)) = (&few_ns, &many_ns) {
        report::figure("relay.growth_few_cpu_ns", *few_ns);
        report::figure("relay.growth_many_cpu_ns", *many_ns);
    }
    row(GROWTH, many_ns.and_then(|many| Ok(many / few_ns?)));
    Ok(())
}

/// A call has two sockets in the node, and two here; what else either needs stays free.
fn most_sessions() -> usize {
    let descriptors = crate::machine::descriptors();
    let room = descriptors.saturating_sub(DESCRIPTORS_ELSE) / SOCKETS_A_CALL;
    usize::try_from(room).unwrap_or(MANY).clamp(FEW, MANY)
}

const FEW: usize = 500;
const FEW_NS: u64 = 500;
const MANY: usize = 5_000;
const DESCRIPTORS_ELSE: u64 = 1_400;
const SOCKETS_A_CALL: u64 = 2;
/// Nine would take the group beyond its five minutes.
const ROUNDS: usize = 4;
const WARM_UP: Duration = Duration::from_millis(1500);
const ROUND: Duration = Duration::from_secs(2);
