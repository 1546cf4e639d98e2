//! One handshake, from the first datagram to keys or to a failure.

use std::fmt;
use std::time::Instant;

use arrayvec::ArrayVec;

use crate::dtls::attempt::{Attempt, Stage, Step};
use crate::dtls::plaintext::{Hello, Sealed};
use crate::dtls::{Endpoint, Fingerprint, plaintext};
use crate::limits::{
    DTLS_ATTEMPT_SPARED, DTLS_ATTEMPTS_MAX, DTLS_DATAGRAM_BYTES_MAX, DTLS_FOREIGN_WAIT,
    DTLS_HANDSHAKE_MAX, DTLS_RECEIVED_BYTES_MAX, DTLS_RESTARTS_MAX, FINGERPRINTS_MAX,
};
use crate::srtp::SrtpPlan;

/// Octets of the buffer that [`Handshake::poll`] writes into: the library puts a peer's certificate there
/// whole, however long, and stops the program where it finds no room. It has no more than 30 datagrams
/// put together.
pub const POLL_BUFFER_SIZE: usize = 1 << 16;

const _: () = assert!(
    30 * DTLS_RECEIVED_BYTES_MAX <= POLL_BUFFER_SIZE,
    "room for whatever was put together"
);

/// Who sends the first datagram (RFC 5763 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// `setup:passive`: the peer does.
    #[default]
    Server,
    /// `setup:active`: we do.
    Client,
}

/// Why there are no keys, or no longer a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// The peer's certificate is none of those its description names (RFC 8122 §6.2).
    Fingerprint,
    /// The peer's certificate is longer than is read.
    CertificateTooLong,
    /// The handshake ended without a certificate of the peer.
    CertificateMissing,
    /// The handshake ended without a protection profile that both have (RFC 5764 §4.1.1).
    NoProfile,
    /// The peer did not answer in time.
    Timeout,
    /// The peer broke the protocol, or said that we did.
    Protocol,
    /// The library failed over it: a fault of ours.
    Fault,
}

impl Failure {
    /// The label of its metric.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fingerprint => "dtls_fingerprint",
            Self::CertificateTooLong => "dtls_certificate_too_long",
            Self::CertificateMissing => "dtls_certificate_missing",
            Self::NoProfile => "dtls_no_profile",
            Self::Timeout => "dtls_timeout",
            Self::Protocol => "dtls_protocol",
            Self::Fault => "dtls_fault",
        }
    }
}

/// What a handshake wants or has come to.
#[derive(Debug)]
pub enum Output<'a> {
    /// This goes to the peer.
    Datagram(&'a [u8]),
    /// The peer is who its description says, and these are the keys of the leg. Once.
    Keys(SrtpPlan),
    /// It is over and there are no keys. Once, and nothing follows.
    Failed(Failure),
    /// The peer has ended the session (RFC 8446 §6.1). Once, and nothing follows.
    Closed,
}

/// One end of DTLS. After each `handle_*`, drain [`poll`](Self::poll) to `None`.
pub struct Handshake {
    /// One by each hello, the oldest first; none: it is over. Who is verified first is the peer.
    attempts: ArrayVec<Attempt, DTLS_ATTEMPTS_MAX>,
    endpoint: Endpoint,
    role: Role,
    expected: ArrayVec<Fingerprint, FINGERPRINTS_MAX>,
    failed: Option<Failure>,
    latest: Instant,
    began: Instant,
    /// Without keys it is over then, whatever the library says: it waits ten years for a first message.
    given_up_at: Instant,
    restarts: u8,
    /// What ended an attempt before.
    broken: Option<Failure>,
    ignored: u32,
}

impl Handshake {
    /// A handshake with a peer whose description names these certificates; further than
    /// [`FINGERPRINTS_MAX`] are not looked at, and with none every peer fails.
    #[must_use]
    pub fn new(now: Instant, endpoint: &Endpoint, role: Role, expected: &[Fingerprint]) -> Self {
        let mut handshake = Self {
            attempts: ArrayVec::new(),
            endpoint: endpoint.clone(),
            role,
            expected: expected.iter().copied().take(FINGERPRINTS_MAX).collect(),
            failed: None,
            latest: now,
            began: now,
            given_up_at: now + DTLS_HANDSHAKE_MAX,
            restarts: 0,
            broken: None,
            ignored: 0,
        };
        handshake.begin();
        handshake
    }

