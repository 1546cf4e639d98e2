//! Keying material into the keys of each direction (RFC 5764 §4.2).

use dimpl::SrtpProfile;

use crate::dtls::Role;
use crate::srtp::{MasterKey, SrtpPlan, Suite};

/// The suite of a profile (RFC 5764 §4.1.2, RFC 7714 §14.2). `None`: one that we do not have.
pub(super) const fn suite(profile: SrtpProfile) -> Option<Suite> {
    match profile {
        SrtpProfile::AES128_CM_SHA1_80 => Some(Suite::AesCm128HmacSha1_80),
        SrtpProfile::AEAD_AES_128_GCM => Some(Suite::AeadAes128Gcm),
        SrtpProfile::AEAD_AES_256_GCM => Some(Suite::AeadAes256Gcm),
        _ => None,
    }
}

/// The material is the client's key, the server's key, the client's salt, the server's salt. `None`:
/// it is not as long as the suite asks.
pub(super) fn plan(suite: Suite, role: Role, material: &[u8]) -> Option<SrtpPlan> {
    let (keys, salts) = material.split_at_checked(2 * suite.key_size())?;
    let (client_key, server_key) = keys.split_at_checked(suite.key_size())?;
    let (client_salt, server_salt) = salts.split_at_checked(suite.salt_size())?;
    let client = master_key(suite, client_key, client_salt)?;
    let server = master_key(suite, server_key, server_salt)?;
    Some(match role {
        Role::Server => SrtpPlan {
            send: server,
            receive: client,
        },
        Role::Client => SrtpPlan {
            send: client,
            receive: server,
        },
    })
}

fn master_key(suite: Suite, key: &[u8], salt: &[u8]) -> Option<MasterKey> {
    let key_and_salt = zeroize::Zeroizing::new([key, salt].concat());
    MasterKey::new(suite, &key_and_salt)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5764 §4.2, with the sizes of RFC 3711 and RFC 7714 §12.
    #[test]
    fn each_side_sends_under_its_own_half_of_the_material() {
        for (suite, key, salt) in [
            (Suite::AesCm128HmacSha1_80, 16, 14),
            (Suite::AeadAes128Gcm, 16, 12),
            (Suite::AeadAes256Gcm, 32, 12),
        ] {
            let part = |octet: u8, size: usize| vec![octet; size];
            let material = [part(1, key), part(2, key), part(3, salt), part(4, salt)].concat();
            let server = plan(suite, Role::Server, &material).unwrap();
            let client = plan(suite, Role::Client, &material).unwrap();
            assert_eq!(server.send.key(), part(2, key));
            assert_eq!(server.send.salt(), part(4, salt));
            assert_eq!(server.receive.key(), part(1, key));
            assert_eq!(server.receive.salt(), part(3, salt));
            assert_eq!((client.send, client.receive), (server.receive, server.send));
            let size = material.len();
            assert_eq!(plan(suite, Role::Server, &material[..size - 1]), None);
            assert_eq!(
                plan(suite, Role::Server, &[material, vec![0]].concat()),
                None
            );
        }
    }
}
