//! Claims about datagrams on their way in and out.

use packet_io::{
    DATAGRAM_BYTES_MAX, HEADROOM_BYTES, PacketIo, RECEIVED_MAX, ReceivedBatch, TAILROOM_BYTES, Wait,
};

use crate::subject::{Subject, V4, V6};

pub(crate) fn both_families_are_echoed<S: Subject>(mut subject: S) {
    for ip in [V4, V6] {
        let peer = subject.peer(ip);
        let (key, local) = subject.open(ip);
        subject.send(peer, local, b"hello");
        for received in subject.gather(1) {
            assert_eq!((received.socket, received.source), (key, Some(peer)));
            assert_eq!(received.packet.bytes(), b"hello");
            subject.io().send(received.packet, key, received.source);
        }
        subject.turn();
        assert_eq!(subject.heard(peer), [(local, b"hello".to_vec())]);
    }
    let counters = *subject.io().counters();
    assert_eq!((counters.packets_received, counters.packets_sent), (2, 2));
    subject.assert_pool_is_whole();
}

pub(crate) fn packets_of_one_socket_keep_their_order<S: Subject>(mut subject: S) {
    let peer = subject.peer(V4);
    let (key, local) = subject.open(V4);
    let numbers: Vec<Vec<u8>> = (0..40_u8).map(|number| vec![number; 100]).collect();
    for number in &numbers {
        subject.send(peer, local, number);
    }
    for received in subject.gather(numbers.len()) {
        subject.io().send(received.packet, key, Some(peer));
    }
    subject.turn();
    let heard: Vec<_> = subject
        .heard(peer)
        .into_iter()
        .map(|(_, bytes)| bytes)
        .collect();
    assert_eq!(heard, numbers);
}

pub(crate) fn a_connected_socket_sends_without_an_address<S: Subject>(mut subject: S) {
    for ip in [V4, V6] {
        let (peer, other) = (subject.peer(ip), subject.peer(ip));
        let (key, local) = subject.open(ip);
        subject.io().connect(key, Some(peer));
        for to in [None, Some(other)] {
            let mut packet = subject.io().allocate().expect("a full pool");
            packet.copy_from(b"x").expect("it fits");
            subject.io().send(packet, key, to);
        }
        subject.turn();
        assert_eq!(subject.heard(peer), [(local, b"x".to_vec())]);
        assert_eq!(subject.heard(other), [(local, b"x".to_vec())]);
    }
}

pub(crate) fn an_empty_datagram_does_not_end_reception<S: Subject>(mut subject: S) {
    let peer = subject.peer(V4);
    let (key, local) = subject.open(V4);
    for connected in [None, Some(peer)] {
        subject.io().connect(key, connected);
        subject.turn();
        for _ in 0..20 {
            subject.send(peer, local, b"");
            subject.send(peer, local, b"after");
        }
        let texts = subject.texts(20);
        assert_eq!(texts, ["after"; 20]);
    }
    assert_eq!(subject.io().counters().empty_datagrams, 40);
    subject.assert_pool_is_whole();
}

pub(crate) fn a_flood_of_empty_datagrams_delays_nothing<S: Subject>(mut subject: S) {
    let peer = subject.peer(V4);
    let (key, local) = subject.open(V4);
    for connected in [None, Some(peer)] {
        subject.io().connect(key, connected);
        subject.turn();
        for _ in 0..10 {
            for _ in 0..20 {
                subject.send(peer, local, b"");
            }
            subject.send(peer, local, b"after");
        }
        let taken: usize = (0..20).map(|_| subject.turn().len()).sum();
        assert_eq!(taken, 10);
    }
    assert_eq!(subject.io().counters().empty_datagrams, 400);
    subject.assert_pool_is_whole();
}

pub(crate) fn a_datagram_that_is_too_long_is_counted_and_dropped<S: Subject>(mut subject: S) {
    let peer = subject.peer(V4);
    let (key, local) = subject.open(V4);
    for (round, connected) in [None, Some(peer)].into_iter().enumerate() {
        subject.io().connect(key, connected);
        subject.turn();
        for len in [DATAGRAM_BYTES_MAX + 1, 2048, 9000] {
            subject.send(peer, local, &vec![1; len]);
        }
        subject.send(peer, local, b"after");
        assert_eq!(subject.texts(1), ["after"]);
        let counters = subject.io().counters();
        assert_eq!(counters.truncated_datagrams, 3 * (round as u64 + 1));
    }
    subject.assert_pool_is_whole();
}

pub(crate) fn the_longest_datagram_is_taken_whole<S: Subject>(mut subject: S) {
    let peer = subject.peer(V4);
    let (key, local) = subject.open(V4);
    let longest: Vec<u8> = (0..DATAGRAM_BYTES_MAX)
        .map(|place| place.to_le_bytes()[0])
        .collect();
    for connected in [None, Some(peer)] {
        subject.io().connect(key, connected);
        subject.send(peer, local, &longest);
        let received = subject.gather(1);
        assert_eq!(received.len(), 1);
        assert_eq!(received[0].packet.bytes(), longest);
    }
}

