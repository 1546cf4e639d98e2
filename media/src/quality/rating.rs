//! The transmission rating of ITU-T G.107 §7, and the opinion it stands for (Annex B). Names are the
//! recommendation's.

use crate::quality::Equipment;

/// `R = Ro - Is - Id - Ie,eff + A`, with `A` zero: nobody has to be content with less because he
/// moves. The one-way delay stands for all three of the model's, as G.107 §7.4 has it for a
/// symmetric connection.
#[must_use]
pub fn rating(delay_ms: f64, loss_percent: f64, equipment: Equipment) -> f64 {
    RO - IS - delay_impairment(delay_ms.max(0.0)) - effective_impairment(loss_percent, equipment)
}

/// `MOS-CQE` of a rating (G.107 Annex B), 1 to 4.5.
#[must_use]
pub fn opinion(rating: f64) -> f64 {
    let rating = rating.clamp(0.0, 100.0);
    let curve = rating * (rating - 60.0) * (100.0 - rating) * 7e-6;
    (1.0 + 0.035 * rating + curve).clamp(1.0, 4.5)
}

/// `Ie,eff` (G.107 §7.5) with losses at random: `BurstR` is 1.
fn effective_impairment(loss_percent: f64, equipment: Equipment) -> f64 {
    let loss = loss_percent.clamp(0.0, 100.0);
    equipment.impairment + (95.0 - equipment.impairment) * loss / (loss + equipment.robustness)
}

/// `Id = Idte + Idle + Idd` (G.107 §7.4).
fn delay_impairment(delay_ms: f64) -> f64 {
    talker_echo(delay_ms) + listener_echo(2.0 * delay_ms) + absolute_delay(delay_ms)
}

fn talker_echo(delay_ms: f64) -> f64 {
    let echo_loss = TELR - 40.0 * ((1.0 + delay_ms / 10.0) / (1.0 + delay_ms / 150.0)).log10()
        + 6.0 * (-0.3 * delay_ms * delay_ms).exp();
    let echo = 80.0 + 2.5 * (echo_loss - 14.0);
    let half = (RO - echo) / 2.0;
    (half + half.hypot(10.0) - 1.0) * (1.0 - (-delay_ms).exp())
}

fn listener_echo(round_trip_ms: f64) -> f64 {
    let echo = 10.5 * (WEPL + 7.0) * (round_trip_ms + 1.0).powf(-0.25);
    let half = (RO - echo) / 2.0;
    half + half.hypot(13.0)
}

fn absolute_delay(delay_ms: f64) -> f64 {
    if delay_ms <= 100.0 {
        return 0.0;
    }
    let doublings = (delay_ms / 100.0).log2();
    let sixth = |value: f64| (1.0 + value.powi(6)).powf(1.0 / 6.0);
    25.0 * (sixth(doublings) - 3.0 * sixth(doublings / 3.0) + 2.0)
}

/// `Ro` of the default setting (G.107 §7.2); `Roe` is the same there.
const RO: f64 = 94.7688;
/// `Is` of the default setting (G.107 §7.3).
const IS: f64 = 1.4136;
/// Talker echo loudness rating, default.
const TELR: f64 = 65.0;
/// Weighted echo path loss, default.
const WEPL: f64 = 110.0;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn assert_near(value: f64, expected: f64, tolerance: f64) {
        assert!(
            (value - expected).abs() <= tolerance,
            "{value} is not {expected}"
        );
    }

    /// G.107 §7.7: all defaults give 93.2, and that is 4.41.
    #[test]
    fn the_default_setting_rates_93_2() {
        let rating = rating(0.0, 0.0, Equipment::G711);
        assert_near(rating, 93.2, 0.05);
        assert_near(opinion(rating), 4.41, 0.005);
    }

    /// G.107 Annex B, table B.1.
    #[test]
    fn ratings_have_the_published_opinions() {
        for (rating, expected) in [
            (90.0, 4.34),
            (80.0, 4.03),
            (70.0, 3.60),
            (60.0, 3.10),
            (50.0, 2.58),
        ] {
            assert_near(opinion(rating), expected, 0.01);
        }
        assert_near(opinion(-10.0), 1.0, 0.0);
        assert_near(opinion(110.0), 4.5, 0.0);
    }

    /// Cole and Rosenbluth (2001) fitted the same curves: `Id = 0.024 d + 0.11 (d - 177.3) H(d - 177.3)`.
    #[test]
    fn delay_costs_what_the_published_fit_says() {
        for delay_ms in [25.0, 50.0, 100.0, 150.0, 200.0, 250.0, 300.0, 400.0_f64] {
            let beyond = 0.11 * (delay_ms - 177.3).max(0.0);
            let fit = 0.024 * delay_ms + beyond;
            assert_near(delay_impairment(delay_ms), fit, 3.0);
        }
    }

    /// G.113: the values at which loss is told are the tables' own.
    #[test]
    fn loss_costs_by_the_codec() {
        assert_near(effective_impairment(0.0, Equipment::G729), 10.0, 1e-9);
        let half_way = effective_impairment(19.0, Equipment::G729);
        assert_near(half_way, 10.0 + 85.0 / 2.0, 1e-9);
        assert_near(effective_impairment(5.0, Equipment::G711), 15.78, 0.01);
    }

    proptest! {
        /// More of what is bad is never better, and no input leaves the scale.
        #[test]
        fn worse_is_never_better(delay in 0.0_f64..5_000.0, loss in 0.0_f64..100.0, more in 0.0_f64..100.0) {
            let score = |delay, loss| opinion(rating(delay, loss, Equipment::OPUS));
            let here = score(delay, loss);
            prop_assert!((1.0..=4.5).contains(&here));
            prop_assert!(score(delay + more, loss) <= here + 0.01);
            prop_assert!(score(delay, (loss + more).min(100.0)) <= here + 1e-9);
        }
    }
}
