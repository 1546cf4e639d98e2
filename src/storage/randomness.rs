//! Randomness of the kernel, for what the database must not repeat: ids, nonces, keys, request paths.

use std::io;
use std::path::PathBuf;

use super::error::StorageError;

/// Fresh octets.
pub(crate) fn randomness<const OCTETS: usize>() -> Result<[u8; OCTETS], StorageError> {
    let mut octets = [0; OCTETS];
    getrandom::fill(&mut octets).map_err(|error| StorageError::NotWritable {
        path: PathBuf::from("/dev/urandom"),
        source: io::Error::other(error.to_string()),
    })?;
    Ok(octets)
}
