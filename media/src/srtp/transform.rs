//! The ciphers: octets in place, given SSRC and index. Knows no windows and no counters.
//!
//! RTP keys stand expanded, because every packet needs them. Those of RTCP stand as they were derived,
//! less than a hundred octets, and are expanded for a report every few seconds.

use aes::Aes128;
use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{EncryptingKey, EncryptionContext};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit as _, StreamCipher as _};
use hmac::{Hmac, Mac as _};
use packet_io::prefetch;
use sha1::Sha1;
use zeroize::Zeroizing;

use crate::rtp::Ssrc;
use crate::srtp::key_derivation::{
    AUTHENTICATION_KEY_SIZE, Label, SessionKey, counter_mode, derive,
};
use crate::srtp::{MasterKey, RTCP_INDEX_SIZE, Suite};

/// The octets are not what the key made of them, or the key can make nothing of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused;

/// What HMAC-SHA1 makes; a tag is its first octets.
type Tag = [u8; 20];

/// Octets of the header of an RTCP packet that stay in the clear (RFC 3711 §3.4).
pub(super) const RTCP_CLEAR_SIZE: usize = 8;

/// In the word after an SRTCP packet: it is encrypted.
const E_FLAG: u32 = 1 << 31;

/// AES in counter mode (RFC 3711 §4.1.1).
struct CounterMode {
    cipher: EncryptingKey,
    /// Shifted to its place.
    salt: u128,
}

impl CounterMode {
    fn new(master: &MasterKey, encryption: Label, salt: Label) -> Option<Self> {
        let suite = master.suite();
        let (key, salt) = (derive(master, encryption)?, derive(master, salt)?);
        let salt = left_aligned(salt.get(..suite.salt_size())?)?;
        let cipher = counter_mode(suite, key.get(..suite.key_size())?)?;
        Some(Self { cipher, salt })
    }

    /// Encrypts, or decrypts: the key stream is the same.
    #[inline]
    fn apply(&self, ssrc: Ssrc, index: u64, octets: &mut [u8]) -> Result<(), Refused> {
        let start = first_block(self.salt, ssrc, index);
        let start = EncryptionContext::Iv128(start.into());
        self.cipher
            .less_safe_encrypt(octets, start)
            .map(drop)
            .map_err(|_unspecified| Refused)
    }
}

/// Where the key stream of a packet begins (RFC 3711 §4.1.1).
#[inline]
fn first_block(salt: u128, ssrc: Ssrc, index: u64) -> [u8; 16] {
    (salt ^ u128::from(ssrc.0) << 64 ^ u128::from(index) << 16).to_be_bytes()
}

/// AES in Galois/counter mode (RFC 7714).
pub(super) struct Galois {
    key: LessSafeKey,
    /// Shifted to its place.
    salt: u128,
}

impl Galois {
    fn new(master: &MasterKey, encryption: Label, salt: Label) -> Option<Self> {
        let suite = master.suite();
        let (key, salt) = (derive(master, encryption)?, derive(master, salt)?);
        Self::keyed(
            suite,
            key.get(..suite.key_size())?,
            salt.get(..suite.salt_size())?,
        )
    }

    /// With session keys.
    pub(super) fn keyed(suite: Suite, key: &[u8], salt: &[u8]) -> Option<Self> {
        let algorithm = if suite == Suite::AeadAes256Gcm {
            &AES_256_GCM
        } else {
            &AES_128_GCM
        };
        Some(Self {
            key: LessSafeKey::new(UnboundKey::new(algorithm, key).ok()?),
            salt: left_aligned(salt)?,
        })
    }

    /// RFC 7714 §8.1 and §9.1: two zero octets, SSRC, index; combined with the salt.
    #[inline]
    fn nonce(&self, ssrc: Ssrc, index: u64) -> Nonce {
        let value = self.salt ^ u128::from(ssrc.0) << 80 ^ u128::from(index) << 32;
        let [nonce @ .., _, _, _, _] = value.to_be_bytes();
        Nonce::assume_unique_for_key(nonce)
    }

    #[inline]
    fn seal(
        &self,
        (ssrc, index): (Ssrc, u64),
        clear: &[u8],
        octets: &mut [u8],
        tag: &mut [u8],
    ) -> Result<(), Refused> {
        let made = self
            .key
            .seal_in_place_separate_tag(self.nonce(ssrc, index), Aad::from(clear), octets)
            .map_err(|_unspecified| Refused)?;
        debug_assert_eq!(made.as_ref().len(), tag.len(), "a tag has room");
        tag.copy_from_slice(made.as_ref());
        Ok(())
    }

