//! Whether guests' browsers can call: by a page that they trust, and a port that they reach.

use std::net::SocketAddr;

use super::Finding;
use crate::config::Config;

pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(page(config));
    findings.extend(transport(config));
    findings
}

/// Browsers give the microphone only to pages that came by TLS, and warn of certificates that nobody signed.
fn page(config: &Config) -> Option<Finding> {
    let is_open = |listen: &&SocketAddr| !listen.ip().is_loopback();
    let https = config.https.listen.iter().find(is_open);
    let http = config.http.listen.iter().find(is_open);
    let is_signed = config.https.certificate.is_some() || config.https.acme.is_some();
    match (https, http) {
        (Some(listen), _) if !is_signed => Some(Finding::warning(
            PAGE,
            format!("https.listen {listen} shows a self-signed certificate"),
            "browsers warn of it before the page: name https.certificate and https.key, or https.acme_domains",
        )),
        (Some(listen), _) => {
            let named = config.browser.urls.first();
            let at = named
                .cloned()
                .unwrap_or_else(|| format!("any name by HTTPS at {listen}"));
            Some(Finding::good(PAGE, at))
        }
        (None, Some(listen)) if config.http.trusted_proxies.is_empty() => Some(Finding::warning(
            PAGE,
            format!("http.listen {listen} serves it in the clear"),
            "browsers give it no microphone: use https.listen, or a TLS proxy named in \
             http.trusted_proxies, which sets X-Forwarded-Proto",
        )),
        (None, _) => None,
    }
}

/// Guests elsewhere send their media to one port.
fn transport(config: &Config) -> Option<Finding> {
    let is_open = |listen: &SocketAddr| !listen.ip().is_loopback();
    let is_served = config.https.listen.iter().any(is_open);
    let address = config.media.addresses.first()?;
    let named = config.media.advertised.unwrap_or(*address);
    (is_served && named.is_loopback()).then(|| {
        Finding::warning(
            "media.browser_port",
            format!("guests are told to send their media to {named}"),
            "name an address that they reach in media.addresses or media.advertised",
        )
    })
}

const PAGE: &str = "guest page";

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::Grade;
    use super::*;

    fn grades(text: &str) -> Vec<(Grade, &'static str)> {
        let config = Config::parse(Path::new("test.toml"), text).unwrap();
        let findings = examine(&config);
        findings.iter().map(|it| (it.grade, it.check)).collect()
    }

    #[test]
    fn pages_without_tls_and_media_that_nobody_reaches_are_told() {
        assert_eq!(grades(""), []);
        let plain = "[http]\nlisten = [\"0.0.0.0:80\"]\n";
        assert_eq!(grades(plain), [(Grade::Warning, PAGE)]);
        let behind = format!("{plain}trusted_proxies = [\"192.0.2.1\"]");
        assert_eq!(grades(&behind), []);
        let unsigned = "[https]\nlisten = [\"0.0.0.0:443\"]\n";
        let both = [
            (Grade::Warning, PAGE),
            (Grade::Warning, "media.browser_port"),
        ];
        assert_eq!(grades(unsigned), both);
        let signed = format!(
            "{unsigned}certificate = \"c\"\nkey = \"k\"\n[media]\naddresses = [\"192.0.2.2\"]"
        );
        assert_eq!(grades(&signed), [(Grade::Good, PAGE)]);
    }
}
