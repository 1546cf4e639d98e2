//! HTTPS towards a certificate authority: a connection for each request, of which there are a dozen every two
//! months.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{HOST, HeaderValue};
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, rustls};

/// Octets of an answer: a chain of certificates has ten thousand.
const ANSWER_OCTETS_MAX: usize = 1 << 20;
/// How long a request may take.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);

/// A client that believes these roots.
pub(super) struct Client {
    connector: TlsConnector,
}

impl Client {
    /// With the roots of a file in PEM.
    ///
    /// # Errors
    /// It cannot be read, or holds no certificate.
    pub(super) fn new(roots: &[u8]) -> io::Result<Self> {
        let mut store = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(roots) {
            let root = root.map_err(io::Error::other)?;
            // Of a bundle of many, one of a kind that is not known harms nobody.
            store.add(root).ok();
        }
        if store.is_empty() {
            return Err(io::Error::other("no certificate (PEM) in it"));
        }
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let config = ClientConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(store)
            .with_no_client_auth();
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
        })
    }
}

impl HttpClient for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let connector = self.connector.clone();
        Box::pin(async move {
            let answered = tokio::time::timeout(REQUEST_TIME_MAX, send(connector, request)).await;
            let answered = answered.unwrap_or_else(|_late| Err(io::ErrorKind::TimedOut.into()));
            answered.map_err(|error| Error::Other(Box::new(error)))
        })
    }
}

async fn send(
    connector: TlsConnector,
    mut request: Request<BodyWrapper<Bytes>>,
) -> io::Result<BytesResponse> {
    let uri = request.uri().clone();
    let authority = uri.authority().ok_or(io::ErrorKind::InvalidInput)?;
    if uri.scheme_str() != Some("https") {
        return Err(io::Error::other("an authority is asked by HTTPS only"));
    }
    let host = authority.host().trim_matches(['[', ']']).to_owned();
    let port = authority.port_u16().unwrap_or(443);
    let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
    let stream = TcpStream::connect((host.as_str(), port)).await?;
    let stream = connector.connect(name, stream).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    // Ends with its request.
    let driving = tokio::spawn(connection);
    let named = HeaderValue::from_str(authority.as_str()).map_err(io::Error::other)?;
    request.headers_mut().insert(HOST, named);
    if let Some(path) = uri.path_and_query() {
        *request.uri_mut() = path.as_str().parse().map_err(io::Error::other)?;
    }
    let answered = sender.send_request(request).await;
    let (parts, body) = answered.map_err(io::Error::other)?.into_parts();
    let body = Limited::new(body, ANSWER_OCTETS_MAX).collect().await;
    let body = body.map_err(io::Error::other)?.to_bytes();
    drop(sender);
    driving.abort();
    let whole = hyper::Response::from_parts(parts, Full::new(body));
    Ok(BytesResponse::from(whole))
}
