//! A browser that checks, and what an agent makes of it.

mod agent;
mod messages;
mod ways;

use std::net::SocketAddr;
use std::time::Instant;

use arrayvec::ArrayVec;

use crate::ice::stun::{Attribute, write_request};
use crate::ice::{Agent, Credentials};

const OURS: &[u8] = b"ourUfrag";
const PASSWORD: &[u8] = b"ourPasswordOf24Character";
const PEER: &[u8] = b"peer";
const PEER_PASSWORD: &[u8] = b"peerPasswordOf24Characte";

#[expect(
    clippy::disallowed_methods,
    reason = "the one moment a test counts from"
)]
fn beginning() -> Instant {
    Instant::now()
}

fn agent(now: Instant) -> Agent {
    Agent::new(now, Credentials::new(OURS, PASSWORD).unwrap(), peer(PEER))
}

fn peer(fragment: &[u8]) -> Credentials {
    Credentials::new(fragment, PEER_PASSWORD).unwrap()
}

fn source(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 7], port))
}

/// A check as a browser sends it, which a test changes before it is written.
struct Check<'a> {
    name: Vec<u8>,
    password: &'a [u8],
    priority: u32,
    use_candidate: bool,
    more: Vec<(u16, &'a [u8])>,
    /// Each check has its own, unless it is said.
    transaction: Option<[u8; 12]>,
}

fn next_transaction() -> [u8; 12] {
    use std::sync::atomic::{AtomicU64, Ordering};
    static LAST: AtomicU64 = AtomicU64::new(0);
    let mut octets = *b"transaction!";
    octets[..8].copy_from_slice(&LAST.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    octets
}

impl Default for Check<'_> {
    fn default() -> Self {
        Self {
            name: [OURS, b":", PEER].concat(),
            password: PASSWORD,
            priority: 1_853_824_767,
            use_candidate: false,
            more: vec![(Attribute::IceControlling.number(), &[7; 8])],
            transaction: None,
        }
    }
}

impl Check<'_> {
    fn nominating(priority: u32) -> Vec<u8> {
        Check {
            priority,
            use_candidate: true,
            ..Check::default()
        }
        .write()
    }

    fn write(self) -> Vec<u8> {
        let priority = self.priority.to_be_bytes();
        let mut attributes: Vec<(u16, &[u8])> = vec![
            (Attribute::Username.number(), &self.name),
            (0xc057, &[0, 0, 3, 0xe7]), // GOOG-NETWORK-INFO: may be passed over
            (Attribute::Priority.number(), &priority),
        ];
        if self.use_candidate {
            attributes.push((Attribute::UseCandidate.number(), &[]));
        }
        attributes.extend(self.more);
        let transaction = self.transaction.unwrap_or_else(next_transaction);
        let written: ArrayVec<u8, 1_400> =
            write_request(&transaction, &attributes, self.password).unwrap();
        written.to_vec()
    }
}
