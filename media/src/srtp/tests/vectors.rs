//! RFC 3711 appendix B, RFC 7714 §16 and §17.

use crate::hexadecimal::octets;
use crate::rtp::Ssrc;
use crate::srtp::key_derivation::{Label, counter_mode, derive};
use crate::srtp::transform::{Galois, RtcpTransform, RtpTransform};
use crate::srtp::{MasterKey, Suite};
use aws_lc_rs::cipher::EncryptionContext;

/// RFC 3711 B.2.
#[test]
fn the_key_stream_of_counter_mode_is_that_of_the_rfc() {
    let key = octets("2B7E151628AED2A6ABF7158809CF4F3C");
    let cipher = counter_mode(Suite::AesCm128HmacSha1_80, &key).unwrap();
    let start: [u8; 16] = octets("F0F1F2F3F4F5F6F7F8F9FAFBFCFD0000")
        .try_into()
        .unwrap();
    // The 65,283rd block is the last that the RFC prints.
    let mut stream = vec![0; 0xff02 * 16];
    cipher
        .less_safe_encrypt(&mut stream, EncryptionContext::Iv128((&start).into()))
        .unwrap();
    let begin = "E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB
        41E95B3BB0A2E8DD477901E4FCA894C0";
    let end = "EC8CDF7398607CB0F2D21675EA9EA1E4 362B7C3C6773516318A077D7FC5073AE
        6A2CC3787889374FBEB4C81B17BA6C44";
    assert_eq!(stream[..48], octets(begin));
    assert_eq!(stream[0xfeff * 16..0xff02 * 16], octets(end));
}

/// RFC 3711 B.3.
#[test]
fn session_keys_are_those_of_the_rfc() {
    let master = octets("E1F97A0D3E018BE0D64FA32C06DE4139 0EC675AD498AFEEBB6960B3AABE6");
    let master = MasterKey::new(Suite::AesCm128HmacSha1_80, &master).unwrap();
    for (label, expected) in [
        (Label::RtpEncryption, "C61E7A93744F39EE10734AFE3FF7A087"),
        (Label::RtpSalt, "30CBBC08863D8C85D49DB34A9AE1"),
        (
            Label::RtpAuthentication,
            "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4",
        ),
    ] {
        let expected = octets(expected);
        let derived = derive(&master, label).unwrap();
        assert_eq!(derived[..expected.len()], expected, "{label:?}");
    }
}

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn galois(suite: Suite) -> Galois {
    let salt = octets("517569642070726f2071756f");
    Galois::keyed(suite, &octets(KEY)[..suite.key_size()], &salt).unwrap()
}

fn rtcp_galois(suite: Suite) -> RtcpTransform {
    let salt = octets("517569642070726f2071756f");
    RtcpTransform::keyed(suite, &octets(KEY)[..suite.key_size()], &salt).unwrap()
}

/// RFC 7714 §16.1.1, §16.1.2, §16.2.1 and §16.2.2.
#[test]
fn rtp_in_galois_mode_is_that_of_the_rfc() {
    let plain = octets(
        "8040f17b8041f8d35501a0b2 47616c6c696120657374206f6d6e6973
        2064697669736120696e207061727465732074726573",
    );
    for (suite, expected) in [
        (
            Suite::AeadAes128Gcm,
            "8040f17b8041f8d35501a0b2 f24de3a3fb34de6cacba861c9d7e4bca
            be633bd50d294e6f42a5f47a51c7d19b36de3adf8833 899d7f27beb16a9152cf765ee4390cce",
        ),
        (
            Suite::AeadAes256Gcm,
            "8040f17b8041f8d35501a0b2 32b1de78a822fe12ef9f78fa332e33aa
            b18012389a58e2f3b50b2a0276ffae0f1ba63799b87b 7aa3db36dfffd6b0f9bb7878d7a76c13",
        ),
    ] {
        let transform = RtpTransform::Galois(Box::new(galois(suite)));
        let number = (Ssrc(0x5501_a0b2), 0xf17b);
        let mut packet = plain.clone();
        packet.extend([0; 16]);
        transform.seal(&mut packet, 12, number).unwrap();
        assert_eq!(packet, octets(expected), "{suite:?}");
        transform.open(&mut packet, 12, number).unwrap();
        assert_eq!(packet[..plain.len()], plain, "{suite:?}");
    }
}

const RTCP: &str = "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61
    deadbeefdeadbeefdeadbeefdeadbeefdeadbeef";

/// RFC 7714 §17.1 and §17.2.
#[test]
fn rtcp_in_galois_mode_is_that_of_the_rfc() {
    for (suite, expected) in [
        (
            Suite::AeadAes128Gcm,
            "81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32d
            c676a5f1730d6fda4ce09b4686303ded0bb9275bc84aa45896cf4d2fc5abf872
            45d9eade 800005d4",
        ),
        (
            Suite::AeadAes256Gcm,
            "81c8000d4d617273d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50
            a2eaa5c1110555be8415f658c61de0476f1b6fad1d1eb30c4446839f57ff6f6c
            b26ac3be 800005d4",
        ),
    ] {
        let transform = rtcp_galois(suite);
        let number = (Ssrc(0x4d61_7273), 0x5d4);
        let mut packet = octets(RTCP);
        packet.extend([0; 20]);
        transform.seal(&mut packet, number).unwrap();
        assert_eq!(packet, octets(expected), "{suite:?}");
        assert_eq!(transform.index(&packet), Some(0x5d4));
        transform.open(&mut packet, number).unwrap();
        assert_eq!(packet[..52], octets(RTCP), "{suite:?}");
    }
}

/// RFC 7714 §17.3 and §17.4: tagged, not encrypted.
#[test]
fn rtcp_that_is_only_authenticated_is_taken() {
    let transform = rtcp_galois(Suite::AeadAes128Gcm);
    let mut packet = octets(RTCP);
    packet.extend(octets("841dd9683dd78ec92ae58790125f62b3 000005d4"));
    let number = (Ssrc(0x4d61_7273), 0x5d4);
    assert_eq!(transform.index(&packet), Some(0x5d4));
    transform.open(&mut packet, number).unwrap();
    assert_eq!(packet[..52], octets(RTCP));
    packet[20] ^= 1;
    assert!(transform.open(&mut packet, number).is_err());
}
