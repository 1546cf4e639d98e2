//! Rules over the text of Rust files.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use super::tree::{File, Tree};

/// Words that say nothing as the name of a type or a module (LAYOUT's word table).
const EMPTY_WORDS: &[&str] = &[
    "Manager", "Handler", "Helper", "Service", "Info", "Base", "Impl", "Util", "Utils",
];
const EMPTY_MODULES: &[&str] = &[
    "util", "utils", "common", "types", "helpers", "manager", "misc",
];

/// Abbreviations that the field does not use in full texts; refused as whole words in identifiers.
const ABBREVIATIONS: &[&str] = &[
    "ctx", "mgr", "tsx", "ctrans", "msg", "cfg", "tmp", "hdr", "pkt", "addr", "buf_len", "idx",
];

/// Rule names of RFC 3261's grammar, which are whole words to its readers.
const GRAMMAR: &[&str] = &["name_addr", "addr_spec"];

/// Names of types, modules and functions that carry no meaning, or an abbreviation.
pub(super) fn forbidden_names(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, text) in file.production() {
        for (keyword, name) in definitions(text) {
            let empty = match keyword {
                "mod" => EMPTY_MODULES.contains(&name),
                "struct" | "enum" | "trait" | "type" => {
                    EMPTY_WORDS.iter().any(|word| name.ends_with(word))
                }
                _ => GRAMMAR
                    .iter()
                    .fold(name.to_owned(), |name, rule| name.replace(rule, ""))
                    .split('_')
                    .any(|part| ABBREVIATIONS.contains(&part)),
            };
            if empty {
                let message = format!("`{name}` says nothing: take the field's word for it");
                findings.push(Finding::new(&file.path, line, message));
            }
        }
    }
    findings
}

/// `(keyword, name)` of what a line defines.
fn definitions(line: &str) -> Vec<(&'static str, &str)> {
    const KEYWORDS: [&str; 6] = ["struct", "enum", "trait", "type", "mod", "fn"];
    let words: Vec<&str> = line
        .split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .filter(|word| !word.is_empty())
        .collect();
    words
        .iter()
        .zip(words.iter().skip(1))
        .filter_map(|(first, second)| {
            KEYWORDS
                .iter()
                .find(|keyword| *keyword == first)
                .map(|keyword| (*keyword, *second))
        })
        .collect()
}

/// What the pure parts of the tree may not name, with what to do instead.
const IMPURE: &[(&str, &str)] = &[
    ("Instant::now", "take `now` as an argument"),
    ("SystemTime::now", "take `now` as an argument"),
    ("Timestamp::now", "take `now` as an argument"),
    ("tokio::", "the control plane drives this from outside"),
    ("sqlx::", "emit a record or a question; storage answers"),
    ("crossbeam", "queues belong to the shell"),
    ("std::thread", "threads belong to the shell"),
    ("std::net::UdpSocket", "sockets belong to the shell"),
    ("std::sync::Mutex", "a core has no lock"),
    ("std::sync::RwLock", "a core has no lock"),
    ("getrandom", "randomness is injected"),
];

fn is_pure(path: &str) -> bool {
    let folders = [
        "sip/src/",
        "media/src/",
        "src/call/",
        "src/fraud_guard/",
        "src/links/resolve/",
    ];
    let names = ["/model.rs", "/rules.rs", "/route.rs", "/record.rs"];
    folders.iter().any(|folder| path.starts_with(folder))
        || (path.starts_with("src/") && names.iter().any(|name| path.ends_with(name)))
}

/// The cores and the pure files of the appliance own no clock, socket, thread, lock or randomness.
pub(super) fn purity(file: &File) -> Vec<Finding> {
    if !is_pure(&file.path) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (line, text) in file.production() {
        for (name, instead) in IMPURE {
            if text.contains(name) {
                let message = format!("`{name}` in a pure file: {instead}");
                findings.push(Finding::new(&file.path, line, message));
            }
        }
    }
    findings
}

