//! The header view against crate `rtp`: what one reads the other reads, and what the other writes
//! this one reads back.

#![forbid(unsafe_code)]

use bytes::Bytes;
use media::rtp::RtpView;
use proptest::prelude::*;
use rtp::header::Header;
use rtp::packet::Packet;
use webrtc_util::marshal::{Marshal, Unmarshal};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_024))]

    #[test]
    fn what_the_oracle_writes_reads_the_same(
        marker in any::<bool>(),
        payload_type in 0_u8..128,
        sequence_number in any::<u16>(),
        timestamp in any::<u32>(),
        ssrc in any::<u32>(),
        csrc in proptest::collection::vec(any::<u32>(), 0..15),
        payload in proptest::collection::vec(any::<u8>(), 0..300),
        extension in proptest::option::of((1_u8..15, proptest::collection::vec(any::<u8>(), 1..16))),
    ) {
        let mut header = Header { version: 2, marker, payload_type, sequence_number, timestamp, ssrc, csrc: csrc.clone(), ..Header::default() };
        if let Some((id, content)) = &extension {
            header.set_extension(*id, Bytes::from(content.clone())).unwrap();
        }
        let packet = Packet { header, payload: Bytes::from(payload.clone()) };
        let octets = packet.marshal().unwrap();
        let view = RtpView::parse(&octets).unwrap();
        prop_assert_eq!(view.marker(), marker);
        prop_assert_eq!(view.payload_type().value(), payload_type);
        prop_assert_eq!(view.sequence().0, sequence_number);
        prop_assert_eq!(view.timestamp().0, timestamp);
        prop_assert_eq!(view.ssrc().0, ssrc);
        prop_assert_eq!(view.csrcs().map(|ssrc| ssrc.0).collect::<Vec<_>>(), csrc);
        prop_assert_eq!(view.payload(), &payload[..]);
        prop_assert_eq!(view.extension().is_some(), extension.is_some());
        if let Some((_, content)) = extension {
            let (profile, octets) = view.extension().unwrap();
            prop_assert_eq!(profile, 0xbede);
            prop_assert_eq!(&octets[1..=content.len()], &content[..]);
        }
    }

    /// Headers whose lengths are right are accepted by both and read alike. (The oracle accepts
    /// other versions and looks inside extensions; there this view is the stricter and the laxer.)
    #[test]
    fn random_headers_read_the_same(
        first in 0x80_u8..=0x8f,
        mut octets in proptest::collection::vec(any::<u8>(), 1..120),
    ) {
        octets[0] = first;
        let ours = RtpView::parse(&octets);
        let theirs = Packet::unmarshal(&mut Bytes::from(octets.clone()));
        match (ours, theirs) {
            (Ok(ours), Ok(theirs)) => {
                prop_assert_eq!(ours.payload(), &theirs.payload[..]);
                prop_assert_eq!(ours.ssrc().0, theirs.header.ssrc);
                prop_assert_eq!(ours.sequence().0, theirs.header.sequence_number);
            }
            (Err(_), Err(_)) => {}
            (ours, theirs) => prop_assert!(false, "{ours:?} against {theirs:?}"),
        }
    }
}
