//! What calls of browsers need of the process: a certificate for DTLS, made at each start, and a port of
//! each worker.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use media::BrowserConfig;
use media::dtls::{Endpoint, EndpointError};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use thiserror::Error;

use super::limits::Limits;
use crate::call::browser;
use crate::config::Config;

/// Octets that the kernel keeps of what came for all browsers of a worker: a quarter of a second of three
/// hundred of them with video.
const RECEIVE_BUFFER_BYTES: u32 = 4 << 20;

/// Legs of a call with video.
const LEGS_A_GUEST: u32 = 2;

/// Why no browser can be talked to.
#[derive(Debug, Error)]
pub enum BrowsersError {
    /// There is no certificate.
    #[error("no certificate for DTLS could be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// It cannot be used.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
}

/// The certificate that all workers show.
#[derive(Debug)]
pub struct Browsers {
    endpoint: Arc<Endpoint>,
}

impl Browsers {
    /// With a fresh certificate: what our descriptions say of it proves it, so that nobody has to know it
    /// before.
    ///
    /// # Errors
    /// None can be made.
    pub fn new() -> Result<Self, BrowsersError> {
        let key = KeyPair::generate()?;
        let mut parameters = CertificateParams::new(Vec::<String>::new())?;
        let mut name = DistinguishedName::new();
        // Nothing about the node: everybody who calls is shown it.
        name.push(DnType::CommonName, "WebRTC");
        parameters.distinguished_name = name;
        let certificate = parameters.self_signed(&key)?;
        let endpoint = Endpoint::new(certificate.der(), &key.serialize_der())?;
        Ok(Self {
            endpoint: Arc::new(endpoint),
        })
    }

    /// What call control says of it.
    #[must_use]
    pub fn for_calls(&self) -> browser::BrowserConfig {
        browser::BrowserConfig {
            fingerprint: self.endpoint.fingerprint().octets(),
        }
    }

    /// The port of a worker.
    #[must_use]
    pub fn for_worker(&self, config: &Config, limits: &Limits, worker: u16) -> BrowserConfig {
        let address = config.media.addresses.first().copied();
        let port = match config.media.browser_port {
            0 => 0,
            first => first.saturating_add(worker),
        };
        let guests = limits.calls_max.div_ceil(u32::from(limits.workers.max(1)));
        BrowserConfig {
            address: SocketAddr::new(address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), port),
            legs_max: guests.saturating_mul(LEGS_A_GUEST),
            receive_buffer_bytes: RECEIVE_BUFFER_BYTES,
            endpoint: Arc::<Endpoint>::clone(&self.endpoint),
        }
    }
}
