//! What pages say, in each language: one file a language, the same keys in all.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// The texts of one language.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Texts {
    /// Stand in the page.
    page: BTreeMap<String, String>,
    /// The page's script says them.
    script: BTreeMap<String, String>,
    /// Pages that say no.
    refused: BTreeMap<String, String>,
}

/// A language that pages speak.
#[derive(Debug)]
pub(super) struct Language {
    /// `lang` (BCP 47).
    pub(super) name: &'static str,
    /// `dir`.
    pub(super) direction: &'static str,
    pub(super) texts: LazyLock<Texts>,
}

impl Texts {
    pub(super) fn page(&self, key: &str) -> Option<String> {
        self.page.get(key).cloned()
    }

    pub(super) fn refused(&self, key: &str) -> Option<String> {
        self.refused.get(key).cloned()
    }

    /// As the script reads them.
    pub(super) fn script(&self) -> String {
        serde_json::to_string(&self.script).unwrap_or_default()
    }

    /// The title of a page, with whom it calls.
    pub(super) fn title(&self, name: &str) -> String {
        let title = self.script.get("title").map_or("{name}", String::as_str);
        title.replace("{name}", name)
    }
}

fn read(text: &str) -> Texts {
    let read = serde_json::from_str(text);
    debug_assert!(read.is_ok(), "a catalogue that a test has read");
    read.unwrap_or_default()
}

/// The first one is spoken to whoever understands none.
pub(super) static LANGUAGES: [Language; 3] = [
    Language {
        name: "en",
        direction: "ltr",
        texts: LazyLock::new(|| read(include_str!("page/texts/en.json"))),
    },
    Language {
        name: "de",
        direction: "ltr",
        texts: LazyLock::new(|| read(include_str!("page/texts/de.json"))),
    },
    Language {
        name: "ar",
        direction: "rtl",
        texts: LazyLock::new(|| read(include_str!("page/texts/ar.json"))),
    },
];

/// The language that a browser likes best (RFC 9110 §12.5.4) of those that there are.
pub(super) fn choose(accepted: &str) -> &'static Language {
    let [first, ..] = &LANGUAGES;
    let mut best = (0, first);
    for range in accepted.split(',').take(RANGES_MAX) {
        let (tag, weight) = range.split_once(';').unwrap_or((range, ""));
        let primary = tag.trim().split('-').next().unwrap_or_default();
        let known = LANGUAGES
            .iter()
            .find(|language| language.name.eq_ignore_ascii_case(primary));
        let weight = thousandths(weight);
        if let Some(language) = known.filter(|_| weight > best.0) {
            best = (weight, language);
        }
    }
    best.1
}

/// `q=0.8` in thousandths; what cannot be read is 0, what is not said 1,000.
fn thousandths(weight: &str) -> u32 {
    let weight = weight.trim();
    if weight.is_empty() {
        return 1_000;
    }
    let Some(number) = weight.strip_prefix("q=") else {
        return 0;
    };
    let (whole, rest) = number.split_once('.').unwrap_or((number, ""));
    let padded: String = rest.chars().chain("000".chars()).take(3).collect();
    match (whole, padded.parse::<u32>()) {
        ("1", Ok(0)) => 1_000,
        ("0", Ok(thousandths)) => thousandths,
        _ => 0,
    }
}

/// Ranges of a header that are looked at.
const RANGES_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_language_has_the_same_keys_and_places() {
        let places = |text: &str| {
            let mut places: Vec<String> = text
                .split('{')
                .skip(1)
                .map(|rest| rest.split('}').next().unwrap().to_owned())
                .collect();
            places.sort();
            places
        };
        let all = |language: &Language| {
            let texts = &language.texts;
            let parts = [&texts.page, &texts.script, &texts.refused];
            let entries = parts.into_iter().flatten();
            entries
                .map(|(key, text)| {
                    assert!(!text.trim().is_empty(), "{} {key}", language.name);
                    (key.clone(), places(text))
                })
                .collect::<Vec<_>>()
        };
        let [first, others @ ..] = &LANGUAGES;
        assert!(all(first).len() > 80);
        for other in others {
            assert_eq!(all(first), all(other), "{}", other.name);
        }
    }

    #[test]
    fn the_script_asks_for_no_text_that_is_not_there() {
        let script = include_str!("page/assets/call.js");
        let reasons = include_str!("page/assets/reasons.js");
        let texts = &LANGUAGES[0].texts;
        for begin in ["text(\"", "say(\"", "hint(\""] {
            for rest in script.split(begin).skip(1) {
                let key = rest.split('"').next().unwrap();
                assert!(texts.script.contains_key(key), "{key}");
            }
        }
        let words = reasons
            .split("export")
            .next()
            .unwrap()
            .replace(['\n', '[', ']'], " ");
        for word in words.split([':', ',']).map(str::trim) {
            let Some(word) = word
                .strip_prefix('"')
                .and_then(|word| word.strip_suffix('"'))
            else {
                continue;
            };
            let is_prefix = reasons.contains(&format!("[\"{word}\""));
            assert!(is_prefix || texts.script.contains_key(word), "{word}");
        }
        for kind in ["microphone", "camera"] {
            assert!(texts.script.contains_key(&format!("{kind}_other")));
        }
        for key in ["microphone_back", "in_use_title", "camera_off"] {
            assert!(texts.script.contains_key(key), "{key}");
        }
        for problem in ["insecure", "old", "none", "denied", "in_use", "framed"] {
            for part in ["title", "text"] {
                assert!(texts.script.contains_key(&format!("{problem}_{part}")));
            }
        }
    }

    #[test]
    fn things_are_counted_by_the_browser_which_knows_the_plurals_of_each_language() {
        for language in &LANGUAGES {
            let said = &language.texts.script["countdown_said"];
            assert!(said.contains("{when}"), "{}", language.name);
            for text in language.texts.script.values() {
                for unit in [
                    "second",
                    "Sekunde",
                    "\u{62b}\u{627}\u{646}\u{64a}\u{629} ",
                    "minute",
                    "Minute",
                ] {
                    assert!(!text.contains(unit), "{} {text}", language.name);
                }
            }
        }
    }

    #[test]
    fn the_best_language_that_there_is_is_spoken() {
        for (accepted, name) in [
            ("", "en"),
            ("fr-FR, fr;q=0.9", "en"),
            ("de-AT,de;q=0.9,en;q=0.8", "de"),
            ("en;q=0.4, ar;q=0.5", "ar"),
            ("AR-eg", "ar"),
            ("fr, de;q=0.1", "de"),
            ("de;q=0, ar;q=0.001", "ar"),
            ("de;q=7, en;q=x", "en"),
            ("*", "en"),
        ] {
            assert_eq!(choose(accepted).name, name, "{accepted}");
        }
    }
}
