//! How the media of a leg was protected, over its whole life: what its record says.

use media::command::LegPlan;
use media::srtp::Suite;

/// Everything that a leg's media, sound or picture, has had, so that a minute in the clear is not hidden by
/// keys before or after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protection {
    suites: u8,
    in_the_clear: bool,
}

/// The strongest first.
const SUITES: [Suite; 4] = [
    Suite::AeadAes256Gcm,
    Suite::AeadAes128Gcm,
    Suite::AesCm128HmacSha1_80,
    Suite::AesCm128HmacSha1_32,
];

impl Protection {
    /// Nothing was agreed yet.
    pub(super) const NEVER: Self = Self {
        suites: 0,
        in_the_clear: false,
    };

    /// The worker does this from now on. Where nothing can flow, nothing is protected or bared.
    pub(super) fn note(&mut self, plan: &LegPlan) {
        if plan.remote_rtp.is_none() || !(plan.sends || plan.receives) {
            return;
        }
        let Some(keys) = &plan.srtp else {
            self.in_the_clear = true;
            return;
        };
        for suite in [keys.send.suite(), keys.receive.suite()] {
            self.suites |= bit(suite);
        }
    }

    /// Its transport has keys of its own making (RFC 5764).
    pub(super) fn note_suite(&mut self, suite: Suite) {
        self.suites |= bit(suite);
    }

    /// The names of its suites (RFC 4568 §6.2, RFC 7714 §14.2), the strongest first, and `none` for plain RTP,
    /// with spaces between; `None`: nothing was ever agreed.
    #[must_use]
    pub fn words(self) -> Option<String> {
        let suites = SUITES
            .into_iter()
            .filter(|suite| self.suites & bit(*suite) != 0);
        let clear = self.in_the_clear.then_some("none");
        let words: Vec<&str> = suites.map(Suite::as_str).chain(clear).collect();
        (!words.is_empty()).then(|| words.join(" "))
    }
}

const fn bit(suite: Suite) -> u8 {
    match suite {
        Suite::AeadAes256Gcm => 1,
        Suite::AeadAes128Gcm => 2,
        Suite::AesCm128HmacSha1_80 => 4,
        Suite::AesCm128HmacSha1_32 => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_suite_has_a_bit_and_a_word_of_its_own() {
        let words = |suites, in_the_clear| {
            Protection {
                suites,
                in_the_clear,
            }
            .words()
        };
        for suite in SUITES {
            assert_eq!(words(bit(suite), false).as_deref(), Some(suite.as_str()));
        }
        let all = words(15, true).unwrap();
        assert_eq!(all.split(' ').count(), SUITES.len() + 1, "{all}");
        assert!(all.ends_with(" none"));
        assert_eq!(words(0, false), None);
    }
}
