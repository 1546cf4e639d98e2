//! What may stand in a log: numbers without their middle, credentials without their answer.

/// Digits that stay readable at each end of a number.
const ENDS: usize = 2;
/// A run of fewer digits is no number of anybody.
const NUMBER_DIGITS_MIN: usize = 7;

/// `text` with the middle of every long run of digits masked (`+4420•••••67`), and the values of
/// `response`, `cnonce`, `nonce` and `password` parameters taken out.
#[must_use]
pub fn redact(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|character: char| character.is_ascii_digit()) {
        let (before, from) = rest.split_at(start);
        let length = from.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, after) = from.split_at(length);
        masked.push_str(before);
        mask(digits, &mut masked);
        rest = after;
    }
    masked.push_str(rest);
    without_secrets(&masked)
}

fn mask(digits: &str, masked: &mut String) {
    let length = digits.len();
    for (index, digit) in digits.chars().enumerate() {
        let middle = index >= ENDS && index + ENDS < length;
        masked.push(if middle && length >= NUMBER_DIGITS_MIN {
            '•'
        } else {
            digit
        });
    }
}

fn without_secrets(text: &str) -> String {
    let mut clean = text.to_owned();
    for name in ["response=", "cnonce=", "nonce=", "password="] {
        let mut from = 0;
        while let Some(found) = clean.get(from..).and_then(|tail| tail.find(name)) {
            let start = from + found + name.len();
            let end = clean
                .get(start..)
                .and_then(|tail| tail.find([',', ' ', ';', '\r', '\n']))
                .map_or(clean.len(), |length| start + length);
            clean.replace_range(start..end, "…");
            from = start;
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lose_their_middle_and_short_ones_stay() {
        assert_eq!(redact("sip:+442071234567@h"), "sip:+44••••••••67@h");
        assert_eq!(redact("610 at 5060"), "610 at 5060");
        assert_eq!(redact("张伟 1234567"), "张伟 12•••67");
    }

    #[test]
    fn digest_answers_are_taken_out() {
        let header = "Digest username=\"bob\", nonce=\"abc\", response=\"d41d8\", uri=\"sip:x\"";
        assert_eq!(
            redact(header),
            "Digest username=\"bob\", nonce=…, response=…, uri=\"sip:x\""
        );
    }
}
