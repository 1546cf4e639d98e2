//! What browsers sent, when `SLUICE_CORPUS` names a folder with it: STUN messages and captures of
//! whole calls. Unset, it says so: the corpus is not part of this repository.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::time::Instant;

use media::dtls::{Endpoint, Handshake, Output, POLL_BUFFER_SIZE, Role};
use media::fuzzing;
use media::ingress::{Protocol, classify};
use reading::{base64, corpus, datagrams, go_bytes, octets};

#[expect(
    clippy::disallowed_methods,
    reason = "the one moment a test counts from"
)]
fn beginning() -> Instant {
    Instant::now()
}

#[path = "../src/dtls/tests/certificates.rs"]
#[expect(dead_code, reason = "the peer's is for other tests")]
mod certificates;

#[test]
fn each_message_of_a_browser_in_the_pion_corpus_is_read() {
    let Some(corpus) = corpus() else {
        return;
    };
    let table = std::fs::read_to_string(corpus.join("stun-pion/frombrowsers.csv")).unwrap();
    let mut messages = 0;
    for line in table.lines().filter(|line| !line.starts_with('#')).skip(1) {
        let octets = base64(line.split(',').nth(1).unwrap());
        assert_eq!(classify(&octets), Protocol::Stun, "{line}");
        assert_eq!(fuzzing::stun(&octets), Ok(()), "{line}");
        messages += 1;
    }
    println!("corpus: {messages} messages");
    assert!(messages > 10, "{messages}");
    let recorded = std::fs::read(corpus.join("stun-pion/ex1_chrome.stun")).unwrap();
    assert_eq!(fuzzing::stun(&recorded), Ok(()));
}

#[test]
fn each_find_of_the_pion_fuzzer_is_read_or_has_a_reason() {
    let Some(corpus) = corpus() else {
        return;
    };
    let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
    let mut files = 0;
    for target in std::fs::read_dir(corpus.join("stun-pion/fuzz")).unwrap() {
        for entry in std::fs::read_dir(target.unwrap().path()).unwrap() {
            let text = std::fs::read(entry.unwrap().path()).unwrap();
            let judged = fuzzing::stun(&go_bytes(&text));
            let label = judged.map_or_else(|refusal| refusal.as_str(), |()| "read");
            *reasons.entry(label).or_default() += 1;
            files += 1;
        }
    }
    println!("corpus: {files} files: {reasons:?}");
    assert!(files > 20, "{files}");
}

/// Integrity is under passwords that the captures do not tell; FINGERPRINT is checked.
#[test]
fn each_stun_message_of_a_captured_call_is_read() {
    let Some(corpus) = corpus() else {
        return;
    };
    for (name, least) in [
        ("chromium156-ice-dtls13-srtp.pcap", 4),
        ("chromium156-jssip-sipjs-to-asterisk22.pcap", 4),
    ] {
        let capture = std::fs::read(corpus.join("pcap-browsers").join(name)).unwrap();
        let mut messages = 0;
        let mut requests = 0;
        for datagram in datagrams(&capture) {
            if classify(datagram) == Protocol::Stun {
                assert_eq!(fuzzing::stun(datagram), Ok(()), "{datagram:02x?}");
                requests += u32::from(media::ice::destination_fragment(datagram).is_ok());
                messages += 1;
            }
        }
        println!("corpus: {name}: {messages} messages, {requests} requests");
        assert!(requests >= least && messages > requests, "{name}");
    }
}

/// The `ClientHello` of Chromium is longer than a datagram: with its fragments in either order, one lost
/// and sent again, a server answers only when all are there.
#[test]
fn the_captured_client_hello_is_answered_when_its_last_fragment_is_there() {
    let Some(corpus) = corpus() else {
        return;
    };
    let capture = "pcap-browsers/chromium156-ice-dtls13-srtp.pcap";
    let capture = std::fs::read(corpus.join(capture)).unwrap();
    let hello: Vec<&[u8]> = datagrams(&capture)
        .into_iter()
        .filter(|datagram| classify(datagram) == Protocol::Dtls && datagram[13] == 1)
        .take(2)
        .collect();
    assert_eq!(hello.len(), 2, "in two datagrams");
    let endpoint = Endpoint::new(
        &octets(certificates::OURS_CERTIFICATE),
        &octets(certificates::OURS_KEY),
    )
    .unwrap();
    for order in [[0, 1], [1, 0]] {
        let now = beginning();
        let mut handshake = Handshake::new(now, &endpoint, Role::Server, &[]);
        let mut buffer = [0; POLL_BUFFER_SIZE];
        handshake.handle_packet(now, hello[order[0]]);
        assert!(handshake.poll(&mut buffer).is_none());
        handshake.handle_packet(now, hello[order[0]]);
        assert!(handshake.poll(&mut buffer).is_none());
        handshake.handle_packet(now, hello[order[1]]);
        let answer = handshake.poll(&mut buffer);
        assert!(matches!(answer, Some(Output::Datagram(_))), "{answer:?}");
        assert_eq!(handshake.ignored(), 0);
    }
}

