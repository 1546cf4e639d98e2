//! The SHA-256 fingerprint of a certificate (RFC 8122 §5).

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};

/// What a description says about a certificate, in `a=fingerprint:sha-256`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// A fingerprint of these octets.
    #[must_use]
    pub const fn new(octets: [u8; 32]) -> Self {
        Self(octets)
    }

    /// Its octets.
    #[must_use]
    pub const fn octets(self) -> [u8; 32] {
        self.0
    }

    /// Of a certificate in DER.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Self {
        let mut octets = [0; 32];
        let digest = digest(&SHA256, certificate);
        debug_assert_eq!(digest.as_ref().len(), octets.len(), "SHA-256");
        for (to, from) in octets.iter_mut().zip(digest.as_ref()) {
            *to = *from;
        }
        Self(octets)
    }

    /// Pairs of hexadecimal digits between colons, in either case. `None`: not thirty-two of them.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut octets = [0; 32];
        let mut pairs = text.split(':');
        for octet in &mut octets {
            let pair = pairs.next()?;
            let is_pair = pair.len() == 2 && pair.bytes().all(|digit| digit.is_ascii_hexdigit());
            *octet = u8::from_str_radix(pair, 16).ok().filter(|_| is_pair)?;
        }
        pairs.next().is_none().then_some(Self(octets))
    }
}

/// As a description has it.
impl fmt::Display for Fingerprint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, octet) in self.0.iter().enumerate() {
            let colon = if at == 0 { "" } else { ":" };
            write!(out, "{colon}{octet:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Fingerprint({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_reads_back_as_it_was_written_in_either_case() {
        let fingerprint = Fingerprint::of(b"certificate");
        let text = fingerprint.to_string();
        assert_eq!(text.len(), 95);
        assert_eq!(Fingerprint::parse(&text), Some(fingerprint));
        assert_eq!(Fingerprint::parse(&text.to_lowercase()), Some(fingerprint));
        for wrong in [
            "",
            "AB",
            text.split_at(3).1,
            &format!("{text}:00"),
            &text.replace(':', "+"),
        ] {
            assert_eq!(Fingerprint::parse(wrong), None, "{wrong}");
        }
        assert_eq!(
            Fingerprint::parse(&text.replacen(text.split_at(2).0, "+1", 1)),
            None
        );
    }
}
