//! Whether guests' browsers can call: by a page that they trust, under a name that is known, by ports that they
//! and the authority of our certificate reach.

use std::net::SocketAddr;

use super::Finding;
use crate::config::Config;
use crate::http::Proof;

pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(page(config));
    findings.extend(transport(config));
    findings.extend(proof(config));
    if comes_from_elsewhere(config) {
        findings.push(names(config));
        findings.push(relay(config));
    }
    findings
}

const fn is_open(listen: &SocketAddr) -> bool {
    !listen.ip().is_loopback()
}

/// Guests of other machines are meant to come.
fn comes_from_elsewhere(config: &Config) -> bool {
    config.https.listen.iter().any(is_open) || !config.browser.urls.is_empty()
}

/// Browsers give the microphone only to pages that came by TLS, and warn of certificates that nobody signed.
fn page(config: &Config) -> Option<Finding> {
    let https = config.https.listen.iter().find(|listen| is_open(listen));
    let http = config.http.listen.iter().find(|listen| is_open(listen));
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
    let address = config.media.addresses.first()?;
    let named = config.media.advertised.unwrap_or(*address);
    (comes_from_elsewhere(config) && named.is_loopback()).then(|| {
        Finding::warning(
            "media.browser_port",
            format!("guests are told to send their media to {named}"),
            "name an address that they reach in media.addresses or media.advertised",
        )
    })
}

/// An authority looks for the proof of a name at one port, and nowhere else.
fn proof(config: &Config) -> Option<Finding> {
    let acme = config.https.acme.as_ref()?;
    let (key, listen, port) = match acme.proof {
        Proof::Http01 => ("http.listen", &config.http.listen, 80),
        Proof::TlsAlpn01 => ("https.listen", &config.https.listen, 443),
    };
    let word = acme.proof.as_str();
    let mut open = listen.iter().filter(|listen| is_open(listen)).peekable();
    let Some(first) = open.peek().copied() else {
        let names = acme.domains.join(" ");
        let found = format!(
            "{word} is looked for at port {port} of {names}, and {key} is of this machine alone"
        );
        // A port map or proxy before it cannot be seen from here.
        let is_mapped = !config.http.trusted_proxies.is_empty();
        let advice =
            format!("open {key} at port {port} (0.0.0.0:{port}), or there is never a certificate");
        return Some(match is_mapped {
            true => Finding::warning(
                PROOF,
                found,
                format!("see that a proxy passes it on, or {advice}"),
            ),
            false => Finding::bad(PROOF, found, advice),
        });
    };
    if open.any(|listen| listen.port() == port) {
        return Some(Finding::good(
            PROOF,
            format!("{word} by {key} at port {port}"),
        ));
    }
    Some(Finding::warning(
        PROOF,
        format!("{word} is looked for at port {port}, and {key} is {first}"),
        format!("see that port {port} leads there, or open {key} at port {port}"),
    ))
}

/// Under which names guests come.
fn names(config: &Config) -> Finding {
    let acme = config.https.acme.as_ref();
    let certified = acme.into_iter().flat_map(|acme| &acme.domains);
    let known: Vec<&str> = config
        .browser
        .urls
        .iter()
        .chain(certified)
        .map(String::as_str)
        .collect();
    match known.is_empty() {
        false => Finding::good(NAMES, known.join(" ")),
        true => Finding::note(
            NAMES,
            "none: whichever name came by TLS counts as ours",
            "name it in browser.urls: guests are sent there, and printed links have it",
        ),
    }
}

/// For guests whose network lets nothing out but to the ports of web pages.
fn relay(config: &Config) -> Finding {
    match config.browser.turn.is_empty() {
        false => Finding::good(RELAY, config.browser.turn.join(" ")),
        true => Finding::note(
            RELAY,
            "none: a guest whose network lets no UDP out has no call",
            "browser.turn names one: turnserver.conf.example, beside sluice.toml, is what coturn wants",
        ),
    }
}

