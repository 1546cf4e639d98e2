//! A view over one STUN message (RFC 8489 §5, §14). Total: any octets give a view or a reason, and
//! nothing outside the message is read.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use arrayvec::ArrayVec;
use hmac::{Hmac, Mac as _};
use sha1::Sha1;

use crate::ice::Refusal;
use crate::ice::stun::attribute::Attribute;
use crate::ice::stun::crc::crc32;
use crate::ice::stun::{
    ATTRIBUTE_HEADER_SIZE, BINDING, FINGERPRINT_MASK, HEADER_SIZE, INTEGRITY_SIZE, MAGIC_COOKIE,
};
use crate::limits::{STUN_ATTRIBUTES_MAX, STUN_MESSAGE_BYTES_MAX, STUN_UNKNOWN_MAX};

/// Octets of a transaction id.
pub const TRANSACTION_SIZE: usize = 12;

/// What a message is (RFC 8489 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Asks for a response.
    Request,
    /// Asks for nothing.
    Indication,
    /// The request was granted.
    Success,
    /// The request was not granted.
    Error,
}

/// One message whose attributes lie where they say.
#[derive(Debug, Clone, Copy)]
pub struct MessageView<'a> {
    octets: &'a [u8],
    class: Class,
    method: u16,
    transaction: &'a [u8; TRANSACTION_SIZE],
    /// Where MESSAGE-INTEGRITY begins: what follows is read by nobody but FINGERPRINT's check.
    integrity_at: Option<usize>,
    /// Where the attributes end that are read.
    end: usize,
}

impl<'a> MessageView<'a> {
    /// Reads header and attributes, and checks FINGERPRINT when there is one.
    ///
    /// # Errors
    /// Why it is no message.
    pub fn parse(octets: &'a [u8]) -> Result<Self, Refusal> {
        let (head, body) = octets
            .split_first_chunk::<HEADER_SIZE>()
            .ok_or(Refusal::Length)?;
        if octets.len() > STUN_MESSAGE_BYTES_MAX {
            return Err(Refusal::TooLong);
        }
        let [kind_high, kind_low, size_high, size_low, c0, c1, c2, c3, ..] = *head;
        let kind = u16::from_be_bytes([kind_high, kind_low]);
        if kind >= 0x4000 || u32::from_be_bytes([c0, c1, c2, c3]) != MAGIC_COOKIE {
            return Err(Refusal::NotStun);
        }
        let size = usize::from(u16::from_be_bytes([size_high, size_low]));
        if size != body.len() || !size.is_multiple_of(4) {
            return Err(Refusal::Length);
        }
        let transaction = head.last_chunk().ok_or(Refusal::Length)?;
        let mut view = Self {
            octets,
            class: class_of(kind),
            method: method_of(kind),
            transaction,
            integrity_at: None,
            end: octets.len(),
        };
        view.walk()?;
        debug_assert!(view.end <= octets.len(), "attributes lie inside");
        Ok(view)
    }

    /// Every attribute lies inside; notes where integrity begins.
    fn walk(&mut self) -> Result<(), Refusal> {
        let mut at = HEADER_SIZE;
        let mut count = 0;
        while at < self.octets.len() {
            count += 1;
            if count > STUN_ATTRIBUTES_MAX {
                return Err(Refusal::TooManyAttributes);
            }
            let (number, value, next) =
                attribute_at(self.octets, at).ok_or(Refusal::AttributeLength)?;
            match Attribute::of(number) {
                Some(Attribute::MessageIntegrity) if self.integrity_at.is_none() => {
                    if value.len() != INTEGRITY_SIZE {
                        return Err(Refusal::AttributeValue);
                    }
                    self.integrity_at = Some(at);
                    self.end = at;
                }
                Some(Attribute::Fingerprint) => {
                    let is_last = next == self.octets.len();
                    if !is_last || value != self.fingerprint_before(at).to_be_bytes() {
                        return Err(Refusal::Fingerprint);
                    }
                    self.end = self.end.min(at);
                }
                _ => {}
            }
            at = next;
        }
        Ok(())
    }

    /// What FINGERPRINT must be at this place (RFC 8489 §14.7): it is the last, so that the length is
    /// as the header has it.
    fn fingerprint_before(&self, at: usize) -> u32 {
        crc32(&[self.octets.get(..at).unwrap_or_default()]) ^ FINGERPRINT_MASK
    }

