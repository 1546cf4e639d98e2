//! Under which names this node answers guests. A name that anybody points at us (DNS rebinding) would make
//! another site's page one of ours, as far as its browser can tell: what such a request says of itself proves
//! nothing, so names are known beforehand, or were checked by the browser against our certificate.

use std::net::{IpAddr, Ipv6Addr};

use super::front::Front;

/// The names of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Origins under which guests find pages. The first is for whoever came by an address.
    urls: Vec<String>,
    /// Hosts of these, and of the certificate that is asked for.
    hosts: Vec<String>,
}

impl Names {
    /// Of these origins, and of names of a certificate. Without any, a name counts where TLS has proven it.
    #[must_use]
    pub fn new(urls: &[String], certified: &[String]) -> Self {
        let of_urls = urls.iter().filter_map(|url| Some(bare(host_of(url)?)));
        let certified = certified.iter().map(|name| bare(name));
        Self {
            hosts: of_urls.chain(certified).collect(),
            urls: urls.to_vec(),
        }
    }

    /// A request that is for this node. Addresses cannot be pointed elsewhere.
    pub(super) fn is_ours(&self, front: &Front) -> bool {
        let Some(host) = front.host() else {
            return false;
        };
        is_address(host)
            || host == "localhost"
            || self.hosts.contains(&bare(host))
            || (self.hosts.is_empty() && (front.is_secure || front.is_proxied))
    }

    /// `Origin: …` of a page of ours: of one of our URLs, or of the host by which it came, which is ours.
    pub(super) fn is_own(&self, front: &Front, origin: &str) -> bool {
        let is_named = self.urls.iter().any(|url| url == origin);
        self.is_ours(front) && (is_named || front.is_own(origin))
    }

    /// Where a guest finds by TLS what it asked for in the clear, before the path. `None`: nowhere, for the
    /// name is not ours, or it asked for none.
    pub(super) fn by_tls(&self, front: &Front, port: u16) -> Option<String> {
        let host = front.host()?;
        let named = |url: &&String| host_of(url).is_some_and(|own| bare(own) == bare(host));
        let named = self.urls.iter().find(named);
        let first = self.urls.first().filter(|_| is_address(host));
        if let Some(url) = named.or(first) {
            return Some(url.clone());
        }
        if !self.hosts.is_empty() && !self.is_ours(front) {
            return None;
        }
        Some(match port {
            443 => format!("https://{host}"),
            port => format!("https://{host}:{port}"),
        })
    }
}

/// The host of an origin that `rules::is_origin` has passed.
fn host_of(url: &str) -> Option<&str> {
    let (_scheme, authority) = url.split_once("://")?;
    match authority.rsplit_once(':') {
        Some((host, _port)) if !authority.ends_with(']') => Some(host),
        Some(_) | None => Some(authority),
    }
}

/// As names are compared: a dot at the end only says that nothing follows it.
fn bare(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

/// An address, as an authority has it.
fn is_address(host: &str) -> bool {
    let inner = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    match inner {
        Some(inner) => inner.parse::<Ipv6Addr>().is_ok(),
        None => host.parse::<IpAddr>().is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn front(authority: &str, is_secure: bool) -> Front {
        Front {
            is_secure,
            is_proxied: false,
            authority: Some(authority.to_owned()),
        }
    }

    fn names(urls: &[&str], certified: &[&str]) -> Names {
        let owned = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        Names::new(&owned(urls), &owned(certified))
    }

    #[test]
    fn a_name_is_ours_that_was_given_or_that_tls_has_proven() {
        let given = names(&["https://call.example:8444"], &["gw.example"]);
        let none = names(&[], &[]);
        for (host, of_given, of_none) in [
            ("call.example:8443", true, false),
            ("call.example.", true, false),
            ("gw.example", true, false),
            ("192.0.2.1:8443", true, true),
            ("[2001:db8::1]", true, true),
            ("localhost:8080", true, true),
            ("evil.example:8443", false, false),
            ("call.example.evil.example", false, false),
            ("127.0.0.1.evil.example", false, false),
        ] {
            assert_eq!(given.is_ours(&front(host, false)), of_given, "{host}");
            assert_eq!(given.is_ours(&front(host, true)), of_given, "{host}");
            assert_eq!(none.is_ours(&front(host, false)), of_none, "{host}");
            assert!(none.is_ours(&front(host, true)), "{host}");
        }
        let nobody = Front {
            authority: None,
            ..front("", true)
        };
        assert!(!none.is_ours(&nobody));
        let proxied = Front {
            is_proxied: true,
            ..front("gw.example", false)
        };
        assert!(none.is_ours(&proxied), "the proxy's matter");
    }

    #[test]
    fn pages_are_own_by_a_url_of_ours_and_never_by_a_host_that_is_not() {
        let names = names(&["https://call.example"], &[]);
        for (host, origin, is_own) in [
            ("call.example", "https://call.example", true),
            ("127.0.0.1:8080", "https://call.example", true),
            ("call.example:8443", "https://call.example:8443", true),
            ("evil.example", "https://evil.example", false),
            ("call.example", "https://evil.example", false),
            ("evil.example", "https://call.example", false),
        ] {
            let front = front(host, true);
            assert_eq!(names.is_own(&front, origin), is_own, "{host} {origin}");
        }
    }

    #[test]
    fn whoever_comes_in_the_clear_is_sent_to_a_url_of_ours() {
        let given = names(
            &["https://call.example", "https://other.example:8444"],
            &["gw.example"],
        );
        let none = names(&[], &[]);
        for (host, of_given, of_none) in [
            (
                "call.example:8080",
                Some("https://call.example"),
                "https://call.example:8443",
            ),
            (
                "other.example",
                Some("https://other.example:8444"),
                "https://other.example:8443",
            ),
            (
                "gw.example",
                Some("https://gw.example:8443"),
                "https://gw.example:8443",
            ),
            (
                "192.0.2.1:80",
                Some("https://call.example"),
                "https://192.0.2.1:8443",
            ),
            ("evil.example", None, "https://evil.example:8443"),
        ] {
            let front = front(host, false);
            assert_eq!(given.by_tls(&front, 8_443).as_deref(), of_given, "{host}");
            assert_eq!(none.by_tls(&front, 8_443).as_deref(), Some(of_none));
        }
        let usual = none.by_tls(&front("gw.example:80", false), 443);
        assert_eq!(usual.as_deref(), Some("https://gw.example"));
    }
}
