//! Master keys, as SDES brings them: a suite, its key and its salt.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use zeroize::Zeroizing;

use crate::srtp::Suite;

/// Octets of the longest key and salt.
pub(super) const KEY_AND_SALT_SIZE_MAX: usize = 44;

/// The key and salt of one direction (RFC 3711 §3.2.1). Its memory is cleared when it is dropped,
/// and what it prints is its suite.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey {
    suite: Suite,
    key_and_salt: Zeroizing<[u8; KEY_AND_SALT_SIZE_MAX]>,
}

impl MasterKey {
    /// A key followed by its salt, as `inline:` has them. `None`: not as long as the suite asks.
    #[must_use]
    pub fn new(suite: Suite, key_and_salt: &[u8]) -> Option<Self> {
        if key_and_salt.len() != suite.key_size() + suite.salt_size() {
            return None;
        }
        let mut kept = Zeroizing::new([0; KEY_AND_SALT_SIZE_MAX]);
        kept.get_mut(..key_and_salt.len())?
            .copy_from_slice(key_and_salt);
        Some(Self {
            suite,
            key_and_salt: kept,
        })
    }

    /// What it is a key of.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// Tells keys apart without being one.
    pub(crate) fn identity(&self) -> u64 {
        KeyIdentity::of(self).0
    }

    /// Key, salt, and zeros.
    pub(super) fn octets(&self) -> &[u8] {
        self.key_and_salt.as_slice()
    }

    /// The key.
    pub(crate) fn key(&self) -> &[u8] {
        self.key_and_salt
            .get(..self.suite.key_size())
            .unwrap_or_default()
    }

    /// The salt.
    pub(crate) fn salt(&self) -> &[u8] {
        let start = self.suite.key_size();
        self.key_and_salt
            .get(start..start + self.suite.salt_size())
            .unwrap_or_default()
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("MasterKey")
            .field("suite", &self.suite)
            .finish_non_exhaustive()
    }
}

/// Tells a key without being one. A suite is no part of it: the same octets make the same key stream
/// under two suites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyIdentity(pub(super) u64);

impl KeyIdentity {
    pub(super) fn of(key: &MasterKey) -> Self {
        let digest = digest(&SHA256, key.octets());
        Self(
            digest
                .as_ref()
                .first_chunk()
                .map_or(0, |first| u64::from_be_bytes(*first)),
        )
    }
}

/// The keys of a leg: one for each direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SrtpPlan {
    /// Protects what is sent to the peer: the key that our own description named.
    pub send: MasterKey,
    /// Unprotects what the peer sends: the key that its description named.
    pub receive: MasterKey,
}

const _: () = {
    let mut at = 0;
    while at < Suite::ALL.len() {
        #[expect(clippy::indexing_slicing, reason = "checked when it is compiled")]
        let suite = Suite::ALL[at];
        assert!(
            suite.key_size() + suite.salt_size() <= KEY_AND_SALT_SIZE_MAX,
            "every key has room"
        );
        at += 1;
    }
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_as_long_as_its_suite_asks_or_it_is_none() {
        for suite in Suite::ALL {
            let size = suite.key_size() + suite.salt_size();
            let octets: Vec<u8> = (1_u8..=50).collect();
            for wrong in [0, size - 1, size + 1] {
                assert_eq!(MasterKey::new(suite, &octets[..wrong]), None, "{suite:?}");
            }
            let key = MasterKey::new(suite, &octets[..size]).unwrap();
            assert_eq!(key.suite(), suite);
            assert_eq!(key.key(), &octets[..suite.key_size()]);
            assert_eq!(key.salt(), &octets[suite.key_size()..size]);
        }
    }

    #[test]
    fn a_key_prints_no_secret() {
        let key = MasterKey::new(Suite::AeadAes128Gcm, &[0xa7; 28]).unwrap();
        let printed = format!("{key:?}");
        assert_eq!(printed, "MasterKey { suite: AeadAes128Gcm, .. }");
    }
}
