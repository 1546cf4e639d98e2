//! Why a STUN datagram was not answered.

/// Every reason that a STUN datagram dies for. None of them is told to its sender: whoever has not
/// the password gets nothing back, so that nobody is reflected at a third party.
///
/// Deviation: RFC 8489 §9.1.3 answers 400 and 401 without integrity; ports on the open internet
/// force silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Shorter than a header, or not as long as its header says.
    Length,
    /// Longer than any message of ICE.
    TooLong,
    /// No magic cookie, or the first bits are not zero.
    NotStun,
    /// An attribute ends behind the message.
    AttributeLength,
    /// More attributes than are read.
    TooManyAttributes,
    /// FINGERPRINT is not what the octets before it give, or is not the last attribute.
    Fingerprint,
    /// A method other than Binding.
    Method,
    /// A response from where nothing of ours waits for one.
    Response,
    /// A response to another request than the one that was sent there.
    ResponseForeign,
    /// The peer did not grant what we asked of it.
    ResponseError,
    /// An indication: it asks for no answer and proves nothing.
    Indication,
    /// No USERNAME, or none of two fragments.
    Username,
    /// USERNAME names another agent or another peer.
    UsernameForeign,
    /// No MESSAGE-INTEGRITY.
    IntegrityMissing,
    /// MESSAGE-INTEGRITY is not what the password gives.
    Integrity,
    /// An attribute of ICE does not have the length it must have.
    AttributeValue,
    /// From an address that nothing can be sent to.
    SourceAddress,
    /// One more source than are remembered.
    TooManySources,
    /// A check that came from another address before, or from the same one long ago.
    Replayed,
    /// Consent has expired (RFC 7675 §5.1): only a restart brings it back.
    ConsentExpired,
}

impl Refusal {
    /// Every reason.
    pub const ALL: [Self; 20] = [
        Self::Length,
        Self::TooLong,
        Self::NotStun,
        Self::AttributeLength,
        Self::TooManyAttributes,
        Self::Fingerprint,
        Self::Method,
        Self::Response,
        Self::ResponseForeign,
        Self::ResponseError,
        Self::Indication,
        Self::Username,
        Self::UsernameForeign,
        Self::IntegrityMissing,
        Self::Integrity,
        Self::AttributeValue,
        Self::SourceAddress,
        Self::TooManySources,
        Self::Replayed,
        Self::ConsentExpired,
    ];

    /// The label of its metric.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Length => "stun_length",
            Self::TooLong => "stun_too_long",
            Self::NotStun => "stun_not_stun",
            Self::AttributeLength => "stun_attribute_length",
            Self::TooManyAttributes => "stun_too_many_attributes",
            Self::Fingerprint => "stun_fingerprint",
            Self::Method => "stun_method",
            Self::Response => "stun_response",
            Self::ResponseForeign => "stun_response_foreign",
            Self::ResponseError => "stun_response_error",
            Self::Indication => "stun_indication",
            Self::Username => "stun_username",
            Self::UsernameForeign => "stun_username_foreign",
            Self::IntegrityMissing => "stun_integrity_missing",
            Self::Integrity => "stun_integrity",
            Self::AttributeValue => "stun_attribute_value",
            Self::SourceAddress => "stun_source_address",
            Self::TooManySources => "stun_too_many_sources",
            Self::Replayed => "stun_replayed",
            Self::ConsentExpired => "stun_consent_expired",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_its_own_label() {
        for (at, refusal) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(refusal as usize, at);
            let same = Refusal::ALL
                .iter()
                .filter(|other| other.as_str() == refusal.as_str());
            assert_eq!(same.count(), 1, "{}", refusal.as_str());
        }
    }
}
