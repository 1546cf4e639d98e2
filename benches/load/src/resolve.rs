//! Group `links`: the resolver with very many links against few. CPU of the server per request and
//! median latency, random keys, one connection that stays open.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use hdrhistogram::Histogram;

use crate::machine::{self, Cores, Pinned, monotonic_ns};
use crate::proc_stat;
use crate::report::{self, progress};
use crate::verdict::{lowest_third, per};

/// How to measure.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// HTTP address of the server with few links.
    #[arg(long)]
    pub(crate) few: SocketAddr,
    /// Its process.
    #[arg(long)]
    pub(crate) few_pid: u32,
    /// How many links it has.
    #[arg(long, default_value_t = FEW)]
    pub(crate) few_links: u64,
    /// HTTP address of the server with many links.
    #[arg(long)]
    pub(crate) many: SocketAddr,
    /// Its process.
    #[arg(long)]
    pub(crate) many_pid: u32,
    /// How many links it has.
    #[arg(long, default_value_t = MANY)]
    pub(crate) many_links: u64,
    /// Rounds; the lowest third counts.
    #[arg(long, default_value_t = 9)]
    pub(crate) rounds: u32,
    /// Length of a round.
    #[arg(long, default_value_t = 2000)]
    pub(crate) round_ms: u64,
}

/// Verdict of the group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    /// CPU per request, many over few.
    pub(crate) cpu_ratio: f64,
    /// Median latency, many over few.
    pub(crate) median_ratio: f64,
}

#[derive(Debug)]
struct Round {
    cpu_ns: f64,
    latency: Histogram<u64>,
}

/// One server under load.
#[derive(Debug)]
struct Server {
    address: SocketAddr,
    process: u32,
    links: u64,
    keys: Keys,
    rounds: Vec<Round>,
}

/// Measures, and prints figures and bars.
pub(crate) fn run(options: &Options) -> Result<()> {
    let figures = measure(options)?;
    print_bar(figures);
    Ok(())
}

/// The bar of the group: the worse of the two.
pub(crate) fn print_bar(figures: Figures) {
    report::figure("links.cpu_ratio", figures.cpu_ratio);
    report::figure("links.median_ratio", figures.median_ratio);
    report::bar(
        "links.resolve",
        figures.cpu_ratio.max(figures.median_ratio),
        RATIO_MAX,
    );
}

/// Measures, and prints figures.
pub(crate) fn measure(options: &Options) -> Result<Figures> {
    let cores = Cores::find()?;
    report::note("links", &machine::describe());
    let _pinned = Pinned::here(cores.generator)?;
    let server = |address, process, links| Server {
        address,
        process,
        links,
        keys: Keys { state: links },
        rounds: Vec::new(),
    };
    let mut few = server(options.few, options.few_pid, options.few_links);
    let mut many = server(options.many, options.many_pid, options.many_links);
    for one in [&mut few, &mut many] {
        for thread in proc_stat::threads(one.process) {
            drop(machine::pin(thread.thread, cores.measured));
        }
        one.round(WARM_UP)?;
    }
    for _ in 0..options.rounds.max(1) {
        for one in [&mut few, &mut many] {
            let round = one.round(Duration::from_millis(options.round_ms))?;
            progress(&format!(
                "links: {} links, {} requests, {:.1} us CPU each, median {:.1} us",
                one.links,
                round.latency.len(),
                round.cpu_ns / 1000.0,
                round.latency.value_at_quantile(0.5) as f64 / 1000.0,
            ));
            one.rounds.push(round);
        }
    }
    let (few, many) = (few.print("few"), many.print("many"));
    Ok(Figures {
        cpu_ratio: many.0 / few.0,
        median_ratio: many.1 / few.1,
    })
}

impl Server {
    fn round(&mut self, length: Duration) -> Result<Round> {
        let mut connection = Connection::open(self.address)?;
        let mut latency = Histogram::new_with_bounds(1, 60_000_000_000, 3)?;
        let before = machine::process_cpu_ns(self.process);
        let end = monotonic_ns() + u64::try_from(length.as_nanos())?;
        while monotonic_ns() < end {
            let key = self.keys.next(self.links);
            let began = monotonic_ns();
            connection.resolve(&path(key))?;
            latency.record((monotonic_ns() - began).max(1))?;
        }
        let spent = machine::process_cpu_ns(self.process).saturating_sub(before);
        Ok(Round {
            cpu_ns: per(spent, latency.len()),
            latency,
        })
    }

