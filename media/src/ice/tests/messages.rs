//! RFC 5769, and any octets.

use proptest::prelude::*;

use super::{Check, OURS, PASSWORD, source};
use crate::hexadecimal::octets;
use crate::ice::stun::{Attribute, Class, ErrorCode, MessageView, Response, write_request};
use crate::ice::{Refusal, destination_fragment};

const RFC_5769_PASSWORD: &[u8] = b"VOkJxbRl1RmTxUk/WvJxBt";
const RFC_5769_TRANSACTION: &str = "b7e7a701bc34d686fa87dfae";

/// RFC 5769 §2.1.
const SAMPLE_REQUEST: &str = "000100582112a442b7e7a701bc34d686fa87dfae80220010\
    5354554e207465737420636c69656e74002400046e0001ff80290008932ff9b151263b36\
    000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2\
    80280004e57a3bcf";
/// RFC 5769 §2.2.
const SAMPLE_IPV4_RESPONSE: &str = "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b\
    7465737420766563746f7220002000080001a147e112a643\
    000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96";
/// RFC 5769 §2.3.
const SAMPLE_IPV6_RESPONSE: &str = "010100482112a442b7e7a701bc34d686fa87dfae8022000b\
    7465737420766563746f7220002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9\
    00080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c";

#[test]
fn the_sample_request_of_rfc_5769_is_read_and_authenticated() {
    let octets = octets(SAMPLE_REQUEST);
    let view = MessageView::parse(&octets).unwrap();
    assert_eq!(view.expect_binding_request(), Ok(()));
    assert_eq!(view.user_fragments(), Ok((&b"evtj"[..], &b"h6vY"[..])));
    assert_eq!(view.priority(), Ok(Some(0x6e00_01ff)));
    assert_eq!(view.use_candidate(), Ok(false));
    let tie_breaker = view.fixed::<8>(Attribute::IceControlled);
    assert_eq!(
        tie_breaker,
        Ok(Some(0x932f_f9b1_5126_3b36_u64.to_be_bytes()))
    );
    assert_eq!(
        view.first(Attribute::Software),
        Some(&b"STUN test client"[..])
    );
    assert_eq!(view.expect_integrity(RFC_5769_PASSWORD), Ok(()));
    assert_eq!(view.expect_integrity(b"another"), Err(Refusal::Integrity));
    assert!(view.unknown().is_empty());
    assert_eq!(destination_fragment(&octets), Ok(&b"evtj"[..]));
}

#[test]
fn the_sample_responses_of_rfc_5769_are_read_and_authenticated() {
    for (sample, address) in [
        (SAMPLE_IPV4_RESPONSE, "192.0.2.1:32853"),
        (
            SAMPLE_IPV6_RESPONSE,
            "[2001:db8:1234:5678:11:2233:4455:6677]:32853",
        ),
    ] {
        let sample = octets(sample);
        let view = MessageView::parse(&sample).unwrap();
        assert_eq!(view.class(), Class::Success);
        assert_eq!(view.transaction().as_slice(), octets(RFC_5769_TRANSACTION));
        assert_eq!(view.xor_mapped_address(), Some(address.parse().unwrap()));
        assert_eq!(view.expect_integrity(RFC_5769_PASSWORD), Ok(()));
        assert_eq!(view.expect_binding_request(), Err(Refusal::Response));
    }
}

#[test]
fn a_request_with_any_octet_changed_up_to_integrity_is_no_longer_authentic() {
    let sample = octets(SAMPLE_REQUEST);
    let fingerprint_at = sample.len() - 8;
    for at in 0..fingerprint_at {
        let mut changed = sample.clone();
        changed[at] ^= 0x40;
        let judged =
            MessageView::parse(&changed).and_then(|view| view.expect_integrity(RFC_5769_PASSWORD));
        assert!(judged.is_err(), "octet {at}");
    }
}

#[test]
fn a_message_cut_anywhere_or_lengthened_is_refused() {
    let sample = octets(SAMPLE_REQUEST);
    for size in 0..sample.len() {
        assert!(MessageView::parse(&sample[..size]).is_err(), "{size}");
    }
    let mut longer = sample;
    longer.extend([0; 4]);
    assert_eq!(MessageView::parse(&longer).err(), Some(Refusal::Length));
}

#[test]
fn what_follows_integrity_is_read_by_nobody() {
    let mut octets = Check::default().write();
    octets.truncate(octets.len() - 8);
    octets.extend([0, 0x25, 0, 0]); // USE-CANDIDATE, which is not authenticated
    let size = u16::try_from(octets.len() - 20).unwrap();
    octets[2..4].copy_from_slice(&size.to_be_bytes());
    let view = MessageView::parse(&octets).unwrap();
    assert_eq!(view.expect_integrity(PASSWORD), Ok(()));
    assert_eq!(view.use_candidate(), Ok(false));
    assert_eq!(view.first(Attribute::UseCandidate), None);
}

