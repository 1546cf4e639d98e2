//! Writes responses (RFC 8489 §6.3), each with MESSAGE-INTEGRITY and FINGERPRINT, and requests as a
//! browser sends them, for tests and benches.

use std::net::{IpAddr, SocketAddr};

use arrayvec::ArrayVec;
use hmac::{Hmac, Mac as _};
use sha1::Sha1;

use crate::ice::stun::attribute::Attribute;
use crate::ice::stun::crc::crc32;
use crate::ice::stun::message::{TRANSACTION_SIZE, mask};
use crate::ice::stun::{
    ATTRIBUTE_HEADER_SIZE, FINGERPRINT_MASK, HEADER_SIZE, INTEGRITY_SIZE, MAGIC_COOKIE,
};
use crate::limits::STUN_UNKNOWN_MAX;

/// Octets of the longest response: an error with its words and every unknown attribute.
pub const RESPONSE_SIZE_MAX: usize = HEADER_SIZE
    + ATTRIBUTE_HEADER_SIZE
    + 4
    + REASON_SIZE_MAX
    + ATTRIBUTE_HEADER_SIZE
    + (2 * STUN_UNKNOWN_MAX).next_multiple_of(4)
    + ATTRIBUTE_HEADER_SIZE
    + INTEGRITY_SIZE
    + ATTRIBUTE_HEADER_SIZE
    + 4;

/// Octets of the words of an error.
const REASON_SIZE_MAX: usize = 20;

/// Message types (RFC 8489 §5).
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;

/// Why a request with valid integrity is not granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// 420 (RFC 8489 §14.8).
    UnknownAttribute,
    /// 487 (RFC 8445 §7.3.1.1).
    RoleConflict,
}

impl ErrorCode {
    /// Its number.
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::UnknownAttribute => 420,
            Self::RoleConflict => 487,
        }
    }

    const fn class_and_number(self) -> [u8; 4] {
        match self {
            Self::UnknownAttribute => [0, 0, 4, 20],
            Self::RoleConflict => [0, 0, 4, 87],
        }
    }

    const fn reason(self) -> &'static str {
        match self {
            Self::UnknownAttribute => "Unknown Attribute",
            Self::RoleConflict => "Role Conflict",
        }
    }
}

/// What a request is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Response<'a> {
    /// Where it came from.
    Success(SocketAddr),
    /// It is not granted, for these unknown attributes if for any.
    Error(ErrorCode, &'a [u16]),
}

impl Response<'_> {
    /// The datagram of it, under our password (RFC 8489 §9.1.3).
    #[must_use]
    pub fn write(
        self,
        transaction: &[u8; TRANSACTION_SIZE],
        password: &[u8],
    ) -> ArrayVec<u8, RESPONSE_SIZE_MAX> {
        let mut octets = Octets(ArrayVec::new());
        match self {
            Self::Success(source) => {
                octets.header(BINDING_SUCCESS, transaction);
                octets.address(source, transaction);
            }
            Self::Error(code, unknown) => {
                octets.header(BINDING_ERROR, transaction);
                let value = [&code.class_and_number(), code.reason().as_bytes()];
                octets.attribute(Attribute::ErrorCode, &value);
                if code == ErrorCode::UnknownAttribute {
                    let numbers: ArrayVec<u8, { 2 * STUN_UNKNOWN_MAX }> = unknown
                        .iter()
                        .take(STUN_UNKNOWN_MAX)
                        .flat_map(|number| number.to_be_bytes())
                        .collect();
                    octets.attribute(Attribute::UnknownAttributes, &[&numbers]);
                }
            }
        }
        octets.seal(password);
        octets.0
    }
}

