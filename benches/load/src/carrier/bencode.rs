//! Bencoding, as rtpengine's control protocol speaks it: integers, strings, lists, dictionaries.

use std::collections::BTreeMap;

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Integer(i64),
    Text(Vec<u8>),
    List(Vec<Self>),
    /// Keys are sorted, as the encoding wants them.
    Dictionary(BTreeMap<Vec<u8>, Self>),
}

impl Value {
    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.as_bytes().to_vec())
    }

    pub(super) fn dictionary<const N: usize>(entries: [(&str, Self); N]) -> Self {
        let entries = entries.map(|(key, value)| (key.as_bytes().to_vec(), value));
        Self::Dictionary(BTreeMap::from(entries))
    }

    /// The entry of a dictionary.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Dictionary(entries) => entries.get(key.as_bytes()),
            Self::Integer(_) | Self::Text(_) | Self::List(_) => None,
        }
    }

    /// A string that is UTF-8.
    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => std::str::from_utf8(text).ok(),
            Self::Integer(_) | Self::List(_) | Self::Dictionary(_) => None,
        }
    }

    /// Appends the encoding.
    pub(super) fn write(&self, to: &mut Vec<u8>) {
        match self {
            Self::Integer(value) => to.extend(format!("i{value}e").bytes()),
            Self::Text(text) => write_text(text, to),
            Self::List(values) => {
                to.push(b'l');
                values.iter().for_each(|value| value.write(to));
                to.push(b'e');
            }
            Self::Dictionary(entries) => {
                to.push(b'd');
                for (key, value) in entries {
                    write_text(key, to);
                    value.write(to);
                }
                to.push(b'e');
            }
        }
    }

    /// Reads one value that is the whole of `octets`.
    pub(super) fn read(octets: &[u8]) -> Option<Self> {
        let (value, rest) = Self::read_first(octets, DEPTH_MAX)?;
        rest.is_empty().then_some(value)
    }

    fn read_first(octets: &[u8], depth: u32) -> Option<(Self, &[u8])> {
        let (first, mut rest) = octets.split_first()?;
        let depth = depth.checked_sub(1)?;
        match first {
            b'i' => {
                let end = rest.iter().position(|octet| *octet == b'e')?;
                let (digits, after) = rest.split_at_checked(end)?;
                let value = std::str::from_utf8(digits).ok()?.parse().ok()?;
                Some((Self::Integer(value), after.get(1..)?))
            }
            b'l' => {
                let mut values = Vec::new();
                while *rest.first()? != b'e' {
                    let (value, after) = Self::read_first(rest, depth)?;
                    values.push(value);
                    rest = after;
                }
                Some((Self::List(values), rest.get(1..)?))
            }
            b'd' => {
                let mut entries = BTreeMap::new();
                while *rest.first()? != b'e' {
                    let (key, after) = read_text(rest)?;
                    let (value, after) = Self::read_first(after, depth)?;
                    entries.insert(key.to_vec(), value);
                    rest = after;
                }
                Some((Self::Dictionary(entries), rest.get(1..)?))
            }
            _ => read_text(octets).map(|(text, after)| (Self::Text(text.to_vec()), after)),
        }
    }
}

fn write_text(text: &[u8], to: &mut Vec<u8>) {
    to.extend(format!("{}:", text.len()).bytes());
    to.extend(text);
}

fn read_text(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = octets.iter().position(|octet| *octet == b':')?;
    let (digits, rest) = octets.split_at_checked(colon)?;
    let length: usize = std::str::from_utf8(digits).ok()?.parse().ok()?;
    rest.get(1..)?.split_at_checked(length)
}

const DEPTH_MAX: u32 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_keys_are_sorted() {
        let value = Value::dictionary([
            ("sdp", Value::text("v=0\r\n")),
            ("command", Value::text("offer")),
            (
                "flags",
                Value::List(vec![Value::text("a"), Value::Integer(-3)]),
            ),
        ]);
        let mut octets = Vec::new();
        value.write(&mut octets);
        assert_eq!(octets, b"d7:command5:offer5:flagsl1:ai-3ee3:sdp5:v=0\r\ne");
        assert_eq!(Value::read(&octets), Some(value.clone()));
        assert_eq!(value.get("command").and_then(Value::as_text), Some("offer"));
        assert_eq!(value.get("other"), None);
    }

    #[test]
    fn what_is_cut_short_or_deep_is_no_value() {
        let whole = b"d3:abcl1:xi5eee";
        assert!(Value::read(whole).is_some());
        for length in 0..whole.len() {
            assert_eq!(Value::read(&whole[..length]), None, "{length}");
        }
        for odd in [
            &b"i5"[..],
            b"9:short",
            b"i5ejunk",
            b"x",
            b"99999999999999999999:a",
        ] {
            assert_eq!(Value::read(odd), None);
        }
        assert_eq!(Value::read(&b"l".repeat(10_000)), None);
    }
}