    fn begin(&mut self) {
        debug_assert!(!self.attempts.is_full(), "there is room");
        match Attempt::begun(self.latest, &self.endpoint, self.role) {
            Ok(attempt) => self.attempts.push(attempt),
            Err(failure) => self.failed = self.failed.or(Some(failure)),
        }
    }

    fn is_sure(&self) -> bool {
        self.attempts.iter().any(|attempt| attempt.stage.is_sure())
    }

    /// A datagram of the nominated source that is DTLS by its first octet.
    pub fn handle_packet(&mut self, now: Instant, datagram: &[u8]) {
        self.latest = self.latest.max(now);
        let is_long = datagram.len() > DTLS_RECEIVED_BYTES_MAX;
        let hello = plaintext::client_hello(datagram);
        let is_taken = !is_long
            && match hello {
                Hello::Begin(random) if self.role == Role::Server => {
                    !plaintext::has_needless(datagram, Sealed::Nowhere) && self.expect_hello(random)
                }
                Hello::Begin(_) | Hello::Part | Hello::None => true,
            };
        if !is_taken {
            self.ignored = self.ignored.saturating_add(1);
            return;
        }
        let is_server = self.role == Role::Server;
        // Of the others nobody knows whose they are, but each attempt itself.
        let is_for = |attempt: &Attempt| {
            let is_its = match (is_server, hello) {
                (false, _) | (true, Hello::Part) => true,
                (true, Hello::Begin(random)) => attempt.hello == Some(random),
                (true, Hello::None) => attempt.hello.is_some(),
            };
            is_its && !plaintext::has_needless(datagram, attempt.sealed())
        };
        if !self.attempts.iter().any(is_for) {
            self.ignored = self.ignored.saturating_add(1);
        }
        for at in (0..self.attempts.len()).rev() {
            let attempt = self.attempts.get_mut(at).filter(|it| is_for(it));
            if let Some(Err(why)) = attempt.map(|it| it.handle_packet(now, datagram)) {
                self.lose(at, why);
            }
        }
    }

    /// Whose hello came first need not be who finishes (RFC 6347 §4.2.8), and who says another while one goes
    /// on need not be the peer: for each of both there is an attempt. False: there is none for this one.
    fn expect_hello(&mut self, random: [u8; 32]) -> bool {
        let now = self.latest;
        if self.attempts.iter().any(|it| it.hello == Some(random)) {
            return true;
        }
        if self.is_sure() || self.failed.is_some() {
            return false;
        }
        if self.attempts.iter().all(|it| it.hello.is_some()) {
            if self.restarts >= DTLS_RESTARTS_MAX {
                return false;
            }
            if self.attempts.is_full() {
                // The first is the peer's unless somebody was faster: it stays.
                let last = self.attempts.last();
                let age = last.map(|it| now.saturating_duration_since(it.since));
                if age.is_none_or(|age| age < DTLS_ATTEMPT_SPARED) {
                    return false;
                }
                self.attempts.pop();
            }
            self.restarts += 1;
            self.begin();
        }
        let free = self.attempts.iter_mut().find(|it| it.hello.is_none());
        let Some(attempt) = free else {
            return false;
        };
        attempt.hello = Some(random);
        attempt.since = now;
        self.given_up_at = self.began + DTLS_HANDSHAKE_MAX;
        true
    }

    /// The moment of [`deadline`](Self::deadline) has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.latest = self.latest.max(now);
        if now >= self.given_up_at && !self.is_keyed() && !self.attempts.is_empty() {
            self.failed = Some(self.failed.unwrap_or_else(|| self.unfinished()));
            return;
        }
        for at in (0..self.attempts.len()).rev() {
            let attempt = self.attempts.get_mut(at);
            if let Some(Err(why)) = attempt.map(|it| it.handle_timeout(now)) {
                self.lose(at, why);
            }
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let given_up = (!self.is_keyed()).then_some(self.given_up_at);
        let attempts = self.attempts.iter().filter_map(|it| it.deadline);
        let deadline = attempts.min()?;
        Some(given_up.map_or(deadline, |given_up| deadline.min(given_up)))
    }

