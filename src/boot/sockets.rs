//! Sockets are bound before anything else is started: a busy port is told by its name.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use super::serve::ServeError;
use crate::config::Config;
use crate::http::Listener;
use crate::shell::udp;

/// The SIP sockets, each with the address that messages name for it.
pub(super) fn bind_sip(config: &Config) -> Result<Vec<(SocketAddr, UdpSocket)>, ServeError> {
    config
        .sip
        .listen
        .iter()
        .map(|address| {
            let socket = udp::bind(*address)
                .map_err(|error| ServeError::bind("sip.listen", *address, error))?;
            let bound = socket
                .local_addr()
                .map_err(|error| ServeError::bind("sip.listen", *address, error))?;
            Ok((named(bound, config.sip.advertised), socket))
        })
        .collect()
}

/// The HTTP listeners.
pub(super) async fn bind_http(config: &Config) -> Result<Vec<Listener>, ServeError> {
    let mut listeners = Vec::new();
    for address in &config.http.listen {
        let bound = tokio::net::TcpListener::bind(address).await;
        let listener = bound.map_err(|error| ServeError::bind("http.listen", *address, error))?;
        listeners.push(Listener::Tcp(listener));
    }
    Ok(listeners)
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

    #[test]
    fn loopback_keeps_its_address_and_others_take_the_advertised_one() {
        let advertised = Some("198.51.100.7".parse().unwrap());
        let named = |bound: &str| named(bound.parse().unwrap(), advertised).to_string();
        assert_eq!(named("127.0.0.1:5060"), "127.0.0.1:5060");
        assert_eq!(named("0.0.0.0:5060"), "198.51.100.7:5060");
        assert_eq!(named("[2001:db8::1]:5060"), "[2001:db8::1]:5060");
    }
}
