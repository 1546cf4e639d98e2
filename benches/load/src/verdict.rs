//! Rules by which rounds become one figure.

/// The mean of the lowest third of the rounds (at least one). Noise on a shared machine only ever
/// adds, so the low end is what the code costs, and a mean of several is steadier than a minimum.
/// `None` without rounds.
pub(crate) fn lowest_third(rounds: &[f64]) -> Option<f64> {
    let mut sorted: Vec<f64> = rounds
        .iter()
        .copied()
        .filter(|value| value.is_finite())
        .collect();
    sorted.sort_by(f64::total_cmp);
    sorted.truncate(sorted.len().div_ceil(3));
    mean(&sorted)
}

/// The middle of the rounds. `None` without rounds.
pub(crate) fn median(rounds: &[f64]) -> Option<f64> {
    let mut sorted = rounds.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

fn mean(values: &[f64]) -> Option<f64> {
    let count = u32::try_from(values.len())
        .ok()
        .filter(|count| *count > 0)?;
    Some(values.iter().sum::<f64>() / f64::from(count))
}

/// `per(ns, count)`, zero where nothing was counted.
pub(crate) fn per(total: u64, count: u64) -> f64 {
    if count == 0 {
        0.0
    } else {
        total as f64 / count as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nine_rounds_give_the_mean_of_the_three_lowest() {
        let rounds = [9.0, 1.0, 8.0, 2.0, 7.0, 3.0, 6.0, 5.0, 4.0];
        assert_eq!(lowest_third(&rounds), Some(2.0));
    }

    #[test]
    fn one_round_is_its_own_verdict_and_none_has_none() {
        assert_eq!(lowest_third(&[4.0]), Some(4.0));
        assert_eq!(lowest_third(&[]), None);
    }

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median(&[9.0, 1.0, 5.0]), Some(5.0));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn a_void_round_does_not_count() {
        assert_eq!(lowest_third(&[f64::NAN, 3.0]), Some(3.0));
    }
}
