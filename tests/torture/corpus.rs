//! Corpora outside the repository, read where `SLUICE_CORPUS` names their folder: nothing panics,
//! and the groups of valid messages are accepted.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use sip::fuzzing;
use sip::message;
use sip::offer_answer::browser::NoVideo;
use sip::sdp::{Direction, SessionDescription};

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

/// Groups whose every description is an offer of a browser, or is refused by name.
const OFFERS: [&str; 4] = [
    "sdp-browsers",
    "sdp-transform",
    "sdp-sofia",
    "fuzz-webrtc-media",
];

const SUITES: usize = 6;

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

/// Whatever a browser, or who claims to be one, may send: an answer, or the name of what is wrong.
#[test]
fn every_description_of_the_corpus_as_a_browsers_offer_is_answered_or_refused_by_name() {
    let Some(corpus) = corpus() else { return };
    let mut outcomes = BTreeMap::<&'static str, u32>::new();
    for group in OFFERS {
        let files = files_under(&corpus.join(group));
        assert!(!files.is_empty(), "the corpus has no {group}");
        for file in files {
            let bytes = fs::read(&file).expect("readable");
            let outcome = match SessionDescription::parse(&bytes) {
                Err(error) => error.as_str(),
                Ok(description) => match fuzzing::browser::answer(&description) {
                    Err(refusal) => refusal.as_str(),
                    Ok((_, answer)) => match answer.video {
                        Ok(_) => "audio and video",
                        Err(why) => why.as_str(),
                    },
                },
            };
            *outcomes.entry(outcome).or_default() += 1;
        }
    }
    println!("corpus: {outcomes:?}");
    assert!(outcomes.contains_key("audio and video"), "{outcomes:?}");
}

/// What becomes of each description that a browser, a gateway or a test wrote: a browser's offer is taken, and
/// what is none is refused for what it lacks.
#[test]
fn each_description_of_the_corpus_has_its_verdict_as_a_browsers_offer() {
    let Some(corpus) = corpus() else { return };
    let mut found = BTreeMap::new();
    for group in OFFERS {
        for file in files_under(&corpus.join(group)) {
            let name = file.strip_prefix(&corpus).expect("below it");
            let name = name.to_string_lossy().into_owned();
            // Finds of a fuzzer, by number: any verdict will do.
            let stem = file.file_stem().and_then(|stem| stem.to_str());
            let is_numbered = stem.is_some_and(|stem| stem.parse::<u32>().is_ok());
            if name.ends_with(".sdp") && !is_numbered {
                let _ = found.insert(name, outcome(&fs::read(&file).expect("readable")));
            }
        }
    }
    let table = include_str!("browser_offers.tsv");
    let lines = table.lines().filter(|line| !line.starts_with('#'));
    let named: BTreeMap<&str, &str> = lines.filter_map(|line| line.split_once('\t')).collect();
    let wrong: Vec<_> = found
        .iter()
        .filter(|(name, outcome)| named.get(&***name) != Some(outcome))
        .map(|(name, outcome)| format!("{name}\t{outcome}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(found.len(), named.len(), "each verdict has its file");
    let taken = found.values().filter(|outcome| outcome.contains("audio"));
    assert!(taken.count() > 15, "{found:?}");
}

/// What an offer of a browser comes to.
fn outcome(bytes: &[u8]) -> &'static str {
    match SessionDescription::parse(bytes) {
        Err(error) => error.as_str(),
        Ok(description) => match fuzzing::browser::answer(&description) {
            Err(refusal) => refusal.as_str(),
            Ok((_, answer)) => match answer.video {
                Ok(_) => "audio and video",
                Err(NoVideo::NotOffered) => "audio",
                Err(_) => "audio without the video",
            },
        },
    }
}

/// Offers of Chromium and Firefox: the codecs that are answered and what becomes of video.
#[test]
fn offers_of_real_browsers_are_answered_with_what_both_sides_have() {
    let Some(corpus) = corpus() else { return };
    let folder = corpus.join("sdp-browsers");
    let mut count = 0;
    for file in files_under(&folder) {
        let name = file
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if !name.ends_with("-offer.sdp") {
            continue;
        }
        count += 1;
        let description =
            SessionDescription::parse(&fs::read(&file).expect("readable")).expect("a description");
        let (offer, answer) = fuzzing::browser::answer(&description).expect(name);
        let codecs: Vec<&str> = answer.audio.iter().map(|codec| &*codec.name).collect();
        let is_chromium = name.starts_with("chromium");
        match &answer.video {
            Ok(video) => {
                // This Firefox has no H.264, and what answers here takes VP8 too.
                let (codec, mode) = if is_chromium {
                    ("H264", Some("1"))
                } else {
                    ("VP8", None)
                };
                assert_eq!(&*video.codec.name, codec, "{name}");
                assert_eq!(video.codec.parameter("packetization-mode"), mode, "{name}");
                assert_eq!(
                    video.codec.parameter("profile-level-id"),
                    is_chromium.then_some("42e01f"),
                    "{name}"
                );
                assert_eq!(
                    video.feedback,
                    ["nack", "nack pli", "ccm fir", "goog-remb"],
                    "{name}"
                );
            }
            Err(NoVideo::NotOffered) => assert!(!name.contains("video"), "{name}"),
            Err(why) => panic!("{name}: {why:?}"),
        }
        if !name.starts_with("aiortc") {
            assert_eq!(codecs, ["opus", "telephone-event"], "{name}");
        }
        let taken = answer
            .description
            .media
            .iter()
            .filter(|media| media.port != 0)
            .count();
        let session = answer.description.browser.as_ref().expect("ICE-lite");
        let named: usize = session.bundles.iter().map(Vec::len).sum();
        assert_eq!(named, taken, "{name}: the group has what is taken");
        if name.contains("mdns") {
            assert!(offer.skipped_candidates > 0, "{name}");
            assert_eq!(answer.audio_direction, Direction::SendOnly, "{name}");
        }
    }
    assert!(count >= 9, "offers in the corpus: {count}");
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
