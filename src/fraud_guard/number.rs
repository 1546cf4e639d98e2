//! One form for every spelling of a number.
//!
//! A prefix rule is worth nothing if `+1-900`, `%2B1900` and `tel:+1900` pass it. What the guard
//! judges is the canonical form, and the canonical form is what is dialled. What has no safe
//! canonical form is refused, never guessed.

use std::borrow::Cow;

/// Octets of the longest user part that is looked at.
pub const NUMBER_OCTETS_MAX: usize = 255;

/// Why a user part has no canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// Nothing is left to dial.
    Empty,
    /// Longer than [`NUMBER_OCTETS_MAX`].
    TooLong,
    /// A broken %-escape, or an escape of an escape.
    Escape,
    /// A control character, an embedded null, or octets that are not UTF-8.
    Control,
    /// A second `@`, or a character that would end the user part.
    Delimiter,
    /// A parameter other than a `phone-context` that is a global prefix.
    Parameter,
    /// A digit outside ASCII.
    ForeignDigit,
}

/// The canonical form of `user`: escapes and scheme gone, separators gone where it is a number,
/// a global `phone-context` put in front.
///
/// # Errors
/// [`Malformed`] where no spelling of it can be trusted.
pub fn canonical(user: &str) -> Result<String, Malformed> {
    if user.len() > NUMBER_OCTETS_MAX {
        return Err(Malformed::TooLong);
    }
    let decoded = unescape(user)?;
    if decoded.chars().any(char::is_control) {
        return Err(Malformed::Control);
    }
    // Space behind the scheme is no part of it either.
    let bare = without_scheme(decoded.trim()).trim();
    if bare.contains(['@', '/', '?', '\\', '<', '>', '"', ',', ':']) {
        return Err(Malformed::Delimiter);
    }
    if bare
        .chars()
        .any(|character| character.is_numeric() && !character.is_ascii_digit())
    {
        return Err(Malformed::ForeignDigit);
    }
    let (subscriber, context) = split_context(bare)?;
    let number = if looks_like_number(subscriber) {
        digits(subscriber)
    } else {
        subscriber.into()
    };
    match context {
        _ if number.is_empty() => Err(Malformed::Empty),
        None => Ok(number),
        // A global number has no context (RFC 3966 §5.1.4): two claims about one number.
        Some(_) if international(&number).is_some() || !looks_like_number(subscriber) => {
            Err(Malformed::Parameter)
        }
        Some(context) => Ok(digits(context) + &number),
    }
}

/// True for what a telephone network would dial: digits, `*`, `#`, separators, an optional `+`.
#[must_use]
pub fn looks_like_number(user: &str) -> bool {
    let rest = user.strip_prefix('+').unwrap_or(user);
    rest.bytes().any(|octet| octet.is_ascii_digit())
        && rest
            .bytes()
            .all(|octet| octet.is_ascii_digit() || is_separator(octet) || b"*#+".contains(&octet))
        && !rest.contains('+')
}

/// The digits behind `+` or `00`, where `number` is written as an international one.
#[must_use]
pub fn international(number: &str) -> Option<&str> {
    number
        .strip_prefix('+')
        .or_else(|| number.strip_prefix("00"))
}

/// %-escapes decoded, once. What is still escaped then was meant to hide.
fn unescape(user: &str) -> Result<String, Malformed> {
    let mut octets = user.bytes();
    let mut decoded = Vec::with_capacity(user.len());
    while let Some(octet) = octets.next() {
        if octet == b'%' {
            let high = octets
                .next()
                .and_then(hexadecimal)
                .ok_or(Malformed::Escape)?;
            let low = octets
                .next()
                .and_then(hexadecimal)
                .ok_or(Malformed::Escape)?;
            decoded.push(high * 16 + low);
        } else {
            decoded.push(octet);
        }
    }
    if decoded.contains(&b'%') {
        return Err(Malformed::Escape);
    }
    String::from_utf8(decoded).map_err(|_not_utf8| Malformed::Control)
}