/// `(crate folder, module, modules it may use)`; a module that is not listed may use any.
const LAYERS: &[(&str, &str, &[&str])] = &[
    ("sip/src/", "message", &["message", "error", "fuzzing"]),
    ("sip/src/", "sdp", &["sdp", "message", "error"]),
    ("sip/src/", "auth", &["auth", "message", "error"]),
    (
        "sip/src/",
        "offer_answer",
        &["offer_answer", "sdp", "message", "error"],
    ),
    (
        "sip/src/",
        "transport",
        &[
            "transport",
            "message",
            "error",
            "event",
            "limits",
            "identifier",
            "table",
            "deadline",
        ],
    ),
    (
        "sip/src/",
        "transaction",
        &[
            "transaction",
            "transport",
            "message",
            "error",
            "event",
            "limits",
            "identifier",
            "table",
            "deadline",
        ],
    ),
    (
        "media/src/",
        "rtp",
        &["rtp", "error", "limits", "drop_reason"],
    ),
    (
        "media/src/",
        "rtcp",
        &["rtcp", "rtp", "error", "limits", "drop_reason"],
    ),
];

/// `use crate::x` goes down the layers only.
pub(super) fn layers(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (folder, module, allowed) in LAYERS {
        let Some(rest) = file.path.strip_prefix(folder) else {
            continue;
        };
        if rest
            .split('/')
            .next()
            .map(|first| first.trim_end_matches(".rs"))
            != Some(module)
        {
            continue;
        }
        for (line, text) in file.production() {
            for used in text.split("crate::").skip(1) {
                let name: String = used
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                let is_module = name.chars().next().is_some_and(char::is_lowercase);
                if is_module && !allowed.contains(&name.as_str()) {
                    let message = format!("`{module}` may not use `crate::{name}`: it lies above");
                    findings.push(Finding::new(&file.path, line, message));
                }
            }
        }
    }
    findings
}

/// Waiting is by event with a deadline.
pub(super) fn sleeps(file: &File) -> Vec<Finding> {
    let exempt = [
        "tests/interop/",
        "media/packet_io/examples/",
        "tests/soak/",
        "benches/load/",
        "tests/xtask/",
    ];
    if exempt.iter().any(|folder| file.path.starts_with(folder)) {
        return Vec::new();
    }
    file.test_code()
        .filter(|(_, text)| {
            text.split("sleep(").next().is_some_and(|before| {
                before.len() < text.len()
                    && !before.ends_with(|c: char| c.is_alphanumeric() || c == '_')
            })
        })
        .map(|(line, _)| Finding::new(&file.path, line, "a sleep hides a race: wait for an event"))
        .collect()
}

/// A test that does not run says why.
pub(super) fn ignored_tests(file: &File) -> Vec<Finding> {
    file.lines()
        .filter(|(_, text)| text.trim() == "#[ignore]")
        .map(|(line, _)| Finding::new(&file.path, line, "`#[ignore = \"reason\"]`, or no test"))
        .collect()
}

/// Core types are not serialisable; shapes are converted by hand at the edge.
pub(super) fn serde_outside_the_edge(file: &File) -> Vec<Finding> {
    let core = file.path.starts_with("sip/src/")
        || file.path.starts_with("media/")
        || file.path.starts_with("src/call/")
        || file.path.ends_with("/model.rs");
    file.production()
        .filter(|(_, text)| core && text.contains("serde"))
        .map(|(line, _)| Finding::new(&file.path, line, "serde in a core: convert at the edge"))
        .collect()
}

