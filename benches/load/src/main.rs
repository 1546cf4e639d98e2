//! `sluice-load`: what the gateway costs, measured from outside.
//!
//! Owns the kernel floor, an open-loop RTP generator, an open-loop call generator, an HTTP load on
//! the resolver, guests with browsers, and `bench`, which runs all of them against a gateway that it starts. It never
//! looks into the gateway: it speaks SIP, RTP and HTTP, and reads `/proc`. The rules of measuring
//! (one core for each side, interleaved rounds, the lowest third) are in `verdict`.

#![forbid(unsafe_code)]

mod bench;
mod blast;
mod browser;
mod calls;
mod capacity;
mod carrier;
mod floor;
mod forward;
mod gateway;
mod machine;
mod overload;
mod paced;
mod peers;
mod proc_stat;
mod relay;
mod report;
mod resolve;
mod rtp_flow;
mod rtp_packet;
mod rtp_port;
mod rtp_round;
mod session_key;
mod sip_load;
mod sip_text;
mod standing;
mod subject;
mod udp_table;
mod verdict;
mod writes;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(
    name = "sluice-load",
    about = "Load and measurements for Sluice",
    version
)]
struct Arguments {
    /// Measure the kernel floor (the same as the command `floor`).
    #[arg(long)]
    floor: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What the kernel alone costs: receive of a ready socket and batched connected send.
    Floor(floor::Options),
    /// Sessions through a relay that runs, step by step: CPU, latency, loss; a table, JSON, a page.
    Capacity(capacity::Options),
    /// As many packets as one core sends: what a relay carries, and what a packet costs it then.
    Blast(capacity::BlastOptions),
    /// Calls at a fixed rate without media: CPU per call, set-up time, failures.
    Calls(calls::Options),
    /// The resolver: CPU per request and latency with many links against few.
    Resolve(resolve::Options),
    /// The same media and calls through rtpengine, rtpproxy, FreeSWITCH and Asterisk, in turns with ours.
    Peers(peers::Options),
    /// A media worker of its own with so many sessions: prints its memory and its
    /// allocations (a part of group relay).
    #[command(hide = true)]
    MediaMemory(relay::memory::Options),
    /// Every bar of `make bench`, or the groups named.
    Bench(bench::Options),
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // All causes in one line, and no stack: what went wrong is on the command line or the machine.
            report::progress(&format!("sluice-load: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    machine::raise_descriptor_limit();
    match arguments.command {
        Some(Command::Floor(options)) => floor::run(&options),
        Some(Command::Capacity(options)) => capacity::run(&options),
        Some(Command::Blast(options)) => capacity::blast(&options),
        Some(Command::Calls(options)) => calls::run(&options),
        Some(Command::Resolve(options)) => resolve::run(&options),
        Some(Command::Peers(options)) => peers::run(&options),
        Some(Command::MediaMemory(options)) => relay::memory::run(&options),
        Some(Command::Bench(options)) => bench::run(&options),
        None if arguments.floor => floor::run(&floor::Options::default()),
        None => anyhow::bail!("nothing to do: see `sluice-load --help`"),
    }
}
