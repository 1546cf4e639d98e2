use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::*;
use proptest::prelude::*;

fn address(text: &str) -> PeerAddress {
    text.parse::<SocketAddr>().unwrap().into()
}

fn sdp(text: &str) -> Latch {
    Latch::new(LatchPolicy::Sdp, Some(address(text)))
}

/// Any source, of a peer whose signalling is at none of them.
const ANY: LatchPolicy = LatchPolicy::Any(IpAddr::V4(Ipv4Addr::UNSPECIFIED));

const PENDING: Verdict = Verdict::Refuse(DropReason::LatchPending);

#[test]
fn the_address_of_the_sdp_locks_with_its_first_packet() {
    let mut latch = sdp("192.0.2.1:4000");
    assert_eq!(latch.destination(), Some(address("192.0.2.1:4000")));
    assert_eq!(
        latch.offer(0, address("192.0.2.1:4000"), (Ssrc(1), None), None),
        Verdict::Lock
    );
    assert_eq!(
        latch.offer(1, address("192.0.2.1:4000"), (Ssrc(2), None), Some(0)),
        Verdict::Admit
    );
}

#[test]
fn another_host_never_locks_under_sdp() {
    let mut latch = sdp("192.0.2.1:4000");
    for at in 0..100 {
        let verdict = latch.offer(at, address("198.51.100.9:4000"), (Ssrc(1), None), None);
        assert_eq!(verdict, Verdict::Refuse(DropReason::SourceNotAdmitted));
    }
    assert_eq!(latch.destination(), Some(address("192.0.2.1:4000")));
}

#[test]
fn the_port_moves_once_and_not_while_the_old_one_speaks() {
    let mut latch = sdp("192.0.2.1:4000");
    latch.offer(0, address("192.0.2.1:4000"), (Ssrc(1), None), None);
    // The peer still speaks: a neighbour behind the same address proves nothing.
    for at in 1..50 {
        assert_eq!(
            latch.offer(at, address("192.0.2.1:5000"), (Ssrc(2), None), Some(at)),
            PENDING
        );
    }
    for at in 50..53 {
        assert_eq!(
            latch.offer(at, address("192.0.2.1:5000"), (Ssrc(2), None), Some(49)),
            PENDING
        );
    }
    assert_eq!(
        latch.offer(53, address("192.0.2.1:5000"), (Ssrc(2), None), Some(49)),
        Verdict::Lock
    );
    for at in 54..70 {
        for other in ["192.0.2.1:4000", "192.0.2.1:6000"] {
            let verdict = latch.offer(at, address(other), (Ssrc(3), None), Some(50));
            assert_eq!(verdict, Verdict::Refuse(DropReason::SourceNotLatched));
        }
    }
    assert_eq!(latch.destination(), Some(address("192.0.2.1:5000")));
}

#[test]
fn the_signalling_address_locks_after_four_of_one_ssrc() {
    let policy = LatchPolicy::Signalling("203.0.113.5".parse().unwrap());
    let mut latch = Latch::new(policy, Some(address("10.0.0.5:4000")));
    assert_eq!(latch.destination(), None);
    let peer = address("203.0.113.5:61000");
    for ssrc in [1, 2, 3, 4, 5, 5, 5] {
        assert_eq!(latch.offer(0, peer, (Ssrc(ssrc), None), None), PENDING);
    }
    let stranger = latch.offer(0, address("10.0.0.5:4000"), (Ssrc(5), None), None);
    assert_eq!(stranger, Verdict::Refuse(DropReason::SourceNotAdmitted));
    assert_eq!(latch.offer(0, peer, (Ssrc(5), None), None), Verdict::Lock);
    assert_eq!(latch.destination(), Some(peer));
}

#[test]
fn an_sdp_address_that_is_the_signalling_host_may_be_sent_to_before_the_lock() {
    let policy = LatchPolicy::Signalling("203.0.113.5".parse().unwrap());
    let latch = Latch::new(policy, Some(address("203.0.113.5:4000")));
    assert_eq!(latch.destination(), Some(address("203.0.113.5:4000")));
}

