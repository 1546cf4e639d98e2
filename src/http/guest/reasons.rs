//! Which sentence a page says of each cause, and that the node can say each cause that the page knows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::texts::LANGUAGES;
use crate::fraud_guard::Reason;

const SCRIPT: &str = include_str!("page/assets/reasons.js");

/// The tables of the script.
struct Tables {
    words: BTreeMap<&'static str, &'static str>,
    prefixes: Vec<(&'static str, &'static str)>,
    statuses: BTreeMap<&'static str, &'static str>,
}

fn between(begin: &str, end: &str) -> &'static str {
    let rest = SCRIPT.split_once(begin).unwrap().1;
    rest.split_once(end).unwrap().0
}

fn entries(part: &'static str) -> BTreeMap<&'static str, &'static str> {
    let entries = part.split(',').map(str::trim);
    let entries = entries.filter_map(|entry| entry.split_once(": "));
    entries
        .map(|(key, value)| (key, value.trim_matches('"')))
        .collect()
}

impl Tables {
    fn read() -> Self {
        let pairs = between("PREFIXES = [", "];").split("[\"").skip(1);
        let prefixes = pairs.map(|pair| {
            let (start, rest) = pair.split_once("\", \"").unwrap();
            (start, rest.split_once('"').unwrap().0)
        });
        Self {
            words: entries(between("WORDS = {", "};")),
            prefixes: prefixes.collect(),
            statuses: entries(between("STATUSES = {", "};")),
        }
    }

    /// What the script finds.
    fn reason(&self, cause: &str, status: u16) -> &'static str {
        let prefix = self
            .prefixes
            .iter()
            .find(|(start, _)| cause.starts_with(start));
        let found = self.words.get(cause).copied();
        let found = found.or_else(|| prefix.map(|(_, reason)| *reason));
        let by_status = self.statuses.get(&*status.to_string()).copied();
        found.or(by_status).unwrap_or("failed")
    }
}

/// Words between quotation marks in these files of the source, tests left out.
fn said_in(paths: &[&str]) -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut said = BTreeSet::new();
    let mut left: Vec<_> = paths.iter().map(|path| root.join(path)).collect();
    while let Some(path) = left.pop() {
        if path.is_dir() {
            let files = std::fs::read_dir(path).unwrap();
            let files = files.map(|file| file.unwrap().path());
            left.extend(files.filter(|path| !path.ends_with("tests")));
            continue;
        }
        let text = std::fs::read_to_string(path).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let is_word = |part: &&str| {
            let mut letters = part.bytes();
            !part.is_empty() && letters.all(|octet| octet == b'_' || octet.is_ascii_lowercase())
        };
        said.extend(text.split('"').filter(is_word).map(str::to_owned));
    }
    said
}

#[test]
fn each_reason_of_the_guard_has_its_sentence() {
    let tables = Tables::read();
    for reason in Reason::ALL {
        let expected = match reason {
            Reason::Emergency => "guard_emergency",
            Reason::Hours => "hours",
            Reason::TableFull => "full",
            Reason::NumberMalformed
            | Reason::NumberUnknown
            | Reason::Blocked
            | Reason::PrefixBlocked
            | Reason::Premium
            | Reason::Satellite
            | Reason::NotNamed => "guard",
            Reason::CallsPerDay
            | Reason::CallsPerDayPerIp
            | Reason::CallsPerSecond
            | Reason::ConcurrentCalls
            | Reason::ConcurrentPerIp
            | Reason::ConcurrentPerDestination
            | Reason::DestinationsPerHour
            | Reason::SameDestination
            | Reason::SpendPerDay => "rate",
        };
        let said = tables.reason(reason.as_str(), reason.status());
        assert_eq!(said, expected, "{reason:?}");
    }
}

#[test]
fn a_call_that_ends_says_why_and_not_something_else() {
    let tables = Tables::read();
    for (cause, status, expected) in [
        ("normal", 200, "normal"),
        ("cancelled", 487, "left"),
        ("busy", 486, "busy"),
        ("no_answer", 408, "no_answer"),
        ("unavailable", 480, "no_answer"),
        ("declined", 603, "declined"),
        ("no_such_destination", 404, "not_found"),
        ("not_acceptable", 488, "codec"),
        ("trunk_failure", 503, "trunk"),
        ("no_response", 408, "trunk"),
        ("no_progress", 408, "trunk"),
        ("transport_failed", 503, "trunk"),
        ("no_trunk", 404, "trunk"),
        ("no_common_codec", 488, "codec"),
        ("trunks_unavailable", 503, "no_line"),
        ("srtp_needs_tls", 488, "trunk"),
        ("guard_duration_max", 200, "too_long"),
        ("local_party_over", 200, "too_long"),
        ("session_expired", 200, "lost"),
        ("media_timeout", 200, "lost"),
        ("guest_vanished", 200, "lost"),
        ("calls_max", 503, "full"),
        ("database_unavailable", 503, "unavailable"),
        ("browser_calls_off", 503, "unavailable"),
        ("too_many_loads", 0, "rate"),
        ("media_stock_empty", 503, "full"),
        ("node_stopped", 503, "stopping"),
        ("ice_consent_expired", 200, "network"),
        ("dtls_timeout", 200, "network"),
        ("dtls_handshakes_full", 503, "full"),
        ("browser_no_common_codec", 488, "codec"),
        ("browser_weak_fingerprint", 488, "failed"),
    ] {
        assert_eq!(tables.reason(cause, status), expected, "{cause}");
    }
    let said = said_in(&["sip/src/offer_answer/remote.rs"]);
    let mut descriptions = said.iter().filter(|word| word.starts_with("sdp_"));
    let codec = descriptions
        .clone()
        .find(|word| **word == "sdp_no_common_codec");
    assert_eq!(tables.reason(codec.unwrap(), 488), "codec");
    descriptions
        .by_ref()
        .filter(|word| **word != "sdp_no_common_codec")
        .for_each(|word| assert_eq!(tables.reason(word, 488), "trunk", "{word}"));
    for language in &LANGUAGES {
        let script = language.texts.script();
        let script: BTreeMap<String, String> = serde_json::from_str(&script).unwrap();
        for reason in tables.words.values().chain(tables.statuses.values()) {
            assert!(script.contains_key(*reason), "{} {reason}", language.name);
        }
    }
}

#[test]
fn the_page_knows_no_cause_that_nobody_says() {
    let tables = Tables::read();
    let said = said_in(&[
        "src/call",
        "src/fraud_guard/reason.rs",
        "src/links/resolve/mod.rs",
        "src/trunks/select.rs",
        "src/http/guest/figures.rs",
        "src/http/guest/page/assets/call.js",
        "src/http/guest/page/assets/signal.js",
        "sip/src/offer_answer",
        "media/src/command.rs",
        "media/src/dtls/handshake.rs",
    ]);
    for word in tables.words.keys() {
        assert!(said.contains(*word), "{word}");
    }
    for (start, _) in &tables.prefixes {
        assert!(said.iter().any(|word| word.starts_with(start)), "{start}");
    }
}
