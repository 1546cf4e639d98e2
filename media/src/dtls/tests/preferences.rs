//! Peers that name protection profiles in an order of their own: what comes of it is the strongest.

use std::sync::Arc;

use dimpl::crypto::aws_lc_rs::default_provider;
use dimpl::crypto::{
    Buf, CryptoProvider, HashAlgorithm, HashContext, HashProvider, KeyProvider, SignatureAlgorithm,
    SigningKey,
};
use dimpl::{Config, CryptoError};

use super::{Failure, Link, Ours, Peer, Role, Version, beginning, peer_fingerprint};
use crate::dtls::hello::{HelloParts, Taken};
use crate::srtp::Suite;

/// The extension as the library writes it, without the list.
const BEFORE: [u8; 6] = [0, 14, 0, 9, 0, 6];
const NAMED_BY_LIBRARY: [u8; 6] = [0, 8, 0, 7, 0, 1];

/// What a peer names instead, on its way and in all that it hashes and signs.
#[derive(Debug, Clone, Copy)]
struct Naming([u8; 6]);

impl Naming {
    fn put(self, octets: &mut [u8]) {
        let whole = [BEFORE, NAMED_BY_LIBRARY].concat();
        let found = octets.windows(whole.len()).position(|it| it == whole);
        if let Some(at) = found {
            octets[at + BEFORE.len()..at + whole.len()].copy_from_slice(&self.0);
        }
    }
}

#[derive(Debug)]
struct NamingHash(Naming, Box<dyn HashContext>);

impl HashProvider for Naming {
    fn create_hash(&self, algorithm: HashAlgorithm) -> Box<dyn HashContext> {
        let context = default_provider().hash_provider.create_hash(algorithm);
        Box::new(NamingHash(*self, context))
    }
}

impl HashContext for NamingHash {
    fn update(&mut self, data: &[u8]) {
        let mut data = data.to_vec();
        self.0.put(&mut data);
        self.1.update(&data);
    }

    fn clone_and_finalize(&self, out: &mut Buf) {
        self.1.clone_and_finalize(out);
    }
}

#[derive(Debug)]
struct NamingKey(Naming, Box<dyn SigningKey>);

impl KeyProvider for Naming {
    fn load_private_key(&self, der: &[u8]) -> Result<Box<dyn SigningKey>, CryptoError> {
        let key = default_provider().key_provider.load_private_key(der)?;
        Ok(Box::new(NamingKey(*self, key)))
    }
}

impl SigningKey for NamingKey {
    fn sign(
        &mut self,
        data: &[u8],
        algorithm: HashAlgorithm,
        out: &mut Buf,
    ) -> Result<(), CryptoError> {
        let mut data = data.to_vec();
        self.0.put(&mut data);
        self.1.sign(&data, algorithm, out)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.1.algorithm()
    }

    fn hash_algorithm(&self) -> HashAlgorithm {
        self.1.hash_algorithm()
    }

    fn supported_hash_algorithms(&self) -> &[HashAlgorithm] {
        self.1.supported_hash_algorithms()
    }
}

/// The end of a handshake with a client that names these.
fn ended(version: Version, named: [u8; 6]) -> Link {
    let naming: &'static Naming = Box::leak(Box::new(Naming(named)));
    let provider = CryptoProvider {
        hash_provider: naming,
        key_provider: naming,
        ..default_provider()
    };
    let config = Config::builder()
        .use_server_cookie(false)
        .with_crypto_provider(provider)
        .build();
    let now = beginning();
    let peer = Peer::by(now, version, Role::Client, Arc::new(config.unwrap()));
    let ours = Ours::new(now, Role::Server, &[peer_fingerprint()]);
    let mut link = Link::new(ours, peer, now);
    link.drain();
    for hello in &mut link.to_ours {
        naming.put(hello);
    }
    link.run();
    link
}

/// The suite that both sides have keys of, when a client names these.
fn agreed(version: Version, named: [u8; 6]) -> Suite {
    let link = ended(version, named);
    assert_eq!(link.ours.failed, None, "{version:?} {named:?}");
    let ours = link.ours.keys.as_ref().expect("our keys");
    let theirs = link.peer.plan(Role::Client).expect("keys of the peer");
    assert_eq!(ours.send, theirs.receive, "{version:?} {named:?}");
    ours.send.suite()
}

