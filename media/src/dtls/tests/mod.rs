//! Handshakes between our side and the library's own, over a network in memory that loses, doubles
//! and reorders, in a time that the test moves.

mod certificates;
mod handshakes;
mod hostile;
mod preferences;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use dimpl::{Config, Dtls, DtlsCertificate, SrtpProfile};

use super::{Endpoint, Failure, Fingerprint, Handshake, Output, POLL_BUFFER_SIZE, Role};
use crate::hexadecimal::octets;
use crate::srtp::SrtpPlan;
use certificates::{OURS_CERTIFICATE, OURS_KEY, PEER_CERTIFICATE, PEER_KEY};

#[expect(
    clippy::disallowed_methods,
    reason = "the one moment a test counts from"
)]
fn beginning() -> Instant {
    Instant::now()
}

pub(crate) fn endpoint() -> Endpoint {
    Endpoint::new(&octets(OURS_CERTIFICATE), &octets(OURS_KEY)).unwrap()
}

pub(crate) fn peer_endpoint() -> Endpoint {
    Endpoint::new(&octets(PEER_CERTIFICATE), &octets(PEER_KEY)).unwrap()
}

fn peer_fingerprint() -> Fingerprint {
    Fingerprint::of(&octets(PEER_CERTIFICATE))
}

/// The version that a peer speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Dtls12,
    Dtls13,
    Either,
}

impl Version {
    const ALL: [Self; 3] = [Self::Dtls12, Self::Dtls13, Self::Either];
}

/// Our side, and what came of it.
struct Ours {
    handshake: Handshake,
    keys: Option<SrtpPlan>,
    failed: Option<Failure>,
    is_closed: bool,
}

impl Ours {
    fn new(now: Instant, role: Role, expected: &[Fingerprint]) -> Self {
        Self {
            handshake: Handshake::new(now, &endpoint(), role, expected),
            keys: None,
            failed: None,
            is_closed: false,
        }
    }

    fn drain(&mut self, to: &mut VecDeque<Vec<u8>>) {
        let mut buffer = [0; POLL_BUFFER_SIZE];
        for outputs in 0.. {
            assert!(outputs < 100, "outputs are bounded");
            match self.handshake.poll(&mut buffer) {
                None => break,
                Some(Output::Datagram(datagram)) => to.push_back(datagram.to_vec()),
                Some(Output::Keys(keys)) => {
                    assert!(self.keys.is_none(), "once");
                    self.keys = Some(keys);
                }
                Some(Output::Failed(failure)) => {
                    assert!(self.failed.is_none(), "once");
                    self.failed = Some(failure);
                }
                Some(Output::Closed) => self.is_closed = true,
            }
        }
    }
}

/// The library's own end.
struct Peer {
    dtls: Dtls,
    certificate: Option<Vec<u8>>,
    keys: Option<(Vec<u8>, SrtpProfile)>,
    deadline: Option<Instant>,
    is_over: bool,
}

impl Peer {
    fn new(now: Instant, version: Version, role: Role, mtu: usize) -> Self {
        Self::with(now, version, role, mtu, octets(PEER_CERTIFICATE))
    }

    fn with(now: Instant, version: Version, role: Role, mtu: usize, certificate: Vec<u8>) -> Self {
        let config = Config::builder()
            .mtu(mtu)
            .flight_start_rto(std::time::Duration::from_millis(100))
            .flight_retries(10)
            .use_server_cookie(role == Role::Client)
            .build();
        let config = Arc::new(config.unwrap());
        Self::made(now, version, role, config, certificate)
    }

    /// By a configuration of its own.
    fn by(now: Instant, version: Version, role: Role, config: Arc<Config>) -> Self {
        Self::made(now, version, role, config, octets(PEER_CERTIFICATE))
    }

    fn made(
        now: Instant,
        version: Version,
        role: Role,
        config: Arc<Config>,
        certificate: Vec<u8>,
    ) -> Self {
        let certificate = DtlsCertificate {
            certificate,
            private_key: octets(PEER_KEY),
        };
        let make = match version {
            Version::Dtls12 => Dtls::new_12,
            Version::Dtls13 => Dtls::new_13,
            Version::Either => Dtls::new_auto,
        };
        let mut dtls = make(config, certificate, now);
        dtls.set_active(role == Role::Client);
        let mut peer = Self {
            dtls,
            certificate: None,
            keys: None,
            deadline: None,
            is_over: false,
        };
        peer.is_over = peer.dtls.handle_timeout(now).is_err();
        peer
    }

    fn handle(&mut self, now: Instant, datagram: Option<&[u8]>) {
        if self.is_over {
            return;
        }
        let timed = self.dtls.handle_timeout(now);
        let handled =
            timed.and_then(|()| datagram.map_or(Ok(()), |it| self.dtls.handle_packet(it)));
        self.is_over = handled.is_err();
    }

    fn drain(&mut self, to: &mut VecDeque<Vec<u8>>) {
        let mut buffer = [0; POLL_BUFFER_SIZE];
        while !self.is_over {
            match self.dtls.poll_output(&mut buffer) {
                dimpl::Output::Packet(packet) => to.push_back(packet.to_vec()),
                dimpl::Output::PeerCert(der) => self.certificate = Some(der.to_vec()),
                dimpl::Output::KeyingMaterial(material, profile) => {
                    self.keys = Some((material.to_vec(), profile));
                }
                dimpl::Output::Timeout(deadline) => {
                    self.deadline = Some(deadline);
                    break;
                }
                dimpl::Output::BufferTooSmall { needed } => panic!("{needed} octets"),
                dimpl::Output::Connected
                | dimpl::Output::ApplicationData(_)
                | dimpl::Output::CloseNotify
                | _ => {}
            }
        }
    }

