//! Peers that are not who they should be, and octets of nobody.

use std::collections::VecDeque;

use super::{Failure, Fingerprint, Link, Role, Version, Weather, octets, peer_fingerprint};
use crate::dtls::{Endpoint, EndpointError};
use crate::limits::{DTLS_ATTEMPT_SPARED, DTLS_RECEIVED_BYTES_MAX, DTLS_RESTARTS_MAX};

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

/// In the clear behind what only looks protected, in the one version or in the other.
#[test]
fn an_alert_behind_a_record_that_nobody_can_read_ends_nothing() {
    let mut prefixes: Vec<Vec<u8>> = vec![
        // Of DTLS 1.3, with a length and without a content.
        vec![0x2e, 0, 0, 0, 0],
        vec![0x26, 0, 0, 0],
        vec![0x2e, 0, 0, 0, 3, 1, 2, 3],
        // Of DTLS 1.2, protected.
        vec![22, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
    ];
    for kind in [0x00, 0x20, 0x2e, 0x2f, 0x3f, 0x40] {
        // What would be a header of DTLS 1.2 if it were one of its kinds.
        prefixes.push([&[kind][..], &[0; 12]].concat());
        prefixes.push([&[kind][..], &[0xfe, 0xfd, 0, 1], &[0; 8]].concat());
    }
    for (role, version) in [Role::Server, Role::Client]
        .into_iter()
        .flat_map(|role| Version::ALL.map(|version| (role, version)))
    {
        for prefix in &prefixes {
            let mut link = Link::between(role, version, 400, &[peer_fingerprint()]);
            for sequence in 0..100_u8 {
                let alert = [21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 1, sequence, 0, 2, 2, 40];
                let datagram = [prefix, &alert[..]].concat();
                link.ours.handshake.handle_packet(link.now, &datagram);
                link.step();
            }
            link.run();
            let case = format!("{role:?} {version:?} {prefix:?}");
            assert_eq!(link.ours.failed, None, "{case}");
            assert!(link.ours.keys.is_some(), "{case}");
        }
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
fn a_peer_that_says_nothing_at_all_fails_in_time() {
    let mut link = Link::between(Role::Server, Version::Either, 1_150, &[peer_fingerprint()]);
    link.drain();
    let deadline = link.ours.handshake.deadline().unwrap();
    assert_eq!(deadline, link.now + crate::limits::DTLS_HANDSHAKE_MAX);
    link.ours.handshake.handle_timeout(deadline);
    link.drain();
    assert_eq!(link.ours.failed, Some(Failure::Timeout));
    assert_eq!(link.ours.handshake.deadline(), None);
}

/// Whoever can send from the nominated address, before the browser does.
#[test]
fn messages_of_nobody_before_the_hello_end_nothing() {
    for version in Version::ALL {
        let mut link = Link::between(Role::Server, version, 400, &[peer_fingerprint()]);
        for sequence in 0..200_u8 {
            let mut alien = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, sequence, 0, 13];
            alien.extend([11, 0, 0, 100, 0, sequence % 9, 0, 0, 0, 0, 0, 1, 7]);
            link.ours.handshake.handle_packet(link.now, &alien);
            let sealed = [[0x2f, sequence].as_slice(), &[5; 40]].concat();
            link.ours.handshake.handle_packet(link.now, &sealed);
            link.drain();
        }
        link.run();
        assert_eq!(link.ours.failed, None, "{version:?}");
        assert!(link.ours.keys.is_some(), "{version:?}");
    }
}

#[test]
fn a_hello_of_somebody_else_does_not_take_the_place_of_the_browsers() {
    for version in Version::ALL {
        let mut other = Link::between(Role::Server, version, 1_150, &[peer_fingerprint()]);
        other.drain();
        let mut link = Link::between(Role::Server, version, 1_150, &[peer_fingerprint()]);
        for hello in &mut other.to_ours {
            // Its random octets: another's hello.
            hello[13 + 12 + 2] ^= 1;
            link.ours.handshake.handle_packet(link.now, hello);
            link.drain();
        }
        // What we answer to it, the browser takes for our answer: it must not come first.
        link.to_peer.clear();
        link.run();
        assert_eq!(link.ours.failed, None, "{version:?}");
        assert!(link.ours.keys.is_some(), "{version:?}");
    }
}

/// Datagrams reach our side, and what it says to them comes back.
fn deliver(link: &mut Link, datagrams: &mut VecDeque<Vec<u8>>) -> VecDeque<Vec<u8>> {
    let mut said = VecDeque::new();
    for datagram in datagrams.drain(..) {
        link.ours.handshake.handle_packet(link.now, &datagram);
        link.ours.drain(&mut said);
    }
    said
}

#[test]
fn a_hello_of_somebody_else_while_the_browsers_goes_on_ends_nothing() {
    for version in Version::ALL {
        let mut link = Link::between(Role::Server, version, 1_150, &[peer_fingerprint()]);
        link.drain();
        let mut hellos = std::mem::take(&mut link.to_ours);
        let mut forged = hellos.clone();
        link.to_peer = deliver(&mut link, &mut hellos);
        for hello in &mut forged {
            hello[13 + 12 + 2] ^= 1;
        }
        let _elsewhere = deliver(&mut link, &mut forged);
        link.run();
        assert_eq!(link.ours.failed, None, "{version:?}");
        assert!(link.ours.keys.is_some(), "{version:?}");
    }
}

/// A hello is one datagram here; those of others have other random octets.
fn hello_of(version: Version) -> (Link, Vec<u8>) {
    let mut link = Link::between(Role::Server, version, 1_150, &[peer_fingerprint()]);
    link.drain();
    let hello = link.to_ours.pop_front().expect("a hello");
    assert!(link.to_ours.is_empty(), "one datagram");
    (link, hello)
}

fn forged(hello: &[u8], random: u8) -> Vec<u8> {
    let mut forged = hello.to_vec();
    forged[13 + 12 + 2] ^= random;
    forged
}

/// One goes on beside the browser's, and one more takes its place only when it is old; the browser's stays.
#[test]
fn a_flood_of_hellos_is_answered_a_few_times_and_ends_nothing() {
    for version in Version::ALL {
        let (mut link, hello) = hello_of(version);
        link.to_peer = deliver(&mut link, &mut VecDeque::from([hello.clone()]));
        assert!(!link.to_peer.is_empty(), "{version:?}");
        let mut answered = 0;
        for random in 1..=100 {
            let said = deliver(&mut link, &mut VecDeque::from([forged(&hello, random)]));
            answered += u32::from(!said.is_empty());
        }
        assert_eq!(answered, 1, "{version:?}: at once");
        for random in 101..=112 {
            link.now += DTLS_ATTEMPT_SPARED;
            let ignored = link.ours.handshake.ignored();
            deliver(&mut link, &mut VecDeque::from([forged(&hello, random)]));
            answered += u32::from(link.ours.handshake.ignored() == ignored);
        }
        assert_eq!(answered, u32::from(DTLS_RESTARTS_MAX), "{version:?}");
        link.run();
        assert_eq!(link.ours.failed, None, "{version:?}");
        assert!(link.ours.keys.is_some(), "{version:?}");
    }
}

/// It is not read, so it is no hello: two of them would leave the browser's no place for two seconds.
#[test]
fn hellos_with_something_behind_them_that_nobody_needs_take_no_place() {
    for version in Version::ALL {
        let (mut link, hello) = hello_of(version);
        let alert = [21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40];
        for random in 1..=2 {
            let needless = [&forged(&hello, random)[..], &alert].concat();
            link.ours.handshake.handle_packet(link.now, &needless);
        }
        assert_eq!(link.ours.handshake.ignored(), 2, "{version:?}");
        let said = deliver(&mut link, &mut VecDeque::from([hello]));
        assert!(!said.is_empty(), "{version:?}");
    }
}

#[test]
fn a_datagram_longer_than_is_read_is_left_alone() {
    for version in Version::ALL {
        let (mut link, hello) = hello_of(version);
        let long = hello.repeat(1 + DTLS_RECEIVED_BYTES_MAX / hello.len());
        let said = deliver(&mut link, &mut VecDeque::from([long]));
        assert!(said.is_empty(), "{version:?}");
        assert_eq!(link.ours.handshake.ignored(), 1, "{version:?}");
        let said = deliver(&mut link, &mut VecDeque::from([hello]));
        assert!(!said.is_empty(), "{version:?}");
    }
}

/// Before the browser's hello, and while its handshake goes on. Of the versions before 1.3 certificates lie in
/// the clear, and one that comes in between is taken for the browser's.
#[test]
fn a_certificate_of_somebody_else_ends_nothing() {
    let cases = [
        (Version::Dtls12, true),
        (Version::Dtls13, true),
        (Version::Dtls13, false),
        (Version::Either, true),
        (Version::Either, false),
    ];
    for (version, is_first) in cases {
        let mut link = Link::between(Role::Server, version, 1_150, &[peer_fingerprint()]);
        link.drain();
        let mut hellos = std::mem::take(&mut link.to_ours);
        if !is_first {
            link.to_peer = deliver(&mut link, &mut hellos);
        }
        let certificate = long_certificate(70);
        let mut other =
            super::Peer::with(link.now, version, Role::Client, 1_150, certificate.clone());
        let mut said = VecDeque::new();
        for _ in 0..4 {
            other.drain(&mut said);
            for datagram in deliver(&mut link, &mut said) {
                other.handle(link.now, Some(&datagram));
            }
        }
        let is_done = other.keys.is_some() || version == Version::Dtls12;
        assert!(is_done, "it said what it is: {version:?}");
        assert_eq!(link.ours.failed, None, "{version:?} {is_first}");
        if is_first {
            link.to_peer = deliver(&mut link, &mut hellos);
        }
        link.run();
        assert_eq!(link.ours.failed, None, "{version:?} {is_first}");
        assert!(link.ours.keys.is_some(), "{version:?} {is_first}");
    }
}

#[test]
fn a_server_hello_that_ends_inside_an_extension_is_left_alone() {
    let mut link = Link::between(Role::Client, Version::Either, 1_150, &[peer_fingerprint()]);
    link.drain();
    let mut hello = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 56];
    hello.extend([2, 0, 0, 44, 0, 0, 0, 0, 0, 0, 0, 44, 0xfe, 0xfd]);
    hello.extend([7; 32]);
    hello.extend([0, 0x13, 1, 0, 0, 4, 0, 0x2b, 0, 2]);
    link.ours.handshake.handle_packet(link.now, &hello);
    assert_eq!(link.ours.handshake.ignored(), 1);
    link.run();
    assert!(link.ours.keys.is_some());
}

/// That of the peer with a signature of so many octets, which nobody verifies.
fn long_certificate(size: usize) -> Vec<u8> {
    let element = |octets: &[u8]| match octets[1] {
        0x82 => 4 + usize::from(u16::from_be_bytes([octets[2], octets[3]])),
        0x81 => 3 + usize::from(octets[2]),
        short => 2 + usize::from(short),
    };
    let long = |tag: u8, content: &[u8]| {
        let size = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82, size[0], size[1]], content].concat()
    };
    let whole = octets(super::PEER_CERTIFICATE);
    let content = &whole[if whole[1] == 0x82 { 4 } else { 3 }..];
    let signed = element(content);
    let named = signed + element(&content[signed..]);
    let signature = long(3, &vec![0; size]);
    long(0x30, &[&content[..named], &signature].concat())
}

