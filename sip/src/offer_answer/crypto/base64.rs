//! Base64 of keys (RFC 4648 §4), which are at most [`KEY_AND_SALT_MAX`] octets.

use arrayvec::ArrayVec;

use super::KEY_AND_SALT_MAX;

/// Appends the text of `octets`, padded.
pub(super) fn write(octets: &[u8], text: &mut String) {
    for group in octets.chunks(3) {
        let mut bits = 0_u32;
        for place in 0..3 {
            bits = bits << 8 | u32::from(group.get(place).copied().unwrap_or(0));
        }
        for place in 0..4 {
            let digit = bits >> (18 - 6 * place) & 0x3f;
            let digit = ALPHABET.get(usize::try_from(digit).unwrap_or(0));
            let is_padding = place > group.len();
            text.push(if is_padding {
                '='
            } else {
                digit.map_or('=', |&digit| char::from(digit))
            });
        }
    }
}

/// The octets of a text, padded or not; `None`: no base64, bits that are left over, or too many
/// octets.
pub(super) fn read(text: &str) -> Option<ArrayVec<u8, KEY_AND_SALT_MAX>> {
    let digits = text.trim_end_matches('=');
    if text.len() - digits.len() > 2 {
        return None;
    }
    let mut octets = ArrayVec::new();
    let (mut bits, mut held) = (0_u32, 0_u32);
    for digit in digits.bytes() {
        let value = ALPHABET.iter().position(|&known| known == digit)?;
        bits = bits << 6 | u32::try_from(value).ok()?;
        held += 6;
        if held >= 8 {
            held -= 8;
            octets.try_push(u8::try_from(bits >> held).ok()?).ok()?;
            bits &= (1 << held) - 1;
        }
    }
    (held < 6 && bits == 0).then_some(octets)
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 4648 §10.
    #[test]
    fn the_vectors_of_the_rfc_are_read_and_written() {
        for (octets, expected) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            let mut text = String::new();
            write(octets.as_bytes(), &mut text);
            assert_eq!(text, expected);
            assert_eq!(read(expected).unwrap().as_slice(), octets.as_bytes());
            let bare = expected.trim_end_matches('=');
            assert_eq!(
                read(bare).unwrap().as_slice(),
                octets.as_bytes(),
                "unpadded"
            );
        }
    }

    #[test]
    fn what_is_no_base64_is_no_key() {
        for text in ["Z", "Zm9vY", "Zh==", "Zg===", "Zm 9", "Zm9-", "=", "Zg=a"] {
            assert_eq!(
                read(text).filter(|octets| !octets.is_empty()),
                None,
                "{text}"
            );
        }
        assert_eq!(
            read(&"A".repeat(60)),
            None,
            "45 octets are more than any key"
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(octets in prop::collection::vec(any::<u8>(), 0..=44)) {
            let mut text = String::new();
            write(&octets, &mut text);
            prop_assert_eq!(read(&text).unwrap().to_vec(), octets);
        }
    }
}
