//! Peers that are not who they should be, and octets of nobody.

use super::{Failure, Fingerprint, Link, Role, Version, Weather, octets, peer_fingerprint};
use crate::dtls::{Endpoint, EndpointError};

#[test]
fn another_certificate_than_the_description_names_gives_no_keys() {
    let other = Fingerprint::new([7; 32]);
    for role in [Role::Server, Role::Client] {
        for version in Version::ALL {
            for expected in [&[other, other][..], &[]] {
                let mut link = Link::between(role, version, 1_150, expected);
                link.run();
                assert_eq!(link.ours.failed, Some(Failure::Fingerprint));
                assert!(link.ours.keys.is_none());
                let late = link.to_ours.pop_front().unwrap_or_default();
                link.ours.handshake.handle_packet(link.now, &late);
                link.to_peer.clear();
                link.drain();
                assert!(link.to_peer.is_empty(), "nothing follows");
                assert!(!link.ours.handshake.is_keyed());
            }
        }
    }
}

#[test]
fn junk_changes_nothing() {
    for role in [Role::Server, Role::Client] {
        for version in Version::ALL {
            for seed in 1..=20 {
                let mut link = Link::between(role, version, 400, &[peer_fingerprint()]);
                link.random = seed;
                link.weather.junk = 100;
                for _ in 0..20 {
                    let junk = link.junk();
                    link.ours.handshake.handle_packet(link.now, &junk);
                }
                link.run();
                println!("{role:?} {version:?} {seed}: {:?}", link.ours.failed);
                assert!(link.ours.keys.is_some());
                for _ in 0..20 {
                    let junk = link.junk();
                    link.ours.handshake.handle_packet(link.now, &junk);
                    link.drain();
                }
                assert_eq!(link.ours.failed, None);
                assert!(!link.ours.is_closed);
            }
        }
    }
}

#[test]
fn an_alert_in_the_clear_ends_nothing() {
    for role in [Role::Server, Role::Client] {
        let mut link = Link::between(role, Version::Either, 400, &[peer_fingerprint()]);
        let mut alerts = 0;
        for sequence in 0..200_u8 {
            let alert = [21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 1, sequence, 0, 2, 2, 40];
            link.ours.handshake.handle_packet(link.now, &alert);
            alerts += 1;
            link.step();
        }
        link.run();
        assert!(link.ours.keys.is_some());
        assert_eq!(link.ours.failed, None);
        assert_eq!(link.ours.handshake.ignored(), alerts);
    }
}

#[test]
fn a_peer_that_falls_silent_fails_in_time() {
    for role in [Role::Server, Role::Client] {
        let mut link = Link::between(role, Version::Either, 1_150, &[peer_fingerprint()]);
        let began = link.now;
        link.drain();
        for _ in 0..3 {
            link.step();
        }
        link.weather = Weather {
            lost: 100,
            ..Weather::default()
        };
        link.run();
        if link.ours.keys.is_none() {
            assert_eq!(link.ours.failed, Some(Failure::Timeout), "{role:?}");
        }
        let spent = link.now - began;
        assert!(spent <= 2 * crate::limits::DTLS_HANDSHAKE_MAX, "{spent:?}");
    }
}

#[test]
fn a_key_that_cannot_be_read_makes_no_endpoint() {
    let certificate = octets(super::OURS_CERTIFICATE);
    for key in [&b""[..], b"key", &certificate] {
        let refused = Endpoint::new(&certificate, key).err();
        assert_eq!(refused, Some(EndpointError::PrivateKey));
    }
}
