//! Sockets are bound before anything else is started: a busy port is told by its name.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use nix::sys::stat::{Mode, umask};

use super::error::ServeError;
use crate::config::Config;
use crate::http::{Acme, CertificateFiles, Certificates, Challenges, Listener, TlsListener};
use crate::shell::{tcp, udp};

/// The SIP sockets, each with the address that messages name for it.
pub(super) fn bind_sip(config: &Config) -> Result<Vec<(SocketAddr, UdpSocket)>, ServeError> {
    config
        .sip
        .listen
        .iter()
        .map(|address| {
            let socket = udp::bind(*address)
                .map_err(|error| ServeError::bind("sip.listen", *address, explain(&error)))?;
            let bound = socket
                .local_addr()
                .map_err(|error| ServeError::bind("sip.listen", *address, explain(&error)))?;
            Ok((named(bound, config.sip.advertised), socket))
        })
        .collect()
}

/// The SIP listeners for TCP, each with the address that messages name for it: the configured ones, or
/// one beside each UDP socket.
pub(super) fn bind_sip_tcp(
    config: &Config,
    sockets: &[(SocketAddr, UdpSocket)],
) -> Result<Vec<(SocketAddr, TcpListener)>, ServeError> {
    let beside = || {
        let bound = sockets
            .iter()
            .filter_map(|(_, socket)| socket.local_addr().ok());
        ("sip.listen", bound.collect())
    };
    let configured = config.sip.listen_tcp.clone();
    let (key, addresses) = configured.map_or_else(beside, |listen| ("sip.listen_tcp", listen));
    addresses
        .into_iter()
        .map(|address| {
            let error = |error: io::Error| ServeError::bind(key, address, explain(&error));
            let listener = tcp::bind(address).map_err(error)?;
            let bound = listener.local_addr().map_err(error)?;
            Ok((named(bound, config.sip.advertised), listener))
        })
        .collect()
}

/// The addresses that messages name, each with the one that is bound for it.
pub(super) fn locals(
    sockets: &[(SocketAddr, UdpSocket)],
    listeners: &[(SocketAddr, TcpListener)],
) -> Vec<(SocketAddr, IpAddr)> {
    let udp = sockets
        .iter()
        .map(|(named, socket)| (*named, socket.local_addr()));
    let tcp = listeners
        .iter()
        .map(|(named, listener)| (*named, listener.local_addr()));
    tcp.chain(udp)
        .filter_map(|(named, bound)| Some((named, bound.ok()?.ip())))
        .collect()
}

/// The HTTP listeners.
pub(super) async fn bind_http(config: &Config) -> Result<Vec<Listener>, ServeError> {
    let mut listeners = Vec::new();
    for address in &config.http.listen {
        let bound = tokio::net::TcpListener::bind(address).await;
        let listener =
            bound.map_err(|error| ServeError::bind("http.listen", *address, explain(&error)))?;
        listeners.push(Listener::Tcp(listener));
    }
    Ok(listeners)
}

/// The HTTPS listeners, and the certificate that they show; none: no certificate is looked at.
pub(super) async fn bind_https(
    config: &Config,
    challenges: &Arc<Challenges>,
) -> Result<(Vec<Listener>, Option<Arc<Certificates>>), ServeError> {
    let https = &config.https;
    if https.listen.is_empty() {
        return Ok((Vec::new(), None));
    }
    if https.certificate.is_none() {
        std::fs::create_dir_all(&config.node.data).map_err(ServeError::system("node.data"))?;
    }
    let (folder, names) = (&config.node.data, self_signed_names(config));
    let certificates = match (&https.certificate, acme_of(config)) {
        (Some((certificate, key)), _) => Certificates::load(CertificateFiles {
            certificate: certificate.clone(),
            key: key.clone(),
        })?,
        (None, Some(acme)) => Certificates::awaited(acme.files(), folder, &names)?,
        (None, None) => Certificates::self_signed(folder, &names)?,
    };
    let certificates = Arc::new(certificates.with_challenges(Arc::clone(challenges)));
    let mut listeners = Vec::new();
    for address in &https.listen {
        let bound = tokio::net::TcpListener::bind(address).await;
        let listener =
            bound.map_err(|error| ServeError::bind("https.listen", *address, explain(&error)))?;
        let listener = TlsListener::new(listener, &certificates, https.strict_days)
            .map_err(|error| ServeError::system("TLS")(io::Error::other(error)))?;
        listeners.push(Listener::Tls(listener));
    }
    Ok((listeners, Some(certificates)))
}

/// The authority that is asked for certificates.
pub(crate) fn acme_of(config: &Config) -> Option<Acme> {
    let acme = config.https.acme.as_ref()?;
    Some(Acme {
        folder: config.node.data.join("acme"),
        domains: acme.domains.clone(),
        contact: acme.contact.clone(),
        directory: acme.directory.clone(),
        roots: acme.roots.clone(),
        proof: acme.proof,
    })
}

/// By which names a node without a certificate is reached.
fn self_signed_names(config: &Config) -> Vec<String> {
    let addresses = config.https.listen.iter().map(|listen| listen.ip());
    let addresses = addresses.filter(|address| !address.is_unspecified());
    let names: BTreeSet<String> = std::iter::once("localhost".to_owned())
        .chain(config.sip.domain.clone())
        .chain(addresses.map(|address| address.to_string()))
        .collect();
    names.into_iter().collect()
}

/// The Unix socket of the command line: only this user may open it. A file of a run that was killed
/// is taken away; another node cannot be behind it, because this one holds the lock of the database.
pub(super) fn bind_local(path: &Path) -> io::Result<Listener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // Between bind and chmod nobody else may come in.
    let before = umask(Mode::from_bits_truncate(0o177));
    let bound = tokio::net::UnixListener::bind(path);
    umask(before);
    let listener = bound?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(Listener::Unix(listener))
}

/// Peers on this machine meet a loopback socket at its own address, whatever is advertised.
fn named(bound: SocketAddr, advertised: Option<IpAddr>) -> SocketAddr {
    match advertised {
        Some(advertised)
            if !bound.ip().is_loopback() && advertised.is_ipv4() == bound.is_ipv4() =>
        {
            SocketAddr::new(advertised, bound.port())
        }
        Some(_) | None => bound,
    }
}

/// What the operator reads.
pub(super) fn explain(error: &io::Error) -> String {
    let kind = error.kind();
    if kind == io::ErrorKind::AddrInUse {
        "the port is in use by another program".to_owned()
    } else if kind == io::ErrorKind::AddrNotAvailable {
        "this machine does not have that address".to_owned()
    } else if kind == io::ErrorKind::PermissionDenied {
        "this user may not use that port (below 1024 it needs CAP_NET_BIND_SERVICE)".to_owned()
    } else {
        error.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_socket_is_for_its_user_only_and_a_stale_one_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/sluice.sock");
        drop(bind_local(&path).unwrap());
        let _listener = bind_local(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        tokio::net::UnixStream::connect(&path).await.unwrap();
    }

    #[test]
    fn loopback_keeps_its_address_and_others_take_the_advertised_one() {
        let advertised = Some("198.51.100.7".parse().unwrap());
        let named = |bound: &str| named(bound.parse().unwrap(), advertised).to_string();
        assert_eq!(named("127.0.0.1:5060"), "127.0.0.1:5060");
        assert_eq!(named("0.0.0.0:5060"), "198.51.100.7:5060");
        assert_eq!(named("[2001:db8::1]:5060"), "[2001:db8::1]:5060");
    }
}