/// A Binding request as a controlling agent sends it: `attributes` follow the header in this order,
/// then MESSAGE-INTEGRITY under `password` and FINGERPRINT. `None`: longer than `SIZE`.
#[must_use]
pub fn write_request<const SIZE: usize>(
    transaction: &[u8; TRANSACTION_SIZE],
    attributes: &[(u16, &[u8])],
    password: &[u8],
) -> Option<ArrayVec<u8, SIZE>> {
    let room = ATTRIBUTE_HEADER_SIZE + 3;
    let longest: usize = attributes.iter().map(|(_, value)| value.len() + room).sum();
    let sealed = 2 * ATTRIBUTE_HEADER_SIZE + INTEGRITY_SIZE + 4;
    if HEADER_SIZE + longest + sealed > SIZE {
        return None;
    }
    let mut octets = Octets(ArrayVec::new());
    octets.header(BINDING_REQUEST, transaction);
    for (number, value) in attributes {
        octets.numbered(*number, &[value]);
    }
    octets.seal(password);
    Some(octets.0)
}

/// A message that grows. Its bound is derived from what is written; an octet beyond it would be a
/// fault of ours and is left out.
struct Octets<const SIZE: usize>(ArrayVec<u8, SIZE>);

impl<const SIZE: usize> Octets<SIZE> {
    fn push(&mut self, octets: &[u8]) {
        let has_room = self.0.try_extend_from_slice(octets).is_ok();
        debug_assert!(has_room, "the bound is of the longest message");
    }

    fn header(&mut self, kind: u16, transaction: &[u8; TRANSACTION_SIZE]) {
        self.push(&kind.to_be_bytes());
        self.push(&[0, 0]);
        self.push(&MAGIC_COOKIE.to_be_bytes());
        self.push(transaction);
    }

    fn attribute(&mut self, attribute: Attribute, value: &[&[u8]]) {
        self.numbered(attribute.number(), value);
    }

    fn numbered(&mut self, number: u16, value: &[&[u8]]) {
        let size = value.iter().map(|part| part.len()).sum::<usize>();
        self.push(&number.to_be_bytes());
        self.push(&u16::try_from(size).unwrap_or(u16::MAX).to_be_bytes());
        for part in value {
            self.push(part);
        }
        let padding = size.next_multiple_of(4) - size;
        self.push([0; 3].get(..padding).unwrap_or_default());
    }

    /// XOR-MAPPED-ADDRESS (RFC 8489 §14.2).
    fn address(&mut self, source: SocketAddr, transaction: &[u8; TRANSACTION_SIZE]) {
        let [cookie_high, cookie_low, ..] = MAGIC_COOKIE.to_be_bytes();
        let [port_high, port_low] = source.port().to_be_bytes();
        let port = [port_high ^ cookie_high, port_low ^ cookie_low];
        match source.ip().to_canonical() {
            IpAddr::V4(ip) => {
                let ip = (ip.to_bits() ^ MAGIC_COOKIE).to_be_bytes();
                self.attribute(Attribute::XorMappedAddress, &[&[0, 1], &port, &ip]);
            }
            IpAddr::V6(ip) => {
                let ip = (ip.to_bits() ^ mask(transaction)).to_be_bytes();
                self.attribute(Attribute::XorMappedAddress, &[&[0, 2], &port, &ip]);
            }
        }
    }

    /// The length that counts `more` octets behind what is there.
    fn set_length(&mut self, more: usize) {
        let size = (self.0.len() + more).saturating_sub(HEADER_SIZE);
        let size = u16::try_from(size).unwrap_or(u16::MAX);
        if let Some(length) = self.0.get_mut(2..4) {
            length.copy_from_slice(&size.to_be_bytes());
        }
    }

    /// MESSAGE-INTEGRITY and FINGERPRINT (RFC 8489 §14.5, §14.7).
    fn seal(&mut self, password: &[u8]) {
        self.set_length(ATTRIBUTE_HEADER_SIZE + INTEGRITY_SIZE);
        if let Ok(mut hmac) = Hmac::<Sha1>::new_from_slice(password) {
            hmac.update(&self.0);
            let tag = hmac.finalize().into_bytes();
            self.attribute(Attribute::MessageIntegrity, &[&tag]);
        }
        self.set_length(ATTRIBUTE_HEADER_SIZE + 4);
        let fingerprint = crc32(&[&self.0]) ^ FINGERPRINT_MASK;
        self.attribute(Attribute::Fingerprint, &[&fingerprint.to_be_bytes()]);
    }
}
