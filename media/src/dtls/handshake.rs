//! One handshake, from the first datagram to keys or to a failure.

use std::fmt;
use std::time::Instant;

use arrayvec::ArrayVec;
use dimpl::{Dtls, Error, UnexpectedMessageError};

use crate::dtls::{Endpoint, Fingerprint, keys, plaintext};
use crate::limits::{DTLS_DATAGRAM_BYTES_MAX, FINGERPRINTS_MAX, PEER_CERTIFICATE_BYTES_MAX};
use crate::srtp::SrtpPlan;

/// Octets of the buffer that [`Handshake::poll`] writes datagrams into.
pub const POLL_BUFFER_SIZE: usize = PEER_CERTIFICATE_BYTES_MAX;

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
    role: Role,
    expected: ArrayVec<Fingerprint, FINGERPRINTS_MAX>,
    stage: Stage,
    failed: Option<Failure>,
    deadline: Option<Instant>,
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
        let mut dtls = Dtls::new_auto(endpoint.config(), endpoint.certificate(), now);
        dtls.set_active(role == Role::Client);
        let mut handshake = Self {
            dtls: Some(Box::new(dtls)),
            role,
            expected: expected.iter().copied().take(FINGERPRINTS_MAX).collect(),
            stage: Stage::Strange,
            failed: None,
            deadline: None,
            ignored: 0,
        };
        handshake.handle_timeout(now);
        handshake
    }

    /// A datagram of the nominated source that is DTLS by its first octet.
    pub fn handle_packet(&mut self, now: Instant, datagram: &[u8]) {
        if plaintext::has_needless(datagram) {
            self.ignored = self.ignored.saturating_add(1);
            return;
        }
        self.drive(|dtls| {
            dtls.handle_timeout(now)?;
            dtls.handle_packet(datagram)
        });
    }

    /// The moment of [`deadline`](Self::deadline) has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.drive(|dtls| dtls.handle_timeout(now));
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
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
            let step = Step::of(
                self.dtls.as_mut()?.poll_output(buffer),
                &self.expected,
                self.role,
            );
            match step {
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

    /// Every error is the end of it: the library promises nothing of what comes after one.
    fn drive(&mut self, act: impl FnOnce(&mut Dtls) -> Result<(), Error>) {
        let Some(dtls) = &mut self.dtls else {
            return;
        };
        match act(dtls) {
            Ok(()) => {}
            // A client that has not heard of its server yet leaves what is no ServerHello alone.
            Err(Error::UnexpectedMessage(
                UnexpectedMessageError::UnrecognizedAutoServerResponse,
            )) => {}
            Err(Error::Timeout(_)) => self.failed = Some(Failure::Timeout),
            Err(_) => self.failed = Some(Failure::Protocol),
        }
    }

    fn end(&mut self) {
        self.dtls = None;
        self.deadline = None;
    }
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
                if expected.contains(&Fingerprint::of(certificate)) {
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
