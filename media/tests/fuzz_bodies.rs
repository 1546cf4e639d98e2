//! The bodies of the fuzz targets over random octets, in every run of the tests.

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Instant;

use media::fuzzing;
use proptest::prelude::*;
use wanton::Wanton;

mod wanton;

#[expect(
    clippy::disallowed_methods,
    reason = "the one moment a play counts from"
)]
fn beginning() -> Instant {
    Instant::now()
}

/// Octets of a long play, others each time.
fn script(random: &mut u64) -> Vec<u8> {
    let next = || {
        *random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        random.to_be_bytes()[1]
    };
    std::iter::repeat_with(next).take(2_000).collect()
}

/// Octets that begin as RTP or RTCP do, so that more than the first check is reached.
fn nearly_media() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![Just(0x80_u8), 0x80_u8..0xc0];
    let second = prop_oneof![200_u8..208, any::<u8>()];
    let words = 0_u8..12;
    let rest = proptest::collection::vec(any::<u8>(), 0..120);
    (first, second, words, rest).prop_map(|(first, second, words, rest)| {
        let mut octets = vec![first, second, 0, words];
        octets.extend(rest);
        octets
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_datagram_is_read_or_refused(octets in nearly_media()) {
        let read = fuzzing::datagram(&octets);
        prop_assert!(read.is_ok() || !read.unwrap_err().as_str().is_empty());
        fuzzing::rtp(&octets).ok();
        fuzzing::rtcp(&octets).ok();
    }
}

/// The plays of browsers are about something: they come to keys, and are answered.
#[test]
fn random_plays_bring_browsers_up() {
    let mut random = 1_u64;
    let (mut left, mut up) = (0, 0);
    for _ in 0..600 {
        let octets = script(&mut random);
        let played = fuzzing::browsers(beginning(), Arc::new(Wanton), &octets);
        left += played.left;
        up += played.up;
    }
    println!("{left} datagrams left, {up} browsers came up");
    assert!(left > 1_000, "{left}");
    assert!(up > 100, "{up}");
}

/// The plays are about something: calls come about in them, packets leave, and a stranger comes to hold a
/// leg that takes media from anywhere.
#[test]
fn random_plays_relay_packets_and_let_strangers_in_where_anybody_may_come() {
    let mut random = 1_u64;
    let (mut left, mut strangers) = (0, 0);
    for _ in 0..600 {
        let octets = script(&mut random);
        let played = fuzzing::engine(beginning(), &octets);
        left += played.left;
        strangers += played.strangers;
    }
    println!("{left} datagrams left, {strangers} strangers came in");
    assert!(left > 1_000, "{left}");
    assert!(strangers > 0, "{strangers}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_key_stream_leaves_twice_whatever_keys_change(
        octets in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        fuzzing::key_changes(&octets);
    }

    #[test]
    fn a_worker_with_browsers_bears_any_sequence_of_commands_datagrams_and_moments(
        octets in proptest::collection::vec(any::<u8>(), 0..1_500),
    ) {
        fuzzing::browsers(beginning(), Arc::new(Wanton), &octets);
    }

    #[test]
    fn a_worker_bears_any_sequence_of_commands_packets_and_moments(
        octets in proptest::collection::vec(any::<u8>(), 0..1_500),
    ) {
        fuzzing::engine(beginning(), &octets);
    }
}
