//! Branches, tags, Call-IDs and the back-off of glare: all randomness of this crate.
//!
//! Owns one generator, seeded from outside. Every identifier starts with the number of the
//! endpoint, so that two endpoints of one gateway never make the same and a capture tells them
//! apart.

use std::fmt::Write as _;
use std::time::Duration;

use arrayvec::ArrayString;
use rand_chacha::ChaCha12Rng;
use rand_core::{RngCore, SeedableRng};

/// The magic cookie of RFC 3261 §8.1.1.7.
pub const BRANCH_COOKIE: &str = "z9hG4bK";

/// An identifier as it stands in a header.
pub type Identifier = ArrayString<48>;

/// The one source of randomness of an endpoint.
#[derive(Debug)]
pub struct Identifiers {
    generator: ChaCha12Rng,
    number: u8,
}

impl Identifiers {
    /// `number` is the endpoint's; `seed` decides everything that follows.
    #[must_use]
    pub fn new(number: u8, seed: [u8; 32]) -> Self {
        Self {
            generator: ChaCha12Rng::from_seed(seed),
            number,
        }
    }

    /// A branch of a Via of ours: the cookie, the endpoint, 96 random bits.
    pub fn branch(&mut self) -> Identifier {
        let (high, low) = (self.generator.next_u64(), self.generator.next_u32());
        let mut branch = Identifier::new();
        written(write!(
            branch,
            "{BRANCH_COOKIE}{:02x}{high:016x}{low:08x}",
            self.number
        ));
        branch
    }

    /// A tag of From or To: 96 random bits; RFC 3261 §19.3 asks for 32.
    pub fn tag(&mut self) -> Identifier {
        let (high, low) = (self.generator.next_u64(), self.generator.next_u32());
        let mut tag = Identifier::new();
        written(write!(tag, "{:02x}{high:016x}{low:08x}", self.number));
        tag
    }

    /// The tag that stands for these 64 bits.
    #[must_use]
    pub fn tag_of(&self, bits: u64) -> Identifier {
        let mut tag = Identifier::new();
        written(write!(tag, "{:02x}{bits:016x}", self.number));
        tag
    }

    /// A Call-ID: 128 random bits and no host, which would tell the peer where we are.
    pub fn call_id(&mut self) -> Identifier {
        let (high, low) = (self.generator.next_u64(), self.generator.next_u64());
        let mut call_id = Identifier::new();
        written(write!(call_id, "{:02x}{high:016x}{low:016x}", self.number));
        call_id
    }

    /// Sixteen random hexadecimal digits: a client nonce of digest authentication.
    pub fn nonce(&mut self) -> Identifier {
        let mut nonce = Identifier::new();
        written(write!(nonce, "{:016x}", self.generator.next_u64()));
        nonce
    }

    /// The first CSeq of a dialog: below 2^31 with room to count (RFC 3261 §8.1.1.5).
    pub fn first_cseq(&mut self) -> u32 {
        let first = 1 + (self.generator.next_u32() >> 16);
        debug_assert!((1..1 << 31).contains(&first), "RFC 3261 §8.1.1.5");
        first
    }

    /// A whole number of steps of 10 ms between both ends, both included (RFC 3261 §14.1).
    pub fn back_off(&mut self, least: Duration, most: Duration) -> Duration {
        const STEP: Duration = Duration::from_millis(10);
        debug_assert!(least <= most, "a span has its ends in order");
        let steps = most.saturating_sub(least).as_millis() / STEP.as_millis() + 1;
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        // The bias of the remainder is below one in ten million at these sizes.
        least + STEP * (self.generator.next_u32() % steps)
    }

    /// A seed for the keyed maps.
    pub fn map_seed(&mut self) -> u64 {
        self.generator.next_u64()
    }
}

/// The longest identifier (a branch: 7 + 2 + 24) fits `Identifier`; a test shows it.
fn written(result: std::fmt::Result) {
    debug_assert!(result.is_ok(), "an identifier fits its buffer");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_carry_the_endpoint_and_follow_the_seed() {
        let mut first = Identifiers::new(7, [1; 32]);
        let mut second = Identifiers::new(7, [1; 32]);
        let branch = first.branch();
        assert_eq!(branch, second.branch());
        assert!(branch.starts_with("z9hG4bK07"));
        assert_eq!(branch.len(), 33);
        assert_ne!(first.branch(), branch);
        assert!(first.tag().starts_with("07"));
        assert_eq!(first.call_id().len(), 34);
    }

    #[test]
    fn back_off_stays_between_its_ends() {
        let mut identifiers = Identifiers::new(0, [3; 32]);
        let (least, most) = (Duration::from_millis(2100), Duration::from_secs(4));
        for _ in 0..1000 {
            let wait = identifiers.back_off(least, most);
            assert!((least..=most).contains(&wait));
            assert_eq!(wait.as_millis() % 10, 0);
        }
    }
}
