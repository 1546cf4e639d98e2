//! A handshake that replays: three messages with a number and a fingerprint each, and keys made of
//! both numbers. It keeps no secret.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::dtls::{
    Failure, Fingerprint, KeyExchange, KeyExchanging, Output, POLL_BUFFER_SIZE, Role,
};
use crate::srtp::{MasterKey, SrtpPlan, Suite};

/// One end's certificate.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine::tests) struct Model(pub(in crate::engine::tests) u8);

impl Model {
    pub(in crate::engine::tests) fn fingerprint(self) -> Fingerprint {
        Fingerprint::new([self.0; 32])
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Message {
    Hello = 1,
    Answer = 2,
    Finished = 3,
    Close = 4,
    /// Breaks what goes on, and does not end it.
    Alien = 5,
    /// Ends a session that has keys by a failure.
    Failing = 6,
}

#[derive(Debug)]
struct ModelHandshake {
    own: u8,
    role: Role,
    expected: Vec<Fingerprint>,
    other: Option<u8>,
    deadline: Option<Instant>,
    tries: u32,
    out: VecDeque<Wanted>,
    is_over: bool,
    is_broken: bool,
}

#[derive(Debug)]
enum Wanted {
    Datagram([u8; 34]),
    Keys(Box<SrtpPlan>),
    Failed(Failure),
    Closed,
}

impl KeyExchange for Model {
    fn begin(&self, now: Instant, role: Role, expected: &[Fingerprint]) -> Box<dyn KeyExchanging> {
        let mut handshake = ModelHandshake {
            own: self.0,
            role,
            expected: expected.to_vec(),
            other: None,
            deadline: Some(now + Duration::from_millis(250)),
            tries: 0,
            out: VecDeque::new(),
            is_over: false,
            is_broken: false,
        };
        if role == Role::Client {
            handshake.say(Message::Hello);
        }
        Box::new(handshake)
    }
}

/// What ends a session.
pub(super) fn close(model: Model) -> Vec<u8> {
    datagram(model.0, Message::Close).to_vec()
}

/// What no handshake has.
pub(super) fn alien(model: Model) -> Vec<u8> {
    datagram(model.0, Message::Alien).to_vec()
}

/// What breaks a session.
pub(super) fn failing(model: Model) -> Vec<u8> {
    datagram(model.0, Message::Failing).to_vec()
}

fn datagram(own: u8, message: Message) -> [u8; 34] {
    let mut octets = [own; 34];
    octets[0] = 22;
    octets[1] = message as u8;
    octets
}

impl ModelHandshake {
    fn say(&mut self, message: Message) {
        self.out
            .push_back(Wanted::Datagram(datagram(self.own, message)));
    }

    fn hear(&mut self, message: u8, fingerprint: Fingerprint, number: u8) {
        if message == Message::Alien as u8 {
            self.is_broken = true;
            return;
        }
        let ends = [Message::Close as u8, Message::Failing as u8];
        if ends.contains(&message) {
            if self.deadline.is_none() && self.other.is_some() {
                self.is_over = true;
                let is_closed = message == Message::Close as u8;
                let failed = Wanted::Failed(Failure::Protocol);
                self.out
                    .push_back(if is_closed { Wanted::Closed } else { failed });
            }
            return;
        }
        if !self.expected.contains(&fingerprint) {
            self.is_over = true;
            self.out.push_back(Wanted::Failed(Failure::Fingerprint));
            return;
        }
        let is_first = self.other != Some(number);
        match (self.role, message) {
            (Role::Server, 1) => self.say(Message::Answer),
            (Role::Server, 3) if is_first => self.keyed(number),
            (Role::Client, 2) => {
                self.say(Message::Finished);
                if is_first {
                    self.keyed(number);
                }
            }
            _ => {}
        }
    }

    fn keyed(&mut self, number: u8) {
        self.other = Some(number);
        self.deadline = None;
        let key = |from: u8, to: u8| {
            let suite = Suite::AesCm128HmacSha1_80;
            let octets: Vec<u8> = (0..suite.key_size() + suite.salt_size())
                .map(|at| u8::try_from(at).unwrap().wrapping_mul(from | 1) ^ to.rotate_left(3))
                .collect();
            MasterKey::new(suite, &octets).unwrap()
        };
        let plan = SrtpPlan {
            send: key(self.own, number),
            receive: key(number, self.own),
        };
        self.out.push_back(Wanted::Keys(Box::new(plan)));
    }
}

impl KeyExchanging for ModelHandshake {
    fn handle_packet(&mut self, _now: Instant, datagram: &[u8]) {
        if self.is_over {
            return;
        }
        if let [22, message, rest @ ..] = datagram
            && let Ok(octets) = <[u8; 32]>::try_from(rest)
        {
            self.hear(*message, Fingerprint::new(octets), octets[0]);
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.is_over || self.deadline.is_none_or(|at| at > now) {
            return;
        }
        self.tries += 1;
        if self.tries > 6 {
            self.is_over = true;
            self.deadline = None;
            self.out.push_back(Wanted::Failed(Failure::Timeout));
            return;
        }
        self.deadline = Some(now + Duration::from_millis(250) * 2_u32.pow(self.tries));
        let last = match self.role {
            Role::Server => Message::Answer,
            Role::Client => Message::Hello,
        };
        self.say(last);
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn unfinished(&self) -> Failure {
        if self.is_broken {
            Failure::Protocol
        } else {
            Failure::Timeout
        }
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
