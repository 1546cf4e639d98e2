//! The configuration, parsed: what a node needs to know of its machine.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use crate::cdr::export::ExportFormat;
use crate::http::GuestLimits;
use crate::http::Proof;
use crate::links::draft::LinkDraft;
use crate::log::LogFormat;
use crate::sources::model::Source;
use crate::storage::StorageOptions;
use crate::trunks::apply::TrunkTable;
use crate::trunks::model::{Network, Secret};

/// Everything one file says, defaults filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The file, as it was named.
    pub file: PathBuf,
    /// `[node]`.
    pub node: NodeConfig,
    /// `[sip]`.
    pub sip: SipConfig,
    /// `[http]`.
    pub http: HttpConfig,
    /// The same with TLS.
    pub https: HttpsConfig,
    /// `[browser]`.
    pub browser: BrowserConfig,
    /// `[media]`.
    pub media: MediaConfig,
    /// `[limits]`.
    pub limits: LimitsConfig,
    /// `[storage]`.
    pub storage: StorageOptions,
    /// `[log]`.
    pub log: LogConfig,
    /// `[cdr]`.
    pub cdr: CdrConfig,
    /// `[hep]`.
    pub hep: HepConfig,
    /// `[[trunk]]`, imported while no trunk is stored.
    pub trunks: Vec<TrunkTable>,
    /// `[[source]]`, imported while no source is stored.
    pub sources: Vec<Source>,
    /// `[[link]]`, imported while no link is stored.
    pub links: Vec<LinkDraft>,
}

/// `[node]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeConfig {
    /// Name in logs and CDRs.
    pub name: String,
    /// Folder of everything that is kept.
    pub data: PathBuf,
    /// How long calls may go on after SIGTERM.
    pub drain: Duration,
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// Filter of log lines, as `tracing_subscriber::EnvFilter` reads it.
    pub level: String,
    /// How lines are written.
    pub format: LogFormat,
    /// The SIP messages of each call are kept a while.
    pub ladder: bool,
}

/// `[cdr]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CdrConfig {
    /// Where a file a day is written; `None`: none is.
    pub folder: Option<PathBuf>,
    /// How.
    pub format: ExportFormat,
}

/// `[hep]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HepConfig {
    /// Where copies of SIP messages go; `None`: none are made.
    pub collector: Option<SocketAddr>,
    /// Our number there.
    pub id: u32,
}

/// `[sip]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SipConfig {
    /// UDP sockets.
    pub listen: Vec<SocketAddr>,
    /// TCP listeners; `None`: one beside each UDP socket.
    pub listen_tcp: Option<Vec<SocketAddr>>,
    /// TCP connections that peers open, at once.
    pub connections_max: u32,
    /// Of these, from one address.
    pub connections_per_source_max: u32,
    /// How long a message may wait for others while they come thick; zero: never.
    pub gather: Duration,
    /// Keys of SRTP go through signalling that anybody on the way can read, too.
    pub srtp_over_clear_signalling: bool,
    /// The domain we answer for; `None`: our address stands for it.
    pub domain: Option<String>,
    /// The address in Via, Contact and From; `None`: that of the socket.
    pub advertised: Option<IpAddr>,
    /// Server and User-Agent.
    pub product: String,
}

impl SipConfig {
    /// The domain of a destination that names none: the configured one, else our address.
    #[must_use]
    pub fn domain_or_address(&self) -> String {
        let address = || {
            let listen = self.listen.first().map(SocketAddr::ip);
            match self.advertised.or(listen) {
                Some(IpAddr::V6(address)) => format!("[{address}]"),
                Some(IpAddr::V4(address)) => address.to_string(),
                None => "localhost".to_owned(),
            }
        };
        self.domain.clone().unwrap_or_else(address)
    }
}

/// `[http]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpConfig {
    /// TCP sockets.
    pub listen: Vec<SocketAddr>,
    /// `resolve` answers without a token. Loopback only.
    pub resolve_open: bool,
    /// Proxies whose X-Forwarded-For says who asks.
    pub trusted_proxies: Vec<Network>,
    /// Unix socket of the command line; `None`: there is none.
    pub socket: Option<PathBuf>,
}

/// `[https]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpsConfig {
    /// TCP sockets with TLS.
    pub listen: Vec<SocketAddr>,
    /// The certificate and its key; `None`: a self-signed one.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// An authority that gives certificates to programs; `None`: none is asked.
    pub acme: Option<AcmeConfig>,
    /// For how many days browsers are told to come by HTTPS only; 0: they are not told.
    pub strict_days: u32,
}

/// What of `[https]` is about an authority (RFC 8555).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcmeConfig {
    /// The names that the certificate is for.
    pub domains: Vec<String>,
    /// Whom it may write to: `mailto:…`.
    pub contact: Option<String>,
    /// Its directory.
    pub directory: String,
    /// The roots by which it is believed.
    pub roots: PathBuf,
    /// How a name is proven.
    pub proof: Proof,
}

/// `[browser]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrowserConfig {
    /// Where guests find the pages, as origins; the hosts of these are the only names that it answers to.
    pub urls: Vec<String>,
    /// Relays that pages may use (RFC 7065).
    pub turn: Vec<String>,
    /// What we share with them.
    pub turn_secret: Option<Secret>,
    /// sockets and pages.
    pub limits: GuestLimits,
}

/// `[media]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaConfig {
    /// Local addresses of RTP sockets.
    pub addresses: Vec<IpAddr>,
    /// The address in SDP; `None`: that of the socket.
    pub advertised: Option<IpAddr>,
    /// Port range of RTP and RTCP.
    pub ports: RangeInclusive<u16>,
    /// Worker threads; 0: cores less one, at least one.
    pub workers: usize,
    /// `SCHED_FIFO` and a core each for workers.
    pub realtime: bool,
    /// Port pairs that each worker keeps open.
    pub stock: u16,
    /// UDP port of the first worker for all browsers; each further worker has the next one. 0: any.
    pub browser_port: u16,
    /// Open ports for RTCP beside those for RTP.
    pub rtcp_ports: bool,
    /// How packets meet the kernel.
    pub backend: MediaBackend,
    /// How long a packet may wait for others; zero: each goes on at once.
    pub budget: Duration,
    /// DSCP of RTP.
    pub dscp: u8,
    /// A call without media ends after this long, while not held; zero: never.
    pub timeout: Duration,
}

/// `media.backend`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaBackend {
    /// `io_uring`, and epoll where the host refuses it.
    Auto,
    /// `io_uring` or nothing.
    IoUring,
    /// epoll.
    Epoll,
}

/// `[limits]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Calls at once.
    pub calls_max: u32,
    /// New calls a second.
    pub calls_per_second_max: u32,
}
