//! `bench`: every bar, one line each. Starts the gateway itself, in a network of its own.
//!
//! A bar that cannot be measured here is `notrun` with the reason; the program fails only where it
//! cannot say even that.

use std::fs;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::gateway::Plan;
use crate::report::{self, progress};
use crate::verdict::lowest_third;
use crate::{browser, calls, forward, machine, overload, relay, resolve, standing, writes};

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Groups; none: all.
    #[arg(value_enum)]
    groups: Vec<Group>,
    /// The gateway; default: `SLUICE_BIN`, else beside this program.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Where data folders are kept between runs; default: `SLUICE_BENCH_DATA`, else `bench-data`
    /// beside the build.
    #[arg(long)]
    data: Option<PathBuf>,
    /// One round of each row of `relay` and `browser`, void or not: shows that all works, and no figure.
    #[arg(long)]
    quick: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Group {
    Relay,
    Sip,
    Links,
    Browser,
}

/// Where things are.
#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) binary: PathBuf,
    micro: PathBuf,
    pub(crate) data: PathBuf,
    /// One round each, void or not.
    pub(crate) quick: bool,
}

/// Runs the groups.
pub(crate) fn run(options: &Options) -> Result<()> {
    let groups = if options.groups.is_empty() {
        vec![Group::Relay, Group::Sip, Group::Links, Group::Browser]
    } else {
        options.groups.clone()
    };
    report::note("machine", &machine::describe());
    let places = Places::find(options)?;
    let network = machine::enter_own_network();
    for group in groups {
        let outcome = match &network {
            Ok(()) => run_group(group, &places),
            Err(error) if group == Group::Sip => {
                // The parser needs no network.
                run_micro(&places, &PARSER_BARS);
                Err(anyhow::anyhow!("{error:#}"))
            }
            Err(error) => {
                if group == Group::Relay {
                    run_micro(&places, &SRTP_BARS);
                }
                Err(anyhow::anyhow!("{error:#}"))
            }
        };
        if let Err(error) = outcome {
            let (name, limit) = group.main_bar();
            report::bar_not_run(name, limit, &format!("{error:#}"));
        }
    }
    Ok(())
}

impl Group {
    /// The bar that needs a running gateway.
    fn main_bar(self) -> (&'static str, f64) {
        match self {
            Self::Relay => relay::MAIN_ROW,
            Self::Sip => ("sip.call_cpu", calls::CPU_MS_MAX),
            Self::Links => ("links.resolve", resolve::RATIO_MAX),
            Self::Browser => browser::MAIN_ROW,
        }
    }
}

impl Places {
    fn find(options: &Options) -> Result<Self> {
        Self::new(&options.binary, &options.data, options.quick)
    }

    /// What is not given is beside this program.
    pub(crate) fn new(
        binary: &Option<PathBuf>,
        data: &Option<PathBuf>,
        quick: bool,
    ) -> Result<Self> {
        let own = std::env::current_exe().context("where this program is")?;
        let beside = own.parent().unwrap_or_else(|| Path::new("."));
        let build = beside.parent().unwrap_or(beside);
        let given = |option: &Option<PathBuf>, variable: &str| {
            option
                .clone()
                .or_else(|| std::env::var_os(variable).map(PathBuf::from))
        };
        Ok(Self {
            binary: given(binary, "SLUICE_BIN").unwrap_or_else(|| beside.join("sluice")),
            micro: beside.join("sluice-micro"),
            data: given(data, "SLUICE_BENCH_DATA").unwrap_or_else(|| build.join("bench-data")),
            quick,
        })
    }