    /// What it is.
    #[must_use]
    pub const fn class(&self) -> Class {
        self.class
    }

    /// Its method; 1 is Binding.
    #[must_use]
    pub const fn method(&self) -> u16 {
        self.method
    }

    /// What a response must repeat.
    #[must_use]
    pub const fn transaction(&self) -> &'a [u8; TRANSACTION_SIZE] {
        self.transaction
    }

    /// That it answers a Binding request; false where it does not grant it.
    ///
    /// # Errors
    /// It is something else.
    pub fn expect_binding_response(&self) -> Result<bool, Refusal> {
        match self.class {
            _ if self.method != BINDING => Err(Refusal::Method),
            Class::Success => Ok(true),
            Class::Error => Ok(false),
            Class::Indication => Err(Refusal::Indication),
            Class::Request => Err(Refusal::Response),
        }
    }

    /// That it is a Binding request, the only thing that is answered.
    ///
    /// # Errors
    /// What it is instead.
    pub const fn expect_binding_request(&self) -> Result<(), Refusal> {
        if self.method != BINDING {
            return Err(Refusal::Method);
        }
        match self.class {
            Class::Request => Ok(()),
            Class::Indication => Err(Refusal::Indication),
            Class::Success | Class::Error => Err(Refusal::Response),
        }
    }

    /// Numbers and values of the attributes before MESSAGE-INTEGRITY; what follows it is nobody's
    /// (RFC 8489 §14.5).
    pub fn attributes(&self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        let octets = self.octets.get(..self.end).unwrap_or_default();
        let mut at = HEADER_SIZE;
        std::iter::from_fn(move || {
            let (number, value, next) = attribute_at(octets, at)?;
            at = next;
            Some((number, value))
        })
    }

    /// The value of the first attribute of this kind (RFC 8489 §14).
    #[must_use]
    pub fn first(&self, attribute: Attribute) -> Option<&'a [u8]> {
        let number = attribute.number();
        self.attributes()
            .find_map(|(other, value)| (other == number).then_some(value))
    }

    /// An attribute of a fixed size, if it is there.
    ///
    /// # Errors
    /// It is there and has another size.
    pub fn fixed<const SIZE: usize>(
        &self,
        attribute: Attribute,
    ) -> Result<Option<[u8; SIZE]>, Refusal> {
        self.first(attribute)
            .map(|value| value.try_into().or(Err(Refusal::AttributeValue)))
            .transpose()
    }

    /// PRIORITY (RFC 8445 §7.1.1).
    ///
    /// # Errors
    /// It is there and has another size.
    pub fn priority(&self) -> Result<Option<u32>, Refusal> {
        Ok(self.fixed(Attribute::Priority)?.map(u32::from_be_bytes))
    }

    /// True with USE-CANDIDATE (RFC 8445 §7.1.2).
    ///
    /// # Errors
    /// It is there and has a value.
    pub fn use_candidate(&self) -> Result<bool, Refusal> {
        Ok(self.fixed::<0>(Attribute::UseCandidate)?.is_some())
    }

    /// The fragments of USERNAME: of whom it is for, and of whom it is from (RFC 8445 §7.2.2).
    ///
    /// # Errors
    /// There is no USERNAME, or it is not of two fragments.
    pub fn user_fragments(&self) -> Result<(&'a [u8], &'a [u8]), Refusal> {
        let name = self.first(Attribute::Username).ok_or(Refusal::Username)?;
        let colon = name.iter().position(|octet| *octet == b':');
        let (receiver, sender) = colon
            .and_then(|at| name.split_at_checked(at))
            .ok_or(Refusal::Username)?;
        let sender = sender.get(1..).unwrap_or_default();
        if receiver.is_empty() || sender.is_empty() {
            return Err(Refusal::Username);
        }
        Ok((receiver, sender))
    }

    /// ERROR-CODE (RFC 8489 §14.8).
    #[must_use]
    pub fn error_code(&self) -> Option<u16> {
        let [_, _, class, number, ..] = *self.first(Attribute::ErrorCode)? else {
            return None;
        };
        ((3..=6).contains(&class) && number < 100)
            .then(|| u16::from(class) * 100 + u16::from(number))
    }

    /// XOR-MAPPED-ADDRESS (RFC 8489 §14.2).
    #[must_use]
    pub fn xor_mapped_address(&self) -> Option<SocketAddr> {
        let (head, rest) = self
            .first(Attribute::XorMappedAddress)?
            .split_first_chunk::<4>()?;
        let [_, family, port_high, port_low] = *head;
        let [cookie_high, cookie_low, ..] = MAGIC_COOKIE.to_be_bytes();
        let port = u16::from_be_bytes([port_high ^ cookie_high, port_low ^ cookie_low]);
        let ip = match (family, rest.len()) {
            (1, 4) => {
                let bits = u32::from_be_bytes(*rest.first_chunk()?);
                IpAddr::V4(Ipv4Addr::from_bits(bits ^ MAGIC_COOKIE))
            }
            (2, 16) => {
                let bits = u128::from_be_bytes(*rest.first_chunk()?);
                IpAddr::V6(Ipv6Addr::from_bits(bits ^ mask(self.transaction)))
            }
            _ => return None,
        };
        Some(SocketAddr::new(ip, port))
    }

    /// Attributes that must be understood and are not (RFC 8489 §6.3.1), as many as are told.
    #[must_use]
    pub fn unknown(&self) -> ArrayVec<u16, STUN_UNKNOWN_MAX> {
        self.attributes()
            .map(|(number, _)| number)
            .filter(|number| {
                Attribute::must_be_understood(*number) && Attribute::of(*number).is_none()
            })
            .take(STUN_UNKNOWN_MAX)
            .collect()
    }

    /// That MESSAGE-INTEGRITY is what this password gives (RFC 8489 §14.5), compared in constant
    /// time.
    ///
    /// # Errors
    /// There is none, or it is another.
    pub fn expect_integrity(&self, password: &[u8]) -> Result<(), Refusal> {
        let at = self.integrity_at.ok_or(Refusal::IntegrityMissing)?;
        let (_, tag, next) = attribute_at(self.octets, at).ok_or(Refusal::IntegrityMissing)?;
        let mut hmac = Hmac::<Sha1>::new_from_slice(password).or(Err(Refusal::IntegrityMissing))?;
        let (kind, _) = self.octets.split_at_checked(2).ok_or(Refusal::Length)?;
        let size = u16::try_from(next - HEADER_SIZE).or(Err(Refusal::Length))?;
        hmac.update(kind);
        hmac.update(&size.to_be_bytes());
        hmac.update(self.octets.get(4..at).unwrap_or_default());
        hmac.verify_slice(tag).or(Err(Refusal::Integrity))
    }
}

