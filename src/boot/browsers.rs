//! What calls of browsers need of the process: a certificate for DTLS, made at each start, and a port of
//! each worker.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use media::BrowserConfig;
use media::dtls::{Endpoint, EndpointError};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use thiserror::Error;

use super::error::ServeError;
use super::limits::Limits;
use super::sockets::explain;
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

    /// Whether each worker can have its port: who cannot would refuse every guest, call by call.
    ///
    /// # Errors
    /// The first that is taken, or not ours.
    pub fn expect_ports(config: &Config, limits: &Limits) -> Result<(), ServeError> {
        // All at once: two workers cannot have one.
        let mut sockets = Vec::new();
        for address in addresses(config, limits) {
            let bound = UdpSocket::bind(address);
            sockets.push(bound.map_err(|error| {
                ServeError::bind("media.browser_port", address, explain(&error))
            })?);
        }
        Ok(())
    }

    /// The port of a worker.
    #[must_use]
    pub fn for_worker(&self, config: &Config, limits: &Limits, worker: u16) -> BrowserConfig {
        BrowserConfig {
            address: address_of(config, worker),
            legs_max: legs_of_a_worker(limits),
            receive_buffer_bytes: RECEIVE_BUFFER_BYTES,
            endpoint: Arc::<Endpoint>::clone(&self.endpoint),
        }
    }
}

/// Legs of browsers that a worker has at most: a call of each guest, with video.
#[must_use]
pub fn legs_of_a_worker(limits: &Limits) -> u32 {
    let guests = limits.calls_max.div_ceil(u32::from(limits.workers.max(1)));
    guests.saturating_mul(LEGS_A_GUEST)
}

/// Where browsers are heard, worker by worker.
#[must_use]
pub fn addresses(config: &Config, limits: &Limits) -> Vec<SocketAddr> {
    let workers = 0..limits.workers;
    workers.map(|worker| address_of(config, worker)).collect()
}

/// On the first of the media addresses; each worker has the port after that of the one before.
fn address_of(config: &Config, worker: u16) -> SocketAddr {
    let address = config.media.addresses.first().copied();
    let port = match config.media.browser_port {
        0 => 0,
        first => first.saturating_add(worker),
    };
    SocketAddr::new(address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), port)
}
