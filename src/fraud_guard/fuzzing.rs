//! Body of a fuzz target: any octets as a dialled number. A plain function, run by the tests over random and
//! almost right text; nothing of the product calls it.

use super::DialPlan;
use super::number::{canonical, looks_like_number};
use super::numbering::numbering;

/// Any bytes: the canonical form is a fixed point without anything that could be read twice, and what it
/// means does not depend on how it was spelled.
///
/// # Panics
///
/// Where a promise does not hold.
pub fn number_bytes(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(number) = canonical(&text) else {
        return;
    };
    assert!(!number.is_empty(), "nothing is no number");
    let is_clean =
        |character: char| !character.is_control() && !"@%;:/?\\<>\",".contains(character);
    assert!(number.chars().all(is_clean), "{number:?} can be read twice");
    assert!(
        canonical(&number).as_ref() == Ok(&number),
        "{number:?} is no fixed point"
    );
    if looks_like_number(&number) {
        let is_dialled = |character: char| character.is_ascii_digit() || "+*#".contains(character);
        assert!(
            number.chars().any(is_dialled),
            "{number:?} has nothing to dial"
        );
    }
    let bare = DialPlan {
        bare: true,
        reaches_pstn: true,
        ..DialPlan::default()
    };
    for plan in [DialPlan::default(), bare] {
        let classified = plan.classify(&number, numbering());
        for reading in classified.readings.iter() {
            let is_number = reading.digits().bytes().all(|octet| octet.is_ascii_digit());
            assert!(
                reading.as_str().starts_with('+') && is_number,
                "{reading:?}"
            );
        }
        let escaped: String = number
            .bytes()
            .map(|octet| format!("%{octet:02x}"))
            .collect();
        if let Ok(again) = canonical(&escaped) {
            assert!(
                again == number,
                "{number:?} spelled with escapes is {again:?}"
            );
            assert!(
                plan.classify(&again, numbering()) == classified,
                "one number, one class"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_hold_every_promise(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            number_bytes(&bytes);
        }

        #[test]
        fn number_like_text_holds_every_promise(
            text in "(tel:|sip:|%74el:)?(%2[bB]|\\+|00|9)?[-.() 0-9*#]{0,20}(%[0-9a-f]{2}){0,2}[0-9٠１]{0,6}(;(phone-context|ext|isub)=[+0-9a-z.]{0,6})?",
        ) {
            number_bytes(text.as_bytes());
        }
    }
}
