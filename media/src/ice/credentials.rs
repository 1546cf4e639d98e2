//! User name fragment and password of one side (RFC 8445 §5.3).

use std::fmt;

use zeroize::Zeroizing;

use crate::limits::ICE_FRAGMENT_BYTES_MAX;

/// Characters of a fragment (RFC 8839 §5.4).
const FRAGMENT_SIZE: std::ops::RangeInclusive<usize> = 4..=ICE_FRAGMENT_BYTES_MAX;
/// Characters of a password (RFC 8839 §5.4).
const PASSWORD_SIZE: std::ops::RangeInclusive<usize> = 22..=256;

/// Octets that [`Credentials::from_entropy`] makes a fragment and a password of: 48 bits, so that the
/// fragments of one socket do not meet, and 144 bits (RFC 8445 §5.3 asks for 24 and 128).
pub const FRAGMENT_ENTROPY_SIZE: usize = 24;

/// What a peer's checks to us carry: our fragment names us, our password proves that the peer has
/// read our description. Its memory is cleared when it is dropped, and it prints no password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    fragment: Box<[u8]>,
    password: Zeroizing<Box<[u8]>>,
}

impl Credentials {
    /// A fragment and a password. `None`: not as long as they must be, or of other characters.
    #[must_use]
    pub fn new(fragment: &[u8], password: &[u8]) -> Option<Self> {
        let is_password =
            PASSWORD_SIZE.contains(&password.len()) && password.iter().all(is_ice_character);
        (is_fragment(fragment) && is_password).then(|| Self {
            fragment: fragment.into(),
            password: Zeroizing::new(password.into()),
        })
    }

    /// Eight characters of a fragment and twenty-four of a password out of random octets.
    #[must_use]
    pub fn from_entropy(octets: &[u8; FRAGMENT_ENTROPY_SIZE]) -> Self {
        let mut characters = Zeroizing::new(Vec::with_capacity(FRAGMENT_ENTROPY_SIZE / 3 * 4));
        for three in octets.chunks_exact(3) {
            let word = three
                .iter()
                .fold(0_u32, |word, octet| word << 8 | u32::from(*octet));
            for shift in [18, 12, 6, 0] {
                characters.push(character(word >> shift & 63));
            }
        }
        let (fragment, password) = characters.split_at(8);
        Self {
            fragment: fragment.into(),
            password: Zeroizing::new(password.into()),
        }
    }

    /// `a=ice-ufrag` (RFC 8839 §5.4).
    #[must_use]
    pub fn fragment(&self) -> &[u8] {
        &self.fragment
    }

    /// `a=ice-pwd` (RFC 8839 §5.4).
    #[must_use]
    pub fn password(&self) -> &[u8] {
        &self.password
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Credentials")
            .field("fragment", &self.fragment.escape_ascii().to_string())
            .finish_non_exhaustive()
    }
}

/// True for what `a=ice-ufrag` may name.
#[must_use]
pub fn is_fragment(octets: &[u8]) -> bool {
    FRAGMENT_SIZE.contains(&octets.len()) && octets.iter().all(is_ice_character)
}

const fn is_ice_character(octet: &u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/')
}

/// The ice-char of six bits.
fn character(bits: u32) -> u8 {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    usize::try_from(bits)
        .ok()
        .and_then(|at| ALPHABET.get(at))
        .copied()
        .unwrap_or(b'A')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_of_random_octets_are_valid_and_differ_with_each_octet() {
        let octets = [0xa5; FRAGMENT_ENTROPY_SIZE];
        let made = Credentials::from_entropy(&octets);
        assert_eq!(made.fragment().len(), 8);
        assert_eq!(made.password().len(), 24);
        assert_eq!(
            Credentials::new(made.fragment(), made.password()),
            Some(made.clone())
        );
        for at in 0..octets.len() {
            let mut other = octets;
            other[at] ^= 1;
            assert_ne!(Credentials::from_entropy(&other), made, "octet {at}");
        }
    }

    #[test]
    fn fragments_and_passwords_have_the_length_and_the_characters_of_rfc_8839() {
        let password = [b'p'; 22];
        assert!(Credentials::new(b"abcd", &password).is_some());
        assert!(Credentials::new(b"abc", &password).is_none());
        assert!(Credentials::new(b"ab:d", &password).is_none());
        assert!(Credentials::new(&[b'a'; 257], &password).is_none());
        assert!(Credentials::new(b"abcd", &password[1..]).is_none());
        assert!(Credentials::new(b"abcd", &[b' '; 22]).is_none());
    }

    #[test]
    fn credentials_print_no_password() {
        let printed = format!("{:?}", Credentials::new(b"abcd", &[b'S'; 22]).unwrap());
        assert!(printed.contains("abcd"), "{printed}");
        assert!(!printed.contains('S'), "{printed}");
    }
}
