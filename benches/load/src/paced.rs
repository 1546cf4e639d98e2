//! Rounds of paced speech through a target: what a packet costs it, and what became of the packet.
//!
//! A round counts only where the machine was quiet: it is void, and is done again, where others used the
//! measured core or the generator itself had no time left. Rounds of several series are taken in
//! turns (A B A B), so that what the machine does to one it does to all.

use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::unistd::gettid;

use crate::carrier::{Counter, OwnCount, Target};
use crate::machine::{Cores, Pinned, make_ordinary, monotonic_ns};
use crate::proc_stat::CoreTicks;
use crate::report::Progress;
use crate::rtp_flow::{Mark, Pace, RtpLoad};
use crate::rtp_round::Round;
use crate::subject::Subject;
use crate::verdict::{lowest_third, per};

/// A target with sessions that stand, and the load for them.
pub(crate) struct Standing {
    /// Who carries them.
    pub(crate) target: Box<dyn Target>,
    /// What of it is charged.
    pub(crate) subject: Subject,
    /// Both ends of the sessions.
    pub(crate) load: RtpLoad,
}

/// One round.
#[derive(Debug)]
pub(crate) struct PacedRound {
    /// CPU of the subject for each packet that arrived.
    pub(crate) cpu_ns: f64,
    /// Share of the measured core that the subject used.
    pub(crate) core: f64,
    /// Share of it that others used.
    pub(crate) foreign: f64,
    /// System calls for each packet, by the target's own count.
    pub(crate) kernel_entries: Option<f64>,
    /// What became of the packets.
    pub(crate) round: Round,
}

impl PacedRound {
    /// What the target did wrong while nobody disturbed it.
    fn fault(&self) -> Option<String> {
        if self.round.own_load > OWN_LOAD_MAX || self.foreign > FOREIGN_MAX {
            return None;
        }
        let (sent, lost) = (self.round.sent, self.round.lost());
        (lost * 100 > sent * LOST_PERCENT_MAX)
            .then(|| format!("{lost} of {sent} packets were lost"))
    }

    /// Why the round does not count.
    pub(crate) fn void(&self) -> Option<String> {
        if self.round.received == 0 {
            return Some("no packet arrived".to_owned());
        }
        if self.round.own_load > OWN_LOAD_MAX {
            return Some(format!(
                "the generator's core was {:.0} % busy",
                100.0 * self.round.own_load
            ));
        }
        (self.foreign > FOREIGN_MAX).then(|| {
            format!(
                "others used {:.0} % of the measured core",
                100.0 * self.foreign
            )
        })
    }

    /// Latency at a quantile, microseconds.
    pub(crate) fn latency_us(&self, quantile: f64) -> f64 {
        self.round.latency.value_at_quantile(quantile) as f64 / 1000.0
    }

    fn told(&self) -> String {
        format!(
            "{:.0} ns a packet, p50 {:.0} us, p99 {:.0} us, lost {}, generator {:.0} %, relay {:.0} %, foreign {:.0} %",
            self.cpu_ns,
            self.latency_us(0.5),
            self.latency_us(0.99),
            self.round.lost(),
            100.0 * self.round.own_load,
            100.0 * self.core,
            100.0 * self.foreign,
        )
    }
}

/// One round through what stands.
///
/// # Errors
/// A packet reached another session: nothing after that can be believed.
pub(crate) fn round(standing: &mut Standing, pace: Pace, cores: Cores) -> Result<PacedRound> {
    let subject = &standing.subject;
    let (mut run, mut ticks) = ((0, 0), (CoreTicks::default(), CoreTicks::default()));
    let mut clock = (0, 0);
    let counting = Counting::begin(standing.target.counter(), pace.counted);
    let round = standing.load.drive(pace, &mut |mark| match mark {
        Mark::Start => {
            counting.start();
            run.0 = subject.run_ns();
            ticks.0 = CoreTicks::read(cores.measured);
            clock.0 = monotonic_ns();
        }
        Mark::End => {
            run.1 = subject.run_ns();
            ticks.1 = CoreTicks::read(cores.measured);
            clock.1 = monotonic_ns();
        }
    })?;
    let counts = counting.end();
    if round.misrouted > 0 {
        bail!(
            "{}: {} packets arrived at another session's socket",
            standing.target.name(),
            round.misrouted
        );
    }
    if round.unstamped > 0 {
        bail!(
            "{}: {} packets have no time of arrival, or one before they were sent",
            standing.target.name(),
            round.unstamped
        );
    }
    let spent = run.1 - run.0;
    let core = per(spent, clock.1 - clock.0);
    Ok(PacedRound {
        cpu_ns: per(spent, round.received),
        core,
        foreign: ticks.1.busy_since(ticks.0) - core,
        kernel_entries: counts.and_then(entries_a_packet),
        round,
    })
}

