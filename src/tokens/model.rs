//! A bearer token and the rules of making one. Pure: randomness and time are arguments.

use std::fmt;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::scope::Scopes;

/// Row id of a token.
pub type TokenId = i64;

/// A stored token. The clear text is not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Row id.
    pub id: TokenId,
    /// Whose it is.
    pub label: String,
    /// What it may do.
    pub scopes: Scopes,
    /// Ids of the trunks that its calls may use; empty: all.
    pub trunks: Vec<String>,
    /// Calls that it may place a minute; `None`: no cap of its own.
    pub calls_per_minute: Option<u32>,
    /// Calls of it at once; `None`: no cap of its own.
    pub concurrent_calls: Option<u32>,
    /// Not from this time on.
    pub expires_at: Option<Timestamp>,
    /// Who made it.
    pub created_by: String,
    /// The token that made it, with which it is revoked; `None`: the local socket.
    pub parent: Option<TokenId>,
    /// When.
    pub created_at: Timestamp,
}

impl Token {
    /// True from its time of expiry on.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|expires| expires <= now)
    }

    /// True when its calls may use this trunk.
    #[must_use]
    pub fn may_use_trunk(&self, id: &str) -> bool {
        self.trunks.is_empty() || self.trunks.iter().any(|trunk| trunk == id)
    }
}

/// What is stored of a clear text: SHA-256. A token has 256 bits of randomness, so that a digest
/// that is fast to compute cannot be searched either.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenDigest(pub [u8; 32]);

impl TokenDigest {
    /// The digest of a clear text.
    #[must_use]
    pub fn of(clear: &str) -> Self {
        Self(Sha256::digest(clear.as_bytes()).into())
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TokenDigest(…)")
    }
}

/// The tokens in force, by digest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenTable(Vec<(TokenDigest, std::sync::Arc<Token>)>);

impl TokenTable {
    /// Sorts the rows.
    #[must_use]
    pub fn new(mut rows: Vec<(TokenDigest, std::sync::Arc<Token>)>) -> Self {
        rows.sort_unstable_by_key(|(digest, _)| *digest);
        Self(rows)
    }

    /// True when nobody has a token.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The token whose clear text this is, expired or not. The row is found by the first octets of
    /// the digest, of which a guess learns nothing about the clear text; the digests are compared
    /// whole, in constant time.
    #[must_use]
    pub fn find(&self, clear: &str) -> Option<&std::sync::Arc<Token>> {
        if clear.len() != CLEAR_OCTETS || !clear.starts_with(PREFIX) {
            return None;
        }
        let wanted = TokenDigest::of(clear);
        let (first, _) = wanted.0.split_first_chunk::<INDEX_OCTETS>()?;
        let start = self
            .0
            .partition_point(|(digest, _)| digest.0.first_chunk::<INDEX_OCTETS>() < Some(first));
        self.0
            .get(start..)?
            .iter()
            .take_while(|(digest, _)| digest.0.first_chunk::<INDEX_OCTETS>() == Some(first))
            .find(|(digest, _)| bool::from(digest.0.ct_eq(&wanted.0)))
            .map(|(_, token)| token)
    }
}

/// `sl_` and 256 bits in the URL-safe alphabet of RFC 4648 §5.
#[must_use]
pub fn clear_text(random: &[u8; 32]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut clear = String::with_capacity(CLEAR_OCTETS);
    clear.push_str(PREFIX);
    for three in random.chunks(3) {
        let group = (0..3).fold(0_u32, |group, place| {
            group << 8 | u32::from(three.get(place).copied().unwrap_or(0))
        });
        for place in 0..=three.len() {
            let six_bits = group >> (18 - 6 * place) & 63;
            let octet = usize::try_from(six_bits)
                .ok()
                .and_then(|index| ALPHABET.get(index));
            clear.extend(octet.map(|octet| char::from(*octet)));
        }
    }
    debug_assert_eq!(clear.len(), CLEAR_OCTETS);
    clear
}

/// How every clear text begins.
pub const PREFIX: &str = "sl_";
/// Octets of a clear text: 43 characters carry 256 bits.
pub const CLEAR_OCTETS: usize = 3 + 43;
/// Octets of the digest by which a row is found.
const INDEX_OCTETS: usize = 8;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_clear_text_has_43_characters_that_carry_every_bit() {
        let clear = clear_text(&[0xff; 32]);
        assert_eq!(clear, format!("sl_{}8", "_".repeat(42)));
        assert_eq!(clear_text(&[0; 32]), format!("sl_{}", "A".repeat(43)));
        let one = |place: usize| {
            let mut random = [0; 32];
            random[place] = 1;
            clear_text(&random)
        };
        let texts: std::collections::BTreeSet<String> = (0..32).map(one).collect();
        assert_eq!(texts.len(), 32);
    }

    #[test]
    fn a_token_is_found_by_its_clear_text_only() {
        let clears: Vec<String> = (0..50).map(|index| clear_text(&[index; 32])).collect();
        let token = |label: &String| {
            Arc::new(Token {
                id: 1,
                label: label.clone(),
                scopes: Scopes::ALL,
                trunks: Vec::new(),
                calls_per_minute: None,
                concurrent_calls: None,
                expires_at: None,
                created_by: String::new(),
                parent: None,
                created_at: Timestamp::UNIX_EPOCH,
            })
        };
        let rows = clears.iter().take(49);
        let table = TokenTable::new(
            rows.map(|clear| (TokenDigest::of(clear), token(clear)))
                .collect(),
        );
        for clear in clears.iter().take(49) {
            assert_eq!(&table.find(clear).unwrap().label, clear);
        }
        for wrong in [
            clears[49].as_str(),
            "",
            "sl_",
            "sl_AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ",
        ] {
            assert!(table.find(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_digest_shows_nothing_of_itself() {
        assert_eq!(format!("{:?}", TokenDigest::of("x")), "TokenDigest(…)");
    }
}
