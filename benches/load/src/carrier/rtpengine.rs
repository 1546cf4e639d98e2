//! rtpengine by its control protocol `ng`: one offer and one answer a session.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::bencode::Value;
use super::{Ends, Target, Ways};
use crate::machine::monotonic_ns;
use crate::sip_text::{described_audio, session_description};
use crate::subject::Subject;

/// An rtpengine that runs.
#[derive(Debug)]
pub(crate) struct Rtpengine {
    control: UdpSocket,
    process: u32,
    asked: u64,
    sessions: u64,
    /// Makes the calls of one run unlike those of another.
    run: u64,
}

impl Rtpengine {
    /// The one that listens for `ng` at `control`.
    ///
    /// # Errors
    /// It does not answer.
    pub(crate) fn new(control: SocketAddr, process: u32) -> Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(control)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut rtpengine = Self {
            control: socket,
            process,
            asked: 0,
            sessions: 0,
            run: monotonic_ns(),
        };
        rtpengine
            .ask(&Value::dictionary([("command", Value::text("ping"))]))
            .with_context(|| format!("rtpengine at {control}"))?;
        Ok(rtpengine)
    }

    fn ask(&mut self, question: &Value) -> Result<Value> {
        self.asked += 1;
        let cookie = format!("c{} ", self.asked);
        let mut octets = cookie.clone().into_bytes();
        question.write(&mut octets);
        self.control.send(&octets)?;
        let mut buffer = vec![0; 65_536];
        loop {
            let length = self.control.recv(&mut buffer).context("no answer")?;
            let answer = buffer.get(..length).unwrap_or_default();
            // An answer to an earlier question is not this one's.
            let Some(body) = answer.strip_prefix(cookie.as_bytes()) else {
                continue;
            };
            let answer = Value::read(body).context("an answer that is not bencoded")?;
            return match answer.get("result").and_then(Value::as_text) {
                Some("ok" | "pong") => Ok(answer),
                _ => bail!(
                    "rtpengine refuses: {}",
                    answer
                        .get("error-reason")
                        .and_then(Value::as_text)
                        .unwrap_or("no reason given")
                ),
            };
        }
    }

    /// Where the other end sends to, from the description that comes back.
    fn describe(&mut self, command: &str, from: SocketAddr) -> Result<SocketAddr> {
        let (number, run) = (self.sessions, self.run);
        let mut question = vec![
            ("command", Value::text(command)),
            ("call-id", Value::text(&format!("{number}-{run}@bench"))),
            ("from-tag", Value::text(&format!("a{number}"))),
            ("sdp", Value::text(&session_description(from))),
            ("ICE", Value::text("remove")),
            ("rtcp-mux", Value::List(vec![Value::text("demux")])),
            ("transport-protocol", Value::text("RTP/AVP")),
        ];
        if command == "answer" {
            question.push(("to-tag", Value::text(&format!("b{number}"))));
        }
        let entries = question
            .into_iter()
            .map(|(key, value)| (key.as_bytes().to_vec(), value));
        let answer = self.ask(&Value::Dictionary(entries.collect()))?;
        let description = answer.get("sdp").and_then(Value::as_text);
        description
            .and_then(described_audio)
            .context("a description without an audio address")
    }
}

impl Target for Rtpengine {
    fn name(&self) -> &str {
        "rtpengine"
    }

    fn carry(&mut self, ends: &[Ends]) -> Result<Vec<Ways>> {
        let mut ways = Vec::with_capacity(ends.len());
        for ends in ends {
            let callee = self.describe("offer", ends.caller)?;
            let caller = self.describe("answer", ends.callee)?;
            ways.push(Ways { caller, callee });
            self.sessions += 1;
        }
        Ok(ways)
    }

    /// All its threads: the walk over its calls is part of what it costs.
    fn subject(&self) -> Result<Subject> {
        Subject::find(self.process, "")
    }

    fn finish(&mut self) {
        let run = self.run;
        for number in 0..self.sessions {
            let question = Value::dictionary([
                ("command", Value::text("delete")),
                ("call-id", Value::text(&format!("{number}-{run}@bench"))),
                ("from-tag", Value::text(&format!("a{number}"))),
                ("delete-delay", Value::Integer(0)),
            ]);
            // A call that it has forgotten is over.
            self.ask(&question).ok();
        }
        self.sessions = 0;
    }
}

const PATIENCE: Duration = Duration::from_secs(3);
