//! The small rules that links, settings, sources and trunks share: what an alias, a domain, a
//! display text is. Pure; each rule has its sentence beside it.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The sentence of [`is_alias`].
pub const ALIAS: &str = "1 to 64 of the characters A-Z a-z 0-9 _ . + -";
/// The sentence of [`is_display_text`].
pub const DISPLAY_TEXT: &str = "1 to 128 characters without control characters";
/// The sentence of [`is_domain`].
pub const DOMAIN: &str = "a host name or IP address, without port (IPv6 in brackets)";
/// The sentence of [`is_user`].
pub const USER: &str =
    "1 to 128 characters without spaces, control characters and < > \" @ : ; ? / \\ % ,";

/// Octets of an alias, before its number.
pub const ALIAS_OCTETS_MAX: usize = 64;
/// Characters of a name that people read.
pub const DISPLAY_CHARS_MAX: usize = 128;
/// Octets of the user part of a destination.
pub const USER_OCTETS_MAX: usize = 128;
/// Octets of a host name, RFC 1035 §2.3.4.
pub const DOMAIN_OCTETS_MAX: usize = 253;

/// A caller alias: `[A-Za-z0-9_.+-]+`.
#[must_use]
pub fn is_alias(text: &str) -> bool {
    (1..=ALIAS_OCTETS_MAX).contains(&text.len()) && text.chars().all(is_route_character)
}

/// One character of an alias or of an ad hoc route string.
#[must_use]
pub const fn is_route_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '.' | '+' | '-')
}

/// An alias that a called party would take for a number to call back: digits and their separators
/// only. A unique number after it would make it another subscriber's.
#[must_use]
pub fn looks_like_telephone_number(alias: &str) -> bool {
    alias.bytes().any(|octet| octet.is_ascii_digit())
        && alias
            .bytes()
            .all(|octet| octet.is_ascii_digit() || matches!(octet, b'+' | b'.' | b'-'))
}

/// A name that people read.
#[must_use]
pub fn is_display_text(text: &str) -> bool {
    (1..=DISPLAY_CHARS_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

/// A host name, an IPv4 address, or an IPv6 address in brackets.
#[must_use]
pub fn is_domain(text: &str) -> bool {
    if let Some(inner) = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        return inner.parse::<Ipv6Addr>().is_ok();
    }
    if text
        .bytes()
        .all(|octet| octet.is_ascii_digit() || octet == b'.')
    {
        return text.parse::<Ipv4Addr>().is_ok();
    }
    text.len() <= DOMAIN_OCTETS_MAX
        && text
            .strip_suffix('.')
            .unwrap_or(text)
            .split('.')
            .all(is_label)
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_'))
}

/// The user part of a destination. Separators, parameters, escapes and a second `@` would let two
/// readers of the same text disagree on whom it names.
#[must_use]
pub fn is_user(text: &str) -> bool {
    (1..=USER_OCTETS_MAX).contains(&text.len())
        && !text.chars().any(|character| {
            character.is_control()
                || character.is_whitespace()
                || matches!(
                    character,
                    '<' | '>' | '"' | '@' | ':' | ';' | '?' | '/' | '\\' | '%' | ','
                )
        })
}

/// The beginning of a number or user part.
#[must_use]
pub fn is_number_prefix(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text
            .chars()
            .all(|character| is_route_character(character) || matches!(character, '*' | '#'))
}

/// Whether `text` fits `pattern`, in which `*` stands for any characters, none included. Linear in
/// the product of both lengths at worst, and both are bounded.
#[must_use]
pub fn matches_pattern(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(first) = parts.next() else {
        return false;
    };
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else {
            return false;
        };
        rest = after;
    }
    rest.ends_with(last)
}

