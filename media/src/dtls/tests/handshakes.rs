//! Handshakes that come to keys.

use std::time::{Duration, Instant};

use super::{Failure, Fingerprint, Link, Role, Version, Weather, peer_fingerprint};
use crate::dtls::keys;
use crate::srtp::{ReceiveContext, SendContext, SrtpPlan, Suite};

/// What one side protects, the other reads, as RTP and as RTCP, in both directions.
fn speak(one: &SrtpPlan, other: &SrtpPlan) {
    for (from, to) in [(one, other), (other, one)] {
        let mut send = SendContext::new(&from.send).unwrap();
        let mut receive = ReceiveContext::new(&to.receive).unwrap();
        let mut rtp = vec![0x80, 0, 0, 1, 0, 0, 0, 160, 0, 0, 0, 9];
        rtp.extend([0xd5; 160]);
        let plain = rtp.clone();
        rtp.resize(plain.len() + send.rtp_overhead(), 0);
        send.protect_rtp(&mut rtp).unwrap();
        assert_ne!(rtp[..plain.len()], plain, "it is encrypted");
        let read = receive.unprotect_rtp(&mut rtp).unwrap();
        assert_eq!(rtp[..read.size], plain);
        receive.accept(read);

        let plain = [0x80, 201, 0, 1, 0, 0, 0, 9];
        let mut rtcp = plain.to_vec();
        rtcp.resize(plain.len() + send.rtcp_overhead(), 0);
        send.protect_rtcp(&mut rtcp).unwrap();
        let read = receive.unprotect_rtcp(&mut rtcp).unwrap();
        assert_eq!(rtcp[..read.size], plain);
    }
}

/// Both sides have keys, and read each other.
fn agree(link: &Link, role: Role) {
    let opposite = match role {
        Role::Server => Role::Client,
        Role::Client => Role::Server,
    };
    assert_eq!(link.ours.failed, None);
    let ours = link.ours.keys.as_ref().expect("our keys");
    let peers = link.peer.plan(opposite).expect("keys of the peer");
    assert_eq!(ours.send.suite(), Suite::AeadAes256Gcm, "the best of both");
    speak(ours, &peers);
}

#[test]
fn both_roles_come_to_keys_with_each_version_of_a_peer() {
    for role in [Role::Server, Role::Client] {
        for version in Version::ALL {
            let mut link = Link::between(role, version, 1_150, &[peer_fingerprint()]);
            link.run();
            println!("{role:?} {version:?}");
            agree(&link, role);
            let shown = link.peer.certificate.as_deref().unwrap();
            assert_eq!(Fingerprint::of(shown), super::endpoint().fingerprint());
        }
    }
}

#[test]
fn keys_of_all_suites_read_what_the_other_side_protects() {
    for suite in Suite::ALL {
        let size = 2 * (suite.key_size() + suite.salt_size());
        let material: Vec<u8> = (1..=u8::try_from(size).unwrap()).collect();
        let [server, client] =
            [Role::Server, Role::Client].map(|role| keys::plan(suite, role, &material).unwrap());
        speak(&server, &client);
    }
}

/// Browsers send a `ClientHello` in two datagrams; here it comes in many.
#[test]
fn a_client_hello_in_fragments_is_put_together() {
    for mtu in [110, 130] {
        let mut link = Link::between(Role::Server, Version::Dtls13, mtu, &[peer_fingerprint()]);
        link.drain();
        assert!(link.to_ours.len() > 1, "{mtu}: in one");
        link.run();
        agree(&link, Role::Server);
    }
}

/// A fault of the library as a server of 1.3: all that it sent is acknowledged, so that it repeats nothing
/// any more and waits for its end, and the library as a client waits for what it lacks. Nobody repeats
/// anything, whatever the network does from there on.
fn has_stopped(link: &Link, began: Instant) -> bool {
    let waits_for_its_end = link.peer.deadline == Some(began + Duration::from_secs(40));
    waits_for_its_end && link.peer.keys.is_none() && link.ours.keys.is_none()
}

#[test]
fn loss_doubles_and_reordering_delay_keys_and_do_not_prevent_them() {
    let mut retries = 0;
    for role in [Role::Server, Role::Client] {
        for version in Version::ALL {
            for seed in 1..=12 {
                let mut link = Link::between(role, version, 400, &[peer_fingerprint()]);
                let began = link.now;
                link.random = seed;
                link.weather = Weather {
                    lost: 10,
                    doubled: 15,
                    overtaken: 30,
                    junk: 0,
                    changed: 0,
                };
                link.run();
                println!("{role:?} {version:?} {seed}");
                if role == Role::Client && has_stopped(&link, began) {
                    assert_ne!(version, Version::Dtls12);
                    assert_eq!(link.ours.failed, Some(Failure::Timeout), "in its time");
                    continue;
                }
                agree(&link, role);
                retries += u32::from(link.now > began);
            }
        }
    }
    assert!(retries > 10, "the weather is bad: {retries}");
}

#[test]
fn any_of_several_named_certificates_is_believed() {
    let other = Fingerprint::new([7; 32]);
    let mut link = Link::between(
        Role::Server,
        Version::Either,
        1_150,
        &[other, peer_fingerprint()],
    );
    link.run();
    agree(&link, Role::Server);
}

#[test]
fn the_end_of_a_session_is_said_once() {
    let mut link = Link::between(Role::Server, Version::Either, 1_150, &[peer_fingerprint()]);
    link.run();
    agree(&link, Role::Server);
    while !link.to_ours.is_empty() || !link.to_peer.is_empty() {
        link.step();
    }
    link.peer.dtls.close().unwrap();
    for _ in 0..10 {
        link.drain();
        link.step();
    }
    assert!(link.ours.is_closed);
    assert_eq!(link.ours.failed, None);
    assert_eq!(link.ours.handshake.deadline(), None);
}
