//! Connections between the gateway and the peers that speak TCP: octets in order, cut anywhere, held
//! up, and lost with their connection.
//!
//! Owns one connection a peer, opened by whoever speaks first and used both ways. The gateway's end is
//! framed by the product, as its shell does; a peer's end by a framing of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use sip::transport::stream::{Frame, Framer};

use crate::random::Generator;
use crate::time::SimTime;

/// The faults of connections, in events per thousand messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct StreamFaults {
    /// A message comes in pieces.
    pub(crate) cut: u32,
    /// Its rest is held up, and everything behind it.
    pub(crate) stall: u32,
    /// The connection breaks while it is under way.
    pub(crate) close: u32,
}

impl StreamFaults {
    /// Each fault exists in some worlds only.
    pub(crate) fn draw(random: &mut Generator) -> Self {
        let mut some = |per_mille: u32, most: u64| {
            if random.chance(per_mille) {
                u32::try_from(1 + random.below(most)).unwrap_or(1)
            } else {
                0
            }
        };
        Self {
            cut: some(800, 900),
            stall: some(400, 100),
            close: some(400, 60),
        }
    }
}

/// Octets under way.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) peer: SocketAddr,
    pub(crate) to_gateway: bool,
    generation: u32,
    bytes: Vec<u8>,
}

/// What becomes of a message.
#[derive(Debug, Default)]
pub(crate) struct Carried {
    pub(crate) segments: Vec<(SimTime, Segment)>,
    /// The connection breaks then.
    pub(crate) breaks: Option<(SimTime, u32)>,
}

/// All connections of a world.
#[derive(Debug)]
pub(crate) struct Streams {
    faults: StreamFaults,
    delay: Duration,
    random: Generator,
    links: BTreeMap<SocketAddr, Link>,
    perfect: bool,
}

/// A connection, and those that were there before it.
#[derive(Debug, Default)]
struct Link {
    generation: u32,
    to_gateway: Framer,
    to_peer: Vec<u8>,
    /// What the peer has said by this connection: its own timers repeat as if it were a socket, and
    /// TCP has no use for that.
    said: BTreeSet<Vec<u8>>,
    /// When the last octet of each direction arrives: to the peer, to the gateway.
    latest: [Option<SimTime>; 2],
}

impl Streams {
    pub(crate) const fn new(delay: Duration, random: Generator) -> Self {
        Self {
            faults: StreamFaults {
                cut: 0,
                stall: 0,
                close: 0,
            },
            delay,
            random,
            links: BTreeMap::new(),
            perfect: false,
        }
    }

    /// This peer speaks TCP.
    pub(crate) fn add(&mut self, peer: SocketAddr) {
        let _ = self.links.insert(peer, Link::default());
    }

    pub(crate) const fn set_faults(&mut self, faults: StreamFaults) {
        self.faults = faults;
    }

    pub(crate) fn has(&self, peer: SocketAddr) -> bool {
        self.links.contains_key(&peer)
    }

    /// Nothing breaks or is held up from now on.
    pub(crate) const fn heal(&mut self) {
        self.perfect = true;
    }

    /// Takes a message of the gateway or of the peer.
    pub(crate) fn carry(
        &mut self,
        now: SimTime,
        peer: SocketAddr,
        to_gateway: bool,
        bytes: &[u8],
        extra: Duration,
    ) -> Carried {
        let faults = if self.perfect {
            StreamFaults::default()
        } else {
            self.faults
        };
        let Some(link) = self.links.get_mut(&peer) else {
            return Carried::default();
        };
        let mut carried = Carried::default();
        if to_gateway && !link.said.insert(bytes.to_vec()) {
            return carried;
        }
        let mut at = now + self.delay + extra;
        at = link.latest[usize::from(to_gateway)].map_or(at, |latest| at.max(latest));
        let mut rest = bytes;
        while !rest.is_empty() {
            let size = if self.random.chance(faults.cut) {
                1 + self.random.index(rest.len())
            } else {
                rest.len()
            };
            let (piece, after) = rest.split_at(size);
            rest = after;
            let segment = Segment {
                peer,
                to_gateway,
                generation: link.generation,
                bytes: piece.to_vec(),
            };
            carried.segments.push((at, segment));
            if self.random.chance(faults.stall) {
                at = at + self.random.millis(10, 1_500);
            }
        }
        link.latest[usize::from(to_gateway)] = Some(at);
        if self.random.chance(faults.close) {
            // Before, between or after the pieces.
            let within = u64::try_from(at.since(now).as_micros()).unwrap_or(0);
            let breaks = now + self.random.micros(0, within + 2_000);
            carried.breaks = Some((breaks, link.generation));
        }
        carried
    }