    fn plan(&self, name: &str, offset: u16) -> Result<Plan> {
        if !self.binary.is_file() {
            bail!(
                "no gateway at {}: build it in release",
                self.binary.display()
            );
        }
        let plan = Plan {
            binary: self.binary.clone(),
            folder: self.data.join(name),
            sip: local(SIP_PORT + offset),
            http: local(HTTP_PORT + offset),
            callee: SocketAddr::from((CALLEE, CALLEE_PORT + offset)),
            rated: UNBOUND_RATE,
            media: IpAddr::V4(Ipv4Addr::LOCALHOST),
            media_settings: String::new(),
            source_settings: String::new(),
            trunk_settings: String::new(),
            sip_settings: String::new(),
            link_settings: String::new(),
        };
        plan.write()?;
        Ok(plan)
    }
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn run_group(group: Group, places: &Places) -> Result<()> {
    match group {
        Group::Relay => {
            run_micro(places, &SRTP_BARS);
            relay::measure(places)
        }
        Group::Sip => run_sip(places),
        Group::Links => run_links(places),
        Group::Browser => browser::measure(places),
    }
}

/// A gateway in a data folder of its own that is new, without a bound on calls a second.
fn fresh_plan(places: &Places, name: &str) -> Result<Plan> {
    prepared(places, name, 0, |plan| plan)
}

/// The same as its `offset`-th of several at a time, with something changed.
pub(crate) fn prepared(
    places: &Places,
    name: &str,
    offset: u16,
    change: impl FnOnce(Plan) -> Plan,
) -> Result<Plan> {
    let folder = places.data.join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).context("remove the data of an earlier run")?;
    }
    let plan = change(places.plan(name, offset)?);
    plan.write()?;
    plan.command(
        &["settings", "set", "guard.calls_per_second", "0"],
        COMMAND_PATIENCE,
    )?;
    Ok(plan)
}

fn run_sip(places: &Places) -> Result<()> {
    run_micro(places, &PARSER_BARS);
    let plan = fresh_plan(places, "sip")?;
    import_links(&plan)?;
    let gateway = plan.start()?;
    let options = |rate, rounds| calls::Options {
        rate,
        rounds,
        round_ms: 2500,
        hold_ms: 100,
        gateway: plan.sip,
        pid: Some(gateway.process()),
        user: "bench".to_owned(),
        callee: plan.callee,
        direct: false,
    };
    let mut yardsticks_ns = Vec::new();
    let figures = calls::measure(&options(500, 9), &mut || {
        yardsticks_ns.extend(yardstick_ns(places));
    })?;
    // Either limit will do: the second follows the machine's speed, which is taken in turns with ours.
    let yardstick_ns = lowest_third(&yardsticks_ns).unwrap_or_default();
    report::figure("sip.call_cpu_yardstick_ns", yardstick_ns);
    let limit = calls::CPU_MS_MAX.max(yardstick_ns * YARDSTICKS_A_CALL / 1e6);
    report::bar("sip.call_cpu", figures.cpu_ms, limit);
    let figures = calls::measure(&options(THROUGHPUT_RATE, 5), &mut || ())?;
    let least = calls::CALLS_PER_SECOND_MIN;
    report::bar_at_least("sip.calls_per_second", figures.completed_per_s, least);
    forward::measure(forward::Options {
        gateway: plan.sip,
        process: gateway.process(),
        callee: plan.callee,
        rate: RATED / 2,
    })?;
    stop(gateway);
    let plan = fresh_plan(places, "standing")?;
    let gateway = plan.start()?;
    standing::measure(plan.sip, gateway.process(), plan.callee)?;
    stop(gateway);
    let plan = Plan {
        rated: RATED,
        ..fresh_plan(places, "overload")?
    };
    plan.write()?;
    let gateway = plan.start()?;
    overload::measure(overload::Options {
        gateway: plan.sip,
        process: gateway.process(),
        callee: plan.callee,
        rated: RATED,
    })?;
    stop(gateway);
    Ok(())
}

/// Links with a destination each, by which an INVITE is known again behind the gateway.
fn import_links(plan: &Plan) -> Result<()> {
    let list = plan.folder.join("links.jsonl");
    let mut lines = String::new();
    for number in 0..forward::DESTINATIONS {
        let (path, destination) = (forward::path(number), forward::DESTINATION_FIRST + number);
        lines.push_str(&format!(
            "{{\"request_path\":\"{path}\",\"destination\":\"{destination}\"}}\n"
        ));
    }
    fs::write(&list, lines)?;
    let list = list.to_string_lossy();
    plan.command(&["links", "import", &list], IMPORT_PATIENCE)?;
    Ok(())
}

/// Micro benchmarks: what the program calls them, and their bars.
type MicroBars = (&'static str, [(&'static str, f64); 2]);

const PARSER_BARS: MicroBars = (
    "sip",
    [("sip.parse", PARSE_MAX), ("sip.parse_write", PARSE_MAX)],
);

/// What SRTP adds to a relayed packet, microseconds.
const SRTP_BARS: MicroBars = (
    "srtp",
    [("relay.srtp.sha1_80", 0.75), ("relay.srtp.gcm128", 0.35)],
);

/// Runs micro benchmarks, and passes on what they print.
fn run_micro(places: &Places, (group, bars): &MicroBars) {
    match micro(places, group) {
        Ok(text) => text.lines().for_each(report::line),
        Err(error) => {
            for (bar, limit) in bars {
                report::bar_not_run(bar, *limit, &format!("{error:#}"));
            }
        }
    }
}