/// An INVITE leaves only where the guard's proof is held: whoever calls the endpoint's `dial` or
/// `place` names the type that only a verdict makes.
pub(super) fn dialling_without_a_verdict(file: &File) -> Vec<Finding> {
    if !file.path.starts_with("src/")
        || file.production().any(|(_, text)| has_word(text, "Cleared"))
    {
        return Vec::new();
    }
    let flat: String = file
        .production()
        .map(|(_, text)| text.trim())
        .collect::<Vec<_>>()
        .join("");
    ["endpoint.dial(", "endpoint.place("]
        .into_iter()
        .filter(|call| flat.contains(call))
        .map(|call| {
            let message =
                format!("`{call}…)` without a `Cleared`: the fraud guard has not seen it");
            Finding::new(&file.path, 1, message)
        })
        .collect()
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|character: char| !character.is_alphanumeric() && character != '_')
        .any(|found| found == word)
}

/// Paths that exist on one machine only.
pub(super) fn machine_paths(file: &File) -> Vec<Finding> {
    // Spelt in pieces, so that this file does not find itself.
    let forbidden = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
    ];
    file.text
        .lines()
        .enumerate()
        .filter(|(_, text)| forbidden.iter().any(|path| text.contains(path)))
        .map(|(index, _)| Finding::new(&file.path, index + 1, "a path of one machine"))
        .collect()
}

/// A SAFETY line says why it holds here; the same sentence twice is a sentence about neither.
pub(super) fn safety_texts(tree: &Tree) -> Vec<Finding> {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    let mut findings = Vec::new();
    for file in tree.rust() {
        let lines: Vec<&str> = file.text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let Some(first) = line.trim().strip_prefix("// SAFETY:") else {
                continue;
            };
            let mut text = first.trim().to_owned();
            for more in lines.iter().skip(index + 1) {
                let Some(more) = more.trim().strip_prefix("//") else {
                    break;
                };
                text.push(' ');
                text.push_str(more.trim());
            }
            let place = format!("{}:{}", file.path, index + 1);
            if let Some(before) = seen.insert(text, place) {
                let message = format!("the same SAFETY text stands at {before}");
                findings.push(Finding::new(&file.path, index + 1, message));
            }
        }
    }
    findings
}

/// Every Rust file is reached from a root by a `mod` line.
pub(super) fn orphans(tree: &Tree) -> Vec<Finding> {
    let roots = ["lib.rs", "main.rs", "mod.rs"];
    let mut findings = Vec::new();
    for file in tree.rust() {
        let Some((folder, name)) = file.path.rsplit_once('/') else {
            continue;
        };
        if name == "lib.rs" || name == "main.rs" || has_targets(folder) {
            continue;
        }
        let (folder, module) = if name == "mod.rs" {
            folder.rsplit_once('/').unwrap_or(("", folder))
        } else {
            (folder, name.trim_end_matches(".rs"))
        };
        let parents = roots.iter().map(|root| format!("{folder}/{root}"));
        let parents = parents.chain(std::iter::once(format!("{folder}.rs")));
        let parents = parents.filter_map(|parent| tree.file(&parent));
        // Beside targets, each of them is a root.
        let is_beside = |other: &&File| {
            let place = other.path.rsplit_once('/').map(|(place, _)| place);
            has_targets(folder) && place == Some(folder)
        };
        let declared = parents.chain(tree.rust().filter(is_beside)).any(|parent| {
            parent.lines().any(|(_, line)| {
                let line = line.trim().trim_end_matches([';', '{']).trim();
                line.strip_suffix(module).is_some_and(|head| {
                    let head = head.trim_end();
                    head == "mod" || head.ends_with(" mod")
                })
            })
        });
        if !declared {
            findings.push(Finding::new(
                &file.path,
                1,
                "no `mod` line reaches this file",
            ));
        }
    }
    findings
}

/// True for a folder of which each file is a program or a test.
fn has_targets(folder: &str) -> bool {
    let kinds = ["/bin", "/benches", "/examples", "/tests", "/targets"];
    kinds.iter().any(|kind| folder.ends_with(kind)) && !folder.contains("/src/")
}

/// Where the reasons of a package stand: folder, file, enum.
const REASONS: &[(&str, &str, &str)] = &[
    ("sip/", "sip/src/error.rs", "ProtocolError"),
    ("media/src/", "media/src/drop_reason.rs", "DropReason"),
];

