//! The gateway as a process: its configuration for a bench, its start, its commands, its end.

use std::fs::{self, File};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// What to start.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The `sluice` binary.
    pub(crate) binary: PathBuf,
    /// Where its configuration, its log and its data are.
    pub(crate) folder: PathBuf,
    /// SIP over UDP.
    pub(crate) sip: SocketAddr,
    /// HTTP.
    pub(crate) http: SocketAddr,
    /// Target of its one trunk.
    pub(crate) callee: SocketAddr,
    /// Calls a second that it takes.
    pub(crate) rated: u32,
    /// Address of its media ports.
    pub(crate) media: IpAddr,
    /// More lines of `[media]`.
    pub(crate) media_settings: String,
    /// More lines of its source.
    pub(crate) source_settings: String,
    /// More lines of its trunk.
    pub(crate) trunk_settings: String,
    /// More lines of `[sip]`.
    pub(crate) sip_settings: String,
    /// More lines of its link.
    pub(crate) link_settings: String,
}

/// A gateway that runs; killed when dropped.
#[derive(Debug)]
pub(crate) struct Gateway {
    child: Child,
    log: PathBuf,
}

impl Plan {
    fn config(&self) -> PathBuf {
        self.folder.join("sluice.toml")
    }

    /// Writes the configuration file.
    pub(crate) fn write(&self) -> Result<()> {
        fs::create_dir_all(&self.folder)
            .with_context(|| format!("create {}", self.folder.display()))?;
        let text = CONFIGURATION
            .replace("DATA", &self.folder.join("data").to_string_lossy())
            .replace("SIP", &self.sip.to_string())
            .replace("HTTP", &self.http.to_string())
            .replace("CALLEE", &self.callee.to_string())
            .replace("RATED", &self.rated.to_string())
            .replace("ADDRESS", &self.media.to_string())
            .replace("# MEDIA", &self.media_settings)
            .replace("# SOURCE", &self.source_settings)
            .replace("# TRUNK", &self.trunk_settings)
            .replace("# SIGNALLING", &self.sip_settings)
            .replace("# LINK", &self.link_settings);
        fs::write(self.config(), text).context("write the gateway's configuration")
    }

    /// Runs a command of the CLI to its end, and gives what it printed.
    pub(crate) fn command(&self, arguments: &[&str], patience: Duration) -> Result<String> {
        let log = self.folder.join("command.log");
        let printed = self.folder.join("command.out");
        let mut child = Command::new(&self.binary)
            .args(arguments)
            .arg("--config")
            .arg(self.config())
            .stdin(Stdio::null())
            .stdout(File::create(&printed)?)
            .stderr(File::create(&log)?)
            .spawn()
            .with_context(|| format!("start {}", self.binary.display()))?;
        let Some(status) = wait(&mut child, patience)? else {
            child.kill()?;
            child.wait()?;
            bail!("sluice {} did not end in {patience:?}", arguments.join(" "));
        };
        if !status.success() {
            bail!("sluice {}: {status}: {}", arguments.join(" "), tail(&log));
        }
        fs::read_to_string(&printed).context("what the command printed")
    }

    /// Starts it and waits until it says that it is ready.
    pub(crate) fn start(&self) -> Result<Gateway> {
        let log = self.folder.join("serve.log");
        let output = File::create(&log)?;
        let child = Command::new(&self.binary)
            .args(["serve", "--config"])
            .arg(self.config())
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("start {}", self.binary.display()))?;
        let mut gateway = Gateway { child, log };
        let deadline = Instant::now() + START_PATIENCE;
        while !fs::read_to_string(&gateway.log)?.contains(READY) {
            if let Some(status) = gateway.child.try_wait()? {
                bail!("sluice serve: {status}: {}", tail(&gateway.log));
            }
            if Instant::now() > deadline {
                bail!("sluice serve did not get ready: {}", tail(&gateway.log));
            }
            std::thread::sleep(LOOK);
        }
        Ok(gateway)
    }
}

impl Gateway {
    /// Its process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as an operator would, by force if it does not end.
    pub(crate) fn stop(mut self) -> Result<()> {
        let process = Pid::from_raw(i32::try_from(self.child.id())?);
        kill(process, Signal::SIGTERM)?;
        match wait(&mut self.child, STOP_PATIENCE)? {
            Some(status) if status.success() => Ok(()),
            Some(status) => bail!("sluice serve ended with {status}: {}", tail(&self.log)),
            None => bail!("sluice serve did not end: {}", tail(&self.log)),
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Both fail only where the process has ended.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn wait(child: &mut Child, patience: Duration) -> Result<Option<ExitStatus>> {
    let deadline = Instant::now() + patience;
    loop {
        match child.try_wait()? {
            Some(status) => return Ok(Some(status)),
            None if Instant::now() > deadline => return Ok(None),
            None => std::thread::sleep(LOOK),
        }
    }
}

/// The last lines of a log, for an error.
fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let mut lines: Vec<&str> = text.lines().rev().take(LOG_LINES).collect();
    lines.reverse();
    lines.join(" | ")
}

/// Every cap that would meet the load before the gateway does is lifted.
const CONFIGURATION: &str = r#"[node]
data = "DATA"
drain_s = 0

[log]
level = "warn"

[sip]
listen = ["SIP"]
domain = "bench.test"
# SIGNALLING

[http]
listen = ["HTTP"]
resolve_open = true

[media]
addresses = ["ADDRESS"]
realtime = true
timeout_s = 0
# MEDIA

[browser]
connections_max = 8192
connections_per_client_max = 8192
loads_per_minute_max = 100000

[limits]
calls_max = 5600
calls_per_second_max = RATED

[[source]]
name = "bench"
networks = ["127.0.0.1/32"]
links = "all"
# SOURCE

[[trunk]]
label = "bench"
targets = ["CALLEE"]
options_interval_up_s = 0
# TRUNK

[[link]]
request_path = "bench"
destination = "1000"
# LINK
"#;

const READY: &str = "Sluice is ready";
const START_PATIENCE: Duration = Duration::from_secs(20);
const STOP_PATIENCE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(20);
const LOG_LINES: usize = 5;