    /// CPU and median, both in microseconds.
    fn print(&self, label: &str) -> (f64, f64) {
        let lowest = |value: &dyn Fn(&Round) -> f64| {
            lowest_third(&self.rounds.iter().map(value).collect::<Vec<_>>()).unwrap_or_default()
        };
        let cpu = lowest(&|round: &Round| round.cpu_ns / 1000.0);
        let at = |quantile: f64| {
            lowest(&|round: &Round| round.latency.value_at_quantile(quantile) as f64 / 1000.0)
        };
        report::figure(&format!("links.{label}_cpu_us"), cpu);
        report::figure(&format!("links.{label}_p50_us"), at(0.5));
        report::figure(&format!("links.{label}_p99_us"), at(0.99));
        (cpu, at(0.5))
    }
}

/// Request path of link number `key`: spread over the whole range of the index, as random ones are.
pub(crate) fn path(key: u64) -> String {
    format!("b{:016x}", mix(key))
}

/// Random keys, the same in every run (`SplitMix64`).
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) state: u64,
}

impl Keys {
    pub(crate) fn next(&mut self, below: u64) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state) % below.max(1)
    }
}

fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// An HTTP/1.1 connection that stays open.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    body: Vec<u8>,
    /// What the last answer set, without its rules.
    cookie: Option<String>,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("connect {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        Ok(Self {
            stream: BufReader::new(stream),
            body: Vec::new(),
            cookie: None,
        })
    }

    pub(crate) fn resolve(&mut self, path: &str) -> Result<()> {
        let request = format!("GET /api/v1/resolve/{path} HTTP/1.1\r\nHost: bench\r\n\r\n");
        self.exchange(&request, "200")
            .with_context(|| format!("resolve {path}"))
    }

    /// Makes a link with this request path.
    pub(crate) fn make_link(&mut self, path: &str, token: &str) -> Result<()> {
        let body = format!(r#"{{"request_path":"{path}","destination":"1000"}}"#);
        self.post("/api/v1/links", token, &body, "201")
            .with_context(|| format!("make link {path}"))
    }

    /// Gets a page that needs no token, as text.
    pub(crate) fn page(&mut self, path: &str) -> Result<String> {
        self.page_with(path, "Host: bench\r\n")
    }

    /// The same with header lines of the caller's, `Host` among them.
    pub(crate) fn page_with(&mut self, path: &str, headers: &str) -> Result<String> {
        self.exchange(&format!("GET {path} HTTP/1.1\r\n{headers}\r\n"), "200")
            .with_context(|| format!("get {path}"))?;
        Ok(String::from_utf8_lossy(&self.body).into_owned())
    }

    /// The cookie that came last.
    pub(crate) fn cookie(&self) -> Option<&str> {
        self.cookie.as_deref()
    }

    /// Posts a JSON body; `expected` is the status that must come back.
    pub(crate) fn post(
        &mut self,
        path: &str,
        token: &str,
        body: &str,
        expected: &str,
    ) -> Result<()> {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.exchange(&request, expected)
            .with_context(|| format!("post {path}"))
    }

    /// Sends a request and reads its whole answer, which must have this status.
    fn exchange(&mut self, request: &str, expected: &str) -> Result<()> {
        self.stream.get_mut().write_all(request.as_bytes())?;
        let mut status = String::new();
        self.stream.read_line(&mut status)?;
        let mut length = 0;
        let mut line = String::new();
        loop {
            line.clear();
            if self.stream.read_line(&mut line)? == 0 {
                bail!("the connection ended");
            }
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse()?;
            }
            if name.eq_ignore_ascii_case("set-cookie") {
                let pair = value.split(';').next().unwrap_or_default();
                self.cookie = Some(pair.trim().to_owned());
            }
        }
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body)?;
        if status.split(' ').nth(1) != Some(expected) {
            bail!("{} {}", status.trim(), String::from_utf8_lossy(&self.body));
        }
        Ok(())
    }
}

/// Many links over few, for CPU and for the median.
pub(crate) const RATIO_MAX: f64 = 1.2;
/// Links of the small server.
pub(crate) const FEW: u64 = 1_000;
/// Links of the large one.
pub(crate) const MANY: u64 = 1_000_000;
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
const WARM_UP: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stay_below_the_number_of_links_and_differ() {
        let mut keys = Keys { state: 1 };
        let drawn: Vec<u64> = (0..1000).map(|_| keys.next(1000)).collect();
        assert!(drawn.iter().all(|key| *key < 1000));
        let distinct: std::collections::BTreeSet<_> = drawn.iter().collect();
        assert!(distinct.len() > 500);
    }

    #[test]
    fn paths_of_different_links_differ() {
        let distinct: std::collections::BTreeSet<_> = (0..10_000).map(path).collect();
        assert_eq!(distinct.len(), 10_000);
    }
}
