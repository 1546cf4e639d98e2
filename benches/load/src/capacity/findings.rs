//! What was found: numbers for people, programs and the page.

use anyhow::Result;
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::paced::{PacedRound, Series};
use crate::verdict::{lowest_third, median};

/// All of a run.
#[derive(Debug, Serialize)]
pub(super) struct Findings {
    pub(super) machine: String,
    pub(super) packet_octets: usize,
    /// Packets a second in each direction of each session.
    pub(super) rate: u64,
    pub(super) round_ms: u64,
    /// Rounds that others disturbed count, too.
    pub(super) keeps_void: bool,
    pub(super) targets: Vec<TargetFindings>,
    /// First target over second, a step each; empty where there is one target.
    pub(super) ratios: Vec<Ratio>,
}

/// One target, step by step.
#[derive(Debug, Serialize)]
pub(super) struct TargetFindings {
    pub(super) name: String,
    pub(super) steps: Vec<StepFindings>,
}

impl TargetFindings {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            steps: Vec::new(),
        }
    }
}

/// A value over the rounds of a step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Spread {
    /// Mean of the lowest third: the verdict.
    pub(super) lowest_third: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Spread {
    fn of(values: &[f64]) -> Option<Self> {
        Some(Self {
            lowest_third: lowest_third(values)?,
            min: values.iter().copied().fold(f64::INFINITY, f64::min),
            max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        })
    }
}

/// A point of the distribution of latencies.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct LatencyPoint {
    pub(super) quantile: f64,
    pub(super) us: f64,
}

/// One step of one target. Without rounds that count, all but the counts of them is absent.
#[derive(Debug, Serialize)]
pub(super) struct StepFindings {
    pub(super) sessions: u16,
    pub(super) rounds: usize,
    pub(super) packets_per_s: f64,
    pub(super) sent: u64,
    pub(super) lost: u64,
    pub(super) late: u64,
    pub(super) duplicates: u64,
    /// CPU of a packet, nanoseconds.
    pub(super) cpu_ns: Option<Spread>,
    /// Share of its core.
    pub(super) core: Option<Spread>,
    pub(super) generator_load: Option<Spread>,
    /// Of all rounds together, microseconds.
    pub(super) latency: Vec<LatencyPoint>,
}

impl StepFindings {
    pub(super) fn of(sessions: u16, series: &Series) -> Result<Self> {
        let rounds = &series.rounds;
        let spread = |value: fn(&PacedRound) -> f64| {
            Spread::of(&rounds.iter().map(value).collect::<Vec<_>>())
        };
        let (sent, lost) = series.sent_and_lost();
        let seconds = series.pace.counted.as_secs_f64() * rounds.len() as f64;
        Ok(Self {
            sessions,
            rounds: rounds.len(),
            packets_per_s: if seconds > 0.0 {
                (sent - lost) as f64 / seconds
            } else {
                0.0
            },
            sent,
            lost,
            late: series.sum(|round| round.late),
            duplicates: series.sum(|round| round.duplicates),
            cpu_ns: spread(|one| one.cpu_ns),
            core: spread(|one| one.core),
            generator_load: spread(|one| one.round.own_load),
            latency: points(&merged(rounds.iter().map(|one| &one.round.latency))?),
        })
    }

    /// Latency at a quantile, where there is one.
    pub(super) fn latency_us(&self, quantile: f64) -> Option<f64> {
        self.latency
            .iter()
            .find(|point| (point.quantile - quantile).abs() < 1e-9)
            .map(|point| point.us)
    }

    /// Percent of what was sent.
    pub(super) fn lost_percent(&self) -> f64 {
        100.0 * self.lost as f64 / self.sent.max(1) as f64
    }
}

/// A figure of the first target over that of the second, round by round.
#[derive(Debug, Serialize)]
pub(super) struct Ratio {
    pub(super) of: Compared,
    pub(super) sessions: u16,
    pub(super) median: Option<f64>,
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
}

/// What two targets are compared by. Loss stands in the table: a ratio to none says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Compared {
    Cpu,
    P99,
}

impl Compared {
    pub(super) const ALL: [Self; 2] = [Self::Cpu, Self::P99];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "CPU of a packet",
            Self::P99 => "p99 of latency",
        }
    }

    fn value(self, round: &PacedRound) -> f64 {
        match self {
            Self::Cpu => round.cpu_ns,
            Self::P99 => round.latency_us(0.99),
        }
    }
}

