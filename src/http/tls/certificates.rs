//! The certificate that listeners with TLS show: of files, read again when they change, or a self-signed
//! one of the node's own.
//!
//! What cannot be read while the node runs changes nothing: the certificate before it stays.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::rustls;

use super::acme::{Challenges, PROTOCOL};
use super::facts::Facts;
use super::private_file::keep;

/// Where a certificate and its key stand, both as PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, and those that lead to a root after it.
    pub certificate: PathBuf,
    /// Its key; may be the same file.
    pub key: PathBuf,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// No certificate in PEM.
    #[error("{}: no certificate (PEM) in it", .0.display())]
    NoCertificate(PathBuf),
    /// No key in PEM.
    #[error("{}: no private key (PEM) in it", .0.display())]
    NoKey(PathBuf),
    /// A key of a kind that is not taken, or of another certificate.
    #[error("{} and {}: {why}", .files.certificate.display(), .files.key.display())]
    Unfit {
        /// Which.
        files: CertificateFiles,
        /// What is wrong.
        why: rustls::Error,
    },
    /// The self-signed one could not be made.
    #[error("a self-signed certificate: {0}")]
    SelfSigned(#[from] rcgen::Error),
}

/// What is counted of certificates.
#[derive(Debug, Default)]
pub struct CertificateFigures {
    /// When the one that is shown ends, in seconds since 1970; 0: it does not say.
    pub end_s: AtomicU64,
    /// Asked of an authority, and not given.
    pub orders_failed: AtomicU64,
}

impl CertificateFigures {
    fn show(&self, certified: &CertifiedKey) {
        let facts = certified.cert.first().and_then(Facts::of);
        let end_s = facts.map_or(0, |facts| facts.until.as_secs());
        self.end_s.store(end_s, Ordering::Relaxed);
    }

    pub(super) fn count_failed_order(&self) {
        self.orders_failed.fetch_add(1, Ordering::Relaxed);
    }
}

/// The certificate in use.
#[derive(Debug)]
pub struct Certificates {
    files: CertificateFiles,
    /// Of the one that is shown.
    is_self_signed: AtomicBool,
    /// What comes to the files is an authority's.
    is_awaited: bool,
    /// What the files held when they were read last, good or not.
    seen: Mutex<[Vec<u8>; 2]>,
    current: ArcSwap<CertifiedKey>,
    figures: Arc<CertificateFigures>,
    challenges: Option<Arc<Challenges>>,
}

