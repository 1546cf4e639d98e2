//! `sluice trunks test`: one OPTIONS to each target of a trunk, and what came back when.
//!
//! A short-lived endpoint on a socket of its own: it works beside a running node and without one.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use sip::endpoint::Endpoint;
use sip::event::{EndpointConfig, Event, Flow, Input, Output, Ping, PingKey, Timers, Transport};
use sip::message::{SendBuffer, StatusCode, Uri};

use super::model::Trunk;

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
    let any: SocketAddr = if target.is_ipv4() {
        ([0, 0, 0, 0], 0).into()
    } else {
        ([0_u16; 8], 0).into()
    };
    let socket = UdpSocket::bind(any)?;
    // Connected: the kernel names our address towards it, and tells of an unreachable port.
    socket.connect(target)?;
    let flow = Flow {
        transport: Transport::Udp,
        local: socket.local_addr()?,
        remote: target,
    };
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
    let status = converse(&mut endpoint, &socket, flow, key, started)?.map(StatusCode::code);
    Ok(Answer {
        status,
        round_trip: started.elapsed(),
        is_up: status.is_some_and(|status| !trunk.down_codes.contains(&status)),
    })
}

fn converse(
    endpoint: &mut Endpoint,
    socket: &UdpSocket,
    flow: Flow,
    key: PingKey,
    started: Instant,
) -> io::Result<Option<StatusCode>> {
    let mut buffer = SendBuffer::new();
    let mut datagram = vec![0; 65_535];
    loop {
        while let Some(output) = endpoint.poll_output(&mut buffer) {
            match output {
                Output::Send { flow: _ } => {
                    socket.send(buffer.as_bytes())?;
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
        socket.set_read_timeout(Some(wait))?;
        match socket.recv(&mut datagram) {
            Ok(length) => {
                let bytes = datagram.get(..length).unwrap_or_default();
                endpoint.handle_input(Instant::now(), Input::Datagram { flow, bytes });
            }
            Err(error) if is_timeout(&error) => {
                endpoint.handle_input(Instant::now(), Input::Expired);
            }
            Err(error) => return Err(error),
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}