    /// Octets arrive: the messages that are whole now.
    ///
    /// # Errors
    /// What the gateway or a peer wrote cannot be cut into messages.
    pub(crate) fn arrive(&mut self, segment: &Segment) -> Result<Vec<Vec<u8>>, String> {
        let Some(link) = self.links.get_mut(&segment.peer) else {
            return Ok(Vec::new());
        };
        if link.generation != segment.generation {
            // Lost with its connection.
            return Ok(Vec::new());
        }
        let mut messages = Vec::new();
        if segment.to_gateway {
            link.to_gateway.push(&segment.bytes);
            while let Some(frame) = link
                .to_gateway
                .next_frame()
                .map_err(|error| format!("a peer's stream is refused: {error}"))?
            {
                if let Frame::Message(bytes) = frame {
                    messages.push(bytes.to_vec());
                }
            }
        } else {
            link.to_peer.extend_from_slice(&segment.bytes);
            while let Some(bytes) = cut(&mut link.to_peer)? {
                messages.push(bytes);
            }
        }
        Ok(messages)
    }

    /// The connection of this generation breaks; `false`: it has broken before.
    pub(crate) fn break_off(&mut self, peer: SocketAddr, generation: u32) -> bool {
        let Some(link) = self.links.get_mut(&peer) else {
            return false;
        };
        if link.generation != generation {
            return false;
        }
        *link = Link {
            generation: generation + 1,
            ..Link::default()
        };
        true
    }
}

/// The first whole message, taken out.
fn cut(buffer: &mut Vec<u8>) -> Result<Option<Vec<u8>>, String> {
    let Some(head) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&buffer[..head]).into_owned();
    let length = text
        .split("\r\n")
        .find_map(|line| line.strip_prefix("Content-Length: "))
        .and_then(|length| length.parse::<usize>().ok())
        .ok_or_else(|| format!("RFC 3261 §20.14: no Content-Length on a stream: {text}"))?;
    let size = head + 4 + length;
    if buffer.len() < size {
        return Ok(None);
    }
    Ok(Some(buffer.drain(..size).collect()))
}

/// A message of a model peer, which writes as if it were sent by UDP.
pub(crate) fn over_tcp(bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    text.replace("Via: SIP/2.0/UDP", "Via: SIP/2.0/TCP")
        .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &[u8] = b"OPTIONS sip:a SIP/2.0\r\nContent-Length: 3\r\n\r\n";

    /// None like another.
    fn message(number: u32) -> Vec<u8> {
        [MESSAGE, format!("{number:03}").as_bytes()].concat()
    }

    fn peer() -> SocketAddr {
        "10.2.0.1:5060".parse().unwrap()
    }

    fn streams(faults: StreamFaults) -> Streams {
        let mut streams = Streams::new(Duration::from_millis(5), Generator::new(1, "streams"));
        streams.add(peer());
        streams.set_faults(faults);
        streams
    }

    fn run(faults: StreamFaults, to_gateway: bool) -> (usize, usize, bool) {
        let mut streams = streams(faults);
        let (mut pieces, mut whole, mut broke) = (0, 0, false);
        for number in 0..100 {
            let bytes = message(number);
            let carried = streams.carry(SimTime::ZERO, peer(), to_gateway, &bytes, Duration::ZERO);
            broke |= carried.breaks.is_some();
            for (_, segment) in carried.segments {
                pieces += 1;
                for message in streams.arrive(&segment).unwrap() {
                    assert_eq!(message, bytes);
                    whole += 1;
                }
            }
        }
        (pieces, whole, broke)
    }

    #[test]
    fn messages_come_whole_in_both_directions_however_they_are_cut() {
        let faults = StreamFaults {
            cut: 900,
            ..StreamFaults::default()
        };
        for to_gateway in [true, false] {
            let (pieces, whole, broke) = run(faults, to_gateway);
            assert!(pieces > 150, "{pieces}");
            assert_eq!((whole, broke), (100, false));
        }
    }

    #[test]
    fn what_is_under_way_is_lost_with_its_connection() {
        let faults = StreamFaults {
            close: 1_000,
            ..StreamFaults::default()
        };
        let mut streams = streams(faults);
        let carry = |streams: &mut Streams| {
            streams.carry(SimTime::ZERO, peer(), true, &message(1), Duration::ZERO)
        };
        let mut carried = carry(&mut streams);
        let (_, generation) = carried.breaks.unwrap();
        assert!(streams.break_off(peer(), generation));
        assert!(!streams.break_off(peer(), generation));
        let (_, segment) = carried.segments.pop().unwrap();
        assert_eq!(streams.arrive(&segment).unwrap(), Vec::<Vec<u8>>::new());
        let (_, segment) = carry(&mut streams).segments.pop().unwrap();
        assert_eq!(streams.arrive(&segment).unwrap(), [message(1)]);
        assert!(
            carry(&mut streams).segments.is_empty(),
            "said once a connection"
        );
    }
}
