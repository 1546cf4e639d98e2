//! Who is it: digest authentication of extensions, with its lock-out. Pure: the nonces' secret and
//! the time are arguments.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use sip::auth::Algorithm;
use sip::auth::server::{AuthFailure, Nonces};
use sip::message::{HeaderName, Method, Scheme, Uri};

use super::lockout::{LOCKED_FOR, Lockout};
use super::model::{DigestOffer, Extension};

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
        /// A password was tried: the repetition of the request must not be a second guess.
        is_guess: bool,
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
    /// Its Request-URI: the answer is for one, too.
    pub request_uri: &'a Uri,
    /// Names and addresses by which we are called: any of them is as good as another.
    pub own_hosts: &'a [String],
    /// Values of its Authorization headers.
    pub authorization: &'a [Box<[u8]>],
    /// The realm of our challenges.
    pub realm: &'a str,
    /// The algorithms of our challenges.
    pub offer: DigestOffer,
}

impl Claim<'_> {
    /// True where the `uri` of an answer is the Request-URI (RFC 7616 §3.4.6). RFC 3261 §22.4 lets a
    /// server take another one, because proxies rewrite it; between a phone and its registrar none
    /// does, and who takes another one lets an answer for one number dial any other. The host may
    /// be ours by another name, and parameters and port may differ.
    fn asks_for(&self, uri: &[u8]) -> bool {
        let Some(named) = Uri::parse(uri) else {
            return false;
        };
        let is_sip = |uri: &Uri| matches!(uri.scheme(), Scheme::Sip | Scheme::Sips);
        if !is_sip(&named) || !is_sip(self.request_uri) {
            return named.is_equivalent(self.request_uri);
        }
        let (host, address) = (named.host(), named.host_address());
        let is_own = |own: &String| {
            own.eq_ignore_ascii_case(host)
                || address.is_some_and(|address| own.parse() == Ok(address))
        };
        let is_same_host = host.eq_ignore_ascii_case(self.request_uri.host());
        named.user() == self.request_uri.user()
            && (is_same_host || self.own_hosts.iter().any(is_own))
    }
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
            let extension = find(extensions, user).filter(|one| one.name == claim.account);
            // Hashed for an unknown account too: it takes as long.
            let password = extension.map_or("", |extension| extension.password.expose());
            let secret = algorithm.secret_of(user, claim.realm, password);
            extension.map(|_known| secret)
        };
        let is_asked = |uri: &[u8]| claim.asks_for(uri);
        let mut failure = None;
        for value in claim.authorization {
            let checked = self
                .nonces
                .check(seconds, value, claim.method, &is_asked, &secret_of);
            match checked {
                Ok(user) => {
                    debug_assert_eq!(&*user, claim.account, "the account that was asked for");
                    self.lockout.succeeded(claim.source, claim.account);
                    return Proof::Extension(user.into());
                }
                // A proxy's answer may stand beside the one for us.
                Err(found) => failure = worse(failure, found),
            }
        }
        let is_guess = failure.is_some_and(AuthFailure::is_guess);
        if is_guess && self.lockout.failed(claim.source, claim.account, now) {
            return Proof::Locked {
                retry_after: LOCKED_FOR,
            };
        }
        let stale = failure.is_some_and(AuthFailure::is_stale);
        let headers = claim
            .offer
            .algorithms()
            .iter()
            .map(|&algorithm| {
                let value = self
                    .nonces
                    .challenge(seconds, claim.realm, algorithm, stale);
                (HeaderName::WwwAuthenticate, value)
            })
            .collect();
        let reason = failure.map_or("digest_absent", |failure| failure.as_str());
        Proof::Challenge {
            headers,
            reason,
            is_guess,
        }
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

#[cfg(test)]
mod tests {
    use super::super::lockout::PHONE_FAILURES_MAX;
    use super::super::model::tests::extension;
    use super::*;
    use sip::auth::{Answering, challenges, write_authorization};
    use sip::message::{SendBuffer, parse};