/// A thread that asks the target for its own count while packets flow: near the beginning of the counted
/// time and near its end, so that no start is in between.
struct Counting {
    start: Sender<()>,
    thread: JoinHandle<Option<(OwnCount, OwnCount)>>,
}

impl Counting {
    fn begin(counter: Option<Counter>, counted: Duration) -> Self {
        let (start, is_started) = channel();
        let thread = std::thread::spawn(move || {
            // In what time the load leaves of its core.
            make_ordinary(gettid());
            let counter = counter?;
            is_started.recv().ok()?;
            let before = counter()?;
            std::thread::sleep(counted.mul_f64(COUNTED_SHARE));
            Some((before, counter()?))
        });
        Self { start, thread }
    }

    fn start(&self) {
        // The thread has nobody to ask and is gone: there is no count.
        self.start.send(()).ok();
    }

    fn end(self) -> Option<(OwnCount, OwnCount)> {
        drop(self.start);
        self.thread.join().ok().flatten()
    }
}

/// Between the two counts, of the counted time.
const COUNTED_SHARE: f64 = 0.7;

fn entries_a_packet((before, after): (OwnCount, OwnCount)) -> Option<f64> {
    let packets = after.packets.checked_sub(before.packets)?;
    let entries = after.kernel_entries.checked_sub(before.kernel_entries)?;
    (packets > 0).then(|| per(entries, packets))
}

/// How many rounds are wanted, and how they are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Effort {
    /// Rounds that must count.
    pub(crate) rounds: usize,
    /// Void rounds count, too: the run shows that all works, and no figure.
    pub(crate) keeps_void: bool,
}

/// Rounds at one pace through one target.
#[derive(Debug)]
pub(crate) struct Series {
    /// What it is called on progress lines.
    pub(crate) label: String,
    /// Which of what stands.
    pub(crate) standing: usize,
    /// How packets leave.
    pub(crate) pace: Pace,
    effort: Effort,
    /// Rounds that count.
    pub(crate) rounds: Vec<PacedRound>,
    /// What the target did wrong first.
    fault: Option<String>,
    /// Why rounds did not count, the last reason.
    void: Option<String>,
    voids: usize,
}

impl Series {
    pub(crate) fn new(label: &str, standing: usize, pace: Pace, effort: Effort) -> Self {
        Self {
            label: label.to_owned(),
            standing,
            pace,
            effort,
            rounds: Vec::new(),
            fault: None,
            void: None,
            voids: 0,
        }
    }

    /// Rounds that are wanted.
    pub(crate) const fn wanted(&self) -> usize {
        self.effort.rounds
    }

    fn is_done(&self) -> bool {
        self.rounds.len() >= self.wanted() || self.voids >= self.wanted().max(3)
    }

    fn take(&mut self, measured: PacedRound) {
        self.fault = self.fault.take().or_else(|| measured.fault());
        match measured.void() {
            Some(reason) if !self.effort.keeps_void => {
                self.voids += 1;
                self.void = Some(reason);
            }
            Some(_) | None => self.rounds.push(measured),
        }
    }

    /// Lowest third of a value over the rounds.
    ///
    /// # Errors
    /// Too few rounds count, and why; or the target lost packets that it had the time for.
    pub(crate) fn lowest(&self, value: impl Fn(&PacedRound) -> f64) -> Result<f64> {
        if let Some(fault) = self.fault.as_deref().filter(|_| !self.effort.keeps_void) {
            bail!("{fault} in a round that nobody disturbed");
        }
        let enough = self.wanted().div_ceil(2);
        if self.rounds.len() < enough {
            bail!(
                "{} of {} rounds count: {}",
                self.rounds.len(),
                self.wanted(),
                self.void.as_deref().unwrap_or("they were not run")
            );
        }
        lowest_third(&self.rounds.iter().map(value).collect::<Vec<_>>())
            .context("a value that is no number")
    }

    /// Packets sent and lost, all rounds that count.
    pub(crate) fn sent_and_lost(&self) -> (u64, u64) {
        self.rounds.iter().fold((0, 0), |(sent, lost), one| {
            (sent + one.round.sent, lost + one.round.lost())
        })
    }

    /// Sum of a count over the rounds that count.
    pub(crate) fn sum(&self, value: impl Fn(&Round) -> u64) -> u64 {
        self.rounds.iter().map(|one| value(&one.round)).sum()
    }
}

