//! The attributes that ICE knows (RFC 8489 §18.3, RFC 8445 §16.1).

/// An attribute, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Attribute {
    /// MAPPED-ADDRESS: known, of no use here.
    MappedAddress,
    /// USERNAME.
    Username,
    /// MESSAGE-INTEGRITY.
    MessageIntegrity,
    /// ERROR-CODE.
    ErrorCode,
    /// UNKNOWN-ATTRIBUTES.
    UnknownAttributes,
    /// REALM: of the long-term mechanism, of no use here.
    Realm,
    /// NONCE: of the long-term mechanism, of no use here.
    Nonce,
    /// XOR-MAPPED-ADDRESS.
    XorMappedAddress,
    /// PRIORITY.
    Priority,
    /// USE-CANDIDATE.
    UseCandidate,
    /// SOFTWARE: of no use here.
    Software,
    /// FINGERPRINT.
    Fingerprint,
    /// ICE-CONTROLLED.
    IceControlled,
    /// ICE-CONTROLLING.
    IceControlling,
}

impl Attribute {
    /// The attribute of a number. `None`: unknown here.
    #[must_use]
    pub const fn of(number: u16) -> Option<Self> {
        Some(match number {
            0x0001 => Self::MappedAddress,
            0x0006 => Self::Username,
            0x0008 => Self::MessageIntegrity,
            0x0009 => Self::ErrorCode,
            0x000a => Self::UnknownAttributes,
            0x0014 => Self::Realm,
            0x0015 => Self::Nonce,
            0x0020 => Self::XorMappedAddress,
            0x0024 => Self::Priority,
            0x0025 => Self::UseCandidate,
            0x8022 => Self::Software,
            0x8028 => Self::Fingerprint,
            0x8029 => Self::IceControlled,
            0x802a => Self::IceControlling,
            _ => return None,
        })
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::MappedAddress => 0x0001,
            Self::Username => 0x0006,
            Self::MessageIntegrity => 0x0008,
            Self::ErrorCode => 0x0009,
            Self::UnknownAttributes => 0x000a,
            Self::Realm => 0x0014,
            Self::Nonce => 0x0015,
            Self::XorMappedAddress => 0x0020,
            Self::Priority => 0x0024,
            Self::UseCandidate => 0x0025,
            Self::Software => 0x8022,
            Self::Fingerprint => 0x8028,
            Self::IceControlled => 0x8029,
            Self::IceControlling => 0x802a,
        }
    }

    /// True for a number that whoever does not know it must not pass over (RFC 8489 §14).
    #[must_use]
    pub const fn must_be_understood(number: u16) -> bool {
        number < 0x8000
    }
}