/// The host of an origin of ours, without its port.
pub(super) fn host_of(url: &str) -> Option<&str> {
    let (_scheme, authority) = url.split_once("://")?;
    let host = match authority.rsplit_once(':') {
        Some((host, _port)) if !authority.ends_with(']') => host,
        Some(_) | None => authority,
    };
    Some(host.trim_matches(['[', ']']))
}

const PAGE: &str = "guest page";
const PROOF: &str = "https.acme_proof";
const NAMES: &str = "browser.urls";
const RELAY: &str = "browser.turn";

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

    const OPEN: [(Grade, &str); 2] = [(Grade::Good, NAMES), (Grade::Good, RELAY)];

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
        assert_eq!(grades(unsigned), [both, OPEN].concat());
        let signed = format!(
            "{unsigned}certificate = \"c\"\nkey = \"k\"\n[media]\naddresses = [\"192.0.2.2\"]"
        );
        let good = [&[(Grade::Good, PAGE)][..], &OPEN].concat();
        assert_eq!(grades(&signed), good);
        let proxied = format!("{behind}\n[browser]\nurls = [\"https://call.example\"]");
        let proxied = grades(&proxied);
        assert_eq!(proxied[0], both[1], "a proxy brings pages and no media");
    }

    /// Every line that README has of what guests need.
    #[test]
    fn names_and_relays_that_are_missing_are_noted_and_no_fault() {
        let find = |text: &str, check: &str| {
            let text = format!("[https]\nlisten = [\"0.0.0.0:443\"]\n{text}");
            let config = Config::parse(Path::new("test.toml"), &text).unwrap();
            let mut findings = examine(&config).into_iter();
            findings.find(|finding| finding.check == check).unwrap()
        };
        for check in [NAMES, RELAY] {
            let missing = find("", check);
            assert_eq!(missing.grade, Grade::Good);
            assert!(missing.found.starts_with("none"), "{missing:?}");
            assert!(missing.advice.contains(check), "{missing:?}");
        }
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secret");
        std::fs::write(&secret, "secret-of-the-relay").unwrap();
        let named = format!(
            "acme_domains = [\"call.example\"]\n[browser]\nturn = [\"turn:192.0.2.9\"]\n\
             turn_secret_file = \"{}\"",
            secret.display()
        );
        for (check, found) in [(NAMES, "call.example"), (RELAY, "turn:192.0.2.9")] {
            let finding = find(&named, check);
            assert_eq!((&*finding.found, &*finding.advice), (found, ""));
        }
    }

    #[test]
    fn a_proof_that_an_authority_can_never_see_is_bad() {
        let grade = |http: &str, https: &str, proof: &str| {
            let text = format!(
                "[http]\n{http}\n[https]\nlisten = [\"{https}\"]\nacme_domains = [\"call.example\"]\n\
                 acme_proof = \"{proof}\""
            );
            let config = Config::parse(Path::new("test.toml"), &text).unwrap();
            let finding = super::proof(&config).unwrap();
            assert_eq!(finding.check, PROOF);
            assert_eq!(finding.advice.is_empty(), finding.grade == Grade::Good);
            finding.grade
        };
        let (word, tls) = ("http-01", "tls-alpn-01");
        assert_eq!(grade("", "0.0.0.0:443", word), Grade::Bad, "the default");
        let behind = "trusted_proxies = [\"127.0.0.1\"]";
        assert_eq!(grade(behind, "0.0.0.0:443", word), Grade::Warning);
        let other = "listen = [\"0.0.0.0:8080\"]";
        assert_eq!(grade(other, "0.0.0.0:443", word), Grade::Warning);
        let usual = "listen = [\"127.0.0.1:8080\", \"[::]:80\"]";
        assert_eq!(grade(usual, "0.0.0.0:443", word), Grade::Good);
        assert_eq!(grade("", "0.0.0.0:443", tls), Grade::Good);
        assert_eq!(grade("", "0.0.0.0:8443", tls), Grade::Warning);
        assert_eq!(grade("", "127.0.0.1:443", tls), Grade::Bad);
    }
}