#[test]
fn any_source_in_between_starts_the_count_again() {
    let mut latch = Latch::new(ANY, Some(address("10.0.0.5:4000")));
    for _ in 0..20 {
        assert_eq!(
            latch.offer(0, address("203.0.113.5:1"), (Ssrc(5), None), None),
            PENDING
        );
        assert_eq!(
            latch.offer(0, address("203.0.113.6:1"), (Ssrc(5), None), None),
            PENDING
        );
    }
    assert_eq!(latch.destination(), None);
}

#[test]
fn a_new_address_reopens_and_the_old_source_is_heard_until_the_new_one_speaks() {
    let mut latch = sdp("192.0.2.1:4000");
    let (old, new) = (address("192.0.2.1:4000"), address("192.0.2.9:7000"));
    latch.offer(0, old, (Ssrc(1), None), None);
    assert!(latch.renegotiate(1_000, LatchPolicy::Sdp, Some(new)));
    assert_eq!(latch.destination(), Some(new));
    assert_eq!(
        latch.offer(2_000, old, (Ssrc(1), None), Some(0)),
        Verdict::Admit
    );
    assert_eq!(
        latch.offer(3_000, new, (Ssrc(2), None), Some(2_000)),
        Verdict::Lock
    );
    let late = latch.offer(4_000, old, (Ssrc(1), None), Some(3_000));
    assert_eq!(late, Verdict::Refuse(DropReason::SourceNotAdmitted));
}

#[test]
fn the_old_source_is_refused_after_two_seconds() {
    let mut latch = sdp("192.0.2.1:4000");
    let old = address("192.0.2.1:4000");
    latch.offer(0, old, (Ssrc(1), None), None);
    latch.renegotiate(1_000, LatchPolicy::Sdp, Some(address("192.0.2.9:7000")));
    assert_eq!(
        latch.offer(2_000_999, old, (Ssrc(1), None), Some(0)),
        Verdict::Admit
    );
    let late = latch.offer(2_001_000, old, (Ssrc(1), None), Some(0));
    assert_eq!(late, Verdict::Refuse(DropReason::SourceNotAdmitted));
}

#[test]
fn the_same_address_again_keeps_the_lock() {
    let mut latch = Latch::new(ANY, Some(address("10.0.0.5:4000")));
    let peer = address("203.0.113.5:61000");
    for _ in 0..4 {
        latch.offer(0, peer, (Ssrc(5), None), None);
    }
    assert!(!latch.renegotiate(9, ANY, Some(address("10.0.0.5:4000"))));
    assert_eq!(latch.locked(), Some(peer));
}

#[test]
fn a_late_stream_of_the_same_host_does_not_move_the_new_one_back() {
    let mut latch = sdp("192.0.2.1:4000");
    let (old, new) = (address("192.0.2.1:4000"), address("192.0.2.1:7000"));
    latch.offer(0, old, (Ssrc(1), None), None);
    latch.renegotiate(1_000, LatchPolicy::Sdp, Some(new));
    assert_eq!(
        latch.offer(2_000, new, (Ssrc(2), None), Some(0)),
        Verdict::Lock
    );
    for at in 3_000..3_010 {
        let late = latch.offer(at, old, (Ssrc(1), None), Some(2_000));
        assert_eq!(late, Verdict::Refuse(DropReason::SourceNotLatched));
    }
    assert_eq!(latch.destination(), Some(new));
}

/// RTP bleed: a stranger that came first loses the leg to the address of the SDP.
#[test]
fn under_any_the_address_of_the_sdp_displaces_who_came_first() {
    let (peer, stranger) = (address("192.0.2.1:4000"), address("203.0.113.66:9"));
    let mut latch = Latch::new(ANY, Some(peer));
    for at in 0..4 {
        latch.offer(at, stranger, (Ssrc(66), None), None);
    }
    assert_eq!(latch.locked(), Some(stranger));
    assert!(!latch.is_settled(false));
    assert_eq!(
        latch.offer(9_000_000, peer, (Ssrc(1), None), Some(8_999_999)),
        Verdict::Lock
    );
    assert!(latch.is_settled(false));
    for at in 9_100_000..9_100_020 {
        let verdict = latch.offer(at, stranger, (Ssrc(66), None), Some(9_000_000));
        assert_eq!(verdict, Verdict::Refuse(DropReason::SourceNotLatched));
    }
}

