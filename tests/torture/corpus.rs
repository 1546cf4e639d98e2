//! Corpora outside the repository, read where `SLUICE_CORPUS` names their folder: nothing panics,
//! and the groups of valid messages are accepted.

use std::fs;
use std::path::{Path, PathBuf};

use sip::fuzzing;
use sip::message;
use sip::sdp::SessionDescription;

/// Groups whose every message is valid, but for the files named: one is cut short.
const VALID_SIP: &[(&str, &[&str])] = &[
    ("rfc3665-flows", &["3.10-F4-INVITE.sip"]),
    ("rfc5359-services", &[]),
];

/// Groups whose every description is valid, but for the files named.
const VALID_SDP: &[(&str, &[&str])] = &[
    ("sdp-browsers", &[]),
    ("sdp-sofia", &["message-1.sdp", "message-6.sdp"]),
    ("sdp-transform", &["invalid.sdp"]),
];

/// Groups that are only read, for panics.
const ANY: &[&str] = &[
    "seeds-profuzzbench",
    "sipp-own",
    "sipp-drachtio",
    "sipp-siphon-proxy",
    "fuzz-webrtc-media",
];

const SUITES: usize = 3;

fn corpus() -> Option<PathBuf> {
    let folder = std::env::var_os("SLUICE_CORPUS").map(PathBuf::from);
    if folder.is_none() {
        println!("corpus: not run ({SUITES} suites)");
    }
    folder
}

#[test]
fn valid_sip_of_the_corpus_is_accepted() {
    let Some(corpus) = corpus() else { return };
    check(&corpus, VALID_SIP, ".sip", |bytes| {
        let bytes = repaired(bytes);
        fuzzing::message_bytes(&bytes);
        let verdict = message::parse(&bytes).map(|message| message.validate());
        (verdict != Ok(Ok(()))).then(|| format!("{verdict:?}"))
    });
}

#[test]
fn valid_sdp_of_the_corpus_is_accepted() {
    let Some(corpus) = corpus() else { return };
    check(&corpus, VALID_SDP, ".sdp", |bytes| {
        fuzzing::sdp_bytes(bytes);
        SessionDescription::parse(bytes)
            .err()
            .map(|error| error.to_string())
    });
}

/// Every file of the groups with this end passes, but for the exceptions.
fn check(
    corpus: &Path,
    groups: &[(&str, &[&str])],
    end: &str,
    fault_of: impl Fn(&[u8]) -> Option<String>,
) {
    let (mut refused, mut count) = (Vec::new(), 0);
    for (group, exceptions) in groups {
        for file in files_under(&corpus.join(group)) {
            let name = file
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            if !name.ends_with(end) || exceptions.contains(&name) {
                continue;
            }
            count += 1;
            if let Some(fault) = fault_of(&fs::read(&file).expect("readable")) {
                refused.push(format!("{}: {fault}", file.display()));
            }
        }
    }
    assert!(count > 0, "the corpus has no file that ends with {end}");
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

/// The RFCs print Content-Length as `...` and leave out the empty line before some bodies.
fn repaired(bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let (head, body) = match head.split_once("\r\nv=0") {
        Some((head, body)) => (head, format!("v=0{body}")),
        None => (head, body.to_owned()),
    };
    let kept: String = head
        .split("\r\n")
        .filter(|line| !line.starts_with("Content-Length") && !line.is_empty())
        .map(|line| format!("{line}\r\n"))
        .collect();
    format!("{kept}\r\n{body}").into_bytes()
}

#[test]
fn no_file_of_the_corpus_panics() {
    let Some(corpus) = corpus() else { return };
    let mut count = 0;
    for file in ANY
        .iter()
        .flat_map(|group| files_under(&corpus.join(group)))
    {
        let bytes = fs::read(&file).expect("readable");
        for piece in bytes.chunks(message::MESSAGE_SIZE_MAX).take(4) {
            fuzzing::every_body(piece);
            count += 1;
        }
    }
    assert!(count > 0, "the corpus is empty");
    println!("corpus: {count} pieces read");
}

/// Every file in a folder and its folders.
fn files_under(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files = Vec::new();
    for path in entries.map(|entry| entry.expect("an entry").path()) {
        if path.is_dir() {
            files.extend(files_under(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}
