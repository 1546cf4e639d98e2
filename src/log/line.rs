//! What one line holds: its words, the call it is about, its values; all of them fit to be shown.

use std::fmt::{self, Write as _};

use jiff::Timestamp;
use tracing::Event;
use tracing::field::{Field, Visit};

use super::redact;

/// Characters of one value that are shown.
const VALUE_CHARACTERS_MAX: usize = 1_024;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) at: Timestamp,
    /// The module that says it.
    pub(super) target: String,
    pub(super) message: String,
    /// The call it is about.
    pub(super) call: Option<String>,
    /// A stable word for the kind of fact, where there is one.
    pub(super) event: Option<String>,
    pub(super) fields: Vec<(&'static str, String)>,
    /// Where it stands in the program: lines of one place are alike.
    pub(super) place: (&'static str, u32),
}

impl Line {
    pub(super) fn of(event: &Event<'_>) -> Self {
        let metadata = event.metadata();
        let mut line = Self {
            at: Timestamp::now(),
            target: metadata.target().to_owned(),
            message: String::new(),
            call: None,
            event: None,
            fields: Vec::new(),
            place: (
                metadata.file().unwrap_or_default(),
                metadata.line().unwrap_or_default(),
            ),
        };
        event.record(&mut line);
        line
    }

    /// Says that lines like this were left out.
    pub(super) fn suppressed(like: &str, count: u64) -> Self {
        Self {
            at: Timestamp::now(),
            target: "sluice::log".to_owned(),
            message: format!("{count} more like this were left out: {like}"),
            call: None,
            event: Some("log_suppressed".to_owned()),
            fields: vec![("count", count.to_string())],
            place: (file!(), line!()),
        }
    }

    /// What makes two lines alike, in words.
    pub(super) fn kind(&self) -> String {
        match &self.event {
            Some(event) => event.clone(),
            None => self.message.clone(),
        }
    }

    /// What makes two lines alike: the place and the kind of fact, never the values.
    pub(super) fn key(&self) -> (&'static str, u32, Option<&str>) {
        (self.place.0, self.place.1, self.event.as_deref())
    }

    fn put(&mut self, name: &'static str, value: &str) {
        let value = shown(value);
        match name {
            "message" => self.message = value,
            "call" if value == "-" => {}
            "call" => self.call = Some(value),
            "event" => self.event = Some(value),
            name => self.fields.push((name, value)),
        }
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), &format!("{value:?}"));
    }
}

/// A value as a line may hold it: without secrets, on one line, without a word to a terminal.
pub(super) fn shown(value: &str) -> String {
    let redacted = redact::text(value);
    let mut shown = String::with_capacity(redacted.len());
    for character in redacted.chars().take(VALUE_CHARACTERS_MAX) {
        if is_plain(character) {
            shown.push(character);
        } else {
            // Writing to a string does not fail.
            write!(shown, "{}", character.escape_default()).ok();
        }
    }
    if redacted.chars().nth(VALUE_CHARACTERS_MAX).is_some() {
        shown.push('…');
    }
    shown
}

/// Neither a control character (C0, C1, DEL), nor a separator of lines, nor one that turns the
/// direction of writing.
pub(crate) fn is_plain(character: char) -> bool {
    !character.is_control()
        && !matches!(character,
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_makes_a_second_line_or_speaks_to_a_terminal() {
        let evil = "x\r\n2026-01-01 INFO forged\u{1b}[2J\u{9b}31m\u{7f}\u{202e}\u{2028}\0";
        let shown = shown(evil);
        assert!(shown.chars().all(is_plain), "{shown}");
        assert!(shown.starts_with("x\\r\\n2026-01-01 INFO forged\\u{1b}[2J"));
        assert_eq!(super::shown("J\u{f6}rg \u{4e2d}"), "J\u{f6}rg \u{4e2d}");
    }

    #[test]
    fn a_value_is_bounded_and_holds_no_secret() {
        let long = shown(&"a".repeat(5_000));
        assert_eq!(long.chars().count(), VALUE_CHARACTERS_MAX + 1);
        assert_eq!(shown("nonce=\"abc\" then"), "nonce=\"***\" then");
    }
}