    /// After a refusal the octets are lost.
    #[inline]
    fn open(
        &self,
        (ssrc, index): (Ssrc, u64),
        clear: &[u8],
        octets: &mut [u8],
        tag: &[u8],
    ) -> Result<(), Refused> {
        self.key
            .open_in_place_separate_tag(self.nonce(ssrc, index), Aad::from(clear), tag, octets)
            .map(drop)
            .map_err(|_unspecified| Refused)
    }
}

/// Counter mode and HMAC of SRTP.
pub(super) struct RtpCounter {
    counter: CounterMode,
    authentication: Hmac<Sha1>,
    tag_size: usize,
}

impl RtpCounter {
    /// The tag of a packet (RFC 3711 §4.2): over all of it and the roll-over counter.
    #[inline]
    fn tag(&self, packet: &[u8], index: u64) -> Tag {
        let [_, _, roll_over @ .., _, _] = index.to_be_bytes();
        let mut context = self.authentication.clone();
        context.update(packet);
        context.update(&roll_over);
        context.finalize().into_bytes().into()
    }
}

/// The keys of SRTP in one direction.
pub(super) enum RtpTransform {
    Counter(Box<RtpCounter>),
    Galois(Box<Galois>),
}

impl RtpTransform {
    pub(super) fn new(master: &MasterKey) -> Option<Self> {
        let (encryption, salt) = (Label::RtpEncryption, Label::RtpSalt);
        if master.suite().is_aead() {
            let keys = Galois::new(master, encryption, salt)?;
            return Some(Self::Galois(Box::new(keys)));
        }
        let counter = CounterMode::new(master, encryption, salt)?;
        let key = derive(master, Label::RtpAuthentication)?;
        let key = key.get(..AUTHENTICATION_KEY_SIZE)?;
        Some(Self::Counter(Box::new(RtpCounter {
            counter,
            authentication: Hmac::new_from_slice(key).ok()?,
            tag_size: master.suite().rtp_tag_size(),
        })))
    }

    /// Asks for what stands beside it.
    #[inline]
    pub(super) fn prefetch_keys(&self) {
        match self {
            Self::Counter(keys) => prefetch(&**keys),
            Self::Galois(keys) => prefetch(&**keys),
        }
    }

    /// Octets beside itself.
    #[cfg(test)]
    pub(super) const fn heap_size(&self) -> usize {
        match self {
            Self::Counter(_) => size_of::<RtpCounter>(),
            Self::Galois(_) => size_of::<Galois>(),
        }
    }

    /// Protects a packet whose last octets are room for the tag.
    #[inline]
    pub(super) fn seal(
        &self,
        packet: &mut [u8],
        header_size: usize,
        (ssrc, index): (Ssrc, u64),
    ) -> Result<(), Refused> {
        match self {
            Self::Counter(keys) => {
                let (body, room) = split_end(packet, keys.tag_size)?;
                let payload = body.get_mut(header_size..).ok_or(Refused)?;
                keys.counter.apply(ssrc, index, payload)?;
                copy_tag(room, &keys.tag(body, index))
            }
            Self::Galois(keys) => {
                let (body, room) = split_end(packet, keys.tag_size())?;
                let (header, payload) = body.split_at_mut_checked(header_size).ok_or(Refused)?;
                keys.seal((ssrc, index), header, payload, room)
            }
        }
    }

    /// Unprotects a packet that ends with its tag. What is refused by counter mode is unchanged;
    /// what is refused by Galois/counter mode is lost.
    #[inline]
    pub(super) fn open(
        &self,
        packet: &mut [u8],
        header_size: usize,
        (ssrc, index): (Ssrc, u64),
    ) -> Result<(), Refused> {
        match self {
            Self::Counter(keys) => {
                let (body, tag) = split_end(packet, keys.tag_size)?;
                check_tag(tag, &keys.tag(body, index))?;
                let payload = body.get_mut(header_size..).ok_or(Refused)?;
                keys.counter.apply(ssrc, index, payload)
            }
            Self::Galois(keys) => {
                let (body, tag) = split_end(packet, keys.tag_size())?;
                let (header, payload) = body.split_at_mut_checked(header_size).ok_or(Refused)?;
                keys.open((ssrc, index), header, payload, tag)
            }
        }
    }
}

