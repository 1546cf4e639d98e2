//! Handshakes that come to whatever the second octet of a datagram says.

use std::time::{Duration, Instant};

use media::dtls::{
    Failure, Fingerprint, KeyExchange, KeyExchanging, Output, POLL_BUFFER_SIZE, Role,
};
use media::srtp::{MasterKey, SrtpPlan, Suite};

#[derive(Debug)]
pub(crate) struct Wanton;

#[derive(Debug)]
struct Handshake {
    deadline: Option<Instant>,
    next: Vec<(u8, u8)>,
    is_keyed: bool,
    is_over: bool,
}

impl KeyExchange for Wanton {
    fn begin(&self, now: Instant, role: Role, _: &[Fingerprint]) -> Box<dyn KeyExchanging> {
        Box::new(Handshake {
            deadline: Some(now + Duration::from_secs(1)),
            next: vec![(u8::from(role == Role::Client), 0)],
            is_keyed: false,
            is_over: false,
        })
    }
}

impl KeyExchanging for Handshake {
    fn handle_packet(&mut self, _: Instant, datagram: &[u8]) {
        if let [_, what, seed, ..] = datagram {
            self.next.push((*what, *seed));
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.deadline.is_some_and(|at| at <= now) {
            self.deadline = Some(now + Duration::from_secs(1));
            self.next.push((1, 0));
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline.filter(|_| !self.is_over)
    }

    fn poll<'a>(&mut self, buffer: &'a mut [u8; POLL_BUFFER_SIZE]) -> Option<Output<'a>> {
        while let Some((what, seed)) = self.next.pop() {
            match what % 8 {
                _ if self.is_over => {}
                1 => return buffer.get(..40).map(Output::Datagram),
                2..=4 if !self.is_keyed => {
                    self.is_keyed = true;
                    return plan(seed).map(Output::Keys);
                }
                5 => {
                    self.is_over = true;
                    return Some(Output::Failed(Failure::Protocol));
                }
                6 => {
                    self.is_over = true;
                    return Some(Output::Closed);
                }
                _ => {}
            }
        }
        None
    }
}

/// Few keys, so that some come back.
fn plan(seed: u8) -> Option<SrtpPlan> {
    let suite = Suite::AesCm128HmacSha1_80;
    let key = |octet| MasterKey::new(suite, &[octet; 30]);
    Some(SrtpPlan {
        send: key(seed % 4)?,
        receive: key(seed % 4 + 4)?,
    })
}