#[test]
fn more_attributes_than_are_read_are_refused() {
    let many = vec![(0xc057_u16, &b""[..]); 40];
    let octets = write_request::<1_400>(b"transaction!", &many, PASSWORD).unwrap();
    let refused = MessageView::parse(&octets).err();
    assert_eq!(refused, Some(Refusal::TooManyAttributes));
}

/// The underflow of CVE-2021-37706: a value shorter than what it must begin with.
#[test]
fn an_error_code_shorter_than_its_head_is_no_error_code() {
    for value in [&[][..], &[0], &[0, 0, 4], &[0, 0, 9, 1], &[0, 0, 4, 200]] {
        let attributes = [(Attribute::ErrorCode.number(), value)];
        let octets = write_request::<200>(b"transaction!", &attributes, PASSWORD).unwrap();
        let view = MessageView::parse(&octets).unwrap();
        assert_eq!(view.error_code(), None, "{value:?}");
    }
}

#[test]
fn a_user_name_of_less_than_two_fragments_names_nobody() {
    for name in [&b""[..], b":", b"ours", b"ours:", b":peer"] {
        let octets = Check {
            name: name.to_vec(),
            ..Check::default()
        }
        .write();
        assert_eq!(destination_fragment(&octets), Err(Refusal::Username));
    }
    assert_eq!(destination_fragment(&Check::default().write()), Ok(OURS));
}

/// Longer than any STUN names (RFC 8489 §14.3: 508 octets), up to what a datagram holds; and one whose length
/// says more than there is.
#[test]
fn a_user_name_of_any_length_names_us_or_nobody() {
    for size in [100, 512, 513, 1_000, 1_200] {
        for name in [vec![b'u'; size], [OURS, b":", &vec![b'p'; size]].concat()] {
            let is_ours = name.starts_with(OURS);
            let octets = Check {
                name,
                ..Check::default()
            }
            .write();
            let read = destination_fragment(&octets);
            assert_ne!(read, Ok(&b""[..]));
            assert!(read.is_err() || (is_ours && read == Ok(OURS)), "{size}");
            let now = super::beginning();
            let mut agent = super::agent(now);
            let checked = agent.check(now, source(1), &octets, false);
            let refused = matches!(checked, crate::ice::Checked::Dropped(_));
            assert!(refused && agent.sources() == 0, "{size}: {checked:?}");
        }
    }
    let mut octets = Check::default().write();
    for size in [200, 508, 512, 0x7fff, 0xffff_u16] {
        // Of USERNAME, the first attribute.
        octets[22..24].copy_from_slice(&size.saturating_add(4).to_be_bytes());
        assert!(MessageView::parse(&octets).is_err(), "{size}");
    }
}

fn nearly_stun() -> impl Strategy<Value = Vec<u8>> {
    let attribute = (
        prop_oneof![0_u16..0x2b, 0x8020_u16..0x802c, any::<u16>()],
        0_u16..40,
        proptest::collection::vec(any::<u8>(), 0..40),
    );
    let attributes = proptest::collection::vec(attribute, 0..8);
    (any::<[u8; 12]>(), 0_u16..0x200, attributes).prop_map(|(transaction, kind, attributes)| {
        let mut body = Vec::new();
        for (number, size, value) in attributes {
            body.extend(number.to_be_bytes());
            body.extend(size.to_be_bytes());
            body.extend(value);
        }
        body.resize(body.len().next_multiple_of(4), 0);
        let mut octets = kind.to_be_bytes().to_vec();
        octets.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
        octets.extend([0x21, 0x12, 0xa4, 0x42]);
        octets.extend(transaction);
        octets.extend(body);
        octets
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_octets_are_a_message_or_have_a_reason(
        octets in prop_oneof![nearly_stun(), proptest::collection::vec(any::<u8>(), 0..200)],
    ) {
        crate::fuzzing::stun(&octets).ok();
    }

    #[test]
    fn our_responses_are_read_by_the_same_view(
        transaction in any::<[u8; 12]>(),
        port in any::<u16>(),
        ipv6 in any::<Option<[u8; 16]>>(),
        unknown in proptest::collection::vec(0_u16..0x8000, 0..12),
    ) {
        let address = ipv6.map_or_else(|| source(port), |ip| (std::net::IpAddr::from(ip).to_canonical(), port).into());
        let written = Response::Success(address).write(&transaction, PASSWORD);
        let view = MessageView::parse(&written).unwrap();
        prop_assert_eq!(view.class(), Class::Success);
        prop_assert_eq!(view.transaction(), &transaction);
        prop_assert_eq!(view.xor_mapped_address(), Some(address));
        prop_assert_eq!(view.expect_integrity(PASSWORD), Ok(()));
        for code in [ErrorCode::UnknownAttribute, ErrorCode::RoleConflict] {
            let written = Response::Error(code, &unknown).write(&transaction, PASSWORD);
            let view = MessageView::parse(&written).unwrap();
            prop_assert_eq!(view.class(), Class::Error);
            prop_assert_eq!(view.error_code(), Some(code.number()));
            prop_assert_eq!(view.expect_integrity(PASSWORD), Ok(()));
        }
    }
}
