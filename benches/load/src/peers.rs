//! `peers`: the same calls through Sluice and through Asterisk, in turns, on this machine; before them
//! the relays (`relay::peers`).
//!
//! One core for either, the generator on the other. Asterisk writes no records of its calls; ours writes
//! its records and asks its guard.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::bench::Places;
use crate::calls;
use crate::carrier::Daemon;
use crate::gateway::Plan;
use crate::machine;
use crate::relay::{self, Peer};
use crate::report::{self, progress};
use crate::verdict::lowest_third;

/// Where the peers are.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Root folder of a system with Asterisk; default: `SLUICE_ASTERISK_ROOT`, else `asterisk-root`
    /// beside the build.
    #[arg(long)]
    asterisk_root: Option<PathBuf>,
    /// The gateway; default: beside this program.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Calls a second; more than this Asterisk does not carry on one core.
    #[arg(long, default_value_t = 300)]
    rate: u32,
    /// Times that each is measured, in turns.
    #[arg(long, default_value_t = 5)]
    turns: u32,
    /// One round through each relay, void or not: shows that all works, and no figure.
    #[arg(long)]
    quick: bool,
    /// Only these rows; none: all.
    #[arg(value_enum)]
    what: Vec<What>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// All relays.
    Relay,
    /// One of them: rtpengine.
    Rtpengine,
    /// rtpengine where the callee's side speaks SRTP.
    Srtp,
    /// rtpproxy; `SLUICE_RTPPROXY` names its program.
    Rtpproxy,
    /// Asterisk as a relay.
    Asterisk,
    /// FreeSWITCH as a relay; `SLUICE_FREESWITCH` names its program.
    Freeswitch,
    /// Calls without media: Asterisk.
    Calls,
}

impl What {
    const fn relays(self) -> &'static [Peer] {
        match self {
            Self::Relay => &Peer::ALL,
            Self::Rtpengine => &[Peer::Rtpengine],
            Self::Srtp => &[Peer::RtpengineSrtp],
            Self::Rtpproxy => &[Peer::Rtpproxy],
            Self::Asterisk => &[Peer::Asterisk],
            Self::Freeswitch => &[Peer::Freeswitch],
            Self::Calls => &[],
        }
    }
}

impl Options {
    fn asterisk_root(&self) -> Result<PathBuf> {
        let named = self.asterisk_root.clone();
        let root = named.or_else(|| std::env::var_os("SLUICE_ASTERISK_ROOT").map(PathBuf::from));
        Ok(match root {
            Some(root) => root,
            None => {
                let beside = beside()?;
                beside.parent().unwrap_or(&beside).join("asterisk-root")
            }
        })
    }
}

/// The folder of this program.
fn beside() -> Result<PathBuf> {
    let own = std::env::current_exe().context("where this program is")?;
    Ok(own.parent().unwrap_or_else(|| Path::new(".")).to_owned())
}

/// Measures both, and prints the bar.
pub(crate) fn run(options: &Options) -> Result<()> {
    report::note("machine", &machine::describe());
    let what = match &*options.what {
        [] => &[What::Relay, What::Calls],
        wanted => wanted,
    };
    let relays: Vec<Peer> = what.iter().flat_map(|one| one.relays()).copied().collect();
    if let Err(error) = machine::enter_own_network() {
        report::note("peers", &format!("{error:#}"));
    } else if !relays.is_empty() {
        let places = Places::new(&options.binary, &None, options.quick)?;
        relay::measure_peers(&places, &options.asterisk_root()?, &relays);
    }
    if what.contains(&What::Calls)
        && let Err(error) = measure(options)
    {
        report::bar_not_run(BAR, RATIO_MAX, &format!("{error:#}"));
    }
    Ok(())
}

fn measure(options: &Options) -> Result<()> {
    let beside = beside()?;
    let build = beside.parent().unwrap_or(&beside);
    let root = options.asterisk_root()?;
    let binary = options
        .binary
        .clone()
        .unwrap_or_else(|| beside.join("sluice"));
    let plan = plan(binary, build.join("bench-data/peers"))?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for turn in 1..=options.turns {
        progress(&format!("peers: Sluice, turn {turn}"));
        let gateway = plan.start()?;
        ours.push(calls_through(options, plan.sip, gateway.process())?);
        gateway.stop()?;
        progress(&format!("peers: Asterisk, turn {turn}"));
        let (asterisk, sip) = Daemon::asterisk(&root, plan.callee)?;
        theirs.push(calls_through(options, sip, asterisk.process())?);
    }
    let ours = lowest_third(&ours).unwrap_or(f64::INFINITY);
    let theirs = lowest_third(&theirs).unwrap_or_default();
    report::figure("peers.sluice_call_cpu_ms", ours);
    report::figure("peers.asterisk_call_cpu_ms", theirs);
    report::bar(BAR, ours / theirs.max(f64::MIN_POSITIVE), RATIO_MAX);
    Ok(())
}

fn plan(binary: PathBuf, folder: PathBuf) -> Result<Plan> {
    if folder.exists() {
        fs::remove_dir_all(&folder).context("remove the data of an earlier run")?;
    }
    let plan = Plan {
        binary,
        folder,
        sip: local(5060),
        http: local(8080),
        callee: SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), 5070)),
        rated: RATED,
        media: Ipv4Addr::LOCALHOST.into(),
        media_settings: String::new(),
        source_settings: String::new(),
        trunk_settings: String::new(),
        sip_settings: String::new(),
        link_settings: String::new(),
    };
    plan.write()?;
    plan.command(
        &["settings", "set", "guard.calls_per_second", "0"],
        COMMAND_PATIENCE,
    )?;
    Ok(plan)
}

fn calls_through(options: &Options, sip: SocketAddr, process: u32) -> Result<f64> {
    let calls = calls::Options {
        rate: options.rate,
        rounds: 3,
        round_ms: 2500,
        hold_ms: 100,
        gateway: sip,
        pid: Some(process),
        user: "bench".to_owned(),
        callee: SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), 5070)),
        direct: false,
    };
    let figures = calls::measure(&calls, &mut || ())?;
    if figures.completed_per_s <= 0.0 || !figures.cpu_ms.is_finite() {
        bail!("calls failed at {} a second", options.rate);
    }
    Ok(figures.cpu_ms)
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

const BAR: &str = "peers.sip_call_cpu_asterisk";
/// CPU of a call, ours over Asterisk's.
const RATIO_MAX: f64 = 0.2;
const RATED: u32 = 10_000;
const COMMAND_PATIENCE: Duration = Duration::from_secs(20);