/// An origin as browsers write it (RFC 6454 §6.2): scheme, host in lower case, port where it is not the
/// usual one. Nothing that would end a policy in a header.
#[must_use]
pub fn is_origin(text: &str) -> bool {
    let rest = text.strip_prefix("https://");
    let Some(authority) = rest.or_else(|| text.strip_prefix("http://")) else {
        return false;
    };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !authority.ends_with(']') => (host, Some(port)),
        Some(_) | None => (authority, None),
    };
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let is_name =
        |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || b".-".contains(&octet);
    let is_host = match bare {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.len() <= 253 && host.bytes().all(is_name),
    };
    is_host && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_what_browsers_call_so() {
        for good in [
            "https://a.example",
            "http://localhost:8080",
            "https://[::1]:1",
            "https://[::1]",
        ] {
            assert!(is_origin(good), "{good}");
        }
        for bad in [
            "",
            "a.example",
            "https://",
            "https://a.example/",
            "https://A.example",
            "https://*",
            "https://a;b",
            "https://a b",
            "https://a:0",
            "https://a:x",
            "https://[a]",
            "null",
            "https://u@a",
            "ftp://a",
        ] {
            assert!(!is_origin(bad), "{bad}");
        }
    }

    #[test]
    fn aliases_are_what_the_pattern_says() {
        for good in ["a", "+49.30-1_2", "guest"] {
            assert!(is_alias(good), "{good}");
        }
        for bad in ["", "a b", "ä", "a@b", "a*"] {
            assert!(!is_alias(bad), "{bad}");
        }
        assert!(!is_alias(&"a".repeat(65)));
    }

    #[test]
    fn numbers_are_told_from_names() {
        for number in ["610", "+49301234", "030-1234", "1"] {
            assert!(looks_like_telephone_number(number), "{number}");
        }
        for name in ["guest", "a1", "agent.7", "+", "_1"] {
            assert!(!looks_like_telephone_number(name), "{name}");
        }
    }

    #[test]
    fn domains_are_names_or_addresses_without_port() {
        for good in [
            "example.com",
            "pbx",
            "10.0.0.1",
            "[2001:db8::1]",
            "a-b.example.",
        ] {
            assert!(is_domain(good), "{good}");
        }
        for bad in [
            "",
            ".",
            "a..b",
            "-a.b",
            "10.0.0",
            "10.0.0.300",
            "[::",
            "a b",
            "a:5060",
            "x@y",
        ] {
            assert!(!is_domain(bad), "{bad}");
        }
    }

    #[test]
    fn users_hold_nothing_that_two_readers_read_differently() {
        for good in ["610", "+49301234", "alice.smith", "*98#", "jörg"] {
            assert!(is_user(good), "{good}");
        }
        for bad in [
            "",
            "a b",
            "a@b",
            "a;phone-context=x",
            "a%40b",
            "a:b",
            "a,b",
            "a\u{7f}",
        ] {
            assert!(!is_user(bad), "{bad}");
        }
    }

    /// The definition, by trying every length for each `*`.
    fn matches_by_definition(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => {
                (0..=text.len()).any(|taken| matches_by_definition(rest, &text[taken..]))
            }
            Some((wanted, rest)) => text
                .split_first()
                .is_some_and(|(found, text)| found == wanted && matches_by_definition(rest, text)),
        }
    }

    proptest::proptest! {
        #[test]
        fn patterns_match_what_their_definition_says(pattern in "[ab*]{0,6}", text in "[ab]{0,8}") {
            let characters = |text: &str| text.chars().collect::<Vec<_>>();
            proptest::prop_assert_eq!(
                matches_pattern(&pattern, &text),
                matches_by_definition(&characters(&pattern), &characters(&text))
            );
        }
    }

    #[test]
    fn patterns_match_from_end_to_end() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("*", "anything", true),
            ("2*", "200", true),
            ("2*", "120", false),
            ("*@a.b", "x@a.b", true),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("610", "610", true),
            ("610", "6101", false),
            ("", "", true),
            ("**", "x", true),
        ] {
            assert_eq!(matches_pattern(pattern, text), fits, "{pattern} {text}");
        }
    }
}
