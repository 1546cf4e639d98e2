//! What systemd is told (`sd_notify(3)`): ready, reloading, stopping, alive. Without systemd nothing
//! is told and nothing is missing.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// The supervisor's socket.
#[derive(Debug)]
pub struct Supervisor {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// The supervisor ends us when it hears nothing for so long.
    pub watchdog: Option<Duration>,
}

impl Supervisor {
    /// As the environment names it. To be called before threads are made.
    #[must_use]
    pub fn from_environment() -> Self {
        let socket = std::env::var("NOTIFY_SOCKET")
            .ok()
            .and_then(|name| open(&name).ok());
        let own = std::process::id().to_string();
        let is_ours = std::env::var("WATCHDOG_PID").map_or(true, |pid| pid == own);
        let watchdog = std::env::var("WATCHDOG_USEC")
            .ok()
            .and_then(|micros| micros.parse().ok())
            .filter(|micros| *micros > 0 && is_ours)
            .map(Duration::from_micros);
        Self { socket, watchdog }
    }

    /// One that listens at this path.
    #[cfg(test)]
    pub(super) fn at(path: &std::path::Path, watchdog: Option<Duration>) -> io::Result<Self> {
        let name = path.to_string_lossy();
        Ok(Self {
            socket: Some(open(&name)?),
            watchdog,
        })
    }

    /// Calls are taken.
    pub fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={}\n", one_line(status)));
    }

    /// The configuration is read again; [`Supervisor::ready`] follows.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |now| {
            now.tv_sec()
                .saturating_mul(1_000_000)
                .saturating_add(now.tv_nsec() / 1_000)
        });
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={now}\n"));
    }

    /// The end has begun; it may take so long.
    pub fn stopping(&self, within: Duration) {
        let micros = within.as_micros();
        self.tell(&format!(
            "STOPPING=1\nSTATUS=draining\nEXTEND_TIMEOUT_USEC={micros}\n"
        ));
    }

    /// Every thread turns.
    pub fn alive(&self) {
        self.tell("WATCHDOG=1\n");
    }

    fn tell(&self, words: &str) {
        if let Some((socket, to)) = &self.socket
            && let Err(error) = socket.send_to_addr(words.as_bytes(), to)
        {
            tracing::debug!(%error, "the supervisor was not told");
        }
    }
}

/// What is told stands in one line: the next one would be another word to the supervisor.
fn one_line(status: &str) -> String {
    let lines: Vec<&str> = status.lines().map(str::trim).collect();
    let whole = lines.join("; ");
    let shown = whole.chars().filter(|character| !character.is_control());
    shown.take(STATUS_CHARACTERS_MAX).collect()
}

/// Characters of a status; the log has all of it.
const STATUS_CHARACTERS_MAX: usize = 400;

/// A path, or `@` and an abstract name.
fn open(name: &str) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_abstract_names_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let abstract_name = format!("sluice-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        for (name, socket) in [
            (
                path.to_str().unwrap().to_owned(),
                UnixDatagram::bind(&path).unwrap(),
            ),
            (
                format!("@{abstract_name}"),
                UnixDatagram::bind_addr(&address).unwrap(),
            ),
        ] {
            let supervisor = Supervisor {
                socket: Some(open(&name).unwrap()),
                watchdog: None,
            };
            supervisor.reloading();
            supervisor.alive();
            let mut octets = [0; 256];
            let length = socket.recv(&mut octets).unwrap();
            assert!(octets[..length].starts_with(b"RELOADING=1\nMONOTONIC_USEC="));
            let length = socket.recv(&mut octets).unwrap();
            assert_eq!(&octets[..length], b"WATCHDOG=1\n");
        }
    }

    #[test]
    fn a_supervisor_that_is_gone_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("nobody");
        let supervisor = Supervisor {
            socket: Some(open(name.to_str().unwrap()).unwrap()),
            watchdog: None,
        };
        supervisor.ready("x");
        assert!(supervisor.socket.is_some(), "the next word is tried again");
    }
}
