//! The one source of chance. A world's generator is split by name, so that a draw more in one node
//! does not shift the draws of another.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

/// FNV-1a over 64 bits: names to streams, and traces to hashes.
pub(crate) fn fnv1a(start: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(start, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The offset basis of FNV-1a.
pub(crate) const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;

/// A stream of draws.
#[derive(Debug, Clone)]
pub(crate) struct Generator {
    seed: u64,
    stream: ChaCha8Rng,
}

impl Generator {
    /// The stream called `name` of the world `seed`.
    pub(crate) fn new(seed: u64, name: &str) -> Self {
        let seed = fnv1a(fnv1a(FNV_BASIS, &seed.to_le_bytes()), name.as_bytes());
        Self {
            seed,
            stream: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    /// A stream that depends on this one's name only, not on what was drawn from it.
    pub(crate) fn split(&self, name: &str) -> Self {
        Self::new(self.seed, name)
    }

    /// 0 to `bound - 1`; 0 for a bound of 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.stream.next_u64().checked_rem(bound).unwrap_or(0)
    }

    /// The same for an index.
    pub(crate) fn index(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX);
        usize::try_from(self.below(bound)).unwrap_or(0)
    }

    /// True this often in a thousand.
    pub(crate) fn chance(&mut self, per_mille: u32) -> bool {
        self.below(1000) < u64::from(per_mille)
    }

    /// One of these.
    ///
    /// # Panics
    /// On an empty list.
    pub(crate) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        let index = self.index(from.len());
        from[index].clone()
    }

    /// Between the two, in milliseconds.
    pub(crate) fn millis(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_millis(low + self.below(high.saturating_sub(low) + 1))
    }

    /// Between the two, in microseconds.
    pub(crate) fn micros(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_micros(low + self.below(high.saturating_sub(low) + 1))
    }

    /// 32 bits.
    pub(crate) fn word(&mut self) -> u32 {
        self.stream.next_u32()
    }

    /// The seed of a core.
    pub(crate) fn seed_bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.stream.fill_bytes(&mut bytes);
        bytes
    }

    /// Hexadecimal text of 64 bits, for tags and branches.
    pub(crate) fn token(&mut self) -> String {
        format!("{:016x}", self.stream.next_u64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_does_not_depend_on_earlier_draws() {
        let mut first = Generator::new(7, "world");
        let second = first.clone();
        let before = first.word();
        assert_eq!(
            first.split("network").token(),
            second.split("network").token()
        );
        assert_ne!(first.word(), before);
        assert_ne!(
            second.split("network").token(),
            second.split("peers").token()
        );
    }
}
