//! `sluice trunks test`: one OPTIONS to each target of a trunk, and what came back when.
//!
//! A short-lived endpoint on a socket of its own: it works beside a running node and without one. A
//! trunk that is reached by TCP is asked by a connection of its own.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use sip::endpoint::Endpoint;
use sip::event::{EndpointConfig, Event, Flow, Input, Output, Ping, PingKey, Timers, Transport};
use sip::message::{SendBuffer, StatusCode, Uri};
use sip::transport::stream::{Frame, Framer};

use super::model::{self, Trunk};

/// How long one target may take.
pub const WAIT_MAX: Duration = Duration::from_secs(4);

/// What one target did.
#[derive(Debug)]
pub struct Tested {
    /// Which.
    pub target: SocketAddr,
    /// Its answer, or why none could be had.
    pub outcome: io::Result<Answer>,
}

/// A target's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The final status; `None`: it stayed silent.
    pub status: Option<u16>,
    /// From sending to the answer, or to giving up.
    pub round_trip: Duration,
    /// The status is none of the trunk's `down_codes`.
    pub is_up: bool,
}

/// Asks every target, one after the other.
#[must_use]
pub fn test(trunk: &Trunk) -> Vec<Tested> {
    let targets = trunk.targets.iter().map(|target| target.address);
    targets
        .map(|target| Tested {
            target,
            outcome: ask(trunk, target),
        })
        .collect()
}

fn ask(trunk: &Trunk, target: SocketAddr) -> io::Result<Answer> {
    let mut wire = Wire::open(trunk.transport, target)?;
    let flow = wire.flow(target)?;
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| io::Error::other(error.to_string()))?;
    let mut endpoint = Endpoint::new(EndpointConfig {
        number: u8::MAX,
        seed,
        product: "Sluice".into(),
        calls_max: 1,
        draining: true,
        timers: Timers::default(),
        allow: Vec::new(),
        tcp: false,
        reliable_early_media: false,
        ..EndpointConfig::default()
    });
    let started = Instant::now();
    let unwritable = || io::Error::other("the address cannot stand in a URI");
    let ping = Ping {
        flow,
        request_uri: Uri::sip(None, &target.ip().to_string(), Some(target.port()))
            .ok_or_else(unwritable)?,
        from: Uri::sip(None, &flow.local.ip().to_string(), None).ok_or_else(unwritable)?,
        timeout: WAIT_MAX,
    };
    let sent = endpoint.ping(started, ping);
    let key = sent.map_err(|error| io::Error::other(error.to_string()))?;
    let status = converse(&mut endpoint, &mut wire, flow, key, started)?.map(StatusCode::code);
    Ok(Answer {
        status,
        round_trip: started.elapsed(),
        is_up: status.is_some_and(|status| !trunk.down_codes.contains(&status)),
    })
}

fn converse(
    endpoint: &mut Endpoint,
    wire: &mut Wire,
    flow: Flow,
    key: PingKey,
    started: Instant,
) -> io::Result<Option<StatusCode>> {
    let mut buffer = SendBuffer::new();
    let mut octets = vec![0; 65_535];
    loop {
        while let Some(output) = endpoint.poll_output(&mut buffer) {
            match output {
                Output::Send { flow: _ } => {
                    wire.send(buffer.as_bytes())?;
                }
                Output::Event(Event::PingEnded { ping, status }) if ping == key => {
                    return Ok(status);
                }
                Output::Event(_) => {}
            }
        }
        let now = Instant::now();
        let end = started + WAIT_MAX + Duration::from_millis(100);
        if now >= end {
            return Ok(None);
        }
        let until = endpoint.poll_deadline().map_or(end, |at| at.min(end));
        let wait = until
            .saturating_duration_since(now)
            .max(Duration::from_millis(1));
        wire.set_read_timeout(wait)?;
        match wire.receive(&mut octets) {
            Ok(messages) => {
                for bytes in &messages {
                    endpoint.handle_input(Instant::now(), Input::Datagram { flow, bytes });
                }
            }
            Err(error) if is_timeout(&error) => {
                endpoint.handle_input(Instant::now(), Input::Expired);
            }
            Err(error) => return Err(error),
        }
    }
}

/// The way to one target.
enum Wire {
    Udp(UdpSocket),
    Tcp(TcpStream, Framer),
}

