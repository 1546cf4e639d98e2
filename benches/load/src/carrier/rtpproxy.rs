//! rtpproxy by its command protocol: an update and a look-up a session.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::{Ends, Target, Ways};
use crate::machine::monotonic_ns;
use crate::subject::Subject;

/// An rtpproxy that runs.
#[derive(Debug)]
pub(crate) struct Rtpproxy {
    control: UdpSocket,
    address: IpAddr,
    process: u32,
    asked: u64,
    sessions: u64,
    /// Makes the calls of one run unlike those of another.
    run: u64,
}

impl Rtpproxy {
    /// The one that listens for commands at `control`.
    ///
    /// # Errors
    /// It does not answer.
    pub(crate) fn new(control: SocketAddr, process: u32) -> Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(control)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut rtpproxy = Self {
            control: socket,
            address: control.ip(),
            process,
            asked: 0,
            sessions: 0,
            run: monotonic_ns(),
        };
        rtpproxy
            .ask("V")
            .with_context(|| format!("rtpproxy at {control}"))?;
        Ok(rtpproxy)
    }

    fn ask(&mut self, command: &str) -> Result<String> {
        self.asked += 1;
        let cookie = format!("{}-{}", self.run, self.asked);
        self.control
            .send(format!("{cookie} {command}").as_bytes())?;
        let mut buffer = [0; 4096];
        loop {
            let length = self.control.recv(&mut buffer).context("no answer")?;
            let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
            let Some((found, answer)) = text.trim().split_once(' ') else {
                continue;
            };
            if found == cookie {
                if answer.starts_with('E') {
                    bail!("rtpproxy refuses {command:?} with {answer}");
                }
                return Ok(answer.to_owned());
            }
        }
    }

    fn port(&mut self, command: &str) -> Result<SocketAddr> {
        let answer = self.ask(command)?;
        let address = port_of(&answer).map(|port| SocketAddr::new(self.address, port));
        address.with_context(|| format!("rtpproxy answers {command:?} with {answer:?}"))
    }
}

impl Target for Rtpproxy {
    fn name(&self) -> &str {
        "rtpproxy"
    }

    fn carry(&mut self, ends: &[Ends]) -> Result<Vec<Ways>> {
        let mut ways = Vec::with_capacity(ends.len());
        for Ends { caller, callee } in ends {
            let (number, run) = (self.sessions, self.run);
            let (host, port) = (caller.ip(), caller.port());
            let for_callee = self.port(&format!("U {number}-{run} {host} {port} a{number};1"))?;
            let (host, port) = (callee.ip(), callee.port());
            let for_caller = self.port(&format!(
                "L {number}-{run} {host} {port} a{number};1 b{number};1"
            ))?;
            ways.push(Ways::plain(for_caller, for_callee));
            self.sessions += 1;
        }
        Ok(ways)
    }

    fn subject(&self) -> Result<Subject> {
        Subject::find(self.process, "")
    }

    fn finish(&mut self) {
        let run = self.run;
        for number in 0..self.sessions {
            self.ask(&format!("D {number}-{run} a{number} b{number}"))
                .ok();
        }
        self.sessions = 0;
    }
}

/// The port is the first word; an address may follow. 0: it has none left.
fn port_of(answer: &str) -> Option<u16> {
    let port = answer.split_whitespace().next()?.parse().ok()?;
    (port != 0).then_some(port)
}

const PATIENCE: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_begins_with_the_port() {
        assert_eq!(port_of("35000 127.0.0.1"), Some(35_000));
        assert_eq!(port_of("35000"), Some(35_000));
        assert_eq!(port_of("0"), None);
        assert_eq!(port_of("E8"), None);
    }
}
