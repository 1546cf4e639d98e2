//! One run of the library, by one hello: a handshake may have two, for whose hello came first need not be
//! who its description names.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use dimpl::{Dtls, Error, ProtocolVersion, UnexpectedMessageError};

use crate::dtls::handshake::{Failure, POLL_BUFFER_SIZE, Role};
use crate::dtls::hello::{HelloParts, Taken};
use crate::dtls::plaintext::Sealed;
use crate::dtls::{Endpoint, Fingerprint, keys};
use crate::limits::PEER_CERTIFICATE_BYTES_MAX;
use crate::srtp::SrtpPlan;

/// One run.
pub(super) struct Attempt {
    dtls: Box<Dtls>,
    role: Role,
    /// What has come of a hello that is not whole yet.
    parts: HelloParts,
    pub(super) stage: Stage,
    /// Of the hello that it goes by.
    pub(super) hello: Option<[u8; 32]>,
    /// When that came, or the run began.
    pub(super) since: Instant,
    pub(super) deadline: Option<Instant>,
    /// It wants nothing until something is done with it.
    pub(super) is_drained: bool,
}

/// What is known of the peer. Keys leave only from `Verified`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing.
    Strange,
    /// Its certificate is one that its description names; not yet that it has the key of it.
    Named,
    /// The handshake is complete, signature and all.
    Verified,
    /// Its keys were given.
    Keyed,
}

impl Attempt {
    pub(super) fn begun(now: Instant, endpoint: &Endpoint, role: Role) -> Result<Self, Failure> {
        let mut dtls = Dtls::new_auto(endpoint.config(), endpoint.certificate(), now);
        dtls.set_active(role == Role::Client);
        let mut attempt = Self {
            dtls: Box::new(dtls),
            role,
            stage: Stage::Strange,
            hello: None,
            parts: HelloParts::default(),
            since: now,
            deadline: None,
            is_drained: false,
        };
        attempt.drive(|dtls| dtls.handle_timeout(now))?;
        Ok(attempt)
    }

    /// Where what comes may have records of DTLS 1.3 that are protected.
    pub(super) fn sealed(&self) -> Sealed {
        match (self.dtls.protocol_version(), self.role) {
            (Some(ProtocolVersion::DTLS1_3), _) => Sealed::Anywhere,
            (None, Role::Client) => Sealed::BehindHello,
            (Some(_) | None, _) => Sealed::Nowhere,
        }
    }

    /// Every error is the end of a run: the library promises nothing of what comes after one.
    fn drive(&mut self, act: impl FnOnce(&mut Dtls) -> Result<(), Error>) -> Result<(), Failure> {
        self.is_drained = false;
        match guarded(|| act(&mut self.dtls)).ok_or(Failure::Fault)? {
            // A client that has not heard of its server yet leaves what is no ServerHello alone.
            Ok(())
            | Err(Error::UnexpectedMessage(
                UnexpectedMessageError::UnrecognizedAutoServerResponse,
            )) => Ok(()),
            Err(Error::Timeout(_)) => Err(Failure::Timeout),
            Err(_) => Err(Failure::Protocol),
        }
    }

    pub(super) fn handle_packet(&mut self, now: Instant, datagram: &[u8]) -> Result<(), Failure> {
        let taken = match self.role {
            Role::Server => self.parts.take(datagram),
            Role::Client => Taken::Nothing,
        };
        let datagram = match &taken {
            Taken::Nothing => datagram,
            Taken::Whole(hello) => hello,
            Taken::Part | Taken::Refused => return Ok(()),
        };
        self.drive(|dtls| {
            dtls.handle_timeout(now)?;
            dtls.handle_packet(datagram)
        })
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> Result<(), Failure> {
        self.drive(|dtls| dtls.handle_timeout(now))
    }

    /// The next output, judged.
    pub(super) fn step(
        &mut self,
        buffer: &mut [u8; POLL_BUFFER_SIZE],
        expected: &[Fingerprint],
    ) -> Step {
        let (dtls, role) = (&mut self.dtls, self.role);
        let step = guarded(|| Step::of(dtls.poll_output(buffer), expected, role));
        step.unwrap_or(Step::Failed(Failure::Fault))
    }
}

/// A panic of the library ends one handshake, and not the turn of a worker. `None`: it panicked, and what it
/// worked on is to be dropped.
fn guarded<T>(act: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(act)).ok()
}

impl Stage {
    pub(super) const fn named(self) -> Self {
        match self {
            Self::Strange => Self::Named,
            Self::Named | Self::Verified | Self::Keyed => self,
        }
    }

    /// True when it is sure who the peer is.
    pub(super) const fn is_sure(self) -> bool {
        matches!(self, Self::Verified | Self::Keyed)
    }
}

/// An output of the library, judged.
pub(super) enum Step {
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
