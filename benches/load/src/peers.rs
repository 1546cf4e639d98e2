//! `peers`: the same calls through Sluice and through Asterisk, in turns, on this machine; before them
//! the relays (`relay::peers`).
//!
//! Asterisk comes from Debian into a folder of its own (a chroot), with a configuration that does
//! the same: every INVITE for the bench user goes to one callee, media anchored. It loads what the package
//! loads by itself, but for modules that want a database or hardware and those that write records: ours
//! writes its records and asks its guard. One core for either, the generator on the other.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::bench::Places;
use crate::calls;
use crate::gateway::Plan;
use crate::machine;
use crate::relay;
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
    what: Option<What>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// The relays: rtpengine, rtpproxy.
    Relay,
    /// Calls: Asterisk.
    Calls,
}

/// Measures both, and prints the bar.
pub(crate) fn run(options: &Options) -> Result<()> {
    report::note("machine", &machine::describe());
    if let Err(error) = machine::enter_own_network() {
        report::note("peers", &format!("{error:#}"));
    } else if options.what != Some(What::Calls) {
        relay::measure_peers(&Places::new(&options.binary, &None, options.quick)?);
    }
    if options.what != Some(What::Relay)
        && let Err(error) = measure(options)
    {
        report::bar_not_run(BAR, RATIO_MAX, &format!("{error:#}"));
    }
    Ok(())
}

fn measure(options: &Options) -> Result<()> {
    let own = std::env::current_exe().context("where this program is")?;
    let beside = own.parent().unwrap_or_else(|| Path::new("."));
    let build = beside.parent().unwrap_or(beside);
    let root = options
        .asterisk_root
        .clone()
        .or_else(|| std::env::var_os("SLUICE_ASTERISK_ROOT").map(PathBuf::from))
        .unwrap_or_else(|| build.join("asterisk-root"));
    if !root.join("usr/sbin/asterisk").is_file() {
        bail!("no Asterisk in {}: run `make bench-peers`", root.display());
    }
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
        let asterisk = Asterisk::start(&root, plan.callee)?;
        theirs.push(calls_through(options, asterisk.sip, asterisk.process()?)?);
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
    if figures.completed_per_s <= 0.0 {
        bail!("calls failed at {} a second", options.rate);
    }
    Ok(figures.cpu_ms)
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// An Asterisk that runs; ended when dropped.
#[derive(Debug)]
struct Asterisk {
    child: Child,
    sip: SocketAddr,
}

impl Asterisk {
    fn start(root: &Path, callee: SocketAddr) -> Result<Self> {
        let sip = local(5062);
        let folder = root.join("etc/asterisk-bench");
        fs::create_dir_all(&folder)?;
        for (name, text) in CONFIGURATION {
            let text = text
                .replace("LISTEN", &sip.to_string())
                .replace("CALLEE", &callee.to_string());
            fs::write(folder.join(name), text)?;
        }
        let child = Command::new("chroot")
            .arg(root)
            .args(["/usr/sbin/asterisk", "-f", "-C"])
            .arg("/etc/asterisk-bench/asterisk.conf")
            .args(["-U", "asterisk", "-G", "asterisk"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("chroot")?;
        let mut asterisk = Self { child, sip };
        asterisk.wait_until_it_answers()?;
        Ok(asterisk)
    }

    /// Its own process: `chroot` becomes it.
    fn process(&self) -> Result<u32> {
        let process = self.child.id();
        let name = fs::read_to_string(format!("/proc/{process}/comm"))?;
        if name.trim() != "asterisk" {
            bail!("process {process} is {}", name.trim());
        }
        Ok(process)
    }

    fn wait_until_it_answers(&mut self) -> Result<()> {
        let socket = UdpSocket::bind(local(0))?;
        socket.set_read_timeout(Some(LOOK))?;
        let own = socket.local_addr()?;
        let deadline = Instant::now() + START_PATIENCE;
        let mut number = 0;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                bail!("asterisk ended with {status}");
            }
            number += 1;
            let to = self.sip;
            let text = format!(
                "OPTIONS sip:{to} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKask{number};rport\r\n\
                 Max-Forwards: 70\r\nFrom: <sip:bench@{own}>;tag=ask\r\nTo: <sip:{to}>\r\n\
                 Call-ID: ask{number}@bench\r\nCSeq: {number} OPTIONS\r\nContent-Length: 0\r\n\r\n"
            );
            drop(socket.send_to(text.as_bytes(), to));
            let mut answer = [0; 2048];
            if socket.recv(&mut answer).is_ok() {
                return Ok(());
            }
        }
        bail!("asterisk does not answer at {}", self.sip)
    }
}

impl Drop for Asterisk {
    fn drop(&mut self) {
        // Both fail only where the process has ended.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The files of its configuration folder.
const CONFIGURATION: [(&str, &str); 5] = [
    (
        "asterisk.conf",
        "[directories]\nastetcdir => /etc/asterisk-bench\n[options]\nverbose = 0\n",
    ),
    (
        "modules.conf",
        "[modules]\nautoload = yes\nnoload = chan_iax2.so\nnoload = chan_unistim.so\n\
         noload = pbx_dundi.so\nnoload = pbx_ael.so\nnoload = app_queue.so\n\
         noload = app_voicemail.so\nnoload = app_minivm.so\nnoload = res_hep.so\n\
         noload = res_hep_pjsip.so\nnoload = res_hep_rtcp.so\nnoload = res_calendar.so\n\
         noload = res_config_pgsql.so\nnoload = res_config_odbc.so\nnoload = res_odbc.so\n\
         noload = res_prometheus.so\nnoload = res_statsd.so\nnoload = res_ari.so\n\
         noload = res_phoneprov.so\nnoload = res_musiconhold.so\nnoload = cdr_csv.so\n\
         noload = cdr_custom.so\nnoload = cdr_manager.so\nnoload = cdr_sqlite3_custom.so\n\
         noload = cdr_odbc.so\nnoload = cdr_adaptive_odbc.so\nnoload = cdr_pgsql.so\n\
         noload = cdr_radius.so\nnoload = cdr_tds.so\nnoload = cel_custom.so\n\
         noload = cel_manager.so\nnoload = cel_odbc.so\nnoload = cel_pgsql.so\n\
         noload = cel_radius.so\nnoload = cel_sqlite3_custom.so\nnoload = cel_tds.so\n",
    ),
    (
        "pjsip.conf",
        "[udp]\ntype = transport\nprotocol = udp\nbind = LISTEN\n\
         [caller]\ntype = endpoint\ncontext = bench\ntransport = udp\ndisallow = all\nallow = ulaw\n\
         direct_media = no\n\
         [caller-address]\ntype = identify\nendpoint = caller\nmatch = 127.0.0.1\n\
         [callee]\ntype = endpoint\ncontext = nothing\ntransport = udp\ndisallow = all\nallow = ulaw\n\
         direct_media = no\naors = callee\n\
         [callee]\ntype = aor\ncontact = sip:bench@CALLEE\n",
    ),
    (
        "extensions.conf",
        "[bench]\nexten => bench,1,Dial(PJSIP/callee,30)\n",
    ),
    ("rtp.conf", "[general]\nrtpstart = 20000\nrtpend = 29999\n"),
];

const BAR: &str = "peers.sip_call_cpu_asterisk";
/// CPU of a call, ours over Asterisk's.
const RATIO_MAX: f64 = 0.2;
const RATED: u32 = 10_000;
const COMMAND_PATIENCE: Duration = Duration::from_secs(20);
const START_PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(200);
