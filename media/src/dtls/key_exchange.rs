//! The seam behind which keys are made: DTLS in production, and a model where a run has to replay.

use std::fmt::Debug;
use std::time::Instant;

use crate::dtls::{Endpoint, Failure, Fingerprint, Handshake, Output, POLL_BUFFER_SIZE, Role};

/// What begins handshakes.
pub trait KeyExchange: Debug + Send + Sync {
    /// A handshake with a peer whose description names these certificates.
    fn begin(&self, now: Instant, role: Role, expected: &[Fingerprint]) -> Box<dyn KeyExchanging>;
}

/// One handshake. After it was begun and after each `handle_*`, drain [`poll`](Self::poll) to `None`.
pub trait KeyExchanging: Debug {
    /// A datagram of the nominated source that is DTLS by its first octet.
    fn handle_packet(&mut self, now: Instant, datagram: &[u8]);

    /// The moment of [`deadline`](Self::deadline) has come.
    fn handle_timeout(&mut self, now: Instant);

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    fn deadline(&self) -> Option<Instant>;

    /// What is to be said of it if nobody waits for it any longer.
    fn unfinished(&self) -> Failure {
        Failure::Timeout
    }

    /// The next thing that is wanted. `None`: nothing until the next `handle_*`.
    fn poll<'a>(&mut self, buffer: &'a mut [u8; POLL_BUFFER_SIZE]) -> Option<Output<'a>>;
}

impl KeyExchange for Endpoint {
    fn begin(&self, now: Instant, role: Role, expected: &[Fingerprint]) -> Box<dyn KeyExchanging> {
        Box::new(Handshake::new(now, self, role, expected))
    }
}

impl KeyExchanging for Handshake {
    fn handle_packet(&mut self, now: Instant, datagram: &[u8]) {
        Self::handle_packet(self, now, datagram);
    }

    fn handle_timeout(&mut self, now: Instant) {
        Self::handle_timeout(self, now);
    }

    fn deadline(&self) -> Option<Instant> {
        Self::deadline(self)
    }

    fn unfinished(&self) -> Failure {
        Self::unfinished(self)
    }

    fn poll<'a>(&mut self, buffer: &'a mut [u8; POLL_BUFFER_SIZE]) -> Option<Output<'a>> {
        Self::poll(self, buffer)
    }
}
