//! Certificates from files that change, and real handshakes over loopback.

use std::fs;
use std::path::Path;

use rcgen::{CertificateParams, KeyPair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::*;
use crate::http::server::room::Room;
use crate::http::server::serve_in;
use crate::http::{HttpState, Listener, serve};
use crate::storage::Store;

fn files(folder: &Path) -> CertificateFiles {
    CertificateFiles {
        certificate: folder.join("certificate.pem"),
        key: folder.join("key.pem"),
    }
}

/// Writes a new certificate for localhost; gives it.
fn write(files: &CertificateFiles) -> Vec<u8> {
    let key = KeyPair::generate().unwrap();
    let parameters = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    fs::write(&files.certificate, certificate.pem()).unwrap();
    fs::write(&files.key, key.serialize_pem()).unwrap();
    certificate.der().to_vec()
}

/// What a client that trusts this certificate only gets for a request; the error of its handshake, if any.
async fn asked(address: std::net::SocketAddr, trusted: &[u8], alpn: &[u8]) -> io::Result<String> {
    asked_as(address, trusted, alpn, "localhost").await
}

/// The same by another name.
pub(super) async fn asked_as(
    address: std::net::SocketAddr,
    trusted: &[u8],
    alpn: &[u8],
    name: &str,
) -> io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(trusted.to_vec())).unwrap();
    let mut config = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await?;
    stream
        .write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// A handshake of a client that believes these roots in PEM.
pub(super) async fn handshake(
    address: std::net::SocketAddr,
    roots: &[u8],
    name: &str,
) -> io::Result<()> {
    let mut store = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(roots) {
        store.add(root.unwrap()).unwrap();
    }
    let config = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(store)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(name, stream).await.map(|_stream| ())
}

async fn stored() -> (HttpState, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::of_test(folder.path()).await;
    (HttpState::new(store), folder)
}

async fn listening(
    certificates: &Arc<Certificates>,
    days: u32,
) -> (std::net::SocketAddr, tempfile::TempDir) {
    let (state, folder) = stored().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let listener = TlsListener::new(listener, certificates, days).unwrap();
    tokio::spawn(serve(
        Listener::Tls(listener),
        state,
        std::future::pending(),
    ));
    (address, folder)
}

#[tokio::test]
async fn another_certificate_in_the_files_is_shown_from_the_next_look_on() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path());
    let first = write(&files);
    let certificates = Arc::new(Certificates::load(files.clone()).unwrap());
    let (address, _store) = listening(&certificates, 365).await;
    let answer = asked(address, &first, b"http/1.1").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
    assert!(
        answer.contains("strict-transport-security: max-age=31536000"),
        "{answer}"
    );
    assert!(!certificates.look().unwrap(), "nothing has changed");
    let second = write(&files);
    asked(address, &second, b"http/1.1")
        .await
        .expect_err("not yet");
    assert!(certificates.look().unwrap());
    asked(address, &second, b"http/1.1").await.unwrap();
    asked(address, &first, b"http/1.1").await.unwrap_err();
}

#[tokio::test]
async fn files_that_cannot_be_used_leave_the_certificate_as_it_is_and_are_named_once() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path());
    let good = write(&files);
    let certificates = Arc::new(Certificates::load(files.clone()).unwrap());
    let (address, _store) = listening(&certificates, 0).await;
    fs::write(&files.key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let error = certificates.look().unwrap_err().to_string();
    assert!(
        error.contains("certificate.pem") && error.contains("key.pem"),
        "{error}"
    );
    assert!(!certificates.look().unwrap(), "it was said");
    let answer = asked(address, &good, b"http/1.1").await.unwrap();
    assert!(!answer.contains("strict-transport-security"), "{answer}");
}

#[test]
fn what_is_wrong_with_the_files_has_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path());
    let error = || Certificates::load(files.clone()).unwrap_err();
    assert!(matches!(error(), CertificateError::File { path, .. } if path == files.certificate));
    write(&files);
    fs::write(&files.certificate, "nothing").unwrap();
    assert!(matches!(error(), CertificateError::NoCertificate(path) if path == files.certificate));
    write(&files);
    fs::write(&files.key, "nothing").unwrap();
    assert!(matches!(error(), CertificateError::NoKey(path) if path == files.key));
    write(&files);
    fs::write(&files.key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    assert!(matches!(error(), CertificateError::Unfit { .. }));
}

#[tokio::test]
async fn a_node_without_a_certificate_makes_one_keeps_it_and_asks_nobody_to_rely_on_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = Arc::new(Certificates::self_signed(folder.path(), &names).unwrap());
    let path = made.files().certificate.clone();
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "the key is in it");
    let before = fs::read(&path).unwrap();
    let again = Certificates::self_signed(folder.path(), &names).unwrap();
    assert!(again.is_self_signed());
    assert_eq!(
        fs::read(&path).unwrap(),
        before,
        "browsers that accepted it know it again"
    );
    let shown = CertificateDer::from_pem_slice(&before).unwrap().to_vec();
    let (address, _store) = listening(&made, 365).await;
    let answer = asked(address, &shown, b"http/1.1").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
    assert!(!answer.contains("strict-transport-security"), "{answer}");
    fs::write(&path, "spoiled").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    Certificates::self_signed(folder.path(), &names).unwrap();
    assert_ne!(fs::read(&path).unwrap(), b"spoiled");
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "whoever could read the former file");
}

#[tokio::test]
async fn who_speaks_no_tls_or_another_protocol_gets_no_answer_and_the_next_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path());
    let good = write(&files);
    let certificates = Arc::new(Certificates::load(files).unwrap());
    let (address, _store) = listening(&certificates, 365).await;
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain
        .write_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    let _ended = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    asked(address, &good, b"spdy/9").await.unwrap_err();
    asked(address, &good, b"http/1.1").await.unwrap();
}

#[tokio::test]
async fn who_opens_connections_and_says_nothing_has_a_share_of_them_only() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path());
    let good = write(&files);
    let certificates = Arc::new(Certificates::load(files).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let listener = Listener::Tls(TlsListener::new(listener, &certificates, 0).unwrap());
    let (state, _store) = stored().await;
    let room = Room::new(8, vec!["127.0.0.1/32".parse().unwrap()]);
    tokio::spawn(serve_in(room, listener, state, std::future::pending()));
    let mut silent = Vec::new();
    for _ in 0..8 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        silent.push(socket.connect(address).await.unwrap());
    }
    asked(address, &good, b"http/1.1").await.unwrap();
    // They were not cut off first: the next client has waited for none of them.
    for stream in &silent[..2] {
        let read = stream.try_read(&mut [0]).map_err(|error| error.kind());
        assert_eq!(read, Err(io::ErrorKind::WouldBlock));
    }
}
