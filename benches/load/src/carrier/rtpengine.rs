//! rtpengine by its control protocol `ng`: one offer and one answer a session.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::bencode::Value;
use super::{Ends, Target, Ways};
use crate::machine::monotonic_ns;
use crate::session_key::{EndKeys, SessionKey, secured};
use crate::sip_text::{described_audio, session_description};
use crate::subject::Subject;

/// An rtpengine that runs.
#[derive(Debug)]
pub(crate) struct Rtpengine {
    name: &'static str,
    /// The callee's side speaks SRTP.
    is_secure: bool,
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
            name: "rtpengine",
            is_secure: false,
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

    /// The same where the callee's side speaks SRTP (SDES) and the caller's RTP.
    pub(crate) fn with_srtp(self) -> Self {
        Self {
            name: "rtpengine, SRTP",
            is_secure: true,
            ..self
        }
    }

    fn ask(&mut self, question: &Value) -> Result<Value> {
        self.asked += 1;
        // It answers a cookie that it has seen with what it said then, whoever asks.
        let cookie = format!("{}-{} ", self.run, self.asked);
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

    /// The description that comes back for ours.
    fn describe(&mut self, command: &str, description: &str) -> Result<String> {
        let (number, run) = (self.sessions, self.run);
        let is_offer = command == "offer";
        let profile = if self.is_secure {
            "RTP/SAVP"
        } else {
            "RTP/AVP"
        };
        let mut question = vec![
            ("command", Value::text(command)),
            ("call-id", Value::text(&format!("{number}-{run}@bench"))),
            ("from-tag", Value::text(&format!("a{number}"))),
            ("sdp", Value::text(description)),
            ("ICE", Value::text("remove")),
            ("rtcp-mux", Value::List(vec![Value::text("demux")])),
        ];
        if is_offer {
            question.push(("transport-protocol", Value::text(profile)));
            question.push(("DTLS", Value::text("off")));
        } else {
            question.push(("to-tag", Value::text(&format!("b{number}"))));
        }
        let entries = question
            .into_iter()
            .map(|(key, value)| (key.as_bytes().to_vec(), value));
        let answer = self.ask(&Value::Dictionary(entries.collect()))?;
        let description = answer.get("sdp").and_then(Value::as_text);
        Ok(description
            .context("an answer without a description")?
            .to_owned())
    }

    /// Offer and answer of one session.
    fn session(&mut self, ends: &Ends) -> Result<Ways> {
        let offer = self.describe("offer", &session_description(ends.caller))?;
        let mut ours = session_description(ends.callee);
        let mut keys = None;
        if self.is_secure {
            let (tag, receive) = SessionKey::described(&offer).context("an offer without a key")?;
            let send = SessionKey::made(self.run.wrapping_add(self.sessions));
            ours = secured(&ours, send, tag);
            keys = Some(EndKeys { send, receive });
        }
        let answer = self.describe("answer", &ours)?;
        let address = |text: &str| described_audio(text).context("no audio address");
        let mut ways = Ways::plain(address(&answer)?, address(&offer)?);
        ways.callee.keys = keys;
        Ok(ways)
    }
}

impl Target for Rtpengine {
    fn name(&self) -> &str {
        self.name
    }

    fn carry(&mut self, ends: &[Ends]) -> Result<Vec<Ways>> {
        let mut ways = Vec::with_capacity(ends.len());
        for ends in ends {
            ways.push(self.session(ends)?);
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