pub(crate) fn sends_that_cannot_be_are_counted<S: Subject>(mut subject: S) {
    let (key, _) = subject.open(V4);
    let peer = subject.peer(V4);
    let mut packet = subject.io().allocate().expect("a full pool");
    packet.copy_from(b"x").expect("it fits");
    subject.io().send(packet, key, None);
    let packet = subject.io().allocate().expect("a full pool");
    subject.io().send(packet, key, Some(peer));
    subject.turn();
    let counters = *subject.io().counters();
    assert_eq!((counters.sends_without_peer, counters.sends_empty), (1, 1));
    assert_eq!(counters.packets_sent, 0);
    assert!(subject.heard(peer).is_empty());
    subject.assert_pool_is_whole();
}

pub(crate) fn one_turn_takes_what_hundreds_of_sockets_have<S: Subject>(mut subject: S) {
    // One enter of a ring runs some 20 deferred items: the rest must not wait for another turn.
    let peer = subject.peer(V4);
    let sockets: Vec<_> = (0..50).map(|_| subject.open(V4)).collect();
    subject.turn();
    for (_, local) in &sockets {
        subject.send(peer, *local, b"x");
    }
    let mut keys: Vec<_> = subject
        .turn()
        .iter()
        .map(|received| received.socket)
        .collect();
    keys.sort_unstable();
    assert_eq!(
        keys,
        sockets.iter().map(|(key, _)| *key).collect::<Vec<_>>()
    );
}

pub(crate) fn more_than_a_batch_comes_in_several<S: Subject>(_small: S) {
    let sizes = packet_io::PacketIoConfig {
        buffers: 1024,
        ..crate::subject::SIZES
    };
    let mut subject = S::build(sizes).expect("it was built a moment ago");
    let peer = subject.peer(V4);
    let sockets: Vec<_> = (0..RECEIVED_MAX + 88).map(|_| subject.open(V4)).collect();
    subject.turn();
    for (_, local) in &sockets {
        subject.send(peer, *local, b"x");
    }
    let mut batch = ReceivedBatch::new();
    let now = std::time::Instant::now();
    subject.io().submit_and_wait(now, Wait::none(now));
    subject.io().receive(&mut batch);
    assert_eq!(batch.packets.len(), RECEIVED_MAX);
    subject.io().receive(&mut batch);
    assert_eq!(
        batch.packets.len(),
        RECEIVED_MAX,
        "a full batch stays as it is"
    );
    batch.packets.clear();
    // Without an end: it must see that there is work.
    let wait = Wait {
        want: 1,
        min_wait: std::time::Duration::ZERO,
        until: None,
    };
    subject.io().submit_and_wait(now, wait);
    subject.io().receive(&mut batch);
    assert_eq!(batch.packets.len(), 88);
}

pub(crate) fn a_packet_grows_at_both_ends_before_it_leaves<S: Subject>(mut subject: S) {
    let peer = subject.peer(V4);
    let (key, local) = subject.open(V4);
    for connected in [None, Some(peer)] {
        subject.io().connect(key, connected);
        subject.send(peer, local, b"middle");
        for mut received in subject.gather(1) {
            received
                .packet
                .extend_front(HEADROOM_BYTES)
                .expect("headroom");
            received
                .packet
                .set_len(HEADROOM_BYTES + 6 + TAILROOM_BYTES)
                .expect("tailroom");
            let bytes = received.packet.bytes_mut();
            bytes[..HEADROOM_BYTES].fill(b'<');
            bytes[HEADROOM_BYTES + 6..].fill(b'>');
            subject.io().send(received.packet, key, Some(peer));
        }
        subject.turn();
        let mut expected = vec![b'<'; HEADROOM_BYTES];
        expected.extend_from_slice(b"middle");
        expected.extend_from_slice(&[b'>'; TAILROOM_BYTES]);
        assert_eq!(subject.heard(peer), [(local, expected)]);
    }
}

/// Runs of one length, the end of a frame that is shorter, more than one request holds, another
/// socket in between: each packet comes by itself, whole and in order.
pub(crate) fn bursts_to_one_peer_arrive_packet_by_packet<S: Subject>(_small: S) {
    let sizes = packet_io::PacketIoConfig {
        buffers: 1024,
        ..crate::subject::SIZES
    };
    let mut subject = S::build(sizes).expect("as the small one");
    let (peer, other) = (subject.peer(V4), subject.peer(V4));
    let ((key, local), (second, _)) = (subject.open(V4), subject.open(V4));
    subject.io().connect(key, Some(peer));
    subject.io().connect(second, Some(other));
    let lengths = [40, 40, 40, 7, 40, 41, 40, 1, 1, 1]
        .into_iter()
        .chain(std::iter::repeat_n(40, 70));
    let mut expected = Vec::new();
    for (number, len) in (0_u8..).zip(lengths) {
        let datagram = vec![number; len];
        let mut packet = subject.io().allocate().expect("a full pool");
        packet.copy_from(&datagram).expect("it fits");
        subject.io().send(packet, key, None);
        expected.push((local, datagram));
        if number == 8 {
            let mut packet = subject.io().allocate().expect("a full pool");
            packet.copy_from(b"aside").expect("it fits");
            subject.io().send(packet, second, None);
        }
    }
    subject.turn();
    subject.turn();
    assert_eq!(subject.heard(peer), expected);
    assert_eq!(subject.heard(other).len(), 1);
    assert_eq!(subject.io().counters().packets_sent, 81);
    assert_eq!(subject.io().pool_counts().held, 0);
}
