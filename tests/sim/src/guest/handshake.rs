//! A handshake that replays: three messages with a number of each side, and keys made of both numbers. It
//! keeps no secret; that of the product is judged elsewhere.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use media::dtls::{
    Failure, Fingerprint, KeyExchange, KeyExchanging, Output, POLL_BUFFER_SIZE, Role,
};
use media::srtp::{MasterKey, SrtpPlan, Suite};

use crate::random::Generator;

/// Digest of the gateway's certificate.
pub(crate) const GATEWAYS: [u8; 32] = [0x11; 32];

/// Who makes handshakes: each has a number that no other one of it has.
#[derive(Debug)]
pub(crate) struct Model {
    certificate: [u8; 32],
    next: AtomicU32,
}

impl Model {
    /// `certificate`: what its description names.
    pub(crate) const fn new(certificate: [u8; 32]) -> Self {
        Self {
            certificate,
            next: AtomicU32::new(1),
        }
    }
}

/// After the octet that makes it DTLS.
const HELLO: u8 = 1;
const ANSWER: u8 = 2;
const FINISHED: u8 = 3;
/// The session ends.
const CLOSE: u8 = 4;

/// Its pauses double; after these many it is given up.
const TRIES_MAX: u32 = 7;
const PAUSE: Duration = Duration::from_millis(250);

/// One handshake.
#[derive(Debug)]
struct Handshake {
    certificate: [u8; 32],
    number: u32,
    role: Role,
    expected: Vec<Fingerprint>,
    /// The number of the other side.
    other: Option<u32>,
    deadline: Option<Instant>,
    tries: u32,
    out: VecDeque<Wanted>,
    is_over: bool,
}

#[derive(Debug)]
enum Wanted {
    Datagram(Vec<u8>),
    Keys(Box<SrtpPlan>),
    Failed(Failure),
    Closed,
}

impl KeyExchange for Model {
    fn begin(&self, now: Instant, role: Role, expected: &[Fingerprint]) -> Box<dyn KeyExchanging> {
        let mut handshake = Handshake {
            certificate: self.certificate,
            number: self.next.fetch_add(1, Ordering::Relaxed),
            role,
            expected: expected.to_vec(),
            other: None,
            deadline: Some(now + PAUSE),
            tries: 0,
            out: VecDeque::new(),
            is_over: false,
        };
        if role == Role::Client {
            handshake.say(HELLO);
        }
        Box::new(handshake)
    }
}

/// What ends a session of this certificate.
pub(super) fn close(certificate: [u8; 32]) -> Vec<u8> {
    written(CLOSE, certificate, 0)
}

fn written(message: u8, certificate: [u8; 32], number: u32) -> Vec<u8> {
    [&[22, message][..], &certificate, &number.to_be_bytes()].concat()
}

impl Handshake {
    fn say(&mut self, message: u8) {
        let datagram = written(message, self.certificate, self.number);
        self.out.push_back(Wanted::Datagram(datagram));
    }

    fn hear(&mut self, message: u8, certificate: [u8; 32], number: u32) {
        let is_keyed = self.deadline.is_none();
        if message == CLOSE {
            if is_keyed {
                self.is_over = true;
                self.out.push_back(Wanted::Closed);
            }
            return;
        }
        if !self.expected.contains(&Fingerprint::new(certificate)) {
            self.is_over = true;
            self.deadline = None;
            self.out.push_back(Wanted::Failed(Failure::Fingerprint));
            return;
        }
        match (self.role, message) {
            (Role::Server, HELLO) if !is_keyed || self.other == Some(number) => {
                self.other = Some(number);
                self.say(ANSWER);
            }
            (Role::Server, FINISHED) if !is_keyed && self.other == Some(number) => {
                self.keyed(number, self.number);
            }
            (Role::Client, ANSWER) if !is_keyed => {
                self.say(FINISHED);
                self.other = Some(number);
                self.keyed(self.number, number);
            }
            // What we said last was lost.
            (Role::Client, ANSWER) if self.other == Some(number) => self.say(FINISHED),
            _ => {}
        }
    }

    fn keyed(&mut self, client: u32, server: u32) {
        self.deadline = None;
        let key = |whose: &str| {
            let seed = u64::from(client) << 32 | u64::from(server);
            let mut random = Generator::new(seed, whose);
            let suite = if client.is_multiple_of(2) {
                Suite::AesCm128HmacSha1_80
            } else {
                Suite::AeadAes128Gcm
            };
            let octets = random.seed_bytes().into_iter().chain(random.seed_bytes());
            let octets: Vec<u8> = octets.take(suite.key_size() + suite.salt_size()).collect();
            MasterKey::new(suite, &octets).expect("octets of its suite")
        };
        let (ours, theirs) = match self.role {
            Role::Client => ("client", "server"),
            Role::Server => ("server", "client"),
        };
        let plan = SrtpPlan {
            send: key(ours),
            receive: key(theirs),
        };
        self.out.push_back(Wanted::Keys(Box::new(plan)));
    }
}

impl KeyExchanging for Handshake {
    fn handle_packet(&mut self, _now: Instant, datagram: &[u8]) {
        if let [22, message, rest @ ..] = datagram
            && let Some((certificate, number)) = rest.split_first_chunk::<32>()
            && let Ok(number) = <[u8; 4]>::try_from(number)
            && !self.is_over
        {
            self.hear(*message, *certificate, u32::from_be_bytes(number));
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.is_over || self.deadline.is_none_or(|at| at > now) {
            return;
        }
        self.tries += 1;
        if self.tries > TRIES_MAX {
            self.is_over = true;
            self.deadline = None;
            self.out.push_back(Wanted::Failed(Failure::Timeout));
            return;
        }
        self.deadline = Some(now + PAUSE * 2_u32.pow(self.tries));
        match self.role {
            Role::Client => self.say(HELLO),
            Role::Server if self.other.is_some() => self.say(ANSWER),
            Role::Server => {}
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn poll<'a>(&mut self, buffer: &'a mut [u8; POLL_BUFFER_SIZE]) -> Option<Output<'a>> {
        Some(match self.out.pop_front()? {
            Wanted::Datagram(octets) => {
                buffer[..octets.len()].copy_from_slice(&octets);
                Output::Datagram(&buffer[..octets.len()])
            }
            Wanted::Keys(plan) => Output::Keys(*plan),
            Wanted::Failed(failure) => Output::Failed(failure),
            Wanted::Closed => Output::Closed,
        })
    }
}
