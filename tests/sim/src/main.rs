//! `cargo sim --seed N [--trace]`, `cargo sim --seeds N [--from M]`, `cargo sim --flow FILE`.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a program for a terminal")]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// Runs worlds.
#[derive(Debug, Parser)]
#[command(
    name = "sim",
    about = "The deterministic world: replay one seed, or sweep many"
)]
struct Arguments {
    /// This world only (decimal, or hexadecimal with 0x).
    #[arg(long, value_parser = number)]
    seed: Option<u64>,
    /// With --seed: print every event.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// This many worlds, one after the other.
    #[arg(long, default_value_t = 256)]
    seeds: u64,
    /// With --seeds: the first.
    #[arg(long, default_value = "0", value_parser = number)]
    from: u64,
    /// With --seeds: go on after a failure, and list all.
    #[arg(long)]
    keep_going: bool,
    /// Play this flow instead.
    #[arg(long)]
    flow: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(path) = &arguments.flow {
        return match sim::play(path, false) {
            Ok(()) => ExitCode::SUCCESS,
            Err(complaint) => {
                println!("{complaint}");
                ExitCode::FAILURE
            }
        };
    }
    match arguments.seed {
        Some(seed) if arguments.trace => {
            println!("{}", sim::trace_seed(seed));
            verdict(&[seed], false)
        }
        Some(seed) => verdict(&[seed], false),
        None => {
            let seeds: Vec<u64> = (0..arguments.seeds)
                .map(|offset| arguments.from.wrapping_add(offset))
                .collect();
            verdict(&seeds, arguments.keep_going)
        }
    }
}

fn verdict(seeds: &[u64], keep_going: bool) -> ExitCode {
    let (mut calls, mut steps, mut failed) = (0, 0, 0_u64);
    let (mut relayed, mut protected) = (0, 0);
    for seed in seeds {
        match sim::run_seed(*seed, false) {
            Ok(summary) => {
                calls += summary.calls;
                steps += summary.steps;
                relayed += summary.relayed;
                protected += summary.protected;
            }
            Err(failure) => {
                failed += 1;
                if keep_going {
                    println!("{}", failure.summary);
                } else {
                    println!("{}", failure.report);
                    return ExitCode::FAILURE;
                }
            }
        }
    }
    println!(
        "sim: {} seeds, {failed} failed, {calls} calls, {steps} events, {relayed} packets relayed, \
         {protected} left under keys",
        seeds.len()
    );
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn number(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|error| format!("{text}: {error}"))
}
