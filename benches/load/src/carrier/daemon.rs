//! Peers as processes: rtpengine as Debian has it, rtpproxy as its sources build it, forwarding in user
//! space in one thread, on an address of their own.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::{Rtpengine, Rtpproxy};

/// A peer that runs; ended when dropped.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
}

impl Daemon {
    /// An rtpengine without its kernel module, and the way to its control port.
    ///
    /// # Errors
    /// There is none on this machine, or it does not get ready.
    pub(crate) fn rtpengine() -> Result<(Self, Rtpengine)> {
        let control = SocketAddr::from((RTPENGINE, 2223));
        let program = program("rtpengine", None, "package rtpengine-daemon")?;
        let mut daemon = Self::start(
            &program,
            &[
                "--foreground",
                "--log-stderr",
                "--log-level=3",
                "--config-file=none",
                "--table=-1",
                "--num-threads=1",
                "--timeout=3600",
                "--silent-timeout=3600",
                "--port-min=10000",
                "--port-max=60000",
                &format!("--interface={RTPENGINE}"),
                &format!("--listen-ng={control}"),
            ],
        )?;
        let process = daemon.child.id();
        let target = daemon.wait_for(|| Rtpengine::new(control, process))?;
        Ok((daemon, target))
    }

    /// An rtpproxy, and the way to its control port. It is the one that `SLUICE_RTPPROXY` names, else
    /// that in the path.
    ///
    /// # Errors
    /// There is none on this machine, or it does not get ready.
    pub(crate) fn rtpproxy() -> Result<(Self, Rtpproxy)> {
        let control = SocketAddr::from((RTPPROXY, 7722));
        let program = program(
            "rtpproxy",
            std::env::var_os("SLUICE_RTPPROXY"),
            "build github.com/sippy/rtpproxy and name its program in SLUICE_RTPPROXY",
        )?;
        let mut daemon = Self::start(
            &program,
            &[
                "-f",
                "-F",
                "-l",
                &RTPPROXY.to_string(),
                "-s",
                &format!("udp:{control}"),
                "-m",
                "10000",
                "-M",
                "60000",
                "-T",
                "3600",
                "-L",
                "19000",
                "-d",
                "warn",
            ],
        )?;
        let process = daemon.child.id();
        let target = daemon.wait_for(|| Rtpproxy::new(control, process))?;
        Ok((daemon, target))
    }

    /// Starts it with nothing to read and nothing to write to.
    pub(super) fn start(program: &Path, arguments: &[&str]) -> Result<Self> {
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("start {}", program.display()))?;
        Ok(Self { child })
    }

    /// Its process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    fn wait_for<T>(&mut self, mut ready: impl FnMut() -> Result<T>) -> Result<T> {
        let deadline = Instant::now() + START_PATIENCE;
        loop {
            let error = match ready() {
                Ok(target) => return Ok(target),
                Err(error) => error,
            };
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended with {status}");
            }
            if Instant::now() > deadline {
                return Err(error);
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Waits until it answers OPTIONS at `sip`.
    ///
    /// # Errors
    /// It ended, or does not answer in time.
    pub(super) fn wait_for_sip(&mut self, sip: SocketAddr) -> Result<()> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_read_timeout(Some(LOOK))?;
        let own = socket.local_addr()?;
        let mut number = 0;
        self.wait_for(|| {
            number += 1;
            let text = format!(
                "OPTIONS sip:{sip} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKask{number};rport\r\n\
                 Max-Forwards: 70\r\nFrom: <sip:bench@{own}>;tag=ask\r\nTo: <sip:{sip}>\r\n\
                 Call-ID: ask{number}@bench\r\nCSeq: {number} OPTIONS\r\nContent-Length: 0\r\n\r\n"
            );
            drop(socket.send_to(text.as_bytes(), sip));
            let mut answer = [0; 2048];
            let answered = socket.recv(&mut answer);
            answered.map(drop).with_context(|| format!("no answer at {sip}"))
        })
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Both fail only where the process has ended.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The program that was named, else the command of this name; `whence`: how to get it.
pub(super) fn program(command: &str, named: Option<OsString>, whence: &str) -> Result<PathBuf> {
    let Some(named) = named else {
        return found(command).with_context(|| format!("no {command} here ({whence})"));
    };
    let named = PathBuf::from(named);
    if !named.is_file() {
        bail!("no {command} at {} ({whence})", named.display());
    }
    Ok(named)
}

/// A command in `PATH` or where daemons are.
fn found(command: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(command))
        .find(|program| program.is_file())
}

const RTPENGINE: Ipv4Addr = Ipv4Addr::new(127, 0, 2, 1);
const RTPPROXY: Ipv4Addr = Ipv4Addr::new(127, 0, 2, 2);
const START_PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_is_not_here_is_not_found() {
        assert!(found("sh").is_some());
        assert_eq!(found("no-such-command-here"), None);
        let refused = program("no-such-command-here", None, "package x");
        let text = format!("{:#}", refused.expect_err("it is not here"));
        assert_eq!(text, "no no-such-command-here here (package x)");
    }

    #[test]
    fn a_program_that_is_named_goes_before_the_path() {
        let shell = program("no-such-command-here", Some("/bin/sh".into()), "");
        assert_eq!(shell.expect("it is there"), PathBuf::from("/bin/sh"));
        let refused = program("sh", Some("/no/such/sh".into()), "package x");
        let text = format!("{:#}", refused.expect_err("it is not there"));
        assert_eq!(text, "no sh at /no/such/sh (package x)");
    }
}
