//! Short-lived credentials of a TURN server that shares a secret with us (coturn's `use-auth-secret`):
//! user `expiry:random`, password base64(HMAC-SHA1(secret, user)). Only who may call gets them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use serde::Serialize;
use sha1::Sha1;

use super::token::text_of;

/// A relay that browsers may use, and how they prove that they may.
#[derive(Clone)]
pub struct TurnServers {
    urls: Vec<String>,
    secret: Hmac<Sha1>,
}

impl std::fmt::Debug for TurnServers {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("TurnServers")
            .field("urls", &self.urls)
            .finish_non_exhaustive()
    }
}

/// An entry of `iceServers`, as a browser takes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct IceServer {
    pub(super) urls: Vec<String>,
    pub(super) username: String,
    pub(super) credential: String,
}

impl TurnServers {
    /// Servers at these URLs (RFC 7065) that know this secret. `None`: the secret cannot be a key.
    #[must_use]
    pub fn new(urls: Vec<String>, secret: &[u8]) -> Option<Self> {
        let secret = <Hmac<Sha1> as hmac::Mac>::new_from_slice(secret);
        let secret = secret.ok()?;
        Some(Self { urls, secret })
    }

    /// Credentials from `now`, Unix seconds, on.
    pub(super) fn credentials(&self, now: u64, random: &[u8]) -> IceServer {
        let until = now.saturating_add(CREDENTIALS_S);
        let username = format!("{until}:{}", text_of(random));
        let mut proof = self.secret.clone();
        proof.update(username.as_bytes());
        IceServer {
            urls: self.urls.clone(),
            credential: STANDARD.encode(proof.finalize().into_bytes()),
            username,
        }
    }
}

/// An allocation that stands is refreshed with them after that too, as coturn judges the time at its
/// beginning.
const CREDENTIALS_S: u64 = 600;

#[cfg(test)]
mod tests {
    use super::*;

    /// Checked against `printf '1600:AQ' | openssl dgst -sha1 -hmac secret -binary | base64`.
    #[test]
    fn credentials_are_those_that_coturn_computes_and_last_ten_minutes() {
        let urls = vec!["turn:turn.example:3478".to_owned()];
        let turn = TurnServers::new(urls.clone(), b"secret").unwrap();
        let server = turn.credentials(1_000, &[1]);
        assert_eq!(server.username, "1600:AQ");
        assert_eq!(server.credential, "iagEE3z9JvtUZhWlhD4EOJAko7Y=");
        assert_eq!(server.urls, urls);
        assert!(!format!("{turn:?}").contains("secret"));
    }
}
