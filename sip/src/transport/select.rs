//! Where a request within a dialog goes.
//!
//! Owns the choice between the address in a URI and the path the dialog was made by. A URI with a
//! name, with an address of the other family, with one that our socket cannot reach from loopback, or
//! with one that only means something behind the peer's own NAT, is answered by that path. So is one
//! at the host that a connection leads to, as long as the connection is there: it is used both ways.

use std::net::{IpAddr, SocketAddr};

use crate::event::{Flow, Transport};
use crate::message::UriRef;

const PORT_DEFAULT: u16 = 5060;

/// The flow for a request to `uri`, in a dialog that was made by `made_by`; `is_open`: where that is a
/// connection, it is there.
///
/// Deviation: a URI without `transport` is reached as the dialog was made, not by UDP (RFC 3263 §4.1).
/// Peers that were configured for TCP leave it out.
#[must_use]
pub fn next_hop(uri: UriRef<'_>, made_by: Flow, is_open: bool) -> Flow {
    let transport = transport_of(uri).unwrap_or(made_by.transport);
    match uri.host_address() {
        Some(address)
            if address.is_ipv4() == made_by.local.is_ipv4()
                && can_be_sent_to(address)
                && reach(address) >= reach(made_by.remote.ip())
                && (address.is_loopback() || !made_by.local.ip().is_loopback()) =>
        {
            let port = uri.port().filter(|port| *port != 0).unwrap_or(PORT_DEFAULT);
            let is_connected = is_open && transport.is_reliable() && made_by.transport == transport;
            if is_connected && made_by.remote.ip() == address {
                return made_by;
            }
            Flow {
                transport,
                remote: SocketAddr::new(address, port),
                ..made_by
            }
        }
        Some(_) | None => made_by,
    }
}

/// What `transport` says (RFC 3261 §19.1.1); a transport that we do not have says nothing.
#[must_use]
pub fn transport_of(uri: UriRef<'_>) -> Option<Transport> {
    let word = uri.parameters().value("transport")?;
    [Transport::Udp, Transport::Tcp]
        .into_iter()
        .find(|transport| word.eq_ignore_ascii_case(transport.as_str().as_bytes()))
}

fn can_be_sent_to(address: IpAddr) -> bool {
    !address.is_unspecified()
        && !address.is_multicast()
        && !matches!(address, IpAddr::V4(address) if address.is_broadcast())
}

/// How far an address is known: this host, a private network, the Internet. A peer at a farther
/// one that names a nearer one stands behind a NAT.
fn reach(address: IpAddr) -> u8 {
    match address {
        address if address.is_loopback() => 0,
        IpAddr::V4(address) if address.is_private() || address.is_link_local() => 1,
        IpAddr::V4(address) if matches!(address.octets(), [100, 64..128, ..]) => 1,
        IpAddr::V6(address) if address.is_unique_local() || address.is_unicast_link_local() => 1,
        IpAddr::V4(_) | IpAddr::V6(_) => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Transport;

    fn hop(uri: &str, remote: &str) -> String {
        hop_from("10.9.9.9:5060", uri, remote)
    }

    fn hop_from(local: &str, uri: &str, remote: &str) -> String {
        let made_by = Flow {
            transport: Transport::Udp,
            local: local.parse().unwrap(),
            remote: remote.parse().unwrap(),
        };
        next_hop(UriRef::parse(uri.as_bytes()).unwrap(), made_by, true)
            .remote
            .to_string()
    }

    fn hop_by_tcp(uri: &str, is_open: bool) -> (Transport, String) {
        let made_by = Flow {
            transport: Transport::Tcp,
            local: "10.9.9.9:5060".parse().unwrap(),
            remote: "198.51.100.7:40000".parse().unwrap(),
        };
        let flow = next_hop(UriRef::parse(uri.as_bytes()).unwrap(), made_by, is_open);
        (flow.transport, flow.remote.to_string())
    }

    #[test]
    fn a_connection_is_used_both_ways_as_long_as_it_is_there() {
        let (contact, elsewhere) = ("sip:a@198.51.100.7;transport=tcp", "sip:a@203.0.113.9:5070");
        let by_tcp = |remote: &str| (Transport::Tcp, remote.to_owned());
        assert_eq!(hop_by_tcp(contact, true), by_tcp("198.51.100.7:40000"));
        assert_eq!(hop_by_tcp(contact, false), by_tcp("198.51.100.7:5060"));
        assert_eq!(hop_by_tcp(elsewhere, true), by_tcp("203.0.113.9:5070"));
        assert_eq!(
            hop_by_tcp("sip:a@example.com", false),
            by_tcp("198.51.100.7:40000")
        );
    }

    #[test]
    fn transport_of_the_uri_is_respected() {
        let by_udp = (Transport::Udp, "198.51.100.7:5070".to_owned());
        assert_eq!(
            hop_by_tcp("sip:a@198.51.100.7:5070;transport=UDP", true),
            by_udp
        );
        let udp = Flow {
            transport: Transport::Udp,
            local: "10.9.9.9:5060".parse().unwrap(),
            remote: "198.51.100.7:5060".parse().unwrap(),
        };
        let uri = UriRef::parse(b"sip:a@198.51.100.7;transport=tcp").unwrap();
        assert_eq!(next_hop(uri, udp, true).transport, Transport::Tcp);
        let uri = UriRef::parse(b"sip:a@198.51.100.7;transport=sctp").unwrap();
        assert_eq!(next_hop(uri, udp, true), udp);
    }

    #[test]
    fn a_numeric_address_is_followed_and_a_name_is_not() {
        assert_eq!(
            hop("sip:a@203.0.113.9", "198.51.100.7:5060"),
            "203.0.113.9:5060"
        );
        assert_eq!(
            hop("sip:a@203.0.113.9:5070", "198.51.100.7:5060"),
            "203.0.113.9:5070"
        );
        assert_eq!(
            hop("sip:a@example.com:5070", "198.51.100.7:5060"),
            "198.51.100.7:5060"
        );
        assert_eq!(
            hop("sip:a@[2001:db8::1]", "198.51.100.7:5060"),
            "198.51.100.7:5060"
        );
        assert_eq!(
            hop("sip:a@0.0.0.0", "198.51.100.7:5060"),
            "198.51.100.7:5060"
        );
    }

    #[test]
    fn a_private_address_of_a_public_peer_is_behind_its_nat() {
        assert_eq!(
            hop("sip:a@192.168.1.4:5062", "198.51.100.7:40000"),
            "198.51.100.7:40000"
        );
        assert_eq!(
            hop("sip:a@192.168.1.4:5062", "192.168.1.1:40000"),
            "192.168.1.4:5062"
        );
        assert_eq!(
            hop("sip:a@127.0.0.1:5062", "127.0.0.1:40000"),
            "127.0.0.1:5062"
        );
    }

    /// A phone on this host that names the address of its network card.
    #[test]
    fn a_loopback_socket_sends_to_loopback_only() {
        let loopback = "127.0.0.1:5060";
        assert_eq!(
            hop_from(loopback, "sip:a@10.1.2.3:5062", "127.0.0.1:5070"),
            "127.0.0.1:5070"
        );
        assert_eq!(
            hop_from(loopback, "sip:a@127.0.0.2:5062", "127.0.0.1:5070"),
            "127.0.0.2:5062"
        );
    }
}
