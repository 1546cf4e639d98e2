//! Why a node did not start, for who started it.

use std::io;
use std::net::SocketAddr;

use super::browsers::BrowsersError;
use crate::http::CertificateError;
use crate::storage::StorageError;

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A socket could not be bound.
    #[error("{key} {address}: {why}")]
    Bind {
        /// The key of the configuration.
        key: &'static str,
        /// What was to be bound.
        address: SocketAddr,
        /// In words.
        why: String,
    },
    /// The socket of the command line could not be made.
    #[error("http.socket {}: {source}", path.display())]
    Socket {
        /// Its file.
        path: std::path::PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// There is no certificate to show.
    #[error("https: {0}")]
    Certificate(#[from] CertificateError),
    /// No browser can be talked to.
    #[error("browsers: {0}")]
    Browsers(#[from] BrowsersError),
    /// The database.
    #[error("{0}")]
    Storage(#[from] StorageError),
    /// The ring was demanded and refused.
    #[error("media.backend = \"io_uring\", but this host refuses it: {0}")]
    NoRing(String),
    /// Threads, descriptors, randomness.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

impl ServeError {
    pub(super) const fn bind(key: &'static str, address: SocketAddr, why: String) -> Self {
        Self::Bind { key, address, why }
    }

    pub(super) fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }
}
