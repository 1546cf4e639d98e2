//! What a certificate authority is shown to prove that a name is ours: a word at a path (RFC 8555 §8.3), or a
//! certificate for the one protocol `acme-tls/1` (RFC 8737).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use tokio_rustls::rustls;

use crate::http::router::HttpState;

/// RFC 8737 §6.2.
pub(in crate::http::tls) const PROTOCOL: &[u8] = b"acme-tls/1";

/// Challenges under way at once: one for each name of a certificate.
const CHALLENGES_MAX: usize = 100;

/// What is shown now. Shared by the listeners and who asks for certificates.
#[derive(Debug, Default)]
pub struct Challenges {
    /// The answer for a token.
    words: Mutex<BTreeMap<String, String>>,
    /// The certificate for a name.
    certificates: Mutex<BTreeMap<String, Arc<CertifiedKey>>>,
}

impl Challenges {
    /// This word stands at the path of this token, until it is taken away.
    pub(super) fn show_word(&self, token: &str, word: &str) {
        let mut words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        if words.len() < CHALLENGES_MAX {
            words.insert(token.to_owned(), word.to_owned());
        }
    }

    /// Who asks for `acme-tls/1` under this name sees this digest.
    ///
    /// # Errors
    /// No such certificate can be made.
    pub(super) fn show_certificate(&self, name: &str, digest: &[u8]) -> Result<(), rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut parameters = CertificateParams::new([name.to_owned()])?;
        let proof = CustomExtension::new_acme_identifier(digest);
        parameters.custom_extensions = vec![proof];
        let certificate = parameters.self_signed(&key)?;
        let chain = vec![CertificateDer::from(certificate.der().to_vec())];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = aws_lc_rs::default_provider();
        // Nobody who looks at its extensions believes this certificate, and nobody has to.
        let key = provider.key_provider.load_private_key(key);
        let key = key.map_err(|_unfit| rcgen::Error::CouldNotParseKeyPair)?;
        let certified = CertifiedKey::new(chain, key);
        let mut shown = self
            .certificates
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if shown.len() < CHALLENGES_MAX {
            shown.insert(name.to_owned(), Arc::new(certified));
        }
        Ok(())
    }

    /// Nothing is shown any more.
    pub(super) fn clear(&self) {
        let words = self.words.lock();
        words.unwrap_or_else(PoisonError::into_inner).clear();
        let certificates = self.certificates.lock();
        certificates.unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn word(&self, token: &str) -> Option<String> {
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        words.get(token).cloned()
    }

    /// The certificate of a challenge for this name.
    pub(in crate::http::tls) fn certificate(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        let shown = self
            .certificates
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        shown.get(&name.to_ascii_lowercase()).cloned()
    }
}

/// The path of words; it needs no token of ours, and goes by no redirect.
pub(in crate::http) fn routes() -> Router<HttpState> {
    Router::new().route("/.well-known/acme-challenge/{token}", get(answer))
}

async fn answer(State(state): State<HttpState>, Path(token): Path<String>) -> Response {
    match state.challenges.word(&token) {
        Some(word) => (
            [
                (CONTENT_TYPE, "application/octet-stream"),
                (CACHE_CONTROL, "no-store"),
            ],
            word,
        )
            .into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