/// The time `rsip` takes to parse and print an INVITE, in nanoseconds.
fn yardstick_ns(places: &Places) -> Option<f64> {
    let text = micro(places, PARSER_BARS.0).ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix(YARDSTICK)?.trim().parse().ok())
}

/// What the micro benchmarks print; half a second.
fn micro(places: &Places, group: &str) -> Result<String> {
    let program = places.micro.display().to_string();
    let output = Command::new(&places.micro)
        .arg(group)
        .stdin(Stdio::null())
        .output();
    let output = output.with_context(|| program.clone())?;
    if !output.status.success() {
        bail!("{program}: {}", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn run_links(places: &Places) -> Result<()> {
    let few = filled_plan(places, resolve::FEW, 0)?;
    let many = filled_plan(places, resolve::MANY, 1)?;
    let (few_gateway, many_gateway) = (few.start()?, many.start()?);
    let options = resolve::Options {
        few: few.http,
        few_pid: few_gateway.process(),
        few_links: resolve::FEW,
        many: many.http,
        many_pid: many_gateway.process(),
        many_links: resolve::MANY,
        rounds: 9,
        round_ms: 2000,
    };
    let figures = resolve::measure(&options)?;
    resolve::print_bar(figures);
    stop(many_gateway);
    let token = few.command(
        &["tokens", "add", "bench", "--scope", "links:write", "--json"],
        COMMAND_PATIENCE,
    )?;
    writes::measure(&writes::Options {
        address: few.http,
        process: few_gateway.process(),
        links: resolve::FEW,
        token: token_of(&token)?,
    })?;
    stop(few_gateway);
    Ok(())
}

/// The token in what `tokens add --json` printed.
fn token_of(printed: &str) -> Result<String> {
    let start = printed.find(TOKEN_START).context("no token was printed")?;
    let token: String = printed
        .chars()
        .skip(start)
        .take_while(|c| c.is_ascii_alphanumeric() || "_-".contains(*c))
        .collect();
    Ok(token)
}

/// A gateway with many links; filled once, then kept.
fn filled_plan(places: &Places, links: u64, offset: u16) -> Result<Plan> {
    let name = format!("links-{links}");
    let folder = places.data.join(&name);
    let complete = folder.join("complete");
    if complete.exists() {
        return places.plan(&name, offset);
    }
    if folder.exists() {
        fs::remove_dir_all(&folder).context("remove a data folder that was not filled")?;
    }
    let plan = places.plan(&name, offset)?;
    progress(&format!("links: importing {links} links (once)"));
    let list = folder.join("links.jsonl");
    let mut file = std::io::BufWriter::new(fs::File::create(&list)?);
    for link in 0..links {
        let path = resolve::path(link);
        writeln!(file, r#"{{"request_path":"{path}","destination":"1000"}}"#)?;
    }
    file.flush()?;
    drop(file);
    plan.command(
        &["links", "import", &list.to_string_lossy()],
        IMPORT_PATIENCE,
    )?;
    fs::remove_file(&list)?;
    fs::write(&complete, "")?;
    Ok(plan)
}

/// Ends a gateway; one that does not end well is noted.
pub(crate) fn stop(gateway: crate::gateway::Gateway) {
    if let Err(error) = gateway.stop() {
        report::note("gateway", &format!("{error:#}"));
    }
}

const SIP_PORT: u16 = 5060;
const HTTP_PORT: u16 = 8080;
/// Not the caller's address: a trunk's address is a source of its own.
const CALLEE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const CALLEE_PORT: u16 = 5070;
const PARSE_MAX: f64 = 0.35;
const YARDSTICK: &str = "figure sip.rsip_parse_print_ns ";
/// A call may cost as much as `rsip` needs to parse and print this many messages.
const YARDSTICKS_A_CALL: f64 = 80.0;
/// The rated load: what one core must carry.
const RATED: u32 = 1_500;
/// Offered where the rate that one core carries is looked for.
const THROUGHPUT_RATE: u32 = 1_600;
/// No bound that a bench would meet.
const UNBOUND_RATE: u32 = 10_000;
/// What every token begins with.
const TOKEN_START: &str = "sl_";
const COMMAND_PATIENCE: Duration = Duration::from_secs(20);
const IMPORT_PATIENCE: Duration = Duration::from_secs(240);
