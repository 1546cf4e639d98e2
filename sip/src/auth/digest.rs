//! The answer to a challenge (RFC 7616 §3.4).

use md5::{Digest, Md5};
use sha2::Sha256;

use super::challenge::{Algorithm, Challenge, Protection};
use crate::message::{Method, SendBuffer};

/// What goes into the answer beside the challenge. `Debug` does not show the password.
#[derive(Clone, Copy)]
pub struct Answering<'a> {
    /// The user name.
    pub username: &'a str,
    /// The password.
    pub password: &'a str,
    /// The method of the request.
    pub method: &'a Method,
    /// The Request-URI, as written.
    pub uri: &'a str,
    /// From the generator; fresh for each answer.
    pub cnonce: &'a str,
    /// How often this nonce was used, with this time: 1 for the first.
    pub nonce_count: u32,
}

impl std::fmt::Debug for Answering<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answering")
            .field("username", &self.username)
            .field("method", &self.method)
            .field("uri", &self.uri)
            .finish_non_exhaustive()
    }
}

/// Appends the value of an Authorization or Proxy-Authorization header.
pub fn write_authorization(
    challenge: &Challenge,
    answering: &Answering<'_>,
    buffer: &mut SendBuffer,
) {
    debug_assert!(answering.nonce_count > 0, "the first use is 1");
    debug_assert!(!answering.cnonce.is_empty(), "a client nonce was made");
    let response = response(challenge, answering);
    debug_assert!(
        matches!(response.len(), 32 | 64),
        "MD5 or SHA-256 in hexadecimal"
    );
    buffer.push(b"Digest username=");
    buffer.push_quoted(answering.username, usize::MAX);
    push_verbatim(b", realm=\"", &challenge.realm, buffer);
    push_verbatim(b", nonce=\"", &challenge.nonce, buffer);
    push_verbatim(b", uri=\"", answering.uri.as_bytes(), buffer);
    push_verbatim(b", response=\"", response.as_bytes(), buffer);
    if challenge.names_algorithm {
        buffer.push(b", algorithm=");
        buffer.push(challenge.algorithm.as_str().as_bytes());
    }
    match challenge.protection {
        Protection::Auth => {
            push_verbatim(b", cnonce=\"", answering.cnonce.as_bytes(), buffer);
            buffer.push_display(&format_args!(
                ", qop=auth, nc={:08x}",
                answering.nonce_count
            ));
        }
        Protection::Legacy if challenge.algorithm.is_session() => {
            push_verbatim(b", cnonce=\"", answering.cnonce.as_bytes(), buffer);
        }
        Protection::Legacy => {}
    }
    if let Some(opaque) = &challenge.opaque {
        push_verbatim(b", opaque=\"", opaque, buffer);
    }
}

/// Text that stood between quotes, or that needs no escape, between quotes again.
fn push_verbatim(start: &[u8], text: &[u8], buffer: &mut SendBuffer) {
    buffer.push(start);
    buffer.push_line_text(text);
    buffer.push(b"\"");
}

/// RFC 7616 §3.4.1.
fn response(challenge: &Challenge, answering: &Answering<'_>) -> String {
    let algorithm = challenge.algorithm;
    let cnonce = answering.cnonce.as_bytes();
    let mut secret = algorithm.hash(&[
        answering.username.as_bytes(),
        &challenge.realm,
        answering.password.as_bytes(),
    ]);
    if algorithm.is_session() {
        secret = algorithm.hash(&[secret.as_bytes(), &challenge.nonce, cnonce]);
    }
    let request = algorithm.hash(&[
        answering.method.as_str().as_bytes(),
        answering.uri.as_bytes(),
    ]);
    match challenge.protection {
        Protection::Legacy => {
            algorithm.hash(&[secret.as_bytes(), &challenge.nonce, request.as_bytes()])
        }
        Protection::Auth => {
            let count = format!("{:08x}", answering.nonce_count);
            algorithm.hash(&[
                secret.as_bytes(),
                &challenge.nonce,
                count.as_bytes(),
                cnonce,
                b"auth",
                request.as_bytes(),
            ])
        }
    }
}

impl Algorithm {
    pub(super) const fn is_session(self) -> bool {
        matches!(self, Self::Md5Sess | Self::Sha256Sess)
    }

    /// Digits of its hash: 32 or 64.
    pub(super) const fn digits(self) -> usize {
        match self {
            Self::Md5 | Self::Md5Sess => 32,
            Self::Sha256 | Self::Sha256Sess => 64,
        }
    }

    /// The secret half of a response, as it is stored instead of the password (RFC 7616 §3.4.2, H(A1)
    /// without `-sess`): lower-case hexadecimal digits.
    #[must_use]
    pub fn secret_of(self, username: &str, realm: &str, password: &str) -> Box<str> {
        let parts = [username.as_bytes(), realm.as_bytes(), password.as_bytes()];
        self.hash(&parts).into()
    }

    /// The parts with colons between them, hashed, in lower-case hexadecimal.
    pub(super) fn hash(self, parts: &[&[u8]]) -> String {
        match self {
            Self::Md5 | Self::Md5Sess => hash_with::<Md5>(parts),
            Self::Sha256 | Self::Sha256Sess => hash_with::<Sha256>(parts),
        }
    }
}

fn hash_with<D: Digest>(parts: &[&[u8]]) -> String {
    let mut hasher = D::new();
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            hasher.update(b":");
        }
        hasher.update(part);
    }
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    hasher
        .finalize()
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 0xF)])
        .collect()
}
