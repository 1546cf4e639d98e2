//! Keys of SRTP in descriptions (RFC 4568, RFC 7714): `a=crypto` of one line, whatever the line carries.
//!
//! Owns what such an attribute means and how ours is written, and which keys two sides agreed upon.
//! Makes no key: the octets come from call control, which has the random source. What keys do to packets
//! is the business of the media core. No key is ever shown by `Debug`, and no
//! [`CryptoKey`] stays in memory when nobody has it any more; the text of a description that names one is
//! not cleared.

mod base64;
mod line;
mod line_keys;
mod own_keys;

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

pub use self::line::{CryptoLine, read, read_one};
pub use self::line_keys::LineKeys;
pub(super) use self::own_keys::OwnKeys;

/// What is protected how (RFC 4568 §6.2, RFC 7714 §14.2). `AES_256_CM` is not ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CryptoSuite {
    /// `AEAD_AES_256_GCM`
    AeadAes256Gcm,
    /// `AEAD_AES_128_GCM`
    AeadAes128Gcm,
    /// `AES_CM_128_HMAC_SHA1_80`
    AesCm128HmacSha1_80,
    /// `AES_CM_128_HMAC_SHA1_32`
    AesCm128HmacSha1_32,
}

impl CryptoSuite {
    /// All that we have, the strongest first: the order of our offers.
    pub const ALL: [Self; 4] = [
        Self::AeadAes256Gcm,
        Self::AeadAes128Gcm,
        Self::AesCm128HmacSha1_80,
        Self::AesCm128HmacSha1_32,
    ];

    /// As it stands on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AeadAes256Gcm => "AEAD_AES_256_GCM",
            Self::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Self::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Self::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
        }
    }

    /// Of its name; `None`: not one of ours.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|suite| suite.as_str().eq_ignore_ascii_case(name))
    }

    /// Octets of the master key and the master salt after it: 16 and 14, with GCM 16 or 32 and 12
    /// (RFC 4568 §6.2.1, RFC 7714 §12).
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::AeadAes256Gcm => 44,
            Self::AeadAes128Gcm => 28,
            Self::AesCm128HmacSha1_80 | Self::AesCm128HmacSha1_32 => 30,
        }
    }

    /// Its tag in our offers: the same in every offer, wherever it stands in the list.
    const fn tag(self) -> u32 {
        match self {
            Self::AeadAes256Gcm => 1,
            Self::AeadAes128Gcm => 2,
            Self::AesCm128HmacSha1_80 => 3,
            Self::AesCm128HmacSha1_32 => 4,
        }
    }
}

/// Largest master key with its salt.
pub const KEY_AND_SALT_MAX: usize = 44;

/// A master key with its salt, and the suite that it is for.
#[derive(Clone, PartialEq, Eq)]
pub struct CryptoKey {
    suite: CryptoSuite,
    /// The first `suite.size()` are used; the others are 0.
    octets: [u8; KEY_AND_SALT_MAX],
}

impl CryptoKey {
    /// `None` where these are not as many octets as the suite wants.
    #[must_use]
    pub fn new(suite: CryptoSuite, key_and_salt: &[u8]) -> Option<Self> {
        if key_and_salt.len() != suite.size() {
            return None;
        }
        let mut key = Self {
            suite,
            octets: [0; KEY_AND_SALT_MAX],
        };
        let octets = key.octets.get_mut(..key_and_salt.len())?;
        octets.copy_from_slice(key_and_salt);
        Some(key)
    }

    /// What it is for.
    #[must_use]
    pub const fn suite(&self) -> CryptoSuite {
        self.suite
    }

    /// The master key, then the salt.
    #[must_use]
    pub fn key_and_salt(&self) -> &[u8] {
        self.octets.get(..self.suite.size()).unwrap_or_default()
    }
}

impl Drop for CryptoKey {
    fn drop(&mut self) {
        self.octets.zeroize();
    }
}

impl ZeroizeOnDrop for CryptoKey {}

impl fmt::Debug for CryptoKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "CryptoKey({}, …)", self.suite.as_str())
    }
}

/// What two sides of a line agreed upon: one suite, and each its own key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgreedKeys {
    /// What we protect with.
    pub send: CryptoKey,
    /// What the peer protects with.
    pub receive: CryptoKey,
}

impl AgreedKeys {
    /// Of the line that we said and the one that the peer said under the same tag.
    pub(super) fn of(ours: &CryptoLine, theirs: &CryptoLine) -> Self {
        debug_assert!(ours.answers(theirs), "a tag and a suite of both");
        Self {
            send: ours.key.clone(),
            receive: theirs.key.clone(),
        }
    }

    /// What both protect with.
    #[must_use]
    pub const fn suite(&self) -> CryptoSuite {
        self.send.suite()
    }
}

/// Whether a leg may, or must, have keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CryptoPolicy {
    /// Keys are neither offered nor taken.
    #[default]
    Off,
    /// Taken where the peer has them.
    Preferred,
    /// Nothing without.
    Required,
}

/// What a first offer of ours says of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CryptoOffer {
    /// `RTP/AVP` without keys.
    #[default]
    Plain,
    /// `RTP/AVP` with keys: who does not know them reads over them. For an offer that cannot be made a
    /// second time.
    BestEffort,
    /// `RTP/SAVP`.
    Secure,
}

/// How a line's transport protects (RFC 3711 §12, RFC 5124 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Profile {
    /// `RTP/AVP`, `RTP/AVPF`
    Plain,
    /// `RTP/SAVP`, `RTP/SAVPF`: keys are in the description.
    Secure,
    /// Secure, but with keys from elsewhere (DTLS).
    Foreign,
    /// No RTP of ours.
    None,
}

impl Profile {
    /// Of the third word of an `m=` line.
    pub(super) fn of(protocol: &str) -> Self {
        let is = |name: &str| protocol.eq_ignore_ascii_case(name);
        if is("RTP/AVP") || is("RTP/AVPF") {
            Self::Plain
        } else if is(SECURE) || is("RTP/SAVPF") {
            Self::Secure
        } else if protocol.to_ascii_uppercase().contains("SAVP") {
            Self::Foreign
        } else {
            Self::None
        }
    }
}

/// The transport of our secure offers.
pub(super) const SECURE: &str = "RTP/SAVP";

#[cfg(test)]
mod tests;
