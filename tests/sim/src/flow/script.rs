//! The text of a flow: its lines and their words. Reading only; nothing here acts.
//!
//! | line | means |
//! |---|---|
//! | `given link PATH USER[@DOMAIN] [name= alias= unique unnamed]` | a link; for USER also `local:echo`, `local:tone`, `gone`, `early`, `unavailable`, `silent` |
//! | `given trunk NAME [priority= max_calls=]` | a trunk; without any there is one, `trunk` |
//! | `given block PREFIX` | the guard denies these numbers |
//! | `given keys POLICY [clear]` | phones and trunks (`srtp=`) have keys by policy; `clear`: without TLS too |
//! | `given silence allowed` | no call ends because nobody speaks |
//! | `NAME -> gw WHAT [words]` | a peer sends; `offer=`, `answer=` (codecs with `+`, or a direction), `for=METHOD`, `fork=`, `to=PATH`, `again`, `delay=40ms` |
//! | `gw -> NAME WHAT [words]` | the next message of that peer is this; also `user=`, `name=`, `alias=`, `within=5s` |
//! | `NAME ~> NAME N` | N packets of RTP, all heard there and nowhere else; `nobody` is a name |
//! | `wait 5s`, `silence NAME for=5s` | time passes; nothing comes |
//! | `expect cdr`, `expect attempt number=`, `expect tables empty within=` | rows and tables |
//!
//! Names beginning with `trunk` are called, `mallory` is a source that nobody knows, all others
//! call. Messages of different peers may come in another order than their lines.

use std::time::Duration;

/// `key=value` words after the first ones of a line. A word without `=` has an empty value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Attributes(Vec<(String, String)>);

impl Attributes {
    fn read(words: &[String]) -> Self {
        Self(
            words
                .iter()
                .map(|word| match word.split_once('=') {
                    Some((key, value)) => (key.to_owned(), value.to_owned()),
                    None => (word.clone(), String::new()),
                })
                .collect(),
        )
    }

    /// The value of a key.
    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(given, _)| given == key)
            .map(|(_, value)| value.as_str())
    }

    /// The value as a time (`40ms`, `32s`).
    pub(crate) fn duration(&self, key: &str) -> Option<Duration> {
        self.value(key).and_then(duration)
    }

    /// True where the word stands there.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

/// A line, without its comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    /// Empty, or a comment.
    Blank,
    /// `given link sales d1@example.net`
    Given {
        what: String,
        name: String,
        rest: Attributes,
    },
    /// `alice -> gw INVITE offer=pcma`
    Sends {
        node: String,
        what: String,
        with: Attributes,
    },
    /// `gw -> alice 100`
    Comes {
        node: String,
        what: String,
        with: Attributes,
    },
    /// `alice ~> trunk 10`
    Speaks {
        node: String,
        to: String,
        packets: u32,
    },
    /// `wait 5s`
    Wait(Duration),
    /// `silence mallory for=5s`
    Silence { node: String, lasts: Duration },
    /// `expect cdr cause=normal`
    Expect { what: String, with: Attributes },
}

/// A whole flow.
#[derive(Debug)]
pub(crate) struct Script {
    /// Its lines as written, and what they mean.
    pub(crate) lines: Vec<(String, Line)>,
}

impl Script {
    /// Reads it.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let mut lines = Vec::new();
        for (index, raw) in text.lines().enumerate() {
            let line =
                read_line(raw).ok_or_else(|| format!("line {}: cannot read `{raw}`", index + 1))?;
            lines.push((raw.to_owned(), line));
        }
        Ok(Self { lines })
    }
}

fn read_line(raw: &str) -> Option<Line> {
    let words = words(raw.split_once('#').map_or(raw, |(text, _)| text));
    let word = |place: usize| words.get(place).cloned();
    let rest = |from: usize| Attributes::read(words.get(from..).unwrap_or(&[]));
    let Some(first) = word(0) else {
        return Some(Line::Blank);
    };
    Some(match (first.as_str(), word(1).as_deref()) {
        ("given", Some(what)) => Line::Given {
            what: what.to_owned(),
            name: word(2)?,
            rest: rest(3),
        },
        ("wait", Some(time)) => Line::Wait(duration(time)?),
        ("silence", Some(node)) => Line::Silence {
            node: node.to_owned(),
            lasts: rest(2).duration("for")?,
        },
        ("expect", Some(what)) => Line::Expect {
            what: what.to_owned(),
            with: rest(2),
        },
        ("gw", Some("->")) => Line::Comes {
            node: word(2)?,
            what: word(3)?,
            with: rest(4),
        },
        (node, Some("->")) if word(2).as_deref() == Some("gw") => Line::Sends {
            node: node.to_owned(),
            what: word(3)?,
            with: rest(4),
        },
        (node, Some("~>")) => Line::Speaks {
            node: node.to_owned(),
            to: word(2)?,
            packets: word(3)?.parse().ok()?,
        },
        _ => return None,
    })
}

/// Words between blanks; quotation marks hold a value together.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for letter in text.chars() {
        match letter {
            '"' => quoted = !quoted,
            ' ' | '\t' if !quoted => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            other => word.push(other),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

fn duration(text: &str) -> Option<Duration> {
    if let Some(number) = text.strip_suffix("ms") {
        return Some(Duration::from_millis(number.parse().ok()?));
    }
    Some(Duration::from_secs(text.strip_suffix('s')?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_each_kind_are_read() {
        let script = Script::read(
            "# a comment\n\
             given link sales d1 name=\"A B\"\n\
             alice -> gw INVITE offer=pcma delay=40ms # late\n\
             gw -> alice 100\n\
             alice ~> trunk 10\n\
             silence mallory for=5s\n\
             expect tables empty within=32s\n",
        )
        .unwrap();
        let lines: Vec<&Line> = script.lines.iter().map(|(_, line)| line).collect();
        assert_eq!(lines[0], &Line::Blank);
        let Line::Given { rest, .. } = lines[1] else {
            panic!("{:?}", lines[1])
        };
        assert_eq!((rest.value("name"), rest.has("d1")), (Some("A B"), true));
        let Line::Sends { with, .. } = lines[2] else {
            panic!("{:?}", lines[2])
        };
        assert_eq!(with.duration("delay"), Some(Duration::from_millis(40)));
        assert_eq!(
            lines[4],
            &Line::Speaks {
                node: "alice".to_owned(),
                to: "trunk".to_owned(),
                packets: 10
            }
        );
        Script::read("alice gw INVITE").unwrap_err();
    }
}
