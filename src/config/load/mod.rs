//! The keys of the file, their defaults and their rules.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::problem::{ConfigErrors, Problem};
use super::reader::{Document, Reader};
use super::schema::{
    AcmeConfig, BrowserConfig, CdrConfig, Config, HepConfig, HttpConfig, HttpsConfig, LimitsConfig,
    LogConfig, MediaBackend, MediaConfig, NodeConfig, SipConfig,
};
use super::tables;
use crate::cdr::export::ExportFormat;
use crate::http::GuestLimits;
use crate::http::Proof;
use crate::links::rules;
use crate::log::LogFormat;
use crate::sources::model::Source;
use crate::storage::{StorageOptions, Sync};
use crate::trunks::apply::TrunkTable;
use crate::trunks::text::NETWORK;

impl Config {
    /// Reads a file: a configuration with every default filled in.
    ///
    /// # Errors
    /// Every problem of the file at once.
    pub fn load(file: &Path) -> Result<Self, ConfigErrors> {
        Self::parse(file, &read(file)?)
    }

    /// Parses a text as if it stood in `file`.
    ///
    /// # Errors
    /// Every problem of the text at once.
    pub fn parse(file: &Path, text: &str) -> Result<Self, ConfigErrors> {
        let document = Document::new(text);
        let table = document.parse();
        let root = Reader::root(&document, &table);
        let node = node(root.table("node"));
        let sip = sip(root.table("sip"));
        let http = http(root.table("http"), &node);
        let https = https(root.table("https"), http.resolve_open);
        let browser = browser(root.table("browser"), file);
        let media = media(root.table("media"));
        let limits = limits(root.table("limits"));
        let storage = storage(root.table("storage"), &node, &sip);
        let log = log(root.table("log"));
        let cdr = cdr(root.table("cdr"));
        let hep = hep(root.table("hep"));
        let trunks = trunks(&root, file);
        let sources = root
            .tables("source")
            .into_iter()
            .filter_map(tables::source)
            .collect();
        let links = root.tables("link").into_iter();
        let links = links
            .filter_map(|link| tables::link(link, &trunks))
            .collect();
        root.finish();
        let config = Self {
            file: file.to_owned(),
            node,
            sip,
            http,
            https,
            browser,
            media,
            limits,
            storage,
            log,
            cdr,
            hep,
            trunks,
            sources,
            links,
        };
        finish(file, document, config)
    }
}

/// Reads a file that holds `[[trunk]]` tables only, as `trunks apply` takes it.
///
/// # Errors
/// Every problem of the file at once.
pub fn load_trunks(file: &Path) -> Result<Vec<TrunkTable>, ConfigErrors> {
    let text = read(file)?;
    let document = Document::new(&text);
    let table = document.parse();
    let root = Reader::root(&document, &table);
    let trunks = trunks(&root, file);
    root.finish();
    finish(file, document, trunks)
}

/// Reads a file that holds `[[source]]` tables only, as `sources apply` takes it.
///
/// # Errors
/// Every problem of the file at once.
pub fn load_sources(file: &Path) -> Result<Vec<Source>, ConfigErrors> {
    let text = read(file)?;
    let document = Document::new(&text);
    let table = document.parse();
    let root = Reader::root(&document, &table);
    let sources = root
        .tables("source")
        .into_iter()
        .filter_map(tables::source)
        .collect();
    root.finish();
    finish(file, document, sources)
}

fn read(file: &Path) -> Result<String, ConfigErrors> {
    fs::read_to_string(file).map_err(|error| ConfigErrors {
        file: file.to_owned(),
        problems: vec![Problem {
            line: 0,
            key: String::new(),
            found: error.to_string(),
            accepted: "a readable TOML file; conf/sluice.toml shows every key".to_owned(),
        }],
    })
}

fn finish<T>(file: &Path, document: Document<'_>, value: T) -> Result<T, ConfigErrors> {
    let problems = document.into_problems();
    if problems.is_empty() {
        return Ok(value);
    }
    Err(ConfigErrors {
        file: file.to_owned(),
        problems,
    })
}

fn node(table: Reader<'_>) -> NodeConfig {
    let node = NodeConfig {
        name: table.text("name", "sluice".to_owned(), rules::ALIAS, |text| {
            rules::is_alias(text).then(|| text.to_owned())
        }),
        data: table.text("data", PathBuf::from("/var/lib/sluice"), FOLDER, path),
        drain: table.seconds("drain_s", Duration::from_secs(60), 0..=86_400),
    };
    table.finish();
    node
}