/// The files of the corpus, each in its format.
#[cfg(test)]
mod reading {
    use std::path::PathBuf;

    pub(super) fn corpus() -> Option<PathBuf> {
        let corpus = std::env::var_os("SLUICE_CORPUS").map(PathBuf::from);
        if corpus.is_none() {
            println!("corpus: not run (1 suites)");
        }
        corpus
    }

    /// The payload of each UDP datagram over IPv4 in a capture of the old format.
    pub(super) fn datagrams(capture: &[u8]) -> Vec<&[u8]> {
        assert_eq!(capture[..4], [0xd4, 0xc3, 0xb2, 0xa1], "little endian");
        let word = |at: usize| u32::from_le_bytes(capture[at..at + 4].try_into().unwrap());
        let link_size = match word(20) {
            1 => 14,   // Ethernet
            113 => 16, // Linux "any"
            276 => 20, // Linux "any", second version
            101 => 0,  // IP
            other => panic!("link type {other}"),
        };
        let mut found = Vec::new();
        let mut at = 24;
        while at < capture.len() {
            let size = usize::try_from(word(at + 8)).unwrap();
            let packet = &capture[at + 16 + link_size..at + 16 + size];
            if packet[0] == 0x45 && packet[9] == 17 {
                let total = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
                found.push(&packet[28..total]);
            }
            at += 16 + size;
        }
        found
    }

    pub(super) fn octets(hexadecimal: &str) -> Vec<u8> {
        hexadecimal
            .as_bytes()
            .chunks(2)
            .map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap())
            .collect()
    }

    pub(super) fn base64(text: &str) -> Vec<u8> {
        let (mut octets, mut word, mut bits) = (Vec::new(), 0_u32, 0);
        for character in text.bytes().filter(|character| *character != b'=') {
            let value = match character {
                b'A'..=b'Z' => character - b'A',
                b'a'..=b'z' => character - b'a' + 26,
                b'0'..=b'9' => character - b'0' + 52,
                b'+' => 62,
                _ => 63,
            };
            word = word << 6 | u32::from(value);
            bits += 6;
            if bits >= 8 {
                bits -= 8;
                octets.push(u8::try_from(word >> bits & 0xff).unwrap());
            }
            word &= 0xffff;
        }
        octets
    }

    /// The first `[]byte("...")` of a find of Go's fuzzer, with its escapes undone.
    pub(super) fn go_bytes(text: &[u8]) -> Vec<u8> {
        let start = text.windows(8).position(|window| window == b"[]byte(\"");
        let Some(start) = start else {
            return text.to_vec();
        };
        let mut octets = Vec::new();
        let mut rest = text[start + 8..].iter().copied();
        while let Some(octet) = rest.next() {
            match octet {
                b'"' => break,
                b'\\' => match rest.next() {
                    Some(b'x') => {
                        let digits = [rest.next().unwrap(), rest.next().unwrap()];
                        let digits = std::str::from_utf8(&digits).unwrap();
                        octets.push(u8::from_str_radix(digits, 16).unwrap());
                    }
                    Some(b'n') => octets.push(b'\n'),
                    Some(b'r') => octets.push(b'\r'),
                    Some(b't') => octets.push(b'\t'),
                    Some(b'a') => octets.push(7),
                    Some(b'b') => octets.push(8),
                    Some(b'v') => octets.push(11),
                    Some(b'f') => octets.push(12),
                    Some(other) => octets.push(other),
                    None => break,
                },
                other => octets.push(other),
            }
        }
        octets
    }
}