/// Takes the rounds of all series in turns, each void one again as long as its bound allows.
/// `between` is done before each turn.
///
/// # Errors
/// Packets in another session, sockets that fail.
pub(crate) fn interleave(
    standing: &mut [Standing],
    series: &mut [Series],
    cores: Cores,
    progress: &mut Progress,
    between: &mut dyn FnMut() -> Result<()>,
) -> Result<()> {
    // Realtime for the rounds alone: who starts and ends nodes on this core must let them run.
    let _pinned = Pinned::here(cores.generator)?;
    while series.iter().any(|one| !one.is_done()) {
        between()?;
        for one in series.iter_mut().filter(|one| !one.is_done()) {
            let through = standing
                .get_mut(one.standing)
                .context("a series of nobody")?;
            through.target.wake();
            let measured = round(through, one.pace, cores)?;
            through.target.rest();
            let judged = measured
                .void()
                .map_or_else(String::new, |why| format!("; void: {why}"));
            progress.step(&format!("{}: {}{judged}", one.label, measured.told()));
            one.take(measured);
        }
    }
    Ok(())
}

/// Load of the generator beyond which a round says more about it than about the relay.
pub(crate) const OWN_LOAD_MAX: f64 = 0.9;
/// Loss at a pace that a target is to carry, beyond which its figures say nothing.
const LOST_PERCENT_MAX: u64 = 1;
/// Foreign use of the measured core that makes a round void.
const FOREIGN_MAX: f64 = 0.1;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn measured(cpu_ns: f64, foreign: f64, own_load: f64) -> PacedRound {
        let mut round = Round::new().expect("bounds that are right");
        round.sent = 10;
        round.received = 9;
        round.own_load = own_load;
        PacedRound {
            cpu_ns,
            core: 0.4,
            foreign,
            kernel_entries: None,
            round,
        }
    }

    fn series(rounds: Vec<PacedRound>) -> Series {
        let pace = Pace::speech(1, Duration::from_secs(1));
        let effort = Effort {
            rounds: 4,
            keeps_void: false,
        };
        let mut series = Series::new("x", 0, pace, effort);
        series.rounds = rounds;
        series
    }

    #[test]
    fn a_round_beside_other_work_or_without_a_generator_is_void() {
        assert_eq!(measured(1.0, 0.05, 0.5).void(), None);
        assert!(
            measured(1.0, 0.2, 0.5)
                .void()
                .is_some_and(|why| why.contains("20 %"))
        );
        assert!(
            measured(1.0, 0.0, 0.95)
                .void()
                .is_some_and(|why| why.contains("95 %"))
        );
        let mut silent = measured(1.0, 0.0, 0.1);
        silent.round.received = 0;
        assert!(silent.void().is_some());
    }

    #[test]
    fn a_target_that_loses_packets_undisturbed_has_no_figure() {
        let mut one = series(Vec::new());
        for received in [1_000, 1_000, 1_000, 0] {
            let mut round = measured(5.0, 0.0, 0.1);
            (round.round.sent, round.round.received) = (1_000, received);
            one.take(round);
        }
        let refused = one.lowest(|one| one.cpu_ns).expect_err("it stopped");
        assert!(
            refused
                .to_string()
                .starts_with("1000 of 1000 packets were lost"),
            "{refused}"
        );
        let mut disturbed = series(Vec::new());
        disturbed.take(measured(5.0, 0.2, 0.1));
        assert_eq!(disturbed.fault, None);
    }

    #[test]
    fn half_of_the_rounds_must_count_for_a_verdict() {
        let one = series(vec![measured(5.0, 0.0, 0.1)]);
        let refused = one.lowest(|one| one.cpu_ns).expect_err("one of four");
        assert!(refused.to_string().starts_with("1 of 4 rounds count"));
        let two = series(vec![measured(5.0, 0.0, 0.1), measured(7.0, 0.0, 0.1)]);
        assert_eq!(two.lowest(|one| one.cpu_ns).ok(), Some(5.0));
        assert_eq!(two.sent_and_lost(), (20, 2));
    }

    #[test]
    fn a_series_ends_with_its_rounds_or_with_too_many_void_ones() {
        let mut one = series(Vec::new());
        for _ in 0..4 {
            assert!(!one.is_done());
            one.take(measured(1.0, 0.5, 0.1));
        }
        assert!(one.is_done() && one.rounds.is_empty());
        let refused = one.lowest(|one| one.cpu_ns).expect_err("none counts");
        assert!(refused.to_string().contains("others used 50 %"));
        let mut quick = series(Vec::new());
        quick.effort.keeps_void = true;
        quick.take(measured(1.0, 0.5, 0.1));
        assert_eq!(quick.rounds.len(), 1);
    }

    #[test]
    fn entries_of_a_packet_need_packets() {
        let count = |kernel_entries, packets| OwnCount {
            kernel_entries,
            packets,
        };
        assert_eq!(entries_a_packet((count(5, 100), count(7, 200))), Some(0.02));
        assert_eq!(entries_a_packet((count(5, 100), count(7, 100))), None);
        assert_eq!(entries_a_packet((count(5, 100), count(0, 0))), None);
    }
}