fn sip(table: Reader<'_>) -> SipConfig {
    let default = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 5060))];
    let sip = SipConfig {
        listen: table.texts("listen", default, SOCKET, |text| text.parse().ok()),
        listen_tcp: table.optional_texts("listen_tcp", SOCKET, |text| text.parse().ok()),
        connections_max: table.whole("connections_max", 512, 1..=65_536),
        connections_per_source_max: table.whole("connections_per_source_max", 64, 1..=65_536),
        srtp_over_clear_signalling: table.boolean("srtp_over_clear_signalling", false),
        gather: Duration::from_micros(table.whole("gather_us", 1_000, 0..=5_000)),
        domain: table.optional_text("domain", rules::DOMAIN, tables::domain),
        advertised: table.optional_text("advertised", "an IP address that peers reach", concrete),
        product: table.text(
            "product",
            "Sluice".to_owned(),
            rules::DISPLAY_TEXT,
            tables::display,
        ),
    };
    if sip.listen.is_empty() {
        table.conflict("listen", "an empty list", "at least one address and port");
    }
    let listen_tcp = sip.listen_tcp.as_deref().unwrap_or_default();
    for (key, listen) in [
        ("listen", sip.listen.as_slice()),
        ("listen_tcp", listen_tcp),
    ] {
        if sip.advertised.is_some() || !listen.iter().any(|listen| listen.ip().is_unspecified()) {
            continue;
        }
        table.conflict(
            key,
            "every address of the machine, and no sip.advertised",
            "one address, or sip.advertised beside it: peers must be told where to answer",
        );
    }
    table.finish();
    sip
}

fn http(table: Reader<'_>, node: &NodeConfig) -> HttpConfig {
    let default = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 8080))];
    let http = HttpConfig {
        listen: table.texts("listen", default, SOCKET, |text| text.parse().ok()),
        resolve_open: table.boolean("resolve_open", false),
        trusted_proxies: table.texts("trusted_proxies", Vec::new(), NETWORK, |text| {
            text.parse().ok()
        }),
        socket: table.text("socket", socket_of(&node.data), SOCKET_FILE, |text| {
            let path = PathBuf::from(text);
            match text {
                "" => Some(None),
                _ if fits_a_socket(&path) => Some(Some(path)),
                _ => None,
            }
        }),
    };
    if let Some(open) = http.listen.iter().find(|listen| !listen.ip().is_loopback())
        && http.resolve_open
    {
        table.conflict(
            "resolve_open",
            &format!("true beside the listener {open}"),
            "true only while every http.listen is a loopback address",
        );
    }
    table.finish();
    http
}

fn https(table: Reader<'_>, resolve_open: bool) -> HttpsConfig {
    let path = |text: &str| (!text.is_empty()).then(|| PathBuf::from(text));
    let certificate = table.optional_text("certificate", PEM_FILE, path);
    let key = table.optional_text("key", PEM_FILE, path);
    if certificate.is_some() != key.is_some() {
        let (key, found) = match key {
            Some(_) => ("key", "without https.certificate"),
            None => ("certificate", "without https.key"),
        };
        table.conflict(key, found, "both, or neither: a self-signed certificate");
    }
    let acme = acme(&table);
    // A certificate that is given is the one that is shown.
    let acme = acme.filter(|_| certificate.is_none());
    let https = HttpsConfig {
        listen: table.texts("listen", Vec::new(), SOCKET, |text| text.parse().ok()),
        certificate: certificate.zip(key),
        acme,
        strict_days: table.whole("strict_days", 365, 0..=3_650),
    };
    if https.acme.is_some() && https.listen.is_empty() {
        table.conflict(
            "acme_domains",
            "without https.listen",
            "https.listen beside it: the certificate is for who comes there",
        );
    }
    let is_open = |listen: &&SocketAddr| !listen.ip().is_loopback();
    if let Some(open) = https.listen.iter().find(is_open).filter(|_| resolve_open) {
        table.conflict(
            "listen",
            &format!("{open} beside http.resolve_open"),
            "loopback addresses only, while http.resolve_open is true",
        );
    }
    table.finish();
    https
}

