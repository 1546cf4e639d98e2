//! What a page played, measured in it: whether that was a tone, and which.

use std::fmt;

use serde_json::Value;

/// Some tenths of a second of sound, in steps of 50 ms.
pub(crate) struct Sound {
    moments: Vec<Moment>,
}

struct Moment {
    /// The loudest frequency.
    hz: f64,
    level_db: f64,
    /// Of the energy, how much lies at that frequency.
    share: f64,
}

impl fmt::Debug for Sound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moments = self.moments.iter();
        formatter
            .debug_list()
            .entries(moments.map(
                |Moment {
                     hz,
                     level_db,
                     share,
                 }| { format!("{hz:.0} Hz {level_db:.0} dB {share:.2}") },
            ))
            .finish()
    }
}

/// Less is no measurement.
const MOMENTS_MIN: usize = 8;
/// Two steps of a spectrum of 8192 samples.
const TOLERANCE_HZ: f64 = 12.0;
const LOUD_DB: f64 = -45.0;
const SILENT_DB: f64 = -65.0;

impl Sound {
    /// Of the probe `sound`.
    pub(crate) fn read(value: &Value) -> Self {
        let rows = value["samples"].as_array().cloned().unwrap_or_default();
        let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
        let moments = rows.iter().map(|row| Moment {
            hz: number(&row["hz"]),
            level_db: number(&row["level_db"]),
            share: number(&row["share"]),
        });
        Self {
            moments: moments.collect(),
        }
    }

    /// That frequency, loud, nearly alone and nearly all the time.
    pub(crate) fn is_tone(&self, hz: f64) -> bool {
        let is_it = |moment: &&Moment| {
            (moment.hz - hz).abs() < TOLERANCE_HZ && moment.level_db > LOUD_DB && moment.share > 0.8
        };
        let clear = self.moments.iter().filter(is_it).count();
        self.moments.len() >= MOMENTS_MIN && clear * 10 >= self.moments.len() * 9
    }

    /// Nothing in any moment. What was not measured is not silence.
    pub(crate) fn is_silent(&self) -> bool {
        let is_silent = |moment: &Moment| moment.level_db < SILENT_DB;
        self.moments.len() >= MOMENTS_MIN && self.moments.iter().all(is_silent)
    }
}

#[test]
fn a_tone_is_one_frequency_all_the_time_and_silence_was_measured() {
    let sound = |moments: &[(f64, f64, f64)]| Sound {
        moments: moments
            .iter()
            .map(|&(hz, level_db, share)| Moment {
                hz,
                level_db,
                share,
            })
            .collect(),
    };
    let tone = sound(&[(441.4, -9.0, 0.99); 20]);
    assert!(tone.is_tone(440.0) && !tone.is_tone(480.0) && !tone.is_silent());
    for other in [(441.4, -9.0, 0.5), (441.4, -60.0, 0.99)] {
        assert!(!sound(&[other; 20]).is_tone(440.0), "{other:?}");
    }
    let half = [[(441.4, -9.0, 0.99); 10], [(0.0, -200.0, 0.0); 10]].concat();
    assert!(!sound(&half).is_tone(440.0) && !sound(&half).is_silent());
    assert!(sound(&[(0.0, -200.0, 0.0); 20]).is_silent());
    let nothing = Sound::read(&Value::Null);
    assert!(!nothing.is_silent() && !nothing.is_tone(440.0));
}