fn hexadecimal(octet: u8) -> Option<u8> {
    char::from(octet)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

fn without_scheme(user: &str) -> &str {
    for scheme in ["tel:", "sips:", "sip:"] {
        if let Some((head, rest)) = user.split_at_checked(scheme.len())
            && head.eq_ignore_ascii_case(scheme)
        {
            return rest;
        }
    }
    user
}

/// The part before the parameters, and a global `phone-context` (RFC 3966 §5.1.5).
fn split_context(user: &str) -> Result<(&str, Option<&str>), Malformed> {
    let Some((subscriber, parameters)) = user.split_once(';') else {
        return Ok((user, None));
    };
    let (name, value) = parameters.split_once('=').ok_or(Malformed::Parameter)?;
    let global = value.starts_with('+') && looks_like_number(value);
    if !name.eq_ignore_ascii_case("phone-context") || !global {
        return Err(Malformed::Parameter);
    }
    Ok((subscriber, Some(value)))
}

/// The beginning of a number as [`canonical`] writes numbers: without separators. What is no number
/// stays as it is.
pub(super) fn canonical_prefix(prefix: &str) -> Cow<'_, str> {
    if looks_like_number(prefix) && prefix.bytes().any(is_separator) {
        Cow::Owned(digits(prefix))
    } else {
        Cow::Borrowed(prefix)
    }
}

fn digits(number: &str) -> String {
    number
        .chars()
        .filter(|character| !character.is_ascii() || !is_separator_char(*character))
        .collect()
}

fn is_separator_char(character: char) -> bool {
    u8::try_from(character).is_ok_and(is_separator)
}

/// RFC 3966 §3 visual separators, and the space.
const fn is_separator(octet: u8) -> bool {
    matches!(octet, b'-' | b'.' | b'(' | b')' | b' ')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_spelling_of_a_number_is_one_number() {
        for spelling in [
            "+19005551234",
            "+1-900-555-1234",
            "+1 (900) 555.1234",
            "%2B19005551234",
            "%2b1%39005551234",
            "tel:+1-900-555-1234",
            "TEL:+19005551234",
            "sip:+19005551234",
            "9005551234;phone-context=+1",
            "900-555-1234;Phone-Context=+1",
            " +19005551234 ",
        ] {
            assert_eq!(
                canonical(spelling).as_deref(),
                Ok("+19005551234"),
                "{spelling}"
            );
        }
    }

    #[test]
    fn what_hides_a_number_is_refused() {
        for (trick, why) in [
            ("", Malformed::Empty),
            ("%20", Malformed::Empty),
            ("+1900%00555", Malformed::Control),
            ("1900\r\nRoute: x", Malformed::Control),
            ("%252B1900", Malformed::Escape),
            ("%2", Malformed::Escape),
            ("%zz", Malformed::Escape),
            ("1900@evil", Malformed::Delimiter),
            ("1900%40evil", Malformed::Delimiter),
            ("alice;phone-context=+1900", Malformed::Parameter),
            ("900;phone-context=example.com", Malformed::Parameter),
            ("+44;phone-context=+1", Malformed::Parameter),
            ("0044;phone-context=+1", Malformed::Parameter),
            ("900;ext=5", Malformed::Parameter),
            ("900;phone-context=+1;x", Malformed::Parameter),
            ("٠٠٤٤", Malformed::ForeignDigit),
            ("１９００", Malformed::ForeignDigit),
            ("%ff", Malformed::Control),
        ] {
            assert_eq!(canonical(trick), Err(why), "{trick}");
        }
    }

    #[test]
    fn names_keep_their_dots_and_dashes() {
        for name in ["alice", "alice.smith", "room-12a", "张伟", "a+b"] {
            assert_eq!(canonical(name).as_deref(), Ok(name));
        }
        for (spelled, name) in [("tel: %23", "#"), ("sip:%20alice ", "alice")] {
            assert_eq!(canonical(spelled).as_deref(), Ok(name), "{spelled}");
        }
        assert_eq!(
            canonical(&"1".repeat(NUMBER_OCTETS_MAX + 1)),
            Err(Malformed::TooLong)
        );
    }

    proptest! {
        /// The canonical form is a fixed point, and carries nothing that could be read twice.
        #[test]
        fn canonical_is_stable_and_clean(user in "\\PC{0,40}") {
            if let Ok(number) = canonical(&user) {
                prop_assert_eq!(canonical(&number), Ok(number.clone()));
                prop_assert!(!number.contains(['@', '%', ';', ':']));
            }
        }

        /// Separators and escapes between the digits never change the number.
        #[test]
        fn separators_and_escapes_change_nothing(
            digits in "[0-9]{3,15}",
            noise in proptest::collection::vec(0_u8..6, 15),
        ) {
            let mut spelled = String::from("+");
            for (digit, noise) in digits.chars().zip(noise) {
                match noise {
                    0 => spelled.push('-'),
                    1 => spelled.push('.'),
                    2 => spelled.push_str("%28"),
                    3 => {
                        spelled.push_str(&format!("%{:02x}", u32::from(digit)));
                        continue;
                    }
                    _ => {}
                }
                spelled.push(digit);
            }
            prop_assert_eq!(canonical(&spelled), Ok(format!("+{digits}")));
        }
    }
}