    /// What is to be said of it if nobody waits for it any longer.
    #[must_use]
    pub fn unfinished(&self) -> Failure {
        self.broken.unwrap_or(Failure::Timeout)
    }

    /// Datagrams with something in the clear that no handshake needs, which were left alone.
    #[must_use]
    pub const fn ignored(&self) -> u32 {
        self.ignored
    }

    /// True when the keys were given.
    #[must_use]
    pub fn is_keyed(&self) -> bool {
        self.attempts.iter().any(|it| it.stage == Stage::Keyed)
    }

    /// The next thing that is wanted. `None`: nothing until the next `handle_*`.
    pub fn poll<'a>(&mut self, buffer: &'a mut [u8; POLL_BUFFER_SIZE]) -> Option<Output<'a>> {
        loop {
            if let Some(failure) = self.failed.take() {
                self.attempts.clear();
                return Some(Output::Failed(failure));
            }
            let at = self.attempts.iter().position(|it| !it.is_drained)?;
            let attempt = self.attempts.get_mut(at)?;
            let stage = attempt.stage;
            match attempt.step(buffer, &self.expected) {
                Step::Datagram(size) => {
                    debug_assert!(size <= DTLS_DATAGRAM_BYTES_MAX, "no fragments of IP");
                    return buffer.get(..size).map(Output::Datagram);
                }
                Step::Named => attempt.stage = stage.named(),
                Step::Complete if stage == Stage::Named => {
                    attempt.stage = Stage::Verified;
                    // That is the peer. What the others are does not matter any more.
                    self.attempts.retain(|it| it.stage.is_sure());
                }
                Step::Keys(plan) if stage == Stage::Verified => {
                    attempt.stage = Stage::Keyed;
                    return Some(Output::Keys(plan));
                }
                Step::Complete | Step::Keys(_) if stage == Stage::Strange => {
                    self.lose(at, Failure::CertificateMissing);
                }
                Step::Complete | Step::Keys(_) | Step::Passed => {}
                Step::Failed(failure) => self.lose(at, failure),
                Step::Closed if !stage.is_sure() => self.lose(at, Failure::Protocol),
                Step::Closed => {
                    self.attempts.clear();
                    return Some(Output::Closed);
                }
                Step::Drained(_) if stage == Stage::Verified => {
                    self.failed = Some(Failure::NoProfile);
                }
                Step::Drained(deadline) => {
                    attempt.deadline = Some(deadline);
                    attempt.is_drained = true;
                }
            }
        }
    }

    /// An attempt came to nothing. As long as nobody is verified it was anybody's: the others go on, and after the
    /// last another one waits for a hello.
    fn lose(&mut self, at: usize, why: Failure) {
        let was_sure = self.attempts.remove(at).stage.is_sure();
        if !self.attempts.is_empty() {
            debug_assert!(!was_sure, "who is verified is the only one");
            self.broken = Some(why);
            return;
        }
        let may_wait = self.role == Role::Server && self.restarts < DTLS_RESTARTS_MAX;
        if was_sure || !may_wait || why == Failure::Timeout {
            let before = self.broken.filter(|_| why == Failure::Timeout);
            self.failed = self.failed.or(before).or(Some(why));
            return;
        }
        let is_foreign = matches!(
            why,
            Failure::Fingerprint | Failure::CertificateTooLong | Failure::CertificateMissing
        );
        if is_foreign {
            // Unless the peer says hello before long, that was the peer.
            self.given_up_at = self.given_up_at.min(self.latest + DTLS_FOREIGN_WAIT);
        }
        self.broken = Some(why);
        self.restarts += 1;
        self.begin();
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stages = self.attempts.iter().map(|attempt| attempt.stage);
        out.debug_struct("Handshake")
            .field("role", &self.role)
            .field(
                "stages",
                &stages.collect::<ArrayVec<_, DTLS_ATTEMPTS_MAX>>(),
            )
            .field("failed", &self.failed)
            .field("given_up_at", &self.given_up_at)
            .finish_non_exhaustive()
    }
}