/// Each variant of an enum of drop reasons is given by production code and met by a test.
pub(super) fn drop_reasons(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (folder, defining, name) in REASONS {
        let Some(file) = tree.file(defining) else {
            continue;
        };
        let (mut given, mut met) = (BTreeSet::new(), BTreeSet::new());
        let mut labels = String::new();
        for source in tree.rust() {
            let near = source.path.starts_with(folder) && source.path != *defining;
            for (_, line) in source.production().filter(|_| near) {
                given.extend(variants_named(line, name));
            }
            for (_, line) in source.test_code() {
                met.extend(variants_named(line, name));
            }
            labels.push_str(&source.test_text());
        }
        for (line, variant) in enum_variants(file, name) {
            if !given.contains(&variant) {
                let message = format!("`{name}::{variant}` is never given");
                findings.push(Finding::new(&file.path, line, message));
            }
            let is_met_by_label =
                label_of(file, &variant).is_some_and(|label| labels.contains(&label));
            if !met.contains(&variant) && !is_met_by_label {
                let message = format!("`{name}::{variant}` is met by no test");
                findings.push(Finding::new(&file.path, line, message));
            }
        }
    }
    findings
}

/// Where every metric is named once.
const CATALOGUE: &str = "src/metrics/catalogue.rs";

/// Each metric of the catalogue is shown and gathered: one that nobody counts says nothing.
pub(super) fn metrics(tree: &Tree) -> Vec<Finding> {
    let Some(catalogue) = tree.file(CATALOGUE) else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    for (line, text) in catalogue.production() {
        let Some(name) = text.strip_prefix("pub static ").and_then(|rest| {
            rest.strip_suffix(": Metric =")
                .or_else(|| rest.split_once(": Metric = ").map(|(name, _)| name))
        }) else {
            continue;
        };
        let listed = format!("&{name},");
        if !catalogue
            .production()
            .any(|(_, text)| text.trim() == listed)
        {
            findings.push(Finding::new(
                CATALOGUE,
                line,
                format!("`{name}` is not in `ALL`"),
            ));
        }
        let gathered = tree
            .rust()
            .filter(|file| file.path.starts_with("src/") && file.path != CATALOGUE)
            .any(|file| file.production().any(|(_, text)| names(text, name)));
        if !gathered {
            let message = format!("`{name}` is never gathered");
            findings.push(Finding::new(CATALOGUE, line, message));
        }
    }
    findings
}

/// The line has `::NAME` as a whole word.
fn names(line: &str, name: &str) -> bool {
    line.split(&format!("::{name}"))
        .skip(1)
        .any(|rest| !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_'))
}

/// `label` of the line `Self::Variant => "label"`.
fn label_of(file: &File, variant: &str) -> Option<String> {
    let start = format!("Self::{variant} => \"");
    let (_, rest) = file.text.split_once(&start)?;
    rest.split('"').next().map(str::to_owned)
}

/// The variants that a line names, by the enum's name or as `Error::` where it is renamed so.
fn variants_named(line: &str, name: &str) -> Vec<String> {
    let tail = if name.ends_with("Error") {
        "Error::"
    } else {
        name
    };
    line.split(tail)
        .skip(1)
        .map(|rest| rest.trim_start_matches("::"))
        .map(|rest| rest.chars().take_while(|c| c.is_alphanumeric()).collect())
        .collect()
}

fn enum_variants(file: &File, name: &str) -> Vec<(usize, String)> {
    file.lines()
        .skip_while(|(_, line)| !line.contains(&format!("enum {name} ")))
        .skip(1)
        .take_while(|(_, line)| !line.starts_with('}'))
        .filter_map(|(number, line)| {
            let line = line.strip_prefix("    ")?;
            let variant: String = line.chars().take_while(|c| c.is_alphanumeric()).collect();
            let is_variant = variant.chars().next().is_some_and(char::is_uppercase);
            is_variant.then_some((number, variant))
        })
        .collect()
}
