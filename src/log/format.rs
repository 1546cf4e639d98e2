//! A line as text, as JSON, and as the journal's fields.

use std::fmt::Write as _;

use serde_json::{Map, Value};
use tracing::Level;

use super::line::Line;

/// For people: time, level, call, words, values.
pub(super) fn text(level: Level, line: &Line) -> String {
    let mut out = format!("{:.3} {:5}", line.at, level.as_str());
    if let Some(call) = &line.call {
        // Writing to a string does not fail, here and below.
        write!(out, " call={call}").ok();
    }
    if let Some(event) = &line.event {
        write!(out, " {event}").ok();
    }
    write!(out, " {}", line.message).ok();
    for (name, value) in &line.fields {
        if value.is_empty() || value.contains([' ', '"', '=']) {
            write!(out, " {name}=\"{}\"", value.replace('"', "\\\"")).ok();
        } else {
            write!(out, " {name}={value}").ok();
        }
    }
    out.push('\n');
    out
}

/// For programs: one object, every value a text.
pub(super) fn json(level: Level, line: &Line) -> String {
    let mut object = Map::new();
    let mut put = |name: &str, value: &str| {
        object.insert(name.to_owned(), Value::from(value));
    };
    put("time", &format!("{:.3}", line.at));
    put("level", &level.as_str().to_ascii_lowercase());
    if let Some(call) = &line.call {
        put("call", call);
    }
    if let Some(event) = &line.event {
        put("event", event);
    }
    put("message", &line.message);
    put("target", &line.target);
    for (name, value) in &line.fields {
        put(name, value);
    }
    let mut text = Value::Object(object).to_string();
    text.push('\n');
    text
}

/// For the journal (its native protocol: `KEY=value` lines; no value of ours has a line's end).
pub(super) fn journal(level: Level, line: &Line) -> Vec<u8> {
    let mut out = format!(
        "PRIORITY={}\nSYSLOG_IDENTIFIER=sluice\nTARGET={}\n",
        priority(level),
        line.target
    );
    let mut message = String::new();
    if let Some(call) = &line.call {
        writeln!(out, "SLUICE_CALL={call}").ok();
        write!(message, "call={call} ").ok();
    }
    if let Some(event) = &line.event {
        writeln!(out, "SLUICE_EVENT={event}").ok();
        write!(message, "{event} ").ok();
    }
    message.push_str(&line.message);
    for (name, value) in &line.fields {
        let key: String = name
            .chars()
            .map(|character| {
                if character.is_ascii_alphanumeric() {
                    character.to_ascii_uppercase()
                } else {
                    '_'
                }
            })
            .collect();
        writeln!(out, "SLUICE_{key}={value}").ok();
        write!(message, " {name}={value}").ok();
    }
    writeln!(out, "MESSAGE={message}").ok();
    out.into_bytes()
}

/// `syslog(3)`.
fn priority(level: Level) -> u8 {
    if level == Level::ERROR {
        3
    } else if level == Level::WARN {
        4
    } else if level == Level::INFO {
        6
    } else {
        7
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line {
        Line {
            call: Some("0a1b".to_owned()),
            event: Some("call_refused".to_owned()),
            message: "403 guard".to_owned(),
            fields: vec![("link", "a b".to_owned()), ("status", "403".to_owned())],
            ..Line::suppressed("", 0)
        }
    }

    #[test]
    fn text_begins_with_the_call_and_quotes_what_has_spaces() {
        let text = text(Level::INFO, &line());
        let tail = "Z INFO  call=0a1b call_refused 403 guard link=\"a b\" status=403\n";
        assert!(text.ends_with(tail), "{text}");
    }

    #[test]
    fn json_is_one_object_a_line() {
        let text = json(Level::WARN, &line());
        assert_eq!(text.matches('\n').count(), 1);
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["call"], "0a1b");
        assert_eq!(value["level"], "warn");
        assert_eq!(value["link"], "a b");
    }

    #[test]
    fn the_journal_gets_each_value_as_a_field() {
        let fields = String::from_utf8(journal(Level::ERROR, &line())).unwrap();
        for field in [
            "PRIORITY=3",
            "SLUICE_CALL=0a1b",
            "SLUICE_EVENT=call_refused",
            "SLUICE_LINK=a b",
            "MESSAGE=call=0a1b call_refused 403 guard link=a b status=403",
        ] {
            assert!(fields.lines().any(|line| line == field), "{fields}");
        }
    }
}