impl Wire {
    fn open(transport: model::Transport, target: SocketAddr) -> io::Result<Self> {
        let any: SocketAddr = if target.is_ipv4() {
            ([0, 0, 0, 0], 0).into()
        } else {
            ([0_u16; 8], 0).into()
        };
        match transport {
            model::Transport::Udp => {
                let socket = UdpSocket::bind(any)?;
                // Connected: the kernel names our address towards it, and tells of an unreachable
                // port.
                socket.connect(target)?;
                Ok(Self::Udp(socket))
            }
            model::Transport::Tcp => {
                let stream = TcpStream::connect_timeout(&target, WAIT_MAX)?;
                stream.set_nodelay(true)?;
                Ok(Self::Tcp(stream, Framer::default()))
            }
        }
    }

    fn flow(&self, remote: SocketAddr) -> io::Result<Flow> {
        let (transport, local) = match self {
            Self::Udp(socket) => (Transport::Udp, socket.local_addr()?),
            Self::Tcp(stream, _) => (Transport::Tcp, stream.local_addr()?),
        };
        Ok(Flow {
            transport,
            local,
            remote,
        })
    }

    fn set_read_timeout(&self, wait: Duration) -> io::Result<()> {
        match self {
            Self::Udp(socket) => socket.set_read_timeout(Some(wait)),
            Self::Tcp(stream, _) => stream.set_read_timeout(Some(wait)),
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Udp(socket) => socket.send(bytes).map(|_sent| ()),
            Self::Tcp(stream, _) => stream.write_all(bytes),
        }
    }

    /// The whole messages of one read.
    fn receive(&mut self, octets: &mut [u8]) -> io::Result<Vec<Vec<u8>>> {
        let (length, framer) = match self {
            Self::Udp(socket) => (socket.recv(octets)?, None),
            Self::Tcp(stream, framer) => (stream.read(octets)?, Some(framer)),
        };
        let bytes = octets.get(..length).unwrap_or_default();
        let Some(framer) = framer else {
            return Ok(vec![bytes.to_vec()]);
        };
        if bytes.is_empty() {
            let closed = "it closed the connection";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, closed));
        }
        framer.push(bytes);
        let mut messages = Vec::new();
        while let Some(frame) = framer
            .next_frame()
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?
        {
            if let Frame::Message(message) = frame {
                messages.push(message.to_vec());
            }
        }
        Ok(messages)
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::super::model::tests::trunk;
    use super::*;

    /// One connection, answered with `status` to the first OPTIONS.
    fn answering(listener: TcpListener, status: &'static str) -> std::thread::JoinHandle<()> {
        std::thread::spawn(move || {
            let (stream, remote) = listener.accept().unwrap();
            let mut wire = Wire::Tcp(stream, Framer::default());
            assert_eq!(wire.flow(remote).unwrap().transport, Transport::Tcp);
            let request = loop {
                if let Some(request) = wire.receive(&mut [0; 4_096]).unwrap().pop() {
                    break String::from_utf8(request).unwrap();
                }
            };
            assert!(request.contains("\r\nVia: SIP/2.0/TCP "), "{request}");
            let copied = |name: &str| {
                let line = request.lines().find(|line| line.starts_with(name));
                format!("{}\r\n", line.unwrap())
            };
            let headers = ["Via:", "From:", "To:", "Call-ID:", "CSeq:"].map(copied);
            let answer = format!("SIP/2.0 {status}\r\n{}l: 0\r\n\r\n", headers.concat());
            wire.send(answer.as_bytes()).unwrap();
        })
    }

    fn tcp_trunk(target: SocketAddr) -> Trunk {
        Trunk {
            transport: model::Transport::Tcp,
            ..trunk("tr_1", &target.to_string())
        }
    }

    #[test]
    fn a_trunk_by_tcp_is_asked_by_tcp() {
        for (status, is_up) in [("200 OK", true), ("503 No", false), ("404 No", true)] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let target = listener.local_addr().unwrap();
            let peer = answering(listener, status);
            let tested = test(&tcp_trunk(target));
            let answer = tested[0].outcome.as_ref().unwrap();
            assert_eq!(answer.is_up, is_up, "{status}");
            peer.join().unwrap();
        }
    }

    #[test]
    fn a_closed_port_of_a_trunk_by_tcp_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = listener.local_addr().unwrap();
        drop(listener);
        let tested = test(&tcp_trunk(target));
        let error = tested[0].outcome.as_ref().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
