//! Our keys for one line of a dialog: one for each suite, so that no octet of a key is ever used for two
//! of them.

use super::{CryptoKey, CryptoLine, CryptoSuite};

/// Our own keys, made by who has a random source. They stay while the peer stays where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineKeys(Vec<CryptoKey>);

impl LineKeys {
    /// Random octets that all keys of a line take.
    pub const SIZE: usize = size(CryptoSuite::ALL);

    /// Of octets that nobody can guess and that nothing else is made of.
    #[must_use]
    pub fn new(random: &[u8; Self::SIZE]) -> Self {
        let mut rest = random.as_slice();
        let keys = CryptoSuite::ALL.into_iter().filter_map(|suite| {
            let (octets, after) = rest.split_at_checked(suite.size())?;
            rest = after;
            CryptoKey::new(suite, octets)
        });
        let keys: Vec<CryptoKey> = keys.collect();
        debug_assert_eq!(keys.len(), CryptoSuite::ALL.len(), "a key for each suite");
        Self(keys)
    }

    /// All of them, for an offer: the one in use first, because who takes the first stays with it; then
    /// the strongest. `AES_CM_128_HMAC_SHA1_80` is among them whatever a peer may have switched off.
    #[must_use]
    pub fn offered(&self, in_use: Option<CryptoSuite>) -> Vec<CryptoLine> {
        let line = |key: &CryptoKey| CryptoLine {
            tag: key.suite().tag(),
            key: key.clone(),
        };
        let mut lines: Vec<CryptoLine> = self.0.iter().map(line).collect();
        // A stable sort: the others keep their order.
        lines.sort_by_key(|line| Some(line.suite()) != in_use);
        lines
    }

    /// The one line of our answer and the offered one that it takes: that of the suite in use where it
    /// is still offered, else the first that the peer prefers (RFC 4568 §5.1.2). A key of ours that comes
    /// back as the peer's is none.
    #[must_use]
    pub fn answer<'a>(
        &self,
        offered: &'a [CryptoLine],
        in_use: Option<CryptoSuite>,
    ) -> Option<(CryptoLine, &'a CryptoLine)> {
        let mut theirs = offered.iter().filter(|line| !self.contains(&line.key));
        let first = theirs.clone().next()?;
        let kept = theirs.find(|line| Some(line.suite()) == in_use);
        let taken = kept.unwrap_or(first);
        let key = self.0.iter().find(|key| key.suite() == taken.suite())?;
        let ours = CryptoLine {
            tag: taken.tag,
            key: key.clone(),
        };
        debug_assert_ne!(ours.key, taken.key, "never the offerer's key");
        Some((ours, taken))
    }

    /// The same, but this one where it is of its suite.
    pub(super) fn keeping(mut self, in_use: Option<&CryptoKey>) -> Self {
        for key in &mut self.0 {
            if let Some(kept) = in_use.filter(|kept| kept.suite() == key.suite()) {
                *key = kept.clone();
            }
        }
        self
    }

    /// One of these is our own.
    #[must_use]
    pub fn contains(&self, key: &CryptoKey) -> bool {
        self.0.contains(key)
    }
}

const fn size([one, two, three, four]: [CryptoSuite; 4]) -> usize {
    one.size() + two.size() + three.size() + four.size()
}