#[test]
fn a_certificate_longer_than_is_read_gives_no_keys_and_no_panic() {
    for version in Version::ALL {
        for size in [2_048, 8_000] {
            let now = super::beginning();
            let certificate = long_certificate(size);
            let expected = [Fingerprint::of(&certificate)];
            let peer = super::Peer::with(now, version, Role::Client, 1_150, certificate);
            let ours = super::Ours::new(now, Role::Server, &expected);
            let mut link = Link::new(ours, peer, now);
            link.run();
            assert!(link.ours.keys.is_none());
            let failed = link.ours.failed;
            assert_eq!(
                failed,
                Some(Failure::CertificateTooLong),
                "{version:?} {size}"
            );
        }
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

/// Octets of both sides changed, cut and put together in every way: the library panics over none of them, and
/// nobody comes to keys by another's certificate.
#[test]
fn changed_flights_come_to_keys_or_to_a_named_end() {
    let (mut keyed, mut ended) = (0, 0);
    for role in [Role::Server, Role::Client] {
        for version in Version::ALL {
            for seed in 1..=40 {
                let mut link = Link::between(role, version, 500, &[peer_fingerprint()]);
                link.random = seed * 7_919;
                link.weather.changed = 12;
                link.run();
                assert_ne!(
                    link.ours.failed,
                    Some(Failure::Fault),
                    "{role:?} {version:?} {seed}"
                );
                keyed += u32::from(link.ours.keys.is_some());
                ended += u32::from(link.ours.failed.is_some());
            }
        }
    }
    println!("{keyed} came to keys, {ended} to an end");
    assert!(keyed > 20 && ended > 5, "{keyed} {ended}");
}

/// A hello of DTLS 1.2 that offers nothing but suites without a cipher (RFC 4492 §6, RFC 5246 §A.5), from
/// the address of the browser. `random`: its octets.
fn hello_without_a_cipher(random: u8) -> Vec<u8> {
    let suites = [0xc0, 0x06, 0xc0, 0x10, 0x00, 0x3b, 0x00, 0x02, 0x00, 0x01];
    let mut body = vec![0xfe, 0xfd];
    body.extend([random; 32]);
    body.extend([0, 0, 0, u8::try_from(suites.len()).unwrap()]);
    body.extend(suites);
    body.extend([1, 0]);
    // use_srtp, and groups and signatures that we have.
    body.extend([0, 25]);
    body.extend([0, 14, 0, 5, 0, 2, 0, 7, 0]);
    body.extend([0, 10, 0, 4, 0, 2, 0, 23]);
    body.extend([0, 13, 0, 4, 0, 2, 4, 3]);
    let size = u8::try_from(body.len()).unwrap();
    let header = [1, 0, 0, size, 0, 0, 0, 0, 0, 0, 0, size];
    let record = [22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, size + 12];
    [&record[..], &header, &body].concat()
}

/// The attack of CVE-2023-49786: before, during and after the handshake of the browser.
#[test]
fn a_hello_that_wants_no_cipher_ends_nothing_whenever_it_comes() {
    for version in Version::ALL {
        for steps in [0, 1, 2, 3, 100] {
            let mut link = Link::between(Role::Server, version, 1_150, &[peer_fingerprint()]);
            link.drain();
            for _ in 0..steps {
                link.step();
            }
            let keys = format!("{:?}", link.ours.keys.is_some());
            let mut said = VecDeque::new();
            for random in 0..4 {
                let hello = hello_without_a_cipher(random);
                link.ours.handshake.handle_packet(link.now, &hello);
                link.ours.drain(&mut said);
            }
            assert_eq!(link.ours.failed, None, "{version:?} {steps} {keys}");
            // What answers them is small: no certificate goes to who has shown nothing.
            let octets: usize = said.iter().map(Vec::len).sum();
            assert!(octets <= 4 * hello_without_a_cipher(0).len(), "{octets}");
            link.run();
            assert_eq!(link.ours.failed, None, "{version:?} {steps} {keys}");
            assert!(link.ours.keys.is_some(), "{version:?} {steps} {keys}");
        }
    }
}

/// No handshake begins anew within a session: a hello in the clear belongs to none, and the keys stand.
#[test]
fn a_hello_after_the_keys_is_answered_by_nobody() {
    for version in Version::ALL {
        let mut link = Link::between(Role::Server, version, 1_150, &[peer_fingerprint()]);
        link.run();
        assert!(link.ours.keys.is_some());
        link.to_peer.clear();
        for mtu in [400, 1_150] {
            let mut other = Link::between(Role::Server, version, mtu, &[peer_fingerprint()]);
            other.drain();
            let said = deliver(&mut link, &mut other.to_ours);
            assert!(said.is_empty(), "{version:?} {mtu}: {}", said.len());
        }
        assert_eq!(link.ours.failed, None);
        assert!(!link.ours.is_closed && link.ours.handshake.is_keyed());
    }
}

/// The records of a datagram in the clear, each changed.
fn with_records(datagram: &[u8], change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let (mut rest, mut whole) = (datagram, Vec::new());
    while let Some((header, after)) = rest.split_first_chunk::<13>() {
        let size = usize::from(u16::from_be_bytes([header[11], header[12]]));
        let Some((content, next)) = after.split_at_checked(size) else {
            break;
        };
        let mut content = content.to_vec();
        if header[0] == 22 && header[3..5] == [0, 0] {
            change(&mut content);
        }
        let size = u16::try_from(content.len()).unwrap().to_be_bytes();
        whole.extend([&header[..11], &size, &content].concat());
        rest = next;
    }
    whole.extend(rest);
    whole
}

/// Until our side has keys or has failed, with what reaches it changed.
fn run_changed(link: &mut Link, change: impl Fn(&mut Vec<u8>)) {
    for _ in 0..400 {
        link.drain();
        if link.ours.keys.is_some() || link.ours.failed.is_some() {
            return;
        }
        let (mut to_ours, to_peer) = (
            std::mem::take(&mut link.to_ours),
            std::mem::take(&mut link.to_peer),
        );
        if to_ours.is_empty() && to_peer.is_empty() {
            let deadlines = [link.ours.handshake.deadline(), link.peer.deadline];
            let Some(next) = deadlines.into_iter().flatten().min() else {
                return;
            };
            link.now = link.now.max(next);
            link.ours.handshake.handle_timeout(link.now);
            link.peer.handle(link.now, None);
        }
        for datagram in &mut to_ours {
            let datagram = with_records(datagram, &change);
            link.ours.handshake.handle_packet(link.now, &datagram);
        }
        for datagram in to_peer {
            link.peer.handle(link.now, Some(&datagram));
        }
    }
}

/// RFC 5246 §7.4.6 lets a client show none; a browser always has one, and its description names it.
#[test]
fn a_peer_that_shows_no_certificate_gets_no_keys() {
    let mut link = Link::between(Role::Server, Version::Dtls12, 1_150, &[peer_fingerprint()]);
    let emptied = std::cell::Cell::new(0);
    run_changed(&mut link, |content| {
        if content.first() == Some(&11) {
            let sequence = [content[4], content[5]];
            *content = [&[11, 0, 0, 3], &sequence[..], &[0, 0, 0, 0, 0, 3, 0, 0, 0]].concat();
            emptied.set(emptied.get() + 1);
        }
    });
    assert!(emptied.get() > 0, "a certificate was on its way");
    assert!(link.ours.keys.is_none() && !link.ours.handshake.is_keyed());
    assert!(link.ours.failed.is_some(), "and it is over in time");
}

/// A peer whose hello names no protection profile (RFC 5764 §4.1.1), whatever else it says.
#[test]
fn a_peer_without_a_protection_profile_gets_no_keys() {
    for version in Version::ALL {
        let mut link = Link::between(Role::Server, version, 1_150, &[peer_fingerprint()]);
        let taken = std::cell::Cell::new(0);
        run_changed(&mut link, |content| {
            // The extension gets a number that nobody knows.
            let is_use_srtp = |octets: &[u8]| octets[..3] == [0, 14, 0] && octets[4] == 0;
            let place = content.windows(5).position(is_use_srtp);
            if let Some(place) = place.filter(|_| content[0] == 1) {
                content[place] = 0xfa;
                taken.set(taken.get() + 1);
            }
        });
        assert!(taken.get() > 0, "{version:?}");
        assert!(link.ours.keys.is_none(), "{version:?}");
        assert!(link.ours.failed.is_some(), "{version:?}: in time");
    }
}