    fn plan(&self, role: Role) -> Option<SrtpPlan> {
        let (material, profile) = self.keys.as_ref()?;
        super::keys::plan(super::keys::suite(*profile)?, role, material)
    }
}

/// What a network does to datagrams: parts of a hundred.
#[derive(Debug, Clone, Copy, Default)]
struct Weather {
    lost: u32,
    doubled: u32,
    overtaken: u32,
    junk: u32,
    /// Octets of it are others, or it is cut.
    changed: u32,
}

/// Both ends, and what is under way between them.
struct Link {
    now: Instant,
    ours: Ours,
    peer: Peer,
    to_ours: VecDeque<Vec<u8>>,
    to_peer: VecDeque<Vec<u8>>,
    weather: Weather,
    random: u64,
}

impl Link {
    fn new(ours: Ours, peer: Peer, now: Instant) -> Self {
        Self {
            now,
            ours,
            peer,
            to_ours: VecDeque::new(),
            to_peer: VecDeque::new(),
            weather: Weather::default(),
            random: 1,
        }
    }

    /// Our side in this role against the library's in the other.
    fn between(role: Role, version: Version, mtu: usize, expected: &[Fingerprint]) -> Self {
        let now = beginning();
        let opposite = match role {
            Role::Server => Role::Client,
            Role::Client => Role::Server,
        };
        let peer = Peer::new(now, version, opposite, mtu);
        Self::new(Ours::new(now, role, expected), peer, now)
    }

    fn percent(&mut self) -> u32 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        u32::try_from((self.random >> 40) % 100).unwrap()
    }

    fn chance(&mut self, percent: u32) -> bool {
        percent > 0 && self.percent() < percent
    }

    /// Octets that look like a record of DTLS, more or less.
    fn junk(&mut self) -> Vec<u8> {
        let size = self.percent() as usize * 3 + 1;
        let mut junk: Vec<u8> = (0..size)
            .map(|_| u8::try_from(self.percent() * 2).unwrap())
            .collect();
        junk[0] = 20 + u8::try_from(self.percent() % 44).unwrap();
        if self.chance(60) && junk.len() > 13 {
            junk[1..3].copy_from_slice(&[0xfe, 0xfd]);
            junk[3..11].fill(0);
            let content = u16::try_from(junk.len() - 13).unwrap();
            junk[11..13].copy_from_slice(&content.to_be_bytes());
        }
        junk
    }

    fn drain(&mut self) {
        self.ours.drain(&mut self.to_peer);
        self.peer.drain(&mut self.to_ours);
    }

    fn change(&mut self, datagram: &mut Vec<u8>) {
        for _ in 0..=self.percent() % 3 {
            let place = (self.percent() * 100 + self.percent()) as usize % datagram.len().max(1);
            // Headers are where lengths stand.
            let place = if self.chance(50) { place % 60 } else { place };
            let value = u8::try_from(self.percent() * 255 / 99).unwrap();
            match self.percent() % 4 {
                0 => datagram.truncate(place.max(1)),
                1 => datagram.push(value),
                _ => {
                    if let Some(octet) = datagram.get_mut(place) {
                        *octet = value;
                    }
                }
            }
        }
    }

    /// What is taken from a queue under this weather.
    fn carry(&mut self, queue: &mut VecDeque<Vec<u8>>) -> Option<Vec<u8>> {
        if queue.len() > 1 && self.chance(self.weather.overtaken) {
            queue.rotate_left(1);
        }
        let datagram = queue.pop_front()?;
        if self.chance(self.weather.lost) {
            return None;
        }
        let mut datagram = datagram;
        if self.chance(self.weather.changed) {
            self.change(&mut datagram);
        }
        if self.chance(self.weather.doubled) {
            queue.push_back(datagram.clone());
        }
        Some(datagram)
    }

    fn step(&mut self) {
        if self.chance(self.weather.junk) {
            let junk = self.junk();
            self.ours.handshake.handle_packet(self.now, &junk);
            self.drain();
        }
        let mut queue = std::mem::take(&mut self.to_ours);
        if let Some(datagram) = self.carry(&mut queue) {
            self.ours.handshake.handle_packet(self.now, &datagram);
        }
        queue.append(&mut self.to_ours);
        self.to_ours = queue;
        let mut queue = std::mem::take(&mut self.to_peer);
        if let Some(datagram) = self.carry(&mut queue) {
            self.peer.handle(self.now, Some(&datagram));
        }
        queue.append(&mut self.to_peer);
        self.to_peer = queue;
        self.drain();
    }

    /// Until both have keys, one failed, or nothing happens any more.
    fn run(&mut self) {
        self.drain();
        for _ in 0..5_000 {
            if self.ours.keys.is_some() && self.peer.keys.is_some() {
                break;
            }
            if self.ours.failed.is_some() || self.peer.is_over {
                break;
            }
            if self.to_ours.is_empty() && self.to_peer.is_empty() {
                let deadlines = [self.ours.handshake.deadline(), self.peer.deadline];
                let Some(next) = deadlines.into_iter().flatten().min() else {
                    break;
                };
                self.now = self.now.max(next);
                self.ours.handshake.handle_timeout(self.now);
                self.peer.handle(self.now, None);
                self.drain();
            }
            self.step();
        }
    }
}