/// What XOR-MAPPED-ADDRESS of IPv6 is combined with (RFC 8489 §14.2).
pub(super) fn mask(transaction: &[u8; TRANSACTION_SIZE]) -> u128 {
    let low = transaction
        .iter()
        .fold(0_u128, |word, octet| word << 8 | u128::from(*octet));
    u128::from(MAGIC_COOKIE) << 96 | low
}

/// Number and value of the attribute that begins here, and where the next one does.
fn attribute_at(octets: &[u8], at: usize) -> Option<(u16, &[u8], usize)> {
    let rest = octets.get(at..)?;
    let (head, rest) = rest.split_first_chunk::<ATTRIBUTE_HEADER_SIZE>()?;
    let [number_high, number_low, size_high, size_low] = *head;
    let size = usize::from(u16::from_be_bytes([size_high, size_low]));
    let padded = size.next_multiple_of(4);
    let value = rest.get(..padded)?.get(..size)?;
    let number = u16::from_be_bytes([number_high, number_low]);
    Some((number, value, at + ATTRIBUTE_HEADER_SIZE + padded))
}

/// The bits C1 and C0 of a message type (RFC 8489 §5).
const fn class_of(kind: u16) -> Class {
    match (kind & 0x0100 != 0, kind & 0x0010 != 0) {
        (false, false) => Class::Request,
        (false, true) => Class::Indication,
        (true, false) => Class::Success,
        (true, true) => Class::Error,
    }
}

/// The bits M11 to M0 of a message type (RFC 8489 §5).
const fn method_of(kind: u16) -> u16 {
    kind & 0x000f | (kind & 0x00e0) >> 1 | (kind & 0x3e00) >> 2
}
