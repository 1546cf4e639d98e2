//! Which protocol a datagram is, by its first octets (RFC 7983, RFC 5761 §4).

/// What shares a media port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// RTP.
    Rtp,
    /// RTCP: packet types 192 to 223 stand where RTP has marker and payload type.
    Rtcp,
    /// STUN.
    Stun,
    /// DTLS.
    Dtls,
    /// Anything else.
    Other,
}

/// Looks at two octets; whether the rest is valid is for the parsers to say.
#[must_use]
pub const fn classify(datagram: &[u8]) -> Protocol {
    match datagram {
        [128..=191, 192..=223, ..] => Protocol::Rtcp,
        [128..=191, ..] => Protocol::Rtp,
        [0..=3, ..] => Protocol::Stun,
        [20..=63, ..] => Protocol::Dtls,
        _ => Protocol::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7983 §7, RFC 5761 §4.
    #[test]
    fn first_octets_decide() {
        assert_eq!(classify(&[0x80, 0]), Protocol::Rtp);
        assert_eq!(classify(&[0x80, 0xe0 | 0x65]), Protocol::Rtp);
        assert_eq!(classify(&[0x80, 200]), Protocol::Rtcp);
        assert_eq!(classify(&[0, 1]), Protocol::Stun);
        assert_eq!(classify(&[22]), Protocol::Dtls);
        assert_eq!(classify(&[16]), Protocol::Other);
        assert_eq!(classify(&[64]), Protocol::Other);
        assert_eq!(classify(&[255, 255]), Protocol::Other);
        assert_eq!(classify(&[]), Protocol::Other);
    }
}
