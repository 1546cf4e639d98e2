//! The node key: 32 octets in a file beside the database, by which trunk passwords are sealed, and of
//! which keys for other purposes are made. A copy of the database alone gives no password away.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use super::error::StorageError;
use super::randomness::randomness;
use crate::trunks::model::Secret;

/// The key in use.
#[derive(Clone)]
pub struct NodeKey {
    cipher: ChaCha20Poly1305,
    /// Makes other keys.
    parent: Hmac<Sha256>,
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("NodeKey(…)")
    }
}

impl NodeKey {
    /// Reads the key of a data folder; the first caller makes it.
    ///
    /// # Errors
    /// The file cannot be made or read, is too short, or can be read by other users.
    pub fn open(folder: &Path) -> Result<Self, StorageError> {
        let path = folder.join(FILE_NAME);
        let unwritable = |source| StorageError::NotWritable {
            path: path.clone(),
            source,
        };
        if !path.try_exists().map_err(unwritable)? {
            make(&path, &randomness()?).map_err(unwritable)?;
        }
        let mode = fs::metadata(&path).map_err(unwritable)?.mode();
        if mode & 0o077 != 0 {
            let detail = "other users may read it; run chmod 600 on it";
            return Err(StorageError::NodeKey { path, detail });
        }
        let octets = fs::read(&path).map_err(unwritable)?;
        let Ok(octets) = <[u8; KEY_OCTETS]>::try_from(octets) else {
            return Err(StorageError::NodeKey {
                path,
                detail: "it must hold exactly 32 octets",
            });
        };
        let cipher = ChaCha20Poly1305::new(&Key::from(octets));
        let unusable = StorageError::NodeKey {
            path,
            detail: "it cannot be used",
        };
        let parent = <Hmac<Sha256> as hmac::Mac>::new_from_slice(&octets);
        let parent = parent.map_err(|_any_length_is_taken| unusable)?;
        Ok(Self { cipher, parent })
    }

    /// Another key, which says nothing of this one. The same purpose, the same key, also after a restart.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> [u8; KEY_OCTETS] {
        let mut parent = self.parent.clone();
        parent.update(purpose.as_bytes());
        parent.finalize().into_bytes().into()
    }

    /// Seals a clear text for the row `id`: a nonce and the sealed text.
    ///
    /// # Errors
    /// The kernel gave no randomness.
    pub fn seal(&self, id: &str, clear: &Secret) -> Result<Vec<u8>, StorageError> {
        let nonce = randomness::<NONCE_OCTETS>()?;
        let payload = Payload {
            msg: clear.expose().as_bytes(),
            aad: id.as_bytes(),
        };
        let sealed = self
            .cipher
            .encrypt(&Nonce::from(nonce), payload)
            .map_err(|_too_long| bad(id))?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Opens what [`NodeKey::seal`] made for the same row.
    ///
    /// # Errors
    /// Another key sealed it, for another row, or it was changed.
    pub fn unseal(&self, id: &str, sealed: &[u8]) -> Result<Secret, StorageError> {
        let (nonce, sealed) = sealed.split_first_chunk().ok_or_else(|| bad(id))?;
        let payload = Payload {
            msg: sealed,
            aad: id.as_bytes(),
        };
        let clear = self
            .cipher
            .decrypt(&Nonce::from(*nonce), payload)
            .map_err(|_not_ours| bad(id))?;
        String::from_utf8(clear)
            .map(Secret::new)
            .map_err(|_not_text| bad(id))
    }
}

fn bad(id: &str) -> StorageError {
    StorageError::Corrupt {
        what: "trunk password",
        detail: format!("{id} was not sealed with this folder's node key; apply the trunk again"),
    }
}

/// Writes a new key. Of two processes that start at once, one wins and both use its key.
fn make(path: &Path, octets: &[u8; KEY_OCTETS]) -> io::Result<()> {
    let draft = path.with_extension(format!("{}", std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(octets)?;
    file.sync_all()?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

const FILE_NAME: &str = "node.key";
const KEY_OCTETS: usize = 32;
const NONCE_OCTETS: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_password_opens_with_the_same_key_and_row_only() {
        let folder = tempfile::tempdir().unwrap();
        let key = NodeKey::open(folder.path()).unwrap();
        let sealed = key.seal("tr_1", &Secret::new("hush".to_owned())).unwrap();
        assert!(!sealed.windows(4).any(|window| window == b"hush"));
        let again = NodeKey::open(folder.path()).unwrap();
        assert_eq!(again.unseal("tr_1", &sealed).unwrap().expose(), "hush");
        again.unseal("tr_2", &sealed).unwrap_err();
        let other = tempfile::tempdir().unwrap();
        NodeKey::open(other.path())
            .unwrap()
            .unseal("tr_1", &sealed)
            .unwrap_err();
        again.unseal("tr_1", &sealed[..8]).unwrap_err();
    }

    #[test]
    fn derived_keys_stay_and_differ_by_purpose_and_node() {
        let folder = tempfile::tempdir().unwrap();
        let key = NodeKey::open(folder.path()).unwrap();
        let again = NodeKey::open(folder.path()).unwrap();
        assert_eq!(key.derive("a"), again.derive("a"));
        assert_ne!(key.derive("a"), key.derive("b"));
        let other = tempfile::tempdir().unwrap();
        let other = NodeKey::open(other.path()).unwrap();
        assert_ne!(key.derive("a"), other.derive("a"));
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        NodeKey::open(folder.path()).unwrap();
        let file = folder.path().join(FILE_NAME);
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        let error = NodeKey::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
    }

    #[test]
    fn a_key_shows_nothing_of_itself() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(
            format!("{:?}", NodeKey::open(folder.path()).unwrap()),
            "NodeKey(…)"
        );
    }
}
