//! A peer that does what a script says, step by step: SIP over UDP within one dialog, and machines
//! that speak a tone in G.711 and keep what they hear.

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use crate::tone::{self, Law};

/// One end of a dialog.
#[derive(Debug)]
pub(crate) struct Party {
    socket: UdpSocket,
    gateway: SocketAddr,
    call_id: String,
    /// From of our requests.
    from: String,
    /// To of our requests.
    to: String,
    target: String,
    cseq: u32,
    seen: BTreeSet<String>,
}

impl Party {
    /// A peer at this address. It has no dialog yet.
    pub(crate) fn new(local: &str, gateway: &str) -> Self {
        let socket = UdpSocket::bind(local).expect("a port of its own");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let local = socket.local_addr().expect("bound");
        Self {
            socket,
            gateway: gateway.parse().expect("an address"),
            call_id: format!("script-{local}"),
            from: format!("<sip:script@{local}>;tag=script"),
            to: String::new(),
            target: String::new(),
            cseq: 0,
            seen: BTreeSet::new(),
        }
    }

    /// An INVITE outside a dialog, with these further header lines.
    pub(crate) fn call(&mut self, user: &str, headers: &str, body: &str) {
        self.target = format!("sip:{user}@{}", self.gateway);
        self.to = format!("<{}>", self.target);
        self.ask_with("INVITE", headers, body);
    }

    /// A request within the dialog.
    pub(crate) fn ask(&mut self, method: &str, body: &str) {
        self.ask_with(method, "", body);
    }

    /// The same with further header lines.
    pub(crate) fn ask_with(&mut self, method: &str, headers: &str, body: &str) {
        self.cseq += 1;
        self.send_request(method, self.cseq, headers, body);
    }

    /// ACK of the last INVITE's 2xx.
    pub(crate) fn acknowledge(&self, body: &str) {
        self.send_request("ACK", self.cseq, "", body);
    }

    /// The next final response of the last request; it must have this status.
    pub(crate) fn expect(&mut self, status: u16) -> String {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let text = self.receive();
            let Some(found) = status_of(&text) else {
                continue;
            };
            let ours = header(&text, "CSeq")
                .is_some_and(|cseq| cseq.split(' ').next() == Some(&self.cseq.to_string()));
            if !ours || (found < 200 && found != status) {
                continue;
            }
            assert_eq!(found, status, "{text}");
            if let Some(to) = header(&text, "To") {
                self.to = to;
            }
            if let Some(contact) = header(&text, "Contact") {
                self.target = uri_of(&contact);
            }
            return text;
        }
        panic!("no {status} in {PATIENCE:?}");
    }

    /// The next request; it must have this method. The first one makes the dialog.
    pub(crate) fn expect_request(&mut self, method: &str) -> String {
        self.expect_request_within(PATIENCE, method)
    }

    /// The same with another patience.
    pub(crate) fn expect_request_within(&mut self, patience: Duration, method: &str) -> String {
        let deadline = Instant::now() + patience;
        self.socket
            .set_read_timeout(Some(patience))
            .expect("a timeout");
        while Instant::now() < deadline {
            let text = self.receive();
            if status_of(&text).is_some() {
                continue;
            }
            let key = header(&text, "CSeq").unwrap_or_default();
            if !self.seen.insert(key) {
                continue;
            }
            assert!(text.starts_with(method), "{method} is due: {text}");
            if self.to.is_empty() {
                self.call_id = header(&text, "Call-ID").expect("a Call-ID");
                self.to = header(&text, "From").expect("a From");
                let own = header(&text, "To").expect("a To");
                self.from = format!("{own};tag=script");
            }
            if let Some(contact) = header(&text, "Contact") {
                self.target = uri_of(&contact);
            }
            return text;
        }
        panic!("no {method} in {patience:?}");
    }

    /// Answers a request.
    pub(crate) fn respond(&self, request: &str, status: &str, headers: &str, body: &str) {
        let mut text = format!("SIP/2.0 {status}\r\n");
        for line in request.lines() {
            let name = line.split(':').next().unwrap_or_default();
            match name {
                "Via" | "From" | "Call-ID" | "CSeq" | "Record-Route" => {
                    text += &format!("{line}\r\n");
                }
                "To" if line.contains("tag=") => text += &format!("{line}\r\n"),
                "To" => text += &format!("{line};tag=script\r\n"),
                _ => {}
            }
        }
        let local = self.socket.local_addr().expect("bound");
        text += &format!("Contact: <sip:script@{local}>\r\n{headers}");
        self.send(&(text + &end(body)));
    }

    fn send_request(&self, method: &str, cseq: u32, headers: &str, body: &str) {
        let local = self.socket.local_addr().expect("bound");
        let text = format!(
            "{method} {} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{method}{cseq}{};rport\r\n\
             Max-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\n\
             Contact: <sip:script@{local}>\r\nAllow: INVITE, ACK, BYE, CANCEL, UPDATE, INFO\r\n{headers}",
            self.target,
            local.port(),
            self.from,
            self.to,
            self.call_id,
        );
        self.send(&(text + &end(body)));
    }

    fn send(&self, text: &str) {
        self.socket
            .send_to(text.as_bytes(), self.gateway)
            .expect("sent");
    }

    fn receive(&self) -> String {
        let mut buffer = [0; 8192];
        let (length, _) = self
            .socket
            .recv_from(&mut buffer)
            .expect("a message in time");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }
}