impl Ratio {
    pub(super) fn new(of: Compared, sessions: u16, first: &Series, second: &Series) -> Self {
        let pairs = first.rounds.iter().zip(&second.rounds);
        let ratios: Vec<f64> = pairs
            .map(|(one, other)| of.value(one) / of.value(other))
            .filter(|ratio| ratio.is_finite())
            .collect();
        let spread = Spread::of(&ratios);
        Self {
            of,
            sessions,
            median: median(&ratios),
            min: spread.map(|spread| spread.min),
            max: spread.map(|spread| spread.max),
        }
    }
}

fn merged<'a>(all: impl Iterator<Item = &'a Histogram<u64>>) -> Result<Histogram<u64>> {
    let mut merged = Histogram::new(3)?;
    for one in all {
        merged.add(one)?;
    }
    Ok(merged)
}

fn points(latency: &Histogram<u64>) -> Vec<LatencyPoint> {
    if latency.is_empty() {
        return Vec::new();
    }
    QUANTILES
        .into_iter()
        .map(|quantile| LatencyPoint {
            quantile,
            us: latency.value_at_quantile(quantile) as f64 / 1000.0,
        })
        .collect()
}

impl Findings {
    /// The table that is printed.
    pub(super) fn table(&self) -> String {
        let mut text = format!(
            "{}; {} octets, {} packets a second each way\n{:<16} {:>8} {:>9} {:>9} {:>6} {:>8} {:>8} {:>8} {:>9} {:>9} {:>6} {:>6}\n",
            self.machine,
            self.packet_octets,
            self.rate,
            "target",
            "sessions",
            "packets/s",
            "ns/packet",
            "core",
            "p50 us",
            "p99 us",
            "p99.9 us",
            "max us",
            "lost %",
            "late",
            "double",
        );
        for target in &self.targets {
            for step in &target.steps {
                text.push_str(&line(&target.name, step));
            }
        }
        for ratio in &self.ratios {
            let (Some(median), Some(min), Some(max)) = (ratio.median, ratio.min, ratio.max) else {
                continue;
            };
            text.push_str(&format!(
                "ratio of {}, first over second, {} sessions: {median:.3} [{min:.3} .. {max:.3}]\n",
                ratio.of.as_str(),
                ratio.sessions
            ));
        }
        text
    }
}

fn line(name: &str, step: &StepFindings) -> String {
    let (Some(cpu), Some(core)) = (step.cpu_ns, step.core) else {
        return format!("{name:<16} {:>8} no round counts\n", step.sessions);
    };
    let at = |quantile| step.latency_us(quantile).unwrap_or_default();
    format!(
        "{name:<16} {:>8} {:>9.0} {:>9.0} {:>5.0}% {:>8.0} {:>8.0} {:>8.0} {:>9.0} {:>9.4} {:>6} {:>6}\n",
        step.sessions,
        step.packets_per_s,
        cpu.lowest_third,
        100.0 * core.lowest_third,
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0),
        step.lost_percent(),
        step.late,
        step.duplicates,
    )
}

/// What is shown of a distribution.
const QUANTILES: [f64; 10] = [0.0, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 0.9999, 0.99999, 1.0];

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(values: &[u64]) -> Histogram<u64> {
        let mut histogram = Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("bounds");
        values
            .iter()
            .for_each(|value| histogram.record(*value).expect("in bounds"));
        histogram
    }

    #[test]
    fn rounds_are_one_distribution_and_no_mean_of_percentiles() {
        let (quick, slow) = (histogram(&[1_000; 99]), histogram(&[900_000]));
        let merged = merged([&quick, &slow].into_iter()).expect("same bounds");
        let points = points(&merged);
        let at = |quantile: f64| {
            let found = points
                .iter()
                .find(|point| (point.quantile - quantile).abs() < 1e-9);
            found.expect("a quantile that is shown").us
        };
        assert!((at(0.99) - 1.0).abs() < 0.01, "{}", at(0.99));
        assert!((at(1.0) - 900.0).abs() < 1.0, "{}", at(1.0));
        assert!(super::points(&histogram(&[])).is_empty());
    }

    #[test]
    fn a_step_without_rounds_says_so_in_the_table() {
        let step = StepFindings {
            sessions: 7,
            rounds: 0,
            packets_per_s: 0.0,
            sent: 0,
            lost: 0,
            late: 0,
            duplicates: 0,
            cpu_ns: None,
            core: None,
            generator_load: None,
            latency: Vec::new(),
        };
        assert!(line("x", &step).contains("no round counts"));
        assert!(step.lost_percent() < f64::EPSILON);
    }

    #[test]
    fn a_spread_has_its_verdict_and_both_ends() {
        let spread = Spread::of(&[3.0, 1.0, 2.0]).expect("three rounds");
        assert_eq!(
            (spread.lowest_third, spread.min, spread.max),
            (1.0, 1.0, 3.0)
        );
        assert_eq!(Spread::of(&[]), None);
    }
}
