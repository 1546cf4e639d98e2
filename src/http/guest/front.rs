//! By which address a browser reaches this node, and whether by TLS: what pages and cookies depend on, and
//! what tells our own pages from those of others.

use axum::http::header::HOST;
use axum::http::{HeaderMap, Request};

/// The request came over TLS that ends here.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct OverTls;

/// How the browser sees this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) struct Front {
    /// The browser's way is TLS, here or at a proxy.
    pub(super) is_secure: bool,
    /// A trusted proxy has passed it on.
    pub(super) is_proxied: bool,
    /// Host and port, lower case; `None`: nobody says, or it is none.
    pub(super) authority: Option<String>,
}

impl Front {
    /// Of a request. Only a trusted proxy is believed what it says of the way before it.
    pub(in crate::http) fn of<B>(request: &Request<B>, by_trusted_proxy: bool) -> Self {
        let headers = request.headers();
        let proxy = |name| text(headers, name).filter(|_| by_trusted_proxy);
        let over_tls = request.extensions().get::<OverTls>().is_some();
        let proxied = proxy("x-forwarded-proto").is_some_and(|proto| last(proto) == "https");
        let named = request
            .uri()
            .authority()
            .map(|authority| authority.as_str());
        let authority = proxy("x-forwarded-host")
            .map(last)
            .or(named)
            .or_else(|| text(headers, HOST.as_str()));
        Self {
            is_secure: over_tls || proxied,
            is_proxied: by_trusted_proxy,
            authority: authority
                .filter(|authority| is_authority(authority))
                .map(str::to_ascii_lowercase),
        }
    }

    /// `Origin: …` of a page of the same host and port (RFC 6454 §7), and by TLS if we are. Whether that host
    /// is ours, `Names` knows.
    pub(super) fn is_own(&self, origin: &str) -> bool {
        let Some((scheme, authority)) = origin.split_once("://") else {
            return false;
        };
        let scheme_fits = scheme == "https" || (scheme == "http" && !self.is_secure);
        // Browsers leave the usual port out, proxies may name it.
        let usual = if scheme == "https" { ":443" } else { ":80" };
        let bare = |authority: &str| {
            let bare = authority.strip_suffix(usual).unwrap_or(authority);
            bare.to_ascii_lowercase()
        };
        let own = self.authority.as_deref().map(bare);
        scheme_fits && own == Some(bare(authority))
    }

    /// The host without its port.
    pub(super) fn host(&self) -> Option<&str> {
        let authority = self.authority.as_deref()?;
        match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|octet| octet.is_ascii_digit()) => Some(host),
            Some(_) | None => Some(authority),
        }
    }

    /// This machine, by name or address.
    pub(super) fn is_loopback(&self) -> bool {
        let host = self.host().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let address = bare.parse::<std::net::IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.to_canonical().is_loopback())
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// Of a list that proxies have lengthened, what the nearest one says.
fn last(list: &str) -> &str {
    list.rsplit(',').next().unwrap_or_default().trim()
}

/// Letters, digits and what stands in host and port: nothing that could end a header or a policy.
fn is_authority(text: &str) -> bool {
    let fits = |octet: u8| octet.is_ascii_alphanumeric() || b".-_:[]".contains(&octet);
    !text.is_empty() && text.len() <= 255 && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn front(headers: &[(&str, &str)], trusted: bool) -> Front {
        let mut request = Request::get("/call/x");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Front::of(&request.body(()).unwrap(), trusted)
    }

    #[test]
    fn own_pages_are_those_of_the_same_host_and_port() {
        let plain = front(&[("host", "GW.example:8080")], false);
        assert!(plain.is_own("http://gw.example:8080"));
        assert!(
            plain.is_own("https://GW.example:8080"),
            "TLS ends elsewhere"
        );
        for other in [
            "",
            "null",
            "http://gw.example",
            "http://gw.example:8081",
            "http://gw.example:8080.evil.example",
            "ftp://gw.example:8080",
            "http://",
        ] {
            assert!(!plain.is_own(other), "{other}");
        }
        assert!(!front(&[], false).is_own("http://"));
        for (host, origin, is_own) in [
            ("gw.example:443", "https://gw.example", true),
            ("gw.example:80", "http://gw.example", true),
            ("gw.example", "https://gw.example:443", true),
            ("gw.example:80", "https://gw.example", false),
            ("gw.example:443", "http://gw.example", false),
        ] {
            let front = front(&[("host", host)], false);
            assert_eq!(front.is_own(origin), is_own, "{host} {origin}");
        }
    }

    #[test]
    fn only_a_trusted_proxy_says_how_the_browser_came() {
        let said = [
            ("host", "10.0.0.1"),
            ("x-forwarded-host", "evil.example, gw.example"),
            ("x-forwarded-proto", "https"),
        ];
        let trusted = front(&said, true);
        assert!(trusted.is_secure && trusted.is_own("https://gw.example"));
        assert!(
            !trusted.is_own("http://gw.example"),
            "we are reached by TLS"
        );
        let not = front(&said, false);
        assert!(!not.is_secure && !not.is_own("https://gw.example"));
    }

    #[test]
    fn hosts_lose_their_ports_and_strange_ones_are_none() {
        for (host, found, is_loopback) in [
            ("gw.example:80", Some("gw.example"), false),
            ("127.0.0.1:8080", Some("127.0.0.1"), true),
            ("[::1]:8080", Some("[::1]"), true),
            ("[::1]", Some("[::1]"), true),
            ("localhost", Some("localhost"), true),
            ("a b", None, false),
            ("a;b", None, false),
            ("", None, false),
        ] {
            let front = front(&[("host", host)], false);
            assert_eq!((front.host(), front.is_loopback()), (found, is_loopback));
        }
    }
}
