//! The bars of the parser and of SRTP, as lines for `make bench`: ours against `rsip` in one interleaved
//! run, and what SRTP adds to a relayed packet in microseconds.
//!
//! Each round times every body in turn; the verdict is the mean of the lowest third of the rounds,
//! because whatever else the machine does can only add.

use std::hint::black_box;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use media::srtp::Suite;
use micro::invite::{
    INVITE, parse_ours, parse_print_theirs, parse_theirs, parse_write_ours, parse_write_theirs,
};
use micro::srtp::{Packet, Relay};
use sip::message::{self, SendBuffer};

const ROUNDS: usize = 60;

/// Calls of one body in a round: at most 2 ms, so that most rounds run without a switch to others.
const CALLS: u32 = 100;

/// `sip.parse` and `sip.parse_write`: ours over `rsip`.
const LIMIT: f64 = 0.35;

/// One way to read the message.
type Body<'a> = dyn FnMut(&[u8]) -> Option<usize> + 'a;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let told = writeln!(std::io::stderr(), "sluice-micro: {error:#}");
            if told.is_ok() {
                ExitCode::FAILURE
            } else {
                ExitCode::from(2)
            }
        }
    }
}

/// `sip`, `srtp`, or nothing: both.
fn run() -> anyhow::Result<()> {
    let wanted = std::env::args().nth(1);
    let is_wanted = |group| wanted.as_deref().is_none_or(|wanted| wanted == group);
    if is_wanted("sip") {
        parser()?;
    }
    if is_wanted("srtp") {
        relay_srtp()?;
    }
    Ok(())
}

fn parser() -> anyhow::Result<()> {
    let mut buffer = SendBuffer::with_capacity(4_096);
    let mut bodies: [(&str, Box<Body<'_>>); 6] = [
        (
            "index",
            Box::new(|bytes| message::parse(bytes).ok().map(|found| found.header_count())),
        ),
        ("parse", Box::new(parse_ours)),
        ("rsip_parse", Box::new(parse_theirs)),
        (
            "parse_write",
            Box::new(|bytes| parse_write_ours(bytes, &mut buffer)),
        ),
        ("rsip_parse_write", Box::new(parse_write_theirs)),
        ("rsip_parse_print", Box::new(parse_print_theirs)),
    ];
    let mut rounds: Vec<Vec<f64>> = vec![Vec::new(); bodies.len()];
    for round in 0..=ROUNDS {
        for ((name, body), times) in bodies.iter_mut().zip(&mut rounds) {
            let begun = Instant::now();
            for _ in 0..CALLS {
                let found = body(black_box(INVITE));
                anyhow::ensure!(
                    black_box(found).is_some(),
                    "{name} does not read the message"
                );
            }
            // The first round warms caches and branch predictors.
            if round > 0 {
                times.push(begun.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS));
            }
        }
    }
    let mut figures = Vec::new();
    for ((name, _), times) in bodies.iter().zip(rounds) {
        figures.push((*name, lowest_third(times)));
    }
    print(&figures)
}

/// `relay.srtp`: one packet unprotected, checked, rewritten and protected, in microseconds.
const SRTP_LIMITS: [(Suite, &str, Option<f64>); 4] = [
    (Suite::AesCm128HmacSha1_80, "sha1_80", Some(0.75)),
    (Suite::AesCm128HmacSha1_32, "sha1_32", None),
    (Suite::AeadAes128Gcm, "gcm128", Some(0.35)),
    (Suite::AeadAes256Gcm, "gcm256", None),
];

fn relay_srtp() -> anyhow::Result<()> {
    for (suite, name, limit) in SRTP_LIMITS {
        let refused = || anyhow::anyhow!("{} refuses its packet", suite.as_str());
        let mut relay = Relay::new(suite).ok_or_else(refused)?;
        let mut times = Vec::new();
        for round in 0..=ROUNDS {
            let packets: Option<Vec<Packet>> = (0..CALLS).map(|_| relay.packet()).collect();
            let mut packets = packets.ok_or_else(refused)?;
            let begun = Instant::now();
            for packet in &mut packets {
                anyhow::ensure!(relay.pass(black_box(packet)).is_some(), refused());
            }
            if round > 0 {
                times.push(begun.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS));
            }
        }
        let value = lowest_third(times);
        let mut out = std::io::stdout().lock();
        if let Some(limit) = limit {
            let verdict = if value <= limit { "ok" } else { "short" };
            writeln!(out, "bar relay.srtp.{name} {value:.3} {limit:.3} {verdict}")?;
        }
        writeln!(out, "figure relay.srtp.{name}_ns {:.0}", value * 1e3)?;
    }
    Ok(())
}

fn print(figures: &[(&str, f64)]) -> anyhow::Result<()> {
    let ns = |wanted: &str| {
        let found = figures.iter().find(|(name, _)| *name == wanted);
        found
            .map(|(_, ns)| *ns)
            .ok_or_else(|| anyhow::anyhow!("{wanted} was not measured"))
    };
    let mut out = std::io::stdout().lock();
    for (bar, ours, theirs) in [
        ("sip.parse", "parse", "rsip_parse"),
        ("sip.parse_write", "parse_write", "rsip_parse_write"),
    ] {
        let value = ns(ours)? / ns(theirs)?;
        let verdict = if value <= LIMIT { "ok" } else { "short" };
        writeln!(out, "bar {bar} {value:.3} {LIMIT:.3} {verdict}")?;
    }
    for (name, ns) in figures {
        writeln!(out, "figure sip.{name}_ns {ns:.0}")?;
    }
    Ok(())
}

/// The mean of the lowest third.
fn lowest_third(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.truncate(ROUNDS / 3);
    let count = u32::try_from(times.len()).unwrap_or(1).max(1);
    times.iter().sum::<f64>() / f64::from(count)
}
