//! How well a call sounds, as far as its packets tell: the E-model (ITU-T G.107) in its default setting,
//! with what a relay measures in place of the defaults: delay, loss, and the codec (ITU-T G.113).
//!
//! What a relay cannot know is assumed, and the same for every call, so that scores compare:
//! the mouth-to-ear delay is half the round trip to the peer, a packet of 20 ms and a jitter buffer of
//! twice the jitter, 40 ms at least and 200 ms at most; losses fall at random; nothing comes too late
//! for the buffer; the receiver conceals losses. A score is about one leg: what the other adds is in the
//! other's.

mod equipment;
mod rating;

pub use equipment::Equipment;
pub use rating::{opinion, rating};

/// What was measured of one direction of a leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Measured {
    /// Packets that came.
    pub received: u64,
    /// Packets that did not.
    pub lost: u64,
    /// Interarrival jitter.
    pub jitter_us: u32,
    /// To the peer and back; `None`: nobody knows, and none is assumed.
    pub round_trip_us: Option<u32>,
}

impl Measured {
    /// The share that was lost, in per cent.
    #[must_use]
    pub fn loss_percent(&self) -> f64 {
        let (lost, received) = (float(self.lost), float(self.received));
        if lost + received > 0.0 {
            100.0 * lost / (lost + received)
        } else {
            0.0
        }
    }

    /// From mouth to ear, in milliseconds.
    #[must_use]
    pub fn delay_ms(&self) -> f64 {
        let network_ms = f64::from(self.round_trip_us.unwrap_or_default()) / 2_000.0;
        let buffer_ms = (f64::from(self.jitter_us) / 500.0).clamp(BUFFER_MS_MIN, BUFFER_MS_MAX);
        network_ms + buffer_ms + PACKET_MS
    }

    /// The mean opinion score (MOS-CQE) in hundredths; `None`: nothing came, so nobody had an opinion.
    #[must_use]
    pub fn score(&self, equipment: Equipment) -> Option<u16> {
        if self.received == 0 {
            return None;
        }
        let rating = rating(self.delay_ms(), self.loss_percent(), equipment);
        let hundredths = (opinion(rating) * 100.0).round();
        debug_assert!(
            (100.0..=450.0).contains(&hundredths),
            "a score is between 1 and 4.5"
        );
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 100 and 450"
        )]
        Some(hundredths as u16)
    }
}

/// Good to 2⁵³, which no count of packets reaches.
#[expect(clippy::cast_precision_loss, reason = "a share needs no more")]
const fn float(count: u64) -> f64 {
    count as f64
}

/// The least a jitter buffer holds.
const BUFFER_MS_MIN: f64 = 40.0;
/// The most that a jitter buffer holds: beyond it, receivers drop instead.
const BUFFER_MS_MAX: f64 = 200.0;
/// Framing of nearly all calls.
const PACKET_MS: f64 = 20.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn g711() -> Equipment {
        Equipment::of(0, 8_000).unwrap()
    }

    #[test]
    fn a_clean_call_scores_what_g711_can() {
        let clean = Measured {
            received: 1_000,
            round_trip_us: Some(20_000),
            ..Measured::default()
        };
        assert_eq!(clean.score(g711()), Some(437));
        assert_eq!(Measured::default().score(g711()), None);
    }

    #[test]
    fn loss_jitter_and_delay_each_cost() {
        let clean = Measured {
            received: 9_500,
            round_trip_us: Some(40_000),
            ..Measured::default()
        };
        let worse = [
            Measured { lost: 500, ..clean },
            Measured {
                jitter_us: 90_000,
                ..clean
            },
            Measured {
                round_trip_us: Some(600_000),
                ..clean
            },
        ];
        for worse in worse {
            assert!(worse.score(g711()) < clean.score(g711()), "{worse:?}");
        }
        let nothing = Measured {
            lost: u64::MAX,
            jitter_us: u32::MAX,
            round_trip_us: Some(u32::MAX),
            ..clean
        };
        assert_eq!(nothing.score(g711()), Some(100));
    }

    #[test]
    fn the_buffer_is_twice_the_jitter_within_its_bounds() {
        let delay = |jitter_us| {
            let measured = Measured {
                jitter_us,
                ..Measured::default()
            };
            measured.delay_ms()
        };
        assert!((delay(0) - 60.0).abs() < 1e-9);
        assert!((delay(50_000) - 120.0).abs() < 1e-9);
        assert!((delay(1_000_000) - 220.0).abs() < 1e-9);
    }
}