#[test]
fn a_client_gets_gcm_whenever_it_names_it_and_otherwise_what_it_has() {
    let cases = [
        ([0, 1, 0, 8, 0, 7], Suite::AeadAes256Gcm),
        ([0, 1, 0, 7, 0, 8], Suite::AeadAes256Gcm),
        ([0, 1, 0, 2, 0, 7], Suite::AeadAes128Gcm),
        ([0, 7, 0, 1, 0, 2], Suite::AeadAes128Gcm),
        ([0, 2, 0, 1, 0, 5], Suite::AesCm128HmacSha1_80),
    ];
    for version in Version::ALL {
        for (named, suite) in cases {
            assert_eq!(agreed(version, named), suite, "{version:?} {named:?}");
        }
    }
}

/// Without encryption, with a short tag, and by numbers that nobody has assigned (RFC 5764 §4.1.2).
#[test]
fn a_client_that_names_no_profile_of_ours_gets_no_keys_and_that_is_why() {
    for version in Version::ALL {
        for named in [[0, 5, 0, 6, 0, 2], [0x7f, 9, 0, 99, 1, 8]] {
            let link = ended(version, named);
            assert_eq!(link.ours.failed, Some(Failure::NoProfile), "{version:?}");
            assert!(link.ours.keys.is_none(), "{version:?} {named:?}");
        }
    }
}

/// A hello of 1.3 in the parts of these sizes, the number of the record in each.
fn parts(profiles: [u8; 6], sizes: &[usize]) -> Vec<Vec<u8>> {
    let mut body = vec![0xfe, 0xfd];
    body.extend([7; 32]);
    body.extend([0, 0, 0, 2, 0x13, 1, 1, 0]);
    let mut extensions = vec![0, 43, 0, 3, 2, 0xfe, 0xfc];
    extensions.extend(BEFORE);
    extensions.extend(profiles);
    extensions.push(0);
    body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    body.extend(extensions);
    let size = u8::try_from(body.len()).unwrap();
    let mut datagrams = Vec::new();
    let mut offset = 0;
    for (number, part) in sizes.iter().chain([&body.len()]).enumerate() {
        let end = body.len().min(offset + part);
        let content = &body[offset..end];
        let fragment = u8::try_from(content.len()).unwrap();
        let mut datagram = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0];
        datagram.extend([u8::try_from(number).unwrap(), 0, 12 + fragment]);
        datagram.extend([1, 0, 0, size, 0, 0, 0, 0, u8::try_from(offset).unwrap()]);
        datagram.extend([0, 0, fragment]);
        datagram.extend(content);
        datagrams.push(datagram);
        offset = end;
    }
    datagrams
}

#[test]
fn a_hello_is_whole_when_all_of_it_has_come_in_whatever_order() {
    let [whole] = <[_; 1]>::try_from(parts([0, 1, 0, 8, 0, 7], &[])).unwrap();
    let mut shown = whole.clone();
    let at = shown.len() - 7;
    shown[at..at + 6].copy_from_slice(&[0xff, 1, 0, 8, 0xff, 7]);
    let mut hello = HelloParts::default();
    assert_eq!(hello.take(&whole), Taken::Whole(shown.clone()));
    // Each boundary, through every number of it too.
    for size in 1..whole.len() - 25 {
        let parts = parts([0, 1, 0, 8, 0, 7], &[size]);
        for order in [[0, 1], [1, 0]] {
            let [first, last] = order.map(|at| &parts[at]);
            assert_eq!(hello.take(first), Taken::Part, "{size}");
            assert_eq!(hello.take(first), Taken::Part, "once more");
            let mut expected = shown.clone();
            expected[10] = last[10];
            assert_eq!(hello.take(last), Taken::Whole(expected), "{size}");
        }
        let both = parts.concat();
        assert!(matches!(hello.take(&both), Taken::Whole(_)), "in one");
    }
}

#[test]
fn a_hello_with_a_number_that_only_we_hide_is_not_read() {
    let mut hello = HelloParts::default();
    for profiles in [[0xff, 1, 0, 8, 0, 7], [0, 8, 0, 7, 0xff, 0]] {
        assert_eq!(hello.take(&parts(profiles, &[])[0]), Taken::Refused);
    }
    let mut long = parts([0, 1, 0, 8, 0, 7], &[5]).swap_remove(0);
    long[13 + 1] = 1;
    assert_eq!(hello.take(&long), Taken::Refused, "longer than is read");
    let [begin, end] = <[_; 2]>::try_from(parts([0, 1, 0, 8, 0, 7], &[40])).unwrap();
    let mut other = end.clone();
    other[13 + 3] += 1;
    assert_eq!(hello.take(&begin), Taken::Part);
    assert_eq!(hello.take(&other), Taken::Refused, "of another one");
    assert!(matches!(hello.take(&end), Taken::Whole(_)));
}
