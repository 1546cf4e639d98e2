//! The bars of the parser, as lines for `make bench`: ours against `rsip` in one interleaved run.
//!
//! Each round times every body in turn; the verdict is the mean of the lowest third of the rounds,
//! because whatever else the machine does can only add.

use std::hint::black_box;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use micro::invite::{
    INVITE, parse_ours, parse_print_theirs, parse_theirs, parse_write_ours, parse_write_theirs,
};
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

fn run() -> anyhow::Result<()> {
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
