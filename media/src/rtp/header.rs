//! The names in an RTP header: synchronisation source and payload type.

/// Synchronisation source, RFC 3550 §3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Ssrc(pub u32);

/// Payload type, RFC 3550 §5.1. Seven bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct PayloadType(u8);

impl PayloadType {
    /// PCMU, RFC 3551 table 4.
    pub const PCMU: Self = Self(0);
    /// PCMA, RFC 3551 table 4.
    pub const PCMA: Self = Self(8);

    /// The low seven bits of an octet: the eighth is the marker.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & 0x7f)
    }

    /// As a number.
    #[must_use]
    pub const fn value(self) -> u8 {
        self.0
    }
}