impl Certificates {
    /// Of these files.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn load(files: CertificateFiles) -> Result<Self, CertificateError> {
        let seen = contents(&files)?;
        let current = certified(&files, &seen)?;
        let figures = Arc::<CertificateFigures>::default();
        figures.show(&current);
        Ok(Self {
            files,
            is_self_signed: AtomicBool::new(false),
            is_awaited: false,
            seen: Mutex::new(seen),
            current: ArcSwap::from_pointee(current),
            figures,
            challenges: None,
        })
    }

    /// Of a file of ours in this folder, with these names; made where it is not there, cannot be read or is old.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn self_signed(folder: &Path, names: &[String]) -> Result<Self, CertificateError> {
        let path = folder.join(SELF_SIGNED_FILE);
        let files = CertificateFiles {
            certificate: path.clone(),
            key: path,
        };
        let is_fresh = is_fresh(&files.certificate);
        let kept = Self::load(files.clone()).ok().filter(|_| is_fresh);
        let certificates = match kept {
            Some(kept) => kept,
            None => {
                write_self_signed(&files.certificate, names)?;
                Self::load(files)?
            }
        };
        Ok(Self {
            is_self_signed: AtomicBool::new(true),
            ..certificates
        })
    }

    /// Of files that an authority's certificate comes to: until there is one, a self-signed one is shown.
    ///
    /// # Errors
    /// That cannot be written.
    pub fn awaited(
        files: CertificateFiles,
        folder: &Path,
        names: &[String],
    ) -> Result<Self, CertificateError> {
        if let Ok(given) = Self::load(files.clone()) {
            return Ok(given);
        }
        let meanwhile = Self::self_signed(folder, names)?;
        Ok(Self {
            files,
            is_awaited: true,
            ..meanwhile
        })
    }

    /// What an authority is shown in the handshake goes by these.
    #[must_use]
    pub fn with_challenges(self, challenges: Arc<Challenges>) -> Self {
        Self {
            challenges: Some(challenges),
            ..self
        }
    }

    /// The one that is shown is made by this node: no browser trusts it without being asked.
    #[must_use]
    pub fn is_self_signed(&self) -> bool {
        self.is_self_signed.load(Ordering::Acquire)
    }

    /// What is counted of them.
    #[must_use]
    pub const fn figures(&self) -> &Arc<CertificateFigures> {
        &self.figures
    }

    /// Its files.
    #[must_use]
    pub const fn files(&self) -> &CertificateFiles {
        &self.files
    }

    /// Reads the files again. True: there is another certificate from now on.
    ///
    /// # Errors
    /// They have changed, and cannot be used; said once for each change.
    pub fn look(&self) -> Result<bool, CertificateError> {
        let read = match contents(&self.files) {
            // Those of an authority are not there yet.
            Err(CertificateError::File { source, .. })
                if self.is_self_signed() && source.kind() == io::ErrorKind::NotFound =>
            {
                return Ok(false);
            }
            read => read?,
        };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == read {
            return Ok(false);
        }
        let certified = certified(&self.files, &read);
        *seen = read;
        let certified = certified?;
        self.figures.show(&certified);
        self.current.store(Arc::new(certified));
        if self.is_awaited {
            self.is_self_signed.store(false, Ordering::Release);
        }
        Ok(true)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let mut asked = hello.alpn().into_iter().flatten();
        if asked.any(|protocol| protocol == PROTOCOL) {
            return self.challenges.as_ref()?.certificate(hello.server_name()?);
        }
        Some(self.current.load_full())
    }
}

fn contents(files: &CertificateFiles) -> Result<[Vec<u8>; 2], CertificateError> {
    let read = |path: &PathBuf| {
        std::fs::read(path).map_err(|source| CertificateError::File {
            path: path.clone(),
            source,
        })
    };
    Ok([read(&files.certificate)?, read(&files.key)?])
}

fn certified(
    files: &CertificateFiles,
    [chain, key]: &[Vec<u8>; 2],
) -> Result<CertifiedKey, CertificateError> {
    let none = || CertificateError::NoCertificate(files.certificate.clone());
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty());
    let chain = chain.ok_or_else(none)?;
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_not_pem| CertificateError::NoKey(files.key.clone()))?;
    CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(|why| {
        CertificateError::Unfit {
            files: files.clone(),
            why,
        }
    })
}

fn is_fresh(path: &Path) -> bool {
    let written = std::fs::metadata(path).and_then(|metadata| metadata.modified());
    let age = written.map(|written| SystemTime::now().duration_since(written));
    matches!(age, Ok(Ok(age)) if age < SELF_SIGNED_AGE_MAX)
}

fn write_self_signed(path: &Path, names: &[String]) -> Result<(), CertificateError> {
    let key = KeyPair::generate()?;
    let mut parameters = CertificateParams::new(names)?;
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, "Sluice, self-signed");
    parameters.distinguished_name = name;
    let certificate = parameters.self_signed(&key)?;
    let pem = format!("{}{}", certificate.pem(), key.serialize_pem());
    keep(path, pem.as_bytes()).map_err(|source| CertificateError::File {
        path: path.to_owned(),
        source,
    })
}

/// In the data folder; key and certificate.
const SELF_SIGNED_FILE: &str = "self-signed.pem";
/// Then another one is made at the next start.
const SELF_SIGNED_AGE_MAX: Duration = Duration::from_secs(365 * 24 * 3600);
