//! SRTP and SRTCP against crate `webrtc-srtp`: what one protects the other unprotects, both ways, in
//! every suite.

#![forbid(unsafe_code)]

use media::srtp::{MasterKey, ReceiveContext, SendContext, Suite};
use proptest::prelude::*;
use webrtc_srtp::context::Context;
use webrtc_srtp::protection_profile::ProtectionProfile;

fn suite() -> impl Strategy<Value = Suite> {
    proptest::sample::select(Suite::ALL.to_vec())
}

const fn profile(suite: Suite) -> ProtectionProfile {
    match suite {
        Suite::AesCm128HmacSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
        Suite::AesCm128HmacSha1_32 => ProtectionProfile::Aes128CmHmacSha1_32,
        Suite::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
        Suite::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
    }
}

struct Peers {
    sender: SendContext,
    receiver: ReceiveContext,
    oracle: Context,
}

impl Peers {
    fn new(suite: Suite, octets: &[u8; 44]) -> Option<Self> {
        let (key, rest) = octets.split_at(suite.key_size());
        let salt = rest.get(..suite.salt_size())?;
        let master = MasterKey::new(suite, &[key, salt].concat())?;
        Some(Self {
            sender: SendContext::new(&master)?,
            receiver: ReceiveContext::new(&master)?,
            oracle: Context::new(key, salt, profile(suite), None, None).ok()?,
        })
    }
}

fn rtp(sequence: u16, ssrc: u32, csrcs: u8, extension: Option<u8>, payload: &[u8]) -> Vec<u8> {
    let mut octets = vec![
        0x80 | csrcs | if extension.is_some() { 0x10 } else { 0 },
        0x60,
    ];
    octets.extend(sequence.to_be_bytes());
    octets.extend([1, 2, 3, 4]);
    octets.extend(ssrc.to_be_bytes());
    octets.extend((0..csrcs).flat_map(|source| [source; 4]));
    if let Some(words) = extension {
        octets.extend([0x12, 0x34, 0, words]);
        octets.extend((0..words).flat_map(|word| [word; 4]));
    }
    octets.extend(payload);
    octets
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn rtp_is_protected_as_the_oracle_does_it(
        suite in suite(),
        keys in any::<[u8; 32]>(),
        rest in any::<[u8; 12]>(),
        ssrc in any::<u32>(),
        first in 0_u16..=65_535,
        steps in proptest::collection::vec(1_u16..20_000, 1..30),
        csrcs in 0_u8..4,
        extension in proptest::option::of(0_u8..5),
        payload in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        let mut key = [0; 44];
        key[..32].copy_from_slice(&keys);
        key[32..].copy_from_slice(&rest);
        let mut peers = Peers::new(suite, &key).unwrap();
        let mut decoder = Peers::new(suite, &key).unwrap().oracle;
        let mut sequence = first;
        for step in steps {
            let plain = rtp(sequence, ssrc, csrcs, extension, &payload);
            let mut ours = plain.clone();
            ours.resize(plain.len() + peers.sender.rtp_overhead(), 0);
            peers.sender.protect_rtp(&mut ours).unwrap();
            let theirs = peers.oracle.encrypt_rtp(&plain).unwrap();
            prop_assert_eq!(&ours[..], &theirs[..]);
            prop_assert_eq!(&decoder.decrypt_rtp(&ours).unwrap()[..], &plain[..]);
            let unprotected = peers.receiver.unprotect_rtp(&mut ours).unwrap();
            peers.receiver.accept(unprotected);
            prop_assert_eq!(&ours[..unprotected.size], &plain[..]);
            sequence = sequence.wrapping_add(step);
        }
    }

    #[test]
    fn rtcp_is_understood_by_the_oracle_and_the_oracle_by_us(
        suite in suite(),
        keys in any::<[u8; 32]>(),
        rest in any::<[u8; 12]>(),
        ssrc in any::<u32>(),
        words in proptest::collection::vec(any::<[u8; 4]>(), 0..60),
        count in 1_usize..20,
    ) {
        let mut key = [0; 44];
        key[..32].copy_from_slice(&keys);
        key[32..].copy_from_slice(&rest);
        let mut peers = Peers::new(suite, &key).unwrap();
        let mut encoder = Peers::new(suite, &key).unwrap().oracle;
        let size = u16::try_from(words.len() + 1).unwrap();
        let mut plain = vec![0x80, 204];
        plain.extend(size.to_be_bytes());
        plain.extend(ssrc.to_be_bytes());
        plain.extend(words.concat());
        for _ in 0..count {
            let mut ours = plain.clone();
            ours.resize(plain.len() + peers.sender.rtcp_overhead(), 0);
            peers.sender.protect_rtcp(&mut ours).unwrap();
            prop_assert_eq!(&peers.oracle.decrypt_rtcp(&ours).unwrap()[..], &plain[..]);
            let mut theirs = encoder.encrypt_rtcp(&plain).unwrap().to_vec();
            let unprotected = peers.receiver.unprotect_rtcp(&mut theirs).unwrap();
            peers.receiver.accept(unprotected);
            prop_assert_eq!(&theirs[..unprotected.size], &plain[..]);
        }
    }
}
