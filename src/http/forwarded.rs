//! Behind a proxy: whose request it is that a proxy passes on. Only proxies that the configuration
//! names are believed (`http.trusted_proxies`); whatever went through any proxy is not of this machine.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;

use super::access::Origin;
use crate::trunks::model::Network;

/// Where a request comes from that `peer` sent with these headers: the last address of
/// X-Forwarded-For that no trusted proxy is at, as far back as trusted proxies have written it.
pub(super) fn origin(peer: Origin, headers: &HeaderMap, trusted: &[Network]) -> Origin {
    let Origin::Network(address) = peer else {
        return peer;
    };
    if !FORWARDED.iter().any(|name| headers.contains_key(*name)) {
        return peer;
    }
    let is_trusted = |address: IpAddr| is_trusted(Origin::Network(address), trusted);
    let mut client = address;
    let values = headers.get_all(FORWARDED_FOR).iter();
    let mut entries = values.rev().flat_map(|value| {
        let text = value.to_str().unwrap_or_default();
        text.rsplit(',').map(str::trim)
    });
    while is_trusted(client)
        && let Some(before) = entries.next().and_then(entry)
    {
        client = before;
    }
    Origin::Forwarded(client)
}

/// Whether what this peer says of those before it is believed.
pub(super) fn is_trusted(peer: Origin, trusted: &[Network]) -> bool {
    let Origin::Network(address) = peer else {
        return false;
    };
    let address = address.to_canonical();
    trusted.iter().any(|network| network.contains(address))
}

/// An address, which some proxies write with its port.
fn entry(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let address = bare.unwrap_or(text).parse::<IpAddr>();
    let with_port = || text.parse::<SocketAddr>().map(|socket| socket.ip());
    address.or_else(|_no_address| with_port()).ok()
}

const FORWARDED_FOR: &str = "x-forwarded-for";
/// What proxies add to a request that they pass on.
const FORWARDED: [&str; 6] = [
    FORWARDED_FOR,
    "forwarded",
    "via",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
];

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "127.0.0.1";

    fn from(peer: &str, headers: &[(&'static str, &str)], trusted: &[&str]) -> Origin {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let trusted: Vec<Network> = trusted.iter().map(|text| text.parse().unwrap()).collect();
        origin(Origin::Network(peer.parse().unwrap()), &map, &trusted)
    }

    fn forwarded(address: &str) -> Origin {
        Origin::Forwarded(address.parse().unwrap())
    }

    #[test]
    fn only_trusted_proxies_say_who_asks() {
        let said = [(FORWARDED_FOR, "203.0.113.9")];
        assert_eq!(from(PROXY, &said, &[PROXY]), forwarded("203.0.113.9"));
        assert_eq!(from(PROXY, &said, &[]), forwarded(PROXY));
        assert_eq!(
            from("192.0.2.1", &said, &[PROXY]),
            forwarded("192.0.2.1"),
            "what a stranger writes is not believed"
        );
    }

    #[test]
    fn what_a_client_writes_before_its_proxy_counts_for_nothing() {
        let said = [
            (FORWARDED_FOR, "127.0.0.1, 198.51.100.7"),
            (FORWARDED_FOR, "203.0.113.9 , 10.0.0.2:4711"),
        ];
        let trusted = [PROXY, "10.0.0.0/8"];
        assert_eq!(from(PROXY, &said, &trusted), forwarded("203.0.113.9"));
        let unreadable = [(FORWARDED_FOR, "203.0.113.9, unknown")];
        assert_eq!(from(PROXY, &unreadable, &trusted), forwarded(PROXY));
        let v6 = [(FORWARDED_FOR, "[2001:db8::7]:443")];
        assert_eq!(
            from("::ffff:127.0.0.1", &v6, &trusted),
            forwarded("2001:db8::7")
        );
    }

    #[test]
    fn whatever_a_proxy_passed_on_is_not_of_this_machine() {
        assert!(from(PROXY, &[], &[]).is_this_machine());
        for name in FORWARDED {
            assert!(!from(PROXY, &[(name, "127.0.0.1")], &[]).is_this_machine());
            assert!(!from(PROXY, &[(name, "127.0.0.1")], &[PROXY]).is_this_machine());
        }
    }
}