    const REALM: &str = "sip.example.com";

    struct World {
        prover: Prover,
        extensions: Vec<Extension>,
        now: Instant,
        source: IpAddr,
        offer: DigestOffer,
        request_uri: Uri,
    }

    impl World {
        fn new() -> Self {
            Self {
                prover: Prover::new([7; 32]),
                extensions: vec![extension("610"), extension("611")],
                now: Instant::now(),
                source: "192.0.2.1".parse().unwrap(),
                offer: DigestOffer::Both,
                request_uri: Uri::parse(b"sip:sip.example.com").unwrap(),
            }
        }

        fn ask(&mut self, account: &str, authorization: &[Box<[u8]>]) -> Proof {
            let claim = Claim {
                source: self.source,
                account,
                method: &Method::Register,
                request_uri: &self.request_uri,
                own_hosts: &["192.0.2.9".to_owned(), "2001:db8::9".to_owned()],
                authorization,
                realm: REALM,
                offer: self.offer,
            };
            self.prover.prove(&claim, &self.extensions, self.now)
        }

        fn challenged(&mut self, account: &str) -> Vec<(HeaderName, Box<[u8]>)> {
            let Proof::Challenge { headers, .. } = self.ask(account, &[]) else {
                panic!("no challenge");
            };
            headers
        }
    }

    /// What a phone answers to the `which`-th challenge.
    fn answer(
        headers: &[(HeaderName, Box<[u8]>)],
        which: usize,
        username: &str,
        password: &str,
    ) -> Vec<Box<[u8]>> {
        answer_for("sip:sip.example.com", headers, which, username, password)
    }

    fn answer_for(
        uri: &str,
        headers: &[(HeaderName, Box<[u8]>)],
        which: usize,
        username: &str,
        password: &str,
    ) -> Vec<Box<[u8]>> {
        let value = std::str::from_utf8(&headers[which].1).unwrap();
        let text = format!("SIP/2.0 401 Unauthorized\r\nWWW-Authenticate: {value}\r\n\r\n");
        let message = parse(text.as_bytes()).unwrap();
        let challenge = challenges(&message).first().cloned().unwrap();
        let answering = Answering {
            username,
            password,
            method: &Method::Register,
            uri,
            cnonce: "c",
            nonce_count: 1,
        };
        let mut buffer = SendBuffer::new();
        write_authorization(&challenge, &answering, &mut buffer);
        vec![buffer.as_bytes().into()]
    }

    #[test]
    fn either_algorithm_proves_it_and_the_better_one_is_offered_first() {
        let mut world = World::new();
        for which in [0, 1] {
            let headers = world.challenged("610");
            let word = ["algorithm=SHA-256", "algorithm=MD5"][which];
            assert!(String::from_utf8_lossy(&headers[which].1).contains(word));
            let answered = answer(&headers, which, "610", "password of 610");
            assert_eq!(world.ask("610", &answered), Proof::Extension("610".into()));
        }
    }

    #[test]
    fn an_old_phone_is_offered_md5_alone_where_the_setting_says_so() {
        let mut world = World::new();
        world.offer = DigestOffer::Md5;
        let headers = world.challenged("610");
        assert_eq!(headers.len(), 1);
        let answered = answer(&headers, 0, "610", "password of 610");
        assert_eq!(world.ask("610", &answered), Proof::Extension("610".into()));
    }

    #[test]
    fn a_replayed_answer_is_challenged_again() {
        let mut world = World::new();
        let headers = world.challenged("610");
        let answered = answer(&headers, 0, "610", "password of 610");
        assert!(matches!(world.ask("610", &answered), Proof::Extension(_)));
        let Proof::Challenge {
            headers, reason, ..
        } = world.ask("610", &answered)
        else {
            panic!("a replay was taken");
        };
        assert_eq!(reason, "digest_replayed");
        assert!(String::from_utf8_lossy(&headers[0].1).contains("stale=true"));
    }