/// A machine that speaks a tone.
#[derive(Debug)]
pub(crate) struct Machine {
    socket: UdpSocket,
    tone_hz: f64,
    law: Law,
    ssrc: u32,
    sequence: u16,
    spoken: u32,
    /// What it has heard since it was asked last.
    heard: Vec<i16>,
}

impl Machine {
    pub(crate) fn new(address: &str, tone_hz: f64, law: Law, ssrc: u32) -> Self {
        let socket = UdpSocket::bind((address, 0)).expect("a port");
        socket.set_nonblocking(true).expect("a socket");
        Self {
            socket,
            tone_hz,
            law,
            ssrc,
            sequence: 0,
            spoken: 0,
            heard: Vec::new(),
        }
    }

    /// Its audio line: where it hears, what it speaks, in this direction.
    pub(crate) fn session(&self, version: u32, direction: &str) -> String {
        let local = self.socket.local_addr().expect("bound");
        let (number, name) = self.law.payload();
        format!(
            "v=0\r\no=- 7 {version} IN IP4 {0}\r\ns=-\r\nc=IN IP4 {0}\r\nt=0 0\r\n\
             m=audio {1} RTP/AVP {number}\r\na=rtpmap:{number} {name}/8000\r\na={direction}\r\n",
            local.ip(),
            local.port()
        )
    }

    pub(crate) const fn speaks(&mut self, law: Law) {
        self.law = law;
    }

    fn speak(&mut self, target: SocketAddr) {
        let (number, _) = self.law.payload();
        let mut packet = vec![0x80, number];
        packet.extend(self.sequence.to_be_bytes());
        packet.extend((self.spoken * 160).to_be_bytes());
        packet.extend(self.ssrc.to_be_bytes());
        packet.extend(tone::encoded(
            self.tone_hz,
            self.spoken * 160,
            160,
            self.law,
        ));
        self.sequence = self.sequence.wrapping_add(1);
        self.spoken += 1;
        self.socket.send_to(&packet, target).expect("sent");
    }

    fn listen(&mut self) {
        let mut buffer = [0; 2048];
        while let Ok((length, _)) = self.socket.recv_from(&mut buffer) {
            let law = match buffer[1] & 0x7f {
                0 => Law::Mu,
                8 => Law::A,
                _ => continue,
            };
            self.heard.extend(
                buffer[12..length]
                    .iter()
                    .map(|octet| tone::decoded(*octet, law)),
            );
        }
    }

    /// The share of this tone in what it heard since the last conversation began.
    pub(crate) fn hears(&self, tone_hz: f64) -> f64 {
        tone::loudest_share(&self.heard, tone_hz)
    }

    /// Packets' worth of sound that it heard.
    pub(crate) fn packets_heard(&self) -> usize {
        self.heard.len() / 160
    }
}

/// Each machine speaks for half a second to where its side sends.
pub(crate) fn converse(machines: &mut [(&mut Machine, SocketAddr)]) {
    for (machine, _) in machines.iter_mut() {
        machine.listen();
        machine.heard.clear();
    }
    let start = Instant::now();
    for turn in 0..25_u32 {
        for (machine, target) in machines.iter_mut() {
            machine.speak(*target);
        }
        while start.elapsed() < PACE * (turn + 1) {
            machines
                .iter_mut()
                .for_each(|(machine, _)| machine.listen());
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    machines
        .iter_mut()
        .for_each(|(machine, _)| machine.listen());
}

/// Where RTP goes by this description.
pub(crate) fn audio(text: &str) -> SocketAddr {
    let find = |prefix: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(prefix));
        found
            .unwrap_or_else(|| panic!("no {prefix} in\n{text}"))
            .trim()
    };
    let port = find("m=audio ").split(' ').next().expect("a port");
    format!("{}:{port}", find("c=IN IP4 "))
        .parse()
        .expect("an address")
}

pub(crate) fn header(text: &str, name: &str) -> Option<String> {
    let head = text.split("\r\n\r\n").next()?;
    head.lines().find_map(|line| {
        let (given, value) = line.split_once(':')?;
        given
            .eq_ignore_ascii_case(name)
            .then(|| value.trim().to_owned())
    })
}

fn status_of(text: &str) -> Option<u16> {
    text.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
}

fn uri_of(contact: &str) -> String {
    contact
        .split(['<', '>'])
        .nth(1)
        .unwrap_or(contact)
        .to_owned()
}

fn end(body: &str) -> String {
    let kind = if body.is_empty() {
        ""
    } else if let Some(boundary) = body.strip_prefix("--").and_then(|body| body.lines().next()) {
        let kind = format!("Content-Type: multipart/mixed;boundary=\"{boundary}\"\r\n");
        return format!("{kind}Content-Length: {}\r\n\r\n{body}", body.len());
    } else {
        "Content-Type: application/sdp\r\n"
    };
    format!("{kind}Content-Length: {}\r\n\r\n{body}", body.len())
}

const PATIENCE: Duration = Duration::from_secs(10);
const PACE: Duration = Duration::from_millis(20);
