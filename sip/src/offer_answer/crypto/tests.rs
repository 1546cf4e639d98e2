//! Attributes of real peers, and what is not taken of them.

use proptest::prelude::*;

use super::*;
use crate::sdp::{MediaDescription, MediaKind};

/// RFC 4568 §5.1.
const KEY: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";

fn text(octets: usize) -> String {
    let mut text = String::new();
    base64::write(&vec![0xa5; octets], &mut text);
    text
}

fn line_of(crypto: &[&str]) -> MediaDescription {
    let mut media = MediaDescription::new(MediaKind::Audio, 4000, "RTP/SAVP".into());
    media.crypto = crypto.iter().map(|&text| text.into()).collect();
    media
}

fn keys(octet: u8) -> LineKeys {
    let mut random = [octet; LineKeys::SIZE];
    for (place, octet) in random.iter_mut().enumerate() {
        *octet ^= u8::try_from(place).unwrap();
    }
    LineKeys::new(&random)
}

#[test]
fn each_suite_is_read_with_exactly_its_own_length() {
    for (name, length) in [
        ("AES_CM_128_HMAC_SHA1_80", 30),
        ("AES_CM_128_HMAC_SHA1_32", 30),
        ("AEAD_AES_128_GCM", 28),
        ("AEAD_AES_256_GCM", 44),
    ] {
        for octets in [0, 16, 27, 28, 29, 30, 31, 32, 38, 44, 45, 46] {
            let read = read_one(&format!("7 {name} inline:{}", text(octets)));
            assert_eq!(read.is_some(), octets == length, "{name} {octets}");
            let Some(line) = read else { continue };
            assert_eq!((line.tag, line.suite().as_str()), (7, name));
            assert_eq!(line.key.key_and_salt(), vec![0xa5; length]);
        }
    }
}

/// RFC 4568 §6.1, §6.3.
#[test]
fn parameters_that_change_nothing_are_read_over_and_others_make_the_line_unusable() {
    let usable = |tail: &str| {
        let line = format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}{tail}");
        read_one(&line).is_some()
    };
    for tail in [
        "",
        "|2^31",
        "|2^20",
        "|2^48",
        "|1000000",
        " WSH=64",
        "|2^31 -x=1 wsh=128",
        " ",
    ] {
        assert!(usable(tail), "{tail:?}");
    }
    for tail in [
        "|2^31|1:4",
        "|1:4",
        "|2^49",
        "|2^",
        "|0",
        "|",
        "|2^31|",
        ";inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz",
        " UNENCRYPTED_SRTP",
        " UNENCRYPTED_SRTCP",
        " UNAUTHENTICATED_SRTP",
        " KDR=1",
        " FEC_ORDER=FEC_SRTP",
        " FEC_KEY=inline:x",
        " NEW=1",
    ] {
        assert!(!usable(tail), "{tail:?}");
    }
    for line in [
        "",
        "1",
        "1 AES_CM_128_HMAC_SHA1_80",
        "1 AES_CM_128_HMAC_SHA1_80 inline",
        "1 AES_CM_128_HMAC_SHA1_80 inline:",
        "1 AES_CM_128_HMAC_SHA1_80 uri:http://x",
        "1 AES_CM_128_HMAC_SHA1_80 inline:ßßßß",
        &format!("+1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"),
        &format!("x AES_CM_128_HMAC_SHA1_80 inline:{KEY}"),
        &format!("1234567890 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"),
        &format!("1 AES_256_CM_HMAC_SHA1_80 inline:{}", text(46)),
        &format!("1 F8_128_HMAC_SHA1_80 inline:{KEY}"),
    ] {
        assert_eq!(read_one(line), None, "{line}");
    }
}

#[test]
fn unknown_suites_are_passed_over_and_a_tag_counts_once() {
    let other = text(30);
    let media = line_of(&[
        &format!("1 AES_256_CM_HMAC_SHA1_80 inline:{}", text(46)),
        &format!("2 AES_CM_128_HMAC_SHA1_32 inline:{KEY}|2^31"),
        &format!("2 AES_CM_128_HMAC_SHA1_80 inline:{other}"),
        &format!("9 aes_cm_128_hmac_sha1_80 INLINE:{other}"),
    ]);
    let read: Vec<_> = read(&media)
        .iter()
        .map(|line| (line.tag, line.suite()))
        .collect();
    assert_eq!(
        read,
        [
            (2, CryptoSuite::AesCm128HmacSha1_32),
            (9, CryptoSuite::AesCm128HmacSha1_80)
        ]
    );
}

#[test]
fn an_offer_names_a_key_of_its_own_for_each_suite_the_strongest_first() {
    let offered = keys(1).offered(None);
    let suites: Vec<_> = offered.iter().map(|line| line.suite().as_str()).collect();
    assert_eq!(
        suites,
        [
            "AEAD_AES_256_GCM",
            "AEAD_AES_128_GCM",
            "AES_CM_128_HMAC_SHA1_80",
            "AES_CM_128_HMAC_SHA1_32"
        ]
    );
    for (place, line) in offered.iter().enumerate() {
        assert_eq!(read_one(&line.write()).as_ref(), Some(line), "read again");
        let others = offered.iter().skip(place + 1);
        for other in others {
            assert_ne!(line.tag, other.tag);
            let (one, two) = (line.key.key_and_salt(), other.key.key_and_salt());
            assert_ne!(one[..16], two[..16], "no key twice");
        }
    }
    let in_use = keys(1).offered(Some(CryptoSuite::AesCm128HmacSha1_80));
    let tags: Vec<_> = in_use.iter().map(|line| line.tag).collect();
    assert_eq!(tags, [3, 1, 2, 4], "who takes the first stays with it");
}

/// Neither its `Debug` nor that of what holds it.
#[test]
fn a_key_is_never_shown() {
    let line = read_one(&format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}")).unwrap();
    let agreed = AgreedKeys {
        send: line.key.clone(),
        receive: line.key.clone(),
    };
    let shown = format!("{line:?} {agreed:?} {:?}", keys(1));
    assert!(shown.contains("AES_CM_128_HMAC_SHA1_80"), "{shown}");
    let octets = format!("{:?}", &line.key.key_and_salt()[..6]);
    let octets = octets.trim_matches(['[', ']']);
    assert!(!shown.contains(KEY) && !shown.contains(octets), "{shown}");
}

proptest! {
    #[test]
    fn any_text_is_read_or_passed_over(text in "[ -~]{0,120}") {
        let _read = read_one(&text);
    }

    #[test]
    fn what_we_write_is_read_again(random in any::<[u8; 32]>(), tag in 0_u32..1_000_000_000, which in 0_usize..4) {
        let suite = CryptoSuite::ALL[which];
        let octets: Vec<u8> = random.iter().cycle().take(suite.size()).copied().collect();
        let line = CryptoLine { tag, key: CryptoKey::new(suite, &octets).unwrap() };
        prop_assert_eq!(read_one(&line.write()), Some(line));
    }
}

#[test]
fn keys_are_cleared_when_nobody_has_them_any_more() {
    fn is_cleared<T: ZeroizeOnDrop>() -> bool {
        std::mem::needs_drop::<T>()
    }
    assert!(is_cleared::<CryptoKey>());
}