/// The session keys of SRTCP in one direction, expanded at each use.
pub(super) struct RtcpTransform {
    suite: Suite,
    encryption: SessionKey,
    /// Of counter mode.
    authentication: Zeroizing<[u8; AUTHENTICATION_KEY_SIZE]>,
    salt: SessionSalt,
}

/// A session salt, in the first octets of its array.
type SessionSalt = Zeroizing<[u8; 16]>;

impl RtcpTransform {
    pub(super) fn new(master: &MasterKey) -> Option<Self> {
        let suite = master.suite();
        let salt = derive(master, Label::RtcpSalt)?;
        let mut kept = SessionSalt::new([0; 16]);
        kept.get_mut(..suite.salt_size())?
            .copy_from_slice(salt.get(..suite.salt_size())?);
        let keys = Self {
            suite,
            encryption: derive(master, Label::RtcpEncryption)?,
            authentication: Zeroizing::new(
                *derive(master, Label::RtcpAuthentication)?.first_chunk()?,
            ),
            salt: kept,
        };
        if suite.is_aead() {
            keys.galois().ok()?;
        } else {
            keys.counter_mode(Ssrc(0), 0, &mut []).ok()?;
        }
        Some(keys)
    }

    /// With session keys, of Galois/counter mode.
    #[cfg(test)]
    pub(super) fn keyed(suite: Suite, key: &[u8], salt: &[u8]) -> Option<Self> {
        let mut keys = Self {
            suite,
            encryption: SessionKey::default(),
            authentication: Zeroizing::default(),
            salt: SessionSalt::default(),
        };
        keys.encryption.get_mut(..key.len())?.copy_from_slice(key);
        keys.salt.get_mut(..salt.len())?.copy_from_slice(salt);
        Some(keys)
    }

    fn galois(&self) -> Result<Galois, Refused> {
        let key = self.encryption.get(..self.suite.key_size());
        let salt = self.salt.get(..self.suite.salt_size());
        let (key, salt) = key.zip(salt).ok_or(Refused)?;
        Galois::keyed(self.suite, key, salt).ok_or(Refused)
    }

    /// Encrypts, or decrypts, in counter mode.
    fn counter_mode(&self, ssrc: Ssrc, index: u64, octets: &mut [u8]) -> Result<(), Refused> {
        let salt = u128::from_be_bytes(*self.salt);
        let key = self.encryption.get(..self.suite.key_size());
        let start = first_block(salt, ssrc, index);
        let mut stream = key
            .and_then(|key| Ctr128BE::<Aes128>::new_from_slices(key, &start).ok())
            .ok_or(Refused)?;
        stream.try_apply_keystream(octets).map_err(|_end| Refused)
    }

    fn tag(&self, packet_and_index: &[u8]) -> Result<Tag, Refused> {
        let context = Hmac::<Sha1>::new_from_slice(&self.authentication[..]);
        let mut context = context.map_err(|_wrong_length| Refused)?;
        context.update(packet_and_index);
        Ok(context.finalize().into_bytes().into())
    }

    /// Protects a packet whose last octets are room for tag and index (RFC 3711 §3.4: index, then
    /// tag; RFC 7714 §9.3: tag, then index).
    pub(super) fn seal(
        &self,
        packet: &mut [u8],
        (ssrc, index): (Ssrc, u64),
    ) -> Result<(), Refused> {
        let word = (u32::try_from(index).map_err(|_too_high| Refused)? | E_FLAG).to_be_bytes();
        match self.suite.is_aead() {
            false => {
                let (body, tag) = split_end(packet, self.suite.rtcp_tag_size())?;
                let (clear, room) = split_end(body, RTCP_INDEX_SIZE)?;
                room.copy_from_slice(&word);
                let content = clear.get_mut(RTCP_CLEAR_SIZE..).ok_or(Refused)?;
                self.counter_mode(ssrc, index, content)?;
                copy_tag(tag, &self.tag(body)?)
            }
            true => {
                let keys = self.galois()?;
                let (body, room) = split_end(packet, RTCP_INDEX_SIZE)?;
                room.copy_from_slice(&word);
                let (body, tag) = split_end(body, keys.tag_size())?;
                let (clear, content) = body
                    .split_first_chunk_mut::<RTCP_CLEAR_SIZE>()
                    .ok_or(Refused)?;
                keys.seal((ssrc, index), &with_word(clear, word), content, tag)
            }
        }
    }

    /// The word that says whether the packet is encrypted, and its index. `None`: too short.
    pub(super) fn index(&self, packet: &[u8]) -> Option<u64> {
        let word = self.word(packet)?;
        Some(u64::from(word & !E_FLAG))
    }

