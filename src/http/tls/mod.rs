//! TLS before HTTP (RFC 8446, RFC 9110 §4.2.2): certificates that are read again when they change, the
//! handshake with its bound, and the header that says "only so from now on".

mod acme;
mod certificates;
mod facts;
mod private_file;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderValue;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{TlsAcceptor, rustls};

pub(super) use acme::routes as challenge_routes;
pub use acme::{Acme, AcmeError, Challenges, Proof, renew};
pub use certificates::{CertificateError, CertificateFigures, CertificateFiles, Certificates};
pub use facts::Facts;

/// A socket with TLS.
pub struct TlsListener {
    pub(super) listener: TcpListener,
    pub(super) tls: Tls,
}

/// What every connection of a socket begins with.
#[derive(Clone)]
pub(super) struct Tls {
    acceptor: TlsAcceptor,
    certificates: Arc<Certificates>,
    /// `Strict-Transport-Security` (RFC 6797); `None`: never said.
    transport_security: Option<HeaderValue>,
}

impl std::fmt::Debug for TlsListener {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_tuple("TlsListener")
            .field(&self.listener)
            .finish_non_exhaustive()
    }
}

impl TlsListener {
    /// Shows these certificates. While the one that is shown is not self-signed, browsers are told for how many days
    /// they may come by HTTPS only; 0: they are not.
    ///
    /// # Errors
    /// The library refuses its own defaults.
    pub fn new(
        listener: TcpListener,
        certificates: &Arc<Certificates>,
        strict_days: u32,
    ) -> Result<Self, rustls::Error> {
        let shown: Arc<Certificates> = Arc::clone(certificates);
        let mut config = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(shown);
        config.alpn_protocols = vec![b"http/1.1".to_vec(), acme::PROTOCOL.to_vec()];
        let seconds = u64::from(strict_days) * 24 * 3600;
        let said = HeaderValue::from_str(&format!("max-age={seconds}")).ok();
        Ok(Self {
            listener,
            tls: Tls {
                acceptor: TlsAcceptor::from(Arc::new(config)),
                certificates: Arc::clone(certificates),
                transport_security: said.filter(|_| strict_days > 0),
            },
        })
    }
}

impl Tls {
    /// What an answer says of it now: nobody is to rely on a certificate of our own.
    pub(super) fn transport_security(&self) -> Option<&HeaderValue> {
        let said = self.transport_security.as_ref();
        said.filter(|_| !self.certificates.is_self_signed())
    }

    /// The handshake; a peer that does not end it in time loses its connection. `None`: an authority has seen
    /// its proof, and wants nothing more (RFC 8737 §4).
    pub(super) async fn accept(
        &self,
        stream: TcpStream,
    ) -> io::Result<Option<TlsStream<TcpStream>>> {
        let accepted = tokio::time::timeout(HANDSHAKE_TIME_MAX, self.acceptor.accept(stream)).await;
        let stream = accepted.unwrap_or_else(|_late| Err(io::ErrorKind::TimedOut.into()))?;
        let is_proof = stream.get_ref().1.alpn_protocol() == Some(acme::PROTOCOL);
        Ok((!is_proof).then_some(stream))
    }
}

/// Looks at the files of the certificates now and then, until told to stop.
pub async fn follow(certificates: Arc<Certificates>, mut stopped: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            _ = stopped.changed() => return,
            () = tokio::time::sleep(LOOK_AFTER) => {}
        }
        let looking = Arc::clone(&certificates);
        // Files may lie on a disk that does not answer.
        let looked = tokio::task::spawn_blocking(move || looking.look()).await;
        let certificate = certificates.files().certificate.display();
        match looked {
            Ok(Ok(true)) => {
                tracing::info!(%certificate, "another certificate is shown from now on")
            }
            Ok(Ok(false)) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "the certificate has changed and cannot be used: the one before stays");
            }
            Err(_ended) => return,
        }
    }
}

/// Between two looks at the files.
const LOOK_AFTER: Duration = Duration::from_secs(10);
/// From the connection to the end of the handshake.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