    #[test]
    fn unknown_account_account_that_is_off_and_wrong_password_are_one_answer() {
        let mut world = World::new();
        world.extensions[1].enabled = false;
        let mut answers = Vec::new();
        for (account, password) in [
            ("610", "wrong"),
            ("611", "password of 611"),
            ("nobody", "password of nobody"),
        ] {
            let headers = world.challenged(account);
            let answered = answer(&headers, 0, account, password);
            let Proof::Challenge {
                headers, reason, ..
            } = world.ask(account, &answered)
            else {
                panic!("{account} was taken");
            };
            let shape: Vec<_> = headers
                .iter()
                .map(|(name, value)| {
                    // All but the nonce.
                    let text = String::from_utf8_lossy(value).into_owned();
                    let (before, rest) = text.split_once("nonce=\"").unwrap();
                    let (_, after) = rest.split_once('"').unwrap();
                    (name.clone(), before.to_owned(), after.to_owned())
                })
                .collect();
            answers.push((shape, reason));
        }
        assert_eq!(answers[0].1, "digest_credentials");
        assert!(answers.iter().all(|answer| *answer == answers[0]));
    }

    #[test]
    fn the_password_of_one_account_is_no_proof_for_another() {
        let mut world = World::new();
        let headers = world.challenged("611");
        let answered = answer(&headers, 0, "610", "password of 610");
        assert!(matches!(
            world.ask("611", &answered),
            Proof::Challenge { .. }
        ));
    }

    #[test]
    fn who_guesses_is_locked_out_and_the_right_password_does_not_help() {
        let mut world = World::new();
        for number in 1..=PHONE_FAILURES_MAX {
            let headers = world.challenged("610");
            let wrong = answer(&headers, 0, "610", "guess");
            let locked = matches!(world.ask("610", &wrong), Proof::Locked { .. });
            assert_eq!(locked, number == PHONE_FAILURES_MAX);
        }
        assert!(matches!(world.ask("610", &[]), Proof::Locked { .. }));
        world.source = "192.0.2.2".parse().unwrap();
        let headers = world.challenged("610");
        let right = answer(&headers, 0, "610", "password of 610");
        assert!(matches!(world.ask("610", &right), Proof::Extension(_)));
        world.source = "192.0.2.1".parse().unwrap();
        world.now += LOCKED_FOR;
        world.challenged("610");
    }

    /// RFC 7616 §3.4.6: what a phone answered somebody else's challenge for dials nothing here.
    #[test]
    fn an_answer_is_good_for_the_number_it_was_made_for_and_no_other() {
        let mut world = World::new();
        world.request_uri = Uri::parse(b"sip:+19005551234@sip.example.com").unwrap();
        for (uri, is_taken) in [
            ("sip:+19005551234@sip.example.com", true),
            ("sip:+19005551234@SIP.example.com:5060;transport=tcp", true),
            ("sips:+19005551234@192.0.2.9", true),
            ("sip:+19005551234@[2001:db8::9]", true),
            ("sip:%2B19005551234@sip.example.com", true),
            ("sip:+19005551234@203.0.113.6", false),
            ("sip:610@sip.example.com", false),
            ("sip:sip.example.com", false),
            ("tel:+19005551234", false),
            ("*", false),
        ] {
            let headers = world.challenged("610");
            let answered = answer_for(uri, &headers, 0, "610", "password of 610");
            match world.ask("610", &answered) {
                Proof::Extension(_) => assert!(is_taken, "{uri}"),
                Proof::Challenge {
                    reason, is_guess, ..
                } => {
                    assert!(!is_taken, "{uri}");
                    assert_eq!((reason, is_guess), ("digest_foreign_uri", false));
                }
                Proof::Locked { .. } => panic!("another URI is no guess"),
            }
        }
    }
}
