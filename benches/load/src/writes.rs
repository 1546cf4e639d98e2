//! Group `links`: what two hundred link writes a second do to five thousand resolves a second.
//!
//! Open loop: each request has a time at which it is due, and its latency counts from then, so that
//! a server that stalls is not spared the requests that it kept waiting. Rounds with and without
//! writes alternate.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, anyhow};
use hdrhistogram::Histogram;

use crate::machine::{self, Cores, Pinned, monotonic_ns, sleep_until_ns};
use crate::proc_stat;
use crate::report::{self, progress};
use crate::resolve::{Connection, Keys, path};
use crate::verdict::lowest_third;

/// What to measure.
#[derive(Debug)]
pub(crate) struct Options {
    /// HTTP address of the server.
    pub(crate) address: SocketAddr,
    /// Its process.
    pub(crate) process: u32,
    /// How many links it has.
    pub(crate) links: u64,
    /// A token that may write links.
    pub(crate) token: String,
}

/// Measures, and prints the bar and figures.
pub(crate) fn measure(options: &Options) -> Result<()> {
    let cores = Cores::find()?;
    let _pinned = Pinned::here(cores.generator)?;
    for thread in proc_stat::threads(options.process) {
        drop(machine::pin(thread.thread, cores.measured));
    }
    let (mut calm, mut busy) = (Vec::new(), Vec::new());
    round(options, true, WARM_UP)?;
    for _ in 0..ROUNDS {
        for (writing, figures) in [(false, &mut calm), (true, &mut busy)] {
            let latency = round(options, writing, ROUND)?;
            let p99 = latency.value_at_quantile(0.99) as f64 / 1000.0;
            progress(&format!(
                "links: {} resolves {} writes, p50 {:.0} us, p99 {p99:.0} us",
                latency.len(),
                if writing { "with" } else { "without" },
                latency.value_at_quantile(0.5) as f64 / 1000.0,
            ));
            figures.push(p99);
        }
    }
    let (calm, busy) = (
        lowest_third(&calm).unwrap_or_default(),
        lowest_third(&busy).unwrap_or_default(),
    );
    report::figure("links.resolve_p99_us_without_writes", calm);
    report::figure("links.resolve_p99_us_with_writes", busy);
    report::bar("links.write_while_resolve", busy / calm.max(1.0), RATIO_MAX);
    Ok(())
}

/// Latencies of the resolves of one round.
fn round(options: &Options, writing: bool, length: Duration) -> Result<Histogram<u64>> {
    let start = monotonic_ns() + LEAD_NS;
    let length = u64::try_from(length.as_nanos())?;
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..CONNECTIONS)
            .map(|number| scope.spawn(move || read(options, number, start, length)))
            .collect();
        let writer = writing.then(|| scope.spawn(move || write(options, start, length)));
        let mut all = Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3)?;
        for reader in readers {
            all.add(reader.join().map_err(|_panic| anyhow!("a reader died"))??)?;
        }
        if let Some(writer) = writer {
            writer
                .join()
                .map_err(|_panic| anyhow!("the writer died"))??;
        }
        Ok(all)
    })
}

fn read(options: &Options, number: u64, start: u64, length: u64) -> Result<Histogram<u64>> {
    let mut connection = Connection::open(options.address)?;
    let mut latency = Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3)?;
    let mut keys = Keys {
        state: number.wrapping_add(start),
    };
    let interval = 1_000_000_000 * CONNECTIONS / RESOLVES_A_SECOND;
    let mut due = start + number * interval / CONNECTIONS;
    while due < start + length {
        if monotonic_ns() < due {
            sleep_until_ns(due);
        }
        connection.resolve(&path(keys.next(options.links)))?;
        latency.saturating_record((monotonic_ns() - due).max(1));
        due += interval;
    }
    Ok(latency)
}

fn write(options: &Options, start: u64, length: u64) -> Result<()> {
    let mut connection = Connection::open(options.address)?;
    let interval = 1_000_000_000 / WRITES_A_SECOND;
    let mut due = start;
    while due < start + length {
        if monotonic_ns() < due {
            sleep_until_ns(due);
        }
        let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
        let request_path = format!("w{:x}-{number}", start);
        connection.make_link(&request_path, &options.token)?;
        due += interval;
    }
    Ok(())
}

/// p99 of a resolve with writes, over p99 without.
pub(crate) const RATIO_MAX: f64 = 3.0;
/// Makes request paths of one run differ.
static WRITTEN: AtomicU64 = AtomicU64::new(0);
const RESOLVES_A_SECOND: u64 = 5_000;
const WRITES_A_SECOND: u64 = 200;
const CONNECTIONS: u64 = 8;
const ROUNDS: u32 = 9;
const ROUND: Duration = Duration::from_millis(2000);
const WARM_UP: Duration = Duration::from_secs(2);
const LEAD_NS: u64 = 50_000_000;
const LATENCY_NS_MAX: u64 = 60_000_000_000;
