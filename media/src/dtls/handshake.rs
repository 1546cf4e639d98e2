//! One handshake, from the first datagram to keys or to a failure.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use arrayvec::ArrayVec;
use dimpl::{Dtls, Error, UnexpectedMessageError};

use crate::dtls::plaintext::Hello;
use crate::dtls::{Endpoint, Fingerprint, keys, plaintext};
use crate::limits::{
    DTLS_DATAGRAM_BYTES_MAX, DTLS_HANDSHAKE_MAX, DTLS_RECEIVED_BYTES_MAX, DTLS_RESTARTS_MAX,
    FINGERPRINTS_MAX, PEER_CERTIFICATE_BYTES_MAX,
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
    /// `None`: it is over.
    dtls: Option<Box<Dtls>>,
    endpoint: Endpoint,
    role: Role,
    expected: ArrayVec<Fingerprint, FINGERPRINTS_MAX>,
    stage: Stage,
    failed: Option<Failure>,
    deadline: Option<Instant>,
    /// Without keys it is over then, whatever the library says: it waits ten years for a first message.
    given_up_at: Instant,
    /// Of the hello that it goes by.
    hello: Option<[u8; 32]>,
    restarts: u8,
    /// What made it begin again last.
    broken: Option<Failure>,
    ignored: u32,
}

/// What is known of the peer. Keys leave only from `Verified`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing.
    Strange,
    /// Its certificate is one that its description names; not yet that it has the key of it.
    Named,
    /// The handshake is complete, signature and all.
    Verified,
    /// Its keys were given.
    Keyed,
}

impl Handshake {
    /// A handshake with a peer whose description names these certificates; further than
    /// [`FINGERPRINTS_MAX`] are not looked at, and with none every peer fails.
    #[must_use]
    pub fn new(now: Instant, endpoint: &Endpoint, role: Role, expected: &[Fingerprint]) -> Self {
        let mut handshake = Self {
            dtls: Some(begun(now, endpoint, role)),
            endpoint: endpoint.clone(),
            role,
            expected: expected.iter().copied().take(FINGERPRINTS_MAX).collect(),
            stage: Stage::Strange,
            failed: None,
            deadline: None,
            given_up_at: now + DTLS_HANDSHAKE_MAX,
            hello: None,
            restarts: 0,
            broken: None,
            ignored: 0,
        };
        handshake.handle_timeout(now);
        handshake
    }

    /// Begins again, if it may: what came so far was anybody's.
    fn begin_again(&mut self, now: Instant) -> bool {
        let may = self.role == Role::Server
            && matches!(self.stage, Stage::Strange | Stage::Named)
            && self.restarts < DTLS_RESTARTS_MAX;
        if may {
            self.restarts += 1;
            self.stage = Stage::Strange;
            self.hello = None;
            self.dtls = Some(begun(now, &self.endpoint, self.role));
            self.drive(now, |dtls| dtls.handle_timeout(now));
        }
        may
    }

    /// A datagram of the nominated source that is DTLS by its first octet.
    pub fn handle_packet(&mut self, now: Instant, datagram: &[u8]) {
        let hello = plaintext::client_hello(datagram);
        let is_early = self.role == Role::Server && self.hello.is_none() && hello == Hello::None;
        let is_long = datagram.len() > DTLS_RECEIVED_BYTES_MAX;
        if is_long || is_early || plaintext::has_needless(datagram) {
            self.ignored = self.ignored.saturating_add(1);
            return;
        }
        if let Hello::Begin(random) = hello
            && self.role == Role::Server
        {
            // Whose hello came first need not be who finishes (RFC 6347 §4.2.8).
            if self.hello.is_some_and(|known| known != random) {
                self.begin_again(now);
            }
            self.hello = self.hello.or(Some(random));
        }
        self.drive(now, |dtls| {
            dtls.handle_timeout(now)?;
            dtls.handle_packet(datagram)
        });
    }