    fn word(&self, packet: &[u8]) -> Option<u32> {
        let after = if self.suite.is_aead() {
            0
        } else {
            self.suite.rtcp_tag_size()
        };
        let end = packet.len().checked_sub(after)?;
        let word = packet.get(end.checked_sub(RTCP_INDEX_SIZE)?..end)?;
        word.first_chunk().map(|word| u32::from_be_bytes(*word))
    }

    /// Unprotects a packet that ends with tag and index. A packet that is authenticated only (no E
    /// flag) is taken, too. Refused octets fare as with RTP.
    pub(super) fn open(
        &self,
        packet: &mut [u8],
        (ssrc, index): (Ssrc, u64),
    ) -> Result<(), Refused> {
        let word = self.word(packet).ok_or(Refused)?;
        let is_encrypted = word & E_FLAG != 0;
        match self.suite.is_aead() {
            false => {
                let (body, tag) = split_end(packet, self.suite.rtcp_tag_size())?;
                check_tag(tag, &self.tag(body)?)?;
                let (clear, _word) = split_end(body, RTCP_INDEX_SIZE)?;
                let content = clear.get_mut(RTCP_CLEAR_SIZE..).ok_or(Refused)?;
                if is_encrypted {
                    self.counter_mode(ssrc, index, content)?;
                }
                Ok(())
            }
            true => {
                let keys = self.galois()?;
                let (body, _word) = split_end(packet, RTCP_INDEX_SIZE)?;
                let (body, tag) = split_end(body, keys.tag_size())?;
                if !is_encrypted {
                    return keys.check((ssrc, index), body, word.to_be_bytes(), tag);
                }
                let (clear, content) = body
                    .split_first_chunk_mut::<RTCP_CLEAR_SIZE>()
                    .ok_or(Refused)?;
                let clear = with_word(clear, word.to_be_bytes());
                keys.open((ssrc, index), &clear, content, tag)
            }
        }
    }
}

impl Galois {
    fn tag_size(&self) -> usize {
        self.key.algorithm().tag_len()
    }

    /// A packet that is authenticated only: all of it and its index are clear (RFC 7714 §9.3).
    fn check(
        &self,
        number: (Ssrc, u64),
        packet: &[u8],
        word: [u8; RTCP_INDEX_SIZE],
        tag: &[u8],
    ) -> Result<(), Refused> {
        let mut clear = arrayvec::ArrayVec::<u8, CLEAR_SIZE_MAX>::new();
        clear
            .try_extend_from_slice(packet)
            .map_err(|_full| Refused)?;
        clear
            .try_extend_from_slice(&word)
            .map_err(|_full| Refused)?;
        self.open(number, &clear, &mut [], tag)
    }
}

/// Octets that may be authenticated without being encrypted: more than any buffer holds.
const CLEAR_SIZE_MAX: usize = 2_048;

fn with_word(
    clear: &[u8; RTCP_CLEAR_SIZE],
    word: [u8; RTCP_INDEX_SIZE],
) -> [u8; RTCP_CLEAR_SIZE + RTCP_INDEX_SIZE] {
    let [a, b, c, d, e, f, g, h] = *clear;
    let [i, j, k, l] = word;
    [a, b, c, d, e, f, g, h, i, j, k, l]
}

#[inline]
fn split_end(packet: &mut [u8], size: usize) -> Result<(&mut [u8], &mut [u8]), Refused> {
    let end = packet.len().checked_sub(size).ok_or(Refused)?;
    packet.split_at_mut_checked(end).ok_or(Refused)
}

#[inline]
fn copy_tag(room: &mut [u8], made: &Tag) -> Result<(), Refused> {
    let made = made.get(..room.len()).ok_or(Refused)?;
    room.copy_from_slice(made);
    Ok(())
}

/// In constant time.
#[inline]
fn check_tag(tag: &[u8], made: &Tag) -> Result<(), Refused> {
    debug_assert!(!tag.is_empty(), "no tag proves nothing");
    let made = made.get(..tag.len()).ok_or(Refused)?;
    verify_slices_are_equal(made, tag).map_err(|_unspecified| Refused)
}

/// The first octets as the first of a number of 16.
fn left_aligned(octets: &[u8]) -> Option<u128> {
    let mut number = [0; 16];
    number.get_mut(..octets.len())?.copy_from_slice(octets);
    Some(u128::from_be_bytes(number))
}
