//! Rows of saturation: more packets than one core forwards, through a node and through the minimal
//! relay in turns.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::{Row, Stage, row, row_at_least};
use crate::blast::{Blast, BlastRound};
use crate::carrier::{Minimal, Target};
use crate::floor::{self, Floor};
use crate::paced::Effort;
use crate::report::{self, Progress};
use crate::verdict::lowest_third;

/// CPU of a packet over the kernel floor; or, where that is not met, over the minimal relay.
const SATURATED: Row = ("relay.saturated", 1.45);
const BY_MINIMAL_MAX: f64 = 1.15;
/// Packets a second, the best round.
const RATE: Row = ("relay.saturated_packets_per_s", 300_000.0);
/// Both, where none can be measured.
pub(super) const ROWS: [Row; 2] = [SATURATED, RATE];

/// Measures, and prints the rows.
pub(super) fn measure(stage: &mut Stage<'_>) -> Result<()> {
    let mut node = stage.node("blast", 0, |_| ())?;
    let mut through_node = Blast::establish(&mut node, SESSIONS)?;
    report::progress(&format!("relay: {SESSIONS} sessions stand for the blast"));
    let mut minimal = Minimal::default();
    let mut through_minimal = Blast::establish(&mut minimal, SESSIONS)?;
    let cores = stage.cores;
    let Effort {
        rounds: wanted,
        keeps_void,
    } = stage.effort(ROUNDS);
    let mut progress = Progress::new("saturated", 2 * wanted);
    let (mut ours, mut theirs, mut floors) = (Vec::new(), Vec::new(), Vec::new());
    let mut voids = 0;
    while ours.len() < wanted || theirs.len() < wanted {
        floors.push(Floor::total_ns(floor::measure(
            cores.measured,
            FLOOR_ROUND,
        )?));
        let subjects: [(&mut Blast, &dyn Target, &mut Vec<BlastRound>); 2] = [
            (&mut through_node, &node, &mut ours),
            (&mut through_minimal, &minimal, &mut theirs),
        ];
        for (blast, target, rounds) in subjects {
            if rounds.len() >= wanted {
                continue;
            }
            let subject = target.subject()?;
            subject.spread(cores)?;
            let round = blast.round(&subject, cores, WARM_UP, ROUND)?;
            let void = round.void();
            let judged = void
                .as_ref()
                .map_or_else(String::new, |why| format!("; void: {why}"));
            progress.step(&format!("{}: {}{judged}", target.name(), round.told()));
            match void {
                Some(reason) if !keeps_void => {
                    voids += 1;
                    if voids > VOID_MAX {
                        bail!("too many void rounds; the last: {reason}");
                    }
                }
                Some(_) | None => rounds.push(round),
            }
        }
    }
    let floor_ns = lowest_third(&floors).context("no floor")?;
    print(&ours, &theirs, floor_ns)
}

fn print(ours: &[BlastRound], theirs: &[BlastRound], floor_ns: f64) -> Result<()> {
    let cpu = |rounds: &[BlastRound]| {
        lowest_third(&rounds.iter().map(|one| one.cpu_ns).collect::<Vec<_>>()).context("no rounds")
    };
    let best = |value: fn(&BlastRound) -> f64| ours.iter().map(value).fold(0.0, f64::max);
    let (ours_ns, theirs_ns) = (cpu(ours)?, cpu(theirs)?);
    let (by_floor, by_minimal) = (ours_ns / floor_ns, ours_ns / theirs_ns);
    report::figure("relay.saturated_floor_ns", floor_ns);
    report::figure("relay.saturated_cpu_ns", ours_ns);
    report::figure("relay.saturated_minimal_cpu_ns", theirs_ns);
    report::figure("relay.saturated_by_floor", by_floor);
    report::figure("relay.saturated_by_minimal", by_minimal);
    report::figure("relay.saturated_core", best(|one| one.core));
    report::figure("relay.saturated_offered_per_s", best(|one| one.offered));
    let fastest = theirs.iter().map(|one| one.forwarded).fold(0.0, f64::max);
    report::figure("relay.saturated_minimal_packets_per_s", fastest);
    let (value, limit) = verdict(by_floor, by_minimal);
    row((SATURATED.0, limit), Ok(value));
    row_at_least(RATE, Ok(best(|one| one.forwarded)));
    Ok(())
}

/// The ratio and the limit that the row shows: the floor's, unless only the minimal relay's is met.
fn verdict(by_floor: f64, by_minimal: f64) -> (f64, f64) {
    if by_floor > SATURATED.1 && by_minimal <= BY_MINIMAL_MAX {
        (by_minimal, BY_MINIMAL_MAX)
    } else {
        (by_floor, SATURATED.1)
    }
}

const SESSIONS: usize = 1_000;
const ROUNDS: usize = 7;
const VOID_MAX: u32 = 14;
/// A node looks once a second whether a leg that was silent can be connected again.
const WARM_UP: Duration = Duration::from_millis(1200);
const ROUND: Duration = Duration::from_millis(1500);
const FLOOR_ROUND: Duration = Duration::from_millis(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_limit_will_do_and_the_row_names_the_one_that_was_met() {
        assert_eq!(verdict(1.4, 1.3), (1.4, 1.45));
        assert_eq!(verdict(1.6, 1.1), (1.1, 1.15));
        assert_eq!(verdict(1.6, 1.2), (1.6, 1.45));
    }
}