    /// The moment of [`deadline`](Self::deadline) has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        if now >= self.given_up_at && self.stage != Stage::Keyed && self.dtls.is_some() {
            let why = self.broken.unwrap_or(Failure::Timeout);
            self.failed = self.failed.or(Some(why));
            return;
        }
        self.drive(now, |dtls| dtls.handle_timeout(now));
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let given_up = (self.stage != Stage::Keyed).then_some(self.given_up_at);
        let deadline = self.deadline?;
        Some(given_up.map_or(deadline, |given_up| deadline.min(given_up)))
    }

    /// Datagrams with something in the clear that no handshake needs, which were left alone.
    #[must_use]
    pub const fn ignored(&self) -> u32 {
        self.ignored
    }

    /// True when the keys were given.
    #[must_use]
    pub fn is_keyed(&self) -> bool {
        self.stage == Stage::Keyed
    }

    /// The next thing that is wanted. `None`: nothing until the next `handle_*`.
    pub fn poll<'a>(&mut self, buffer: &'a mut [u8; POLL_BUFFER_SIZE]) -> Option<Output<'a>> {
        loop {
            if let Some(failure) = self.failed.take() {
                self.end();
                return Some(Output::Failed(failure));
            }
            let (dtls, expected, role) = (self.dtls.as_mut()?, &self.expected, self.role);
            let step = guarded(|| Step::of(dtls.poll_output(buffer), expected, role));
            match step.unwrap_or(Step::Failed(Failure::Fault)) {
                Step::Datagram(size) => {
                    debug_assert!(size <= DTLS_DATAGRAM_BYTES_MAX, "no fragments of IP");
                    return buffer.get(..size).map(Output::Datagram);
                }
                Step::Named => self.stage = self.stage.named(),
                Step::Complete if self.stage == Stage::Named => self.stage = Stage::Verified,
                Step::Keys(plan) if self.stage == Stage::Verified => {
                    self.stage = Stage::Keyed;
                    return Some(Output::Keys(plan));
                }
                Step::Complete | Step::Keys(_) if self.stage == Stage::Strange => {
                    self.failed = Some(Failure::CertificateMissing);
                }
                Step::Complete | Step::Keys(_) | Step::Passed => {}
                Step::Failed(failure) => self.failed = Some(failure),
                Step::Closed => {
                    self.end();
                    return Some(Output::Closed);
                }
                Step::Drained(_) if self.stage == Stage::Verified => {
                    self.failed = Some(Failure::NoProfile);
                }
                Step::Drained(deadline) => {
                    self.deadline = Some(deadline);
                    return None;
                }
            }
        }
    }

    /// Every error is the end of what the library did so far: it promises nothing of what comes after one.
    fn drive(&mut self, now: Instant, act: impl FnOnce(&mut Dtls) -> Result<(), Error>) {
        let Some(dtls) = &mut self.dtls else {
            return;
        };
        let Some(acted) = guarded(|| act(dtls)) else {
            self.dtls = None;
            return self.broke(now, Failure::Fault);
        };
        match acted {
            Ok(()) => {}
            // A client that has not heard of its server yet leaves what is no ServerHello alone.
            Err(Error::UnexpectedMessage(
                UnexpectedMessageError::UnrecognizedAutoServerResponse,
            )) => {}
            Err(Error::Timeout(_)) => self.failed = Some(Failure::Timeout),
            Err(_) => self.broke(now, Failure::Protocol),
        }
    }

    fn broke(&mut self, now: Instant, why: Failure) {
        self.broken = Some(why);
        if !self.begin_again(now) {
            self.failed = Some(why);
        }
    }

    fn end(&mut self) {
        self.dtls = None;
        self.deadline = None;
    }
}

fn begun(now: Instant, endpoint: &Endpoint, role: Role) -> Box<Dtls> {
    let mut dtls = Dtls::new_auto(endpoint.config(), endpoint.certificate(), now);
    dtls.set_active(role == Role::Client);
    Box::new(dtls)
}

/// A panic of the library ends one handshake, and not the turn of a worker. `None`: it panicked, and what it
/// worked on is to be dropped.
fn guarded<T>(act: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(act)).ok()
}

impl Stage {
    const fn named(self) -> Self {
        match self {
            Self::Strange => Self::Named,
            Self::Named | Self::Verified | Self::Keyed => self,
        }
    }
}

/// An output of the library, judged.
enum Step {
    Datagram(usize),
    Named,
    Complete,
    Keys(SrtpPlan),
    Failed(Failure),
    Closed,
    Passed,
    Drained(Instant),
}

impl Step {
    fn of(output: dimpl::Output<'_>, expected: &[Fingerprint], role: Role) -> Self {
        match output {
            dimpl::Output::Packet(packet) => Self::Datagram(packet.len()),
            dimpl::Output::BufferTooSmall { .. } => Self::Failed(Failure::CertificateTooLong),
            dimpl::Output::PeerCert(certificate) => {
                if certificate.len() > PEER_CERTIFICATE_BYTES_MAX {
                    Self::Failed(Failure::CertificateTooLong)
                } else if expected.contains(&Fingerprint::of(certificate)) {
                    Self::Named
                } else {
                    Self::Failed(Failure::Fingerprint)
                }
            }
            dimpl::Output::Connected => Self::Complete,
            dimpl::Output::KeyingMaterial(material, profile) => keys::suite(profile)
                .and_then(|suite| keys::plan(suite, role, &material))
                .map_or(Self::Failed(Failure::NoProfile), Self::Keys),
            dimpl::Output::CloseNotify => Self::Closed,
            dimpl::Output::Timeout(deadline) => Self::Drained(deadline),
            // Data channels are not offered.
            dimpl::Output::ApplicationData(_) | _ => Self::Passed,
        }
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Handshake")
            .field("role", &self.role)
            .field("stage", &self.stage)
            .field("failed", &self.failed)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
