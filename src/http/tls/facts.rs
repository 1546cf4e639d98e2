//! What a certificate says of itself: from when, until when, and for which names.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// Of one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// It holds from then on, since 1970.
    pub from: Duration,
    /// It holds until then, since 1970.
    pub until: Duration,
    /// Names and addresses that it is for (RFC 5280 §4.2.1.6): browsers look at no other place for them.
    pub names: Vec<String>,
}

impl Facts {
    /// Of the first certificate of a chain in PEM.
    #[must_use]
    pub fn of_pem(chain: &[u8]) -> Option<Self> {
        let first = CertificateDer::pem_slice_iter(chain).next()?.ok()?;
        Self::of(&first)
    }

    /// Of one in DER.
    pub(super) fn of(der: &CertificateDer<'_>) -> Option<Self> {
        let certificate = x509_cert::Certificate::from_der(der).ok()?;
        let certificate = certificate.tbs_certificate();
        let validity = certificate.validity();
        let named = certificate.get_extension::<SubjectAltName>().ok()?;
        let named = named.map(|(_is_critical, SubjectAltName(names))| names);
        Some(Self {
            from: validity.not_before.to_unix_duration(),
            until: validity.not_after.to_unix_duration(),
            names: named.iter().flatten().filter_map(name).collect(),
        })
    }

    /// When two thirds of its time have passed.
    pub(super) fn renewed_at(&self) -> Option<SystemTime> {
        let third = self.until.checked_sub(self.from)? / 3;
        SystemTime::UNIX_EPOCH.checked_add(self.until.checked_sub(third)?)
    }

    /// Whether it is for this host: a star stands for one label (RFC 6125 §6.4.3).
    #[must_use]
    pub fn is_for(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let behind = host.split_once('.').map(|(_label, behind)| behind);
        self.names.iter().any(|name| {
            let wild = name.strip_prefix("*.");
            *name == host || (wild.is_some() && wild == behind)
        })
    }
}

fn name(name: &GeneralName) -> Option<String> {
    if let GeneralName::DnsName(name) = name {
        return Some(name.as_str().to_ascii_lowercase());
    }
    let GeneralName::IpAddress(octets) = name else {
        return None;
    };
    let octets = octets.as_bytes();
    let four = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    let address = four.or_else(|_longer| <[u8; 16]>::try_from(octets).map(IpAddr::from));
    address.ok().map(|address| address.to_string())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    #[test]
    fn a_certificate_is_for_its_names_its_addresses_and_one_label_for_a_star() {
        let names = [
            "call.example.com",
            "*.Example.org",
            "192.0.2.1",
            "2001:db8::1",
        ];
        let mut parameters = CertificateParams::new(names.map(str::to_owned)).unwrap();
        let begin = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        parameters.not_before = begin.into();
        parameters.not_after = (begin + Duration::from_secs(900)).into();
        let certificate = parameters
            .self_signed(&KeyPair::generate().unwrap())
            .unwrap();
        let facts = Facts::of_pem(certificate.pem().as_bytes()).unwrap();
        assert_eq!(facts.from.as_secs(), 1_700_000_000);
        assert_eq!(facts.until.as_secs(), 1_700_000_900);
        let third = Duration::from_secs(600);
        assert_eq!(facts.renewed_at(), Some(begin + third));
        for (host, is_for) in [
            ("call.example.com", true),
            ("CALL.example.com", true),
            ("example.com", false),
            ("a.example.org", true),
            ("a.b.example.org", false),
            ("example.org", false),
            ("192.0.2.1", true),
            ("192.0.2.2", false),
            ("2001:db8::1", true),
        ] {
            assert_eq!(facts.is_for(host), is_for, "{host}");
        }
    }

    #[test]
    fn what_is_no_certificate_says_nothing() {
        assert_eq!(Facts::of_pem(b""), None);
        let garbage = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(Facts::of_pem(garbage), None);
    }
}
