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

use sha2::{Digest as _, Sha256};
use thiserror::Error;
use tokio::sync::watch;

pub use self::challenges::Challenges;
pub(super) use self::challenges::PROTOCOL;
pub(in crate::http) use self::challenges::routes;
use super::certificates::{CertificateFiles, Certificates};
use super::facts::Facts;
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
    #[error(
        "the authority could not see the proof for a name of https.acme_domains; `sluice doctor` says what it needs"
    )]
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

    /// An account is good at its own authority only: each has its file.
    fn account_file(&self) -> PathBuf {
        let digest = Sha256::digest(&self.directory);
        let short: String = digest
            .iter()
            .take(8)
            .map(|octet| format!("{octet:02x}"))
            .collect();
        self.folder.join(format!("account-{short}.json"))
    }

    /// What a certificate is asked for: where, and by which names.
    fn asked_for(&self) -> String {
        format!("{}\n{}", self.directory, self.domains.join("\n"))
    }
}

/// Asks whenever it is time, until told to stop. What fails is tried again after growing pauses.
pub async fn renew(
    acme: Acme,
    certificates: Arc<Certificates>,
    challenges: Arc<Challenges>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut pauses = Pauses::default();
    loop {
        let wait = if is_due(&acme, SystemTime::now()) {
            match ask(&acme, &certificates, &challenges).await {
                Ok(()) => {
                    pauses = Pauses::default();
                    tracing::info!(domains = %acme.domains.join(" "), "the authority has given a certificate");
                    LOOK_AFTER
                }
                Err(error) => {
                    certificates.figures().count_failed_order();
                    let wait = pauses.after_failure();
                    tracing::warn!(%error, retry_s = wait.as_secs(), "no certificate from the authority");
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

/// Pauses between tries that fail, each twice as long as the one before.
#[derive(Debug, Default)]
struct Pauses {
    failed: u32,
}

impl Pauses {
    fn after_failure(&mut self) -> Duration {
        let pause = RETRY_FIRST.saturating_mul(1 << self.failed.min(16));
        self.failed = self.failed.saturating_add(1);
        pause.min(RETRY_LAST)
    }
}

/// There is no certificate of this authority for these names, or two thirds of its time have passed.
fn is_due(acme: &Acme, now: SystemTime) -> bool {
    let asked_for = std::fs::read_to_string(acme.folder.join(ASKED_FILE));
    let is_same = asked_for.is_ok_and(|asked_for| asked_for == acme.asked_for());
    let read = std::fs::read(acme.files().certificate);
    let facts = read.ok().and_then(|pem| Facts::of_pem(&pem));
    let renewed_at = facts.and_then(|facts| facts.renewed_at());
    !is_same || renewed_at.is_none_or(|at| at <= now)
}

async fn ask(
    acme: &Acme,
    certificates: &Arc<Certificates>,
    challenges: &Challenges,
) -> Result<(), AcmeError> {
    std::fs::create_dir_all(&acme.folder)?;
    let account = order::account(acme).await?;
    let mut obtained = order::obtain(acme, &account, challenges).await;
    if matches!(&obtained, Err(AcmeError::Authority(error)) if order::is_forgotten(error)) {
        // An authority to try things out at does that.
        std::fs::remove_file(acme.account_file())?;
        let account = order::account(acme).await?;
        obtained = order::obtain(acme, &account, challenges).await;
    }
    challenges.clear();
    let issued = obtained?;
    let files = acme.files();
    // The listeners look at both: a pair that does not fit yet leaves them as they are.
    keep(&files.key, issued.key.as_bytes())?;
    keep(&files.certificate, issued.chain.as_bytes())?;
    keep(&acme.folder.join(ASKED_FILE), acme.asked_for().as_bytes())?;
    let looking = Arc::clone(certificates);
    let looked = tokio::task::spawn_blocking(move || looking.look()).await;
    if let Ok(Err(error)) = looked {
        tracing::warn!(%error, "what the authority gave cannot be used");
    }
    Ok(())
}

/// What the kept certificate was asked for.
const ASKED_FILE: &str = "asked-for";
/// Between two looks at the age.
const LOOK_AFTER: Duration = Duration::from_secs(3600);
/// After the first failure: authorities count them, Let's Encrypt takes five of a name in an hour. Of ours
/// there are four at most, and one is left to who starts the node anew.
const RETRY_FIRST: Duration = Duration::from_secs(300);
/// After many.
const RETRY_LAST: Duration = Duration::from_secs(6 * 3600);
/// How long an order may take.
const ORDER_TIME_MAX: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests;
