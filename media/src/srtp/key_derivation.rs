//! From a master key to session keys (RFC 3711 §4.3, RFC 7714 §11), with a key derivation rate of
//! zero: session keys last as long as their master key.

use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use zeroize::Zeroizing;

use crate::srtp::{MasterKey, Suite};

/// What a session key is for: the labels of RFC 3711 §4.3.1 and §4.3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Label {
    RtpEncryption = 0,
    RtpAuthentication = 1,
    RtpSalt = 2,
    RtcpEncryption = 3,
    RtcpAuthentication = 4,
    RtcpSalt = 5,
}

/// Octets of a session key at most.
const SESSION_KEY_SIZE_MAX: usize = 32;

/// Octets of the key of HMAC-SHA1 (RFC 3711 §8.2, `n_a`).
pub(super) const AUTHENTICATION_KEY_SIZE: usize = 20;

/// A session key, in the first octets of its array.
pub(super) type SessionKey = Zeroizing<[u8; SESSION_KEY_SIZE_MAX]>;

/// A key of this octet is one that the cipher refuses, in tests.
#[cfg(test)]
pub(crate) const REFUSED_IN_TESTS: u8 = 0xee;

/// Where the label stands: the octet of the salt it is combined with.
const LABEL_AT: usize = 7;

/// The key stream of AES in counter mode under the master key, begun where label and salt say.
/// `None`: the cipher refused the key.
pub(super) fn derive(master: &MasterKey, label: Label) -> Option<SessionKey> {
    #[cfg(test)]
    if master.key().iter().all(|octet| *octet == REFUSED_IN_TESTS) {
        return None;
    }
    let cipher = counter_mode(master.suite(), master.key())?;
    // 14 octets, those of a salt of 12 padded on the right (RFC 7714 §11), then a counter of two.
    let mut start = [0_u8; 16];
    start
        .get_mut(..master.salt().len())?
        .copy_from_slice(master.salt());
    *start.get_mut(LABEL_AT)? ^= label as u8;
    let mut derived = SessionKey::new([0; SESSION_KEY_SIZE_MAX]);
    cipher
        .less_safe_encrypt(&mut derived[..], EncryptionContext::Iv128((&start).into()))
        .ok()?;
    Some(derived)
}

/// AES in counter mode with a key of the suite's size. `None`: not that long.
pub(super) fn counter_mode(suite: Suite, key: &[u8]) -> Option<EncryptingKey> {
    let algorithm = if suite.key_size() == 32 {
        &AES_256
    } else {
        &AES_128
    };
    EncryptingKey::ctr(UnboundCipherKey::new(algorithm, key).ok()?).ok()
}
