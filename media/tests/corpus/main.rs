//! Recorded and fuzzed media through the parsers and through a worker, when `SLUICE_CORPUS` names
//! a folder with them. Unset, it says so: the recordings are not part of this repository.

#![forbid(unsafe_code)]

use std::path::PathBuf;

use media::fuzzing;

mod bad_input;
mod recorded;

use recorded::{collect, udp_datagrams};

/// Folders of the corpus that hold datagrams.
const FOLDERS: [&str; 3] = ["rtp-rtpproxy", "rtp-str0m", "fuzz-webrtc-media"];

#[test]
fn recorded_media_is_read_without_a_panic() {
    let Some(corpus) = std::env::var_os("SLUICE_CORPUS").map(PathBuf::from) else {
        println!("corpus: not run (1 suites)");
        return;
    };
    let mut files = Vec::new();
    for folder in FOLDERS {
        collect(&corpus.join(folder), &mut files);
    }
    assert!(!files.is_empty(), "the corpus has none of {FOLDERS:?}");
    let (mut read, mut refused) = (0_u64, 0_u64);
    for path in &files {
        let octets = std::fs::read(path).unwrap();
        // The file as a datagram, and every place in it as the start of one: the record formats
        // differ, and a parser has to survive any alignment.
        let step = if octets.len() > 20_000 { 97 } else { 1 };
        for start in (0..octets.len()).step_by(step) {
            let end = octets.len().min(start + 1_500);
            match fuzzing::datagram(&octets[start..end]) {
                Ok(_) => read += 1,
                Err(_) => refused += 1,
            }
            fuzzing::rtp(&octets[start..end]).ok();
            fuzzing::rtcp(&octets[start..end]).ok();
        }
    }
    println!(
        "corpus: {} files, {read} read, {refused} refused",
        files.len()
    );
    assert!(read > 0);
}

/// A recording in pcap: its UDP datagrams are RTP and RTCP, and nearly all of them are read.
#[test]
fn recorded_calls_are_read_as_what_they_are() {
    let Some(corpus) = std::env::var_os("SLUICE_CORPUS").map(PathBuf::from) else {
        println!("corpus: not run (1 suites)");
        return;
    };
    for (name, is_rtcp) in [
        ("rtp-rtpproxy/rtp_analyze/bob_srtp.pcap", false),
        ("rtp-rtpproxy/acct_rtcp_hep/rtcp.o.pcap", true),
    ] {
        let octets = std::fs::read(corpus.join(name)).unwrap();
        let datagrams = udp_datagrams(&octets);
        assert!(!datagrams.is_empty(), "{name}");
        let protocols: Vec<_> = datagrams
            .iter()
            .map(|octets| fuzzing::datagram(octets))
            .collect();
        let read = protocols.iter().filter(|read| read.is_ok()).count();
        println!("corpus: {name}: {read} of {} read", datagrams.len());
        assert!(read * 10 >= datagrams.len() * 9, "{name}: {protocols:?}");
        let control = protocols
            .iter()
            .filter(|read| matches!(read, Ok(media::ingress::Protocol::Rtcp)));
        assert_eq!(control.count() > 0, is_rtcp, "{name}");
    }
}
