//! How the legs of a worker sounded: counts in fixed bands, by direction, of legs that ended.

use crate::command::LegCounters;

/// Counts of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QualityCounters {
    loss: [u64; LOSS_PERCENT.len()],
    jitter: [u64; JITTER_MS.len()],
    round_trip: [u64; ROUND_TRIP_MS.len()],
    score: [u64; SCORE_HUNDREDTHS.len()],
}

/// Per cent of packets.
const LOSS_PERCENT: [u64; 6] = [0, 1, 2, 5, 10, 100];
/// Milliseconds.
const JITTER_MS: [u64; 6] = [5, 10, 20, 50, 100, u64::MAX];
/// Milliseconds.
const ROUND_TRIP_MS: [u64; 6] = [20, 50, 150, 300, 600, u64::MAX];
/// Where ITU-T G.109 changes its word: not recommended, poor, low, medium, high, best.
const SCORE_HUNDREDTHS: [u64; 6] = [258, 310, 360, 403, 434, 450];

impl QualityCounters {
    /// One more leg, by what came from its peer.
    pub(super) fn count_received(&mut self, leg: &LegCounters) {
        if leg.packets_received == 0 {
            return;
        }
        let percent = percent(leg.packets_lost, leg.packets_received + leg.packets_lost);
        count(&mut self.loss, LOSS_PERCENT, percent);
        count(&mut self.jitter, JITTER_MS, milliseconds(leg.jitter_us));
        if let Some(round_trip_us) = leg.round_trip_us {
            count(
                &mut self.round_trip,
                ROUND_TRIP_MS,
                milliseconds(round_trip_us),
            );
        }
        if let Some(score) = leg.score_hundredths {
            count(&mut self.score, SCORE_HUNDREDTHS, u64::from(score));
        }
    }

    /// One more leg, by what its peer said of what it was sent.
    pub(super) fn count_sent(&mut self, leg: &LegCounters) {
        let Some(peer) = leg.peer.filter(|_| leg.packets_sent > 0) else {
            return;
        };
        let percent = percent(peer.packets_lost, leg.packets_sent);
        count(&mut self.loss, LOSS_PERCENT, percent);
        count(&mut self.jitter, JITTER_MS, milliseconds(peer.jitter_us));
        if let Some(score) = peer.score_hundredths {
            count(&mut self.score, SCORE_HUNDREDTHS, u64::from(score));
        }
    }

    /// Every count: what was measured, up to which bound (`None`: whatever is beyond the others), how
    /// many legs.
    pub fn each(&self, mut take: impl FnMut(&'static str, Option<u64>, u64)) {
        let measures = [
            ("loss_percent", LOSS_PERCENT, self.loss),
            ("jitter_ms", JITTER_MS, self.jitter),
            ("round_trip_ms", ROUND_TRIP_MS, self.round_trip),
            ("score_hundredths", SCORE_HUNDREDTHS, self.score),
        ];
        for (measure, bounds, counts) in measures {
            for (bound, count) in bounds.into_iter().zip(counts) {
                take(
                    measure,
                    Some(bound).filter(|bound| *bound < u64::MAX),
                    count,
                );
            }
        }
    }
}

/// In the first band whose bound is not below.
fn count<const BANDS: usize>(counts: &mut [u64; BANDS], bounds: [u64; BANDS], value: u64) {
    let at = bounds.partition_point(|bound| *bound < value);
    debug_assert!(at < BANDS, "the last band has room for everything");
    if let Some(count) = counts.get_mut(at) {
        *count += 1;
    }
}

/// Rounded up, so that the first band is of legs that lost nothing.
fn percent(part: u64, whole: u64) -> u64 {
    let percent = part.saturating_mul(100).div_ceil(whole.max(1));
    percent.min(100)
}

fn milliseconds(microseconds: u32) -> u64 {
    u64::from(microseconds).div_ceil(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::PeerReception;

    fn counts(counters: &QualityCounters) -> Vec<(&'static str, Option<u64>)> {
        let mut found = Vec::new();
        counters.each(|measure, bound, count| {
            found.extend((count > 0).then_some((measure, bound)));
        });
        found
    }

    #[test]
    fn a_leg_counts_once_in_each_measure_and_direction() {
        let leg = LegCounters {
            packets_received: 995,
            packets_lost: 5,
            packets_sent: 100,
            jitter_us: 200_000,
            round_trip_us: Some(40_000),
            score_hundredths: Some(405),
            peer: Some(PeerReception {
                packets_lost: 0,
                jitter_us: 0,
                score_hundredths: Some(441),
            }),
            ..LegCounters::default()
        };
        let (mut received, mut sent) = (QualityCounters::default(), QualityCounters::default());
        received.count_received(&leg);
        sent.count_sent(&leg);
        let of_received = [
            ("loss_percent", Some(1)),
            ("jitter_ms", None),
            ("round_trip_ms", Some(50)),
            ("score_hundredths", Some(434)),
        ];
        assert_eq!(counts(&received), of_received);
        let of_sent = [
            ("loss_percent", Some(0)),
            ("jitter_ms", Some(5)),
            ("score_hundredths", Some(450)),
        ];
        assert_eq!(counts(&sent), of_sent);
    }

    #[test]
    fn a_leg_without_packets_has_no_quality() {
        let mut counters = QualityCounters::default();
        counters.count_received(&LegCounters::default());
        counters.count_sent(&LegCounters::default());
        assert_eq!(counters, QualityCounters::default());
    }
}
