//! Certificates of an authority that gives them to programs (RFC 8555): asked for when there is none, and
//! again when two thirds of one have passed.
//!
//! Owned here: when to ask, and where account and certificate are kept. `order` asks, `challenges` shows the
//! proofs, `client` carries the requests. The listeners see new files as they see every other change.

mod challenges;
mod client;
mod order;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use thiserror::Error;
use tokio::sync::watch;
use tokio_rustls::rustls;
use x509_cert::der::Decode as _;

pub use self::challenges::Challenges;
pub(super) use self::challenges::PROTOCOL;
pub(in crate::http) use self::challenges::routes;
use super::certificates::{CertificateFiles, Certificates};
use super::private_file::keep;

/// What a node asks an authority for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acme {
    /// Where account, certificate and key are kept.
    pub folder: PathBuf,
    /// The names of the certificate.
    pub domains: Vec<String>,
    /// Whom the authority may write to: `mailto:…`.
    pub contact: Option<String>,
    /// The authority's directory.
    pub directory: String,
    /// The roots that its own certificate leads to, in PEM.
    pub roots: PathBuf,
    /// How a name is proven.
    pub proof: Proof,
}

/// How a name is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// At port 80, by HTTP (RFC 8555 §8.3).
    Http01,
    /// At port 443, within TLS (RFC 8737).
    TlsAlpn01,
}

impl Proof {
    /// As it is written in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::TlsAlpn01 => "tls-alpn-01",
        }
    }
}

/// Why there is no new certificate.
#[derive(Debug, Error)]
pub enum AcmeError {
    /// The roots cannot be used.
    #[error("https.acme_roots {}: {source}", path.display())]
    Roots {
        /// Their file.
        path: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
    /// The authority refuses, or cannot be reached.
    #[error("the authority: {0}")]
    Authority(#[from] instant_acme::Error),
    /// It does not believe that a name is ours.
    #[error("the authority could not see the proof for a name of https.acme_domains")]
    NotAuthorized,
    /// It does not take this kind of proof.
    #[error("the authority takes no proof by {0}")]
    NoChallenge(&'static str),
    /// A key or request could not be made.
    #[error("a key or a request: {0}")]
    Certificate(rcgen::Error),
    /// What it gave could not be kept.
    #[error("what is kept of it: {0}")]
    Keep(#[from] io::Error),
}

impl Acme {
    /// Where the certificate is kept.
    #[must_use]
    pub fn files(&self) -> CertificateFiles {
        CertificateFiles {
            certificate: self.folder.join("certificate.pem"),
            key: self.folder.join("key.pem"),
        }
    }

    fn account_file(&self) -> PathBuf {
        self.folder.join("account.json")
    }
}

/// Asks whenever it is time, until told to stop. What fails is tried again after growing pauses.
pub async fn renew(
    acme: Acme,
    certificates: Arc<Certificates>,
    challenges: Arc<Challenges>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut pause = RETRY_FIRST;
    loop {
        let wait = if is_due(&acme, SystemTime::now()) {
            match ask(&acme, &certificates, &challenges).await {
                Ok(()) => {
                    pause = RETRY_FIRST;
                    tracing::info!(domains = %acme.domains.join(" "), "the authority has given a certificate");
                    LOOK_AFTER
                }
                Err(error) => {
                    tracing::warn!(%error, retry_s = pause.as_secs(), "no certificate from the authority");
                    let wait = pause;
                    pause = (pause * 2).min(RETRY_LAST);
                    wait
                }
            }
        } else {
            LOOK_AFTER
        };
        tokio::select! {
            _ = stopped.changed() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// There is no certificate of these names, or two thirds of its time have passed.
fn is_due(acme: &Acme, now: SystemTime) -> bool {
    let asked_for = std::fs::read_to_string(acme.folder.join(NAMES_FILE));
    let is_same = asked_for.is_ok_and(|names| names == acme.domains.join("\n"));
    let read = std::fs::read(acme.files().certificate);
    let renewed_at = read.ok().and_then(|pem| renewed_at(&pem));
    !is_same || renewed_at.is_none_or(|at| at <= now)
}

/// When the certificate of this chain is asked for again.
fn renewed_at(pem: &[u8]) -> Option<SystemTime> {
    let first = CertificateDer::pem_slice_iter(pem).next()?.ok()?;
    let certificate = x509_cert::Certificate::from_der(&first).ok()?;
    let validity = certificate.tbs_certificate().validity();
    let (from, until) = (
        validity.not_before.to_unix_duration(),
        validity.not_after.to_unix_duration(),
    );
    let third = until.checked_sub(from)? / 3;
    SystemTime::UNIX_EPOCH.checked_add(until.checked_sub(third)?)
}

async fn ask(
    acme: &Acme,
    certificates: &Arc<Certificates>,
    challenges: &Challenges,
) -> Result<(), AcmeError> {
    std::fs::create_dir_all(&acme.folder)?;
    let account = order::account(acme).await?;
    let obtained = order::obtain(acme, &account, challenges).await;
    challenges.clear();
    let issued = obtained?;
    let files = acme.files();
    // The listeners look at both: a pair that does not fit yet leaves them as they are.
    keep(&files.key, issued.key.as_bytes())?;
    keep(&files.certificate, issued.chain.as_bytes())?;
    keep(
        &acme.folder.join(NAMES_FILE),
        acme.domains.join("\n").as_bytes(),
    )?;
    let looking = Arc::clone(certificates);
    let looked = tokio::task::spawn_blocking(move || looking.look()).await;
    if let Ok(Err(error)) = looked {
        tracing::warn!(%error, "what the authority gave cannot be used");
    }
    Ok(())
}

/// The names that the kept certificate was asked for.
const NAMES_FILE: &str = "names";
/// Between two looks at the age.
const LOOK_AFTER: Duration = Duration::from_secs(3600);
/// After the first failure.
const RETRY_FIRST: Duration = Duration::from_secs(60);
/// After many: authorities count failures by the hour.
const RETRY_LAST: Duration = Duration::from_secs(6 * 3600);
/// How long an order may take.
const ORDER_TIME_MAX: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests;
