//! Who is it: digest authentication of extensions, with its lock-out. Pure: the nonces' secret and
//! the time are arguments.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use sip::auth::Algorithm;
use sip::auth::server::{AuthFailure, Nonces};
use sip::message::{HeaderName, Method};

use super::lockout::{LOCKED_FOR, Lockout};
use super::model::Extension;

/// What a request proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// That it comes from this extension.
    Extension(String),
    /// Nothing yet: 401 with these headers.
    Challenge {
        /// One WWW-Authenticate for each algorithm, the better one first (RFC 8760 §2.4).
        headers: Vec<(HeaderName, Box<[u8]>)>,
        /// Why, for a counter; never told to the peer.
        reason: &'static str,
    },
    /// That somebody guesses: no more chances for a while, whoever it says to be.
    Locked {
        /// Retry-After.
        retry_after: Duration,
    },
}

/// The memory of the check.
#[derive(Debug)]
pub struct Prover {
    nonces: Nonces,
    lockout: Lockout,
    started: Option<Instant>,
}

/// A request that shall prove whose it is.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// Where it came from.
    pub source: IpAddr,
    /// Whom it says to be: the user part of From, or of To in a REGISTER.
    pub account: &'a str,
    /// Its method: the answer to a challenge is for one.
    pub method: &'a Method,
    /// Values of its Authorization headers.
    pub authorization: &'a [Box<[u8]>],
    /// The realm of our challenges.
    pub realm: &'a str,
}

impl Prover {
    /// `secret` is random and fresh at each start.
    #[must_use]
    pub fn new(secret: [u8; 32]) -> Self {
        Self {
            nonces: Nonces::new(secret),
            lockout: Lockout::default(),
            started: None,
        }
    }

    /// Whose request it is. An account that does not exist, one that is off and a wrong password are
    /// one answer, made by one path.
    pub fn prove(&mut self, claim: &Claim<'_>, extensions: &[Extension], now: Instant) -> Proof {
        if self.lockout.is_locked(claim.source, claim.account, now) {
            return Proof::Locked {
                retry_after: LOCKED_FOR,
            };
        }
        let seconds = self.seconds(now);
        let secret_of = |user: &str, algorithm: Algorithm| {
            let extension = find(extensions, user).filter(|one| one.name == claim.account)?;
            Some(algorithm.secret_of(user, claim.realm, extension.password.expose()))
        };
        let mut failure = None;
        for value in claim.authorization {
            match self.nonces.check(seconds, value, claim.method, &secret_of) {
                Ok(user) => {
                    debug_assert_eq!(&*user, claim.account, "the account that was asked for");
                    self.lockout.succeeded(claim.source);
                    return Proof::Extension(user.into());
                }
                // A proxy's answer may stand beside the one for us.
                Err(found) => failure = worse(failure, found),
            }
        }
        if failure.is_some_and(AuthFailure::is_guess)
            && self.lockout.failed(claim.source, claim.account, now)
        {
            return Proof::Locked {
                retry_after: LOCKED_FOR,
            };
        }
        let stale = failure.is_some_and(AuthFailure::is_stale);
        let headers = [Algorithm::Sha256, Algorithm::Md5]
            .into_iter()
            .map(|algorithm| {
                let value = self
                    .nonces
                    .challenge(seconds, claim.realm, algorithm, stale);
                (HeaderName::WwwAuthenticate, value)
            })
            .collect();
        let reason = failure.map_or("digest_absent", |failure| failure.as_str());
        Proof::Challenge { headers, reason }
    }

    /// Sources and accounts that failed lately.
    #[must_use]
    pub fn guessers(&self) -> usize {
        self.lockout.len()
    }

    /// A clock for nonces that never goes back.
    fn seconds(&mut self, now: Instant) -> u64 {
        let started = *self.started.get_or_insert(now);
        now.saturating_duration_since(started).as_secs()
    }
}

/// The enabled extension of this name.
#[must_use]
pub fn find<'a>(extensions: &'a [Extension], name: &str) -> Option<&'a Extension> {
    extensions
        .iter()
        .find(|extension| extension.enabled && extension.name == name)
}

/// A guess counts, whatever else stands beside it.
fn worse(one: Option<AuthFailure>, other: AuthFailure) -> Option<AuthFailure> {
    match one {
        Some(one) if one.is_guess() => Some(one),
        Some(_) | None => Some(other),
    }
}
