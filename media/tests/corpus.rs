//! Recorded and fuzzed media through the parsers and through a worker, when `SLUICE_CORPUS` names
//! a folder with them. Unset, it says so: the recordings are not part of this repository.

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use media::fuzzing;

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

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path
            .extension()
            .is_none_or(|extension| extension != "md" && extension != "sdp")
        {
            files.push(path);
        }
    }
}

/// UDP payloads of a little-endian pcap file over Ethernet and IPv4.
fn udp_datagrams(octets: &[u8]) -> Vec<&[u8]> {
    let mut datagrams = Vec::new();
    let mut rest = octets.get(24..).unwrap_or_default();
    while let Some((header, after)) = rest.split_first_chunk::<16>() {
        let size = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
        let Some((frame, after)) = after.split_at_checked(size as usize) else {
            break;
        };
        rest = after;
        datagrams.extend(frame.get(14..).and_then(udp_payload));
    }
    datagrams
}

fn udp_payload(ip: &[u8]) -> Option<&[u8]> {
    let fixed: &[u8; 20] = ip.first_chunk()?;
    let udp = ip.get(usize::from(fixed[0] & 0x0f) * 4..)?;
    let header: &[u8; 8] = udp.first_chunk()?;
    let size = usize::from(u16::from_be_bytes([header[4], header[5]]));
    (fixed[0] >> 4 == 4 && fixed[9] == 17).then(|| udp.get(8..size))?
}