/// Its SDP names an address behind a NAT, and he goes on.
#[test]
fn under_any_the_host_that_signals_displaces_a_stranger_who_goes_on() {
    let (peer, stranger) = (address("192.0.2.1:31000"), address("203.0.113.66:9"));
    let policy = LatchPolicy::Any(peer.ip());
    for expected in [Some(address("10.0.0.5:4000")), None] {
        let mut latch = Latch::new(policy, expected);
        for at in 0..4 {
            latch.offer(at, stranger, (Ssrc(66), None), None);
        }
        assert_eq!(latch.locked(), Some(stranger));
        assert!(!latch.is_settled(false), "another may be nearer");
        let verdict = latch.offer(9_000_000, peer, (Ssrc(1), None), Some(8_999_999));
        assert_eq!(verdict, Verdict::Lock);
        for at in 9_000_001..9_000_020 {
            let verdict = latch.offer(at, stranger, (Ssrc(66), None), Some(9_000_000));
            assert_eq!(verdict, Verdict::Refuse(DropReason::SourceNotLatched));
        }
        // The SDP says more than the signalling does.
        assert_eq!(latch.is_settled(false), expected.is_none());
        if let Some(expected) = expected {
            let verdict = latch.offer(9_000_021, expected, (Ssrc(2), None), Some(9_000_000));
            assert_eq!(verdict, Verdict::Lock);
        }
    }
}

/// Nobody knows where a peer is that signals from elsewhere, too; but a spray is over when it begins to speak.
#[test]
fn under_any_who_goes_on_displaces_who_fell_silent_at_once() {
    let (peer, stranger) = (address("192.0.2.1:4000"), address("203.0.113.66:9"));
    let mut latch = Latch::new(ANY, Some(address("10.0.0.5:4000")));
    for at in 0..4 {
        latch.offer(at, stranger, (Ssrc(66), None), None);
    }
    for at in 100..103 {
        assert_eq!(latch.offer(at, peer, (Ssrc(1), None), Some(3)), PENDING);
    }
    assert_eq!(
        latch.offer(103, peer, (Ssrc(1), None), Some(3)),
        Verdict::Lock
    );
    // Having spoken for a second, it is not displaced in its pauses.
    for at in 3_000_000..3_000_020 {
        let verdict = latch.offer(at, stranger, (Ssrc(66), None), Some(1_000_103));
        assert_eq!(verdict, Verdict::Refuse(DropReason::SourceNotLatched));
    }
}

#[test]
fn under_any_a_spray_does_not_undo_what_the_sdp_address_has_proven() {
    let peer = address("192.0.2.1:4000");
    let mut latch = Latch::new(ANY, Some(peer));
    for at in 0..3 {
        assert_eq!(latch.offer(at, peer, (Ssrc(1), None), None), PENDING);
        for _ in 0..5 {
            let spray = latch.offer(at, address("203.0.113.66:9"), (Ssrc(66), None), None);
            assert_eq!(spray, PENDING);
        }
    }
    assert_eq!(latch.offer(3, peer, (Ssrc(1), None), None), Verdict::Lock);
}

proptest! {
    /// Whatever is sprayed at a locked leg from other hosts, it stays where it is.
    #[test]
    fn strangers_never_move_a_locked_leg(
        spray in proptest::collection::vec((any::<[u8; 4]>(), any::<u16>(), 0_u32..3, 0_u64..3_000_000), 1..200),
        is_any in any::<bool>(),
    ) {
        let policy = if is_any { ANY } else { LatchPolicy::Sdp };
        let peer = address("192.0.2.1:4000");
        let mut latch = Latch::new(policy, Some(peer));
        for _ in 0..4 { latch.offer(0, peer, (Ssrc(1), None), None); }
        prop_assert_eq!(latch.locked(), Some(peer));
        for (host, port, ssrc, at) in spray {
            let source: PeerAddress = SocketAddr::from((host, port)).into();
            prop_assume!(!source.is_same_host(&peer));
            prop_assert!(matches!(latch.offer(at, source, (Ssrc(ssrc), None), Some(0)), Verdict::Refuse(_)));
        }
        prop_assert_eq!(latch.destination(), Some(peer));
    }
}
