//! What all handshakes of a program share: one configuration, checked once, and one certificate.

use std::fmt;
use std::sync::Arc;

use dimpl::{Config, DtlsCertificate};
use thiserror::Error;

use crate::dtls::{Fingerprint, profiles};
use crate::limits::{
    DTLS_DATAGRAM_BYTES_MAX, DTLS_HANDSHAKE_MAX, DTLS_RETRIES_MAX, DTLS_RETRY_AFTER,
};

/// Why there is no endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EndpointError {
    /// The key is no PKCS #8 of P-256 or P-384.
    #[error("the private key is not one of P-256 or P-384 in PKCS #8")]
    PrivateKey,
    /// The configuration does not hold: a fault of ours.
    #[error("the configuration of DTLS does not hold")]
    Configuration,
}

impl EndpointError {
    /// The word for logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PrivateKey => "dtls_private_key",
            Self::Configuration => "dtls_configuration",
        }
    }
}

/// One configuration and certificate for any number of handshakes. To make one is dear, because
/// every algorithm is tried once; a clone is not.
#[derive(Clone)]
pub struct Endpoint {
    config: Arc<Config>,
    certificate: Arc<DtlsCertificate>,
    fingerprint: Fingerprint,
}

impl Endpoint {
    /// With a certificate in DER and its private key in PKCS #8 DER.
    ///
    /// # Errors
    /// Why no handshake could come of it.
    pub fn new(certificate: &[u8], private_key: &[u8]) -> Result<Self, EndpointError> {
        let config = Config::builder()
            .mtu(DTLS_DATAGRAM_BYTES_MAX)
            .use_server_cookie(false)
            .require_client_certificate(true)
            .flight_start_rto(DTLS_RETRY_AFTER)
            .flight_retries(DTLS_RETRIES_MAX)
            .handshake_timeout(DTLS_HANDSHAKE_MAX)
            .with_crypto_provider(profiles::provider())
            .build()
            .or(Err(EndpointError::Configuration))?;
        // A handshake would panic over a key that cannot be read.
        config
            .crypto_provider()
            .key_provider
            .load_private_key(private_key)
            .or(Err(EndpointError::PrivateKey))?;
        Ok(Self {
            config: Arc::new(config),
            certificate: Arc::new(DtlsCertificate {
                certificate: certificate.to_vec(),
                private_key: private_key.to_vec(),
            }),
            fingerprint: Fingerprint::of(certificate),
        })
    }

    /// What our descriptions say of the certificate.
    #[must_use]
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    pub(super) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config)
    }

    pub(super) fn certificate(&self) -> DtlsCertificate {
        DtlsCertificate::clone(&self.certificate)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Endpoint")
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}