/// An authority that is asked for the certificate, where names are given.
fn acme(table: &Reader<'_>) -> Option<AcmeConfig> {
    let is_name = |text: &str| {
        let fits = |octet: u8| octet.is_ascii_alphanumeric() || b"-.".contains(&octet);
        let has_labels = text.split('.').all(|label| !label.is_empty());
        text.len() <= 253 && has_labels && text.bytes().all(fits)
    };
    let name = |text: &str| is_name(text).then(|| text.to_ascii_lowercase());
    let domains = table.texts("acme_domains", Vec::new(), "a domain name", name);
    let contact = table.optional_text("acme_contact", "mailto: and an address", |text| {
        text.starts_with("mailto:").then(|| text.to_owned())
    });
    let directory = |text: &str| text.starts_with("https://").then(|| text.to_owned());
    let directory = table.text(
        "acme_directory",
        LETS_ENCRYPT.to_owned(),
        "an https URL",
        directory,
    );
    let path = |text: &str| (!text.is_empty()).then(|| PathBuf::from(text));
    let roots = table.text("acme_roots", PathBuf::from(SYSTEM_ROOTS), PEM_FILE, path);
    let proof = table.text("acme_proof", Proof::Http01, PROOF, |text| match text {
        "http-01" => Some(Proof::Http01),
        "tls-alpn-01" => Some(Proof::TlsAlpn01),
        _ => None,
    });
    (!domains.is_empty()).then_some(AcmeConfig {
        domains,
        contact,
        directory,
        roots,
        proof,
    })
}

/// The authority where none is named.
const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// Where Debian and its kin keep what they believe.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Words of `https.acme_proof`.
const PROOF: &str = "http-01 or tls-alpn-01";

fn browser(table: Reader<'_>, file: &Path) -> BrowserConfig {
    let own = |text: &str| {
        (text.starts_with("https://") && rules::is_origin(text)).then(|| text.to_owned())
    };
    let urls = table.texts("urls", Vec::new(), OWN_URL, own);
    let url = |text: &str| is_turn_url(text).then(|| text.to_owned());
    let turn = table.texts("turn", Vec::new(), TURN_URL, url);
    let folder = file.parent().unwrap_or_else(|| Path::new("."));
    let turn_secret = tables::secret(&table, "turn_secret_file", folder);
    if turn.is_empty() != turn_secret.is_none() {
        let (key, found) = match turn_secret {
            Some(_) => ("turn_secret_file", "without browser.turn"),
            None => ("turn", "without browser.turn_secret_file"),
        };
        table.conflict(key, found, "both, or neither: no relays");
    }
    let limits = GuestLimits {
        connections_max: table.whole("connections_max", 4_096, 1..=8_192),
        connections_per_client_max: table.whole("connections_per_client_max", 32, 1..=8_192),
        loads_per_minute_max: table.whole("loads_per_minute_max", 120, 1..=100_000),
    };
    table.finish();
    BrowserConfig {
        urls,
        turn,
        turn_secret,
        limits,
    }
}

/// `turn:host`, `turns:host:443?transport=tcp` (RFC 7065): what browsers read, and nothing that would end
/// a text around it.
fn is_turn_url(text: &str) -> bool {
    let rest = text.strip_prefix("turn:");
    let rest = rest.or_else(|| text.strip_prefix("turns:"));
    let rest = rest.unwrap_or_default();
    let (host, query) = rest.split_once('?').unwrap_or((rest, "transport=udp"));
    let fits = |octet: u8| octet.is_ascii_alphanumeric() || b".-:[]".contains(&octet);
    let is_host = !host.is_empty() && host.len() <= 255 && host.bytes().all(fits);
    is_host && matches!(query, "transport=udp" | "transport=tcp")
}

/// `sluice.sock` in the data folder; none where that name is too long for a socket.
fn socket_of(data: &Path) -> Option<PathBuf> {
    Some(data.join("sluice.sock")).filter(|path| fits_a_socket(path))
}

/// The kernel's bound on the name of a Unix socket, unix(7).
fn fits_a_socket(path: &Path) -> bool {
    let octets = path.as_os_str().as_encoded_bytes();
    octets.len() <= SOCKET_OCTETS_MAX && !octets.contains(&0)
}

fn media(table: Reader<'_>) -> MediaConfig {
    let default = vec![IpAddr::V4(Ipv4Addr::LOCALHOST)];
    let media = MediaConfig {
        addresses: table.texts("addresses", default, "local IP addresses", concrete),
        advertised: table.optional_text("advertised", "an IP address that peers reach", concrete),
        ports: table.text("ports", 10_000..=32_767, PORTS, ports),
        workers: table.whole("workers", 0, 0..=256),
        realtime: table.boolean("realtime", false),
        stock: table.whole("stock", 64, 1..=4_096),
        browser_port: table.whole("browser_port", 9_000, 0..=65_535),
        rtcp_ports: table.boolean("rtcp_ports", true),
        backend: table.text(
            "backend",
            MediaBackend::Auto,
            "auto, io_uring or epoll",
            |text| match text {
                "auto" => Some(MediaBackend::Auto),
                "io_uring" => Some(MediaBackend::IoUring),
                "epoll" => Some(MediaBackend::Epoll),
                _ => None,
            },
        ),
        budget: Duration::from_micros(table.whole("budget_us", 600, 0..=5_000)),
        dscp: table.whole("dscp", 46, 0..=63),
        timeout: table.seconds("timeout_s", Duration::from_secs(60), 0..=86_400),
    };
    if media.addresses.is_empty() {
        table.conflict(
            "addresses",
            "an empty list",
            "at least one local IP address",
        );
    }
    table.finish();
    media
}

fn limits(table: Reader<'_>) -> LimitsConfig {
    let limits = LimitsConfig {
        calls_max: table.whole("calls_max", 2_000, 1..=100_000),
        calls_per_second_max: table.whole("calls_per_second_max", 200, 1..=10_000),
    };
    table.finish();
    limits
}

fn storage(table: Reader<'_>, node: &NodeConfig, sip: &SipConfig) -> StorageOptions {
    let storage = StorageOptions {
        path: table.text(
            "path",
            node.data.join("sluice.db"),
            "the name of a file",
            path,
        ),
        sync: table.text("sync", Sync::Normal, "normal or full", |text| match text {
            "normal" => Some(Sync::Normal),
            "full" => Some(Sync::Full),
            _ => None,
        }),
        sip_domain: sip.domain_or_address(),
    };
    table.finish();
    storage
}

fn log(table: Reader<'_>) -> LogConfig {
    let log = LogConfig {
        level: table.text(
            "level",
            "info".to_owned(),
            "a log filter such as \"info\"",
            |text| {
                text.parse::<tracing_subscriber::EnvFilter>()
                    .ok()
                    .map(|_| text.to_owned())
            },
        ),
        format: table.text(
            "format",
            LogFormat::Auto,
            "auto, text, json or journal",
            |text| match text {
                "auto" => Some(LogFormat::Auto),
                "text" => Some(LogFormat::Text),
                "json" => Some(LogFormat::Json),
                "journal" => Some(LogFormat::Journal),
                _ => None,
            },
        ),
        ladder: table.boolean("ladder", true),
    };
    table.finish();
    log
}

fn cdr(table: Reader<'_>) -> CdrConfig {
    let cdr = CdrConfig {
        folder: table.optional_text("folder", FOLDER, path),
        format: table.text(
            "format",
            ExportFormat::Jsonl,
            "jsonl or csv",
            |text| match text {
                "jsonl" => Some(ExportFormat::Jsonl),
                "csv" => Some(ExportFormat::Csv),
                _ => None,
            },
        ),
    };
    table.finish();
    cdr
}

fn hep(table: Reader<'_>) -> HepConfig {
    let hep = HepConfig {
        collector: table.optional_text("collector", SOCKET, |text| text.parse().ok()),
        id: table.whole("id", 1, 0..=4_294_967_295),
    };
    table.finish();
    hep
}

fn trunks(root: &Reader<'_>, file: &Path) -> Vec<TrunkTable> {
    let folder = file.parent().unwrap_or_else(|| Path::new("."));
    let tables = root.tables("trunk").into_iter();
    let trunks: Vec<TrunkTable> = tables
        .filter_map(|table| tables::trunk(table, folder))
        .collect();
    for (index, trunk) in trunks.iter().enumerate() {
        let label = &trunk.shape.label;
        if trunks
            .iter()
            .take(index)
            .any(|earlier| earlier.shape.label == *label)
        {
            root.conflict(
                "trunk",
                &format!("two labels \"{label}\""),
                "a label of its own each",
            );
        }
    }
    trunks
}

fn path(text: &str) -> Option<PathBuf> {
    (!text.is_empty() && !text.contains('\0')).then(|| PathBuf::from(text))
}

fn concrete(text: &str) -> Option<IpAddr> {
    let address: IpAddr = text.parse().ok()?;
    (!address.is_unspecified() && !address.is_multicast()).then_some(address)
}

/// `10000-32767`: even start, room for at least one pair, no privileged port.
fn ports(text: &str) -> Option<std::ops::RangeInclusive<u16>> {
    let (first, last) = text.split_once('-')?;
    let (first, last): (u16, u16) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first >= 1_024 && first < last).then_some(first..=last)
}

const FOLDER: &str = "the name of a folder";
/// Octets of the name of a Unix socket.
const SOCKET_OCTETS_MAX: usize = 107;
const SOCKET_FILE: &str = "the name of a file of at most 107 octets, or nothing for none";
/// The sentence of `browser.urls`.
const OWN_URL: &str = "https://host or https://host:port in lower case, without a path";
const TURN_URL: &str = "turn:host:port?transport=udp or =tcp, or turns:…";
const PEM_FILE: &str = "the path of a file in PEM";
const SOCKET: &str = "address and port such as \"127.0.0.1:5060\"";
const PORTS: &str = "a range such as \"10000-32767\", from 1024 up";

#[cfg(test)]
mod tests;
